"""A finished run → a release folder with its card."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from accelzoo import config
from accelzoo.build import AccelNet
from accelzoo.hwmodel import Cost
from accelzoo.model_card import Evaluation, Metric, hardware_tags, latency_metric, model_card, usage
from accelzoo.recipes.lock import FILES
from accelzoo.recipes.report import Scored
from accelzoo.recipes.schema import AnyRecipe
from accelzoo.recipes.width.schema import WidthRecipe
from accelzoo.release import Release, vouched_files, write_release
from accelzoo.release_config import Preprocessing, make_config
from accelzoo.tasks.data import ClassificationData
from accelzoo.tasks.metrics import Metrics
from accelzoo.weights_digest import network_arrays

_TASK = "image-classification"
"""As the Hugging Face hub names it."""
ESTIMATED = "Costs are estimates of accelzoo's analytic model at int8, batch 1; accuracies are float32."
"""What the numbers of a card are, unless the pipeline says otherwise."""


def pack(
    folder: Path,
    recipe: AnyRecipe,
    *,
    model: AccelNet,
    data: ClassificationData,
    scored: Scored,
    index: int,
    seed: int,
    table: str,
    target: str,
    lock: dict[str, Any],
    trace_path: Path | None,
    found_by: str,
    numbers: str = ESTIMATED,
) -> Release:
    """Writes the release of one trained network.

    Args:
        folder: Where to.
        recipe: What was run.
        model: The network, trained with the seed whose validation accuracy is best.
        data: The data at its input size.
        scored: Its price, and its scores.
        index: Which of these scores are of `model`.
        seed: The one that it was trained with.
        table: The run's result as Markdown.
        target: Name of the target that it was found for.
        lock: The run's lock.
        trace_path: The trace of what chose the network; it becomes the release's `trace.jsonl`.
        found_by: What in the release tells how the network was found, to follow "the run is in `lock.json`, ".
        numbers: A sentence on what the table's costs and accuracies are.
    """
    body = [
        f"{recipe.description}\n" if recipe.description else "",
        f"Found for `{target}` by the recipe `{recipe.recipe}` (`recipe.yaml`; the run is in `lock.json`, {found_by}).",
        _of_seed(seed, scored.test[index]),
        f"{numbers}\n\n{table}",
    ]
    weights, recipe_yaml = network_arrays(model), config.dump_yaml(recipe)
    return write_release(
        folder,
        weights=weights,
        config=_describe(model, data, scored, index, target),
        recipe_yaml=recipe_yaml,
        lock={**lock, FILES: vouched_files(weights, recipe_yaml, trace_path)},
        trace_path=trace_path,
        card=_card(recipe, scored, index, data.name, target, body),
        force=True,
    )


def _of_seed(seed: int, test: Metrics) -> str:
    low, high = test.interval
    return (
        f"These are the weights of seed {seed}, which has the best validation accuracy; their 95 % interval on the "
        f"test split is {low:.2%} … {high:.2%} (Wilson).\n"
    )


def _describe(model: AccelNet, data: ClassificationData, scored: Scored, index: int, target: str) -> dict[str, Any]:
    arch, normalization = model.arch, data.normalization
    return make_config(
        arch=arch.to_config(),
        arch_digest=arch.digest(),
        class_names=data.class_names,
        num_features=model.num_features,
        preprocessing=Preprocessing(input_size=arch.input_size, mean=normalization.mean, std=normalization.std),
        first_conv="conv_stem",
        classifier="classifier",
        metrics={"test_top1": scored.top1[index], "validation_top1": scored.validation[index].top1},
        target=target,
        cost={name: getattr(scored.cost, name) for name in Cost.fields()},
    )


def _card(recipe: AnyRecipe, scored: Scored, index: int, data_name: str, target: str, body: Sequence[str]) -> str:
    plan, latency_s = recipe.release, scored.cost.latency_s
    top1 = Metric(kind="accuracy", value=scored.top1[index], name="top-1 accuracy, float32")
    evaluation = Evaluation(
        task=_TASK,
        dataset=_dataset_identifier(data_name),
        dataset_name=plan.dataset_name,
        metrics=(top1, latency_metric(latency_s, target)),
        split="test",
    )
    baseline = recipe.network if isinstance(recipe, WidthRecipe) else recipe.baseline
    return model_card(
        name=plan.name,
        license=plan.license,
        datasets=[evaluation.dataset],
        evaluations=[evaluation],
        tags=hardware_tags(latency_s, target, baseline),
        body="\n".join([*filter(None, [*body, plan.citation]), "", usage(plan.name, _TASK)]),
    )


def _dataset_identifier(source: str) -> str:
    """Returns the name of a source, or the last part of its path: the card tells nobody's folders."""
    path = source.split("?")[0].split(":")[0].replace("\\", "/").rstrip("/")
    return path.rsplit("/", 1)[-1]
