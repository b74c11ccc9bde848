"""The draft of a graph: nodes that may still fold into each other, and what each of torch's tensors stands for."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any

import torch
from torch.utils._pytree import tree_leaves

from accelzoo.hwmodel.ir import INPUT, Pair, Shape
from accelzoo.importing.recorder import Call


@dataclass(slots=True, eq=False, kw_only=True)
class Read:
    """One input of a node: whose output, in which shape, and whether that is all of it."""

    node: Node
    shape: Shape
    whole: bool


@dataclass(slots=True, eq=False, kw_only=True)
class Node:
    """An operator in the making, with the fields of `Op`; kinds beyond those of the graph are `input`, `affine`, `pad`.

    An `affine` multiplies by constants (`scales`), adds constants (`shifts`) or both, one per channel for `channels`
    channels (1: the same everywhere; `number` is then its value where the code spells it out). A `pad` surrounds a map
    by constants. `own` tells whether the module at `path` is the operator, so that it may carry the module's name.
    """

    kind: str
    torch_name: str
    path: str
    reads: list[Read]
    out_shape: Shape
    word: str = ""
    own: bool = True
    kernel_size: Pair = (1, 1)
    stride: Pair = (1, 1)
    dilation: Pair = (1, 1)
    groups: int = 1
    bias: bool = False
    function: str = ""
    channels: int = 1
    scales: bool = False
    shifts: bool = False
    number: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Value:
    """What a tensor of torch stands for: elements of a node's output, in torch's shape (batch included).

    `whole` is true when each element of that output occurs once, `expanded_from` the shape before a broadcast.
    """

    node: Node
    shape: tuple[int, ...]
    whole: bool = True
    expanded_from: tuple[int, ...] | None = None

    @property
    def distinct_shape(self) -> tuple[int, ...]:
        """The shape with 1 wherever elements only repeat."""
        return self.expanded_from or self.shape


@dataclass(slots=True)
class Draft:
    """Nodes in the order of the calls, and the values of the tensors so far; other tensors are constants."""

    input: Node
    nodes: list[Node] = field(default_factory=list)
    _values: dict[int, Value] = field(default_factory=dict)
    _sharing: dict[int, list[torch.Tensor]] = field(default_factory=dict)

    @classmethod
    def of(cls, image: torch.Tensor) -> Draft:
        """Starts from the image `(1, channels, height, width)`."""
        channels, height, width = image.shape[1:]
        shape = (channels, height, width)
        draft = cls(Node(kind="input", torch_name=INPUT, path="", reads=[], out_shape=shape))
        draft.bind(image, Value(node=draft.input, shape=tuple(image.shape)))
        return draft

    def value(self, tensor: Any) -> Value | None:
        """What a tensor stands for; None for constants and for what is no tensor."""
        return self._values.get(id(tensor)) if isinstance(tensor, torch.Tensor) else None

    def values(self, arguments: Any) -> list[Value]:
        """What the tensors among `arguments` stand for, constants left out."""
        found = (self.value(leaf) for leaf in tree_leaves(arguments))
        return [value for value in found if value is not None]

    def bind(self, tensor: torch.Tensor, value: Value) -> None:
        """Says what a tensor stands for."""
        self._values[id(tensor)] = value

    def share(self, result: Any) -> None:
        """Notes the tensors that a call made by the memory they lie in, to follow writes through views."""
        for tensor in _tensors(result):
            self._sharing.setdefault(_memory(tensor), []).append(tensor)

    def sharing(self, tensor: torch.Tensor) -> Iterator[torch.Tensor]:
        """The tensors so far that lie in the same memory as `tensor`."""
        yield from self._sharing.get(_memory(tensor), [])
        yield tensor

    def node(self, kind: str, call: Call, reads: Iterable[Read], out_shape: Shape, **fields: Any) -> Node:
        """Appends a node."""
        made = Node(
            kind=kind,
            torch_name=f"aten.{call.name.rstrip('_')}",
            path=call.path,
            reads=list(reads),
            out_shape=out_shape,
            **{"word": kind} | fields,
        )
        self.nodes.append(made)
        return made


def read(value: Value, shape: Shape | None = None) -> Read:
    """Reads a value in a shape of one's choice; by default as it was made, or as torch has it if that is a part."""
    natural = value.node.out_shape if value.whole else canonical(value.distinct_shape)
    return Read(node=value.node, shape=shape or natural, whole=value.whole)


def channel_shape(value: Value, channels: int) -> Shape:
    """The value as `(channels, height, width)` where it has that shape, otherwise as `(channels, the rest, 1)`."""
    shape = read(value).shape
    if shape[0] == channels:
        return shape
    return (channels, math.prod(value.distinct_shape) // channels, 1)


def canonical(shape: tuple[int, ...]) -> Shape:
    """Torch's shape as a graph's: a leading batch of 1 dropped, `(tokens, channels)` as `(channels, tokens, 1)`."""
    rest = shape[1:] if shape and shape[0] == 1 else shape
    match len(rest):
        case 0:
            return (1, 1, 1)
        case 1:
            return (rest[0], 1, 1)
        case 2:
            return (rest[1], rest[0], 1)
        case _:
            return (rest[0], math.prod(rest[1:-1]), rest[-1])


def bind_results(draft: Draft, call: Call, made: Node | Value) -> None:
    """Binds what a call returned to the node it made, or to the value that it only looks at in another way."""
    for tensor in _tensors(call.result):
        shape = tuple(tensor.shape)
        if isinstance(made, Node):
            draft.bind(tensor, Value(node=made, shape=shape, whole=tensor.numel() == math.prod(made.out_shape)))
        else:
            whole = made.whole and tensor.numel() == math.prod(made.shape)
            same = shape == made.shape
            draft.bind(
                tensor,
                Value(node=made.node, shape=shape, whole=whole, expanded_from=made.expanded_from if same else None),
            )


def bind_written(draft: Draft, call: Call, made: Node | Value) -> None:
    """After a call that wrote into its first argument, binds every tensor that lies in the same memory."""
    target = next(iter(call.arguments.values()))
    elements = target.untyped_storage().nbytes() // target.element_size()
    touched = list(draft.sharing(target))
    if target.numel() < elements:
        made = _written_in_part(draft, call, made, next((t for t in touched if t.numel() == elements), target))
    node, whole = (made, True) if isinstance(made, Node) else (made.node, made.whole)
    for tensor in touched:
        all_of_it = whole and tensor.numel() == math.prod(node.out_shape)
        draft.bind(tensor, Value(node=node, shape=tuple(tensor.shape), whole=all_of_it))


def _written_in_part(draft: Draft, call: Call, made: Node | Value, base: torch.Tensor) -> Node:
    """The whole after a write into a part of it: what was written, in what was there before."""
    before = draft.value(base)
    reads = [read(before)] if before else []
    shape = canonical(tuple(base.shape))
    if isinstance(made, Node) and made.kind == "opaque":
        made.reads += reads
        made.out_shape = shape
        return made
    part = Value(node=made, shape=made.out_shape) if isinstance(made, Node) else made
    function = f"aten.{call.name.rstrip('_')}"
    return draft.node("opaque", call, [read(part), *reads], shape, function=function, word="write", own=False)


def _tensors(result: Any) -> list[torch.Tensor]:
    return [leaf for leaf in tree_leaves(result) if isinstance(leaf, torch.Tensor)]


def _memory(tensor: torch.Tensor) -> int:
    return int(tensor.untyped_storage()._cdata)
