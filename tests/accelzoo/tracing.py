"""An independent account of what a module computes: torch's own operator calls, on the meta device."""

from __future__ import annotations

import math
from collections import Counter
from typing import Any, NamedTuple

import torch
from torch import nn
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

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
BINARY = {"add": "add", "add_": "add", "mul": "mul"}
MEANS = {"mean", "_adaptive_avg_pool2d"}
WINDOWS = {"avg_pool2d": "avg", "max_pool2d": "max", "max_pool2d_with_indices": "max"}
RESIZINGS = {"upsample_bilinear2d": "bilinear", "upsample_nearest2d": "nearest"}
NORMS = {
    "native_batch_norm",
    "_native_batch_norm_legit",
    "_native_batch_norm_legit_no_training",
    "cudnn_batch_norm",
}
# What costs nothing: other shapes and orders of the same elements.
VIEWS = {
    "view",
    "_unsafe_view",
    "reshape",
    "flatten",
    "t",
    "transpose",
    "permute",
    "unbind",
    "select",
    "slice",
    "split",
    "split_with_sizes",
    "unsqueeze",
    "squeeze",
    "expand",
    "clone",
    "detach",
    "alias",
    "pixel_unshuffle",
    "channel_shuffle",
    "native_channel_shuffle",
}
NOTHING = {"empty", "empty_like"}


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
    dilation: tuple[int, ...] = (1, 1)


class Origin(NamedTuple):
    """Where a tensor comes from: what made it, which record that is, and its shape before padding; views pass it on."""

    called: str
    record: int | None = None
    unpadded: tuple[int, ...] | None = None


class Recorder(TorchDispatchMode):
    """Records every operator together with the path of the module that ran it; an unknown one is an error.

    A factor per channel behind a convolution folds into it. So does a normalisation if nothing else reads what the
    convolution makes; one of anything else folds if only convolutions 1×1 read it, else it is a convolution itself.
    """

    def __init__(self, root: nn.Module) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.recorded: list[Call] = []
        self.stack: list[str] = []
        self.hooks = []
        self._origins: dict[int, Origin] = {id(tensor): Origin("constant") for tensor in root.parameters()}
        self._alive: list[Any] = []  # so that no tensor takes over the identity of another
        self._readers: list[list[Call]] = []  # of each record
        self._norms: dict[int, Origin] = {}  # records that may fold, and what they read
        for path, module in root.named_modules():
            self.hooks.append(module.register_forward_pre_hook(lambda *_, path=path: self.stack.append(path)))
            self.hooks.append(module.register_forward_hook(lambda *_: void(self.stack.pop())))

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        result = func(*args, **(kwargs or {}))
        self._alive.append(result)
        self._follow(func.overloadpacket.__name__, args, result)
        return result

    def calls(self) -> list[Call]:
        """What was recorded, without the normalisations that fold."""
        return [call for index, call in enumerate(self.recorded) if not self._folds(index)]

    def _folds(self, index: int) -> bool:
        if index not in self._norms:
            return False
        origin = self._norms[index]
        behind = origin.called == "convolution" and origin.record is not None and len(self._readers[origin.record]) == 1
        return behind or all(map(is_pointwise, self._readers[index]))

    def _follow(self, called: str, args: Any, result: Any) -> None:
        if called in NOTHING:
            return
        results = result if isinstance(result, tuple | list) else (result,)
        origin = self._origins.get(id(args[0]), Origin("input"))
        scales = called == "mul" and self._is_constant(args[1])
        if called == "constant_pad_nd":
            origin = origin._replace(unpadded=tuple(args[0].shape))
        elif scales:
            # one number for all folds into any product
            if isinstance(args[1], torch.Tensor) and origin.called != "convolution":
                raise AssertionError(f"{self._path}: factors per channel that follow no convolution")
        elif called not in VIEWS:
            index = len(self.recorded)
            if called in NORMS:
                self._norms[index] = origin
                called = "convolution" if origin.called == "convolution" else called
                call = self._norm(args[0], results[0])
            else:
                call = self._call(called, args, results[0], origin)
            self._record(call, args)
            origin = Origin(called, index)
        for tensor in results:
            self._origins[id(tensor)] = origin

    def _record(self, call: Call, args: Any) -> None:
        self.recorded.append(call)
        self._readers.append([])
        tensors = [leaf for leaf in tree_leaves(args) if isinstance(leaf, torch.Tensor)]
        for origin in {self._origins.get(id(tensor)) for tensor in tensors}:
            if origin is not None and origin.record is not None:
                self._readers[origin.record].append(call)

    @property
    def _path(self) -> str:
        return self.stack[-1] if self.stack else ""

    def _is_constant(self, value: Any) -> bool:
        return not isinstance(value, torch.Tensor) or self._origins.get(id(value), Origin("")).called == "constant"

    def _norm(self, x: torch.Tensor, result: torch.Tensor) -> Call:
        shape = shape_of(x)
        kind = "depthwise_conv2d" if shape[0] > 1 else "conv2d"
        return Call(self._path, kind, "", (shape,), shape_of(result), (1, 1), (1, 1), shape[0])

    def _call(self, called: str, args: Any, result: torch.Tensor, origin: Origin) -> Call:
        path = self._path
        inside = f"{path}." if path else ""
        shapes: tuple[tuple[int, ...], ...] = (shape_of(args[0]),) if isinstance(args[0], torch.Tensor) else ()
        out = shape_of(result)
        if called == "convolution":
            weight, groups = args[1], args[8]
            first = origin.unpadded[1:] if origin.unpadded else shapes[0]
            depthwise = groups > 1 and groups == first[0] == weight.shape[0]
            kind = "depthwise_conv2d" if depthwise else "conv2d"
            kernel, stride, dilation = tuple(weight.shape[2:]), tuple(args[3]), tuple(args[5])
            return Call(path, kind, "", (first,), out, kernel, stride, groups, dilation)
        plain = (1, 1), (1, 1), 1
        if called == "addmm":
            return Call(path, "linear", "", (shape_of(args[1]),), out, *plain)
        if called in ACTIVATIONS:
            return Call(path, "activation", ACTIVATIONS[called], shapes, out, *plain)
        if called in BINARY:
            kind = BINARY[called]
            return Call(self._free(inside + kind), kind, "", tuple(map(shape_of, args[:2])), out, *plain)
        if called == "bmm":
            products = tuple(args[0].shape), tuple(args[1].shape)
            return Call(self._free(inside + "matmul"), "matmul", "", products, tuple(result.shape), *plain)
        if called == "_softmax":
            rows = tuple(args[0].shape)
            return Call(self._free(inside + "softmax"), "softmax", "", (rows,), tuple(result.shape), *plain)
        if called in MEANS:
            # timm's own pool is a module called `pool` already
            name = path if path.endswith(".pool") else inside + "pool"
            return Call(name, "pool", "avg", shapes, out, tuple(args[0].shape[2:]), (1, 1), 1)
        if called in WINDOWS:
            first = origin.unpadded[1:] if origin.unpadded else shapes[0]
            return Call(path, "pool", WINDOWS[called], (first,), out, tuple(args[1]), tuple(args[2]), 1)
        if called in RESIZINGS:
            return Call(path, "resize", RESIZINGS[called], shapes, out, *plain)
        if called == "cat":
            return Call(self._free(inside + "concat"), "concat", "", tuple(map(shape_of, args[0])), out, *plain)
        raise AssertionError(f"{path}: torch ran {called}, which no operator stands for")

    def _free(self, name: str) -> str:
        """The name, numbered from its second use on."""
        used = sum(call.name == name or call.name.startswith(f"{name}_") for call in self.recorded)
        return f"{name}_{used}" if used else name


def is_pointwise(call: Call) -> bool:
    """Whether a call is a convolution 1×1 that touches no padding."""
    return call.kind in ("conv2d", "depthwise_conv2d") and call.kernel_size == (1, 1)


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
    return recorder.calls()


def as_call(op: Op) -> Call:
    """What of a lowered operator torch can confirm."""
    sizes = op.kernel_size, op.stride, op.groups, op.dilation
    return Call(op.name, op.kind, op.function, op.in_shapes, op.out_shape, *sizes)


def drift(ops: tuple[Op, ...], calls: list[Call]) -> list[str]:
    """Every difference between lowered operators and traced calls, in order."""
    lowered = [as_call(op) for op in ops]
    pairs = zip(lowered, calls, strict=False)
    found = [f"lowered {ours}, torch ran {theirs}" for ours, theirs in pairs if ours != theirs]
    if len(lowered) != len(calls):
        counts = Counter(call.kind for call in calls)
        found.append(f"{len(lowered)} lowered operators, torch ran {len(calls)}: {dict(counts)}")
    return found


def norm_names(model: nn.Module) -> set[str]:
    """Paths of the batch normalisations, which name an operator only where they do not fold."""
    return {path for path, module in model.named_modules() if isinstance(module, nn.BatchNorm2d)}


def matrix_weights(model: nn.Module) -> int:
    """Number of weights of convolutions and linear layers, biases left out."""
    kinds = (nn.Conv2d, nn.Linear)
    return sum(math.prod(layer.weight.shape) for layer in model.modules() if isinstance(layer, kinds))
