"""A network of a finished product run → a release folder with its card."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from accelzoo import config
from accelzoo.errors import DataError
from accelzoo.hwmodel import Cost
from accelzoo.model_card import Evaluation, Metric, hardware_tags, latency_metric, model_card, usage
from accelzoo.recipes.lock import FILES
from accelzoo.recipes.product.schema import ProductRecipe
from accelzoo.recipes.product.tasks import ProductData
from accelzoo.recipes.product.values import BASELINE, SeedRun, Trained
from accelzoo.release import Release, vouched_files, write_release
from accelzoo.release_config import Preprocessing, make_config
from accelzoo.weights_digest import network_arrays

if TYPE_CHECKING:
    from accelzoo.build import Trunk

_TASKS = {"detection": "object-detection", "segmentation": "image-segmentation"}
"""A recipe's task, as the Hugging Face hub names it."""
_METRICS = {"AP50": "mean_average_precision", "mIoU": "mean_iou"}
"""A score's metric, likewise."""


def best_run(one: Trained) -> SeedRun:
    """Returns the training whose weights are released: the best on validation images, of equal ones the first."""
    return max(one.runs, key=lambda run: run.validation.value)


def pack_network(
    folder: Path,
    recipe: ProductRecipe,
    *,
    one: Trained,
    model: Trunk,
    calibration: Mapping[str, Any],
    data: ProductData,
    table: str,
    target: str,
    lock: Mapping[str, Any],
    trace_path: Path | None,
) -> Release:
    """Writes the release of one network of a run.

    Args:
        folder: Where to.
        recipe: What was run.
        one: The network, with its prices and scores.
        model: The same, with the weights of `best_run`.
        calibration: The ranges of its activations, as `accelzoo.quantization.Calibration.to_json` returns them.
        data: What it was trained on.
        table: The run's result as Markdown.
        target: Name of the target that it was found for.
        lock: The run's lock.
        trace_path: The trace of the search that found it; None for the baseline.

    Raises:
        DataError: If the weights are not those of the network.
    """
    if model.arch != one.network.arch:
        raise DataError(f"{one.network.name}: the weights are those of another network")
    run = best_run(one)
    weights, recipe_yaml = network_arrays(model), config.dump_yaml(recipe)
    return write_release(
        folder,
        weights=weights,
        config=_describe(one, model, run, data, target),
        recipe_yaml=recipe_yaml,
        lock={**lock, FILES: vouched_files(weights, recipe_yaml, trace_path, calibration)},
        trace_path=trace_path,
        card=_card(recipe, one, run, table, target),
        quantization=calibration,
        force=True,
    )


def _describe(one: Trained, model: Trunk, run: SeedRun, data: ProductData, target: str) -> dict[str, Any]:
    arch = model.arch
    normalization = data.normalization(arch)
    return make_config(
        arch=arch.to_config(),
        arch_digest=arch.digest(),
        class_names=data.class_names,
        num_features=model.feature_info[-1]["num_chs"],
        preprocessing=Preprocessing(input_size=arch.input_size, mean=normalization.mean, std=normalization.std),
        first_conv="conv_stem",
        classifier=None,
        metrics={
            f"test_{run.test.metric}": run.test.value,
            f"validation_{run.validation.metric}": run.validation.value,
            f"validation_{run.int8.metric}_int8": run.int8.value,
        },
        target=target,
        cost={name: getattr(one.prices[target].cost, name) for name in Cost.fields()},
    )


def _card(recipe: ProductRecipe, one: Trained, run: SeedRun, table: str, target: str) -> str:
    plan, network = recipe.release, one.network
    kind, dataset = _METRICS[run.test.metric], _dataset(recipe.data)
    task = _TASKS[recipe.task]
    latency_s, name = one.prices[target].cost.latency_s, f"{plan.name}_{network.name}"
    tested = Metric(kind=kind, value=run.test.value, name=f"{run.test.metric}, float32")
    on_test = (tested, latency_metric(latency_s, target))
    evaluations = [
        Evaluation(task=task, dataset=dataset, dataset_name=plan.dataset_name, metrics=on_test, split="test"),
        Evaluation(
            task=task,
            dataset=dataset,
            dataset_name=plan.dataset_name,
            metrics=(
                Metric(kind=kind, value=run.validation.value, name=f"{run.validation.metric}, float32"),
                Metric(kind=kind, value=run.int8.value, name=f"{run.int8.metric}, int8"),
            ),
            split="validation",
        ),
    ]
    found = f"Found for `{target}` by the search `{network.search}` ({network.title}; every candidate in `trace.jsonl`)"
    if network.name == BASELINE:
        found = f"The baseline, `{recipe.baseline}`, with the classes of the data,"
    body = [
        f"{recipe.description}\n" if recipe.description else "",
        f"{found} of the recipe `{recipe.recipe}` (`recipe.yaml`; the run is in `lock.json`).",
        _of_seed(run),
        "Costs are estimates of accelzoo's model of the target, or of its compiler, at int8 and batch 1; scores are "
        f"float32 unless said otherwise.\n\n{table}",
        plan.citation,
    ]
    return model_card(
        name=name,
        license=plan.license,
        datasets=[dataset],
        evaluations=evaluations,
        tags=hardware_tags(latency_s, target, None if network.name == BASELINE else recipe.baseline),
        body="\n".join([*filter(None, body), "", usage(name, task)]),
    )


def _of_seed(run: SeedRun) -> str:
    said = f"These are the weights of seed {run.seed}, which has the best validation score"
    if run.test.low is None or run.test.high is None:
        return f"{said}.\n"
    interval = f"{run.test.low:.2%} … {run.test.high:.2%}"
    return f"{said}; their 95 % interval on the test split is {interval} (resampled images).\n"


def _dataset(source: str) -> str:
    """Returns the name of drawn data, or of the data's folder: the card tells nobody's paths."""
    kind, _, path = source.partition("?")[0].partition(":")
    return path.replace("\\", "/").rstrip("/").rsplit("/", 1)[-1] or kind
