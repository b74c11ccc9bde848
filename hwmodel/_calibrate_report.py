"""What a calibration can be trusted with: its rank, its terms, and its error on networks left out."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from accelzoo.hwmodel._calibrate_fit import Solution, shares, solve_again
from accelzoo.hwmodel._calibrate_terms import Array, Terms

FOLDS = 10
KNOWN = 0.5
"""Share of a term's expected variance that measurements must have taken away for it not to stand `by_prior`."""


@dataclass(frozen=True, kw_only=True)
class CalibrationReport:
    """How good a calibration is, and why.

    The linear system has one row per network and one unknown per term: an operator with its shapes, or the fixed
    overhead of a network.

    Attributes:
        networks: Rows of the system.
        terms: Its unknowns.
        rank: Sums of terms that the measurements determine by themselves.
        nullity: `terms − rank`: directions about which only the prior says anything.
        identified: Terms that the measurements determine one by one, whatever the prior.
        by_prior: Terms of which the measurements took away less than half of the variance that the prior left.
        lifted: Operators that the prior calls unsupported; they were timed, so their kind's formula prices them.
        factor: Median of measured latency over what was expected before.
        prior_share: Weight of the prior in what is expected; the rest is work and traffic.
        noise: Relative standard deviation of what the terms leave unexplained.
        folds: Parts of the cross-validation that the following figures come from: every network is predicted by a fit
            without it (with the variances of the fit to all).
        within_5_percent: Share of networks.
        within_10_percent: Share of networks.
        rmspe: Root of the mean squared relative error.
        mape: Mean absolute relative error.
    """

    networks: int
    terms: int
    rank: int
    nullity: int
    identified: tuple[str, ...]
    by_prior: tuple[str, ...]
    lifted: tuple[str, ...]
    factor: float
    prior_share: float
    noise: float
    folds: int
    within_5_percent: float
    within_10_percent: float
    rmspe: float
    mape: float

    def to_json(self) -> dict[str, Any]:
        """Returns the report as plain JSON data."""
        data = dataclasses.asdict(self)
        return {key: list(value) if isinstance(value, tuple) else value for key, value in data.items()}

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> CalibrationReport:
        """Rebuilds a report from `to_json`'s data."""
        fields: dict[str, Any] = {
            key: tuple(value) if isinstance(value, list) else value for key, value in data.items()
        }
        return cls(**fields)


def report(
    counts: Array,
    latency_s: Array,
    terms: Terms,
    solution: Solution,
    labels: Sequence[str],
    lifted: tuple[str, ...],
) -> CalibrationReport:
    """Judges a fit; arguments as for `solve`, and a label for each column of `counts`."""
    rank, identified = identifiable(counts)
    known = knowledge(counts, terms, solution)
    errors = cross_validated(counts, latency_s, terms, solution)
    return CalibrationReport(
        networks=len(counts),
        terms=counts.shape[1],
        rank=rank,
        nullity=counts.shape[1] - rank,
        identified=tuple(label for label, alone in zip(labels, identified, strict=True) if alone),
        by_prior=tuple(label for label, share in zip(labels, known, strict=True) if share < KNOWN),
        lifted=lifted,
        factor=float(np.exp(solution.offset)),
        prior_share=solution.prior_share,
        noise=float(np.sqrt(solution.noise_variance)),
        folds=min(FOLDS, len(counts)),
        within_5_percent=float(np.mean(np.abs(errors) <= 0.05)),
        within_10_percent=float(np.mean(np.abs(errors) <= 0.10)),
        rmspe=float(np.sqrt(np.mean(errors**2))),
        mape=float(np.mean(np.abs(errors))),
    )


def identifiable(counts: Array) -> tuple[int, list[bool]]:
    """Returns the rank of the system, and which unknowns lie in its row space by themselves."""
    _, values, directions = np.linalg.svd(counts, full_matrices=False)
    rank = int((values > values.max() * max(counts.shape) * np.finfo(np.float64).eps).sum())
    inside = (directions[:rank] ** 2).sum(axis=0)
    return rank, (inside > 1 - 1e-9).tolist()


def knowledge(counts: Array, terms: Terms, solution: Solution) -> Array:
    """(terms + 1,) share of the variance of each term's logarithm that the measurements took away."""
    kernel = terms.kernel(solution.variances)
    projected = shares(counts, solution.log_terms) @ kernel
    system = projected @ shares(counts, solution.log_terms).T + solution.noise_variance * np.eye(len(counts))
    removed = (projected * np.linalg.solve(system, projected)).sum(axis=0)
    result: Array = removed / np.diag(kernel)
    return result


def cross_validated(counts: Array, latency_s: Array, terms: Terms, solution: Solution) -> Array:
    """(networks,) relative error of each network as predicted by a fit without it and the rest of its fold."""
    fold = np.arange(len(counts)) % min(FOLDS, len(counts))
    predicted = np.empty(len(counts))
    for index in range(fold.max() + 1):
        left_out = fold == index
        fitted = solve_again(counts[~left_out], latency_s[~left_out], terms, solution)
        predicted[left_out] = counts[left_out] @ np.exp(fitted.log_terms)
    result: Array = predicted / latency_s - 1
    return result
