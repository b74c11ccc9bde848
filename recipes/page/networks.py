"""The networks that a run is about, as architectures with a name."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from accelzoo import config
from accelzoo.arch import Arch
from accelzoo.errors import AccelzooError
from accelzoo.hwmodel import Cost, Target, estimate, load_target
from accelzoo.recipes import pricing
from accelzoo.recipes.folder import RECIPE_FILE, RunFolder
from accelzoo.recipes.page.material import Material, read_object
from accelzoo.recipes.width.schema import WidthRecipe
from accelzoo.registry import get_arch
from accelzoo.release import CONFIG_FILE

BASELINE = "baseline"

@dataclass(frozen=True, slots=True, kw_only=True)
class Shown:
    """A network with its price, operator by operator.

    Args:
        name: `baseline`, or what the run calls it.
        arch: The network.
        cost: Its estimate on the run's target, as the target is now.
    """

    name: str
    arch: Arch
    cost: Cost


@dataclass(frozen=True, slots=True, kw_only=True)
class Networks:
    """The networks of a run, the baseline first where it is known.

    Args:
        target: What they are priced on.
        shown: The networks.
        notes: What to know about the prices.
    """

    target: Target
    shown: tuple[Shown, ...]
    notes: tuple[str, ...]


def networks_of(material: Material) -> Networks | str:
    """Returns the networks, or why there are none."""
    lock = material.lock
    if lock is None:
        return "The run is not finished: its networks are not chosen yet."
    try:
        target = load_target(lock["target"]["name"])
        archs = _archs(material, lock)
    except (AccelzooError, KeyError) as error:
        return f"The networks cannot be priced here: {error}"
    notes: tuple[str, ...] = ()
    if target.digest() != lock["target"]["digest"]:
        notes = (f"The target {target.name} has changed since the run: prices here are by the one of today.",)
    shown = tuple([Shown(name=name, arch=arch, cost=estimate(arch.lower(), target)) for name, arch in archs.items()])
    return Networks(target=target, shown=shown, notes=notes)


def _archs(material: Material, lock: Mapping[str, Any]) -> dict[str, Arch]:
    if material.kind == "product":
        return {one["name"]: Arch.from_config(one["arch"]) for one in lock["comparison"]["networks"]}
    facts = material.config or read_object(RunFolder(material.folder).release / CONFIG_FILE)
    name = "winner" if material.kind == "funnel" else "released"
    found = {name: Arch.from_config(facts["accelzoo"]["arch"])} if facts else {}
    classes = len(next(iter(lock["data"].values()))["class_names"])
    if material.kind == "width":
        recipe = config.read(WidthRecipe, material.folder / RECIPE_FILE)
        size = (3, recipe.resolution, recipe.resolution)
        baseline = get_arch(recipe.network, **recipe.options, num_classes=classes, input_size=size)
    else:
        view = material.searches[0].view if material.searches else None
        if view is None or view.recipe is None:
            return found
        baseline = pricing.prepare(view.recipe, classes, 3).baseline
    return {BASELINE: baseline, **found}
