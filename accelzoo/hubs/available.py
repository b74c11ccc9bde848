"""What is available without a network: packaged releases, those of the local hub, and pulled ones of any hub."""

from __future__ import annotations

import fnmatch
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from accelzoo._checksums import is_digest
from accelzoo.errors import AccelzooError
from accelzoo.hub import LocalHub, default_cache_directory, open_hub
from accelzoo.release import Release, read_release

PACKAGE, HUB, CACHE = "package", "hub", "cache"


@dataclass(frozen=True, slots=True, kw_only=True)
class AvailableRelease:
    """A release on this machine; what cannot be read of a damaged one is None.

    Args:
        name: What `accelzoo.create_model` loads it by, a packaged one with `pretrained=True`.
        where: `package`, `hub` (the local one) or `cache` (of pulled releases).
        folder: Where its files are.
        digest: Of a packaged one its own, elsewhere the one that it is kept under.
        tags: Those that mark it on the local hub, sorted.
        architecture: Digest of the architecture.
        task: `classification`, `detection`, `segmentation`…
        size_bytes: Of all of its files.
        target: The target that it was made for; None if for none.
        metrics: Name → value.
        error: Why it cannot be loaded; None if every file matches its checksum.
    """

    name: str
    where: str
    folder: Path
    digest: str | None
    tags: tuple[str, ...] = ()
    architecture: str | None = None
    task: str | None = None
    size_bytes: int | None = None
    target: str | None = None
    metrics: Mapping[str, float] | None = None
    error: str | None = None

    def to_json(self) -> dict[str, Any]:
        """Returns the fields as JSON values."""
        values = {name: getattr(self, name) for name in self.__slots__}
        return values | {"folder": str(self.folder), "tags": list(self.tags), "metrics": dict(self.metrics or {})}


def list_releases(pattern: str = "*", *, cache_dir: str | Path | None = None) -> list[AvailableRelease]:
    """Lists the releases that load without a network, with every file verified.

    Packaged ones come first, then the newest and the tagged ones of the local hub, then the cache of pulled releases,
    of whatever hub. A damaged one is listed with what is wrong.

    Args:
        pattern: A shell pattern for names without `hub:` and revision: `zoo/*`.
        cache_dir: Where pulled releases are kept; None for the default.

    Raises:
        ReleaseError: If a folder of releases cannot be read.
    """
    cache = default_cache_directory() if cache_dir is None else Path(cache_dir)
    return [*_packaged(pattern), *_published(pattern), *_pulled(pattern, cache)]


def _packaged(pattern: str) -> Iterator[AvailableRelease]:
    from accelzoo.pretrained import ZOO, list_packaged

    for name in fnmatch.filter(list_packaged(), pattern):
        yield _read(name, PACKAGE, ZOO / name)


def _published(pattern: str) -> Iterator[AvailableRelease]:
    hub = open_hub()
    if not isinstance(hub, LocalHub):  # `$ACCELZOO_HUB` is a server; what was pulled from it is in the cache
        return
    for name in fnmatch.filter(hub.list(), pattern):
        try:
            tags, head = hub.tags(name), hub.resolve(name)
        except AccelzooError as error:
            yield AvailableRelease(name=f"hub:{name}", where=HUB, folder=hub.root / name, digest=None, error=str(error))
            continue
        for digest in dict.fromkeys([head, *tags.values()]):
            marks = tuple(sorted(tag for tag, marked in tags.items() if marked == digest))
            pinned = f"hub:{name}" if digest == head else f"hub:{name}@{marks[0]}"
            # The layout is the hub's published one; nothing is copied only to be listed.
            folder = hub.root / name / "releases" / digest.removeprefix("sha256:")
            yield _read(pinned, HUB, folder, digest, marks)


def _pulled(pattern: str, cache: Path) -> Iterator[AvailableRelease]:
    for folder in sorted((cache / "releases").glob("*/*/*")):
        name, digest = f"{folder.parts[-3]}/{folder.parts[-2]}", f"sha256:{folder.name}"
        if is_digest(digest) and fnmatch.fnmatch(name, pattern):
            yield _read(f"{name}@{digest}", CACHE, folder, digest)


def _read(
    name: str, where: str, folder: Path, digest: str | None = None, tags: tuple[str, ...] = ()
) -> AvailableRelease:
    try:
        release = read_release(folder)
        if digest not in (None, release.digest):
            raise AccelzooError(f"{folder}: expected the digest {digest}, found {release.digest}")
        return _described(release, name, where, tags)
    except AccelzooError as error:
        return AvailableRelease(name=name, where=where, folder=folder, digest=digest, tags=tags, error=str(error))


def _described(release: Release, name: str, where: str, tags: tuple[str, ...]) -> AvailableRelease:
    own = release.config["accelzoo"]
    metrics = own["metrics"] if isinstance(own["metrics"], Mapping) else {}
    return AvailableRelease(
        name=name,
        where=where,
        folder=release.folder,
        digest=release.digest,
        tags=tags,
        architecture=own["arch_digest"],
        task=_task(own["arch"]),
        size_bytes=sum(path.stat().st_size for path in release.folder.iterdir()),
        target=None if own["target"] is None else str(own["target"]),
        metrics={str(name): float(value) for name, value in metrics.items() if isinstance(value, int | float)},
    )


def _task(arch: Mapping[str, Any]) -> str | None:
    """Returns the task of an architecture's config; None if it is of none that this version knows."""
    from accelzoo.arch import Arch

    try:
        return Arch.from_config(arch).head.task
    except AccelzooError:
        return None
