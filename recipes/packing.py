"""A finished run → a release folder with its card."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from accelzoo import config
from accelzoo.build import AccelNet
from accelzoo.hwmodel import Cost
from accelzoo.model_card import Evaluation, Metric, model_card
from accelzoo.recipes.report import Comparison
from accelzoo.recipes.schema import Recipe
from accelzoo.release import Release, write_release
from accelzoo.release_config import Preprocessing, make_config
from accelzoo.tasks.data import ClassificationData


def pack(
    folder: Path,
    recipe: Recipe,
    *,
    model: AccelNet,
    data: ClassificationData,
    comparison: Comparison,
    best: int,
    lock: dict[str, Any],
    trace_path: Path | None,
) -> Release:
    """Writes the winner's release.

    Args:
        folder: Where to.
        recipe: What was run.
        model: The winner, trained with the seed whose validation accuracy is best.
        data: The data at the winner's input size.
        comparison: The result.
        best: Index of that seed among the recipe's seeds.
        lock: The run's lock.
        trace_path: The search's trace.
    """
    arch, scored = model.arch, comparison.winner
    metrics = {"test_top1": scored.top1[best], "validation_top1": scored.validation[best].top1}
    normalization = data.normalization
    described = make_config(
        arch=arch.to_config(),
        arch_digest=arch.digest(),
        class_names=data.class_names,
        num_features=model.num_features,
        preprocessing=Preprocessing(input_size=arch.input_size, mean=normalization.mean, std=normalization.std),
        first_conv="conv_stem",
        classifier="classifier",
        metrics=metrics,
        target=comparison.target,
        cost={name: getattr(scored.cost, name) for name in Cost.fields()},
    )
    weights = {name: value.detach().cpu().contiguous().numpy() for name, value in model.state_dict().items()}
    return write_release(
        folder,
        weights=weights,
        config=described,
        recipe_yaml=config.dump_yaml(recipe),
        lock=lock,
        trace_path=trace_path,
        card=_card(recipe, comparison, best, data.name),
        force=True,
    )


def _card(recipe: Recipe, comparison: Comparison, best: int, data_name: str) -> str:
    plan = recipe.release
    low, high = comparison.winner.test[best].interval
    metric = Metric(kind="accuracy", value=comparison.winner.top1[best], name="top-1 accuracy, float32")
    evaluation = Evaluation(
        task="image-classification",
        dataset=_dataset_identifier(data_name),
        dataset_name=plan.dataset_name,
        metrics=(metric,),
        split="test",
    )
    body = [
        f"{recipe.description}\n" if recipe.description else "",
        f"Found for `{comparison.target}` by the recipe `{recipe.recipe}` (`recipe.yaml`; the run is in `lock.json`, "
        "every candidate of the search in `trace.jsonl`).",
        f"These are the weights of seed {recipe.seeds[best]}, which has the best validation accuracy; their 95 % "
        f"interval on the test split is {low:.2%} … {high:.2%} (Wilson).\n",
        "Costs are estimates of accelzoo's analytic model at int8, batch 1; accuracies are float32.\n",
        comparison.markdown(),
        plan.citation,
    ]
    return model_card(
        name=plan.name,
        license=plan.license,
        datasets=[evaluation.dataset],
        evaluations=[evaluation],
        tags=[f"target:{comparison.target}"],
        body="\n".join(line for line in body if line),
    )


def _dataset_identifier(source: str) -> str:
    """Returns the name of a source, or the last part of its path: the card tells nobody's folders."""
    path = source.split("?")[0].split(":")[0].replace("\\", "/").rstrip("/")
    return path.rsplit("/", 1)[-1]
