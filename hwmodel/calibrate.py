"""From timings of whole networks alone to a target: the only thing that many users can measure.

Every network is a sum over operators, and networks share operators: that is a linear system with a row per network and
an unknown per operator and shape, with far fewer rows than unknowns. What it leaves open, the prior decides: a target
on paper, corrected in what measurements speak of, and in what is like it (`accelzoo.hwmodel._calibrate_terms` says how
alike operators are, `accelzoo.hwmodel._calibrate_fit` solves). Nothing is known here of knobs or spaces, only graphs.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple, cast

import numpy as np
import numpy.typing as npt

from accelzoo.errors import DataError
from accelzoo.hwmodel._calibrate_checks import (
    Fault,
    MeasurementError,
    check_design,
    check_prices,
    check_units,
    checked_rows,
    describe,
    without_gaps,
)
from accelzoo.hwmodel._calibrate_fit import shares, solve
from accelzoo.hwmodel._calibrate_report import CalibrationReport, report
from accelzoo.hwmodel._calibrate_terms import Array, Key, Terms, key_of, op_of
from accelzoo.hwmodel.calibrated import Calibration, Term, calibration_value, measured_counts
from accelzoo.hwmodel.estimate import estimate
from accelzoo.hwmodel.ir import Graph
from accelzoo.hwmodel.learned import LearnedPart, register
from accelzoo.hwmodel.target import Target, load_target

NETWORK_OVERHEAD = "overhead of a network"
"""Label of the one term that is no operator."""


class Suggestion(NamedTuple):
    """A network worth measuring.

    Attributes:
        candidate: Which of the candidates.
        uncertainty: Relative standard deviation of its predicted latency, those suggested before it being measured.
        uncertainty_after: Root mean square of the same over all candidates once it is measured as well.
    """

    candidate: int
    uncertainty: float
    uncertainty_after: float


def calibrate(
    graphs: Sequence[Graph],
    latency_s: npt.ArrayLike,
    prior: Target | str | Path,
    *,
    name: str | None = None,
    trust_units: bool = False,
) -> Target:
    """Returns a target that prices like the device on which whole networks were timed.

    Args:
        graphs: The networks, at least ten different ones.
        latency_s: (networks,) seconds of one inference at batch 1.
        prior: A target to start from, or its name: of about the same sort as the device. Of one that has learnt, only
            the figures on paper count.
        name: Name of the target; by default the prior's with `-calibrated` behind it.
        trust_units: Whether to take latencies that are far from the prior's at their word.

    Raises:
        MeasurementError: If rows are missing, not positive or in another unit, if operators cannot be priced, or if
            there are too few different networks; the message names rows, operators and what cannot be identified.
        UnknownNameError: If there is no such target.
    """
    return to_target(fit_calibration(graphs, latency_s, prior, trust_units=trust_units), name)


def fit_calibration(
    graphs: Sequence[Graph], latency_s: npt.ArrayLike, prior: Target | str | Path, *, trust_units: bool = False
) -> Calibration:
    """Returns what the timings say, with its report; arguments and errors as for `calibrate`."""
    given = prior if isinstance(prior, Target) else load_target(prior)
    seconds = checked_rows(graphs, latency_s)
    # A term is an operator by itself; what the prior has learnt may be about operators in their context.
    able, lifted = without_gaps(graphs, dataclasses.replace(given, learned=None))
    if not len(graphs):
        raise MeasurementError([Fault(None, "no networks; at least 10 different ones are needed")])
    keys, counts = count_terms(graphs, able)
    ops = [op_of(key) for key in keys]
    labels = [describe(op) for op in ops]
    check_design(counts[:, :-1], labels)
    check_prices(ops, able)
    if not trust_units:
        check_units(graphs, seconds, able)
    terms = Terms.of(keys, able)
    solution = solve(counts, seconds, terms)
    judged = report(counts, seconds, terms, solution, [*labels, NETWORK_OVERHEAD], lifted)
    return calibration_value(able, given.digest(), terms, solution, counts, seconds, judged)


def to_target(calibration: Calibration, name: str | None = None) -> Target:
    """Returns the target that a calibration makes: `on_paper` with the calibration as what it has learnt."""
    return dataclasses.replace(on_paper(calibration, name), learned=register(cast(LearnedPart, calibration)))


def on_paper(calibration: Calibration, name: str | None = None) -> Target:
    """Returns the prior under another name (`…-calibrated` by default), its source telling what it became."""
    prior, judged = calibration.prior, calibration.report
    source = (
        f"Timings of {judged.networks} whole networks, calibrated from {prior.name} "
        f"(cross-validated: {judged.within_10_percent:.0%} within 10 %, RMSPE {judged.rmspe:.1%}). {prior.name}: "
    )
    return dataclasses.replace(prior, name=name or f"{prior.name}-calibrated", source=source + prior.source)


def suggest_networks(calibration: Calibration, candidates: Sequence[Graph], count: int = 10) -> tuple[Suggestion, ...]:
    """Picks the networks whose timing would make the calibration better on all candidates.

    Greedy and A-optimal (Pukelsheim, "Optimal Design of Experiments", 1993, §6.5): each pick is the candidate after
    whose measurement the mean predicted variance over all candidates is least. What it would measure plays no part.

    Args:
        calibration: What is known.
        candidates: Networks that could be timed.
        count: How many to pick; as many as there are candidates at most.

    Returns:
        The picks, best first.

    Raises:
        DataError: If `count` is not positive or there are no candidates.
    """
    if count < 1 or not len(candidates):
        raise DataError(f"count (={count}) and the number of candidates ({len(candidates)}) must be at least 1")
    able, _ = without_gaps(candidates, calibration.prior)
    factor = _uncertain_directions(calibration, candidates, able)
    noise = calibration.noise_variance
    picks: list[Suggestion] = []
    for _ in range(min(count, len(candidates))):
        variances = (factor**2).sum(axis=1)
        # Measuring row x takes (cov(y, x))² / (var(x) + noise) off the variance of y; the sum over y by one product.
        gains = ((factor @ (factor.T @ factor)) * factor).sum(axis=1) / (variances + noise)
        gains[[pick.candidate for pick in picks]] = -np.inf
        index = int(np.argmax(gains))
        chosen = factor[index]
        # Removes the part that is now known: var(z | x) = F (I − t·xxᵀ)² Fᵀ with t so that the noise is left.
        variance = float(variances[index])
        shrink = (1 - np.sqrt(noise / (variance + noise))) / variance if variance > 0 else 0.0
        factor = factor - shrink * np.outer(factor @ chosen, chosen)
        after = float(np.sqrt((factor**2).sum(axis=1).mean()))
        picks.append(Suggestion(index, float(np.sqrt(variance)), after))
    return tuple(picks)


def _uncertain_directions(calibration: Calibration, candidates: Sequence[Graph], able: Target) -> Array:
    """(candidates, directions) `F` such that `F Fᵀ` is the covariance of the candidates' log latencies."""
    keys, _ = count_terms(candidates, able)
    terms = calibration.kernel_terms.joined(keys, calibration.prior)
    kernel = terms.kernel(dict(calibration.variances))
    known = len(calibration.terms)
    measured = np.zeros((len(calibration.measured), len(terms.keys) + 1))
    columns = [*range(known), len(terms.keys)]
    measured[:, columns] = measured_counts(calibration)
    latencies = [calibration.op_latency_s(op_of(key)) for key in terms.keys]
    log_terms = np.log([*latencies, calibration.overhead_s])
    _, counts = count_terms(candidates, able, terms.keys)
    # The posterior covariance has a square root: kernel = S Sᵀ, then what is measured is projected out of S.
    values, vectors = np.linalg.eigh(kernel)
    root = vectors * np.sqrt(np.maximum(values, 0.0))
    seen = shares(measured, log_terms) @ root
    noise = calibration.noise_variance
    inner, directions = np.linalg.eigh(np.linalg.inv(np.eye(root.shape[1]) + seen.T @ seen / noise))
    posterior: Array = shares(counts, log_terms) @ root @ (directions * np.sqrt(np.maximum(inner, 0.0)))
    return posterior


def count_terms(
    graphs: Sequence[Graph], prior: Target, keys: Sequence[Key] | None = None
) -> tuple[tuple[Key, ...], Array]:
    """Counts the operators of graphs by their shapes; what the prior fuses is part of the operator that applies it.

    Args:
        graphs: The networks.
        prior: Tells what is fused.
        keys: The terms to count; all that occur, in order of appearance, if not given.

    Returns:
        The keys, and (networks, terms + 1) how often each network runs each; the last column is 1.
    """
    index: dict[Key, int] = {key: position for position, key in enumerate(keys or ())}
    found: list[dict[int, int]] = []
    for graph in graphs:
        row: dict[int, int] = {}
        for op, cost in zip(graph.ops, estimate(graph, prior).by_op, strict=True):
            if cost.bound != "fused":
                position = index.setdefault(key_of(op), len(index))
                row[position] = row.get(position, 0) + 1
        found.append(row)
    counts = np.zeros((len(graphs), len(index) + 1))
    counts[:, -1] = 1
    for network, row in enumerate(found):
        counts[network, list(row)] = list(row.values())
    return tuple(index), counts


__all__ = [
    "Calibration",
    "CalibrationReport",
    "Fault",
    "MeasurementError",
    "Suggestion",
    "Term",
    "calibrate",
    "count_terms",
    "describe",
    "fit_calibration",
    "on_paper",
    "op_of",
    "suggest_networks",
    "to_target",
]
