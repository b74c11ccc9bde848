"""The parts of a lock that only a product run can tell: how its networks were trained, and its figures."""

from __future__ import annotations

import re
import statistics
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from accelzoo.recipes.asked import Asked
from accelzoo.recipes.job_records import digest_of_weights
from accelzoo.recipes.lock_results import SHARE, cost_command, cost_figures, figure
from accelzoo.recipes.lock_trainings import tolerance, training_facts
from accelzoo.recipes.product.report import ProductComparison, scores_of
from accelzoo.recipes.product.schema import ProductRecipe
from accelzoo.training.config import TrainConfig

_FINAL = re.compile(r"train-.*-seed(\d+)")


def product_trainings(
    recipe: ProductRecipe, results: Mapping[str, Mapping[str, Any]], jobs: Path
) -> dict[str, dict[str, Any]]:
    """Returns the facts of every training of a run.

    Args:
        recipe: What was run.
        results: Job → its result.
        jobs: The folder in which jobs keep their weights.

    Returns:
        Job → facts (see `training_facts`); of final trainings and pretrainings also `weights_sha256`.
    """
    found = {}
    for name, result in results.items():
        if "steps" in result:
            found[name] = training_facts(_plan_of(recipe, name), result)
            if "weights" in result:
                found[name]["weights_sha256"] = digest_of_weights(jobs / f"{name}.safetensors")
    return found


def _plan_of(recipe: ProductRecipe, job: str) -> TrainConfig:
    if (final := _FINAL.fullmatch(job)) is not None:
        return replace(recipe.training, seed=int(final[1]))
    if job.startswith("pretrain-") and recipe.pretraining is not None:
        return replace(recipe.pretraining.training, seed=recipe.pretraining.seed)
    return recipe.search.trials.training


def product_figures(recipe: ProductRecipe, comparison: ProductComparison, asked: Asked) -> list[dict[str, Any]]:
    """Returns the figures of every released network: its score as the mean over seeds, its price, its compiled latency.

    Args:
        recipe: What was run.
        comparison: Its result.
        asked: How it was asked for.
    """
    figures = []
    for one in comparison.trained:
        name = one.network.name
        priced = cost_command(f"{asked.release_of(recipe.recipe)}/{name}", recipe.target)
        score = statistics.fmean(scores_of(one))
        figures.append(figure(name, f"test_{comparison.metric}", score, SHARE, asked.command, "test"))
        figures += cost_figures(name, comparison.cost(one), priced)
        if one.compiled is not None:
            figures.append(figure(name, "compiled_latency_s", one.compiled.latency_s, "s", asked.command))
    return figures


def product_tolerances(comparison: ProductComparison) -> dict[str, float]:
    """Returns, for every metric of a released network, how far a repeated training may be off; see `tolerance`."""
    metric = comparison.metric
    return {
        f"test_{metric}": tolerance([[run.test for run in one.runs] for one in comparison.trained]),
        f"validation_{metric}": tolerance([[run.validation for run in one.runs] for one in comparison.trained]),
        f"validation_{metric}_int8": tolerance([[run.int8 for run in one.runs] for one in comparison.trained]),
    }
