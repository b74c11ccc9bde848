"""Placing a pulled release: fetch beside the target, verify what arrived, then rename. Shared by all hubs."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from accelzoo._checksums import LONGEST_SUMS, SUMS_FILE, compare_folder, digest_of, list_faults
from accelzoo._files import install_folder, read_regular, remove_any, staging_path, system_errors_as_release_errors
from accelzoo.errors import ReleaseError
from accelzoo.hubs.locations import cached_release
from accelzoo.release import HASHED_FILES, OPTIONAL_FILES, check_target, verify_folder


def place_release(
    fetch: Callable[[Path], None],
    *,
    name: str,
    digest: str,
    into: str | Path | None,
    force: bool,
    cache_dir: Path | None,
) -> Path:
    """Brings a release to `into`, or to the cache, unless it is there already.

    Args:
        fetch: Copies the release's files into the empty folder it is given.
        name: A valid `owner/name`.
        digest: The release's digest; what `fetch` brings must have it.
        into: The folder to create; None for the cache, where a damaged copy is replaced.
        force: Replace another release in `into`.
        cache_dir: The cache; None for the default.

    Returns:
        The folder.

    Raises:
        ReleaseError: If what arrived is damaged (nothing is installed then) or `into` is taken.
    """
    target = cached_release(name, digest, cache_dir) if into is None else Path(into)
    with system_errors_as_release_errors(f"pull {name} into {target}"):
        if _holds(target, digest):
            return target
        if into is not None:
            check_target(target, force=force)
        target.parent.mkdir(parents=True, exist_ok=True)
        staged = staging_path(target)
        try:
            staged.mkdir()
            fetch(staged)
            check_copy(staged, digest, f"{name}: the hub's release {digest} is damaged; nothing was installed")
            _install(staged, target, digest, replace=force or into is None)
        finally:
            remove_any(staged)
    return target


def _install(staged: Path, target: Path, digest: str, *, replace: bool) -> None:
    try:
        install_folder(staged, target, replace=replace)
    except FileExistsError:  # another process pulled at the same time
        if not _holds(target, digest):
            raise


def check_copy(folder: Path, digest: str, title: str) -> None:
    """Verifies a fresh copy; `title` opens the error, since the copy's own path will be gone.

    Raises:
        ReleaseError: Listing each damaged or missing file with the expected and the actual hash.
    """
    _, faults = compare_folder(folder, HASHED_FILES, digest, optional=OPTIONAL_FILES)
    if faults:
        raise ReleaseError(list_faults(title, faults))


def _holds(target: Path, digest: str) -> bool:
    try:
        # Spares hashing whatever else lies there.
        if digest_of(read_regular(target / SUMS_FILE, at_most=LONGEST_SUMS)) != digest:
            return False
    except OSError:
        return False
    try:
        verify_folder(target, expect=digest)
    except ReleaseError:
        return False
    return True
