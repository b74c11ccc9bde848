"""Which of torch's operators is drafted how: the one table to extend. What is not in it becomes opaque."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping

from accelzoo.importing import elementwise, maps, matrix
from accelzoo.importing.draft import Draft, Node, Value, bind_results, bind_written, canonical, read
from accelzoo.importing.recorder import Call, Recording

Drafter = Callable[[Draft, Call], Node | Value | None]
"""Makes a node for a call, or passes the value that the call only looks at in another way, or gives up (None)."""


def _table(*entries: tuple[Drafter, str]) -> Mapping[str, Drafter]:
    return {name: drafter for drafter, names in entries for name in names.split()}


OPERATORS = _table(
    (matrix.convolution, "convolution _convolution"),
    (matrix.addmm, "addmm"),
    (matrix.mm, "mm"),
    (matrix.bmm, "bmm"),
    (matrix.attention, "scaled_dot_product_attention"),
    (elementwise.activation, " ".join(f"{name} {name}_" for name in elementwise.ACTIVATIONS)),
    (elementwise.clamp, "hardtanh hardtanh_ clamp clamp_ clamp_min clamp_min_ relu6"),
    (elementwise.add, "add add_ sub sub_ rsub"),
    (elementwise.mul, "mul mul_"),
    (elementwise.div, "div div_"),
    (elementwise.lerp, "lerp"),
    (elementwise.neg, "neg"),
    (elementwise.addcmul, "addcmul addcmul_"),
    (elementwise.power, "pow pow_ square"),
    (
        elementwise.batch_norm,
        "native_batch_norm _native_batch_norm_legit _native_batch_norm_legit_no_training cudnn_batch_norm "
        "miopen_batch_norm _batch_norm_with_update batch_norm_with_update",
    ),
    (maps.pool, "max_pool2d max_pool2d_with_indices avg_pool2d"),
    (maps.adaptive_pool, "adaptive_avg_pool2d _adaptive_avg_pool2d adaptive_max_pool2d"),
    (maps.reduction, "mean sum amax"),
    (maps.softmax, "_softmax _safe_softmax"),
    (maps.resize, "upsample_nearest2d _upsample_nearest_exact2d upsample_bilinear2d"),
    (maps.concat, "cat stack"),
    (maps.rearranged, "roll flip index index_select"),
    (maps.repeat, "repeat"),
    (maps.pad, "constant_pad_nd"),
    (maps.expand, "expand"),
    (maps.copied, "copy_"),
    (
        maps.view,
        "view _unsafe_view reshape _reshape_alias flatten unflatten t transpose permute squeeze squeeze_ unsqueeze "
        "unsqueeze_ movedim detach alias clone contiguous _to_copy to slice select narrow split split_with_sizes "
        "unsafe_split unsafe_split_with_sizes chunk unbind as_strided as_strided_ lift_fresh dropout native_dropout "
        "pixel_shuffle pixel_unshuffle channel_shuffle native_channel_shuffle",
    ),
)
CONSTANTS = frozenset(
    (
        *("empty_like", "zeros_like", "ones_like", "full_like", "rand_like", "randn_like"),
        *("new_empty", "new_zeros", "new_ones", "new_full", "new_empty_strided"),
    )
)
"""Operators that take no more than the shape of their input."""


def draft(recording: Recording) -> tuple[Draft, list[Value]]:
    """Drafts a node for every recorded call that does something with the image.

    What depends on weights alone is computed once, before any inference, and makes no node.

    Returns:
        The draft, and what the module returned.
    """
    made = Draft.of(recording.image)
    for call in recording.calls:
        if call.name not in CONSTANTS and made.values(call.arguments):
            _draft_call(made, call)
        made.share(call.result)
    return made, made.values(_plain(recording.output))


def _draft_call(made: Draft, call: Call) -> None:
    drafter = OPERATORS.get(call.name)
    result = drafter(made, call) if drafter else None
    result = result or _opaque(made, call)
    if call.in_place:
        bind_written(made, call, result)
    else:
        bind_results(made, call, result)


def _opaque(made: Draft, call: Call) -> Node:
    tensors = call.result if isinstance(call.result, tuple | list) else [call.result]
    shape = tuple(getattr(tensors[0], "shape", ())) if tensors else ()
    values = made.values(call.arguments)
    natural = values[0].node.out_shape
    same = values[0].whole and math.prod(natural) == math.prod(shape)
    out_shape = natural if same else canonical(shape)
    function = f"aten.{call.name.removesuffix('_')}"
    return made.node("opaque", call, [read(x) for x in values], out_shape, function=function, word=call.name.strip("_"))


def _plain(output: object) -> object:
    """What a module returned, dataclass-like outputs (as transformers has) as their fields."""
    return vars(output) if hasattr(output, "__dict__") and not hasattr(output, "shape") else output
