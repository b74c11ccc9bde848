"""A latency table learnt from timings of whole networks: the only thing that many users can measure."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from accelzoo.errors import ConfigError
from accelzoo.hwmodel import Target
from accelzoo.hwmodel._calibrate_checks import FASTEST, ODDEST, SLOWEST, Fault, MeasurementError
from accelzoo.search.width._table_fit import Features, Fit, fit_entries
from accelzoo.search.width.costs import WidthCosts
from accelzoo.search.width.grid import LatencyGrid, rank_of

Floats = npt.NDArray[np.float64]
Indices = npt.NDArray[np.int64]
FOLDS = 10
LEAST_TIMINGS = 10
MONOTONICITY = 0.05


@dataclass(frozen=True, slots=True, kw_only=True)
class LatencyReport:
    """How good a latency table is. Entries are never judged: they are not identifiable, sums are.

    The errors are those of a cross-validation: every network is predicted from the folds that it is not in, timings of
    one network being in one fold; the variances and the prior's scale are those fitted to all.

    Attributes:
        timings: Rows of the linear system.
        entries: Its unknowns.
        rank: Sums of entries that the timings determine by themselves.
        nullity: `entries − rank`: directions about which only the prior and its likenesses say anything.
        factor: Median of measured latency over the prior's.
        noise: Relative standard deviation of what the table leaves unexplained.
        folds: Of the cross-validation.
        nrmse: Root mean squared error over the mean latency.
        rmspe: Root mean squared relative error.
        within_1_percent: Share of networks.
        within_5_percent: Share of networks.
        penalised: Pairs of neighbouring entries that fell with the width and were drawn together.
    """

    timings: int
    entries: int
    rank: int
    nullity: int
    factor: float
    noise: float
    folds: int
    nrmse: float
    rmspe: float
    within_1_percent: float
    within_5_percent: float
    penalised: int


@dataclass(frozen=True, kw_only=True, eq=False)
class LatencyTable:
    """Latencies of operators at every width, as whole networks tell them.

    Attributes:
        grid: What the entries are.
        entries: Seconds, `(entries,)`.
        report: How good it is on networks left out.
    """

    grid: LatencyGrid
    entries: Floats
    report: LatencyReport

    def latency_s(self, genomes: npt.ArrayLike) -> Floats:
        """Returns the predicted seconds of one inference of each network, `(n,)`.

        Raises:
            ShapeError: If the genomes have the wrong shape or a choice is out of range.
        """
        found: Floats = self.entries[self.grid.rows(genomes)].sum(axis=1)
        return found

    def column(self) -> list[tuple[tuple[int, ...], Floats]]:
        """Returns pairs of a factor's groups and its values, `(choices of its groups…,)` seconds."""
        return column_of(self.grid, self.entries)

    def onto(self, costs: WidthCosts, name: str = "latency_s") -> WidthCosts:
        """Returns the costs with the table as a column, in the place of the one of that name if there is one."""
        summed: dict[tuple[int, ...], Floats] = {}
        for scope, values in self.column():
            summed[scope] = summed[scope] + values if scope in summed else values
        return costs.with_column(name, summed)


def column_of(grid: LatencyGrid, entries: Floats) -> list[tuple[tuple[int, ...], Floats]]:
    """Returns the values of entries, factor by factor."""
    pairs = zip(grid.space.factors, grid.index, strict=True)
    return [(factor.groups, entries[numbers]) for factor, numbers in pairs]


def fit_latency_table(
    grid: LatencyGrid,
    genomes: npt.ArrayLike,
    latency_s: npt.ArrayLike,
    prior: Target | str | npt.ArrayLike,
    *,
    noise: float | None = None,
    monotonicity: float | None = MONOTONICITY,
    trust_units: bool = False,
) -> LatencyTable:
    """Learns the entries of a latency table from timings of whole networks.

    The linear system of the timings has many more unknowns than it determines; a ridge towards the prior's price of
    every entry decides the rest, and falling neighbours are softly drawn together (`_table_fit` has the closed form;
    in place of the plain ridge and slack variables of Berman et al. 2020, latency model).

    Args:
        grid: The entries.
        genomes: The timed networks, int64 `(n, groups)`; `covering_genomes` picks good ones.
        latency_s: Seconds of one inference of each, `(n,)`.
        prior: A target or its name, of about the same sort as the device (`accelzoo.hwmodel.calibrate` makes one from
            timings of any networks), or seconds of every entry, `(entries,)`.
        noise: Relative standard deviation of a timing, 0 for an oracle that calculates; fitted if not given.
        monotonicity: How far a wider layer may come out faster than a narrower one, relative to it, before the timings
            must say so themselves; None does not care.
        trust_units: Whether to take latencies that are far from the prior's at their word.

    Raises:
        MeasurementError: If there are fewer than 10 timings, or rows are not positive or in another unit; all rows.
        ConfigError: If the prior's array or a number does not fit.
        ShapeError: If the genomes are none of the space.
    """
    _check_numbers(noise=noise, monotonicity=monotonicity)
    if monotonicity == 0:
        raise ConfigError(["monotonicity (=0) must be above 0; None does not care"])
    rows = grid.rows(genomes)
    seconds = _checked_rows(latency_s, len(rows))
    priced = grid.priced(prior) if isinstance(prior, Target | str) else _checked_prior(prior, grid.entries)
    ratio = seconds / priced[rows].sum(axis=1)
    factor = float(np.median(ratio))
    if not trust_units:
        _check_units(seconds, ratio, factor)
    counts = grid.counts(genomes)
    _, network = np.unique(np.asarray(genomes), axis=0, return_inverse=True)
    folds = network.reshape(-1) % min(FOLDS, int(network.max()) + 1)
    fit = fit_entries(counts, seconds, _features(grid, factor * priced), neighbours_of(grid), folds, noise=noise,
                      monotonicity=monotonicity)  # fmt: skip
    return LatencyTable(grid=grid, entries=fit.entries, report=_report(counts, seconds, fit, factor, int(folds.max())))


def _report(counts: Floats, seconds: Floats, fit: Fit, factor: float, last_fold: int) -> LatencyReport:
    errors = fit.left_out - 1.0
    rank = rank_of(counts)
    return LatencyReport(
        timings=len(seconds),
        entries=counts.shape[1],
        rank=rank,
        nullity=counts.shape[1] - rank,
        factor=factor,
        noise=fit.noise,
        folds=last_fold + 1,
        nrmse=float(np.sqrt(np.mean((errors * seconds) ** 2)) / seconds.mean()),
        rmspe=float(np.sqrt(np.mean(errors**2))),
        within_1_percent=float(np.mean(np.abs(errors) <= 0.01)),
        within_5_percent=float(np.mean(np.abs(errors) <= 0.05)),
        penalised=fit.penalised,
    )


def neighbours_of(grid: LatencyGrid) -> Indices:
    """Returns the pairs of entries of one table of which the second has the next width in one group, `(pairs, 2)`."""
    pairs = [np.zeros((0, 2), np.int64)]
    for table in grid.index:
        for axis in range(table.ndim):
            narrow, wide = (np.moveaxis(table, axis, 0)[part].reshape(-1) for part in (slice(None, -1), slice(1, None)))
            pairs.append(np.column_stack([narrow, wide]))
    return np.unique(np.concatenate(pairs), axis=0)


def _features(grid: LatencyGrid, mean: Floats) -> Features:
    most = max([table.ndim for table in grid.index])
    table, widths = np.zeros(grid.entries, np.int64), np.zeros((grid.entries, most))
    for entry, number, place in grid.places():
        table[entry] = number
        for axis, (group, choice) in enumerate(_choices(grid, number, place)):
            widths[entry, axis] = np.log2(grid.space.widths[group][choice])
    return Features(mean, table, widths)


def _choices(grid: LatencyGrid, number: int, place: Sequence[int]) -> Iterator[tuple[int, int]]:
    return zip(grid.space.factors[number].groups, place, strict=True)


def _check_numbers(**numbers: float | None) -> None:
    for what, number in numbers.items():
        if number is not None and not 0 <= number < np.inf:
            raise ConfigError([f"{what} (={number!r}) must be a finite number, at least 0"])


def _checked_rows(latency_s: npt.ArrayLike, networks: int) -> Floats:
    try:
        seconds = np.asarray(latency_s, np.float64)
    except (TypeError, ValueError) as error:
        raise MeasurementError([Fault(None, f"latency_s must be float64 seconds: {error}")]) from None
    if seconds.shape != (networks,):
        said = f"{networks} networks but latency_s of shape {seconds.shape}; it needs one number per network"
        raise MeasurementError([Fault(None, said)])
    faults = [
        Fault(row, f"latency {value} s; it must be finite and greater than 0")
        for row, value in enumerate(seconds.tolist())
        if not (np.isfinite(value) and value > 0)
    ]
    if not faults and networks < LEAST_TIMINGS:
        faults = [Fault(None, f"{networks} timings; at least {LEAST_TIMINGS} are needed")]
    if faults:
        raise MeasurementError(faults)
    return seconds


def _checked_prior(prior: npt.ArrayLike, entries: int) -> Floats:
    array = np.asarray(prior, np.float64)
    if array.shape != (entries,) or not (np.isfinite(array) & (array > 0)).all():
        raise ConfigError([f"prior: an array of shape {array.shape} must be ({entries},) positive finite seconds"])
    return array


def _check_units(seconds: Floats, ratio: Floats, factor: float) -> None:
    if not FASTEST <= factor <= SLOWEST:
        guess = "milliseconds given as seconds" if factor > 1 else "seconds given as milliseconds"
        said = f"the {len(seconds)} rows are {factor:,.4g} times the prior's latency in the median: {guess}?"
        raise MeasurementError([Fault(0, f"{seconds[0]:.4g} s; {said} If it is right, pass trust_units=True")])
    faults = [
        Fault(row, f"{seconds[row]:.4g} s is {other:,.3g} times what the other rows let expect: another unit, or a "
                   "failed measurement?")
        for row, other in enumerate((ratio / factor).tolist())
        if not 1 / ODDEST <= other <= ODDEST
    ]  # fmt: skip
    if faults:
        raise MeasurementError(faults)
