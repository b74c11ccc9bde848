"""Drafts the nodes that do MACs: convolutions, matrix products with constants, and products of two activations."""

from __future__ import annotations

import math
from typing import Any

from accelzoo.hwmodel.ir import Pair, Shape
from accelzoo.importing.draft import Draft, Node, Read, Value, channel_shape, read
from accelzoo.importing.recorder import Call


def convolution(draft: Draft, call: Call) -> Node | None:
    """A convolution over one or two spatial dimensions; transposed ones and those in three are left."""
    given = call.arguments
    x, weight = draft.value(given["input"]), given["weight"]
    rank = len(given["input"].shape) - 2
    if x is None or draft.value(weight) or given["transposed"] or rank not in (1, 2):
        return None
    shape, groups = _map(tuple(given["input"].shape)), given["groups"]
    depthwise = groups > 1 and groups == shape[0] == weight.shape[0]
    return draft.node(
        "depthwise_conv2d" if depthwise else "conv2d",
        call,
        [read(x, shape)],
        _map(tuple(call.result.shape)),
        word="conv",
        kernel_size=_pair(tuple(weight.shape[2:]), rank),
        stride=_pair(given["stride"], rank),
        dilation=_pair(given["dilation"], rank),
        groups=groups,
        bias=given["bias"] is not None,
    )


def addmm(draft: Draft, call: Call) -> Node | None:
    """A linear layer with its bias."""
    if draft.value(call.arguments["self"]):
        return None
    return _product(draft, call, call.arguments["mat1"], call.arguments["mat2"], bias=True)


def mm(draft: Draft, call: Call) -> Node | None:
    """A linear layer without bias, or the product of two activations."""
    return _product(draft, call, call.arguments["self"], call.arguments["mat2"], bias=False)


def bmm(draft: Draft, call: Call) -> Node | None:
    """Products of activations, or, of activations with constants, a convolution 1×1 in groups."""
    x, y = call.arguments["self"], call.arguments["mat2"]
    left, right = draft.value(x), draft.value(y)
    batch, rows, inner = x.shape
    columns = y.shape[2]
    if left and right:
        if left.expanded_from or right.expanded_from:
            return None
        reads = [read(left, (batch, rows, inner)), read(right, (batch, inner, columns))]
        return draft.node("matmul", call, reads, (batch, rows, columns))
    if batch == 1:
        return _product(draft, call, x[0], y[0], bias=False, left=left, right=right)
    value, tokens, width = (left, rows, columns) if left else (right, columns, rows)
    if value is None or value.expanded_from:
        return None
    if (y if left else x).stride()[0] == 0:  # one matrix, seen by every batch
        shape = channel_shape(value, inner)
        return draft.node("conv2d", call, [read(value, shape)], (width, *shape[1:]), word="linear")
    shapes: tuple[Shape, Shape] = (batch * inner, tokens, 1), (batch * width, tokens, 1)
    return draft.node("conv2d", call, [read(value, shapes[0])], shapes[1], word="linear", groups=batch)


def attention(draft: Draft, call: Call) -> Node | None:
    """Scaled dot-product attention: products of queries and keys, softmax, products with the values.

    Heads that share keys and values become further rows of one product. The scale folds into the products.
    """
    query, key, value = (draft.value(call.arguments[name]) for name in ("query", "key", "value"))
    if not (query and key and value) or key.distinct_shape[:-2] != value.distinct_shape[:-2]:
        return None
    if query.expanded_from or key.distinct_shape[-2:] != key.shape[-2:]:
        return None
    *_, tokens, width = query.shape
    *_, keys, out_width = value.shape
    heads, own = math.prod(query.shape[:-2]), math.prod(key.distinct_shape[:-2])
    rows = tokens * heads // own
    scores = draft.node(
        "matmul", call, [read(query, (own, rows, width)), read(key, (own, width, keys))], (own, rows, keys)
    )
    if (mask := call.arguments.get("attn_mask")) is not None:
        scores = _masked(draft, call, scores, draft.value(mask))
    weights = draft.node("softmax", call, [_all(scores)], scores.out_shape, own=False)
    reads = [_all(weights), read(value, (own, keys, out_width))]
    return draft.node("matmul", call, reads, (own, rows, out_width))


def _masked(draft: Draft, call: Call, scores: Node, mask: Value | None) -> Node:
    if mask is not None and mask.whole and math.prod(mask.shape) == math.prod(scores.out_shape):
        return draft.node("add", call, [_all(scores), read(mask, scores.out_shape)], scores.out_shape)
    reads = [_all(scores)] + ([read(mask)] if mask else [])
    function = "aten.add" if mask else "aten.add[constant]"
    return draft.node("opaque", call, reads, scores.out_shape, function=function, word="add", own=False)


def _product(
    draft: Draft,
    call: Call,
    x: Any,
    y: Any,
    bias: bool,
    left: Value | None = None,
    right: Value | None = None,
) -> Node | None:
    """Product of `(rows, inner)` and `(inner, columns)`."""
    left, right = left or draft.value(x), right or draft.value(y)
    (rows, inner), columns = x.shape, y.shape[1]
    if left and right:
        if bias or left.expanded_from or right.expanded_from:
            return None
        reads = [read(left, (1, rows, inner)), read(right, (1, inner, columns))]
        return draft.node("matmul", call, reads, (1, rows, columns))
    value, tokens, width = (left, rows, columns) if left else (right, columns, rows)
    if value is None or value.expanded_from:
        return None
    shape = channel_shape(value, inner) if tokens > 1 else (inner, 1, 1)
    kind = "conv2d" if tokens > 1 else "linear"
    return draft.node(kind, call, [read(value, shape)], (width, *shape[1:]), word="linear", bias=bias)


def _all(node: Node) -> Read:
    return Read(node=node, shape=node.out_shape, whole=True)


def _map(shape: tuple[int, ...]) -> Shape:
    """`(batch, channels, height[, width])` as a map; further images of a batch lie below the first."""
    batch, channels, height, *width = shape
    return (channels, batch * height, *width) if width else (channels, batch * height, 1)  # type: ignore[return-value]


def _pair(values: Any, rank: int) -> Pair:
    sizes = [int(value) for value in values]
    sizes = sizes * rank if len(sizes) == 1 else sizes
    return (sizes[0], sizes[1]) if rank == 2 else (sizes[0], 1)
