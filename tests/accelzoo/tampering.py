"""A corpus of tampered releases: every file damaged, edited, swapped, missing, doubled or replaced, and sums rewritten.

`tamperings` change files and leave SHA256SUMS to tell; `forgeries` rewrite SHA256SUMS to match, which a pinned digest
tells, and what the files say of one another.
"""

from __future__ import annotations

import itertools
import os
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from hashlib import sha256
from pathlib import Path

import numpy as np

from accelzoo.draw import below, generator

SUMS = "SHA256SUMS"
WEIGHTS = "model.safetensors"
OPTIONAL = "quantization.json"


@dataclass(frozen=True, slots=True, kw_only=True)
class Tampering:
    """One way to change a release folder."""

    name: str
    file: str  # the one that a refusal must name
    apply: Callable[[Path], object]  # given the folder
    adds: bool = False  # whether all it does is add something that does not belong there


def tamperings(release: Path, *, flips: int = 3) -> Iterator[Tampering]:
    """Yields every tampering that leaves SHA256SUMS as it was, and those of SHA256SUMS itself.

    Args:
        release: A whole release, which is only read.
        flips: Bits flipped in each file, at the first, the last and drawn bytes.
    """
    names = sorted(path.name for path in release.iterdir())
    for name in names:
        yield from _damages(release, name, flips)
    for name in set(names) - {SUMS}:
        yield from _irregular(name)
    yield from _edits()
    yield from _swaps(release, names)
    yield from _extras(names)
    for label, rewrite in _LINES.items():
        yield Tampering(name=f"{SUMS}: {label}", file=SUMS, apply=partial(_rewrite_sums, rewrite=rewrite))


def forgeries(release: Path) -> Iterator[Tampering]:
    """Yields tamperings after which SHA256SUMS is rewritten to match; a refusal without a pin must name `file`.

    Args:
        release: A whole release, which is only read.
    """
    size = (release / WEIGHTS).stat().st_size
    whole = [
        *_edits(),
        Tampering(name="other weights of these shapes", file=WEIGHTS, apply=other_weights),
        Tampering(name="one weight changed", file=WEIGHTS, apply=partial(_flip, name=WEIGHTS, at=size - 1, bit=6)),
    ]
    if (release / "trace.jsonl").stat().st_size:
        whole += [
            Tampering(name="trace emptied", file="trace.jsonl", apply=partial(_cut, name="trace.jsonl", to=0.0)),
            Tampering(name="last candidate dropped", file="trace.jsonl", apply=_drop_last_line),
        ]
    if (release / OPTIONAL).exists():
        whole.append(Tampering(name="ranges removed", file=OPTIONAL, apply=lambda folder: (folder / OPTIONAL).unlink()))
    for tampering in whole:
        yield Tampering(
            name=f"{tampering.name}, sums rewritten", file=tampering.file, apply=partial(_forge, apply=tampering.apply)
        )


def reseal(folder: Path) -> None:
    """Rewrites SHA256SUMS to match whatever the files are now."""
    names = sorted(path.name for path in folder.iterdir() if path.name != SUMS)
    lines = [f"{sha256((folder / name).read_bytes()).hexdigest()}  {name}\n" for name in names]
    (folder / SUMS).write_text("".join(lines), encoding="ascii")


def other_weights(folder: Path) -> None:
    """Puts other weights of the same names, types and shapes in place."""
    from safetensors.numpy import load, save

    path = folder / WEIGHTS
    arrays = load(path.read_bytes())
    path.write_bytes(save({name: np.asarray(array + 1, array.dtype) for name, array in arrays.items()}))


def _damages(release: Path, name: str, flips: int) -> Iterator[Tampering]:
    size = (release / name).stat().st_size
    rng = generator(len(name), size)
    offsets = sorted({0, size - 1, *(below(rng, size) for _ in range(flips - 2))}) if size else []
    for offset in offsets:
        bit = below(rng, 8)
        flip = partial(_flip, name=name, at=offset, bit=bit)
        yield Tampering(name=f"{name}: bit {bit} of byte {offset} flipped", file=name, apply=flip)
    if size:
        yield Tampering(name=f"{name}: cut in half", file=name, apply=partial(_cut, name=name, to=0.5))
        yield Tampering(name=f"{name}: emptied", file=name, apply=partial(_cut, name=name, to=0.0))
        yield Tampering(name=f"{name}: zeros", file=name, apply=lambda folder: (folder / name).write_bytes(bytes(size)))
    yield Tampering(name=f"{name}: one byte more", file=name, apply=partial(_append, name=name))
    yield Tampering(name=f"{name}: missing", file=name, apply=lambda folder: (folder / name).unlink())


def _irregular(name: str) -> Iterator[Tampering]:
    for kind in ("link to the same bytes", "dangling link", "folder", "pipe"):
        yield Tampering(name=f"{name}: {kind}", file=name, apply=partial(_replace, name=name, kind=kind))


def _edits() -> Iterator[Tampering]:
    """Yields what somebody would change to make a release look better, or other than it is."""
    for name, (pattern, put) in _EDITS.items():
        yield Tampering(name=f"{name}: edited", file=name, apply=partial(_edit, name=name, pattern=pattern, put=put))


def _swaps(release: Path, names: list[str]) -> Iterator[Tampering]:
    yield Tampering(name="other weights of these shapes", file=WEIGHTS, apply=other_weights)
    for first, second in itertools.pairwise(names):
        if (release / first).read_bytes() != (release / second).read_bytes():
            for named in {first, second} - {SUMS}:
                yield Tampering(
                    name=f"{first} and {second} swapped", file=named, apply=partial(_swap, first=first, second=second)
                )


def _extras(names: list[str]) -> Iterator[Tampering]:
    for name in ("notes.txt", ".hidden", f"{WEIGHTS}.bak", WEIGHTS.upper(), "escape\x1b[2J", OPTIONAL):
        if name not in names:
            shown = name.replace("\x1b", "\\u001b")
            yield Tampering(name=f"extra {shown}", file=shown, apply=partial(_append, name=name), adds=True)
    yield Tampering(name="extra folder", file="sub", apply=lambda folder: (folder / "sub").mkdir(), adds=True)


def _forge(folder: Path, *, apply: Callable[[Path], object]) -> None:
    apply(folder)
    reseal(folder)


def _flip(folder: Path, *, name: str, at: int, bit: int) -> None:
    with (folder / name).open("r+b") as file:
        file.seek(at)
        (byte,) = file.read(1)
        file.seek(at)
        file.write(bytes([byte ^ 1 << bit]))


def _cut(folder: Path, *, name: str, to: float) -> None:
    os.truncate(folder / name, int((folder / name).stat().st_size * to))


def _append(folder: Path, *, name: str) -> None:
    with (folder / name).open("ab") as file:
        file.write(b"\n")


def _replace(folder: Path, *, name: str, kind: str) -> None:
    path, elsewhere = folder / name, folder.with_name(f"{folder.name}-{name}")
    path.replace(elsewhere)
    match kind:
        case "folder":
            path.mkdir()
        case "pipe":
            os.mkfifo(path)
        case _:
            path.symlink_to(elsewhere if kind == "link to the same bytes" else "nowhere")


def _edit(folder: Path, *, name: str, pattern: str, put: str) -> None:
    text = (folder / name).read_text(encoding="utf-8")
    edited, count = re.subn(pattern, put, text, count=1)
    assert count == 1, f"{name} holds nothing like {pattern}"
    assert edited != text
    (folder / name).write_text(edited, encoding="utf-8")


def _drop_last_line(folder: Path) -> None:
    lines = (folder / "trace.jsonl").read_bytes().splitlines(keepends=True)
    (folder / "trace.jsonl").write_bytes(b"".join(lines[:-1]))


def _swap(folder: Path, *, first: str, second: str) -> None:
    one, other = ((folder / name).read_bytes() for name in (first, second))
    (folder / first).write_bytes(other)
    (folder / second).write_bytes(one)


def _rewrite_sums(folder: Path, *, rewrite: Callable[[list[str]], list[str]]) -> None:
    lines = (folder / SUMS).read_text(encoding="ascii").splitlines(keepends=True)
    (folder / SUMS).write_bytes("".join(rewrite(lines)).encode("ascii"))


def _exchange_hashes(lines: list[str]) -> list[str]:
    (one, first), (other, second) = (line.split("  ") for line in lines[:2])
    return [f"{other}  {first}", f"{one}  {second}", *lines[2:]]


# What is looked for in each file, and what is put there: a better metric, another seed, another candidate.
_EDITS = {
    "README.md": (r"value: 0\.\d+", "value: 0.9876"),
    "config.json": (r'("metrics": \{\s*"[^"]+": )[-\d.e]+', r"\g<1>0.9876"),
    "lock.json": (r'("(?:seed|epochs|steps|count|wall_s)": )[\d.]+', r"\g<1>1234567"),
    "recipe.yaml": (r"\A([^\n]*)", r"\1  # edited"),
}
_LINES: dict[str, Callable[[list[str]], list[str]]] = {
    "a line twice": lambda lines: [*lines, lines[-1]],
    "a line again with another hash": lambda lines: [*lines, "0" * 64 + lines[-1][64:]],
    "a twin but for case": lambda lines: sorted([*lines, lines[0].upper().lower().replace("readme", "Readme")]),
    "a path out of the folder": lambda lines: ["0" * 64 + "  ../escape\n", *lines],
    "an absolute path": lambda lines: ["0" * 64 + "  /etc/hostname\n", *lines],
    "a path below": lambda lines: ["0" * 64 + "  sub/file\n", *lines],
    "itself": lambda lines: ["0" * 64 + f"  {SUMS}\n", *lines],
    "hashes exchanged": _exchange_hashes,
    "reversed": lambda lines: lines[::-1],
    "Windows line ends": lambda lines: [line.replace("\n", "\r\n") for line in lines],
    "upper case": lambda lines: [lines[0].upper(), *lines[1:]],
    "a comment": lambda lines: ["# sums\n", *lines],
    "a line removed": lambda lines: lines[1:],
}
