"""A hub in a directory: immutable releases by content, refs that switch in one step, one lock per name."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

from accelzoo._checksums import is_digest
from accelzoo._files import (
    copy_synced,
    exclusive_lock,
    install_folder,
    remove_any,
    sync_directory,
    system_errors_as_release_errors,
)
from accelzoo.errors import ReleaseError, unknown_name
from accelzoo.hubs.install import check_copy, place_release
from accelzoo.hubs.local_refs import HEAD, list_tags, read_ref, write_ref
from accelzoo.hubs.names import check_expect, check_name, check_tags, is_name
from accelzoo.hubs.rules import check_head, check_tag, pick_digest
from accelzoo.release import OPTIONAL_FILES, RELEASE_FILES, verify_folder

_LOCK_TIMEOUT_S = 60.0
_SHELF_FOLDERS = ("releases", "refs/tags", "staging")


class LocalHub:
    """A hub in a directory; see `accelzoo.hub.Hub` for the contract.

    Layout: `<root>/<owner>/<name>/` holds `releases/<hex>/` (never changed once there), `refs/head`, `refs/tags/<tag>`,
    `staging/` (work of a living publisher; leftovers of a killed one are removed by the next) and `lock`. A release is
    a flat folder of files with fixed names, never an archive: there are no member paths that could lead elsewhere.

    Names and tags that differ only in case from one that is there are refused on every file system, so that a hub can
    move to one where they would be the same. The hub's own folders are never links, so nothing is written outside.

    Publishers of one name take turns on `lock` (flock: one machine). Readers take no lock, so a read-only directory can
    be pulled from. `refs/head` is written last: a publisher killed at any moment leaves the old head or the new, both
    whole; tags of the new release may be set before the head moves.
    """

    def __init__(
        self, root: str | Path, *, cache_dir: str | Path | None = None, lock_timeout_s: float = _LOCK_TIMEOUT_S
    ) -> None:
        """Names the directory; nothing is created before the first publish.

        Args:
            root: The hub's directory.
            cache_dir: Where pulled releases are kept; None for the default.
            lock_timeout_s: How long to wait for another publisher of the same name.
        """
        self.root = Path(root)
        self.cache_dir = None if cache_dir is None else Path(cache_dir)
        self.lock_timeout_s = lock_timeout_s

    def __repr__(self) -> str:
        """Names the directory."""
        return f"LocalHub({str(self.root)!r})"

    def publish(self, folder: str | Path, name: str, expect: str | None = None, tags: Sequence[str] = ()) -> str:
        """Stores a release folder and makes it the head of `name`; see `Hub.publish`."""
        shelf = self._shelf(name)
        tags = check_tags(tags)
        check_expect(expect)
        source = Path(folder)
        digest = verify_folder(source)
        with system_errors_as_release_errors(f"publish {name} to {self.root}"):
            self._make_shelf(shelf)
            with exclusive_lock(shelf / "lock", timeout_s=self.lock_timeout_s):
                _clear_staging(shelf)
                try:
                    _publish(source, shelf, name, digest, expect, tags)
                finally:
                    _clear_staging(shelf)
        return digest

    def resolve(self, name: str, revision: str | None = None) -> str:
        """Returns the digest that a revision stands for; see `Hub.resolve`."""
        shelf, head = self._published(name)
        if revision is None:
            return _stored(shelf, name, head)
        with system_errors_as_release_errors(f"read {name} in {self.root}"):
            tags = list_tags(shelf)
            marked = read_ref(shelf, name, f"tags/{revision}") if revision in tags else None
            if marked is not None:
                return _stored(shelf, name, marked)
            digests = [f"sha256:{entry.name}" for entry in (shelf / "releases").iterdir()]
        return pick_digest(name, revision, filter(is_digest, digests), tags)

    def pull(
        self, name: str, revision: str | None = None, into: str | Path | None = None, *, force: bool = False
    ) -> Path:
        """Copies a release to `into` or to the cache and verifies the copy before it appears; see `Hub.pull`."""
        digest = self.resolve(name, revision)
        source = _release_folder(self._shelf(name), digest)

        def fetch(staged: Path) -> None:
            _copy_release(source, staged, digest)

        return place_release(fetch, name=name, digest=digest, into=into, force=force, cache_dir=self.cache_dir)

    def list(self) -> tuple[str, ...]:
        """Returns every published `owner/name`, sorted."""
        with system_errors_as_release_errors(f"list {self.root}"):
            heads = self.root.glob("*/*/refs/head")
            names = sorted(f"{head.parts[-4]}/{head.parts[-3]}" for head in heads)
        return tuple(name for name in names if is_name(name))

    def tags(self, name: str) -> dict[str, str]:
        """Returns tag -> digest, sorted by tag; see `Hub.tags`."""
        shelf, _ = self._published(name)
        with system_errors_as_release_errors(f"read the tags of {name} in {self.root}"):
            refs = {tag: read_ref(shelf, name, f"tags/{tag}") for tag in list_tags(shelf)}
        return {tag: digest for tag, digest in refs.items() if digest is not None}

    def _shelf(self, name: str) -> Path:
        owner, model = check_name(name).split("/")
        return self.root / owner / model

    def _published(self, name: str) -> tuple[Path, str]:
        shelf = self._shelf(name)
        with system_errors_as_release_errors(f"read {name} in {self.root}"):
            _check_plain(shelf)
            head = read_ref(shelf, name, HEAD) if _is_spelled(shelf) else None
        if head is None:
            raise unknown_name(f"release in {self.root}", name, self.list())
        return shelf, head

    def _make_shelf(self, shelf: Path) -> None:
        _check_plain(shelf)
        if _is_spelled(shelf) and all((shelf / part).is_dir() for part in _SHELF_FOLDERS):
            return
        self.root.mkdir(parents=True, exist_ok=True)
        # A name begins with a letter or a digit: no owner is called so.
        with exclusive_lock(self.root / ".lock", timeout_s=self.lock_timeout_s):
            for folder in (shelf.parent, shelf):
                _check_no_twin(folder)
                folder.mkdir(exist_ok=True)
            for part in _SHELF_FOLDERS:
                (shelf / part).mkdir(parents=True, exist_ok=True)
            for folder in (shelf / "refs", shelf, shelf.parent, self.root):
                sync_directory(folder)


def _release_folder(shelf: Path, digest: str) -> Path:
    return shelf / "releases" / digest.removeprefix("sha256:")


def _check_plain(shelf: Path) -> None:
    for folder in (shelf.parent, shelf, *(shelf / part for part in ("releases", "refs", "refs/tags", "staging"))):
        if folder.is_symlink():
            raise ReleaseError(f"{folder}: the hub is damaged: expected a folder, found a link")


def _is_spelled(shelf: Path) -> bool:
    """Tells whether a shelf is there in this very spelling, where a file system takes another for the same, too."""
    folders = (shelf.parent, shelf)
    return all(folder.is_dir() and folder.name in os.listdir(folder.parent) for folder in folders)


def _check_no_twin(folder: Path) -> None:
    if twin := _twin(folder.name, os.listdir(folder.parent)):
        raise ReleaseError(
            f"{folder}: differs only in case from {twin!r}, which is there; on some file systems both are one folder. "
            f"Choose another name"
        )


def _twin(name: str, names: Sequence[str]) -> str | None:
    return next((other for other in names if other != name and other.lower() == name.lower()), None)


def _clear_staging(shelf: Path) -> None:
    for leftover in (shelf / "staging").iterdir():
        remove_any(leftover)


def _publish(source: Path, shelf: Path, name: str, digest: str, expect: str | None, tags: Sequence[str]) -> None:
    """Stores a verified release and moves the refs, in the order that a kill may cut anywhere; needs the lock."""
    head = read_ref(shelf, name, HEAD)
    check_head(name, head, expect)
    new_tags = [tag for tag in tags if not _is_tagged(shelf, name, tag, digest)]
    _check_tag_twins(shelf, name, new_tags)
    _store(source, shelf, digest)
    for tag in new_tags:
        write_ref(shelf, name, f"tags/{tag}", digest)
    if head != digest:
        write_ref(shelf, name, HEAD, digest)


def _stored(shelf: Path, name: str, digest: str) -> str:
    folder = _release_folder(shelf, digest)
    if folder.is_symlink() or not folder.is_dir():
        found = "a link" if folder.is_symlink() else "nothing"
        raise ReleaseError(f"{name}: the hub is damaged: expected the release {digest} in {folder}, found {found}")
    return digest


def _copy_release(source: Path, target: Path, digest: str) -> None:
    try:
        for filename in (*RELEASE_FILES, *(name for name in OPTIONAL_FILES if (source / name).exists())):
            copy_synced(source / filename, target / filename)
    except OSError:
        verify_folder(source, expect=digest)  # says which file is missing or a link, with the expected hash
        raise


def _store(source: Path, shelf: Path, digest: str) -> None:
    folder = _release_folder(shelf, digest)
    if folder.is_dir() and not folder.is_symlink():
        try:
            verify_folder(folder, expect=digest)
        except ReleaseError:
            pass  # damaged since: the verified copy below takes its place
        else:
            return
    staged = shelf / "staging" / folder.name
    staged.mkdir()
    _copy_release(source, staged, digest)
    check_copy(staged, digest, f"{source}: changed while it was being published; nothing was published")
    install_folder(staged, folder, replace=True)


def _is_tagged(shelf: Path, name: str, tag: str, digest: str) -> bool:
    marked = read_ref(shelf, name, f"tags/{tag}") if tag in list_tags(shelf) else None
    check_tag(name, tag, marked, digest)
    return marked is not None


def _check_tag_twins(shelf: Path, name: str, new_tags: Sequence[str]) -> None:
    known = list_tags(shelf)
    for index, tag in enumerate(new_tags):
        if twin := _twin(tag, [*known, *new_tags[:index]]):
            raise ReleaseError(f"{name}: tag {tag!r} differs only in case from {twin!r}; choose another tag")
