"""Dynamic programming over a factor graph: groups set one after the other, a few of them remembered at a time.

What is remembered is the frontier: the groups already set that a factor shares with one not yet set. In a chain it is
one group, in a tree a few, and so every sum or minimum over all networks costs what the widest frontier has choices
(variable elimination, in the form of a path decomposition: Koller & Friedman 2009, §9.3; Bodlaender 1998, §3).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from accelzoo import draw
from accelzoo.errors import AccelzooError

Floats = npt.NDArray[np.float64]
Indices = npt.NDArray[np.int64]
MAX_ARCS = 3_000_000
_STARTS = 4


class TooWideError(AccelzooError):
    """A factor graph whose frontier has too many choices for dynamic programming."""


@dataclass(frozen=True, slots=True, eq=False)
class Step:
    """One group being set: arcs from every state of the frontier before to those behind, for each of its choices.

    Attributes:
        group: The group.
        size: Number of its choices; the arcs of a state stand together, in the order of choices.
        source: State before, `(arcs,)`, ascending.
        target: State behind, `(arcs,)`.
        choice: The group's choice, `(arcs,)`.
        incoming: The arcs that lead to each state behind, `(states, arcs of each)`.
        reads: The factors whose last group this is, and where in each, flattened, the arcs find their value, `(arcs,)`.
    """

    group: int
    size: int
    source: Indices
    target: Indices
    choice: Indices
    incoming: Indices
    reads: tuple[tuple[int, Indices], ...]


class Sweep:
    """An order of the groups and its steps.

    Args:
        sizes: Number of choices of each group.
        scopes: The groups of each factor.
        max_arcs: The most arcs, over all steps.

    Raises:
        TooWideError: If they do not suffice.
    """

    def __init__(self, sizes: Sequence[int], scopes: Sequence[tuple[int, ...]], max_arcs: int = MAX_ARCS) -> None:
        self.sizes = tuple(sizes)
        order, arcs = best_order(sizes, scopes)
        if arcs > max_arcs:
            raise TooWideError(
                f"the factor graph's loops need {arcs:,} states, more than {max_arcs:,}: use method='milp'"
            )
        self.steps: list[Step] = []
        left = set(range(len(scopes)))
        before: tuple[int, ...] = ()
        for group, finished in reading_order(order, scopes):
            left.difference_update(finished)
            needed = {x for number in left for x in scopes[number]}
            behind = tuple([x for x in (*before, group) if x in needed])
            self.steps.append(self._step(group, before, behind, [(number, scopes[number]) for number in finished]))
            before = behind

    def _step(
        self,
        group: int,
        before: tuple[int, ...],
        behind: tuple[int, ...],
        scopes: Sequence[tuple[int, tuple[int, ...]]],
    ) -> Step:
        present = (*before, group)
        shape = tuple([self.sizes[x] for x in present])
        index = dict(zip(present, np.indices(shape).reshape(len(present), -1), strict=True))
        arcs = math.prod(shape)

        def flat(groups: Sequence[int]) -> Indices:
            place = np.zeros(arcs, np.int64)
            for x in groups:
                place = place * self.sizes[x] + index[x]
            return place

        target = flat(behind)
        states = math.prod([self.sizes[x] for x in behind])
        incoming = np.argsort(target, kind="stable").reshape(states, -1)
        reads = tuple([(number, flat(scope)) for number, scope in scopes])
        return Step(group, self.sizes[group], flat(before), target, index[group].astype(np.int64), incoming, reads)

    def arc_values(self, tables: Sequence[Floats]) -> list[Floats]:
        """Returns what each arc adds, `(arcs,)` for every step, of factors' values `(choices of its groups…,)`."""
        found = []
        for step in self.steps:
            total = np.zeros(len(step.source))
            for number, place in step.reads:
                total += tables[number].reshape(-1)[place]
            found.append(total)
        return found

    def least(self, costs: Sequence[Floats]) -> tuple[float, tuple[int, ...]]:
        """Finds the genome of least cost (Viterbi 1967); of equals the one whose last groups have the first choices.

        Args:
            costs: What each arc adds, `(arcs,)` for every step; inf forbids it.

        Returns:
            Its cost (inf if all are forbidden) and the genome.
        """
        best = np.zeros(1)
        taken = []
        for step, cost in zip(self.steps, costs, strict=True):
            total = (best[step.source] + cost)[step.incoming]
            column = total.argmin(axis=1)
            rows = np.arange(len(column))
            best = total[rows, column]
            taken.append(step.incoming[rows, column])
        genome = [0] * len(self.sizes)
        state = 0
        for step, arcs in zip(reversed(self.steps), reversed(taken), strict=True):
            arc = int(arcs[state])
            genome[step.group] = int(step.choice[arc])
            state = int(step.source[arc])
        return float(best[0]), tuple(genome)

    def behind(self, scores: Sequence[Floats]) -> list[Floats]:
        """Returns for every step the logarithm of the summed weights of all ways to the end from each state before it.

        Args:
            scores: Logarithm of what each arc multiplies a weight by, `(arcs,)` for every step.
        """
        found = [np.zeros(1)]
        for step, score in zip(reversed(self.steps), reversed(scores), strict=True):
            found.append(log_sums((score + found[-1][step.target]).reshape(-1, step.size)))
        return found[::-1]

    def before(self, scores: Sequence[Floats]) -> list[Floats]:
        """Returns for every step the logarithm of the summed weights of all ways to each state before it."""
        found = [np.zeros(1)]
        for step, score in zip(self.steps, scores, strict=True):
            found.append(log_sums((found[-1][step.source] + score)[step.incoming]))
        return found[:-1]

    def sample(self, scores: Sequence[Floats], count: int, rng: np.random.Generator) -> Indices:
        """Draws genomes with the weights' probabilities, group by group given those before (ancestral sampling).

        Args:
            scores: As for `behind`.
            count: How many, each independent of the others.
            rng: Where uniform draws come from, one per genome and group.

        Returns:
            Genomes, int64 `(count, groups)`.
        """
        behind = self.behind(scores)
        states = np.zeros(count, np.int64)
        genomes = np.zeros((count, len(self.sizes)), np.int64)
        for step, score, ahead in zip(self.steps, scores, behind[1:], strict=True):
            weights = (score + ahead[step.target]).reshape(-1, step.size)
            cumulative = np.cumsum(probabilities(weights), axis=1)[states]
            drawn = np.array([draw.uniform(rng) for _ in range(count)])
            choice = chosen(cumulative, drawn)
            genomes[:, step.group] = choice
            states = step.target[states * step.size + choice]
        return genomes


def log_sums(scores: Floats) -> Floats:
    """Returns the logarithm of the sum of exponentials of each row; −inf for a row of −inf."""
    most = scores.max(axis=1)
    shift = np.where(np.isfinite(most), most, 0.0)
    with np.errstate(divide="ignore"):
        found: Floats = np.log(np.exp(scores - shift[:, None]).sum(axis=1)) + shift
    return found


def probabilities(scores: Floats) -> Floats:
    """Returns each row's exponentials divided by their sum; a row of −inf, which nothing leads to, stays 0."""
    total = log_sums(scores)
    found: Floats = np.exp(scores - np.where(np.isfinite(total), total, 0.0)[:, None])
    return found


def reading_order(order: Sequence[int], scopes: Sequence[tuple[int, ...]]) -> list[tuple[int, list[int]]]:
    """Returns each group with the factors that can be read once it is set, in the order in which groups are set."""
    left = dict(enumerate(scopes))
    done: set[int] = set()
    found = []
    for group in order:
        done.add(group)
        finished = [number for number, scope in left.items() if done.issuperset(scope)]
        for number in finished:
            del left[number]
        found.append((group, finished))
    return found


def chosen(cumulative: Floats, drawn: Floats) -> Indices:
    """Returns for uniform numbers `(n,)` the choices that they fall on, by cumulative probabilities `(n, choices)`."""
    last = (cumulative < cumulative[:, -1:]).sum(axis=1)  # behind it nothing is likely; rounding must not lead there
    found: Indices = np.minimum((cumulative <= drawn[:, None] * cumulative[:, -1:]).sum(axis=1), last)
    return found


def best_order(sizes: Sequence[int], scopes: Sequence[tuple[int, ...]]) -> tuple[list[int], int]:
    """Returns an order of the groups with few arcs, and their number.

    Greedy from several starts: always the group that leaves the smallest frontier, of equals one next to it, then the
    first in the network.
    """
    neighbours: list[set[int]] = [set() for _ in sizes]
    for scope in scopes:
        for group in scope:
            neighbours[group].update(x for x in scope if x != group)
    ends = sorted(range(len(sizes)), key=lambda group: (len(neighbours[group]), group))[:_STARTS]
    found = [_greedy(sizes, neighbours, start) for start in dict.fromkeys([0, *ends, len(sizes) - 1])]
    return min(found, key=lambda pair: pair[1])


def _greedy(sizes: Sequence[int], neighbours: Sequence[set[int]], start: int) -> tuple[list[int], int]:
    order: list[int] = []
    frontier: set[int] = set()
    left = set(range(len(sizes)))
    arcs = 0
    group = start
    while True:
        arcs += math.prod([sizes[x] for x in frontier]) * sizes[group]
        order.append(group)
        left.discard(group)
        frontier = {x for x in (*frontier, group) if neighbours[x] & left}
        if not left:
            return order, arcs
        group = min(left, key=lambda x: _rank(x, sizes, neighbours, frontier, left))


def _rank(
    group: int, sizes: Sequence[int], neighbours: Sequence[set[int]], frontier: set[int], left: set[int]
) -> tuple[int, bool, int]:
    after = [sizes[x] for x in (*frontier, group) if neighbours[x] & left - {group}]
    return math.prod(after), not neighbours[group] & frontier, group
