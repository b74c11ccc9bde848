"""What one can know of every registered model without building it: sizes, published figures, the price on a target."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from accelzoo.arch import Arch
from accelzoo.errors import AccelzooError, suggestion
from accelzoo.families.base import Family, Published
from accelzoo.heads import head_kinds
from accelzoo.hwmodel import Cost, Graph, Target, estimate
from accelzoo.parameters import count_parameters
from accelzoo.registry import get_arch, list_models, models


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """One model.

    Args:
        name: Its name.
        family: Its family.
        arch: Its architecture.
        graph: That lowered.
        parameters: Number of parameters as torch counts them; None where the description does not tell.
        target: What it is priced on, if on anything.
        cost: Its price there.
    """

    name: str
    family: Family
    arch: Arch
    graph: Graph
    parameters: int | None
    target: Target | None = None
    cost: Cost | None = None

    @property
    def published(self) -> tuple[Published, ...]:
        """What others measured of it."""
        return tuple(self.family.published.get(self.name, ()))

    @property
    def top1(self) -> float | None:
        """The first published top-1 accuracy, percent."""
        return next((figures.top1 for figures in self.published if figures.top1 is not None), None)

    @property
    def map(self) -> float | None:
        """The first published mean average precision, percent."""
        return next((figures.map for figures in self.published if figures.map is not None), None)

    @property
    def peak_activation_bytes(self) -> int:
        """Largest number of activation bytes alive at once, as the target places them if there is one."""
        return self.graph.peak_activation_bytes if self.cost is None else self.cost.peak_activation_bytes

    def to_json(self) -> dict[str, Any]:
        """Plain data with units in the names."""
        data: dict[str, Any] = {
            "name": self.name,
            "family": self.family.name,
            "task": self.arch.head.task,
            "input_size": list(self.arch.input_size),
            "parameters": self.parameters,
            "macs": self.graph.macs,
            "weight_bytes": self.graph.weight_bytes,
            "peak_activation_bytes": self.peak_activation_bytes,
            "top1_percent": self.top1,
            "map_percent": self.map,
        }
        if self.target is not None and self.cost is not None:
            data |= {"target": self.target.name} | price_json(self.cost)
        return data


def parameters_of(arch: Arch) -> int | None:
    """Number of parameters; None of blocks and heads from elsewhere whose description does not tell."""
    try:
        return count_parameters(arch)
    except AccelzooError:
        return None


def price_json(cost: Cost) -> dict[str, Any]:
    """A price as plain data: totals, and how many operators are not in them or far from anything measured."""
    return {
        "latency_s": cost.latency_s,
        "energy_j": cost.energy_j,
        "unpriced_operators": len(cost.unpriced),
        "unpriced_kinds": unpriced_kinds(cost),
        "extrapolated_operators": len(cost.extrapolated),
    }


def unpriced_kinds(cost: Cost) -> dict[str, int]:
    """Kind of operator → how many of it the target cannot run."""
    return dict(sorted(Counter(entry.rpartition(" (")[2][:-1] for entry in cost.unpriced).items()))


def entry(name: str, target: Target | None = None) -> Entry:
    """Describes one registered model, with its price if there is a target.

    Raises:
        UnknownNameError: If there is no such model.
    """
    arch = get_arch(name)
    graph = arch.lower()
    return Entry(
        name=name,
        family=models()[name],
        arch=arch,
        graph=graph,
        parameters=parameters_of(arch),
        target=target,
        cost=None if target is None else estimate(graph, target),
    )


def entries(pattern: str = "*", task: str | None = None, target: Target | None = None) -> list[Entry]:
    """Describes the models that match a shell pattern, and a task if one is given, in the order of their names.

    Raises:
        AccelzooError: If no head is for that task; the nearest is suggested.
    """
    tasks = sorted({kind.task for kind in head_kinds().values()})
    if task is not None and task not in tasks:
        raise AccelzooError(f"unknown task {task!r}{suggestion(task, tasks)} (allowed: {', '.join(tasks)})")
    return [entry(name, target) for name in list_models(pattern) if task in (None, get_arch(name).head.task)]


def _lower_bound_last(field: str) -> Callable[[Entry], float | None]:
    def key(entry: Entry) -> float | None:
        return None if entry.cost is None or entry.cost.unpriced else getattr(entry.cost, field)

    return key


_PRICES = ("latency", "energy")
_KEYS: Mapping[str, Callable[[Entry], Any]] = {
    "name": lambda entry: entry.name,
    "latency": _lower_bound_last("latency_s"),
    "energy": _lower_bound_last("energy_j"),
    "macs": lambda entry: entry.graph.macs,
    "params": lambda entry: entry.parameters,
    "weights": lambda entry: entry.graph.weight_bytes,
    "peak": lambda entry: entry.peak_activation_bytes,
    "top1": lambda entry: entry.top1,
    "map": lambda entry: entry.map,
}
SORTS = tuple(_KEYS)
"""What models can be sorted by."""


def check_sort(key: str, priced: bool) -> None:
    """Refuses an order that does not exist, or one by price without a target.

    Raises:
        AccelzooError: Naming the nearest, or what is missing.
    """
    if key not in _KEYS:
        raise AccelzooError(f"unknown sort {key!r}{suggestion(key, SORTS)} (allowed: {', '.join(SORTS)})")
    if key in _PRICES and not priced:
        raise AccelzooError(f"--sort {key} needs a target to price on: add --target T (see `accelzoo ls targets`)")


def in_order(found: Sequence[Entry], key: str, reverse: bool = False) -> list[Entry]:
    """Sorts by one of `SORTS`, ascending or in `reverse`; equals by name.

    Models without the figure come last either way, and so do those whose price is only a lower bound.
    """
    known = sorted((entry for entry in found if _KEYS[key](entry) is not None), key=lambda entry: entry.name)
    known.sort(key=_KEYS[key], reverse=reverse)
    return known + [entry for entry in found if _KEYS[key](entry) is None]


def baselines() -> dict[str, list[str]]:
    """Space → the models that recipes compare what they find in it with."""
    from accelzoo import config
    from accelzoo.recipes import list_recipes, recipe_path

    found: dict[str, list[str]] = {}
    for name in list_recipes():
        node = config.load(recipe_path(name))
        space, baseline = (getattr(node.get(key), "value", None) for key in ("space", "baseline"))
        if isinstance(space, str) and isinstance(baseline, str) and baseline not in found.setdefault(space, []):
            found[space].append(baseline)
    return found
