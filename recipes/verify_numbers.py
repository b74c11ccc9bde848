"""Checks of a release's numbers: the price is computed anew, the metrics are traced from the card to the lock."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from accelzoo.arch import Arch
from accelzoo.errors import AccelzooError
from accelzoo.hwmodel import Cost, estimate, load_target
from accelzoo.model_card import hardware_tags, read_card
from accelzoo.recipes.lock import hwmodel_digest
from accelzoo.recipes.lock_reader import Lock
from accelzoo.recipes.verify_values import INT8, FailedCheckError, SkippedCheckError, recorded
from accelzoo.release import CARD_FILE, CONFIG_FILE, Release

_KINDS = {"top1": "accuracy", "AP50": "mean_average_precision", "mIoU": "mean_iou"}
"""A metric of config.json → its kind in a card."""
_TAGGED = 2  # the first schema of locks beside whose cards every hardware tag stands


def check_price(release: Release, lock: Lock) -> str:
    """Computes the price anew on the locked target, and compares it with config and lock, bit for bit."""
    own, known = release.config["accelzoo"], recorded(release, lock)
    name = lock.target["name"]
    if own["target"] != name:
        raise FailedCheckError(CONFIG_FILE, f"accelzoo.target: expected {name!r} of the lock, found {own['target']!r}")
    _compare("accelzoo.cost", own["cost"], known.cost, "the lock's")
    try:
        target = load_target(name)
    except AccelzooError as error:
        raise SkippedCheckError(f"config and lock agree; the target is not known here: {error}") from None
    if target.digest() != lock.target["digest"]:
        said = f"the target {name} has changed since: {lock.target['digest']} then, {target.digest()} now"
        raise SkippedCheckError(f"config and lock agree; {said}")
    cost = estimate(Arch.from_config(own["arch"]).lower(), target)
    changed = lock.hwmodel_digest not in (None, hwmodel_digest())
    why = "the cost model's, which has changed since" if changed else "the cost model's"
    _compare("accelzoo.cost", own["cost"], {field: getattr(cost, field) for field in Cost.fields()}, why)
    return f"{cost.latency_s * 1e3:,.4g} ms on {name}: computed anew, as in config and lock"


def check_metrics(release: Release, lock: Lock) -> str:
    """Compares the metrics of config.json with those of the lock's training with the best validation score."""
    found, known = release.config["accelzoo"]["metrics"], recorded(release, lock).metrics
    _compare("accelzoo.metrics", found, known, "the lock's")
    return f"{', '.join(known)} as in the lock"


def check_card(release: Release, lock: Lock) -> str:
    """Compares the card's metrics, its table of them and its tags with config.json and the lock."""
    own = release.config["accelzoo"]
    try:
        card = release.read_card()
        meta = read_card(card)
        metrics, tags = _metrics_of(meta), list(map(str, meta["tags"]))
    except AccelzooError as error:
        raise FailedCheckError(CARD_FILE, str(error)) from None
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise FailedCheckError(CARD_FILE, f"front matter: not as a release writes it: {error!r}") from None
    known = {_key(name): value for name, value in own["metrics"].items()}
    known["latency_s", "test", False] = own["cost"]["latency_s"]
    for key, value in metrics:
        if known.get(key) != value:
            kind, split, is_int8 = key
            what = f"{kind} on {split}" + (", int8" if is_int8 else "")
            expected = known.get(key, "no such metric")
            raise FailedCheckError(CARD_FILE, f"{what}: expected {expected} of {CONFIG_FILE}, found {value}")
        if f"| {value:.6g} |\n" not in card:
            raise FailedCheckError(CARD_FILE, f"the table has no row with {value:.6g}, which the front matter says")
    if not any(split == "test" and kind in _KINDS.values() for (kind, split, _), _ in metrics):
        raise FailedCheckError(CARD_FILE, "model-index: expected the score on the test split, found none")
    expected = hardware_tags(own["cost"]["latency_s"], lock.target["name"], None)
    _check_tags(tags, expected, may_lack=lock.schema < _TAGGED)
    return f"{len(metrics)} metrics and the tags as in config and lock"


def _metrics_of(meta: Mapping[str, Any]) -> list[tuple[tuple[str, str, bool], float]]:
    return [
        ((metric["type"], result["dataset"]["split"], "int8" in metric["name"]), float(metric["value"]))
        for model in meta["model-index"]
        for result in model["results"]
        for metric in result["metrics"]
    ]


def _key(name: str) -> tuple[str, str, bool]:
    """`validation_AP50_int8` → what a card says instead."""
    split, _, metric = name.partition("_")
    return _KINDS.get(metric.removesuffix(INT8), metric), split, metric.endswith(INT8)


def _check_tags(tags: Sequence[str], expected: Sequence[str], *, may_lack: bool) -> None:
    for tag in expected:
        found = [one for one in tags if one.partition(":")[0] == tag.partition(":")[0]]
        if found != [tag] and not (may_lack and not found):
            raise FailedCheckError(CARD_FILE, f"tags: expected {tag!r}, found {', '.join(found) or 'none'}")


def _compare(where: str, found: Any, expected: Mapping[str, Any], whose: str) -> None:
    if not isinstance(found, Mapping):
        raise FailedCheckError(CONFIG_FILE, f"{where}: expected a mapping, found {type(found).__name__}")
    for name in sorted({*found, *expected}):
        if found.get(name) != expected.get(name):
            said = f"{where}.{name}: found {found.get(name)!r}, {whose} is {expected.get(name)!r}"
            raise FailedCheckError(CONFIG_FILE, said)
