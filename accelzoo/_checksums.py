"""The SHA256SUMS file of a folder: write it, read it strictly, compare a folder with it."""

from __future__ import annotations

import hashlib
import os
import re
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path

from accelzoo._files import NotRegularError, read_regular, sha256_file
from accelzoo._printable import printable

SUMS_FILE = "SHA256SUMS"
LONGEST_SUMS = 1 << 16
"""Bytes; a release's has under a thousand."""
_LINE = re.compile(r"([0-9a-f]{64})  ([A-Za-z0-9][A-Za-z0-9._-]*)", re.ASCII)
_DIGEST = re.compile(r"sha256:[0-9a-f]{64}", re.ASCII)


def is_digest(text: str) -> bool:
    """Tells whether a text is a whole digest: `sha256:` and 64 lower-case hexadecimal digits."""
    return _DIGEST.fullmatch(text) is not None


def digest_of(data: bytes) -> str:
    """Returns `sha256:` followed by the sha256 of the bytes in hexadecimal."""
    return "sha256:" + hashlib.sha256(data).hexdigest()


def format_sums(hashes: Mapping[str, str]) -> bytes:
    """Returns the bytes of SHA256SUMS, sorted by name, as `sha256sum -c` reads them.

    Args:
        hashes: File name -> sha256 in hexadecimal.
    """
    return "".join(f"{hashes[name]}  {name}\n" for name in sorted(hashes)).encode("ascii")


def parse_sums(data: bytes) -> tuple[dict[str, str], list[str]]:
    """Reads SHA256SUMS, accepting only the one spelling that `format_sums` writes.

    Returns:
        File name -> sha256 in hexadecimal for each readable line, and one fault per problem.
    """
    hashes: dict[str, str] = {}
    faults: list[str] = []
    for number, line in enumerate(data.decode("ascii", errors="replace").split("\n")[:-1], start=1):
        match = _LINE.fullmatch(line)
        if match:
            hashes[match[2]] = match[1]
        else:
            faults.append(f"{SUMS_FILE}: line {number} is not '<sha256>  <name>': found {line[:100]!r}")
    if not faults and format_sums(hashes) != data:
        faults.append(f"{SUMS_FILE}: lines are not sorted by name, unique and ended by one newline each")
    return hashes, faults


def list_faults(title: str, faults: Sequence[str]) -> str:
    """Returns an error message: a title and one indented line per fault."""
    return "\n".join([f"{title}:", *(f"  {fault}" for fault in faults)])


def compare_folder(
    folder: Path, names: Collection[str], expect: str | None = None, *, optional: Collection[str] = ()
) -> tuple[str, list[str]]:
    """Compares a flat folder with its SHA256SUMS.

    Args:
        folder: An existing folder.
        names: The files it must hold beside SHA256SUMS, no more and no less.
        expect: The digest of SHA256SUMS itself, when known.
        optional: Files that it may hold besides, each with its line in SHA256SUMS.

    Returns:
        The digest of SHA256SUMS ("" when it is missing), and one fault per damaged, missing or extra file.

    Raises:
        OSError: If a file cannot be read.
    """
    present = {entry.name for entry in os.scandir(folder)}
    digest, hashes, faults = _read_sums(folder, expect) if SUMS_FILE in present else ("", {}, [_missing(SUMS_FILE, "")])
    for name in sorted((present | hashes.keys() | set(names)) - {SUMS_FILE}):
        fault = _compare_file(folder, name, present, hashes.get(name), listable=name in names or name in optional)
        if fault:
            faults.append(fault)
    return digest, faults


def _read_sums(folder: Path, expect: str | None) -> tuple[str, dict[str, str], list[str]]:
    try:
        data = read_regular(folder / SUMS_FILE, at_most=LONGEST_SUMS)
    except NotRegularError:
        return "", {}, [_irregular(SUMS_FILE)]
    hashes, faults = parse_sums(data)
    digest = digest_of(data)
    if expect is not None and digest != expect:
        faults.insert(0, f"{SUMS_FILE}: damaged: expected {expect}, found {digest}")
    return digest, hashes, faults


def _compare_file(folder: Path, name: str, present: set[str], expected: str | None, *, listable: bool) -> str | None:
    if name not in present:
        return _missing(name, expected or "")
    try:
        actual = sha256_file(folder / name)
    except NotRegularError:
        return _irregular(name)
    if not listable:
        return f"{printable(name)}: extra: expected no such file, found sha256 {actual}"
    if expected is None:
        return f"{name}: not listed in {SUMS_FILE}: expected a line for it, found sha256 {actual}"
    if actual != expected:
        return f"{name}: damaged: expected sha256 {expected}, found sha256 {actual}"
    return None


def _missing(name: str, expected: str) -> str:
    return f"{name}: missing: expected {'sha256 ' + expected if expected else 'this file'}, found no file"


def _irregular(name: str) -> str:
    return f"{printable(name)}: expected a plain file, found a link, a folder or a device"
