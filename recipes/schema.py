"""What a recipe says: the intent of a run, read strictly from YAML. Of the three kinds, the funnel is here."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from accelzoo import config
from accelzoo.errors import ConfigError, suggestion, unknown_name
from accelzoo.recipes import recipe_path
from accelzoo.recipes.product.schema import ProductRecipe
from accelzoo.recipes.release_plan import ReleasePlan
from accelzoo.recipes.width.schema import WidthRecipe
from accelzoo.search.halving import halving_rungs
from accelzoo.search.scores import DEFAULT_COMBINATION
from accelzoo.training.config import TrainConfig

Scale = Literal["epochs", "images", "resolution"]


@dataclass(frozen=True, slots=True, kw_only=True)
class ShortlistPlan:
    """The zero-cost filter before a search: only what it keeps is trained.

    Args:
        draw: Genomes to look at; a smaller space is looked at as a whole.
        keep: The most to keep, spread along the front of score and latency.
        scores: Zero-cost scores in closed form, combined by rank.
    """

    draw: int = 100_000
    keep: int = 512
    scores: tuple[str, ...] = DEFAULT_COMBINATION

    def __post_init__(self) -> None:
        for name in ("draw", "keep"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name} (={getattr(self, name)}) must be at least 1")
        if not self.scores:
            raise ValueError("scores must name at least one score")


@dataclass(frozen=True, slots=True, kw_only=True)
class SearchPlan:
    """How candidates are proposed, judged and scored.

    Args:
        evaluations: Candidates that the accuracy signal is asked for.
        algorithm: One of `accelzoo.search.algorithm_names()`.
        options: The algorithm's own parameters.
        seed: Seeds shortlist and search; equal seeds give equal traces.
        latency_exponent: Score = accuracy × (latency / the baseline's) ^ exponent.
        validation_images: How many validation images a candidate is judged on.
        pending: How many candidates may be in training at once. It decides the trace; how many workers there are does
            not, and more than this have nothing to do.
        shortlist: The filter before the search; null: the search proposes whatever is in the space.
        signal: The short training that gives a candidate's accuracy.
    """

    evaluations: int
    algorithm: str = "default"
    options: dict[str, Any] = field(default_factory=dict)
    seed: int = 0
    latency_exponent: float = -0.07
    validation_images: int = 2000
    pending: int = 1
    shortlist: ShortlistPlan | None = None
    signal: TrainConfig

    def __post_init__(self) -> None:
        for name in ("evaluations", "validation_images", "pending"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name} (={getattr(self, name)}) must be at least 1")
        if self.seed < 0:
            raise ValueError(f"seed (={self.seed}) must not be negative")
        if not -math.inf < self.latency_exponent <= 0:
            raise ValueError(f"latency_exponent (={self.latency_exponent}) must be zero or negative")
        _require_scored("signal", self.signal)


@dataclass(frozen=True, slots=True, kw_only=True)
class Finalists:
    """The search's best, trained somewhat longer, beside the baseline trained alike.

    With several fidelities the finalists race (`accelzoo.search.halving`): all are trained for the first share of
    `training`, and the best share of them for the next, up to the whole.

    Args:
        count: How many.
        fidelities: Shares of `training`, rising to 1; with 1 alone, every finalist gets all of it.
        keep: Share of the finalists that goes on from one fidelity to the next.
        scale: What a share is a share of: `epochs`, training `images`, or the pixels of the input (`resolution`).
        accuracy_margin: By how much validation accuracy must exceed the baseline's; of those that do, the fastest wins.
        training: The training that they get.
    """

    count: int = 4
    fidelities: tuple[float, ...] = (1.0,)
    keep: float = 0.5
    scale: Scale = "epochs"
    accuracy_margin: float = 0.0
    training: TrainConfig

    def __post_init__(self) -> None:
        if self.count < 1:
            raise ValueError(f"count (={self.count}) must be at least 1")
        if not self.fidelities or self.fidelities[-1] != 1:
            raise ValueError(f"fidelities (={list(self.fidelities)}) must end with 1, the whole training")
        halving_rungs(self.count, self.fidelities, self.keep)
        _require_scored("training", self.training)


@dataclass(frozen=True, slots=True, kw_only=True)
class Recipe:
    """A classifier under budgets: baseline, space, target, data, and how long to look and to train.

    Args:
        kind: Always `funnel`; what a file without a kind is.
        recipe: The recipe's name.
        description: One sentence.
        task: The only task so far.
        target: A target's name or file.
        data: A data source (see `accelzoo.tasks.load_classification`).
        baseline: The network to beat: a model's name or file.
        space: Where to look: a space's name or file.
        resolutions: Square input sizes in pixels that the search may choose from; the baseline takes the largest.
        relative_budgets: Cost field → the most a candidate may cost, as a share of the baseline's cost.
        budgets: Cost field → the most a candidate may cost, in the field's unit. The target's own limits come on top.
        search: See `SearchPlan`.
        finalists: See `Finalists`.
        training: The schedule of winner and baseline alike.
        seeds: One training of each with every seed.
        release: See `ReleasePlan`.
    """

    kind: Literal["funnel"] = "funnel"
    recipe: str
    description: str = ""
    task: Literal["classification"] = "classification"
    target: str
    data: str
    baseline: str
    space: str
    resolutions: tuple[int, ...]
    relative_budgets: dict[str, float] = field(default_factory=dict)
    budgets: dict[str, float] = field(default_factory=dict)
    search: SearchPlan
    finalists: Finalists
    training: TrainConfig
    seeds: tuple[int, ...] = (0, 1, 2)
    release: ReleasePlan

    def __post_init__(self) -> None:
        if not self.resolutions or min(self.resolutions) < 8:
            raise ValueError(f"resolutions (={list(self.resolutions)}) must be at least 8 pixels, and at least one")
        if len(set(self.resolutions)) != len(self.resolutions):
            raise ValueError(f"resolutions (={list(self.resolutions)}) must be different")
        if not self.seeds or len(set(self.seeds)) != len(self.seeds) or min(self.seeds) < 0:
            raise ValueError(f"seeds (={list(self.seeds)}) must be different, not negative, and at least one")


AnyRecipe = Recipe | WidthRecipe | ProductRecipe
KINDS: Mapping[str, type[Recipe] | type[WidthRecipe] | type[ProductRecipe]] = {
    "funnel": Recipe,
    "width": WidthRecipe,
    "product": ProductRecipe,
}
"""Kind of recipe → what is read of its file."""


def profile_names(name: str | Path) -> list[str]:
    """Names of a recipe's profiles, in the order of the file."""
    return _profiles(config.load(recipe_path(name)))


def load_recipe(name: str | Path, profile: str | None = None, overrides: Sequence[str] = ()) -> AnyRecipe:
    """Reads a recipe of the kind that it names, with one of its profiles and `key=value` overrides laid over it.

    Args:
        name: A shipped recipe's name, or a file.
        profile: A name under the file's `profiles`; None takes the first.
        overrides: `search.evaluations=20`, `data=/photos` and the like.

    Raises:
        ConfigError: All faults, each with its position.
        UnknownNameError: If there is no such recipe or profile.
    """
    return read_recipe(profile_node(name, profile), overrides)


def profile_node(name: str | Path, profile: str | None = None) -> config.Node:
    """Returns a recipe's file with one of its profiles laid over it, unread: it knows where everything stands.

    Args:
        name: A shipped recipe's name, or a file.
        profile: A name under the file's `profiles`; None takes the first.

    Raises:
        ConfigError: If the file is no YAML, or its profiles are no mapping.
        UnknownNameError: If there is no such recipe or profile.
    """
    path = recipe_path(name)
    node = config.load(path)
    known = _profiles(node)
    chosen = profile or (known[0] if known else None)
    base = node.without("profiles")
    if chosen is None:
        return base
    if chosen not in known:
        raise unknown_name(f"profile of {path.name}", chosen, known)
    changes = node.get("profiles")
    layer = None if changes is None else changes.get(chosen)
    # A profile without a single change is null in YAML.
    return base if layer is None or layer.value is None else base.merged(layer)


def read_recipe(source: config.Source, overrides: Sequence[str] = ()) -> AnyRecipe:
    """Reads a recipe without profiles, as a run's folder or a release holds it.

    Raises:
        ConfigError: All faults, each with its position.
    """
    node = config.load(source)
    return config.read(KINDS[recipe_kind(node)], node, overrides=overrides)


def recipe_kind(source: config.Source) -> str:
    """Returns the kind that a recipe's file names; a funnel if it names none.

    Raises:
        ConfigError: If the kind is unknown, with its position and the nearest.
    """
    node = config.load(source)
    named = node.get("kind")
    if named is None:
        return "funnel"
    if not isinstance(named.value, str) or named.value not in KINDS:
        said = f"unknown kind of recipe {named.value!r}{suggestion(str(named.value), KINDS)}"
        raise ConfigError([node.fault(("kind",), f"{said}; allowed: {', '.join(KINDS)}")])
    return named.value


def load_funnel(name: str | Path, profile: str | None = None, overrides: Sequence[str] = ()) -> Recipe:
    """Reads a recipe as `load_recipe` does, for callers that need a space to search.

    Raises:
        ConfigError: Also if it is of another kind.
    """
    recipe = load_recipe(name, profile, overrides)
    if not isinstance(recipe, Recipe):
        raise ConfigError([f"{name}: a recipe of kind {recipe.kind} has no space to search; one of kind funnel has"])
    return recipe


def differences(recorded: Any, given: Any, path: str = "") -> list[str]:
    """Says in which values two configs differ: `search.evaluations: 20 became 30`."""
    if isinstance(recorded, dict) and isinstance(given, dict):
        lines: list[str] = []
        for key in sorted({*recorded, *given}):
            lines += differences(recorded.get(key), given.get(key), f"{path}.{key}" if path else key)
        return lines
    return [] if recorded == given else [f"{path}: {recorded!r} became {given!r}"]


def check_unchanged(recorded: Path, recipe: AnyRecipe) -> None:
    """Refuses to resume a run with another recipe than it was begun with.

    Args:
        recorded: The recipe that the run was begun with; fields that it lacks are at their default.
        recipe: The one to go on with.

    Raises:
        ConfigError: Saying what changed.
    """
    changed = differences(config.to_config(read_recipe(recorded)), config.to_config(recipe))
    if changed:
        raise ConfigError([f"{recorded}: the run was begun with another recipe: {line}" for line in changed])


def _profiles(node: config.Node) -> list[str]:
    profiles = node.get("profiles")
    if profiles is None or profiles.value is None:
        return []
    if not isinstance(profiles.value, Mapping):
        raise ConfigError([node.fault(("profiles",), f"expected a mapping of profiles, got {profiles.value!r}")])
    return [str(name) for name in profiles.value]


def _require_scored(name: str, plan: TrainConfig) -> None:
    if plan.evaluate == "never":
        raise ValueError(f"{name}.evaluate must not be 'never': candidates are chosen by that accuracy")
