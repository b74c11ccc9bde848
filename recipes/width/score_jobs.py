"""The scores of a width run as jobs: greedy prunings, and networks compared with the weights that they share."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from accelzoo.recipes.width.job_context import JobContext, evaluation_device
from accelzoo.recipes.width.jobs import load_slimmable, uniform_name
from accelzoo.recipes.width.score_cache import ScoreCache
from accelzoo.recipes.width.score_line import ScoreLine
from accelzoo.search.space import Genome
from accelzoo.search.width import WidthCosts, WidthSpace, greedy_widths
from accelzoo.search.width.baselines import Indices, Rule

if TYPE_CHECKING:
    from accelzoo.search.width.slimmable import SlimmableNet, WidthScores
    from accelzoo.tasks.data import SearchView

_LATENCY = "latency_s"


@dataclass(frozen=True, slots=True, kw_only=True)
class PruneJob:
    """Prunes greedily from the largest network, by the loss with the weights of the uniform training of its seed.

    Its result: `steps` (`genome`, `widths`, `latency_s`, `error` of every round), `scored`, `wall_s`.

    Args:
        seed: Which uniform training; that job must be finished.
        rule: See `greedy_widths`.
        costs: What is budgeted, `latency_s` among it.
        budgets: The tightest: the way ends there.
    """

    seed: int
    rule: Rule
    costs: WidthCosts
    budgets: Mapping[str, float]

    def __post_init__(self) -> None:
        for what, names in (("costs", self.costs.columns), ("budgets", self.budgets)):
            if _LATENCY not in names:
                raise ValueError(f"{what} (of {', '.join(names)}) must have {_LATENCY}")

    @property
    def name(self) -> str:
        """`greedy-netadapt-seed0`."""
        return f"greedy-{self.rule}-seed{self.seed}"

    def digest(self, context: JobContext) -> str:
        """`sha256:…` of the shared weights, what they are scored on, prices and budgets."""
        plan = context.recipe.greedy
        facts = {
            "rule": self.rule,
            "costs": self.costs.digest(),
            "budgets": dict(self.budgets),
            "step": plan.step,
            **scoring_facts(context, uniform_name(self.seed), plan.score_images, plan.statistics_images),
        }
        return context.digest("greedy", facts)

    def checkpoints(self, context: JobContext) -> None:
        """None: its scores are few bytes, and stay."""

    def run(self, context: JobContext, progress: bool | None) -> dict[str, Any]:
        """Prunes; every score is kept in a file beside the record."""
        plan, path = context.recipe.greedy, context.jobs / f"{self.name}.scores.jsonl"
        scorer = Scorer.of(context, uniform_name(self.seed), plan.score_images, plan.statistics_images)
        line = ScoreLine(*self._range(context.space), shown=progress)
        with ScoreCache(path, self.digest(context)) as cache, line:

            def losses(genomes: Indices) -> list[float]:
                found = []
                for row in genomes.tolist():
                    found.append(scorer.cached(tuple(row), cache))
                    line.update(scored=len(cache))
                line.at(float(np.median(self._latencies(genomes))))
                return found

            way = greedy_widths(self.costs, self.budgets, losses, rule=self.rule, step=plan.step)
            seconds = cache.seconds
        steps = [
            {
                "genome": list(point.genome),
                "widths": list(point.widths),
                "latency_s": float(point.values[_LATENCY]),
                "error": float(point.values["error"]),
            }
            for point in way.steps
        ]
        return {"steps": steps, "scored": way.scored, "wall_s": seconds}

    def describe(self, result: Mapping[str, Any]) -> str:
        """Says how long it took and how many networks it asked about."""
        return f"pruned {self.name}: {result['wall_s']:,.0f} s, {result['scored']:,} scores"

    def _latencies(self, genomes: Indices) -> npt.NDArray[np.float64]:
        return self.costs.totals(genomes)[:, list(self.costs.columns).index(_LATENCY)]

    def _range(self, space: WidthSpace) -> tuple[float, float]:
        """Returns the latencies at which pruning begins and ends."""
        largest = np.array([[size - 1 for size in space.sizes]], np.int64)
        return float(self._latencies(largest)[0]), self.budgets[_LATENCY]


@dataclass(frozen=True, slots=True, kw_only=True)
class ScoreJob:
    """Scores networks on held-out images with shared weights.

    Its result: `losses` in nats and `accuracies` 0 … 1, in the order of the genomes, and `wall_s`.

    Args:
        name: What its files are called.
        slimmable: Name of the slimmable training; that job must be finished.
        genomes: The networks.
    """

    name: str
    slimmable: str
    genomes: Sequence[Genome]

    def digest(self, context: JobContext) -> str:
        """`sha256:…` of the shared weights, what they are scored on, and the networks."""
        plan = context.recipe.slimmable
        facts = {
            "genomes": [list(genome) for genome in self.genomes],
            **scoring_facts(context, self.slimmable, plan.score_images, plan.statistics_images),
        }
        return context.digest("score", facts)

    def checkpoints(self, context: JobContext) -> None:
        """None: there are none."""

    def run(self, context: JobContext, progress: bool | None) -> dict[str, Any]:
        """Scores."""
        plan, started = context.recipe.slimmable, time.perf_counter()
        scores = Scorer.of(context, self.slimmable, plan.score_images, plan.statistics_images).scores(self.genomes)
        return {
            "losses": scores.losses.tolist(),
            "accuracies": scores.accuracies.tolist(),
            "wall_s": time.perf_counter() - started,
        }

    def describe(self, result: Mapping[str, Any]) -> str:
        """Says how long it took."""
        return f"scored {self.name}: {result['wall_s']:,.0f} s, {len(result['losses'])} networks"


@dataclass(frozen=True, slots=True, kw_only=True)
class Scorer:
    """Scores with the weights of one slimmable network."""

    context: JobContext
    net: SlimmableNet
    view: SearchView
    statistics_images: int

    @classmethod
    def of(cls, context: JobContext, slimmable: str, images: int, statistics_images: int) -> Scorer:
        """Returns the scorer of a finished slimmable training, on so many held-out and training images."""
        view = context.held_out()
        view = replace(view, validation=view.validation.subset(images, seed=0))
        net = load_slimmable(context, slimmable)
        return cls(context=context, net=net, view=view, statistics_images=statistics_images)

    def scores(self, genomes: Sequence[Genome]) -> WidthScores:
        """Scores networks on the device that trains."""
        from accelzoo.search.width.slimmable import score_widths

        with evaluation_device(self.context) as device:
            self.net.to(device)
            return score_widths(self.net, genomes, self.view, images=self.statistics_images)

    def cached(self, genome: Genome, cache: ScoreCache) -> float:
        """Returns the loss of a network, which is computed if the cache has none."""
        known = cache.get(genome)
        if known is None:
            started = time.perf_counter()
            known = float(self.scores([genome]).losses[0])
            cache.add(genome, known, time.perf_counter() - started)
        return known


def scoring_facts(context: JobContext, slimmable: str, images: int, statistics_images: int) -> dict[str, Any]:
    """Returns what decides scores."""
    return {
        "slimmable": context.result_of(slimmable)["weights"],
        "held_out": context.recipe.slimmable.held_out,
        "images": [images, statistics_images],
    }
