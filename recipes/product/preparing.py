"""Everything that a product run needs before it begins, so that what can be refused is refused at once."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from accelzoo.arch import Arch
from accelzoo.errors import ConfigError, suggestion
from accelzoo.hwmodel import Target, estimate, load_target
from accelzoo.hwmodel.oracles.protocol import import_tool
from accelzoo.knobs import Space
from accelzoo.recipes.bank import DataBank
from accelzoo.recipes.product.schema import ProductRecipe, SearchPlan
from accelzoo.recipes.product.searching import fit_baseline, fit_space
from accelzoo.recipes.product.tasks import ProductData, product_data
from accelzoo.registry import get_space
from accelzoo.search import algorithm_names
from accelzoo.search.scores import score_names

_SCORING = {"detection": ("faster_coco_eval", "det"), "segmentation": ("torchmetrics", "seg")}
_INT8 = ("flatbuffers", "tflite", "ai_edge_litert.interpreter")


@dataclass(frozen=True, slots=True, kw_only=True)
class Prepared:
    """A recipe made concrete.

    Args:
        target: What the searches minimise the latency of.
        data: The data, which have been read.
        baseline: With the classes of the data.
        spaces: Name of a search → its space, with the classes of the data.
    """

    target: Target
    data: ProductData
    baseline: Arch
    spaces: Mapping[str, Space]


def prepare(recipe: ProductRecipe) -> Prepared:
    """Reads the data, and fits baseline and spaces to them.

    Raises:
        ConfigError: If a network is for another task, a name is unknown, or the target cannot run the baseline.
        MissingToolError: If what scores or quantises is not installed.
        DataError: If the data are missing, or have no test split.
    """
    _check_names(recipe.search)
    import_tool(*_SCORING[recipe.task])
    for tool in _INT8:
        import_tool(tool, "litert")
    target = load_target(recipe.target)
    for name in recipe.also_on:
        load_target(name)
    data = product_data(recipe)
    classes = len(data.class_names)
    baseline = fit_baseline(recipe, classes)
    unpriced = estimate(baseline.lower(), target).unpriced
    if unpriced:
        raise ConfigError([f"target {target.name!r} cannot run the baseline's {', '.join(unpriced)}"])
    sizes = recipe.input_sizes
    spaces = {name: fit_space(get_space(spec.space), classes, sizes) for name, spec in recipe.searches.items()}
    if (plan := recipe.pretraining) is not None:
        DataBank(plan.data).at((baseline.input_size[0], plan.resolution, plan.resolution))
    return Prepared(target=target, data=data, baseline=baseline, spaces=spaces)


def _check_names(plan: SearchPlan) -> None:
    known = {"search.algorithm": algorithm_names(), "search.signal.scores": score_names()}
    given = {"search.algorithm": (plan.algorithm,), "search.signal.scores": plan.signal.scores}
    faults = [
        f"{key}: unknown name {name!r}{suggestion(name, known[key])} (allowed: {', '.join(known[key])})"
        for key, names in given.items()
        for name in names
        if name not in known[key]
    ]
    if faults:
        raise ConfigError(faults)
