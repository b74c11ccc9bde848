"""Whether what a recipe names exists and fits together, for every kind; no data are read, and nothing is trained.

How many classes the data have is not known without reading them: networks are tried with `CLASSES`. Whether anything
in a funnel's space meets the budgets may take minutes to prove; the run does that before it writes anything.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

from accelzoo.arch import Arch
from accelzoo.errors import BudgetError, DataError, suggestion
from accelzoo.hwmodel import Target, estimate, load_target, oracles
from accelzoo.knobs import Space
from accelzoo.recipes.bank import DataBank
from accelzoo.recipes.findings import Findings
from accelzoo.recipes.funnel import check_shortlist, objective_of
from accelzoo.recipes.pricing import Task, prepare
from accelzoo.recipes.product.schema import ProductRecipe
from accelzoo.recipes.product.searching import PENDING, fit_baseline, fit_space
from accelzoo.recipes.product.signal import CapacitySignal
from accelzoo.recipes.schema import AnyRecipe, Recipe
from accelzoo.recipes.trainings import TrainingSignal
from accelzoo.recipes.width.choosing import budgets_of
from accelzoo.recipes.width.latency import LATENCY, PEAK, DeviceLatency
from accelzoo.recipes.width.schema import WidthRecipe
from accelzoo.registry import get_arch, get_space
from accelzoo.search import COST_FIELDS, Budgets, Objective, TargetCosts
from accelzoo.search.algorithms import get_algorithm
from accelzoo.search.evaluator import Evaluator
from accelzoo.search.plan import Plan
from accelzoo.search.scores import get_score
from accelzoo.search.width import WidthSpace, solve_width

CLASSES = 10
_CHANNELS = 3
_SAMPLE = 8  # networks of a space on which scores are tried


def check_kind(recipe: AnyRecipe, found: Findings) -> None:
    """Adds every fault of a recipe that was read: names, and what does not fit together.

    Args:
        recipe: One profile of it.
        found: Where faults go.
    """
    if isinstance(recipe, ProductRecipe):
        check_product(recipe, found)
    elif isinstance(recipe, WidthRecipe):
        check_width(recipe, found)
    else:
        check_funnel(recipe, found)


def check_funnel(recipe: Recipe, found: Findings) -> None:
    """Adds the faults of a funnel: see `check_kind`."""
    found.ask("target", load_target, recipe.target)
    _check_task("baseline", found.ask("baseline", get_arch, recipe.baseline), recipe.task, found)
    _check_space("space", found.ask("space", get_space, recipe.space), recipe.task, found)
    found.ask("search.algorithm", get_algorithm, recipe.search.algorithm)
    for score in () if recipe.search.shortlist is None else recipe.search.shortlist.scores:
        found.ask("search.shortlist.scores", get_score, score)
    found.ask("data", check_source, recipe.data, recipe.task)
    if found.faults:
        return  # what follows would only say it again
    task = found.ask("", prepare, recipe, CLASSES, _CHANNELS)
    if task is not None:
        found.ask("search", _begin_search, recipe, task)
        found.ask("search.shortlist", check_shortlist, recipe.search, task)


def check_product(recipe: ProductRecipe, found: Findings) -> None:
    """Adds the faults of a product recipe: see `check_kind`."""
    target = found.ask("target", load_target, recipe.target)
    for index, name in enumerate(recipe.also_on):
        found.ask(f"also_on.{index}", load_target, name)
    baseline = found.ask("baseline", fit_baseline, recipe, _classes(recipe))
    spaces: dict[str, Space] = {}
    for name, search in recipe.searches.items():
        space = found.ask(f"searches.{name}.space", get_space, search.space)
        _check_space(f"searches.{name}.space", space, recipe.task, found)
        if space is not None:
            spaces[name] = space
    found.ask("search.algorithm", get_algorithm, recipe.search.algorithm)
    for score in recipe.search.signal.scores:
        found.ask("search.signal.scores", get_score, score)
    found.ask("data", check_source, recipe.data, recipe.task)
    if recipe.pretraining is not None:
        found.ask("pretraining.data", check_source, recipe.pretraining.data, "classification")
    if found.faults or target is None or baseline is None:
        return  # what follows would only say it again
    if unpriced := estimate(baseline.lower(), target).unpriced:
        found.add("target", f"{target.name!r} cannot run the baseline's {', '.join(unpriced)}")
        return
    for name, space in spaces.items():
        fitted = found.ask(f"searches.{name}.space", fit_space, space, _classes(recipe), recipe.input_sizes)
        if fitted is not None:
            found.ask(f"searches.{name}", _begin_product_search, recipe, fitted, target, baseline)


def check_width(recipe: WidthRecipe, found: Findings) -> None:
    """Adds the faults of a width recipe: see `check_kind`."""
    target = found.ask("target", load_target, recipe.target)
    _check_task("network", found.ask("network", get_arch, recipe.network), recipe.task, found)
    found.ask("data", check_source, recipe.data, recipe.task)
    if recipe.measure is not None:
        known = found.ask("measure.oracle", oracles.list_targets, recipe.measure.oracle)
        if target is not None and known is not None and target.name not in known:
            found.add("measure.oracle", f"cannot measure on {target.name!r}; it can on {', '.join(known)}")
    for name in recipe.budgets:
        if name not in COST_FIELDS:
            allowed = f"(allowed: {', '.join(COST_FIELDS)})"
            found.add(f"budgets.{name}", f"unknown cost field{suggestion(name, COST_FIELDS)} {allowed}")
    set_here = {"num_classes": CLASSES, "input_size": (_CHANNELS, recipe.resolution, recipe.resolution)}
    for name in sorted(set_here.keys() & recipe.options.keys()):
        found.add(f"options.{name}", "follows from data and resolution")
    if found.faults:
        return  # what follows would only say it again
    arch = found.ask("options", get_arch, recipe.network, **recipe.options, **set_here)
    if arch is None or target is None:
        return
    space = found.ask("ratios", WidthSpace.from_arch, arch, recipe.ratios, recipe.divisor, fixed=recipe.fixed)
    if space is not None:
        found.ask("network", _train_together, space)
        if recipe.measure is None:
            found.ask("latency_shares", _find_widths, recipe, space, target)


def check_source(source: str, task: str) -> None:
    """Refuses a data source of a kind that there is not; whether there are data is not looked at.

    Args:
        source: As a recipe's `data` names it.
        task: What the data are for.

    Raises:
        UnknownNameError: Naming the nearest kind.
    """
    kind = source.partition("?")[0].partition(":")[0]
    if kind == "shapes" and task != "classification":
        return  # drawn, not read
    try:
        if task == "classification":
            from accelzoo.tasks.sources import parse_source

            parse_source(source)
        elif task == "detection":
            from accelzoo.tasks.detection.load import load_detection

            load_detection(f"{kind}:")  # the kind is looked at before the folder that is not named
        else:
            from accelzoo.tasks.segmentation.load import load_segmentation

            load_segmentation(f"{kind}:")
    except DataError:
        return


def _classes(recipe: ProductRecipe) -> int:
    chosen = None if recipe.detection is None else recipe.detection.classes
    return CLASSES if chosen is None else len(chosen)


def _check_space(entry: str, space: Space | None, task: str, found: Findings) -> None:
    if space is not None:
        _check_task(entry, space.decode((0,) * len(space.sizes)), task, found)


def _check_task(entry: str, arch: Arch | None, task: str, found: Findings) -> None:
    if arch is not None and arch.head.task != task:
        found.add(entry, f"is for {arch.head.task}, the recipe's data are for {task}")


def _begin_search(recipe: Recipe, task: Task) -> None:
    """Tries what a funnel's search begins with: the algorithm's options, and whether it can be kept to a shortlist."""
    plan = recipe.search
    signal = TrainingSignal(DataBank(recipe.data, _CHANNELS), plan.signal, plan.validation_images)
    budgets = Budgets.of(task.budgets)
    evaluator = Evaluator(task.space, signal, TargetCosts(task.target), budgets, objective_of(plan, task))
    pool = None if plan.shortlist is None else [[0] * len(task.space.sizes)]
    Plan(evaluator, plan.algorithm, plan.options, plan.seed, pool=pool, pending=plan.pending)


def _begin_product_search(recipe: ProductRecipe, space: Space, target: Target, baseline: Arch) -> None:
    """Tries what a product's search begins with: the algorithm's options, and the scores on networks of the space."""
    plan = recipe.search
    signal = CapacitySignal.of(replace(plan.signal, sample=_SAMPLE), space, baseline, plan.seed)
    objective = Objective(minimise=(LATENCY,))
    evaluator = Evaluator(space, signal, TargetCosts(target), Budgets.of(None), objective)
    Plan(evaluator, plan.algorithm, plan.options, plan.seed, pending=PENDING)


def _train_together(space: WidthSpace) -> None:
    """Refuses networks whose widths cannot be trained together."""
    from accelzoo.search.width.slimmable import SlimmableNet

    SlimmableNet(space)


def _find_widths(recipe: WidthRecipe, space: WidthSpace, target: Target) -> None:
    """Refuses budgets that no widths meet by the target's estimates."""
    columns: dict[str, Any] = dict.fromkeys(name for name in recipe.budgets if name != PEAK)
    device = DeviceLatency.of(space, target, None, tuple(columns), Path())
    for share in recipe.latency_shares:
        widths = solve_width(device.costs, budgets_of(recipe, device, share), objective=LATENCY)
        if widths.status == "infeasible":
            raise BudgetError(f"{share:g} of the original's latency: {widths.message}")
