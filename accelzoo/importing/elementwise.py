"""Drafts activations, sums and products: of two activations, and of one with constants."""

from __future__ import annotations

import math
from typing import Any

import torch

from accelzoo.importing.draft import Draft, Node, Read, Value, channel_shape, read
from accelzoo.importing.recorder import Call

ACTIVATIONS = {
    "relu": "relu",
    "silu": "silu",
    "gelu": "gelu",
    "sigmoid": "sigmoid",
    "hardswish": "hard_swish",
    "hardsigmoid": "hard_sigmoid",
    "tanh": "tanh",
}
"""Torch's activations that the graph knows as they are; clamps are drafted by `clamp`."""


def activation(draft: Draft, call: Call) -> Node | None:
    """One of `ACTIVATIONS`."""
    function = ACTIVATIONS[call.name.removesuffix("_")]
    return _activation(draft, call, function)


def clamp(draft: Draft, call: Call) -> Node | None:
    """A clamp from 0 to 6, or from 0 up; others are left."""
    given = call.arguments
    least = given.get("min", given.get("min_val", -1 if "hardtanh" in call.name else None))
    most = given.get("max", given.get("max_val", 1 if "hardtanh" in call.name else None))
    functions = {(0, 6): "relu6", (0, None): "relu"}
    return _activation(draft, call, functions[least, most]) if (least, most) in functions else None


def add(draft: Draft, call: Call) -> Node | Value | None:
    """A sum, or a difference: the sign folds into what made the term."""
    return _pair(draft, call, "add")


def mul(draft: Draft, call: Call) -> Node | Value | None:
    """A product of two activations or with constants."""
    return _pair(draft, call, "mul")


def div(draft: Draft, call: Call) -> Node | Value | None:
    """A quotient by constants."""
    if draft.value(call.arguments["other"]) or call.arguments.get("rounding_mode"):
        return None
    return _pair(draft, call, "mul")


def lerp(draft: Draft, call: Call) -> Node | None:
    """A sum of two activations by weights that are constant and add up to one: an addition that rescales its inputs."""
    x, y = draft.value(call.arguments["self"]), draft.value(call.arguments["end"])
    if x is None or y is None or draft.value(call.arguments["weight"]):
        return None
    return _of_two(draft, call, x, y, "add")


def neg(draft: Draft, call: Call) -> Node | None:
    """A change of sign."""
    x = draft.value(call.arguments["self"])
    return None if x is None else _affine(draft, call, x, "mul", -1.0)


def addcmul(draft: Draft, call: Call) -> Node | None:
    """A term plus a product in one call: constants times an activation, plus constants or another activation."""
    term, *factors = (call.arguments[name] for name in ("self", "tensor1", "tensor2"))
    if call.arguments.get("value", 1) != 1 or all(draft.value(factor) for factor in factors):
        return None
    x, constant = factors if draft.value(factors[0]) else factors[::-1]
    value, other = draft.value(x), draft.value(term)
    channels = [math.prod(c.shape) for c in (constant, *([] if other else [term])) if max(c.shape, default=1) > 1]
    if value is None or len({*channels}) > 1 or any(max(c.shape) != math.prod(c.shape) for c in (constant,)):
        return None
    scaled = _affine(draft, call, value, "mul", None, *channels[:1])
    scaled.shifts = other is None
    if other is None:
        return scaled
    if math.prod(other.distinct_shape) != math.prod(scaled.out_shape):
        return None
    reads = [read(other, scaled.out_shape), Read(node=scaled, shape=scaled.out_shape, whole=True)]
    return draft.node("add", call, reads, scaled.out_shape)


def power(draft: Draft, call: Call) -> Node | None:
    """A square, as a product with itself."""
    if call.arguments.get("exponent", 2) != 2:
        return None
    x = draft.value(call.arguments["self"])
    return None if x is None else draft.node("mul", call, [read(x), read(x)], read(x).shape)


def batch_norm(draft: Draft, call: Call) -> Node | None:
    """Batch normalisation by stored statistics: a factor and a term per channel."""
    x = draft.value(call.arguments["input"])
    if x is None or call.arguments.get("training", False):
        return None
    channels = call.arguments["input"].shape[1]
    shape = channel_shape(x, channels)
    fields: dict[str, Any] = {"channels": channels, "scales": True, "shifts": True, "word": "batch_norm"}
    return draft.node("affine", call, [read(x, shape)], shape, **fields)


def _activation(draft: Draft, call: Call, function: str) -> Node | None:
    x = draft.value(call.arguments["self"])
    if x is None:
        return None
    return draft.node("activation", call, [read(x)], read(x).shape, function=function, word=function)


def _pair(draft: Draft, call: Call, kind: str) -> Node | Value | None:
    first, second = call.arguments["self"], call.arguments["other"]
    x, y = draft.value(first), draft.value(second)
    if x and y:
        return _of_two(draft, call, x, y, kind)
    value, constant = (x, second) if x else (y, first)
    if value is None or (y and call.name.startswith("div")):
        return None
    return _with_constant(draft, call, value, constant, kind)


def _of_two(draft: Draft, call: Call, x: Value, y: Value, kind: str) -> Node | None:
    """Either both are whole maps, or one is a gate, with one element per `channel` of some view of the other."""
    out = tuple(call.result.shape)
    sizes = [math.prod(value.distinct_shape) for value in (x, y)]
    if sizes[0] < sizes[1]:
        x, y = y, x
    if math.prod(x.distinct_shape) != math.prod(out):
        return None
    if min(sizes) == max(sizes):
        shape = read(x).shape if x.whole else read(y).shape
        return draft.node(kind, call, [read(x, shape), read(y, shape)], shape)
    shape = channel_shape(x, min(sizes))
    return draft.node(kind, call, [read(x, shape), read(y, (min(sizes), 1, 1))], shape)


def _with_constant(draft: Draft, call: Call, x: Value, constant: Any, kind: str) -> Node | None:
    if not isinstance(constant, torch.Tensor):
        number = float(constant) if isinstance(constant, int | float) else None
        if number and call.name.startswith("div"):
            number = 1 / number
        return _affine(draft, call, x, kind, number)
    if constant.device.type != "meta" and constant.numel() == 1 and not isinstance(constant, torch.nn.Parameter):
        return _affine(draft, call, x, kind, None)
    sizes = [size for size in constant.shape if size != 1]
    if len(sizes) > 1 or math.prod(call.result.shape) != math.prod(x.distinct_shape):
        shape = read(x).shape
        if math.prod(call.result.shape) != math.prod(shape):
            return None
        function = f"aten.{kind}[constant]"
        return draft.node("opaque", call, [read(x)], shape, function=function, word=kind, own=False)
    return _affine(draft, call, x, kind, None, sizes[0] if sizes else 1)


def _affine(draft: Draft, call: Call, x: Value, kind: str, number: float | None, channels: int = 1) -> Node:
    shape = channel_shape(x, channels) if channels > 1 else read(x).shape
    fields: dict[str, Any] = {"scales": kind == "mul" or call.name.startswith("rsub"), "shifts": kind == "add"}
    return draft.node(
        "affine", call, [read(x, shape)], shape, word=kind, own=False, channels=channels, number=number, **fields
    )
