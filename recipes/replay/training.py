"""The trainings of what was released, made again."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path

from accelzoo.arch import Arch
from accelzoo.recipes.bank import DataBank
from accelzoo.recipes.job_pool import run_jobs
from accelzoo.recipes.job_records import digest_of_weights
from accelzoo.recipes.output import say
from accelzoo.recipes.product.schema import ProductRecipe
from accelzoo.recipes.replay.funnel import WINNER
from accelzoo.recipes.replay.judging import Trained, judge
from accelzoo.recipes.replay.material import Material, require
from accelzoo.recipes.replay.values import Part
from accelzoo.recipes.schema import Recipe
from accelzoo.recipes.width.schema import WidthRecipe
from accelzoo.search.workers import Workers
from accelzoo.weights_digest import network_arrays, weights_digest

_METRIC = "test_top1"


def train_again(
    material: Material, networks: Mapping[str, Arch], out: Path, workers: Workers, progress: bool | None
) -> list[Part]:
    """Repeats the trainings of the released networks, each with the seed whose weights were released.

    Args:
        material: The run's lock; where releases are there, only their networks are trained.
        networks: Name → architecture, as the search gave them again.
        out: A folder for checkpoints and weights; what is there is gone on with.
        workers: Who trains, where there are several networks.
        progress: Show each training.

    Raises:
        DataError: If the data are missing, or others than the lock's.
        MissingToolError: If what scores or quantises is not installed.
    """
    recipe, released = material.recipe, material.releases
    wanted = {name: arch for name, arch in networks.items() if not released or arch.digest() in released}
    if not isinstance(recipe, ProductRecipe):
        wanted = {name: arch for name, arch in wanted.items() if name == WINNER}
    if not wanted:
        return [Part(name="training", status="skipped", said="the search did not give the released network again")]
    if isinstance(recipe, ProductRecipe):
        from accelzoo.recipes.replay.product_training import train_products

        made = train_products(material, recipe, wanted, out, workers, progress)
    elif isinstance(recipe, Recipe):
        made = [_train_winner(material, recipe, wanted[WINNER], out, progress)]
    else:
        made = [_train_widths(material, recipe, wanted[WINNER], out, workers, progress)]
    return [judge(material, one) for one in made]


def _train_winner(material: Material, recipe: Recipe, arch: Arch, out: Path, progress: bool | None) -> Trained:
    """Trains a funnel's winner with the seed that is best on validation images, of equal ones the first."""
    from accelzoo.recipes.trainings import train
    from accelzoo.tasks.classification import evaluate

    where = f"{material.of}: lock: comparison"
    require(material.lock.comparison, ("winner",), where)
    scores = material.lock.comparison["winner"]
    require(scores, ("validation_top1", _METRIC), f"{where}.winner")
    best = max(range(len(recipe.seeds)), key=lambda index: scores["validation_top1"][index])
    seed = recipe.seeds[best]
    label, data = f"winner-seed{seed}", DataBank(recipe.data).of(arch)
    material.require_data({"winner": data.manifest()})
    say(f"training {label}")
    model, result = train(arch, data.search_view(), recipe.training, seed, out / "trainings" / label, progress)
    return Trained(
        label=label,
        arch_digest=arch.digest(),
        weights_sha256=weights_digest(network_arrays(model)),
        metric=_METRIC,
        value=evaluate(model, data.test).top1,
        recorded=scores[_METRIC][best],
        threads=recipe.training.threads,
        setup=asdict(result)["setup"],
    )


def _train_widths(
    material: Material, recipe: WidthRecipe, arch: Arch, out: Path, workers: Workers, progress: bool | None
) -> Trained:
    """Trains the network of a width run's release anew, with the seed of its choice."""
    from accelzoo.recipes.width.job_context import JobContext
    from accelzoo.recipes.width.jobs import FinalJob
    from accelzoo.recipes.width.preparing import width_space

    where = f"{material.of}: lock: comparison"
    require(material.lock.comparison, ("trained",), where)
    name, trained = material.lock.search["winner"], material.lock.comparison["trained"]
    rows = {row["name"]: row for row in trained}
    require(rows, (name,), f"{where}.trained")
    bank = DataBank(recipe.data)
    material.require_data({"all": bank.of(arch).manifest()})
    job = FinalJob(arch=arch, seed=rows[name]["choice"]["seed"])
    context = JobContext(recipe=recipe, space=width_space(recipe, material.classes), bank=bank, folder=out)
    result = run_jobs([job], context, workers, say, progress)[job.name]
    return Trained(
        label=job.name,
        arch_digest=arch.digest(),
        weights_sha256=digest_of_weights(context.final_weights(job.name)),
        metric=_METRIC,
        value=result["test"]["top1"],
        recorded=rows[name]["test"]["top1"],
        threads=recipe.training.threads,
        setup=result.get("setup", {}),
    )
