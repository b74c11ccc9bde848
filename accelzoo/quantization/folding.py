"""The trained values of a network by operator of its graph, normalisations folded into the convolutions before them.

An operator carries the path of the module that runs it, so its weights are that module's. Which normalisation follows
which convolution is seen by running the network once; folding is that of Jacob et al. 2018, §3.2. What comes out is
compared with the network itself, so that no graph passes whose operators leave out something that the network computes.
"""

from __future__ import annotations

import copy
import re
from collections import defaultdict
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import torch
from timm.layers import BatchNormAct2d, Conv2dSame, LayerScale2d
from torch import Tensor, nn

from accelzoo._export_job import leaves
from accelzoo.build import Trunk
from accelzoo.errors import ExportError
from accelzoo.hwmodel.ir import Graph
from accelzoo.hwmodel.oracles.tflite_values import WEIGHTED, OpValues
from accelzoo.quantization.floating import FoldedNetwork

TOLERANCE = 1e-6
"""How far outputs may be from the network's in float64, as a share of the largest value."""
SHARED = re.compile(r"_\d+$")
"""What stands behind the path of a module that several levels share."""


def fold(model: Trunk) -> FoldedNetwork:
    """Takes a network apart into the operators of `model.arch.lower()` with their trained values.

    Args:
        model: A built network; its mode and weights stay as they are.

    Returns:
        The network without normalisations, equal to `model` in eval mode up to rounding.

    Raises:
        ExportError: If the graph does not tell all that the network computes, such as a shuffle of channels, or holds
            operators without an integer form, such as attention.
    """
    graph = model.arch.lower()
    twin = evaluated_twin(model).double()  # in which rounding cannot pass for a difference
    example = torch.randn((2, *graph.input_shape), generator=torch.Generator().manual_seed(0)).double()
    seen = _Seen()
    with seen.watching(twin), torch.no_grad():
        expected = leaves(twin(example))
        values = _values(graph, twin, seen)
    _compare(FoldedNetwork(graph, values, torch.float64)(example), expected)
    return FoldedNetwork(graph, values)


def evaluated_twin(model: Trunk) -> Trunk:
    """Copies a network to the CPU in eval mode."""
    twin = copy.deepcopy(model).cpu().eval()
    twin.set_grad_checkpointing(False)
    return twin


@dataclass(slots=True)
class _Call:
    """One run of a convolution or linear layer, and what scales its output afterwards."""

    module: nn.Conv2d | nn.Linear
    scalings: list[nn.Module] = field(default_factory=list)


class _Seen:
    """What ran, in order: the calls of each module, and the modules that folded into them."""

    def __init__(self) -> None:
        self.calls: dict[int, list[_Call]] = defaultdict(list)
        self._makers: dict[int, _Call] = {}
        self._kept: list[Any] = []  # so that identities of tensors stay apart

    @contextmanager
    def watching(self, model: nn.Module) -> Iterator[None]:
        kinds = (nn.Conv2d, nn.Linear, nn.modules.batchnorm._BatchNorm, LayerScale2d)
        parts = [(path, part) for path, part in model.named_modules() if isinstance(part, kinds)]
        handles = [part.register_forward_hook(self._hook(path)) for path, part in parts]
        try:
            yield
        finally:
            for handle in handles:
                handle.remove()

    def _hook(self, path: str) -> Callable[[nn.Module, Any, Any], None]:
        def note(module: nn.Module, inputs: tuple[Tensor, ...], output: Tensor) -> None:
            self._kept += [inputs, output]
            if isinstance(module, nn.Conv2d | nn.Linear):
                call = _Call(module)
                self.calls[id(module)].append(call)
                self._makers[id(output)] = call
                return
            maker = self._makers.pop(id(inputs[0]), None)
            if maker is None:
                raise ExportError(f"{path}: no convolution stands before it that it could be folded into")
            maker.scalings.append(module)
            activated = isinstance(module, BatchNormAct2d) and not isinstance(module.act, nn.Identity)
            if not activated:
                self._makers[id(output)] = maker

        return note


def _values(graph: Graph, model: nn.Module, seen: _Seen) -> dict[str, OpValues]:
    modules = dict(model.named_modules())
    left = {key: iter(calls) for key, calls in seen.calls.items()}
    found = {}
    for op in graph.ops:
        module = modules.get(op.name) or modules.get(SHARED.sub("", op.name))
        if op.kind in WEIGHTED:
            call = next(left.get(id(module), iter(())), None)
            if call is None:
                raise ExportError(f"{op.name}: the network runs no such layer")
            values = _folded(call)
            found[op.name] = values._replace(padding=_padding(call.module))
        elif isinstance(module, nn.MaxPool2d):
            found[op.name] = OpValues(padding=_padding(module))
    if spare := sorted(path for path, part in modules.items() if next(left.get(id(part), iter(())), None)):
        raise ExportError(f"{spare[0]}: the network runs it, but its graph has no such operator")
    return found


def _folded(call: _Call) -> OpValues:
    weights: Tensor = call.module.weight
    factor: Tensor
    bias = weights.new_zeros(len(weights)) if call.module.bias is None else call.module.bias
    for module in call.scalings:
        if isinstance(module, LayerScale2d):
            factor, shift = module.gamma, torch.zeros_like(bias)
        else:
            assert isinstance(module, nn.BatchNorm2d)
            assert module.running_mean is not None
            assert module.running_var is not None
            factor = (module.running_var + module.eps).rsqrt() * module.weight
            shift = module.bias - module.running_mean * factor
        weights = weights * factor.view(-1, *[1] * (weights.dim() - 1))
        bias = bias * factor + shift
    return OpValues(weights.numpy(), bias.numpy())


def _padding(module: nn.Module) -> tuple[int, int] | None:
    """Rows above and columns to the left; None of a layer that pads as TensorFlow does, and of a linear layer."""
    if isinstance(module, Conv2dSame | nn.Linear):
        return None
    padding: Any = module.padding
    return (padding, padding) if isinstance(padding, int) else (padding[0], padding[1])


def _compare(outputs: list[Tensor], expected: list[Tensor]) -> None:
    sizes = [value[0].numel() for value in outputs], [value[0].numel() for value in expected]
    if sizes[0] != sizes[1]:
        raise ExportError(f"the graph makes outputs of {sizes[0]} elements, the network of {sizes[1]}")
    for number, (output, wanted) in enumerate(zip(outputs, expected, strict=True)):
        if wanted.ndim == 3:  # (batch, time, classes) of a sequence head, for a map of one row
            output = output.permute(0, 2, 3, 1)
        difference = float((output.reshape(wanted.shape) - wanted).abs().max())
        if not difference <= TOLERANCE * max(float(wanted.abs().max()), 1e-6):
            raise ExportError(
                f"output {number} differs from the network's by {difference:.3g}: its graph leaves out something that "
                "the network computes, such as a shuffle of channels or weights of a fusion"
            )
