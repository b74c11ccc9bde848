"""What a zero-cost score is: a named function of one network, and what calling it takes."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol

from accelzoo.arch import Arch
from accelzoo.errors import ShapeError
from accelzoo.hwmodel.ir import Graph, Op
from accelzoo.search.evaluator import CandidateError
from accelzoo.search.scores._flow import Flow, flow_of

if TYPE_CHECKING:
    import torch

    from accelzoo.search.scores._network import Prepared


class ScoreError(CandidateError):
    """A network that has no finite score; a search records it as failed, with the reason, and goes on."""


class CostClass(NamedTuple):
    """What one call takes.

    `seconds` is the order of magnitude for a mobile network and 16 images at 64 × 64 on one core. `network`: weights
    are drawn and tensors computed. `images`, `labels`: whether the batch matters, so that real data are worth passing.
    """

    seconds: float
    network: bool = False
    images: bool = False
    labels: bool = False


CLOSED_FORM = CostClass(1e-4)
"""Of scores without tensors, one by one; by look-up (`ScoreTable`) they take below 1e-6 s."""


class Score(Protocol):
    """A zero-cost score. Deterministic: the same network, batch and seed give the same value."""

    @property
    def name(self) -> str:
        """What it is called: the name of its module."""

    @property
    def cost(self) -> CostClass:
        """What one call takes."""

    def __call__(self, network: Any, batch: Any = None, *, seed: int = 0) -> float:
        """Scores one network; higher is meant to be better.

        Args:
            network: An `Arch`, or a `torch.nn.Module`, which is left as it was: weights, buffers, gradients, modes.
            batch: Images `(batch, channels, height, width)`, or a pair of images and targets: class numbers
                `(batch,)`; of a segmenter masks `(batch, height, width)`, 255 for no class; of a detector, per image
                `boxes` `(n, 4)` in pixels and `labels` `(n,)`. What is missing and needed is drawn: 16 images of unit
                normal noise at an `Arch`'s input size, uniform classes, boxes of all sizes. A module always needs
                images, of which scores without data only take the shape.
            seed: Draws an `Arch`'s weights and whatever else is drawn.

        Raises:
            ScoreError: If the value is not finite.
            ShapeError: If the batch has the wrong form.
        """


@dataclass(frozen=True, slots=True, kw_only=True)
class GraphScore:
    """A score in closed form: a constant plus a sum over a network's operators. Takes no tensors.

    Attributes:
        name: What it is called.
        terms: Maps operators in order, with the flow through them, to the sum of their terms; cutting a chain of
            operators anywhere must leave the sum as it is.
        constant: Added once.
        cost: What one call takes.
    """

    name: str
    terms: Callable[[Sequence[Op], Flow], float]
    constant: float = 0.0
    cost: CostClass = CLOSED_FORM

    def __call__(self, network: Any, batch: Any = None, *, seed: int = 0) -> float:
        """Scores an `Arch`, a `Graph`, or a module with images; see `Score`."""
        ops = _graph(network, batch).ops
        return finite(self.name, self.constant + self.terms(ops, flow_of(ops)))


@dataclass(frozen=True, slots=True, kw_only=True)
class NetworkScore:
    """A score that looks at a real network with freshly drawn or given weights.

    Attributes:
        name: What it is called.
        of_network: Maps a network that it may change, with its batch, to the value.
        cost: What one call takes.
    """

    name: str
    of_network: Callable[[Prepared], float]
    cost: CostClass

    def __call__(self, network: Any, batch: Any = None, *, seed: int = 0) -> float:
        """Scores an `Arch` or a module; see `Score`."""
        from accelzoo.search.scores._network import prepared

        with prepared(network, batch, seed) as ready:
            return finite(self.name, self.of_network(ready))


def finite(name: str, value: float) -> float:
    """Returns `value`.

    Raises:
        ScoreError: If it is no finite number.
    """
    if not math.isfinite(value):
        raise ScoreError(f"the score {name!r} of this network is {value}: it must be a finite number")
    return value


def images_of(batch: Any) -> torch.Tensor | None:
    """Returns the images of a batch, or None if it has none.

    Raises:
        ShapeError: If they are no tensor `(batch, channels, height, width)`.
    """
    images = batch[0] if isinstance(batch, tuple | list) and batch else batch
    if images is not None and (not hasattr(images, "shape") or len(images.shape) != 4 or 0 in images.shape):
        given = f"of shape {tuple(images.shape)}" if hasattr(images, "shape") else f"a {type(images).__name__}"
        raise ShapeError(f"a batch must be images (batch, channels, height, width) or (images, labels), got {given}")
    return images


def _graph(network: Any, batch: Any) -> Graph:
    if isinstance(network, Graph):
        return network
    if isinstance(network, Arch):
        return network.lower()
    from accelzoo.importer import from_module

    images = images_of(batch)
    if images is None:
        raise ShapeError(f"scoring a {type(network).__name__} needs a batch of images, which says what it reads")
    channels, height, width = images.shape[1:]
    return from_module(network, (channels, height, width))
