"""The refs of a local hub: small files that each name one digest, sealed, and replaced in one step."""

from __future__ import annotations

import os
from hashlib import sha256
from pathlib import Path

from accelzoo._checksums import is_digest
from accelzoo._files import NotRegularError, read_regular, replace_file
from accelzoo.errors import ReleaseError
from accelzoo.hubs.names import is_tag

HEAD = "head"
_LONGEST = 1 << 10


def read_ref(shelf: Path, name: str, ref: str) -> str | None:
    """Returns the digest that a ref names, None when there is no such ref.

    Args:
        shelf: The folder of `name`.
        name: `owner/name`.
        ref: "head" or "tags/<tag>".

    Raises:
        ReleaseError: If the file is damaged, edited, or of another name or ref. The seal has no key: who rewrites it
            too can move a ref, and only a pinned digest shows that.
    """
    path = shelf / "refs" / ref
    try:
        data = read_regular(path, at_most=_LONGEST)
    except FileNotFoundError:
        return None
    except NotRegularError:
        raise ReleaseError(f"{path}: damaged: expected a plain file, found a link, a folder or a device") from None
    text = data.decode("ascii", errors="replace")
    digest = text.partition("\n")[0]
    if not is_digest(digest):
        raise ReleaseError(f"{path}: damaged: expected 'sha256:' and 64 hex digits, found {text[:100]!r}; {_ADVICE}")
    if data != _sealed(name, ref, digest):
        raise ReleaseError(
            f"{path}: damaged: expected the seal of {name} {ref} at {digest}, found {text[len(digest) :][:100]!r}; "
            f"{_ADVICE}"
        )
    return digest


def write_ref(shelf: Path, name: str, ref: str, digest: str) -> None:
    """Sets a ref in one step; a reader sees the old digest or the new, also after a kill."""
    replace_file(shelf / "refs" / ref, _sealed(name, ref, digest), staging=shelf / "staging")


def list_tags(shelf: Path) -> list[str]:
    """Returns every tag, sorted; a file system's own hidden files are none, nor is what could be taken for a digest."""
    try:
        return sorted(filter(is_tag, os.listdir(shelf / "refs" / "tags")))
    except FileNotFoundError:  # a hub was moved by something that leaves empty folders behind
        return []


_ADVICE = "restore the file, or remove it and publish again"


def _sealed(name: str, ref: str, digest: str) -> bytes:
    seal = sha256(f"{name}\n{ref}\n{digest}\n".encode("ascii")).hexdigest()
    return f"{digest}\nseal {seal}\n".encode("ascii")
