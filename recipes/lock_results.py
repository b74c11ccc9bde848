"""The headline figures of a lock: each a number with its unit, and the command that prints it."""

from __future__ import annotations

import shlex
import statistics
from collections.abc import Mapping
from typing import Any

from accelzoo.hwmodel import Cost
from accelzoo.recipes.asked import Asked
from accelzoo.recipes.report import Comparison, Scored
from accelzoo.recipes.schema import Recipe

SHARE = "share"
"""The unit of accuracies: 0 … 1."""
_UNITS = {"latency_s": "s", "weight_bytes": "B", "peak_activation_bytes": "B", "macs": "MACs"}


def figure(
    what: str, metric: str, value: float, unit: str, command: str, split: str | None = None
) -> dict[str, Any]:
    """Returns one figure.

    Args:
        what: The network: `baseline`, `winner`, or a pick's name.
        metric: `test_top1`, `latency_s` and the like.
        value: The number.
        unit: Its unit.
        command: What prints it.
        split: The split of the data that a score is of; None of what needs no data.
    """
    return {"what": what, "metric": metric, "split": split, "value": value, "unit": unit, "command": command}


def cost_figures(what: str, cost: Cost, command: str) -> list[dict[str, Any]]:
    """Returns what the cost model says of a network: latency, sizes and MACs."""
    return [figure(what, name, getattr(cost, name), unit, command) for name, unit in _UNITS.items()]


def cost_command(model: str, target: str, changes: Mapping[str, Any] | None = None) -> str:
    """Returns the command that prices a model.

    Args:
        model: Its name, file or release.
        target: The target's name or file.
        changes: Overrides of a model that is no release: `num_classes`, `input_size`.
    """
    overrides = [f"{name}={value}" for name, value in (changes or {}).items()]
    return shlex.join(["accelzoo", "cost", model, "--target", target, *overrides])


def funnel_figures(recipe: Recipe, comparison: Comparison, asked: Asked, num_classes: int) -> list[dict[str, Any]]:
    """Returns the figures of a funnel: baseline and winner, accuracies as means over seeds.

    Args:
        recipe: What was run.
        comparison: Its result.
        asked: How it was asked for.
        num_classes: Of the data, which the baseline is fitted to.
    """
    changes = {"num_classes": num_classes, "input_size": max(recipe.resolutions)}
    commands = {
        "baseline": cost_command(recipe.baseline, recipe.target, changes),
        "winner": cost_command(asked.release_of(recipe.recipe), recipe.target),
    }
    scored: dict[str, Scored] = {"baseline": comparison.baseline, "winner": comparison.winner}
    figures = []
    for what, one in scored.items():
        figures.append(figure(what, "test_top1", statistics.fmean(one.top1), SHARE, asked.command, "test"))
        figures += cost_figures(what, one.cost, commands[what])
    return figures
