"""Names, tags, revisions and references: what they may look like, the same on every hub."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import NamedTuple

from accelzoo._checksums import is_digest
from accelzoo.errors import ReleaseError

REFERENCE_PREFIX = "hub:"
HUGGING_FACE_PREFIX = "hf:"
_HUBS = {REFERENCE_PREFIX: "local", HUGGING_FACE_PREFIX: "hf"}
SHORTEST_PREFIX = 8
DIGEST_TAG_PREFIX = "sha256-"  # git tags that mark releases by digest on Hugging Face
_PART = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*", re.ASCII)
_HEX_PREFIX = re.compile(rf"(?:sha256:)?([0-9a-f]{{{SHORTEST_PREFIX},64}})", re.ASCII)
_LONGEST = 96  # the Hugging Face hub's limit for a whole name; its other rules are in `_part_fault` too
_MOVING = frozenset({"head", "latest", "main"})
_WINDOWS_DEVICES = frozenset(
    {"con", "prn", "aux", "nul"} | {f"{port}{digit}" for port in ("com", "lpt") for digit in range(1, 10)}
)


class Reference(NamedTuple):
    """A parsed `hub:owner/name@revision` (of the user's own hub) or `hf:owner/name@revision` (of Hugging Face)."""

    name: str
    revision: str | None
    hub: str = "local"  # or "hf"


def check_name(name: str) -> str:
    """Returns a name unchanged when it is a valid `owner/name`.

    Raises:
        ReleaseError: If it is not.
    """
    fault = _name_fault(name)
    if fault:
        raise ReleaseError(f"release name {name!r}: {fault}")
    return name


def is_name(name: str) -> bool:
    """Tells whether a text is a valid `owner/name`."""
    return _name_fault(name) is None


def check_tags(tags: Sequence[str]) -> tuple[str, ...]:
    """Returns tags without duplicates when each is valid.

    Raises:
        ReleaseError: If one is malformed, could be taken for a digest, or names something that moves.
    """
    if isinstance(tags, str):
        raise ReleaseError(f"tags: expected a list of tags, found the text {tags!r}")
    for tag in tags:
        if fault := _tag_fault(tag):
            raise ReleaseError(f"tag {tag!r} {fault}")
    return tuple(dict.fromkeys(tags))


def is_tag(text: str) -> bool:
    """Tells whether a text may be a tag. Whatever else a hub holds is none: else one called as a digest moved a pin."""
    return _tag_fault(text) is None


def check_expect(expect: str | None) -> str | None:
    """Returns `expect` unchanged when it is None, empty (must not exist) or a whole digest.

    Raises:
        ReleaseError: If it is anything else.
    """
    if expect and not is_digest(expect):
        raise ReleaseError(f"expect: expected 'sha256:' and 64 hex digits, or '' for none yet, found {expect!r}")
    return expect


def parse_reference(text: str) -> Reference:
    """Reads `hub:owner/name` or `hf:owner/name`, with or without `@revision`.

    Raises:
        ReleaseError: If the text is neither.
    """
    prefix = next((prefix for prefix in _HUBS if text.startswith(prefix)), None)
    if prefix is None:
        allowed = " or ".join(f"'{prefix}owner/name'" for prefix in _HUBS)
        raise ReleaseError(f"reference {text!r}: expected {allowed}, each with or without '@revision'")
    name, at, revision = text.removeprefix(prefix).partition("@")
    check_name(name)
    if at and not is_digest(revision) and not digest_prefix(revision) and _part_fault(revision):
        raise ReleaseError(f"reference {text!r}: {revision!r} is neither a tag nor a digest")
    return Reference(name, revision if at else None, _HUBS[prefix])


def digest_prefix(revision: str) -> str | None:
    """Returns the hexadecimal digits of a digest or a digest's prefix (8 or more), None for anything else."""
    match = _HEX_PREFIX.fullmatch(revision)
    return match[1] if match else None


def _name_fault(name: str) -> str | None:
    parts = name.split("/")
    if len(parts) != 2 or len(name) > _LONGEST:
        return f"expected 'owner/name' of at most {_LONGEST} characters"
    return next((f"{part!r} {fault}" for part in parts if (fault := _part_fault(part))), None)


def _tag_fault(tag: str) -> str | None:
    if fault := _part_fault(tag):
        return fault
    if tag.lower() in _MOVING:
        return f"is reserved: a tag never moves (reserved: {', '.join(sorted(_MOVING))})"
    if _HEX_PREFIX.fullmatch(tag) or tag.lower().startswith(DIGEST_TAG_PREFIX):
        return "could be taken for a digest"
    return None


def _part_fault(part: str) -> str | None:
    if not _PART.fullmatch(part):
        return "must be letters, digits, '.', '_' and '-', and begin with a letter or a digit"
    if ".." in part or "--" in part or part[-1] in ".-":
        return "must not hold '..' or '--', nor end with '.' or '-'"
    if part.lower().endswith((".git", ".lock", ".partial")):
        return "must not end with '.git', '.lock' or '.partial'"
    if part.lower().split(".")[0] in _WINDOWS_DEVICES:
        return "is reserved on Windows"
    return None
