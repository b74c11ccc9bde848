"""The terms of a calibration: one per operator with its shapes, their features, and how alike any two of them are.

The logarithms of the terms' latencies are a Gaussian process (Rasmussen & Williams, "Gaussian Processes for Machine
Learning", 2006, §2.2 and §5.4.1) around what the prior lets expect. Its kernel is a sum of components, each a
statement on how a device may differ from the prior: by one factor (`scale`), by a factor per group of operators
(`group`), by other powers of sizes (`sizes`, `group_sizes`), of work and bytes (`work`, `group_work`) or of the prior's
own price (`prior`), by the size of the maps (`pixels`) or of the traffic (`traffic`), smoothly over the shapes of one
group (`group_shape`), and by an operator's own factor (`own`). A fixed overhead per network stands beside them.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from accelzoo.hwmodel.analytic import label, price_op
from accelzoo.hwmodel.ir import Op
from accelzoo.hwmodel.target import Target

Array = npt.NDArray[np.float64]
Key = tuple[Any, ...]
"""An operator's kind and its fields from `in_shapes` on: operators of equal key share a term."""

FEATURES = ("pixels", "in_channels", "out_channels", "taps", "stride", "work", "traffic", "weights", "prior")
"""All base-2 logarithms: of positions, channels, kernel positions, stride, MACs (or elements), bytes and seconds."""

_SIZES = slice(0, 5)
_WORK = slice(5, 8)
_TRAFFIC, _PRIOR, _PIXELS = 6, 8, 0
_SCALES = np.array([4.0, 3.0, 3.0, 2.0, 1.0, 4.0, 4.0, 4.0, 4.0])  # of the linear components, in octaves
_LENGTHS = np.array([2.0, 1.5, 1.5, 1.0, 1.0])  # of `group_shape` over the sizes, in octaves
_FAR = 2.0  # lengths, beyond which `group_shape` connects by less than 0.14
_BROAD_LENGTH = 2.0  # of `pixels` and `traffic`, in octaves

VARIANCES = {
    "scale": 3.0,
    "group": 0.5,
    "sizes": 0.1,
    "group_sizes": 0.1,
    "group_shape": 0.05,
    "traffic": 0.1,
    "pixels": 0.1,
    "prior": 0.5,
    "work": 0.5,
    "group_work": 0.1,
    "own": 0.003,
    "network": 2.0,
}
"""Component of the kernel → the variance of the natural logarithm that is expected of it before anything is fitted."""


def key_of(op: Op) -> Key:
    """Returns the key of the operator's term."""
    return (op.kind, *op[3:])


def op_of(key: Key) -> Op:
    """Returns an operator with this key, without a name or inputs."""
    return Op("", key[0], (), *key[1:])


def group_of(op: Op) -> str:
    """Returns the group of operators that a device may run at an efficiency of its own.

    Convolutions divide into those on single positions (linear layers, the gates of squeeze-excite), pointwise and
    windowed ones, poolings into whole-map and windowed ones; activations by their function.
    """
    if op.kind in ("conv2d", "linear"):
        if _positions(op.out_shape) == 1 and math.prod(op.kernel_size) == 1:
            return "dense"
        return "pointwise" if math.prod(op.kernel_size) == 1 else "window"
    if op.kind == "pool" and _is_global_pool(op):
        return "pool:global"
    return f"{label(op)}:vector" if op.kind == "activation" and _positions(op.out_shape) == 1 else label(op)


def prior_latency_s(op: Op, prior: Target) -> float:
    """Prices an operator by itself: it spills if its own maps do not fit, and its weights are where they belong."""
    return price_op(op, prior, live_bytes=op.input_bytes + op.output_bytes).latency_s


def features_of(op: Op, prior: Target) -> tuple[float, ...]:
    """Returns the values of `FEATURES`."""
    pool = _is_global_pool(op)
    taps = math.prod(op.kernel_size)
    counts = (
        _positions(op.in_shape if pool else op.out_shape),
        op.in_shape[0] // (op.groups if op.kind == "conv2d" else 1),
        op.out_shape[0],
        1 if pool else taps,
        math.sqrt(math.prod(op.stride)),
        op.macs or math.prod(op.out_shape) * taps,
        op.input_bytes + op.output_bytes,
        op.weight_bytes + 1,
        max(prior_latency_s(op, prior), 1e-12),  # a target on paper may have no overhead and an operator no work
    )
    return tuple(math.log2(count) for count in counts)


def log_expected(features: Array, prior_share: float) -> Array:
    """Returns (...) the natural logarithm of the geometric mean of the prior's seconds and `√(work · traffic)`.

    The second stands for a device of which nothing is known, in units that the calibration's factor makes seconds.

    Args:
        features: (..., features) as `FEATURES`.
        prior_share: Weight of the prior, 0 … 1.
    """
    paper = (features[..., _WORK.start] + features[..., _TRAFFIC]) / 2
    result: Array = (prior_share * features[..., _PRIOR] + (1 - prior_share) * paper) * math.log(2)
    return result


def _is_global_pool(op: Op) -> bool:
    return op.kind == "pool" and op.kernel_size == op.in_shape[1:]


def _positions(shape: tuple[int, int, int]) -> int:
    return shape[1] * shape[2]


@dataclass(frozen=True, eq=False)
class Terms:
    """Operators as the kernel sees them.

    Attributes:
        keys: One per term.
        groups: The group of each.
        features: (terms, features), as `FEATURES`.
        center: (features,) what counts as the middle in the linear components.
    """

    keys: tuple[Key, ...]
    groups: tuple[str, ...]
    features: Array
    center: Array
    _latest: list[tuple[dict[str, float], Array]] = field(default_factory=list, init=False, repr=False)

    @classmethod
    def of(cls, keys: Sequence[Key], prior: Target, center: Array | None = None) -> Terms:
        """Works out the features of operators; their mean is the center unless one is given."""
        ops = [op_of(key) for key in keys]
        features = np.array([features_of(op, prior) for op in ops])
        groups = tuple(group_of(op) for op in ops)
        return cls(tuple(keys), groups, features, features.mean(axis=0) if center is None else center)

    def log_expected(self, prior_share: float) -> Array:
        """(terms,) natural logarithm of what is expected before measuring, up to one factor; see `log_expected`."""
        return log_expected(self.features, prior_share)

    def joined(self, keys: Sequence[Key], prior: Target) -> Terms:
        """These terms, and those of `keys` that are not among them behind."""
        known = set(self.keys)
        more = Terms.of([key for key in dict.fromkeys(keys) if key not in known], prior, self.center)
        if not more.keys:
            return self
        features = np.concatenate([self.features, more.features])
        return Terms(self.keys + more.keys, self.groups + more.groups, features, self.center)

    def components(self) -> Iterator[tuple[str, Array]]:
        """Yields the kernel's components as (terms + 1, terms + 1); last comes the overhead of a network."""
        groups, scaled = np.array(self.groups), (self.features - self.center) / _SCALES
        same = (groups[:, None] == groups[None, :]).astype(np.float64)
        sizes, work = (scaled[:, part] @ scaled[:, part].T for part in (_SIZES, _WORK))
        shapes = self.features[:, _SIZES] / _LENGTHS
        yield "scale", _framed(np.ones_like(same))
        yield "group", _framed(same)
        yield "sizes", _framed(sizes)
        yield "group_sizes", _framed(same * sizes)
        yield "group_shape", _framed(same * _bell(sum(_differences(column) ** 2 for column in shapes.T)))
        for name, column in (("traffic", _TRAFFIC), ("pixels", _PIXELS)):
            yield name, _framed(_bell(_differences(self.features[:, column] / _BROAD_LENGTH) ** 2))
        yield "prior", _framed(np.outer(scaled[:, _PRIOR], scaled[:, _PRIOR]))
        yield "work", _framed(work)
        yield "group_work", _framed(same * work)
        yield "own", _framed(np.eye(len(groups)))
        overhead = np.zeros((len(groups) + 1, len(groups) + 1))
        overhead[-1, -1] = 1.0
        yield "network", overhead

    def kernel(self, variances: dict[str, float]) -> Array:
        """(terms + 1, terms + 1) covariance of the logarithms of the terms and of the network's overhead."""
        if not self._latest or self._latest[0][0] != variances:  # a cross-validation asks for one kernel many times
            total = np.zeros((len(self.keys) + 1, len(self.keys) + 1))
            for name, component in self.components():
                total += variances[name] * component
            self._latest[:] = [(dict(variances), total)]
        return self._latest[0][1]


class Predictor:
    """Sums what the terms say about one operator at a time, `Σ weight · covariance`, in a few dozen microseconds.

    Without products of matrices, whose rounding depends on how many operators are priced at once. The components that
    are linear in the features are summed over the terms beforehand.

    Args:
        terms: What was fitted.
        weights: (terms,) of each.
        variances: Of the kernel's components.
    """

    def __init__(self, terms: Terms, weights: Array, variances: dict[str, float]) -> None:
        v = self._variances = variances
        self._center = terms.center
        scaled = (terms.features - terms.center) / _SCALES
        slopes = np.array([v["sizes"]] * 5 + [v["work"]] * 3 + [v["prior"]])
        self._constant = float(v["scale"] * weights.sum())
        self._slopes = slopes * (weights[:, None] * scaled).sum(axis=0)
        self._own = {key: v["own"] * weight for key, weight in zip(terms.keys, weights.tolist(), strict=True)}
        self._broad = [np.ascontiguousarray(terms.features[:, column]) for column in (_TRAFFIC, _PIXELS)]
        self._broad_weights = [v["traffic"] * weights, v["pixels"] * weights]
        group_slopes = np.array([v["group_sizes"]] * 5 + [v["group_work"]] * 3 + [0.0])
        self._groups: dict[str, tuple[float, Array, Array, Array]] = {}
        names = np.array(terms.groups)
        for name in dict.fromkeys(terms.groups):
            own = names == name
            inside, sums = weights[own], (weights[own, None] * scaled[own]).sum(axis=0)
            shapes = np.ascontiguousarray((terms.features[own, _SIZES] / _LENGTHS).T)
            self._groups[name] = float(v["group"] * inside.sum()), group_slopes * sums, shapes, inside

    def __call__(self, op: Op, features: Array) -> tuple[float, bool]:
        """Returns the sum, and whether no term of the operator's group has a shape near its own.

        Args:
            op: The operator.
            features: (features,) of it, as `FEATURES`.
        """
        scaled = (features - self._center) / _SCALES
        total = self._constant + float((self._slopes * scaled).sum()) + self._own.get(key_of(op), 0.0)
        for column, known, weights in zip((_TRAFFIC, _PIXELS), self._broad, self._broad_weights, strict=True):
            total += float((weights * _bell(((known - features[column]) / _BROAD_LENGTH) ** 2)).sum())
        group = self._groups.get(group_of(op))
        if group is None:
            return total, True
        constant, slopes, shapes, weights = group
        away = ((shapes - (features[_SIZES] / _LENGTHS)[:, None]) ** 2).sum(axis=0)
        total += constant + float((slopes * scaled).sum())
        total += self._variances["group_shape"] * float((weights * _bell(away)).sum())
        return total, bool(away.min() > _FAR**2)


def _framed(component: Array) -> Array:
    return np.pad(component, ((0, 1), (0, 1)))


def _differences(column: Array) -> Array:
    return column[:, None] - column[None, :]


def _bell(squares: Any) -> Array:
    result: Array = np.exp(-0.5 * squares)
    return result
