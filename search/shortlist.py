"""The cheap end of a search: of very many genomes, a short list that prices and zero-cost scores speak for.

    shortlist = ...shortlist(space, costs=TargetCosts(target), budgets={"weight_bytes": 1e5}, draw=1_000_000, keep=512)
    run(space, signal, pool=shortlist.genomes, ...)     # only these are trained

Genomes are drawn uniformly, or all of a space that is smaller; different architectures count once, those over budget
are dropped, and the rest are scored in closed form and compared by rank. What is kept spans the front of score and
price: non-dominated fronts are taken off one after the other, and of the last that does not fit whole, the lonely ones
(`benchmarks/shortlist.md` compares that with the best scores alone and with the best per bin of latency).
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from accelzoo import draw as draws
from accelzoo.errors import ConfigError, DataError, ShapeError, suggestion
from accelzoo.search.algorithms._draws import below
from accelzoo.search.canonical import CanonicalTable, first_of_each, packed
from accelzoo.search.genomes import checked_sizes, genome_count
from accelzoo.search.objective import Budgets
from accelzoo.search.pareto import rank_and_crowd
from accelzoo.search.plan import identity
from accelzoo.search.pricer import Pricer
from accelzoo.search.record import COST_FIELDS
from accelzoo.search.scores import DEFAULT_COMBINATION, ScoreTable, rank_combination
from accelzoo.search.shortlist_progress import ShortlistLine
from accelzoo.search.space import GenomeMatrix, SearchSpace

CHUNK = 1 << 14
GROWTH_ROUNDS = 32
SCHEMA = 1
Matrix = npt.NDArray[np.float64]
_DRAWS, _GROWTH = 0, 1
"""Streams of the seed."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Shortlist:
    """What is worth training.

    Attributes:
        genomes: int64 `(kept, positions)`, canonical, the best score first.
        scores: float64 `(kept,)`: mean rank among all feasible architectures that were seen, from 0 (worst) to 1.
        prices: float64 `(kept, len(COST_FIELDS))`, in the order of `COST_FIELDS`; no columns without costs.
        seen: Genomes looked at.
        feasible: Different architectures among them that meet the budgets.
        settings: What decided all of it, as plain data.
    """

    genomes: GenomeMatrix
    scores: Matrix
    prices: Matrix
    seen: int
    feasible: int
    settings: Mapping[str, Any]

    def __len__(self) -> int:
        return len(self.genomes)

    def digest(self) -> str:
        """Returns `sha256:…` over the genomes in order."""
        shape = ",".join(map(str, self.genomes.shape))
        return "sha256:" + hashlib.sha256(shape.encode() + self.genomes.astype("<i8").tobytes()).hexdigest()

    def summary(self) -> str:
        """Says in words how many were seen and kept."""
        return f"{self.seen:,} genomes, {self.feasible:,} different architectures within budget, {len(self):,} kept"

    def to_json(self) -> dict[str, Any]:
        """Returns plain data, which `from_json` reads back."""
        return {
            "schema": SCHEMA,
            "settings": dict(self.settings),
            "digest": self.digest(),
            "seen": self.seen,
            "feasible": self.feasible,
            "genomes": self.genomes.tolist(),
            "scores": self.scores.tolist(),
            "prices": self.prices.tolist(),
        }

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Shortlist:
        """The inverse of `to_json`.

        Raises:
            DataError: If it is something else, or was changed.
        """
        try:
            genomes = np.array(data["genomes"], np.int64)
            found = cls(
                genomes=genomes.reshape(len(genomes), -1),
                scores=np.array(data["scores"], np.float64),
                prices=np.array(data["prices"], np.float64).reshape(len(genomes), -1),
                seen=int(data["seen"]),
                feasible=int(data["feasible"]),
                settings=data["settings"],
            )
            digest = data["digest"]
        except (KeyError, TypeError, ValueError) as error:
            raise DataError(f"not a shortlist: {type(error).__name__}: {error}") from error
        if found.digest() != digest:
            raise DataError(f"the shortlist was changed: recorded {digest}, its genomes have {found.digest()}")
        return found


def shortlist(
    space: SearchSpace,
    *,
    costs: Callable[[Any], Any] | None = None,
    budgets: Mapping[str, float] | Budgets | None = None,
    draw: int = 100_000,
    keep: int = 512,
    scores: Sequence[str] = DEFAULT_COMBINATION,
    minimise: Sequence[str] | None = None,
    seed: int = 0,
    progress: bool | None = False,
) -> Shortlist:
    """Draws, prices, scores and keeps; the module's docstring says how.

    Where fewer than `keep` of what was drawn meet the budgets, feasible architectures one knob away from those are
    added, and from these, until there are enough or no more.

    Args:
        space: Architectures that classify, whose knobs say where they stand (see `ScoreTable`).
        costs: Architecture → cost (see `TargetCosts`, which prices by look-up).
        budgets: Cost field → the most it may be.
        draw: Genomes to look at; a space of no more is looked at as a whole. Memory: some 60 bytes for each
            that is feasible.
        keep: The most to keep.
        scores: Zero-cost scores in closed form, combined by rank.
        minimise: Cost fields that what is kept spans beside the score: `latency_s` by default, with costs.
        seed: Seeds the draws.
        progress: Show a line on standard error; None: if that is a terminal.

    Raises:
        BudgetError: If nothing meets the budgets; it names what is achievable, exact where prices are additive.
        ConfigError: If an argument is out of range, or a score has no closed form.
        ShapeError: If the space's architectures cannot be scored by look-up.
    """
    settings = settings_of(
        space, costs=costs, budgets=budgets, draw=draw, keep=keep, scores=scores, minimise=minimise, seed=seed
    )
    with ShortlistLine(min(draw, genome_count(tuple(space.sizes))), progress) as line:
        work = _Work(space, Pricer(space, costs, Budgets.of(budgets)), settings, line)
        work.look()
        return work.chosen()


def settings_of(
    space: SearchSpace,
    *,
    costs: Callable[[Any], Any] | None = None,
    budgets: Mapping[str, float] | Budgets | None = None,
    draw: int = 100_000,
    keep: int = 512,
    scores: Sequence[str] = DEFAULT_COMBINATION,
    minimise: Sequence[str] | None = None,
    seed: int = 0,
) -> dict[str, Any]:
    """Returns what decides a shortlist, as plain data: of equal settings, equal shortlists.

    Args: as `shortlist` takes them.

    Raises:
        ConfigError: If an argument is out of range, or needs costs that there are not.
    """
    limits = Budgets.of(budgets)
    fields = (("latency_s",) if costs is not None else ()) if minimise is None else tuple(minimise)
    faults = [f"{name} (={count}) must be at least 1" for name, count in (("draw", draw), ("keep", keep)) if count < 1]
    faults += [
        f"minimise: unknown cost field {name!r}; allowed: {', '.join(COST_FIELDS)}{suggestion(name, COST_FIELDS)}"
        for name in fields
        if name not in COST_FIELDS
    ]
    if costs is None and (fields or limits):
        faults.append("budgets and `minimise` need costs")
    if faults:
        raise ConfigError(faults)
    return {
        "budgets": dict(limits.maxima),
        "draw": draw,
        "keep": keep,
        "minimise": list(fields),
        "scores": list(scores),
        "seed": seed,
        "space": space.digest(),
        "target": identity(costs),
    }


class _Work:
    """A shortlist in the making: everything feasible that was seen, packed."""

    def __init__(self, space: SearchSpace, pricer: Pricer, settings: Mapping[str, Any], line: ShortlistLine) -> None:
        self._sizes = checked_sizes(space.sizes)
        self._space = space
        self._pricer = pricer
        self._settings = settings
        self._line = line
        self._canonical = CanonicalTable(space)
        self._table = ScoreTable(space, settings["scores"])
        self._small = np.uint8 if max(self._sizes) <= 1 << 8 else np.int64
        self._seen = 0
        self._genomes = np.empty((0, len(self._sizes)), self._small)
        self._words = packed(np.empty((0, len(self._sizes)), np.int64), self._sizes)
        self._prices = np.empty((0, len(COST_FIELDS) if pricer.priced else 0))
        self._scores = np.empty((0, len(self._table.names)))

    def look(self) -> None:
        """Looks at what is drawn, or at everything; then around what is feasible, if that is little."""
        count = genome_count(self._sizes)
        whole = count <= self._settings["draw"]
        rng = draws.generator(self._settings["seed"], _DRAWS)
        parts = []
        for start in range(0, count if whole else self._settings["draw"], CHUNK):
            size = min(CHUNK, (count if whole else self._settings["draw"]) - start)
            genomes = _numbered(start, size, self._sizes) if whole else _drawn(rng, size, self._sizes)
            parts.append(self._judged(genomes))
            self._line.update(seen=self._seen, feasible=sum(len(part[0]) for part in parts))
        self._add(parts)
        if not len(self._genomes):
            example = self._pricer.feasible_genome(exhausted=whole, seed=self._settings["seed"])
            self._add([self._judged(np.array([example], np.int64))])
        if not whole:
            self._grow()

    def chosen(self) -> Shortlist:
        """Scores by rank and keeps."""
        combined = rank_combination(dict(zip(self._table.names, self._scores.T, strict=True)))
        fields = [COST_FIELDS.index(name) for name in self._settings["minimise"]]
        rows = select(combined, self._prices[:, fields], self._settings["keep"])
        self._line.update(seen=self._seen, feasible=len(self._genomes), kept=len(rows), final=True)
        return Shortlist(
            genomes=self._genomes[rows].astype(np.int64),
            scores=combined[rows],
            prices=self._prices[rows],
            seen=self._seen,
            feasible=len(self._genomes),
            settings=self._settings,
        )

    def _judged(self, genomes: GenomeMatrix) -> tuple[Any, ...]:
        """Returns what is feasible of some genomes: packed words, genomes, prices, scores."""
        self._seen += len(genomes)
        genomes = self._canonical(genomes)
        words = packed(genomes, self._sizes)
        rows = first_of_each(words)
        prices, fit = self._pricer.judge(genomes[rows])
        rows, prices = rows[fit], prices[fit]
        scores = self._scored(genomes[rows])
        made = ~np.isnan(scores).any(axis=1)
        rows = rows[made]
        return words[rows], genomes[rows].astype(self._small), prices[made], scores[made]

    def _scored(self, genomes: GenomeMatrix) -> Matrix:
        """Scores all at once; where one of them makes no network, the halves, until it stands alone with NaN."""
        try:
            return self._table.values(genomes)
        except ShapeError:
            if len(genomes) == 1:
                return np.full((1, len(self._table.names)), math.nan)
            half = len(genomes) // 2
            return np.concatenate([self._scored(genomes[:half]), self._scored(genomes[half:])])

    def _add(self, parts: Sequence[tuple[Any, ...]]) -> None:
        """Joins what was judged with what is there; of equal architectures the first stays."""
        held = (self._words, self._genomes, self._prices, self._scores)
        words, genomes, prices, scores = (np.concatenate(column) for column in zip(held, *parts, strict=True))
        rows = first_of_each(words)
        self._words, self._genomes, self._prices, self._scores = words[rows], genomes[rows], prices[rows], scores[rows]

    def _grow(self) -> None:
        """Adds feasible neighbours of what is feasible while that is fewer than are to be kept."""
        rng = draws.generator(self._settings["seed"], _GROWTH)
        for _ in range(GROWTH_ROUNDS):
            before = len(self._genomes)
            if before >= self._settings["keep"] or not before:
                return
            self._add([self._judged(self._neighbours(rng))])
            self._line.update(seen=self._seen, feasible=len(self._genomes))
            if len(self._genomes) == before:
                return

    def _neighbours(self, rng: np.random.Generator) -> GenomeMatrix:
        """Returns every genome that is one knob away from one that is feasible, of many a random part."""
        found = []
        held = self._genomes.astype(np.int64)
        for position, size in enumerate(self._sizes):
            for choice in range(size):
                changed = held[held[:, position] != choice]
                changed[:, position] = choice
                found.append(changed)
        genomes = np.concatenate(found)
        if len(genomes) > CHUNK:
            genomes = genomes[below(rng, len(genomes), CHUNK)]
        return genomes


def select(scores: Matrix, prices: Matrix, keep: int) -> npt.NDArray[np.int64]:
    """Chooses the rows to keep: int64 `(kept,)`, the best score first, of equals the first.

    Args:
        scores: float64 `(n,)`, higher is better.
        prices: float64 `(n, fields)` to span, lower is better; without columns only scores count.
        keep: The most to keep.
    """
    ranks, crowding = rank_and_crowd(np.column_stack([scores, -prices]), keep)
    kept = np.lexsort((np.arange(len(scores)), -crowding, ranks))[:keep]
    chosen: npt.NDArray[np.int64] = kept[np.lexsort((kept, -scores[kept]))]
    return chosen


def _drawn(rng: np.random.Generator, count: int, sizes: tuple[int, ...]) -> GenomeMatrix:
    return below(rng, np.tile(sizes, count), count * len(sizes)).reshape(count, len(sizes))


def _numbered(start: int, count: int, sizes: tuple[int, ...]) -> GenomeMatrix:
    """Returns genomes in order, the last position fastest."""
    number = np.arange(start, start + count)
    columns = []
    for size in reversed(sizes):
        number, choice = np.divmod(number, size)
        columns.append(choice)
    return np.stack(columns[::-1], axis=1)
