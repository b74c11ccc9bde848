"""Baseline, space and budgets of a recipe, set up for its data."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

from accelzoo.arch import Arch
from accelzoo.errors import ConfigError, suggestion
from accelzoo.heads import ClassificationHead
from accelzoo.hwmodel import Cost, Target, estimate, load_target
from accelzoo.knobs import Choice, Space
from accelzoo.recipes.schema import Recipe
from accelzoo.registry import get_arch, get_space
from accelzoo.search import COST_FIELDS

_TARGET_LIMITS = {"weight_bytes": "weight_budget_bytes", "peak_activation_bytes": "activation_budget_bytes"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Task:
    """A recipe made concrete: what to beat, where to look, and the most it may cost."""

    target: Target
    baseline: Arch
    baseline_cost: Cost
    space: Space
    budgets: dict[str, float]


def prepare(recipe: Recipe, num_classes: int, channels: int) -> Task:
    """Fits baseline and space to the data and turns relative budgets into absolute ones.

    Raises:
        ConfigError: If a budget names no cost field or is not positive, or the target cannot run the baseline.
    """
    target = load_target(recipe.target)
    largest = max(recipe.resolutions)
    baseline = get_arch(recipe.baseline, num_classes=num_classes, input_size=(channels, largest, largest))
    cost = estimate(baseline.lower(), target)
    if cost.unpriced:
        raise ConfigError([f"target {target.name!r} cannot run the baseline's {', '.join(cost.unpriced)}"])
    space = fitted_space(get_space(recipe.space), recipe.resolutions, num_classes, channels)
    return Task(
        target=target,
        baseline=baseline,
        baseline_cost=cost,
        space=space,
        budgets=_budgets(recipe, cost, target),
    )


def fitted_space(space: Space, resolutions: tuple[int, ...], num_classes: int, channels: int) -> Space:
    """Returns a space whose networks are classifiers of the data: their classes, channels and resolutions."""
    template: dict[str, Any] = dict(space.template)
    sizes = tuple([channels, pixels, pixels] for pixels in resolutions)
    template["input_size"] = Choice(sizes) if len(sizes) > 1 else sizes[0]
    template["head"] = fitted_head(template.get("head", {"kind": ClassificationHead.kind}), num_classes)
    return Space(space.name, template)


def fitted_head(head: Any, num_classes: int) -> Any:
    """Returns the head of a space's template with another number of classes, in every choice of it."""
    if isinstance(head, Choice):
        return Choice(tuple(fitted_head(value, num_classes) for value in head.values))
    return {**head, "num_classes": num_classes}


def _budgets(recipe: Recipe, baseline: Cost, target: Target) -> dict[str, float]:
    """The smallest of each field's relative, absolute and device limits."""
    faults = [
        f"{section}.{name}: unknown cost field{suggestion(name, COST_FIELDS)} (allowed: {', '.join(COST_FIELDS)})"
        for section in ("relative_budgets", "budgets")
        for name in getattr(recipe, section)
        if name not in COST_FIELDS
    ]
    if faults:
        raise ConfigError(faults)
    for name, share in recipe.relative_budgets.items():
        maximum = share * getattr(baseline, name)
        if not 0 < maximum < math.inf:
            cost = getattr(baseline, name)
            faults.append(f"relative_budgets.{name}: {share} × the baseline's {cost} must be positive and finite")
    for name, maximum in recipe.budgets.items():
        if not 0 < maximum < math.inf:
            faults.append(f"budgets.{name}: {maximum} must be positive and finite")
    if faults:
        raise ConfigError(faults)
    limits: dict[str, list[float]] = {}
    for name, share in recipe.relative_budgets.items():
        limits.setdefault(name, []).append(share * getattr(baseline, name))
    for name, maximum in recipe.budgets.items():
        limits.setdefault(name, []).append(maximum)
    for name, attribute in _TARGET_LIMITS.items():
        if (maximum := getattr(target, attribute)) is not None:
            limits.setdefault(name, []).append(maximum)
    return {name: min(limits[name]) for name in COST_FIELDS if name in limits}
