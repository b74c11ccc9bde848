"""What an export starts from: a network in eval mode with example inputs, and names for what goes in and out."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from accelzoo.arch import Arch
from accelzoo.errors import ExportError, ShapeError
from accelzoo.heads._detection import DetectionHead
from accelzoo.registry import create_model

if TYPE_CHECKING:
    from torch import Tensor, nn

    from accelzoo.build import Trunk

    Model = nn.Module | Arch | str | Path

INPUT, LOGITS, CLASSES = "input", "logits", "classes"
LEVEL_OUTPUTS = ("class_logits", "boxes", "centerness")
DETECTIONS = ("boxes", "scores", "labels")


class Job(NamedTuple):
    """A network in eval mode, example inputs, what it makes of them, and names for every tensor."""

    module: nn.Module
    inputs: tuple[Any, ...]
    outputs: list[Tensor]
    input_names: list[str]
    output_names: list[str]
    dynamic_batch: bool


@contextmanager
def prepared(
    model: Model, input_size: int | Sequence[int] | None, inputs: tuple[Any, ...] | None, dynamic_batch: bool
) -> Iterator[Job]:
    """Gives the network in eval mode with example inputs and what it makes of them; restores its mode afterwards."""
    import torch

    module = _built(model)
    if inputs is None:
        inputs = _example(module, input_size, 2 if dynamic_batch else 1)  # with 1, torch takes the number as fixed
    elif input_size is not None:
        raise ExportError(f"input_size (={input_size}) and inputs both say what goes in; leave one out")
    modes = [(part, part.training) for part in module.modules()]
    checkpointing = getattr(module, "grad_checkpointing", False)
    try:
        module.eval()
        if checkpointing:
            module.grad_checkpointing = False  # type: ignore[assignment]
        with torch.no_grad():
            try:
                outputs = module(*inputs)
            except (RuntimeError, ValueError) as error:
                shapes = ", ".join(str(tuple(leaf.shape)) for leaf in leaves(inputs))
                raise ShapeError(f"the network does not run on inputs of shape {shapes}: {error}") from error
            names = _names(module, inputs, outputs)
            yield Job(module, inputs, leaves(outputs), *names, dynamic_batch)
    finally:
        if checkpointing:
            module.grad_checkpointing = True  # type: ignore[assignment]
        for part, training in modes:
            part.training = training


def _built(model: Model) -> nn.Module:
    if isinstance(model, Arch):
        return model.build()
    return create_model(model) if isinstance(model, str | Path) else model


def _example(module: nn.Module, input_size: int | Sequence[int] | None, batch: int) -> tuple[Tensor]:
    import torch

    from accelzoo.build import Trunk

    if not isinstance(module, Trunk):
        raise ExportError(f"a {type(module).__name__} is no network of accelzoo: pass inputs=(…), examples of them")
    shape = (batch, *_input_shape(module, input_size))
    like = next(module.parameters())
    noise = torch.randn(shape, generator=torch.Generator().manual_seed(0))
    return (noise.to(like.device, like.dtype),)


def _input_shape(network: Trunk, input_size: int | Sequence[int] | None) -> tuple[int, int, int]:
    if input_size is None:
        return network.arch.input_size
    given = [input_size, input_size] if isinstance(input_size, int) else [*input_size]
    if len(given) not in (2, 3) or not all(type(size) is int and size > 0 for size in given):
        sizes = "a side, (height, width) or (channels, height, width), positive"
        raise ShapeError(f"input_size (={input_size!r}) must be {sizes}")
    if len(given) == 3 and given[0] != network.in_chans:
        raise ShapeError(f"input_size (={input_size}) has {given[0]} channels; the network reads {network.in_chans}")
    return network.in_chans, given[-2], given[-1]


def leaves(tree: Any) -> list[Tensor]:
    """The tensors in nested tuples and lists, in order."""
    from torch.utils._pytree import tree_leaves

    return tree_leaves(tree)


def _names(module: nn.Module, inputs: tuple[Any, ...], outputs: Any) -> tuple[list[str], list[str]]:
    """Names of inputs and outputs, one for every tensor."""
    from accelzoo.build import Trunk

    if isinstance(module, Trunk):
        head = module.arch.head
        if not isinstance(head, DetectionHead):
            return [INPUT], [LOGITS]
        strides = head.output_strides({level.stride: level for level in module.arch.feature_levels()})
        return [INPUT], _level_names(strides, len(outputs[0]))
    from accelzoo.detection import DetectionDecoder
    from accelzoo.segmentation import Postprocessor

    if isinstance(module, DetectionDecoder):
        (levels,) = inputs
        return _level_names(_strides(module.strides, levels), len(levels[0])), [*DETECTIONS]
    if isinstance(module, Postprocessor):
        return [LOGITS], [CLASSES]
    return [], []  # torch chooses


def _strides(of_boxes: Tensor, levels: Sequence[tuple[Tensor, ...]]) -> list[int]:
    """The strides of levels of raw outputs, from those of all their boxes."""
    strides, first = [], 0
    for _, regression, *_ in levels:
        strides.append(int(of_boxes.flatten()[first]))
        first += regression[0].numel() // 4
    return strides


def _level_names(strides: Sequence[int], values: int) -> list[str]:
    """A second level of a stride carries `_1` behind it, a third `_2`."""
    names = []
    for index, stride in enumerate(strides):
        again = strides[:index].count(stride)
        names += [f"{value}_{stride}" + (f"_{again}" if again else "") for value in LEVEL_OUTPUTS[:values]]
    return names
