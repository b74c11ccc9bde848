"""The numbers behind a latency table: ridge regression towards a prior, in the metric of what entries have in common.

With prior prices `m` and the counts `A` of the timed networks, each row divided by its latency `y`, the entries are
`m · (1 + d)` and `d` minimises `|A m (1 + d) / y − 1|² / σ² + dᵀ K⁻¹ d`. The kernel `K` is a sum of components, each a
statement on how a device may differ from the prior: by one factor (`scale`), by a fixed time per run of operators
(`start`), by a factor per table (`table`) that may also differ between small and large entries (`size`) and smoothly
over the widths (`smooth`, `fine`), and by each entry's own factor (`own`). The minimum has a closed form,
`d = K Bᵀ (B K Bᵀ + σ²)⁻¹ (1 − B 1)` with `B = A m / y` (Rasmussen & Williams 2006, §2.2), and so have the errors of a
cross-validation (there, §5.4.2). Latency that falls as widths rise is penalised by rows of their own, which are found
by fitting, looking and fitting again: every fit is a closed form.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from accelzoo.hwmodel._calibrate_fit import minimise

Floats = npt.NDArray[np.float64]
Indices = npt.NDArray[np.int64]

VARIANCES = {
    "scale": 1.0,
    "start": 0.3,
    "size": 0.1,
    "table": 0.1,
    "smooth": 0.1,
    "fine": 0.02,
    "own": 0.003,
}
"""Component → variance of an entry's relative deviation that is expected of it before anything is fitted."""
NOISE_VARIANCE = 1e-4
LEAST_NOISE_VARIANCE = 1e-12
SPREAD = 2.5  # standard deviation of a variance's logarithm around what is expected
MOST_ROWS = 250  # that variances are fitted to
LENGTHS = {"size": 2.0, "smooth": 1.0, "fine": 0.35}  # in octaves
REFINEMENTS = 40


@dataclass(frozen=True, slots=True, eq=False)
class Features:
    """What the kernel sees of the entries.

    Attributes:
        mean: Prior price, `(entries,)` seconds, scaled to the timings.
        table: Number of the table that holds it, `(entries,)`.
        widths: Base-2 logarithms of the widths of its groups, `(entries, most groups)`, 0 where a table has fewer.
    """

    mean: Floats
    table: Indices
    widths: Floats

    def components(self) -> dict[str, Floats]:
        """Returns the components of the kernel, `(entries, entries)` each, with 1 as a typical diagonal entry."""
        same = (self.table[:, None] == self.table[None, :]).astype(np.float64)
        start = float(np.median(self.mean)) / self.mean
        size = np.log2(self.mean)
        away = ((self.widths[:, None, :] - self.widths[None, :, :]) ** 2).sum(axis=2)
        return {
            "scale": np.ones_like(same),
            "start": np.outer(start, start),
            "size": np.exp(-0.5 * ((size[:, None] - size[None, :]) / LENGTHS["size"]) ** 2),
            "table": same,
            "smooth": same * np.exp(-0.5 * away / LENGTHS["smooth"] ** 2),
            "fine": same * np.exp(-0.5 * away / LENGTHS["fine"] ** 2),
            "own": np.eye(len(same)),
        }


@dataclass(frozen=True, slots=True, eq=False)
class Fit:
    """A solved system.

    Attributes:
        entries: Seconds, `(entries,)`.
        left_out: Every network as predicted without its fold, relative to its latency, `(networks,)`.
        variances: Of the components.
        noise: Relative standard deviation of a timing.
        penalised: How many pairs of neighbours were found falling and drawn together.
    """

    entries: Floats
    left_out: Floats
    variances: dict[str, float]
    noise: float
    penalised: int


def fit_entries(
    counts: Floats,
    latency_s: Floats,
    features: Features,
    neighbours: Indices,
    folds: Indices,
    *,
    noise: float | None,
    monotonicity: float | None,
    rounds: int = 3,
) -> Fit:
    """Solves the system.

    Args:
        counts: How often each network runs each entry, `(networks, entries)`.
        latency_s: Seconds, `(networks,)`.
        features: Of the entries.
        neighbours: Pairs of entries of which the second has one width more, `(pairs, 2)`.
        folds: The fold of every network, `(networks,)`.
        noise: Relative standard deviation of a timing; None fits it.
        monotonicity: Relative standard deviation within which the second of two neighbours that falls is drawn to the
            first; None leaves them alone.
        rounds: Of looking for falling neighbours.
    """
    design = counts * features.mean / latency_s[:, None]
    residual = 1.0 - design.sum(axis=1)
    components = features.components()
    variances, noise_variance = likely_variances(design, residual, components, noise)
    kernel = sum((variances[name] * part for name, part in components.items()), np.zeros_like(components["own"]))
    del components
    system = _System(design, residual, kernel, noise_variance)
    falling = np.zeros((0, 2), np.int64)
    for _ in range(rounds + 1):
        system.draw_together(falling, features.mean, monotonicity or 1.0)
        entries = features.mean * (1.0 + system.solved())
        fallen = neighbours[entries[neighbours[:, 1]] < entries[neighbours[:, 0]]]
        joined = np.unique(np.concatenate([falling, fallen]), axis=0)
        if monotonicity is None or len(joined) == len(falling):
            break
        falling = joined
    left_out = 1.0 - system.left_out(folds)
    return Fit(entries, left_out, variances, float(np.sqrt(noise_variance)), len(falling))


class _System:
    """The linear system of the timings, and of the neighbours that are drawn together."""

    def __init__(self, design: Floats, residual: Floats, kernel: Floats, noise_variance: float) -> None:
        self._networks = len(design)
        self._timed = design, residual, design @ kernel
        self._kernel = kernel
        self._noise_variance = noise_variance
        self._system = self._timed[2] @ design.T
        # What the kernel cannot tell apart to float64's precision is noise, however little there is of it.
        least = 8 * np.finfo(np.float64).eps * float(np.diag(self._system).max())
        self._system[np.diag_indices_from(self._system)] += max(noise_variance, least)
        self._timed_inverse = np.linalg.inv(self._system)
        self._design, self._residual, self._projected = self._timed
        self._inverse = self._timed_inverse

    def draw_together(self, falling: Indices, mean: Floats, deviation: float) -> None:
        """Gives every pair of neighbours a row, whose difference is expected to be 0 within `deviation`."""
        design, residual, projected = self._timed
        first, second = falling[:, 0], falling[:, 1]
        scale = np.maximum(mean[first], mean[second])
        low, high, number = mean[first] / scale, mean[second] / scale, np.arange(len(falling))
        rows = np.zeros((len(falling), len(mean)))
        rows[number, second], rows[number, first] = high, -low
        own = high[:, None] * self._kernel[second] - low[:, None] * self._kernel[first]
        self._design = np.concatenate([design, rows])
        self._residual = np.concatenate([residual, low - high])
        self._projected = np.concatenate([projected, own])
        across = design @ own.T
        among = own @ rows.T + deviation**2 * np.eye(len(falling))
        if self._noise_variance <= LEAST_NOISE_VARIANCE:  # blocks would lose too many digits
            self._inverse = np.linalg.inv(np.block([[self._system, across], [across.T, among]]))
            return
        # The inverse of the joint system by blocks, from that of the timings, which stays the same.
        through = self._timed_inverse @ across
        corner = np.linalg.inv(among - across.T @ through)
        side = through @ corner
        self._inverse = np.block([[self._timed_inverse + side @ through.T, -side], [-side.T, corner]])

    def solved(self) -> Floats:
        """Returns the deviations, `(entries,)`; without noise refined until the timings are met."""
        weights = self._inverse @ self._residual
        found: Floats = weights @ self._projected
        if self._noise_variance > LEAST_NOISE_VARIANCE:
            return found
        for _ in range(REFINEMENTS):
            missing = self._residual - self._design @ found
            missing[self._networks :] = 0.0  # neighbours are drawn together, but never exactly
            better: Floats = found + (self._inverse @ missing) @ self._projected
            after = np.abs((self._residual - self._design @ better)[: self._networks]).max(initial=0.0)
            if after >= np.abs(missing).max(initial=0.0):
                break
            found = better
        return found

    def left_out(self, folds: Indices) -> Floats:
        """Returns what is left of each network's residual when its fold is left out, `(networks,)`."""
        weights = self._inverse @ self._residual
        found = np.empty(self._networks)
        for fold in np.unique(folds):
            own = np.flatnonzero(folds == fold)
            found[own] = np.linalg.solve(self._inverse[np.ix_(own, own)], weights[own])
        return found


def likely_variances(
    design: Floats, residual: Floats, components: dict[str, Floats], noise: float | None
) -> tuple[dict[str, float], float]:
    """Maximises the marginal likelihood times a log-normal expectation of each variance, on some of the networks."""
    rows = np.linspace(0, len(design) - 1, min(len(design), MOST_ROWS)).round().astype(int)
    some, missing = design[rows], residual[rows]
    names = list(components)
    parts = np.stack([*[some @ components[name] @ some.T for name in names], np.eye(len(rows))])
    expected = np.log([*(VARIANCES[name] for name in names), NOISE_VARIANCE])
    fixed = None if noise is None else np.log(max(noise**2, LEAST_NOISE_VARIANCE))

    def loss(logs: Floats) -> tuple[float, Floats]:
        scales = np.exp(logs)
        scales[-1] = np.exp(fixed) if fixed is not None else scales[-1] + LEAST_NOISE_VARIANCE
        system = np.tensordot(scales, parts, axes=1)
        system += 8 * np.finfo(np.float64).eps * float(np.diag(system).max()) * np.eye(len(rows))
        inverse = np.linalg.inv(system)
        solved = inverse @ missing
        _, log_determinant = np.linalg.slogdet(system)
        away = (logs - expected) / SPREAD
        value = (missing @ solved + log_determinant + away @ away) / 2
        slopes = np.einsum("kij,ij->k", parts, inverse - np.outer(solved, solved))
        gradient = np.exp(logs) * slopes / 2 + away / SPREAD
        if fixed is not None:
            gradient[-1] = away[-1] / SPREAD
        return float(value), gradient

    found = np.exp(minimise(loss, expected))
    variances = dict(zip(names, found[:-1].tolist(), strict=True))
    return variances, max(noise**2, LEAST_NOISE_VARIANCE) if noise is not None else float(found[-1])
