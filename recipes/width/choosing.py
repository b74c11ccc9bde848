"""What each method of a width run chooses, seed by seed and budget by budget."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import groupby
from typing import Any

import numpy as np

from accelzoo.recipes.width.job_context import JobContext
from accelzoo.recipes.width.jobs import SlimmableJob, narrowed_name, uniform_name
from accelzoo.recipes.width.latency import LATENCY, DeviceLatency
from accelzoo.recipes.width.refine_job import RefineJob, refined_name
from accelzoo.recipes.width.schema import Method, WidthRecipe
from accelzoo.recipes.width.score_jobs import PruneJob, ScoreJob
from accelzoo.recipes.width.values import Choice
from accelzoo.search.space import Genome

Results = Mapping[str, Mapping[str, Any]]
"""What finished jobs left, by their names."""
Finder = Callable[[WidthRecipe, DeviceLatency, Results, int, float], Iterator["Contender"]]
OPTIMISED: tuple[Method, ...] = ("optimal", "narrowed")
"""The methods that solve for all widths at once."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Contender:
    """A network that a method may choose: what is scored next.

    Attributes:
        method: Whose.
        seed: Of the slimmable training.
        share: The latency budget as a share of the original's latency.
        genome: The network.
        predicted_s: Its latency by the table that it was found with.
        slimmable: Name of the training whose weights score it.
        facts: How it was found.
    """

    method: Method
    seed: int
    share: float
    genome: Genome
    predicted_s: float
    slimmable: str
    facts: Mapping[str, Any] = field(default_factory=dict)


def budgets_of(recipe: WidthRecipe, device: DeviceLatency, share: float) -> dict[str, float]:
    """Returns all budgets of a recipe at one share of the original's latency."""
    return {LATENCY: device.budget_s(share), **recipe.budgets}


def slimmable_jobs(recipe: WidthRecipe, device: DeviceLatency) -> list[SlimmableJob]:
    """Returns the slimmable trainings: one of each seed, and with `narrowed` one more for each budget."""
    jobs = [SlimmableJob(seed=seed) for seed in recipe.seeds]
    if "narrowed" in recipe.methods:
        jobs += [
            SlimmableJob(seed=seed, share=share, budgets=budgets_of(recipe, device, share), costs=device.costs)
            for seed in recipe.seeds
            for share in recipe.latency_shares
        ]
    return jobs


def prune_jobs(recipe: WidthRecipe, device: DeviceLatency) -> list[PruneJob]:
    """Returns the greedy prunings to the tightest budget or just below.

    The looser budgets are met on the way: by latency alone as if pruning had been asked for them; other budgets are as
    tight from the start.
    """
    if "greedy" not in recipe.methods:
        return []
    tightest = budgets_of(recipe, device, min(recipe.latency_shares))
    budgets = {**tightest, LATENCY: device.pruned_to_s(tightest)}
    return [
        PruneJob(seed=seed, rule=rule, costs=device.costs, budgets=budgets)
        for seed in recipe.seeds
        for rule in recipe.greedy.rules
    ]


def refine_jobs(recipe: WidthRecipe, device: DeviceLatency) -> list[RefineJob]:
    """Returns the corrections of learnt errors, for each budget of each optimised method."""
    plan = recipe.slimmable.refine
    if plan is None:
        return []
    return [
        RefineJob(
            slimmable=_weights_of(method, share, seed),
            share=share,
            seed=seed,
            plan=plan,
            costs=device.costs,
            budgets=budgets_of(recipe, device, share),
        )
        for seed in recipe.seeds
        for share in recipe.latency_shares
        for method in recipe.methods
        if method in OPTIMISED
    ]


def contenders(recipe: WidthRecipe, device: DeviceLatency, results: Results) -> list[Contender]:
    """Finds what each method may choose, all of it within the budgets when it is measured.

    Args:
        recipe: The run's.
        device: Tells latencies.
        results: Of `slimmable_jobs`, `prune_jobs` and `refine_jobs`.

    Raises:
        BudgetError: If a method has nothing within a budget.
    """
    finders: dict[Method, Finder] = {
        "uniform": _uniform,
        "greedy": _greedy,
        **{method: _optimised(method) for method in OPTIMISED},
    }
    return [
        found
        for seed in recipe.seeds
        for share in recipe.latency_shares
        for method in recipe.methods
        for found in finders[method](recipe, device, results, seed, share)
    ]


def _uniform(
    recipe: WidthRecipe, device: DeviceLatency, results: Results, seed: int, share: float
) -> Iterator[Contender]:
    multiplier, genome = device.chosen_uniform(budgets_of(recipe, device, share), divisor=recipe.divisor)
    predicted = float(device.predicted_s([genome])[0])
    yield Contender(method="uniform", seed=seed, share=share, genome=genome, predicted_s=predicted,
                    slimmable=uniform_name(seed), facts={"width_multiplier": multiplier})  # fmt: skip


def _greedy(
    recipe: WidthRecipe, device: DeviceLatency, results: Results, seed: int, share: float
) -> Iterator[Contender]:
    budgets = budgets_of(recipe, device, share)
    for job in prune_jobs(recipe, device):
        if job.seed != seed:
            continue
        way = results[job.name]
        genome = device.chosen_on_way([tuple(step["genome"]) for step in way["steps"]], budgets)
        predicted = float(device.predicted_s([genome])[0])
        yield Contender(method="greedy", seed=seed, share=share, genome=genome, predicted_s=predicted,
                        slimmable=uniform_name(seed), facts={"rule": job.rule, "scored": way["scored"]})  # fmt: skip


def _optimised(method: Method) -> Finder:
    def found(
        recipe: WidthRecipe, device: DeviceLatency, results: Results, seed: int, share: float
    ) -> Iterator[Contender]:
        slimmable = _weights_of(method, share, seed)
        learnt = slimmable if recipe.slimmable.refine is None else refined_name(slimmable, share)
        errors = [np.array(table) for table in results[learnt]["tables"]]
        points, facts = device.chosen_optimal(errors, budgets_of(recipe, device, share), recipe.slimmable.candidates)
        for point in points:
            yield Contender(method=method, seed=seed, share=share, genome=point.genome,
                            predicted_s=float(point.values[LATENCY]), slimmable=slimmable, facts=facts)  # fmt: skip

    return found


def _weights_of(method: Method, share: float, seed: int) -> str:
    """Returns the name of the slimmable training that a method relies on."""
    return narrowed_name(share, seed) if method == "narrowed" else uniform_name(seed)


def score_jobs(found: Sequence[Contender]) -> list[ScoreJob]:
    """Returns the scorings of all contenders, each network once with each weights that are asked."""
    by_weights: dict[str, dict[Genome, None]] = {}
    for one in found:
        by_weights.setdefault(one.slimmable, {})[one.genome] = None
    return [
        ScoreJob(name=_score_name(slimmable), slimmable=slimmable, genomes=tuple(genomes))
        for slimmable, genomes in by_weights.items()
    ]


def choices(context: JobContext, device: DeviceLatency, found: Sequence[Contender], results: Results) -> list[Choice]:
    """Takes of each method's contenders the one that the shared weights score best; of equals the first.

    Args:
        context: The run's.
        device: Tells measured latencies.
        found: As `contenders` returns them.
        results: Of `score_jobs`.
    """
    losses: dict[tuple[str, Genome], float] = {}
    for job in score_jobs(found):
        pairs = zip(job.genomes, results[job.name]["losses"], strict=True)
        losses |= {(job.slimmable, genome): loss for genome, loss in pairs}
    groups = [list(group) for _, group in groupby(found, lambda one: (one.method, one.seed, one.share))]
    chosen = [min(group, key=lambda one: losses[one.slimmable, one.genome]) for group in groups]
    seconds = device.checked_s([one.genome for one in chosen]).tolist()
    return [
        Choice(
            method=one.method,
            seed=one.seed,
            share=one.share,
            genome=one.genome,
            widths=_widths(context, one.genome),
            budget_s=device.budget_s(one.share),
            predicted_s=one.predicted_s,
            measured_s=measured_s,
            score=losses[one.slimmable, one.genome],
            facts={**one.facts, "contenders": len(group)},
        )
        for one, group, measured_s in zip(chosen, groups, seconds, strict=True)
    ]


def originals(context: JobContext, device: DeviceLatency) -> list[Choice]:
    """Returns the network as it is, once for each seed."""
    genome = context.space.base
    predicted, measured = float(device.predicted_s([genome])[0]), float(device.checked_s([genome])[0])
    first = Choice(method="original", seed=context.recipe.seeds[0], share=1.0, genome=genome,
                   widths=_widths(context, genome), budget_s=device.budget_s(1.0), predicted_s=predicted,
                   measured_s=measured)  # fmt: skip
    return [replace(first, seed=seed) for seed in context.recipe.seeds]


def _widths(context: JobContext, genome: Genome) -> tuple[int, ...]:
    return tuple([group.widths[choice] for group, choice in zip(context.space.groups, genome, strict=True)])


def _score_name(slimmable: str) -> str:
    return f"score-{slimmable}"
