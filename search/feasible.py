"""Is there anything within the budgets? Answered on prices alone, before the first expensive evaluation."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from accelzoo import draw
from accelzoo.errors import BudgetError
from accelzoo.search.evaluator import Quote
from accelzoo.search.genomes import all_genomes, genome_count, random_genome
from accelzoo.search.objective import Budgets
from accelzoo.search.record import Price
from accelzoo.search.space import Genome

ENUMERATED = 5_000
SAMPLES = 64
RESTARTS = 4
SWEEPS = 8


def feasible_genome(
    sizes: tuple[int, ...], quote: Callable[[Genome], Quote], budgets: Budgets, rng: np.random.Generator
) -> Genome:
    """Returns a genome that meets every budget.

    Looks at 64 random genomes; then at all of them if the space has at most 5,000; else descends coordinate by
    coordinate on the summed relative violation and on each budgeted field, from 4 starts each and in at most 8 sweeps
    over the positions. It ends at the first genome that fits, after at most
    `64 + (1 + fields) × 4 × (8 × sum(sizes) + 1)` prices.

    Args:
        sizes: The number of choices of each position.
        quote: Genome → price.
        budgets: What must be met.
        rng: Draws the starts.

    Raises:
        BudgetError: If none was found. It names every budget and the smallest value found, exact when the space was
            enumerated.
    """
    explorer = _Explorer(quote, budgets)
    for _ in range(SAMPLES):
        explorer.price(random_genome(sizes, rng))
        if explorer.feasible is not None:
            return explorer.feasible
    enumerated = genome_count(sizes) <= ENUMERATED
    if enumerated:
        _enumerate(sizes, explorer)
    else:
        _descend_from_everywhere(sizes, explorer, budgets, rng)
    if explorer.feasible is None:
        raise BudgetError(explorer.report(genome_count(sizes), exact=enumerated))
    return explorer.feasible


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

    def report(self, count: int, *, exact: bool) -> str:
        """Says for every budget what is possible instead."""
        looked = f"all {count:,} genomes" if exact else f"{len(self._prices):,} of {count:.3g} genomes"
        if self._nearest is None:
            return f"no architecture can be priced (looked at {looked}); the first reason: {self._reason}"
        word = "smallest" if exact else "smallest found"
        lines = [f"no architecture meets the budgets (looked at {looked})"]
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
