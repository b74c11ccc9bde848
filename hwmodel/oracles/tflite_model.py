"""A TensorFlow Lite model as plain values: tensors, operators, and how integers stand for reals."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Literal, NamedTuple

import numpy.typing as npt

Precision = Literal["int8", "float32"]


class Quantization(NamedTuple):
    """Affine quantisation: real = scale · (stored − zero_point).

    Where there are several `channels` along `axis`, `scale` is one number for all of them or one for each.
    """

    scale: float | tuple[float, ...]
    zero_point: int = 0
    channels: int = 1
    axis: int = 0


class Tensor(NamedTuple):
    """A tensor of the model; `data` is there for constants."""

    name: str
    shape: tuple[int, ...]
    dtype: str
    quantization: Quantization | None = None
    data: npt.NDArray[Any] | None = None


class Operator(NamedTuple):
    """A builtin operator: its code, its tensors by index, and the fields of its options table."""

    code: str
    inputs: tuple[int, ...]
    output: int
    options: tuple[str, dict[str, Any]] | None = None


@dataclass
class Model:
    """A TensorFlow Lite model in the making.

    Attributes:
        tensors: Every tensor, the network's input first.
        operators: Every operator in execution order.
        outputs: Indices of the network's outputs, in the order in which they are made.
        covers: Which operators of the graph, by index, an output tensor's name stands for.
    """

    precision: Precision
    tensors: list[Tensor] = field(default_factory=list)
    operators: list[Operator] = field(default_factory=list)
    outputs: tuple[int, ...] = ()
    covers: dict[str, tuple[int, ...]] = field(default_factory=dict)

    def add(self, tensor: Tensor) -> int:
        """Adds a tensor; returns its index."""
        self.tensors.append(tensor)
        return len(self.tensors) - 1

    def is_concat(self, tensor: str) -> bool:
        """Tells whether a concatenation makes the tensor called so."""
        return any(op.code == "CONCATENATION" and self.tensors[op.output].name == tensor for op in self.operators)
