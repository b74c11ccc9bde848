"""What checks of a release say: passed, failed with the file at fault, or not made with the reason."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, Literal

from accelzoo.recipes.lock_reader import Lock
from accelzoo.recipes.product.values import BASELINE
from accelzoo.release import CONFIG_FILE, LOCK_FILE, Release

INT8 = "_int8"
"""What the names of metrics of the int8 network end in."""
Status = Literal["ok", "FAILED", "skipped"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Check:
    """One check of a release.

    Args:
        name: What was checked.
        status: How it ended.
        said: What was found.
        file: Of a check that failed, the file at fault.
    """

    name: str
    status: Status
    said: str
    file: str | None = None

    def to_json(self) -> dict[str, Any]:
        """Returns plain data."""
        return asdict(self)


class FailedCheckError(Exception):
    """A check that failed.

    Args:
        file: The file at fault.
        said: What was expected and what was found.
    """

    def __init__(self, file: str, said: str) -> None:
        super().__init__(f"{file}: {said}")
        self.file = file


class SkippedCheckError(Exception):
    """A check that could not be made; the message says why."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Recorded:
    """What a lock's comparison says of the network that a release holds.

    Args:
        name: `winner` of a funnel, the network's name otherwise.
        search: Which search's trace the release holds; None of a baseline, whose trace is empty.
        trace_sha256: Of that trace.
        cost: Field → estimate on the locked target.
        metrics: Metric as config.json names it → value of the training whose weights are released.
    """

    name: str
    search: str | None
    trace_sha256: str | None
    cost: Mapping[str, float]
    metrics: Mapping[str, float]


def recorded(release: Release, lock: Lock) -> Recorded:
    """Returns what a lock of any kind says of a release's network.

    Raises:
        KeyError, TypeError, ValueError: If the lock's comparison is not as a run writes it.
        FailedCheckError: If it does not know the network.
    """
    if "winner" in lock.comparison:
        return _of_funnel(lock)
    if "trained" in lock.comparison:
        return _of_width(lock)
    return _of_product(release, lock)


def _of_funnel(lock: Lock) -> Recorded:
    winner = lock.comparison["winner"]
    validation = winner["validation_top1"]
    best = validation.index(max(validation))
    metrics = {"test_top1": winner["test_top1"][best], "validation_top1": validation[best]}
    sha256 = lock.search["trace_sha256"]
    return Recorded(name="winner", search="search", trace_sha256=sha256, cost=winner["cost"], metrics=metrics)


def _of_width(lock: Lock) -> Recorded:
    name = lock.search["winner"]
    one = next((one for one in lock.comparison["trained"] if one["name"] == name), None)
    if one is None:
        raise FailedCheckError(LOCK_FILE, f"comparison: no network {name!r}, which the search names as its winner")
    metrics = {"test_top1": one["test"]["top1"], "validation_top1": one["validation"]["top1"]}
    sha256 = lock.search["trace_sha256"]
    return Recorded(name=name, search="widths", trace_sha256=sha256, cost=one["cost"], metrics=metrics)


def _of_product(release: Release, lock: Lock) -> Recorded:
    digest = release.config["accelzoo"]["arch_digest"]
    names = [name for name, known in lock.search["networks"].items() if known == digest]
    if not names:
        known = ", ".join(f"{name} {value}" for name, value in lock.search["networks"].items())
        raise FailedCheckError(CONFIG_FILE, f"arch_digest: {digest} is none of the lock's networks ({known})")
    one = next(one for one in lock.comparison["networks"] if one["name"] == names[0])
    run = max(one["runs"], key=lambda run: run["validation"]["value"])
    metric = lock.comparison["metric"]
    return Recorded(
        name=one["name"],
        search=one["search"],
        trace_sha256=None if one["name"] == BASELINE else lock.search["searches"][one["search"]]["trace_sha256"],
        cost=one["prices"][lock.target["name"]]["cost"],
        metrics={
            f"test_{metric}": run["test"]["value"],
            f"validation_{metric}": run["validation"]["value"],
            f"validation_{metric}_int8": run["int8"]["value"],
        },
    )
