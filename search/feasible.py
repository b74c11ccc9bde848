"""Is there anything to search, and within the budgets? Answered on prices alone, before any expensive evaluation."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Mapping

import numpy as np

from accelzoo import draw
from accelzoo.errors import AccelzooError, BudgetError, ShapeError
from accelzoo.hwmodel.table import CostTable
from accelzoo.search.evaluator import Quote, named
from accelzoo.search.genomes import all_genomes, genome_count, random_genome
from accelzoo.search.objective import Budgets
from accelzoo.search.record import Price
from accelzoo.search.space import Genome, SearchSpace

_LOG = logging.getLogger("accelzoo.search")
ENUMERATED = 5_000
TRIED = 1_000
SAMPLES = 64
RESTARTS = 4
SWEEPS = 8


def require_network(
    space: SearchSpace, quote: Callable[[Genome], Quote], pool: Iterable[Genome] | None, rng: np.random.Generator
) -> None:
    """Checks that some genome makes a network with a price, so that a search is not a list of failures.

    Ends at the first one: nearly always that is the first tried. Tries all genomes of a pool or of a space that has at
    most 5,000; else 1,000 random ones.

    Args:
        space: The space.
        quote: Genome → price.
        pool: The only genomes that will be asked for, if there is such a limit.
        rng: Draws the genomes.

    Raises:
        ShapeError: If none does; with the first reason and the knobs it came from.
    """
    sizes = tuple(int(size) for size in space.sizes)
    genomes, looked = pool, "the pool's genomes"
    if genomes is None and genome_count(sizes) <= ENUMERATED:
        genomes, looked = all_genomes(sizes), f"all {genome_count(sizes):,} genomes"
    elif genomes is None:
        genomes, looked = (random_genome(sizes, rng) for _ in range(TRIED)), f"{TRIED:,} random genomes"
    first: tuple[Genome, str] | None = None
    for genome in genomes:
        reason = quote(genome).reason
        if reason is None:
            return
        first = first or (genome, reason)
    if first is not None:
        raise ShapeError(
            f"{named(space)} makes no network that can be priced (tried {looked}); the first reason: {first[1]}\n"
            f"  genome {first[0]}{_settings(space, first[0])}"
        )


def _settings(space: SearchSpace, genome: Genome) -> str:
    """Returns what the choices of a genome say, where the space tells."""
    knobs = getattr(space, "knobs", ())
    return "".join(
        f"\n  {knob.name} = {knob.values[choice]!r}" for knob, choice in zip(knobs, genome, strict=False)
    )


def feasible_of(genomes: Iterable[Genome], quote: Callable[[Genome], Quote], budgets: Budgets) -> Genome:
    """Returns the first of some genomes that meets every budget.

    Raises:
        BudgetError: If none does; it names every budget and the smallest value among them.
    """
    explorer = _Explorer(quote, budgets)
    for genome in genomes:
        explorer.price(genome)
        if explorer.feasible is not None:
            return explorer.feasible
    raise BudgetError(explorer.report(f"looked at all {explorer.count:,} genomes of the pool", exact=True))


def feasible_genome(
    sizes: tuple[int, ...],
    quote: Callable[[Genome], Quote],
    budgets: Budgets,
    rng: np.random.Generator,
    table: Callable[[], CostTable | None] = lambda: None,
) -> Genome:
    """Returns a genome that meets every budget.

    Looks at 64 random genomes; then at all of them if the space has at most 5,000; else descends coordinate by
    coordinate on the summed relative violation and on each budgeted field, from 4 starts each and in at most 8 sweeps
    over the positions. It ends at the first genome that fits, after at most
    `64 + (1 + fields) × 4 × (8 × sum(sizes) + 1)` prices. Where that finds none and there is a cost table, the answer
    is proven (`accelzoo.search.least`), which can take a minute: it is a genome, or the exact least of every budget.

    Args:
        sizes: The number of choices of each position.
        quote: Genome → price.
        budgets: What must be met.
        rng: Draws the starts.
        table: Returns a cost table of the space, if there is one; called only for a proof.

    Raises:
        BudgetError: If none was found. It names every budget and the smallest value found, which is exact when the
            space was enumerated or it is proven.
    """
    explorer = _Explorer(quote, budgets)
    for _ in range(SAMPLES):
        explorer.price(random_genome(sizes, rng))
        if explorer.feasible is not None:
            return explorer.feasible
    count = genome_count(sizes)
    proven = count <= ENUMERATED
    looked = f"looked at all {count:,} genomes"
    if proven:
        _enumerate(sizes, explorer)
    else:
        _descend_from_everywhere(sizes, explorer, budgets, rng)
        looked = f"looked at {explorer.count:,} of {count:.3g} genomes"
        if explorer.feasible is None and (known := table()) is not None and _prove(known, explorer, budgets):
            proven, looked = True, f"proven for all {count:.3g} genomes"
    if explorer.feasible is None:
        raise BudgetError(explorer.report(looked, exact=proven))
    return explorer.feasible


def _prove(table: CostTable, explorer: _Explorer, budgets: Budgets) -> bool:
    """Says whether it is proven that no genome meets the budgets; shows the explorer what the proof found."""
    from accelzoo.search.least import prove

    _LOG.warning("found no genome within the budgets; looking for one, or for a proof that there is none")
    try:
        proof = prove(table, budgets, explorer.smallest)
    except AccelzooError as error:
        _LOG.warning(f"found no proof: {error}")
        return False
    if proof.within is not None:
        explorer.price(proof.within)
    for genome in proof.least.values():
        explorer.price(genome)
    return proof.within is None


class _Explorer:
    """Prices genomes, each once, and remembers the extremes."""

    def __init__(self, quote: Callable[[Genome], Quote], budgets: Budgets) -> None:
        self._quote = quote
        self._budgets = budgets
        self._prices: dict[Genome, Price | None] = {}
        self._smallest: dict[str, float] = {}
        self._nearest: Price | None = None
        self._reason: str | None = None
        self.feasible: Genome | None = None

    def price(self, genome: Genome) -> Price | None:
        """Returns the price, None if there is none."""
        if genome not in self._prices:
            quote = self._quote(genome)
            self._reason = self._reason or quote.reason
            self._prices[genome] = quote.cost
            if quote.cost is not None:
                self._remember(genome, quote.cost)
        return self._prices[genome]

    def violation(self, price: Price | None) -> float:
        return float("inf") if price is None else self._budgets.violation(price)

    def _remember(self, genome: Genome, price: Price) -> None:
        for name, _ in self._budgets:
            self._smallest[name] = min(getattr(price, name), self._smallest.get(name, float("inf")))
        violation = self.violation(price)
        if self._nearest is None or violation < self.violation(self._nearest):
            self._nearest = price
        if violation == 0 and self.feasible is None:
            self.feasible = genome

    @property
    def smallest(self) -> Mapping[str, float]:
        """The least that was found of each budgeted field."""
        return self._smallest

    @property
    def count(self) -> int:
        """How many genomes were priced."""
        return len(self._prices)

    def report(self, looked: str, *, exact: bool) -> str:
        """Says for every budget what is possible instead.

        Args:
            looked: What that is known from.
            exact: Whether nothing smaller is possible.
        """
        if self._nearest is None:
            return f"no architecture can be priced ({looked}); the first reason: {self._reason}"
        word = "smallest" if exact else "smallest found"
        lines = [f"no architecture meets the budgets ({looked})"]
        lines += [f"{name}: budget {maximum:.12g}, {word} {self._smallest[name]!r}" for name, maximum in self._budgets]
        if all(self._smallest[name] <= maximum for name, maximum in self._budgets):
            lines.append("each budget can be met alone, but not together")
        if len(self._smallest) > 1:
            together = ", ".join(f"{name} {getattr(self._nearest, name)!r}" for name, _ in self._budgets)
            lines.append(f"nearest to all of them together: {together}")
        return "\n  ".join(lines)


def _enumerate(sizes: tuple[int, ...], explorer: _Explorer) -> None:
    for genome in all_genomes(sizes):
        explorer.price(genome)
        if explorer.feasible is not None:
            return


def _descend_from_everywhere(
    sizes: tuple[int, ...], explorer: _Explorer, budgets: Budgets, rng: np.random.Generator
) -> None:
    losses: list[Callable[[Price | None], float]] = [explorer.violation]
    if len(budgets.maxima) > 1:  # with one budget, its violation and the field itself have the same minimum
        losses += [_field_of(name) for name, _ in budgets]
    for loss in losses:
        for _ in range(RESTARTS):
            _descend(sizes, explorer, loss, rng)
            if explorer.feasible is not None:
                return


def _field_of(name: str) -> Callable[[Price | None], float]:
    return lambda price: float("inf") if price is None else float(getattr(price, name))


def _descend(
    sizes: tuple[int, ...], explorer: _Explorer, loss: Callable[[Price | None], float], rng: np.random.Generator
) -> None:
    """Takes the best choice of one position after the other until a sweep over all of them changes nothing."""
    best = random_genome(sizes, rng)
    lowest = loss(explorer.price(best))
    for _ in range(SWEEPS):
        before = best
        for position in draw.permutation(rng, len(sizes)):
            for choice in range(sizes[position]):
                genome = (*best[:position], choice, *best[position + 1 :])
                found = loss(explorer.price(genome))
                if explorer.feasible is not None:
                    return
                if found < lowest:
                    best, lowest = genome, found
        if best == before:
            return
