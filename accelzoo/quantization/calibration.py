"""Ranges of activations, from running a network on some images.

A range that holds every value wastes integers on rare ones. METHODS: `min_max` takes all; `percentile` leaves out one
value in 10,000 at each end (Wu et al. 2020, §4.2); `mse` takes the range whose rounding and clipping, taken together,
lose the least squared error over a histogram (Nagel et al. 2021, §3.1.1). The network's input and its outputs always
keep all: what is rare there, such as the high score of an object, is what counts.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Self

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from accelzoo.errors import DataError, ShapeError, check_one_of
from accelzoo.hwmodel.ir import INPUT
from accelzoo.hwmodel.oracles.tflite_values import LEVELS
from accelzoo.quantization.floating import FoldedNetwork

METHODS = ("min_max", "percentile", "mse")
BATCH = 16
BINS = 2048
TAIL = 1e-4
SHRINKS = np.linspace(1.0, 0.3, 36)

Range = tuple[float, float]
Histogram = npt.NDArray[np.floating[Any]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Calibration:
    """What activations were seen to be.

    Attributes:
        ranges: Lowest and highest value of the input (`input`) and of every operator's output, by name.
        images: How many were run.
        method: One of `METHODS`.
    """

    ranges: Mapping[str, Range]
    images: int
    method: str

    def to_json(self) -> dict[str, Any]:
        """Returns plain JSON data; `from_json` is the inverse."""
        ranges = {name: list(found) for name, found in self.ranges.items()}
        return {"method": self.method, "images": self.images, "ranges": ranges}

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Self:
        """Rebuilds a calibration from `to_json`'s data.

        Raises:
            DataError: If the data is not that of a calibration.
        """
        try:
            ranges = {str(name): (float(low), float(high)) for name, (low, high) in data["ranges"].items()}
            return cls(ranges=ranges, images=int(data["images"]), method=str(data["method"]))
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            raise DataError(f"not the data of a calibration: {error!r}") from None


def calibrate(network: FoldedNetwork, images: Tensor | Sequence[Tensor], method: str = "mse") -> Calibration:
    """Runs a network on images and notes the range of every activation.

    Args:
        network: From `fold`.
        images: Float32, normalised as in training, `(images, channels, height, width)`; or several such batches.
        method: One of `METHODS`.

    Raises:
        ValueError: If there is no such method.
        ShapeError: If the images are not of the network's size.
        DataError: If there are none, or activations are not finite.
    """
    check_one_of("method", method, METHODS)
    batches = list(_batches(images, network.graph.input_shape))
    count = sum(len(batch) for batch in batches)
    if not count:
        raise DataError("calibration needs at least one image")
    seen: dict[str, Range] = {}
    for name, values in _activations(network, batches):
        low, high = map(float, torch.aminmax(values))
        if not np.isfinite([low, high]).all():
            raise DataError(f"calibration: {name} makes values that are not finite")
        before = seen.get(name, (low, high))
        seen[name] = min(low, before[0]), max(high, before[1])
    whole = {INPUT, *network.outputs}
    inner = {name: found for name, found in seen.items() if name not in whole and found[0] < found[1]}
    if method != "min_max":
        seen |= _narrowed(_histograms(network, batches, inner), inner, method)
    return Calibration(ranges=seen, images=count, method=method)


def _batches(images: Tensor | Sequence[Tensor], shape: tuple[int, int, int]) -> Iterator[Tensor]:
    for given in [images] if isinstance(images, Tensor) else images:
        if given.dim() != 4 or tuple(given.shape[1:]) != shape:
            raise ShapeError(f"calibration images must be (images, {', '.join(map(str, shape))}), got {[*given.shape]}")
        yield from given.split(BATCH)


def _activations(network: FoldedNetwork, batches: Iterable[Tensor]) -> Iterator[tuple[str, Tensor]]:
    for batch in batches:
        yield from network.activations(batch)


def _histograms(
    network: FoldedNetwork, batches: Iterable[Tensor], ranges: Mapping[str, Range]
) -> dict[str, Histogram]:
    found: dict[str, Histogram] = {name: np.zeros(BINS) for name in ranges}
    for name, values in _activations(network, batches):
        if name in ranges:
            low, high = ranges[name]
            found[name] += torch.histc(values, BINS, low, high).double().numpy()
    return found


def _narrowed(
    histograms: Mapping[str, Histogram], ranges: Mapping[str, Range], method: str
) -> dict[str, Range]:
    choose = _percentiles if method == "percentile" else least_error_range
    return {name: choose(counts, *ranges[name]) for name, counts in histograms.items()}


def _percentiles(counts: Histogram, low: float, high: float) -> Range:
    edges = np.linspace(low, high, BINS + 1)
    share = np.cumsum(counts) / counts.sum()
    first = int(np.searchsorted(share, TAIL, side="right"))
    last = int(np.searchsorted(share, 1 - TAIL))
    return float(edges[first]), float(edges[min(last, BINS - 1) + 1])


def least_error_range(counts: Histogram, low: float, high: float) -> Range:
    """Returns the range that loses the least squared error: shrinks both ends together, then each by itself.

    Args:
        counts: Values in each of equal bins of the range seen.
        low: Its lower end.
        high: Its upper end.
    """
    width = (high - low) / BINS
    centers = low + width * (np.arange(BINS) + 0.5)
    ends = np.array([low, high])
    for moved in ((1.0, 1.0), (0.0, 1.0), (1.0, 0.0)):
        candidates = ends * (1 - np.outer(1 - SHRINKS, moved))
        ends = candidates[np.argmin([_error(centers, counts, *pair) for pair in candidates.tolist()])]
    return float(ends[0]), float(ends[1])


def _error(centers: Histogram, counts: Histogram, low: float, high: float) -> float:
    low, high = min(low, 0.0), max(high, 0.0)
    scale = (high - low) / LEVELS
    if not scale:
        return float("inf")
    clipped = np.clip(centers, low, high)
    # Inside, what is rounded away is spread evenly over a step; outside, the value is set to the nearest end.
    return float((counts * ((centers - clipped) ** 2 + (centers == clipped) * scale**2 / 12)).sum())
