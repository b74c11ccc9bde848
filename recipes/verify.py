"""Checking a release without trusting who made it: its files, its history, its price and its score."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from accelzoo._checksums import SUMS_FILE, compare_folder
from accelzoo.errors import AccelzooError, ReleaseError
from accelzoo.pretrained import ZOO, find_release, list_packaged
from accelzoo.recipes.lock_reader import Lock, read_lock
from accelzoo.recipes.verify_account import check_account
from accelzoo.recipes.verify_files import (
    check_architecture,
    check_files,
    check_ranges,
    check_recipe,
    check_trace,
    check_weights,
)
from accelzoo.recipes.verify_numbers import check_card, check_metrics, check_price
from accelzoo.recipes.verify_score import check_score
from accelzoo.recipes.verify_values import Check, FailedCheckError, SkippedCheckError
from accelzoo.release import (
    CARD_FILE,
    CONFIG_FILE,
    HASHED_FILES,
    LOCK_FILE,
    OPTIONAL_FILES,
    QUANTIZATION_FILE,
    RECIPE_FILE,
    TRACE_FILE,
    WEIGHTS_FILE,
    Release,
)

_CHECKS: tuple[tuple[str, str, Callable[[Release, Lock], str]], ...] = (
    ("trace", TRACE_FILE, check_trace),
    ("recipe", RECIPE_FILE, check_recipe),
    ("lock's account", LOCK_FILE, check_account),
    ("files named by the lock", LOCK_FILE, check_files),
    ("architecture", CONFIG_FILE, check_architecture),
    ("weights", WEIGHTS_FILE, check_weights),
    ("ranges", QUANTIZATION_FILE, check_ranges),
    ("price", CONFIG_FILE, check_price),
    ("metrics", CONFIG_FILE, check_metrics),
    ("card", CARD_FILE, check_card),
)
"""Name, the file that is at fault where something in it is refused, and the check."""
_NOT_AS_WRITTEN = (KeyError, TypeError, ValueError, IndexError, AttributeError, ArithmeticError)
"""What a lock whose facts are of other types than a run writes leads to."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Verification:
    """What came of checking a release.

    Args:
        folder: The release's.
        digest: Its digest; None where SHA256SUMS does not hold.
        checks: In the order in which they were made.
    """

    folder: Path
    digest: str | None
    checks: tuple[Check, ...]

    @property
    def passed(self) -> bool:
        """Whether every check that could be made passed."""
        return not any(check.status == "FAILED" for check in self.checks)

    def to_json(self) -> dict[str, Any]:
        """Returns plain data."""
        checks = [check.to_json() for check in self.checks]
        return {"folder": str(self.folder), "digest": self.digest, "passed": self.passed, "checks": checks}


def verify_release(name: str | Path, data: str | None = None) -> Verification:
    """Checks a release.

    Every file is compared with SHA256SUMS; the trace's chain, the recipe, the architecture and the weights with the
    lock; the price is computed anew on the locked target, and the card's figures are traced back to config and lock.
    Where the data are there, the test score is computed anew from the weights.

    Args:
        name: A folder, a packaged release, or a published one; see `accelzoo.pretrained.find_release`.
        data: Where the recipe's data are here; None: where the recipe says.

    Raises:
        AccelzooError: If there is no such release, or `data` cannot be read, or are not those of the lock.
    """
    try:
        release = find_release(name)
    except ReleaseError as error:
        if (folder := _damaged(name)) is None:
            raise
        return Verification(folder=folder, digest=None, checks=tuple(_faults(folder, str(error))))
    return Verification(folder=release.folder, digest=release.digest, checks=tuple(_checks(release, data)))


def _damaged(name: str | Path) -> Path | None:
    """Returns the folder of a release that is here, whatever is wrong with it."""
    plain = str(name).partition("@sha256:")[0]
    folder = ZOO / plain if plain in list_packaged() and not Path(plain).is_dir() else Path(plain)
    return folder if (folder / SUMS_FILE).is_file() else None


def _faults(folder: Path, error: str) -> Iterator[Check]:
    """Returns a check for each file at fault of a release that could not be opened, or of another digest than asked."""
    _, faults = compare_folder(folder, HASHED_FILES, optional=OPTIONAL_FILES)
    for fault in faults:
        yield Check(name="checksums", status="FAILED", said=fault, file=fault.partition(": ")[0])
    if not faults:
        file = CONFIG_FILE if CONFIG_FILE in error else SUMS_FILE
        yield Check(name="config" if file == CONFIG_FILE else "checksums", status="FAILED", said=error, file=file)


def _checks(release: Release, data: str | None) -> Iterator[Check]:
    yield Check(name="checksums", status="ok", said=f"{len(release.hashes)} files, {release.digest}", file=SUMS_FILE)
    try:
        lock = read_lock(release.read_lock(), LOCK_FILE)
    except (AccelzooError, RecursionError) as error:
        yield Check(name="lock", status="FAILED", said=str(error), file=LOCK_FILE)
        return
    yield Check(name="lock", status="ok", said=f"schema {lock.schema}, of {lock.recipe}", file=LOCK_FILE)
    for name, file, check in _CHECKS:
        try:
            yield _made(name, partial(check, release, lock))
        except AccelzooError as error:
            yield Check(name=name, status="FAILED", said=f"{file}: {error}", file=file)
    yield _made("score", partial(check_score, release, lock, data))


def _made(name: str, check: Callable[[], str]) -> Check:
    """Returns what came of one check; a lock that it cannot make sense of counts as failed."""
    try:
        return Check(name=name, status="ok", said=check())
    except SkippedCheckError as reason:
        return Check(name=name, status="skipped", said=str(reason))
    except FailedCheckError as fault:
        return Check(name=name, status="FAILED", said=str(fault), file=fault.file)
    except _NOT_AS_WRITTEN as error:
        return Check(name=name, status="FAILED", said=f"{LOCK_FILE}: not as a run writes it: {error!r}", file=LOCK_FILE)
