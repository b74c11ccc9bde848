"""One release as one commit of a model repository."""

from __future__ import annotations

import hashlib
from pathlib import Path

from accelzoo._checksums import SUMS_FILE, is_digest, parse_sums
from accelzoo._files import open_regular, read_regular, system_errors_as_release_errors
from accelzoo.errors import ReleaseError
from accelzoo.hubs.hf_client import HfClient
from accelzoo.hubs.names import DIGEST_TAG_PREFIX
from accelzoo.release import CARD_FILE, OPTIONAL_FILES, RELEASE_FILES

_FREE_FILES = frozenset({".gitattributes", CARD_FILE})  # what the site itself puts into a new repository


def tag_of_digest(digest: str) -> str:
    """Returns the git tag of a release: `sha256-<hex>`, since git forbids the colon."""
    return digest.replace("sha256:", DIGEST_TAG_PREFIX)


def digest_of_tag(tag: str) -> str | None:
    """Returns the digest that a git tag names; None for any other tag."""
    digest = tag.replace(DIGEST_TAG_PREFIX, "sha256:", 1)
    return digest if tag.startswith(DIGEST_TAG_PREFIX) and is_digest(digest) else None


def put_release(client: HfClient, source: Path, name: str, digest: str, parent: str, *, is_first: bool) -> str:
    """Makes a release the content of a repository's branch, in one commit on top of `parent`.

    Files that no release has are left alone; those of an earlier release that this one lacks are removed.

    Args:
        client: The server.
        source: The release's folder, verified.
        name: The repository.
        digest: The release's digest.
        parent: The commit that must be the branch's last.
        is_first: Whether the repository has held no release yet; it must then be as good as empty.

    Returns:
        The commit that holds the release: `parent` itself if that does already.

    Raises:
        MovedError: If the branch has another last commit.
        ReleaseError: If the repository holds something else than releases, or the files arrived damaged.
    """
    with system_errors_as_release_errors(f"publish {source}"):
        hashes, _ = parse_sums(read_regular(source / SUMS_FILE))
        hashes[SUMS_FILE] = digest.removeprefix("sha256:")
        blobs = {filename: _blob_id(source / filename) for filename in hashes}
    tree = client.read_tree(name, parent)
    foreign = sorted(tree.keys() - _FREE_FILES)
    if is_first and foreign:
        raise ReleaseError(
            f"{name} on {client.endpoint}: holds {foreign[0]!r} but no release; publish under another name"
        )
    stale = sorted((tree.keys() & {*RELEASE_FILES, *OPTIONAL_FILES}) - hashes.keys())
    if not stale and not _differing(tree, hashes, blobs):
        return parent
    commit = client.commit(name, source, hashes, delete=stale, message=f"Publish {digest}", parent=parent)
    damaged = _differing(client.read_tree(name, commit), hashes, blobs)
    if damaged:
        raise ReleaseError(
            f"{name} on {client.endpoint}: commit {commit} holds another {', '.join(damaged)} than {source}: "
            "the folder changed while it was being published, or the upload was damaged; publish again"
        )
    return commit


def _differing(tree: dict[str, str], hashes: dict[str, str], blobs: dict[str, str]) -> list[str]:
    return [filename for filename in hashes if tree.get(filename) not in (hashes[filename], blobs[filename])]


def _blob_id(path: Path) -> str:
    """Returns the id that git gives to a file's content: the sha1 over a header with its length, then the bytes."""
    with open_regular(path) as file:
        size = file.seek(0, 2)
        file.seek(0)
        digest = hashlib.sha1(b"blob %d\0" % size, usedforsecurity=False)
        while block := file.read(1 << 20):
            digest.update(block)
    return digest.hexdigest()
