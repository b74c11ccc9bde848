"""The job that corrects learnt errors near a budget by scores of whole networks."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from accelzoo.recipes.width.job_context import JobContext
from accelzoo.recipes.width.schema import RefinePlan
from accelzoo.recipes.width.score_cache import ScoreCache
from accelzoo.recipes.width.score_jobs import Scorer, scoring_facts
from accelzoo.search.width import WidthCosts


@dataclass(frozen=True, slots=True, kw_only=True)
class RefineJob:
    """Corrects what a slimmable training has learnt about widths, near one budget; see `refine_errors`.

    Its result: `tables`, `scored`, `wall_s`.

    Args:
        slimmable: Name of the slimmable training; that job must be finished.
        share: The latency budget as a share of the original's latency, for the name.
        seed: Of the draws.
        plan: How many networks are scored, and on what.
        costs: What is budgeted.
        budgets: Column → the most it may reach.
    """

    slimmable: str
    share: float
    seed: int
    plan: RefinePlan
    costs: WidthCosts
    budgets: Mapping[str, float]

    @property
    def name(self) -> str:
        """`refined-uniform-seed0-at-0.5`."""
        return refined_name(self.slimmable, self.share)

    def digest(self, context: JobContext) -> str:
        """`sha256:…` of the shared weights, what was learnt with them, prices, budgets and plan."""
        facts = {
            "tables": context.result_of(self.slimmable)["tables"],
            "plan": asdict(self.plan),
            "seed": self.seed,
            "costs": self.costs.digest(),
            "budgets": dict(self.budgets),
            **scoring_facts(context, self.slimmable, self.plan.score_images, self.plan.statistics_images),
        }
        return context.digest("refined", facts)

    def checkpoints(self, context: JobContext) -> None:
        """None: its scores are few bytes, and stay."""

    def run(self, context: JobContext, progress: bool | None) -> dict[str, Any]:
        """Scores and corrects; every score is kept in a file beside the record."""
        from accelzoo.search.width.slimmable import refine_errors

        plan, path = self.plan, context.jobs / f"{self.name}.scores.jsonl"
        scorer = Scorer.of(context, self.slimmable, plan.score_images, plan.statistics_images)
        with ScoreCache(path, self.digest(context)) as cache:

            def losses(genomes: npt.NDArray[np.int64]) -> list[float]:
                return [scorer.cached(tuple(row), cache) for row in genomes.tolist()]

            refined = refine_errors(
                self.costs,
                self.budgets,
                [np.array(table) for table in context.result_of(self.slimmable)["tables"]],
                losses,
                networks=plan.networks,
                rounds=plan.rounds,
                temperature=plan.temperature,
                seed=self.seed,
            )
            seconds = cache.seconds
        tables = [table.tolist() for table in refined.tables]
        return {"tables": tables, "scored": len(refined.losses), "wall_s": seconds}

    def describe(self, result: Mapping[str, Any]) -> str:
        """Says how long it took and how many networks it asked about."""
        return f"{self.name}: {result['wall_s']:,.0f} s, {result['scored']:,} scores"


def refined_name(slimmable: str, share: float) -> str:
    """Returns the name of the job that corrects a slimmable training's errors near a budget."""
    return f"refined-{slimmable}-at-{share:g}"
