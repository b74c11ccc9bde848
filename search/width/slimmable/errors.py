"""What every width of every layer adds to the loss: a regression on the losses that training sees anyway."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import numpy as np
import numpy.typing as npt

from accelzoo.errors import ConfigError, ShapeError
from accelzoo.search.genomes import checked_sizes

Floats = npt.NDArray[np.float64]
Indices = npt.NDArray[np.int64]
_STRENGTHS = tuple(10.0 ** (exponent / 2) for exponent in range(-2, 9))


class AdditiveErrors:
    """Least squares of `loss ≈ constant + Σ table of a group at its width`, in which old losses count ever less.

    A loss that is `n` images old has weight `exp(−n / memory)`: exact least squares with exponential forgetting
    (Ljung 1999, §11.2), in its information form, which loses nothing to rounding. Neighbouring widths are drawn
    together as by `smoothness` observations of equality, so that what was never seen, or long ago, is taken for like
    its neighbours and not for average, and noise is not taken for a layer's preference. The additive model is that of
    AOWS (Berman et al. 2020).

    A table's zero is the largest width, since sums only are identifiable.

    Args:
        sizes: The number of widths of each group.
        memory: Images; inf forgets nothing.
        smoothness: Strength of the tie, in observations; None: the one of 10⁻¹ … 10⁴ that makes the losses likeliest
            (evidence of a Gaussian model; MacKay 1992, §3).

    Raises:
        ConfigError: If `memory` or `smoothness` is not positive.
        ShapeError: If a group has no width.
    """

    def __init__(self, sizes: Sequence[int], *, memory: float = 100_000.0, smoothness: float | None = None) -> None:
        faults = [] if memory > 0 else [f"memory (={memory!r}) must be positive"]
        fits = smoothness is None or 0 < smoothness < math.inf
        faults += [] if fits else [f"smoothness (={smoothness!r}) must be positive and finite"]
        if faults:
            raise ConfigError(faults)
        self.sizes = checked_sizes(sizes)
        self.memory, self.smoothness = float(memory), smoothness
        self._first = np.cumsum([1, *self.sizes])  # the constant comes first
        self._free = np.delete(np.arange(self._first[-1]), self._first[1:] - 1)  # largest widths are zero
        self._moments = np.zeros((int(self._first[-1]), int(self._first[-1])))
        self._sums = np.zeros(int(self._first[-1]))
        self._squares = 0.0
        self._tie = self._tied()

    @property
    def weight(self) -> float:
        """How many observations' worth is remembered."""
        return float(self._moments[0, 0])

    def update(self, genomes: npt.ArrayLike, losses: npt.ArrayLike, *, images_each: int = 1) -> None:
        """Takes in the losses of networks.

        Args:
            genomes: int64 `(n, groups)`.
            losses: Of each, `(n,)`: of an image, or less noisy, beyond what the largest network loses on it.
            images_each: How many images each loss is the mean of. It is one observation all the same, since their
                network is one, but so many images older is what was there before.

        Raises:
            ShapeError: If the shapes do not fit, or a choice is out of range.
            ValueError: If a loss is not finite.
        """
        matrix, values = np.asarray(genomes), np.asarray(losses, np.float64)
        if matrix.ndim != 2 or matrix.shape[1] != len(self.sizes) or values.shape != matrix.shape[:1]:
            wanted = f"(n, {len(self.sizes)}) and (n,)"
            raise ShapeError(f"genomes of shape {matrix.shape} and losses of {values.shape} must be {wanted}")
        if len(matrix) and ((matrix < 0) | (matrix >= np.array(self.sizes))).any():
            raise ShapeError(f"choices must be in 0 … {[size - 1 for size in self.sizes]}")
        if not np.isfinite(values).all():
            raise ValueError(f"loss {values[~np.isfinite(values)][0]} is no finite number")
        rows = np.zeros((len(matrix), len(self._sums)))
        rows[:, 0] = 1.0
        np.put_along_axis(rows, matrix + self._first[:-1], 1.0, axis=1)
        kept = math.exp(-len(matrix) * images_each / self.memory)
        self._moments = kept * self._moments + rows.T @ rows
        self._sums = kept * self._sums + rows.T @ values
        self._squares = kept * self._squares + float(values @ values)

    def tables(self) -> tuple[Floats, ...]:
        """Returns what each width of each group adds to the loss of the largest, `(widths,)`; zeros before any loss."""
        solved = self._solved()
        return tuple([solved[a:b].copy() for a, b in zip(self._first[:-1], self._first[1:], strict=True)])

    def predict(self, genomes: npt.ArrayLike) -> Floats:
        """Returns the expected losses of networks, `(n,)`."""
        matrix: Indices = np.asarray(genomes, np.int64)
        solved = self._solved()
        found: Floats = solved[0] + solved[matrix + self._first[:-1]].sum(axis=1)
        return found

    def state(self) -> dict[str, Floats]:
        """Returns all that was learnt, for a checkpoint."""
        return {"moments": self._moments.copy(), "sums": self._sums.copy(), "squares": np.array([self._squares])}

    def load_state(self, state: Mapping[str, Floats]) -> None:
        """Puts back what `state` returned.

        Raises:
            ShapeError: If it is of another space.
        """
        if state["moments"].shape != self._moments.shape:
            raise ShapeError(f"moments of shape {state['moments'].shape} must have shape {self._moments.shape}")
        self._moments, self._sums = state["moments"].copy(), state["sums"].copy()
        self._squares = float(state["squares"][0])

    def _solved(self) -> Floats:
        found = np.zeros(len(self._sums))
        if self.weight > 0:
            place = np.ix_(self._free, self._free)
            moments, tie, sums = self._moments[place], self._tie[place], self._sums[self._free]
            strength = self.smoothness or max(_STRENGTHS, key=lambda x: self._evidence(moments, tie, x, sums))
            found[self._free] = np.linalg.solve(moments + strength * tie, sums)
        return found

    def _evidence(self, moments: Floats, tie: Floats, strength: float, sums: Floats) -> float:
        """Logarithm of the likelihood of all losses under a tie, noise of the best variance, up to a constant."""
        system = moments + strength * tie
        left = max(self._squares - float(sums @ np.linalg.solve(system, sums)), 1e-12 * self._squares, 1e-300)
        prior = (len(sums) - 1) * math.log(strength)  # the constant is not tied
        spread = 2 * float(np.log(np.diagonal(np.linalg.cholesky(system))).sum())
        return 0.5 * (prior - spread - self.weight * math.log(left))

    def _tied(self) -> Floats:
        tie = np.zeros_like(self._moments)
        for first, size in zip(self._first[:-1].tolist(), self.sizes, strict=True):
            for place in range(first, first + size - 1):
                tie[place : place + 2, place : place + 2] += np.array([[1.0, -1.0], [-1.0, 1.0]])
        return tie
