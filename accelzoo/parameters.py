"""How many parameters a network has as torch would count them, found without torch.

A graph shows weights and biases as they run on a device, with normalisations folded; the module has two parameters per
channel of every normalisation and no bias before it. What stands in the trunk is counted from the layers that blocks
list, what stands in the head from its operators. Nothing is guessed: what cannot be told apart is refused.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence

from accelzoo.arch import Arch
from accelzoo.blocks import Block
from accelzoo.blocks._projected import ProjectedBlock
from accelzoo.blocks.mobile_attention import MobileAttention
from accelzoo.errors import AccelzooError
from accelzoo.heads import Head
from accelzoo.heads._pyramid import PyramidHead
from accelzoo.heads.classification import ClassificationHead
from accelzoo.heads.spaghetti import LEVEL, SpaghettiHead
from accelzoo.hwmodel.ir import Op
from accelzoo.layers import Conv, Layer, LayerScale, NormAct, SqueezeExcite

_BIASED = {
    "classification": r"classifier",
    "deeplab": r"head\.classifier",
    "fcos": r"head\.\w+_predictor(_\d+)?",
    "lraspp": r"head\.(low|high)_classifier",
    "retina": r"head\.\w+_predictor(_\d+)?",
    "segmentation_fpn": r"head\.(classifier|lateral\.\d+\.conv)",
    "sequence": r"head\.classifier",
    "spaghetti": r"head\.\w+_predictors\.\d+\.conv",
    "ssdlite": r"head\.\w+_predictors\.\d+\.conv",
}
"""Head's kind → its operators whose bias is a parameter; every other bias is left by a folded normalisation."""
_SHARED = re.compile(r"head\.(?!neck\.).*_\d+")
"""Operators of a pyramid head that run the convolution of the first level again."""
_IN_BLOCKS = re.compile(r"head\.nodes\.[^.]+\.blocks\..*")
"""Operators of a head's blocks, which are counted from the layers that these list."""


def count_parameters(arch: Arch) -> int:
    """Number of parameters of the module that `arch.build()` makes; running statistics are none.

    Raises:
        AccelzooError: If the architecture has a block or head whose parameters its description does not tell.
    """
    channels = arch.input_size[0]
    total, channels = _layers_parameters(arch.stem.layers(channels), channels)
    for group in arch.groups():
        for block in group:
            total += _block_parameters(block, channels)
            channels = block.out_channels
    graph = arch.lower()
    levels = {level.stride: level.channels for level in arch.feature_levels()}
    return total + _head_parameters(arch.head, graph.ops[graph.marks[-1] :], levels)


def _layers_parameters(layers: Iterable[Layer], in_channels: int) -> tuple[int, int]:
    """Parameters of layers in sequence, and the channels of their output."""
    total, channels = 0, in_channels
    for layer in layers:
        total += _layer_parameters(layer, channels)
        channels = layer.out_channels
    return total, channels


def _layer_parameters(layer: Layer, in_channels: int) -> int:
    out = layer.out_channels
    match layer:
        case Conv():
            return out * (in_channels // layer.groups) * layer.kernel_size**2 + (out if layer.bias else 0)
        case NormAct():
            return 2 * out
        case SqueezeExcite():
            return 2 * in_channels * layer.reduced_channels + layer.reduced_channels + in_channels
        case LayerScale():
            return out
        case _:
            return 0


def _block_parameters(block: Block, in_channels: int) -> int:
    if isinstance(block, MobileAttention):
        return _attention_parameters(block, in_channels)
    lists_all = type(block).build is Block.build or isinstance(block, ProjectedBlock)
    if not lists_all:
        raise AccelzooError(f"blocks of kind {block.kind!r} build more than they list: their parameters are not known")
    total, _ = _layers_parameters(block.layers(in_channels), in_channels)
    if isinstance(block, ProjectedBlock):
        total += _layers_parameters(block.shortcut(in_channels), in_channels)[0]
    return total


def _attention_parameters(block: MobileAttention, channels: int) -> int:
    """Parameters of norm, projections (without bias) and layer scale; see `accelzoo.attention`."""
    inner, heads, out = block.head_width(channels), block.heads, block.out_channels
    keys_and_values = 2 * (inner if block.multi_query else heads * inner)
    total = 2 * channels + channels * (heads * inner + keys_and_values) + heads * inner * out
    if block.kv_stride > 1:
        total += 2 * (_layer_parameters(block.down_conv(channels), channels) + 2 * channels)
    if block.query_stride > 1:
        total += 2 * channels
    return total + (0 if block.layer_scale is None else out)


def _head_parameters(head: Head, ops: Sequence[Op], levels: Mapping[int, int]) -> int:
    if head.kind not in _BIASED:
        raise AccelzooError(f"the parameters of heads of kind {head.kind!r} are not known without building them")
    pattern = _BIASED[head.kind]
    if isinstance(head, ClassificationHead) and not head.hidden_norm:
        pattern += "|conv_head"
    biased = re.compile(pattern)
    shares = isinstance(head, PyramidHead)
    total = 0
    if isinstance(head, PyramidHead):
        total += _fusion_weights(head, levels)
    if isinstance(head, SpaghettiHead):
        total += _nodes_parameters(head, levels)
        ops = [op for op in ops if not _IN_BLOCKS.fullmatch(op.name)]
    for op in ops:
        again = shares and _SHARED.fullmatch(op.name) is not None
        total += 0 if again else op.weight_count
        if op.bias and biased.fullmatch(op.name):
            total += 0 if again else op.out_shape[0]
        elif op.bias:
            total += 2 * op.out_shape[0]  # a normalisation, which no two levels share
    return total


def _fusion_weights(head: PyramidHead, levels: Mapping[int, int]) -> int:
    """Learned shares of the maps that a node of the neck adds (Tan et al. 2020, §3.3)."""
    from accelzoo.necks.levels import choose_levels

    chosen = choose_levels(levels, head.neck.feature_levels, 3, head.neck.kind)
    nodes = head.neck.nodes(tuple(chosen))
    return sum(len(node.sources) for node in nodes if node.fusion == "fast" and len(node.sources) > 1)


def _nodes_parameters(head: SpaghettiHead, levels: Mapping[int, int]) -> int:
    """Parameters of the blocks of the nodes."""
    widths = {f"{LEVEL}{stride}": channels for stride, channels in levels.items()}
    total = 0
    for node in head.nodes:
        channels = node.width if node.merges else widths[node.sources[0]]
        for block in node.blocks:
            total += _block_parameters(block, channels)
            channels = block.out_channels
        widths[node.name] = channels
    return total
