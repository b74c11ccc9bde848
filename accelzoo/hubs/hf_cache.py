"""What is kept of a remote hub on this machine: which releases its revisions stood for, and unfinished downloads."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from accelzoo._checksums import is_digest
from accelzoo._files import copy_synced, remove_any, replace_file, system_errors_as_release_errors
from accelzoo.errors import ReleaseError
from accelzoo.hubs.locations import cached_release, default_cache_directory
from accelzoo.hubs.names import digest_prefix
from accelzoo.release import verify_folder

HEAD = "head"


class RemoteCache:
    """The part of the cache of pulled releases that serves one remote hub.

    `releases/` is shared by all hubs, for a release is its digest wherever it came from. `refs/<server>/` remembers
    what this server's heads and tags stood for when they were last pulled; `downloads/` holds what has arrived so far.
    """

    def __init__(self, endpoint: str, cache_dir: Path | None) -> None:
        """Names the folders; nothing is created yet.

        Args:
            endpoint: Address of the server.
            cache_dir: The cache; None for the default.
        """
        self.root = cache_dir or default_cache_directory()
        self.server = re.sub(r"[^A-Za-z0-9.-]+", "_", endpoint.split("://", 1)[-1])

    def find(self, name: str, digest: str) -> Path | None:
        """Returns the folder of a pulled release; None if there is none, or it is damaged."""
        folder = cached_release(name, digest, self.root)
        try:
            verify_folder(folder, expect=digest)
        except ReleaseError:
            return None
        return folder

    def remember(self, name: str, revision: str, digest: str) -> None:
        """Notes what a head or a tag stands for now. A cache that cannot be written remembers nothing."""
        path = self._refs_file(name)
        known = self._read(name)
        if known.get(revision) == digest:
            return
        with suppress(OSError):
            path.parent.mkdir(parents=True, exist_ok=True)
            data = json.dumps({**known, revision: digest}, indent=2, sort_keys=True) + "\n"
            replace_file(path, data.encode("ascii"), staging=path.parent)

    def recall(self, name: str, revision: str) -> str | None:
        """Returns the digest of a revision without asking the server.

        Args:
            name: `owner/name`.
            revision: `HEAD`, a tag, a digest or a prefix of one.

        Returns:
            The digest; None if it is not known, or a prefix of several.
        """
        if noted := self._read(name).get(revision):
            return noted
        digits = digest_prefix(revision)
        folders = cached_release(name, "", self.root).glob("*") if digits else ()
        matches = [f"sha256:{folder.name}" for folder in folders if folder.name.startswith(digits or "")]
        return matches[0] if len(matches) == 1 and is_digest(matches[0]) else None

    @contextmanager
    def downloads(self, name: str, digest: str) -> Iterator[Path]:
        """Lends the folder for a release's unfinished download, to one process at a time.

        What is in it stays for the next attempt unless the block ends well.
        """
        from filelock import FileLock

        owner, model = name.split("/")
        folder = self.root / "downloads" / owner / model / digest.removeprefix("sha256:")
        with system_errors_as_release_errors(f"download {name} to {folder}"):
            folder.mkdir(parents=True, exist_ok=True)
            with FileLock(folder.with_name(f"{folder.name}.lock")):
                folder.mkdir(exist_ok=True)
                yield folder
                remove_any(folder)

    def _refs_file(self, name: str) -> Path:
        owner, model = name.split("/")
        return self.root / "refs" / self.server / owner / f"{model}.json"

    def _read(self, name: str) -> dict[str, str]:
        try:
            known = json.loads(self._refs_file(name).read_bytes())
        except (OSError, ValueError):
            return {}
        if not isinstance(known, dict):
            return {}
        return {revision: digest for revision, digest in known.items() if is_digest(str(digest))}


def move_file(source: Path, target: Path) -> None:
    """Moves a file whose content is durable already, copying it where the two are on different file systems."""
    try:
        os.rename(source, target)
    except OSError:
        copy_synced(source, target)
        source.unlink()
