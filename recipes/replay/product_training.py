"""The trainings of a product run's networks, made again: of the trunk first, where the recipe has that."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from accelzoo.arch import Arch
from accelzoo.recipes.job_pool import run_jobs
from accelzoo.recipes.job_records import digest_of_weights
from accelzoo.recipes.output import say
from accelzoo.recipes.product.job_context import ProductContext
from accelzoo.recipes.product.jobs import PretrainJob, TrainJob, trunk_classifier
from accelzoo.recipes.product.schema import ProductRecipe
from accelzoo.recipes.product.tasks import product_data
from accelzoo.recipes.replay.judging import Trained
from accelzoo.recipes.replay.material import Material, require
from accelzoo.search.workers import Workers


def train_products(
    material: Material,
    recipe: ProductRecipe,
    networks: Mapping[str, Arch],
    out: Path,
    workers: Workers,
    progress: bool | None,
) -> list[Trained]:
    """Trains networks again, each with the seed whose weights were released: the best on validation images.

    Args:
        material: The run's lock.
        recipe: What was run, with the data where they are here.
        networks: Name → architecture.
        out: The folder of the jobs.
        workers: Who does them.
        progress: Show each training.

    Raises:
        DataError: If the data are missing, or others than the lock's; of those of a pretraining nothing is recorded but
            what they lead to.
        MissingToolError: If what scores or quantises is not installed.
    """
    data = product_data(recipe)
    material.require_data({"all": data.manifest()})
    context = ProductContext(recipe=recipe, data=data, folder=out)
    runs = {name: _released_run(material, name) for name in networks}
    pretrainings = {name: job for name, arch in networks.items() if (job := _pretraining(context, arch)) is not None}
    if pretrainings:
        run_jobs(list(pretrainings.values()), context, workers, say, progress)
    jobs = {
        name: TrainJob(arch=arch, seed=runs[name]["seed"], pretrained=pretrainings.get(name))
        for name, arch in networks.items()
    }
    results = run_jobs(list(jobs.values()), context, workers, say, progress)
    return [_trained(context, job, results[job.name], runs[name]) for name, job in jobs.items()]


def _pretraining(context: ProductContext, arch: Arch) -> PretrainJob | None:
    plan = context.recipe.pretraining
    if plan is None:
        return None
    size = (arch.input_size[0], plan.resolution, plan.resolution)
    classes = len(context.bank(plan).at(size).class_names)
    return PretrainJob(arch=trunk_classifier(arch, classes, plan.resolution))


def _released_run(material: Material, name: str) -> Mapping[str, Any]:
    """Returns what the lock has of the training whose weights were released; of equal ones the first."""
    where = f"{material.of}: lock: comparison"
    require(material.lock.comparison, ("networks",), where)
    networks = {network["name"]: network for network in material.lock.comparison["networks"]}
    require(networks, (name,), f"{where}.networks")
    found: Mapping[str, Any] = max(networks[name]["runs"], key=lambda run: run["validation"]["value"])
    return found


def _trained(
    context: ProductContext, job: TrainJob, result: Mapping[str, Any], recorded: Mapping[str, Any]
) -> Trained:
    return Trained(
        label=job.name,
        arch_digest=job.arch.digest(),
        weights_sha256=digest_of_weights(context.weights(job.name)),
        metric=f"test_{result['test']['metric']}",
        value=result["test"]["value"],
        recorded=recorded["test"]["value"],
        threads=context.recipe.training.threads,
        setup=result.get("setup", {}),
    )
