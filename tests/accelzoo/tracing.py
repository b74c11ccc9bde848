"""An independent account of what a module computes: torch's own operator calls, on the meta device."""

from __future__ import annotations

import math
from collections import Counter
from typing import Any, NamedTuple

import torch
from torch import nn
from torch.utils._python_dispatch import TorchDispatchMode

from accelzoo.hwmodel.ir import Op

ACTIVATIONS = {
    "relu": "relu",
    "relu_": "relu",
    "hardtanh": "relu6",
    "hardtanh_": "relu6",
    "silu": "silu",
    "silu_": "silu",
    "gelu": "gelu",
    "sigmoid": "sigmoid",
    "sigmoid_": "sigmoid",
    "hardswish": "hard_swish",
    "hardswish_": "hard_swish",
    "hardsigmoid": "hard_sigmoid",
    "hardsigmoid_": "hard_sigmoid",
    "tanh": "tanh",
    "tanh_": "tanh",
}
BINARY = {"add": "add", "mul": "mul"}
POOLS = {"mean", "_adaptive_avg_pool2d"}
# What costs nothing (views) or is folded away (normalisation).
IGNORED = {
    "native_batch_norm",
    "_native_batch_norm_legit",
    "_native_batch_norm_legit_no_training",
    "cudnn_batch_norm",
    "view",
    "_unsafe_view",
    "reshape",
    "flatten",
    "t",
    "detach",
    "alias",
    "empty",
    "empty_like",
}


class Call(NamedTuple):
    """One operator as torch ran it; shapes are `(channels, height, width)`."""

    name: str
    kind: str
    function: str
    in_shapes: tuple[tuple[int, ...], ...]
    out_shape: tuple[int, ...]
    kernel_size: tuple[int, ...]
    stride: tuple[int, ...]
    groups: int


class Recorder(TorchDispatchMode):
    """Records every operator together with the path of the module that ran it; an unknown one is an error."""

    def __init__(self, root: nn.Module) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.calls: list[Call] = []
        self.stack: list[str] = []
        self.hooks = []
        for path, module in root.named_modules():
            self.hooks.append(module.register_forward_pre_hook(lambda *_, path=path: self.stack.append(path)))
            self.hooks.append(module.register_forward_hook(lambda *_: void(self.stack.pop())))

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        result = func(*args, **(kwargs or {}))
        self._record(func.overloadpacket.__name__, args, result)
        return result

    def _record(self, called: str, args: Any, result: Any) -> None:
        path = self.stack[-1] if self.stack else ""
        inside = f"{path}." if path else ""
        kernel, stride, groups, function = (1, 1), (1, 1), 1, ""
        if called in IGNORED:
            return
        if called == "convolution":
            inputs, weight, stride, groups = args[:1], args[1], tuple(args[3]), args[8]
            kernel = tuple(weight.shape[2:])
            depthwise = groups > 1 and groups == args[0].shape[1] == weight.shape[0]
            name, kind = path, "depthwise_conv2d" if depthwise else "conv2d"
        elif called == "addmm":
            name, kind, inputs = path, "linear", (args[1],)
        elif called in ACTIVATIONS:
            name, kind, function, inputs = path, "activation", ACTIVATIONS[called], args[:1]
        elif called in BINARY:
            name, kind, inputs = inside + called, called, args[:2]
        elif called in POOLS:
            # timm's own pool is a module called `pool` already
            name = path if path.endswith(".pool") else inside + "pool"
            kind, function, inputs, kernel = "pool", "avg", args[:1], tuple(args[0].shape[2:])
        else:
            raise AssertionError(f"{path}: torch ran {called}, which no operator stands for")
        shapes = tuple(shape_of(tensor) for tensor in inputs)
        self.calls.append(Call(name, kind, function, shapes, shape_of(result), kernel, stride, groups))


def void(_: object) -> None:
    """Forward hooks must return nothing."""


def shape_of(tensor: torch.Tensor) -> tuple[int, ...]:
    """The shape without the batch, with height and width 1 where there are none."""
    shape = tuple(tensor.shape[1:])
    return shape if len(shape) == 3 else (*shape, 1, 1)


def trace(model: nn.Module, input_shape: tuple[int, int, int]) -> list[Call]:
    """Runs one image through `model` (on whatever device it is) and returns its operators in order."""
    device = next(model.parameters()).device
    image = torch.empty((1, *input_shape), device=device)
    recorder = Recorder(model)
    try:
        with torch.no_grad(), recorder:
            model.eval()(image)
    finally:
        for hook in recorder.hooks:
            hook.remove()
    return recorder.calls


def as_call(op: Op) -> Call:
    """What of a lowered operator torch can confirm."""
    return Call(op.name, op.kind, op.function, op.in_shapes, op.out_shape, op.kernel_size, op.stride, op.groups)


def drift(ops: tuple[Op, ...], calls: list[Call]) -> list[str]:
    """Every difference between lowered operators and traced calls, in order."""
    lowered = [as_call(op) for op in ops]
    pairs = zip(lowered, calls, strict=False)
    found = [f"lowered {ours}, torch ran {theirs}" for ours, theirs in pairs if ours != theirs]
    if len(lowered) != len(calls):
        counts = Counter(call.kind for call in calls)
        found.append(f"{len(lowered)} lowered operators, torch ran {len(calls)}: {dict(counts)}")
    return found


def matrix_weights(model: nn.Module) -> int:
    """Number of weights of convolutions and linear layers, biases left out."""
    kinds = (nn.Conv2d, nn.Linear)
    return sum(math.prod(layer.weight.shape) for layer in model.modules() if isinstance(layer, kinds))
