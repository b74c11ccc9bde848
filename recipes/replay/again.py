"""A replay as a whole: finds what is replayed, repeats its search, and, if asked, its trainings."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path

from accelzoo import config
from accelzoo.errors import AccelzooError
from accelzoo.hwmodel import load_target
from accelzoo.recipes.lock import versions
from accelzoo.recipes.product.schema import ProductRecipe
from accelzoo.recipes.replay.comparing import first_difference
from accelzoo.recipes.replay.material import Material, find_material
from accelzoo.recipes.replay.values import Again, Divergence, Part, Replay
from accelzoo.recipes.schema import Recipe
from accelzoo.search.workers import Workers, as_workers

_PLANNED = 2  # the first schema of locks that hold the recipe


def replay(
    source: str,
    *,
    train: bool = False,
    train_candidates: bool = False,
    places: Sequence[str] = (),
    out: Path | None = None,
    workers: int | str | Workers = 1,
    progress: bool | None = None,
) -> Replay:
    """Repeats a run against its lock; the search in a folder of its own, so that nothing there is trusted.

    Args:
        source: As for `find_material`.
        train: Repeat the training of what is released, too.
        train_candidates: Train the candidates of a funnel's search again, instead of taking their recorded accuracies.
        places: Where data are here, if not where the recipe says: `data=…`, `pretraining.data=…`.
        out: A folder for the trainings, which are gone on with; None: a temporary one.
        workers: How many processes, or where; they decide nothing but time.
        progress: Show progress; None: if standard error is a terminal.

    Raises:
        AccelzooError: If there is nothing of this name, or it holds no lock.
        ConfigError: If the recipe has faults here, or names what is not here any more.
        DataError: If a lock or a trace is damaged, or, for trainings, the data are missing or others.
        MissingToolError: If what the trainings need is not installed.
    """
    material, crew = find_material(source).with_data(places), as_workers(workers)
    if train_candidates and not isinstance(material.recipe, Recipe):
        raise AccelzooError(f"{source}: a recipe of kind {material.recipe.kind} trains no candidates in its search")
    with tempfile.TemporaryDirectory() as temporary:
        work = Path(temporary)
        again = _searched(material, work, crew, progress, train_candidates=train_candidates)
        parts = [*_settings(material), *again.parts]
        if train:
            from accelzoo.recipes.replay.training import train_again

            parts += train_again(material, again.networks, out or work, crew, progress)
    notes = (*material.notes, *_other_versions(material))
    return Replay(of=source, recipe=material.planned.recipe, parts=tuple(parts), notes=notes)


def _searched(
    material: Material, work: Path, workers: Workers, progress: bool | None, *, train_candidates: bool
) -> Again:
    recipe = material.recipe
    if isinstance(recipe, ProductRecipe):
        from accelzoo.recipes.replay.product import replay_product

        return replay_product(material, recipe, work, workers, progress)
    if isinstance(recipe, Recipe):
        from accelzoo.recipes.replay.funnel import replay_funnel

        return replay_funnel(material, recipe, work, workers, progress, train=train_candidates)
    from accelzoo.recipes.replay.width import replay_width

    return replay_width(material, recipe, work)


def _settings(material: Material) -> Iterator[Part]:
    """Compares what a replay begins with: the recipe and the target."""
    lock, target = material.lock, load_target(material.planned.target)
    digest = config.digest(material.planned)
    if lock.schema >= _PLANNED or digest == lock.recipe_digest:
        divergence = None
        if digest != lock.recipe_digest:
            divergence = Divergence(field="recipe_digest", expected=lock.recipe_digest, got=digest)
        yield Part.of("recipe", "digest of the recipe as it was run", divergence)
    else:
        said = "its digest is another one: recipes had fewer fields when the lock was made"
        yield Part(name="recipe", status="skipped", said=said)
    made = {"name": target.name, "digest": target.digest()}
    yield Part.of("target", f"digest of {target.name}", first_difference(lock.target, made))


def _other_versions(material: Material) -> Iterator[str]:
    recorded, here = material.lock.versions, versions()
    others = [
        f"{name} {recorded[name]} (here {version})"
        for name, version in here.items()
        if recorded.get(name, version) != version
    ]
    if others:
        yield f"made with other versions: {', '.join(others)}"
