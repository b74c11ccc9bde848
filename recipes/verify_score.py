"""Computing a release's test score anew from its weights, where the data of its lock are at hand."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any

from accelzoo import config
from accelzoo.errors import AccelzooError, DataError
from accelzoo.hwmodel.oracles.protocol import MissingToolError
from accelzoo.recipes.lock import versions
from accelzoo.recipes.lock_reader import Lock
from accelzoo.recipes.product.schema import ProductRecipe
from accelzoo.recipes.product.tasks import product_data
from accelzoo.recipes.schema import AnyRecipe, read_recipe
from accelzoo.recipes.verify_values import FailedCheckError, SkippedCheckError
from accelzoo.release import CONFIG_FILE, WEIGHTS_FILE, Release

EXACT = 1e-9
"""How far two scores of the same weights on an equal set-up may differ: sums of a handful of floats."""
ELSEWHERE = 0.005
"""How far they may differ elsewhere where the lock claims no tolerance."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Scorer:
    """Data that were read, and how a network is scored on their test split."""

    manifest: Mapping[str, Any]
    score: Callable[[Any], float]


def check_score(release: Release, lock: Lock, data: str | None) -> str:
    """Scores the weights on the test split, if the data are those of the lock.

    Args:
        release: The release.
        lock: Its lock.
        data: Where the data are; None: where the recipe says, if they are there.

    Raises:
        SkippedCheckError: If there are no data, or others, where the recipe says.
        DataError: If `data` cannot be read, or are not those of the lock.
        FailedCheckError: If the score is another one.
    """
    recipe = _recipe(release)
    source = recipe.data if data is None else data
    try:
        scorer = _scorer(replace(recipe, data=source), release)
        _check_same_data(scorer.manifest, lock, source)
    except MissingToolError as error:
        raise SkippedCheckError(str(error)) from None
    except AccelzooError as error:
        if data is not None:
            raise
        raise SkippedCheckError(f"{error}; --data says where the data are") from None
    metric, expected = next((name, value) for name, value in _metrics(release).items() if name.startswith("test_"))
    found, where = _computed(scorer, recipe, release)
    is_equal = _same_setup(lock, where)
    allowed = EXACT if is_equal else lock.tolerances.get(metric, ELSEWHERE)
    setup = "an equal set-up" if is_equal else f"another set-up ({where})"
    said = f"{metric}: computed {found:.12g} on {setup}, config.json says {expected:.12g}, {allowed:.2g} apart at most"
    if not abs(found - expected) <= allowed:
        raise FailedCheckError(WEIGHTS_FILE, said)
    return said


def _recipe(release: Release) -> AnyRecipe:
    try:
        return read_recipe(config.Text(release.read_recipe()))
    except AccelzooError as error:
        raise SkippedCheckError(f"this version does not read the recipe: {error}") from None


def _metrics(release: Release) -> Mapping[str, float]:
    metrics: Mapping[str, float] = release.config["accelzoo"]["metrics"]
    if not any(name.startswith("test_") for name in metrics):
        raise FailedCheckError(CONFIG_FILE, "accelzoo.metrics: expected a metric of the test split, found none")
    return metrics


def _scorer(recipe: AnyRecipe, release: Release) -> _Scorer:
    from accelzoo.arch import Arch

    arch = Arch.from_config(release.config["accelzoo"]["arch"])
    if isinstance(recipe, ProductRecipe):
        dense = product_data(recipe)
        return _Scorer(manifest=dense.manifest(), score=lambda model: dense.test_score(model, arch).value)
    from accelzoo.tasks.classification import evaluate
    from accelzoo.tasks.load import load_classification

    images = load_classification(recipe.data, arch.input_size)
    return _Scorer(manifest=images.manifest(), score=lambda model: evaluate(model, images.test).top1)


def _check_same_data(found: Mapping[str, Any], lock: Lock, source: str) -> None:
    """Compares classes and the digest of every split."""
    known = lock.data.get("winner", lock.data.get("all"))
    if known is None:
        raise DataError("lock.json: data: expected a manifest of `winner` or `all`")
    if list(found["class_names"]) != list(known["class_names"]):
        said = f"expected the classes {known['class_names']}, found {list(found['class_names'])}"
        raise DataError(f"{source}: other data: {said}")
    for split, facts in known["splits"].items():
        digest = found["splits"].get(split, {}).get("digest")
        if digest != facts["digest"]:
            raise DataError(f"{source}: other data: expected {facts['digest']} as {split} split, found {digest}")


def _computed(scorer: _Scorer, recipe: AnyRecipe, release: Release) -> tuple[float, str]:
    """Returns the score, computed as the run did, and the device."""
    from accelzoo.pretrained import load_release
    from accelzoo.training.identity import run_setup
    from accelzoo.training.runtime import Processes, torch_settings

    model, device = load_release(release), Processes.start(None).device
    with torch_settings(recipe.training, device):
        model.to(device)
        return scorer.score(model), str(run_setup(device, 1, "no")["device"])


def _same_setup(lock: Lock, device: str) -> bool:
    """Tells whether versions and device are those of the lock's trainings; older locks do not say the device."""
    devices = {facts.get("device") for facts in lock.trainings.values() if "weights_sha256" in facts}
    return devices == {device} and dict(lock.versions) == versions()
