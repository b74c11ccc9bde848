"""What every hub decides the same way: which release a revision means, and when a head or a tag may be set."""

from __future__ import annotations

from collections.abc import Collection, Iterable

from accelzoo.errors import ReleaseError, suggestion
from accelzoo.hubs.names import SHORTEST_PREFIX, digest_prefix
from accelzoo.hubs.protocol import ConflictError


def pick_digest(name: str, revision: str, digests: Iterable[str], tags: Collection[str]) -> str:
    """Returns the digest that a revision stands for which is no tag: a digest, or a prefix of one.

    Args:
        name: The name, for errors.
        revision: What was asked for.
        digests: Digests of all the name's releases.
        tags: The name's tags, for errors.

    Raises:
        ReleaseError: If the revision is unknown, or a prefix of several digests.
    """
    digits = digest_prefix(revision)
    matches = sorted(digest for digest in digests if digits and digest.startswith(f"sha256:{digits}"))
    if len(matches) == 1:
        return matches[0]
    if matches:
        listing = ", ".join(digest.removeprefix("sha256:") for digest in matches)
        raise ReleaseError(f"{name}@{revision}: several releases begin so: {listing}; give more digits")
    raise ReleaseError(
        f"{name}@{revision}: no such revision{suggestion(revision, tags) or '.'} "
        f"Tags: {', '.join(tags) or 'none'}; or give a digest, or its first {SHORTEST_PREFIX} or more digits."
    )


def check_head(name: str, head: str | None, expect: str | None) -> None:
    """Refuses to replace a head that is not the expected one.

    Args:
        name: The name, for errors.
        head: Digest of the head now; None if nothing is published.
        expect: See `Hub.publish`.

    Raises:
        ConflictError: If it is another.
    """
    if expect is not None and expect != (head or ""):
        wanted = f"the head {expect}" if expect else "nothing published yet"
        raise ConflictError(f"{name}: expected {wanted}, found {head or 'nothing published yet'}; nothing was changed")


def check_tag(name: str, tag: str, marked: str | None, digest: str) -> None:
    """Refuses to move a tag.

    Args:
        name: The name, for errors.
        tag: The tag.
        marked: Digest of what it marks now; None if it is free.
        digest: What it shall mark.

    Raises:
        ConflictError: If it marks something else.
    """
    if marked not in (None, digest):
        raise ConflictError(f"{name}: tag {tag!r} marks {marked} and never moves; expected {digest}; nothing changed")
