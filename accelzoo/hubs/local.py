"""A hub in a directory: immutable releases by content, refs that switch in one step, one lock per name."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from accelzoo._checksums import is_digest
from accelzoo._files import (
    copy_synced,
    exclusive_lock,
    install_folder,
    remove_any,
    replace_file,
    sync_directory,
    system_errors_as_release_errors,
)
from accelzoo.errors import ReleaseError, suggestion, unknown_name
from accelzoo.hubs.install import check_copy, place_release
from accelzoo.hubs.names import SHORTEST_PREFIX, check_expect, check_name, check_tags, digest_prefix, is_name
from accelzoo.hubs.protocol import ConflictError
from accelzoo.release import OPTIONAL_FILES, RELEASE_FILES, verify_folder

_LOCK_TIMEOUT_S = 60.0


class LocalHub:
    """A hub in a directory; see `accelzoo.hub.Hub` for the contract.

    Layout: `<root>/<owner>/<name>/` holds `releases/<hex>/` (never changed once there), `refs/head`, `refs/tags/<tag>`,
    `staging/` (work of a living publisher; leftovers of a killed one are removed by the next) and `lock`.

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
            _make_shelf(shelf)
            with exclusive_lock(shelf / "lock", timeout_s=self.lock_timeout_s):
                for leftover in (shelf / "staging").iterdir():
                    remove_any(leftover)
                head = _read_ref(shelf / "refs" / "head")
                _check_head(name, head, expect)
                new_tags = [tag for tag in tags if not _is_tagged(shelf, name, tag, digest)]
                _store(source, shelf, digest)
                for tag in new_tags:
                    _write_ref(shelf, f"tags/{tag}", digest)
                if head != digest:
                    _write_ref(shelf, "head", digest)
        return digest

    def resolve(self, name: str, revision: str | None = None) -> str:
        """Returns the digest that a revision stands for; see `Hub.resolve`."""
        shelf, head = self._published(name)
        if revision is None:
            return _stored(shelf, name, head)
        with system_errors_as_release_errors(f"read {name} in {self.root}"):
            tags = _read_tags(shelf)
            if revision in tags:
                return _stored(shelf, name, tags[revision])
            digits = digest_prefix(revision)
            names = [entry.name for entry in (shelf / "releases").iterdir()] if digits else []
        matches = sorted(entry for entry in names if is_digest(f"sha256:{entry}") and entry.startswith(digits or ""))
        if len(matches) == 1:
            return f"sha256:{matches[0]}"
        if matches:
            raise ReleaseError(f"{name}@{revision}: several releases begin so: {', '.join(matches)}; give more digits")
        raise ReleaseError(
            f"{name}@{revision}: no such revision{suggestion(revision, tags) or '.'} "
            f"Tags: {', '.join(tags) or 'none'}; or give a digest, or its first {SHORTEST_PREFIX} or more digits."
        )

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
            return _read_tags(shelf)

    def _shelf(self, name: str) -> Path:
        owner, model = check_name(name).split("/")
        return self.root / owner / model

    def _published(self, name: str) -> tuple[Path, str]:
        shelf = self._shelf(name)
        with system_errors_as_release_errors(f"read {name} in {self.root}"):
            head = _read_ref(shelf / "refs" / "head")
        if head is None:
            raise unknown_name(f"release in {self.root}", name, self.list())
        return shelf, head


def _release_folder(shelf: Path, digest: str) -> Path:
    return shelf / "releases" / digest.removeprefix("sha256:")


def _make_shelf(shelf: Path) -> None:
    is_new = not shelf.is_dir()
    for part in ("releases", "refs/tags", "staging"):
        (shelf / part).mkdir(parents=True, exist_ok=True)
    if is_new:
        for folder in (shelf / "refs", shelf, shelf.parent, shelf.parent.parent):
            sync_directory(folder)


def _stored(shelf: Path, name: str, digest: str) -> str:
    folder = _release_folder(shelf, digest)
    if not folder.is_dir():
        raise ReleaseError(f"{name}: the hub is damaged: expected the release {digest} in {folder}, found nothing")
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
    if folder.is_dir():
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


def _check_head(name: str, head: str | None, expect: str | None) -> None:
    if expect is not None and expect != (head or ""):
        wanted = f"the head {expect}" if expect else "nothing published yet"
        raise ConflictError(f"{name}: expected {wanted}, found {head or 'nothing published yet'}; nothing was changed")


def _is_tagged(shelf: Path, name: str, tag: str, digest: str) -> bool:
    marked = _read_ref(shelf / "refs" / "tags" / tag)
    if marked not in (None, digest):
        raise ConflictError(f"{name}: tag {tag!r} marks {marked} and never moves; expected {digest}; nothing changed")
    return marked is not None


def _read_tags(shelf: Path) -> dict[str, str]:
    refs = {path.name: _read_ref(path) for path in (shelf / "refs" / "tags").iterdir()}
    return {tag: digest for tag, digest in sorted(refs.items()) if digest is not None}


def _read_ref(path: Path) -> str | None:
    try:
        text = path.read_bytes().decode("ascii", errors="replace")
    except FileNotFoundError:
        return None
    if not is_digest(text.removesuffix("\n")):
        raise ReleaseError(f"{path}: damaged: expected 'sha256:' and 64 hex digits, found {text[:100]!r}")
    return text.removesuffix("\n")


def _write_ref(shelf: Path, ref: str, digest: str) -> None:
    replace_file(shelf / "refs" / ref, f"{digest}\n".encode("ascii"), staging=shelf / "staging")
