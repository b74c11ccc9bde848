"""Fitting: measurements of operators, blocks and networks → a target that prices like the measured tool.

Rows of measurements are labels of subgraphs. Where a tool gives totals alone, a total is shared out over the network's
subgraphs in proportion to what the regressors so far say, and they are fitted again to the shares, a few times over.
"""

from __future__ import annotations

import dataclasses
import itertools
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from accelzoo import draw
from accelzoo.errors import DataError
from accelzoo.hwmodel.analytic import label
from accelzoo.hwmodel.estimate import UnsupportedOperatorError, estimate
from accelzoo.hwmodel.features import (
    CLASSES,
    FIELDS,
    KINDS_WITH_FEATURES,
    Matrix,
    class_of,
    derive,
    feature_names,
    knows,
)
from accelzoo.hwmodel.forest import Forest, flatten
from accelzoo.hwmodel.ir import Graph
from accelzoo.hwmodel.labels import Table, energy_factors, free_kinds, make_table
from accelzoo.hwmodel.learned import register
from accelzoo.hwmodel.measurement import Measurement, Provenance, graph_digest
from accelzoo.hwmodel.measurements import Measurements
from accelzoo.hwmodel.peak import fit_peak
from accelzoo.hwmodel.regressor import RANGED, Regressor
from accelzoo.hwmodel.subgraph import Fusions, observed_fusions, split
from accelzoo.hwmodel.target import Target, load_target
from accelzoo.hwmodel.tiling import Tiling, shapes_of

Progress = Callable[[str, int, int], None]
"""Called with what is being done, how much of it is done, and how much there is."""

LEAST_SUBGRAPHS = 200
LEAST_OF_CLASS = 40
IMPLAUSIBLE = 1000.0  # measured over prior of one sample, or the inverse
IMPLAUSIBLE_MEDIAN = 30.0  # and of the middle one: another unit, not another accelerator
ROWS_OVER_TOTAL = 1.05  # rows may leave something out of the total, but hardly exceed it
TREES = 80
LEARNING_RATE = 0.2
SHARES_ROUNDS = 10
HOLD_OUT = 0.2
TILING_ROWS = 1200  # more tell no better which tiling it is
BUFFERS = (8 << 10, 16 << 10, 32 << 10, 44 << 10, 64 << 10, 96 << 10, 192 << 10)
STEPS = (1, 2, 4, 8)
TAPS = (4, 5)
OUTPUT_RATES = (0.25, 0.5, 1, 1.5, 2, 3, 4, 8)
ACCUMULATORS = (0, 1 << 10, 1 << 11, 1 << 12, 1 << 13, 1 << 14, 1 << 15)
CHANNEL_BYTES = (0.0, 10.0, 30.0, 60.0, 90.0, 120.0, 150.0, 180.0, 240.0, 300.0, 400.0, 600.0)
RISING = ("input_crowding", "second_crowding", "output_crowding", "weight_refetch", "input_refetch")
"""Features that physics lets only slow a transfer down: more alive, or more read again."""
DEFAULT_FUSIONS: Fusions = frozenset(
    (maker, f"activation:{function}")
    for maker in ("conv2d", "depthwise_conv2d", "linear", "add")
    for function in ("relu", "relu6")
)


def fit(
    measurements: Measurements | Iterable[Measurement],
    prior: Target | str,
    *,
    name: str | None = None,
    seed: int = 0,
    hold_out: float = HOLD_OUT,
    progress: Progress | None = None,
) -> Target:
    """Fits a target to measurements.

    Args:
        measurements: At least some networks, in whose context operators are measured best; operators and blocks help.
        prior: The analytic target that measurements correct; also what prices energy, and what is far from all of them.
        name: Of the new target; the prior's with `-fitted` by default.
        seed: Of the split that the stated error comes from.
        hold_out: Share of the networks that a trial fit leaves out to state that error; 0 saves the trial. The target
            itself is fitted to everything.
        progress: Told how far it is.

    Returns:
        A target whose `learned` names the fitted part; `save_target` writes both.

    Raises:
        DataError: If a measurement is implausible against the prior (wrong unit?), or there are too few.
        UnsupportedOperatorError: If the prior cannot price some measured operator.
    """
    prior = load_target(prior) if isinstance(prior, str) else prior
    prior = dataclasses.replace(prior, learned=None)
    samples = list(measurements)
    tell = progress or (lambda *_: None)
    _check(samples, prior)
    held = _hold_out(samples, seed, hold_out)
    error: dict[str, Any] = {"networks": 0}
    if held:
        kept = [sample for index, sample in enumerate(samples) if index not in held]
        trial = _fit_part(kept, prior, {}, lambda text, *counts: tell(f"error estimate: {text}", *counts))
        error = _error(trial, [samples[index] for index in sorted(held)], prior)
    provenance = measurements.provenance if isinstance(measurements, Measurements) else None
    # Without rows, times are shared out anew in every fit, and the trial's bias says little of the final one's.
    bias = error.get("bias", 0.0) if any(sample.rows for sample in samples) else 0.0
    part = _fit_part(samples, prior, _facts(samples, provenance, error), tell, bias)
    label_of = f"{provenance.label}: " if provenance else ""
    return dataclasses.replace(
        prior,
        name=name or f"{prior.name}-fitted",
        source=f"{label_of}fitted to {len(samples)} measurements over {prior.name}, whose source is: {prior.source}",
        learned=register(part),
    )


def _check(samples: Sequence[Measurement], prior: Target) -> None:
    unpriced: set[str] = set()
    faults = []
    ratios = []
    for number, sample in enumerate(samples):
        cost = estimate(sample.graph, prior)
        unpriced.update(label(op) for op in sample.graph.ops if not knows(op))
        unpriced.update(entry[entry.rindex("(") + 1 : -1] for entry in cost.unpriced)
        ratio = sample.latency_s / cost.latency_s if cost.latency_s else 1.0
        ratios.append(ratio)
        named = f"measurement {number} ({sample.source or 'no source'})"
        if not 1 / IMPLAUSIBLE < ratio < IMPLAUSIBLE:
            faults.append(
                f"{named}: {sample.latency_s:.3g} s, but {prior.name} would take {cost.latency_s:.3g} s; "
                "is the unit right?"
            )
        elif sum(row.latency_s for row in sample.rows) > ROWS_OVER_TOTAL * sample.latency_s:
            place, longest = max(enumerate(sample.rows), key=lambda entry: entry[1].latency_s)
            faults.append(
                f"{named}: its rows take longer than its {sample.latency_s:.3g} s in all, row {place} "
                f"({sample.graph.ops[longest.ops[0]].name}) alone {longest.latency_s:.3g} s; is their unit right?"
            )
    if unpriced:
        raise UnsupportedOperatorError(
            f"the prior {prior.name!r} cannot price {', '.join(sorted(unpriced))}, which the measurements hold"
        )
    if faults:
        raise DataError("\n  ".join([f"{len(faults)} of {len(samples)} measurements are implausible", *faults[:5]]))
    middle = float(np.median(ratios)) if ratios else 1.0
    if not 1 / IMPLAUSIBLE_MEDIAN < middle < IMPLAUSIBLE_MEDIAN:
        raise DataError(
            f"the measurements are implausible: the middle one takes {middle:.3g} times what {prior.name} would, and "
            f"measurement 0 says {samples[0].latency_s:.3g} s; seconds are expected, or a prior nearer to the device"
        )
    count = sum(len(sample.graph.ops) for sample in samples)
    if count < LEAST_SUBGRAPHS:
        raise DataError(
            f"{len(samples)} measurements with {count} operators are too few to fit regressors, which need at least "
            f"{LEAST_SUBGRAPHS}; with ten or more whole networks `accelzoo calibrate` can identify a scale per kind of "
            "operator"
        )


def _hold_out(samples: Sequence[Measurement], seed: int, share: float) -> set[int]:
    """Draws networks to leave out."""
    networks = [index for index, sample in enumerate(samples) if sample.source.startswith("network")]
    order = draw.permutation(draw.generator(seed), len(networks))
    return {networks[place] for place in order[: int(share * len(networks))]}


def _facts(samples: Sequence[Measurement], provenance: Provenance | None, error: dict[str, Any]) -> dict[str, Any]:
    return {
        "provenance": None if provenance is None else provenance.to_json(),
        "samples": dict(sorted(Counter(sample.source.split(":")[0] for sample in samples).items())),
        "held_out_error": error,
        "graphs": sorted(short_digest(sample.graph) for sample in samples),
    }


def short_digest(graph: Graph) -> str:
    """Returns enough of a graph's digest to recognise it."""
    return graph_digest(graph).removeprefix("sha256:")[:16]


def _error(part: Regressor, held: Sequence[Measurement], prior: Target) -> dict[str, Any]:
    """States the error on networks that were kept out of a trial fit."""
    target = dataclasses.replace(prior, learned=register(part))
    ratios = np.array([estimate(sample.graph, target).latency_s / sample.latency_s for sample in held])
    return {
        "networks": len(held),
        "mape": float(np.mean(np.abs(ratios - 1))),
        "bias": float(np.mean(ratios - 1)),
        "within_10_percent": float(np.mean(np.abs(ratios - 1) <= 0.1)),
    }


def _fit_part(
    samples: Sequence[Measurement], prior: Target, facts: dict[str, Any], tell: Progress, bias: float = 0.0
) -> Regressor:
    """Fits everything; a bias that a trial fit showed on networks it did not know is taken out of all predictions."""
    rowed = [sample for sample in samples if sample.rows]
    fusions = observed_fusions((s.graph, [row.ops for row in s.rows]) for s in rowed) if rowed else DEFAULT_FUSIONS
    tell("describing", 0, len(samples))
    cuts = [split(sample.graph, fusions) for sample in samples]
    free = free_kinds(samples, cuts)
    table = make_table(samples, cuts, free)
    tiling = _choose_tiling(table, prior)
    forest, typical = _regress(table, samples, prior, tiling, tell)
    forest = dataclasses.replace(forest, base=forest.base - np.log1p(bias))
    low, high = _ranges(table.raw)
    peaks = [
        (sample.graph, pieces, sample.peak_activation_bytes)
        for sample, pieces in zip(samples, cuts, strict=True)
        if sample.peak_activation_bytes and sample.source.startswith("network")
    ]
    return Regressor(
        fusions=fusions,
        free=free,
        tiling=tiling,
        forest=forest,
        typical=typical,
        low=low,
        high=high,
        kinds=frozenset(KINDS_WITH_FEATURES[code] for code in np.unique(table.raw[:, 0]).astype(int)),
        macs_per_s=_most_macs_per_s(table),
        peak=fit_peak(peaks[:200]),
        energy=energy_factors(samples, cuts, prior),
        facts=facts,
    )


def _most_macs_per_s(table: Table) -> float:
    """The fastest that anything with MACs ran; what was not measured by itself counts not."""
    macs = table.raw[:, FIELDS.index("macs")]
    rows = (macs > 0) & (table.seconds[:, 0] > 0)
    return float((macs[rows] / table.seconds[rows, 0]).max()) if rows.any() else float("1e18")


def _choose_tiling(table: Table, prior: Target) -> Tiling:
    """Takes the tiling whose prior explains the measured times of convolutions best, one setting after the other."""
    known = ~np.isnan(table.seconds[:, 0]) & (table.seconds[:, 0] > 0) & (class_of(table.raw) <= 1)
    rows = np.flatnonzero(known)[:: max(1, int(known.sum()) // TILING_ROWS)]
    best = Tiling.of(prior)
    if not len(rows):
        return best
    raw, seconds = table.raw[rows], table.seconds[rows]
    shapes = shapes_of(prior)
    steps = [count * prior.input_channels_per_tile for count in STEPS]
    rates = [factor * prior.elementwise_per_cycle for factor in OUTPUT_RATES]
    options: list[dict[str, Sequence[Any]]] = [
        {"terms_per_step": steps, "taps_per_step": TAPS},
        {"outputs_per_cycle": rates},
        {"accumulators": ACCUMULATORS, "buffer_bytes": BUFFERS},
        {"restreamed": (False, True), "channel_bytes": CHANNEL_BYTES},
        {"input_off_chip": (False, True)},
        {"microblocks": [shapes[:count] for count in range(1, len(shapes) + 1)]},
    ]
    for _ in range(2):
        for group in options:
            settings = [dict(zip(group, values, strict=True)) for values in itertools.product(*group.values())]
            candidates = [dataclasses.replace(best, **changes) for changes in settings]
            best = min(candidates, key=lambda tiling: _misfit(raw, seconds, prior, tiling))
    return best


def _misfit(raw: Matrix, seconds: Matrix, prior: Target, tiling: Tiling) -> float:
    """Spread of measured over prior, of the components where they were measured, weighted towards what takes long."""
    derived = derive(raw, prior, tiling)
    whole = seconds[:, :1]
    if np.isnan(seconds[:, 1:]).any():
        parts, guess = whole, derived.whole_s[:, None]
    else:
        parts, guess = seconds[:, 1:], np.stack([derived.compute_s, derived.sram_s, derived.dram_s], axis=1)
    log = np.log(np.maximum(parts, 1e-3 * whole) / guess)
    decides = (parts / whole) ** 4  # how far a component is from mattering
    centre = [_weighted_median(column, weight) for column, weight in zip(log.T, decides.T, strict=True)]
    spread = np.minimum(np.abs(log - np.array(centre)), 1.0)
    return float((spread * decides * np.sqrt(whole)).sum())


def _weighted_median(values: Matrix, weights: Matrix) -> float:
    order = np.argsort(values, kind="stable")
    reached = np.cumsum(weights[order])
    return float(values[order[np.searchsorted(reached, reached[-1] / 2)]])


def _ranges(raw: Matrix) -> tuple[Matrix, Matrix]:
    columns = [FIELDS.index(name) for name in RANGED]
    classes = class_of(raw)
    # A class that was never measured has the empty range: everything is outside of it.
    low, high = np.full((len(CLASSES), len(columns)), np.inf), np.zeros((len(CLASSES), len(columns)))
    for number in range(len(CLASSES)):
        rows = raw[classes == number][:, columns]
        if len(rows):
            low[number], high[number] = rows.min(axis=0), rows.max(axis=0)
    return low, high


def _regress(
    table: Table, samples: Sequence[Measurement], prior: Target, tiling: Tiling, tell: Progress
) -> tuple[Forest, Matrix]:
    derived = derive(table.raw, prior, tiling)
    guess = derived.whole_s
    classes = class_of(table.raw)
    seconds = table.seconds[:, 0]
    totals = np.array([sample.latency_s for sample in samples])
    rounds = SHARES_ROUNDS if _shares_needed(table, samples) else 1
    for turn in range(rounds):
        models: list[Any] = []
        typical = np.zeros(len(CLASSES))
        for number in range(len(CLASSES)):
            tell("fitting", turn * len(CLASSES) + number, rounds * len(CLASSES))
            rows = np.flatnonzero((classes == number) & (seconds > 0))
            ratios = seconds[rows] / guess[rows]
            typical[number] = float(np.median(np.log(ratios))) if len(rows) else 0.0
            models.append(_model(derived.values[rows], ratios, np.sqrt(seconds[rows])))
        forest = _with_medians(flatten(models), models, typical)
        if rounds > 1:
            seconds = _shared_out(table, totals, guess, forest, derived.values, classes)
    return forest, typical


def _shares_needed(table: Table, samples: Sequence[Measurement]) -> bool:
    """Whether some networks have a total alone."""
    return any(not samples[number].rows for number in np.unique(table.sample[np.isnan(table.seconds[:, 0])]))


def _with_medians(forest: Forest, models: Sequence[Any], typical: Matrix) -> Forest:
    """Kinds of work with too little data for a forest get their median correction."""
    base = forest.base.copy()
    for index, (model, median) in enumerate(zip(models, typical, strict=True)):
        if model is None:
            base[index] = median
    return dataclasses.replace(forest, base=base)


def _model(values: Matrix, ratios: Matrix, weights: Matrix) -> Any:
    """Fits the logarithm of measured over prior; None where there is too little to fit."""
    from sklearn.ensemble import HistGradientBoostingRegressor
    from threadpoolctl import threadpool_limits

    if len(ratios) < LEAST_OF_CLASS:
        return None
    model = HistGradientBoostingRegressor(
        max_iter=TREES,
        learning_rate=LEARNING_RATE,
        max_leaf_nodes=31,
        max_depth=8,
        min_samples_leaf=min(8, max(2, len(ratios) // 40)),
        l2_regularization=1.0,
        monotonic_cst=[int(name in RISING) for name in feature_names()],
        early_stopping=False,
        random_state=0,
    )
    with threadpool_limits(1):  # so few rows that threads cost more than they save
        return model.fit(values, np.log(ratios), sample_weight=weights / weights.mean())


def _shared_out(
    table: Table, totals: Matrix, guess: Matrix, forest: Forest, values: Matrix, classes: npt.NDArray[np.int64]
) -> Matrix:
    """Shares every measured total out over its subgraphs; a subgraph measured alone keeps its own time."""
    predicted = guess * np.exp(forest.predict(values, classes))
    sums = np.bincount(table.sample, predicted, minlength=len(totals))
    share = predicted * (totals / np.maximum(sums, 1e-30))[table.sample]
    return np.where(np.isnan(table.seconds[:, 0]), share, table.seconds[:, 0])
