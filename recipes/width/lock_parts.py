"""The parts of a lock that only a width run can tell: how its networks were trained, and its figures."""

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
from accelzoo.recipes.width.report import WidthComparison
from accelzoo.recipes.width.schema import WidthRecipe
from accelzoo.recipes.width.values import Trained

_SEED = re.compile(r"-seed(\d+)$")
_FINAL = "final-"


def width_trainings(
    recipe: WidthRecipe, results: Mapping[str, Mapping[str, Any]], jobs: Path
) -> dict[str, dict[str, Any]]:
    """Returns the facts of every training of a run.

    Args:
        recipe: What was run.
        results: Job → its result.
        jobs: The folder in which final trainings keep their weights.

    Returns:
        Job → facts (see `training_facts`); of final trainings also `weights_sha256`.
    """
    found = {}
    for name, result in results.items():
        seed = _SEED.search(name)
        if seed is None or "steps" not in result or "images" not in result:
            continue
        is_final = name.startswith(_FINAL)
        plan = recipe.training if is_final else recipe.slimmable.training
        found[name] = training_facts(replace(plan, seed=int(seed[1])), result)
        if is_final:
            found[name]["weights_sha256"] = digest_of_weights(jobs / f"{name}.safetensors")
    return found


def width_figures(
    recipe: WidthRecipe, comparison: WidthComparison, best: Trained, asked: Asked
) -> list[dict[str, Any]]:
    """Returns the figures of the original and of what is released; accuracy and latency are means over seeds.

    Args:
        recipe: What was run.
        comparison: Its result.
        best: The network that is released.
        asked: How the run was asked for.
    """
    chosen = best.choice.method, best.choice.share
    winners = [one for one in comparison.trained if (one.choice.method, one.choice.share) == chosen]
    rows = {"original": comparison.original, "winner": winners}
    figures = []
    for what, row in rows.items():
        accuracy = statistics.fmean(one.test.top1 for one in row)
        latency_s = statistics.fmean(one.choice.measured_s for one in row)
        figures.append(figure(what, "test_top1", accuracy, SHARE, asked.command, "test"))
        figures.append(figure(what, "measured_latency_s", latency_s, "s", asked.command))
    priced = cost_command(asked.release_of(recipe.recipe), recipe.target)
    return figures + cost_figures("winner", best.cost, priced)


def width_tolerances(comparison: WidthComparison) -> dict[str, float]:
    """Returns, for every metric of a released network, how far a repeated training may be off; see `tolerance`."""
    networks: dict[tuple[str, float], list[Trained]] = {}
    for one in comparison.trained:
        networks.setdefault((one.choice.method, one.choice.share), []).append(one)
    return {
        "test_top1": tolerance([[one.test for one in row] for row in networks.values()]),
        "validation_top1": tolerance([[one.validation for one in row] for row in networks.values()]),
    }
