"""The fields of an architecture that set channel counts: found, and set without changing what the network is."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any, NamedTuple

from accelzoo.arch import Arch, Stage
from accelzoo.blocks import Block
from accelzoo.blocks._expansion import ExpandingBlock
from accelzoo.blocks._projected import ProjectedBlock
from accelzoo.errors import ShapeError
from accelzoo.hwmodel.ir import Graph

STEM, HEAD = -1, 1 << 30


class WidthField(NamedTuple):
    """A channel count that an architecture states.

    Attributes:
        stage: Which stage of the architecture with one block to a stage; `STEM` or `HEAD` for those.
        name: `out_channels`, `expanded_channels` or `hidden_channels`.
        label: What it is called: `stem`, `blocks.1.0`, `blocks.1.0 expanded`, `head`.
    """

    stage: int
    name: str
    label: str

    @property
    def path(self) -> tuple[str | int, ...]:
        """Where it stands in the config of the architecture with one block to a stage, as a knob says it."""
        parts: dict[int, tuple[str | int, ...]] = {STEM: ("stem",), HEAD: ("head",)}
        return (*parts.get(self.stage, ("stages", self.stage)), self.name)


Widths = Mapping[WidthField, int]


def one_block_stages(arch: Arch) -> Arch:
    """Returns the same network with a stage for every block."""
    groups = arch.groups()
    stages = tuple([Stage(block=block, continued=index > 0) for group in groups for index, block in enumerate(group)])
    return replace(arch, stages=stages)


def entering_channels(arch: Arch) -> list[int]:
    """Returns the input channels of every stage of one block, and of the head."""
    return [arch.stem.out_channels, *[stage.block.out_channels for stage in arch.stages]]


def width_fields(arch: Arch, graph: Graph) -> Iterator[tuple[WidthField, int, str]]:
    """Yields every field with its value and the tensor whose channels it counts, in the order of the network.

    Args:
        arch: One block to a stage.
        graph: Its operators.
    """
    marks = graph.marks
    yield WidthField(STEM, "out_channels", "stem"), arch.stem.out_channels, graph.ops[marks[0] - 1].name
    labels = [f"blocks.{g}.{r}" for g, group in enumerate(arch.groups()) for r in range(len(group))]
    for index, (stage, in_channels) in enumerate(zip(arch.stages, entering_channels(arch), strict=False)):
        ops = graph.ops[marks[index] : marks[index + 1]]
        expansion = _expansion(stage.block, in_channels)
        if expansion is not None:
            layer, channels = expansion
            field = WidthField(index, "expanded_channels", f"{labels[index]} expanded")
            yield field, channels, f"{labels[index]}.{layer}"
        yield WidthField(index, "out_channels", labels[index]), stage.block.out_channels, ops[-1].name
    hidden = getattr(arch.head, "hidden_channels", None)
    if isinstance(hidden, int):
        made = [op for op in graph.ops[marks[-1] :] if op.kind == "conv2d" and op.out_shape[0] == hidden]
        if made:
            yield WidthField(HEAD, "hidden_channels", "head"), hidden, made[0].name


def with_widths(arch: Arch, widths: Widths) -> Arch:
    """Returns the network with other channel counts and the same operators.

    What would vanish or appear where two counts happen to be equal or not (an expansion, a residual sum) is kept as it
    is in `arch`. With its own counts, `arch` is returned.

    Args:
        arch: One block to a stage.
        widths: Field → channels; the others stay.

    Raises:
        ShapeError: If a projection on a shortcut would vanish, for which a block has no field.
    """
    stem, head = arch.stem, arch.head
    stages = []
    before = entering_channels(arch)
    for field, channels in widths.items():
        if field.stage == STEM:
            stem = replace(stem, out_channels=channels)
        elif field.stage == HEAD:
            changes: dict[str, Any] = {field.name: channels}
            head = replace(head, **changes)
    chosen = {(field.stage, field.name): channels for field, channels in widths.items()}
    entering = stem.out_channels
    for index, stage in enumerate(arch.stages):
        out = chosen.get((index, "out_channels"), stage.block.out_channels)
        expanded = chosen.get((index, "expanded_channels"))
        block = _resized(stage.block, before[index], entering, out, expanded)
        stages.append(replace(stage, block=block))
        entering = out
    return replace(arch, stem=stem, stages=tuple(stages), head=head)


def projects_at_full_size(block: Block, in_channels: int) -> bool:
    """Whether the block's shortcut is projected only because its channel counts differ."""
    return isinstance(block, ProjectedBlock) and block.stride == 1 and bool(block.shortcut(in_channels))


def _expansion(block: Block, in_channels: int) -> tuple[str, int] | None:
    """Returns the layer that makes the expanded tensor and its channels; None without one."""
    if not isinstance(block, ExpandingBlock):
        return None
    first = next((layer.name for layer in block.layers(in_channels) if layer.name in _EXPANSIONS), "conv_dw")
    return None if first == "conv_dw" else (first, block.expanded(in_channels))


_EXPANSIONS = ("conv_pw", "conv_exp", "pw_exp.conv", "conv_dw")
"""Names of the layers that make expanded tensors, and of the one that comes first where nothing is expanded."""


def _resized(block: Block, old_in: int, new_in: int, out: int, expanded: int | None) -> Block:
    added, resized = block.adds_input(old_in), replace(block, out_channels=out)
    if isinstance(block, ExpandingBlock) and isinstance(resized, ExpandingBlock):
        expands = _expansion(block, old_in) is not None
        wanted = (expanded or block.expanded(old_in)) if expands else new_in
        if resized.expanded(new_in) != wanted:
            resized = replace(resized, expanded_channels=wanted)
        if expands and wanted == new_in and hasattr(resized, "always_expand"):
            changes: dict[str, Any] = {"always_expand": True}
            resized = replace(resized, **changes)
    if resized.adds_input(new_in) and not added:
        if isinstance(block, ProjectedBlock) and block.residual:
            raise ShapeError(f"{block.kind} block with {new_in} channels in and out: its shortcut needs no projection")
        resized = replace(resized, residual=False)
    return resized
