"""ScoreTable: the closed-form scores of many genomes of a space by look-up."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from accelzoo import draw
from accelzoo.arch import Arch
from accelzoo.errors import AccelzooError, ConfigError, ShapeError
from accelzoo.heads import ClassificationHead
from accelzoo.hwmodel.ir import GraphBuilder, Op, Shape
from accelzoo.search.genomes import random_genome
from accelzoo.search.scores._combination import DEFAULT_COMBINATION, rank_combination
from accelzoo.search.scores._flow import flow_of
from accelzoo.search.scores._score import GraphScore
from accelzoo.search.space import Genome, SearchSpace

CHECKS = 16
TOLERANCE = 1e-9
MOST_CHOICES = 1 << 20
_UNKNOWN = -1


class _Entering(NamedTuple):
    """What a part sees of the network before it: choices that concern the whole network, the map, its variance."""

    choices: int
    shape: Shape
    variance: float


@dataclass(slots=True)
class _Part:
    """The stem, a stage or the head: which positions are its own, and what is known of it.

    `following[state, code]` is the state behind it, `values[state, code]` the scores' terms.
    """

    positions: list[int]
    sizes: tuple[int, ...]
    scores: int
    following: npt.NDArray[np.int64] = field(init=False)
    values: npt.NDArray[np.float64] = field(init=False)

    def __post_init__(self) -> None:
        self.following = np.empty((0, math.prod(self.sizes)), np.int64)
        self.values = np.empty((0, math.prod(self.sizes), self.scores))

    def reserve(self, states: int) -> None:
        """Makes room for so many states, at least twice the room that there was."""
        if states > len(self.following):
            more = max(states, 2 * len(self.following)) - len(self.following)
            choices = self.following.shape[1]
            self.following = np.concatenate([self.following, np.full((more, choices), _UNKNOWN)])
            self.values = np.concatenate([self.values, np.zeros((more, choices, self.scores))])

    def codes(self, matrix: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
        """One number for the part's own choices of every genome."""
        code = np.zeros(len(matrix), np.int64)
        for position, size in zip(self.positions, self.sizes, strict=True):
            code = code * size + matrix[:, position]
        return code


class ScoreTable:
    """Scores the genomes of a space by look-up.

    A closed-form score is a sum over stem, stages and head. The terms of a part follow from its own choices, from those
    that concern the whole network, and from the shape and the variance of the map that enters it; each such entry is
    worked out once, from the first genome that needs it.

    Args:
        space: Its `knobs` say by their `path` which part they concern (`accelzoo.knobs.Space`), its architectures
            classify.
        names: The closed-form scores to look up, by name or themselves.
        seed: Draws the genomes on which the table is compared with the scores themselves.

    Raises:
        ConfigError: If a score has no closed form, or a part of the space has too many choices.
        ShapeError: If the space's architectures do not fall into parts, or the comparison fails.
    """

    def __init__(
        self, space: SearchSpace, names: Sequence[str | GraphScore] = DEFAULT_COMBINATION, *, seed: int = 0
    ) -> None:
        self.space = space
        self.names = tuple(name if isinstance(name, str) else name.name for name in names)
        self.sizes = tuple(space.sizes)
        self._scores = _closed_forms(names)
        own = _positions(space)
        # The choices that concern the whole network are the stem's own; what enters later parts repeats them.
        self._parts = [_Part(where, tuple(self.sizes[at] for at in where), len(self.names)) for where in [*own, []]]
        if (most := max(math.prod(part.sizes) for part in self._parts)) > MOST_CHOICES:
            raise ConfigError([f"a part of the space has {most:,} choices: a ScoreTable takes up to {MOST_CHOICES:,}"])
        self._states: list[dict[Any, int]] = [{None: 0}, *({} for _ in self._parts)]
        self._parts[0].reserve(1)
        self._check(seed)

    @property
    def entries(self) -> int:
        """Number of entries known so far, over all parts."""
        return sum(int((part.following != _UNKNOWN).sum()) for part in self._parts)

    def values(self, genomes: npt.ArrayLike) -> npt.NDArray[np.float64]:
        """Scores genomes.

        Args:
            genomes: Integers `(n, positions)`, one choice per position.

        Returns:
            float64 `(n, scores)`, in the order of `names`; as the scores themselves say, up to rounding.

        Raises:
            ShapeError: If the genomes have the wrong shape, a choice is out of range or a genome makes no network.
        """
        matrix = self._checked(genomes)
        total = np.tile([score.constant for score in self._scores], (len(matrix), 1))
        state = np.zeros(len(matrix), np.int64)
        for part in self._parts:
            code = part.codes(matrix)
            found = part.following[state, code]
            while (missing := np.flatnonzero(found == _UNKNOWN)).size:
                _, first = np.unique(state[missing] * part.following.shape[1] + code[missing], return_index=True)
                for row in missing[first]:
                    self._learn(tuple(matrix[row].tolist()))
                found = part.following[state, code]
            total += part.values[state, code]
            state = found
        return total

    def combined(self, genomes: npt.ArrayLike) -> npt.NDArray[np.float64]:
        """Ranks genomes among each other by all of the table's scores; see `rank_combination`.

        Args:
            genomes: Integers `(n, positions)`.

        Returns:
            float64 `(n,)` from 0 (worst) to 1 (best).

        Raises:
            ShapeError: As `values` does.
        """
        return rank_combination(dict(zip(self.names, self.values(genomes).T, strict=True)))

    def _checked(self, genomes: npt.ArrayLike) -> npt.NDArray[np.int64]:
        matrix = np.asarray(genomes)
        if matrix.ndim != 2 or matrix.shape[1] != len(self.sizes) or not np.issubdtype(matrix.dtype, np.integer):
            raise ShapeError(
                f"genomes of shape {matrix.shape} and type {matrix.dtype} must be integers (n, {len(self.sizes)})"
            )
        wrong = np.argwhere((matrix < 0) | (matrix >= np.array(self.sizes)))
        if len(wrong):
            row, position = wrong[0].tolist()
            raise ShapeError(
                f"row {row}: choice {matrix[row, position]} at position {position} must be in "
                f"0 … {self.sizes[position] - 1}"
            )
        return matrix.astype(np.int64, copy=False)

    def _decoded(self, genome: Genome) -> Arch:
        try:
            arch = self.space.decode(genome)
        except AccelzooError as error:
            raise ShapeError(f"genome {genome} makes no network: {error}") from error
        if not isinstance(arch, Arch) or not isinstance(arch.head, ClassificationHead):
            raise ShapeError("a ScoreTable needs a space of architectures that classify: score others one by one")
        if len(arch.stages) != len(self._parts) - 2:
            raise ShapeError("a ScoreTable needs a space whose stages are fixed in number: score others one by one")
        return arch

    def _learn(self, genome: Genome) -> None:
        """Walks through a network and notes the terms of every part of it."""
        arch = self._decoded(genome)
        row = np.array([genome], np.int64)
        choices = int(self._parts[0].codes(row)[0])
        state, shape, variance = 0, arch.input_size, 1.0
        for index, part in enumerate(self._parts):
            ops, shape = _part_ops(arch, index - 1, shape)
            flow = flow_of(ops, variance)
            code = int(part.codes(row)[0])
            part.values[state, code] = [score.terms(ops, flow) for score in self._scores]
            variance = flow.variance
            known = self._states[index + 1]
            following = known.setdefault(_Entering(choices, shape, variance), len(known))
            if index + 1 < len(self._parts):
                self._parts[index + 1].reserve(len(known))
            part.following[state, code] = following
            state = following

    def _check(self, seed: int) -> None:
        rng = draw.generator(seed)
        for _ in range(CHECKS):
            genome = random_genome(self.sizes, rng)
            (values,) = self.values([genome])
            arch = self._decoded(genome)
            wanted = np.array([score(arch) for score in self._scores])
            if not np.allclose(values, wanted, rtol=TOLERANCE, atol=0):
                raise ShapeError(
                    f"genome {genome}: the table says {values}, the scores say {wanted}; a knob of this space reaches "
                    "further than its path says: score its architectures one by one"
                )


def _closed_forms(names: Sequence[str | GraphScore]) -> list[GraphScore]:
    from accelzoo.search.scores import get_score

    found = [get_score(name) if isinstance(name, str) else name for name in names]
    closed = [score for score in found if isinstance(score, GraphScore)]
    if not found or len(closed) < len(found):
        others = [score.name for score in found if not isinstance(score, GraphScore)]
        faults = [f"the score {name!r} is no sum over operators, as a ScoreTable needs" for name in others]
        raise ConfigError(faults or ["a ScoreTable needs at least one score"])
    return closed


def _positions(space: Any) -> list[list[int]]:
    """Positions of what concerns the whole network, then of every stage."""
    knobs = getattr(space, "knobs", None)
    if knobs is None:
        raise ShapeError("a ScoreTable needs a space whose knobs say where they stand: score others one by one")
    whole: list[int] = []
    stages = len(space.decode(tuple([0] * len(knobs))).stages)
    own: list[list[int]] = [[] for _ in range(stages)]
    for index, knob in enumerate(knobs):
        path = knob.path
        in_stage = len(path) > 1 and path[0] == "stages" and isinstance(path[1], int)
        (own[path[1]] if in_stage else whole).append(index)
    return [whole, *own]


def _part_ops(arch: Arch, index: int, shape: Shape) -> tuple[tuple[Op, ...], Shape]:
    """Operators of the stem (−1), a stage, or the head (behind the last one) for an input, and the output's shape."""
    graph = GraphBuilder(shape)
    x = graph.input
    if index < 0:
        x = arch.stem.lower(graph, x)
    elif index < len(arch.stages):
        for repeat, block in enumerate(arch.stages[index].blocks()):
            x = block.lower(graph, f"{repeat}", x)
    else:
        (x,) = arch.head.lower(graph, {1: x})
    return tuple(graph.ops), graph.shape(x)
