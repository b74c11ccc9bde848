"""Downloading a release: several files at once, each continued where an earlier attempt stopped."""

from __future__ import annotations

from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from accelzoo._checksums import SUMS_FILE, digest_of, parse_sums
from accelzoo._files import sha256_file, write_synced
from accelzoo.errors import ReleaseError
from accelzoo.hubs.hf_cache import RemoteCache, move_file
from accelzoo.hubs.hf_client import HfClient
from accelzoo.hubs.hf_errors import RangeError
from accelzoo.release import HASHED_FILES, OPTIONAL_FILES

_THREADS = 4


def fetch_release(client: HfClient, cache: RemoteCache, name: str, commit: str, digest: str, staged: Path) -> None:
    """Fetches a release's files into a folder; whoever asked checks them.

    What has arrived stays in the cache when a download fails, and the next attempt continues there.

    Args:
        client: The server.
        cache: Where unfinished downloads lie.
        name: The repository.
        commit: The commit that should hold the release.
        digest: The release's digest.
        staged: The folder to fill.

    Raises:
        ReleaseError: If the server lacks the list of files or another one, or a download fails.
    """
    sums = client.read_file(name, commit, SUMS_FILE)
    found = "no such file" if sums is None else digest_of(sums)
    if sums is None or found != digest:
        raise ReleaseError(
            f"{name}: the hub's release {digest} is damaged; nothing was installed:\n"
            f"  {SUMS_FILE}: damaged: expected {digest}, found {found}"
        )
    hashes, _ = parse_sums(sums)
    wanted = {filename: hashes[filename] for filename in (*HASHED_FILES, *OPTIONAL_FILES) if filename in hashes}
    write_synced(staged / SUMS_FILE, sums)
    with cache.downloads(name, digest) as folder:
        _fetch_files(client, name, commit, wanted, folder)
        for filename in wanted:
            move_file(folder / filename, staged / filename)


def _fetch_files(client: HfClient, name: str, commit: str, wanted: Mapping[str, str], folder: Path) -> None:
    def fetch(filename: str) -> None:
        path = folder / filename
        was_started = path.exists()
        if was_started and sha256_file(path) == wanted[filename]:
            return
        try:
            client.download(name, commit, filename, path)
        except RangeError:
            if not was_started:
                raise
        if was_started and sha256_file(path) != wanted[filename]:  # the first bytes were another file's, or damaged
            path.unlink()
            client.download(name, commit, filename, path)

    with ThreadPoolExecutor(_THREADS) as pool:
        list(pool.map(fetch, wanted))
