"""Recognises activations that a module spells out in several operators, and puts one in their place."""

from __future__ import annotations

import math
from collections.abc import Iterator

from accelzoo.importing.draft import Draft, Node, Read, Value
from accelzoo.importing.users import Users

_GATES = {"sigmoid": "silu", "hard_sigmoid": "hard_swish"}
_CUBE = ("aten.pow", "aten.erf")
_MOST_NODES = 16


def find_activations(draft: Draft, outputs: list[Value]) -> None:
    """Replaces spelled-out activations, and drops their parts where nothing else reads them.

    - `x · sigmoid(x)`, also with a factor inside, by `silu`
    - `relu6(x + 3) / 6` by `hard_sigmoid`, and `x` times that, in any order, by `hard_swish`
    - `x / 2 · (1 + erf(x / √2))` and the same with tanh by `gelu` (Hendrycks & Gimpel, arXiv 1606.08415, §2)
    """
    parts: set[Node] = set()
    for node in draft.nodes:
        function, x, inner = _activation(node) or ("", None, ())
        if x is None:
            continue
        node.kind, node.function, node.word, node.own = "activation", function, function, True
        node.reads = [Read(node=x.node, shape=x.shape, whole=x.whole)]
        node.out_shape = x.shape
        parts.update(inner)
    users = Users(draft.nodes, outputs)
    for node in reversed(draft.nodes):
        if node in parts and not users[node]:
            users.remove(node)
    draft.nodes[:] = users.nodes()


def _activation(node: Node) -> tuple[str, Read, tuple[Node, ...]] | None:
    """The activation that ends in `node`, what it is of, and the nodes in between."""
    if node.kind == "affine":
        return _scaled(node)
    if node.kind == "mul":
        for x, gate in (node.reads, node.reads[::-1]):
            if found := _gated(x, gate) or _gelu(x, gate):
                return found
    return None


def _gated(x: Read, gate: Read) -> tuple[str, Read, tuple[Node, ...]] | None:
    if gate.node.kind != "activation" or gate.node.function not in _GATES:
        return None
    inner, function = gate.node.reads[0], gate.node.function
    between: tuple[Node, ...] = (gate.node,)
    if inner.node is not x.node and _scales(inner.node) and function == "sigmoid":
        between, inner = (gate.node, inner.node), inner.node.reads[0]
    same = inner.node is x.node and inner.whole and x.whole
    return (_GATES[function], x, between) if same else None


def _scaled(node: Node) -> tuple[str, Read, tuple[Node, ...]] | None:
    """What ends in a division by 6 or 2."""
    if not _scales(node) or node.number is None:
        return None
    source = node.reads[0].node
    if math.isclose(node.number, 1 / 6, rel_tol=1e-3):
        if shifted := _relu6_of_three_more(source):
            return "hard_sigmoid", shifted.reads[0], (source, shifted)
        if source.kind == "mul":
            for x, gate in (source.reads, source.reads[::-1]):
                shifted = _relu6_of_three_more(gate.node)
                if shifted and shifted.reads[0].node is x.node and x.whole and shifted.reads[0].whole:
                    return "hard_swish", x, (source, gate.node, shifted)
    if node.number == 0.5 and source.kind == "activation" and source.function == "gelu" and source.word == "gelu":
        return "gelu", source.reads[0], (source,)
    return None


def _relu6_of_three_more(node: Node) -> Node | None:
    if node.kind != "activation" or node.function != "relu6":
        return None
    shifted = node.reads[0].node
    found = shifted.kind == "affine" and shifted.shifts and not shifted.scales and shifted.number == 3
    return shifted if found else None


def _gelu(x: Read, gate: Read) -> tuple[str, Read, tuple[Node, ...]] | None:
    """`x`, perhaps halved, times one more than erf or tanh of an expression of `x` alone."""
    plus_one = gate.node
    if plus_one.kind == "affine" and _scales(plus_one):
        plus_one = plus_one.reads[0].node
    if plus_one.kind != "affine" or not plus_one.shifts or plus_one.number != 1:
        return None
    curve = plus_one.reads[0].node
    if not (curve.function == "aten.erf" or (curve.kind == "activation" and curve.function == "tanh")):
        return None
    halved = x.node if _scales(x.node) else None
    base = halved.reads[0] if halved else x
    inner = list(_expression(curve, base.node))
    if not base.whole or not inner or None in inner:
        return None
    nodes = [node for node in inner if node is not None]
    return "gelu", base, (*nodes, plus_one, gate.node, *([halved] if halved else []))


def _expression(node: Node, x: Node) -> Iterator[Node | None]:
    """The nodes between `node` and `x`; None among them if something other than `x` goes in."""
    waiting, seen = [node], set[Node]()
    while waiting:
        current = waiting.pop()
        if current is x or current in seen:
            continue
        seen.add(current)
        simple = current.kind in ("affine", "mul", "add", "activation") or current.function in _CUBE
        if not simple or len(seen) > _MOST_NODES:
            yield None
            return
        yield current
        waiting += [read.node for read in current.reads]


def _scales(node: Node) -> bool:
    return node.kind == "affine" and node.channels == 1 and node.scales and not node.shifts
