"""Drafts what moves, reduces and resizes maps, and the views that cost nothing."""

from __future__ import annotations

import math
from typing import Any

from accelzoo.hwmodel.ir import Pair, Shape
from accelzoo.importing.draft import Draft, Node, Value, canonical, read
from accelzoo.importing.recorder import Call

MOST_COPIES = 64
"""Above so many copies of a tensor, repeating it is left opaque."""


def view(draft: Draft, call: Call) -> Node | Value | None:
    """Another shape or order of the same elements, or of some of them."""
    (x,) = draft.values(call.arguments)
    if x.expanded_from and tuple(getattr(call.result, "shape", ())) != x.shape:
        return _copies(draft, call, x)
    return x


def expand(draft: Draft, call: Call) -> Node | Value | None:
    """A broadcast, free where the next operator broadcasts by itself."""
    (x,) = draft.values(call.arguments)
    out = tuple(call.result.shape)
    if x.expanded_from or math.prod(out) == math.prod(x.shape):
        return x
    padded = (1,) * (len(out) - len(x.shape)) + x.shape
    return Value(node=x.node, shape=out, whole=x.whole, expanded_from=padded)


def pool(draft: Draft, call: Call) -> Node | None:
    """Pooling by windows."""
    given = call.arguments
    x, result = draft.value(given["self"]), call.result[0] if isinstance(call.result, tuple) else call.result
    if x is None or len(result.shape) != 4 or max(_pair(given.get("dilation", 1))) > 1:
        return None
    kernel = _pair(given["kernel_size"])
    return draft.node(
        "pool",
        call,
        [read(x, _map(tuple(given["self"].shape)))],
        _map(tuple(result.shape)),
        kernel_size=kernel,
        stride=_pair(given.get("stride") or kernel),
        function="max" if "max" in call.name else "avg",
    )


def adaptive_pool(draft: Draft, call: Call) -> Node | Value | None:
    """Pooling to a size that divides the map."""
    x = draft.value(call.arguments["self"])
    result = call.result[0] if isinstance(call.result, tuple) else call.result
    if x is None or len(result.shape) != 4:
        return None
    (_, height, width), (_, rows, columns) = shapes = _map(tuple(x.shape)), _map(tuple(result.shape))
    if (height, width) == (rows, columns):
        return x
    if height % rows or width % columns:
        return None
    kernel = (height // rows, width // columns)
    stride = kernel if (rows, columns) != (1, 1) else (1, 1)
    function = "max" if "max" in call.name else "avg"
    return draft.node(
        "pool", call, [read(x, shapes[0])], shapes[1], kernel_size=kernel, stride=stride, function=function
    )


def reduction(draft: Draft, call: Call) -> Node | Value | None:
    """Mean, sum (a mean but for a factor, which folds) or maximum over some dimensions: a global pool of a view."""
    x = draft.value(call.arguments["self"])
    if x is None or x.expanded_from:
        return None
    sizes, dims = x.shape, call.arguments.get("dim")
    dims = range(len(sizes)) if dims is None or dims == [] else [dims] if isinstance(dims, int) else dims
    reduced = math.prod(sizes[dim] for dim in dims)
    kept = math.prod(sizes) // reduced
    if reduced == 1:
        return x
    made = x.node.out_shape
    shape = made if x.whole and made[0] == kept else (kept, reduced, 1)
    function = "max" if "max" in call.name else "avg"
    return draft.node("pool", call, [read(x, shape)], (kept, 1, 1), kernel_size=shape[1:], function=function)


def softmax(draft: Draft, call: Call) -> Node | None:
    """Softmax over one dimension, which is read as the last."""
    x = draft.value(call.arguments["self"])
    if x is None or x.expanded_from:
        return None
    sizes, dim = x.shape, call.arguments["dim"] % len(x.shape)
    made, length = x.node.out_shape, sizes[dim]
    rest = math.prod(sizes) // length
    rows = sizes[-2] if len(sizes) > 1 and dim == len(sizes) - 1 else rest
    shape = made if x.whole and made[2] == length > 1 else (rest // rows, rows, length)
    return draft.node("softmax", call, [read(x, shape)], shape)


def resize(draft: Draft, call: Call) -> Node | Value | None:
    """Nearest-neighbour and bilinear interpolation."""
    (x,) = draft.values(call.arguments)
    shapes = _map(x.shape), _map(tuple(call.result.shape))
    if shapes[0] == shapes[1]:
        return x
    function = "nearest" if "nearest" in call.name else "bilinear"
    return draft.node("resize", call, [read(x, shapes[0])], shapes[1], function=function)


def concat(draft: Draft, call: Call) -> Node | Value | None:
    """Concatenation of activations, in a view in which it is along the channels; one with constants is left."""
    parts = [(draft.value(tensor), tensor) for tensor in call.arguments["tensors"] if tensor.numel()]
    values = [value for value, _ in parts if value is not None and not value.expanded_from]
    if len(values) < len(parts):
        return None
    dim = call.arguments.get("dim", 0) % len(call.result.shape)
    lengths = [1 if call.name == "stack" else value.shape[dim] for value in values]
    made = [value.node.out_shape for value in values]
    as_made = all(value.whole for value in values) and [shape[0] for shape in made] == lengths
    if as_made and len({shape[1:] for shape in made}) == 1:
        shapes = made
    elif dim == 1 and len(values[0].shape) == 4 and values[0].shape[0] == 1 and call.name == "cat":
        shapes = [_map(value.shape) for value in values]
    else:
        rest = call.result.numel() // sum(lengths)
        shapes = [(length, rest, 1) for length in lengths]
    out_shape = (sum(lengths), *shapes[0][1:])
    return draft.node("concat", call, [read(*pair) for pair in zip(values, shapes, strict=True)], out_shape)


def rearranged(draft: Draft, call: Call) -> Node | None:
    """Elements in an order that no view gives (rolled, flipped, gathered by constant indices): a copy."""
    values = draft.values(call.arguments)
    if len(values) != 1 or call.result.numel() > math.prod(values[0].shape) or values[0].expanded_from:
        return None
    whole = call.result.numel() == math.prod(values[0].shape)
    shape = read(values[0]).shape if whole else canonical(tuple(call.result.shape))
    return draft.node("concat", call, [read(values[0], shape)], shape, word=call.name.rstrip("_"))


def repeat(draft: Draft, call: Call) -> Node | Value | None:
    """Copies of a tensor, one after the other."""
    (x,) = draft.values(call.arguments)
    return _copies(draft, call, x)


def pad(draft: Draft, call: Call) -> Node | Value | None:
    """Constants around a map; folds into the convolution or pool after it."""
    x = draft.value(call.arguments["self"])
    amounts = list(call.arguments["pad"])
    if x is None or len(x.shape) != 4 or any(amounts[4:]) or min(amounts, default=0) < 0:
        return None
    if not any(amounts):
        return x
    reads = [read(x, _map(x.shape))]
    return draft.node("pad", call, reads, _map(tuple(call.result.shape)), function="aten.constant_pad_nd")


def copied(draft: Draft, call: Call) -> Value | None:
    """What is written over a whole tensor becomes its value."""
    source, target = draft.value(call.arguments.get("src")), call.arguments["self"]
    whole = target.numel() * target.element_size() == target.untyped_storage().nbytes()
    return source if whole and source and source.shape == tuple(target.shape) else None


def _copies(draft: Draft, call: Call, x: Value) -> Node | Value | None:
    once, total = math.prod(x.distinct_shape), call.result.numel() if hasattr(call.result, "numel") else 0
    times = total // once
    if times == 1:
        return x
    if not 1 < times <= MOST_COPIES or times * once != total:
        return None
    shape = read(x).shape
    return draft.node("concat", call, [read(x)] * times, (times * shape[0], *shape[1:]), word="repeat")


def _map(shape: tuple[int, ...]) -> Shape:
    batch, channels, height, width = shape
    return (channels, batch * height, width)


def _pair(values: Any) -> Pair:
    sizes = [values] if isinstance(values, int) else list(values)
    return (sizes[0], sizes[-1])
