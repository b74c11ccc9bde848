"""A calibration as a value: the prior, the fitted terms, and the price of any operator that follows from both.

It is a `LearnedPart`: the target that `calibrate` returns has one, and `estimate` asks it for the operators' times.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar, NamedTuple

import numpy as np

from accelzoo.errors import AccelzooError, DataError
from accelzoo.hwmodel._calibrate_fit import Solution
from accelzoo.hwmodel._calibrate_report import CalibrationReport
from accelzoo.hwmodel._calibrate_terms import Array, Key, Predictor, Terms, features_of, key_of, log_expected
from accelzoo.hwmodel.cost import OpCost
from accelzoo.hwmodel.estimate import estimate
from accelzoo.hwmodel.ir import Graph, Op
from accelzoo.hwmodel.learned import FORMAT, VERSION, Correction
from accelzoo.hwmodel.target import Target


class Term(NamedTuple):
    """One operator with its shapes, as fitted.

    Attributes:
        key: The operator's kind and its fields from `in_shapes` on.
        latency_s: Seconds.
        weight: What it adds to the logarithm of a term, per unit of covariance with that.
    """

    key: Key
    latency_s: float
    weight: float


@dataclass(frozen=True, kw_only=True)
class Calibration:
    """What whole-network timings say about a device, operator by operator.

    The latency of an operator is `expected · exp(offset + Σ weight · covariance with the term)`, `expected` being the
    prior's price of it (see `log_expected`); the farther it is from everything measured, the nearer to the prior and
    its factor. A fixed overhead is charged to the first operator of a network.

    Attributes:
        prior: The target that it started from, able to run what was measured.
        prior_digest: Digest of the target as given.
        terms: Every operator of the measured networks.
        center: Middle of the features in the linear components of the kernel.
        variances: Of the components of the kernel.
        noise_variance: Of the logarithm of a measurement.
        prior_share: Weight of the prior in what is expected.
        offset: Natural logarithm of the factor on what is expected.
        overhead_s: Fixed seconds per network.
        measured: For each measured network, its latency in seconds and pairs of a term's index and its count.
        report: How good it is.
    """

    kind: ClassVar[str] = "calibration"
    context_radius: ClassVar[int] = 0

    prior: Target
    prior_digest: str
    terms: tuple[Term, ...]
    center: tuple[float, ...]
    variances: tuple[tuple[str, float], ...]
    noise_variance: float
    prior_share: float
    offset: float
    overhead_s: float
    measured: tuple[tuple[float, tuple[tuple[int, int], ...]], ...]
    report: CalibrationReport
    _prices: dict[Key, tuple[float, bool]] = field(default_factory=dict, init=False, repr=False, compare=False)
    _views: dict[str, Any] = field(default_factory=dict, init=False, repr=False, compare=False)

    @property
    def kernel_terms(self) -> Terms:
        """The terms as the kernel sees them."""
        if "terms" not in self._views:
            keys = [term.key for term in self.terms]
            self._views["terms"] = Terms.of(keys, self.prior, np.array(self.center))
        terms: Terms = self._views["terms"]
        return terms

    @property
    def _predictor(self) -> Predictor:
        if "predictor" not in self._views:
            weights = np.array([term.weight for term in self.terms])
            self._views["predictor"] = Predictor(self.kernel_terms, weights, dict(self.variances))
        predictor: Predictor = self._views["predictor"]
        return predictor

    def op_latency_s(self, op: Op) -> float:
        """Returns the seconds that an operator takes; always positive."""
        return self._priced(op)[0]

    def _priced(self, op: Op) -> tuple[float, bool]:
        """Returns the seconds, and whether the operator is far from everything measured."""
        key = key_of(op)
        found = self._prices.get(key)
        if found is None:
            features = np.array(features_of(op, self.prior))
            correction, is_far = self._predictor(op, features)
            expected = float(log_expected(features, self.prior_share))
            found = self._prices[key] = math.exp(expected + self.offset + correction), is_far
        return found

    def price(self, graph: Graph, target: Target, rows: Sequence[OpCost]) -> Correction:
        """Puts calibrated times in the place of analytic ones; what is fused or cannot be run stays as it is.

        Timings say nothing of memory: the bytes alive are the graph's own count.

        Args:
            graph: The network.
            target: The calibrated target.
            rows: Its analytic rows.
        """
        priced, far = [], []
        overhead_s = self.overhead_s
        for op, row in zip(graph.ops, rows, strict=True):
            if row.bound in ("fused", "unpriced"):
                priced.append(row)
                continue
            latency_s, is_far = self._priced(op)
            priced.append(_stretched(row, latency_s, overhead_s, target.static_power_w))
            overhead_s = 0.0
            if is_far:
                far.append(op.name)
        return Correction(priced, tuple(far), graph.live_bytes())

    def latency_s(self, graph: Graph) -> float:
        """Returns the seconds of one inference at batch 1.

        Raises:
            UnsupportedOperatorError: If the graph has operators that the prior cannot run.
        """
        total = 0.0
        for row in self.price(graph, self.prior, estimate(graph, self.prior, strict=True).by_op).rows:
            total += row.latency_s
        return total

    def parts(self) -> tuple[dict[str, Any], dict[str, Any]]:
        """Returns what a target's file of learned parts stores of it: facts, and no arrays."""
        return {"format": FORMAT, "version": VERSION, "kind": self.kind, "calibration": self.to_json()}, {}

    def to_json(self) -> dict[str, Any]:
        """Returns the calibration as plain JSON data; `from_json` is the inverse."""
        from accelzoo import config

        return {
            "prior": config.to_config(self.prior, defaults=False),
            "prior_digest": self.prior_digest,
            "terms": [
                {"op": _plain(term.key), "latency_s": term.latency_s, "weight": term.weight} for term in self.terms
            ],
            "center": list(self.center),
            "variances": dict(self.variances),
            "noise_variance": self.noise_variance,
            "prior_share": self.prior_share,
            "offset": self.offset,
            "overhead_s": self.overhead_s,
            "measured": _plain(self.measured),
            "report": self.report.to_json(),
        }

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Calibration:
        """Rebuilds a calibration from `to_json`'s data.

        Raises:
            DataError: If it is not such data.
        """
        from accelzoo import config

        if not isinstance(data, Mapping):
            raise DataError(f"not a calibration, but {type(data).__name__}")
        try:
            made = {
                "prior": config.read(Target, data["prior"]),
                "terms": tuple(
                    Term(_frozen(term["op"]), float(term["latency_s"]), float(term["weight"])) for term in data["terms"]
                ),
                "center": _frozen(data["center"]),
                "variances": tuple(data["variances"].items()),
                "measured": _frozen(data["measured"]),
                "report": CalibrationReport.from_json(data["report"]),
            }
            return cls(**{**data, **made})
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            raise DataError(f"broken calibration: {error!r}") from None
        except AccelzooError as error:
            raise DataError(f"broken calibration: {error}") from None


def from_parts(facts: Mapping[str, Any], arrays: Mapping[str, Any]) -> Calibration:
    """Rebuilds a calibration from `parts`.

    Raises:
        DataError: If it is not such data.
    """
    return Calibration.from_json(facts.get("calibration", {}))


def _stretched(row: OpCost, latency_s: float, overhead_s: float, static_power_w: float) -> OpCost:
    """Gives a row another latency, its parts in the same proportions, and the fixed overhead of a network."""
    stretch = latency_s / row.latency_s if row.latency_s else 0.0
    compute_s, memory_s = (row.compute_s * stretch, row.memory_s * stretch) if stretch else (latency_s, 0.0)
    return row._replace(
        latency_s=latency_s + overhead_s,
        compute_s=compute_s,
        memory_s=memory_s,
        overhead_s=row.overhead_s * stretch + overhead_s,
        energy_j=row.energy_j + (latency_s + overhead_s - row.latency_s) * static_power_w,
        utilization=min(1.0, row.utilization / stretch) if stretch else 0.0,
    )


def calibration_value(
    prior: Target,
    prior_digest: str,
    terms: Terms,
    solution: Solution,
    counts: Array,
    latency_s: Array,
    report: CalibrationReport,
) -> Calibration:
    """Makes the value out of a fit; arrays as for `solve`."""
    latencies, weights = np.exp(solution.log_terms).tolist(), solution.weights.tolist()
    measured = []
    for seconds, row in zip(latency_s.tolist(), counts[:, :-1].astype(int).tolist(), strict=True):
        measured.append((seconds, tuple((index, count) for index, count in enumerate(row) if count)))
    return Calibration(
        prior=prior,
        prior_digest=prior_digest,
        terms=tuple(map(Term, terms.keys, latencies[:-1], weights[:-1])),
        center=tuple(terms.center.tolist()),
        variances=tuple(solution.variances.items()),
        noise_variance=solution.noise_variance,
        prior_share=solution.prior_share,
        offset=solution.offset,
        overhead_s=latencies[-1],
        measured=tuple(measured),
        report=report,
    )


def measured_counts(calibration: Calibration) -> Array:
    """(networks, terms + 1) how often each measured network runs each term; the last column is 1."""
    counts = np.zeros((len(calibration.measured), len(calibration.terms) + 1))
    counts[:, -1] = 1
    for row, (_, pairs) in enumerate(calibration.measured):
        for index, count in pairs:
            counts[row, index] = count
    return counts


def _plain(value: Any) -> Any:
    return [_plain(item) for item in value] if isinstance(value, tuple) else value


def _frozen(value: Any) -> Any:
    return tuple(_frozen(item) for item in value) if isinstance(value, list) else value
