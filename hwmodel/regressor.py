"""The learned estimator: the analytic prior of a subgraph times what a forest has learned of tools and machines.

The prior is the roofline: the slowest of computing, on-chip and off-chip transfers. A regressor for each kind of work
predicts the logarithm of measured over prior. Far from everything measured its answer fades into the typical correction
of its kind of work, and the operator is named.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from accelzoo.hwmodel import features
from accelzoo.hwmodel.cost import OpCost
from accelzoo.hwmodel.features import (
    CONTEXT_RADIUS,
    FIELDS,
    Matrix,
    class_of,
    derive,
    describe,
)
from accelzoo.hwmodel.forest import Forest
from accelzoo.hwmodel.ir import Graph
from accelzoo.hwmodel.learned import Correction
from accelzoo.hwmodel.peak import PeakModel, steps
from accelzoo.hwmodel.subgraph import Fusions, split
from accelzoo.hwmodel.target import Target
from accelzoo.hwmodel.tiling import Tiling

CACHED_ROWS = 1 << 17
RANGED = (
    "in_channels", "out_channels", "out_height", "out_width", "kernel_height", "kernel_width", "groups", "weight_bytes",
    "input_bytes", "output_bytes", "macs",
)  # fmt: skip
_MACS = FIELDS.index("macs")
_RANGED = np.array([FIELDS.index(name) for name in RANGED])
FADE = 0.5  # e-folds of trust lost for each e-fold outside of the measured range
MARGIN = 0.1  # e-folds outside that are still taken for inside

Row = tuple[float, float, float, bool]
"""Latency, computing, slowest transfer (seconds), and whether it is far from everything measured."""


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class Regressor:
    """Fitted regressors and what is needed to feed them.

    Attributes:
        fusions: Pairs of operators that run as one.
        free: Kinds that the tool counts no time for, since they vanish into their neighbours.
        tiling: How the prior cuts layers into blocks.
        forest: One model per class of `features.CLASSES`.
        typical: Median of log(measured / prior), (classes,).
        low: Least measured value of every field of `RANGED`, (classes, fields).
        high: Largest.
        kinds: Kinds of operators among what was measured.
        macs_per_s: The most that any measured subgraph reached; none is priced faster.
        peak: How the tool places activations.
        energy: Measured over analytic joules, (classes,); None if the tool tells none, and the analytic ones stand.
        facts: What the fit was made of, for people.
    """

    kind: str = "regressor"
    context_radius: int = CONTEXT_RADIUS
    fusions: Fusions
    free: frozenset[str]
    tiling: Tiling
    forest: Forest
    typical: Matrix
    low: Matrix
    high: Matrix
    kinds: frozenset[str]
    macs_per_s: float
    peak: PeakModel
    energy: Matrix | None = None
    facts: Mapping[str, Any]
    _cache: dict[Target, dict[bytes, Row]] = field(default_factory=dict)

    def price(self, graph: Graph, target: Target, rows: Sequence[OpCost]) -> Correction:
        """Puts measured times in the place of analytic ones; operators that nothing prices stay as they are."""
        priced = list(rows)
        far: list[str] = []
        pieces = split(graph, self.fusions)
        timed = []
        for place, piece in enumerate(pieces):
            first = piece.ops[0]
            if rows[first].bound == "unpriced":
                continue
            if graph.ops[first].kind in self.free:
                priced[first] = _vanished(rows[first], target)
                continue
            timed.append(place)
            for index in piece.ops[1:]:
                if rows[index].bound != "unpriced":
                    priced[index] = _vanished(rows[index], target)
        walk = steps(graph, pieces, features.BRICK)
        raw = describe(graph, pieces, walk)[timed]
        classes = class_of(raw).tolist()
        for place, row, number in zip(timed, self.predict(raw, target), classes, strict=True):
            first = pieces[place].ops[0]
            factor = None if self.energy is None else float(self.energy[number])
            priced[first] = _retimed(rows[first], row, target, factor)
            if row[3]:
                far.append(rows[first].name)
        if self.peak.channel_unit != features.BRICK:
            walk = steps(graph, pieces, self.peak.channel_unit)
        return Correction(priced, tuple(far), self.peak.by_operator(pieces, walk))

    def predict(self, raw: Matrix, target: Target) -> list[Row]:
        """Predicts described subgraphs, each new one once."""
        cache = self._cache.setdefault(target, {})
        if len(cache) > CACHED_ROWS:
            cache.clear()
        keys = [row.tobytes() for row in raw]
        fresh = list({key: index for index, key in enumerate(keys) if key not in cache}.values())
        if fresh:
            computed = self._compute(raw[fresh], target)
            cache.update(zip([keys[index] for index in fresh], computed, strict=True))
        return [cache[key] for key in keys]

    def _compute(self, raw: Matrix, target: Target) -> list[Row]:
        derived = derive(raw, target, self.tiling)
        classes = class_of(raw)
        far = self._distance(raw, classes)
        logs = self.forest.predict(derived.values, classes)
        columns = (logs, self.typical[classes], far, raw[:, _MACS] / self.macs_per_s, *derived[1:])
        found = []
        for log, typical, distance, floor, compute_s, sram_s, dram_s in zip(
            *[column.tolist() for column in columns], strict=True
        ):
            prior = max(compute_s, sram_s, dram_s)
            trust = math.exp(-FADE * distance) if distance else 1.0
            factor = max(math.exp(typical + (log - typical) * trust), floor / prior)
            found.append((factor * prior, factor * compute_s, factor * max(sram_s, dram_s), distance > 0))
        return found

    def _distance(self, raw: Matrix, classes: npt.NDArray[np.int64]) -> npt.NDArray[np.float64]:
        """E-folds by which a subgraph lies outside of what was measured, the largest over its fields.

        A kind of operator that was never measured is as far as another size by a factor of e.
        """
        values = raw[:, _RANGED] + 1
        above = values / (self.high[classes] + 1)
        below = (self.low[classes] + 1) / values
        worst = np.maximum(above, below).max(axis=1)
        found = np.array([max(math.log(ratio) - MARGIN, 0.0) for ratio in worst.tolist()])
        unseen = [code for code, kind in enumerate(features.KINDS_WITH_FEATURES) if kind not in self.kinds]
        return np.maximum(found, np.isin(raw[:, 0], unseen))

    def parts(self) -> tuple[dict[str, Any], dict[str, npt.NDArray[Any]]]:
        """Returns everything to store."""
        facts = {
            "format": "accelzoo-learned",
            "version": 1,
            "kind": self.kind,
            "fusions": sorted(map(list, self.fusions)),
            "free": sorted(self.free),
            "tiling": self.tiling.to_json(),
            "features": features.VERSION,
            "kinds": sorted(self.kinds),
            "macs_per_s": self.macs_per_s,
            "peak": self.peak.to_json(),
            "facts": dict(self.facts),
        }
        arrays = self.forest.arrays() | {"typical": self.typical, "low": self.low, "high": self.high}
        return facts, arrays | ({} if self.energy is None else {"energy": self.energy})


def from_parts(facts: Mapping[str, Any], arrays: Mapping[str, npt.NDArray[Any]]) -> Regressor:
    """Rebuilds a regressor from what `parts` returned.

    Raises:
        ValueError: If it was fitted to other features than this version knows.
    """
    if facts["features"] != features.VERSION:
        raise ValueError(f"fitted to features of version {facts['features']}, this is version {features.VERSION}")
    return Regressor(
        fusions=frozenset((maker, consumer) for maker, consumer in facts["fusions"]),
        free=frozenset(facts["free"]),
        tiling=Tiling.from_json(facts["tiling"]),
        forest=Forest.from_arrays(dict(arrays)),
        typical=arrays["typical"],
        low=arrays["low"],
        high=arrays["high"],
        kinds=frozenset(facts["kinds"]),
        macs_per_s=facts["macs_per_s"],
        peak=PeakModel.from_json(facts["peak"]),
        energy=arrays.get("energy"),
        facts=facts["facts"],
    )


def _retimed(anchor: OpCost, row: Row, target: Target, energy_factor: float | None) -> OpCost:
    latency_s, compute_s, memory_s, _ = row
    energy_j = anchor.energy_j + (latency_s - anchor.latency_s) * target.static_power_w
    if energy_factor is not None:
        energy_j = anchor.energy_j * energy_factor
    bound = "compute" if compute_s >= memory_s else ("dram" if anchor.bound == "dram" else "sram")
    # Field by field rather than `_replace`, which looks every one up by name.
    return OpCost(
        anchor.name, anchor.kind, latency_s, compute_s, memory_s, 0.0,
        energy_j,
        anchor.macs, anchor.weight_bytes, anchor.sram_bytes, anchor.dram_bytes,
        min(anchor.macs / (latency_s * target.peak_macs_per_s), 1.0), bound,  # type: ignore[arg-type]
    )  # fmt: skip


def _vanished(row: OpCost, target: Target) -> OpCost:
    """An operator that takes no time of its own; its work and its bytes stay."""
    energy_j = max(row.energy_j - row.latency_s * target.static_power_w, 0.0)
    return OpCost(
        row.name, row.kind, 0.0, 0.0, 0.0, 0.0, energy_j, row.macs, row.weight_bytes, row.sram_bytes, row.dram_bytes,
        0.0, "fused",
    )  # fmt: skip
