"""A file of measurements: JSON lines, the first of them the provenance and the sampling that all others share.

- `{"format": "accelzoo-measurements", "version": 1, "provenance": {…}, "sampling": {…}}`
- `{"index": 0, "source": "network:random", "latency_s": …, "rows": […], "graph": {…}}` for a measurement
- `{"index": 1, "skipped": "unsupported", "reason": "…"}` for a sample without one: a `duplicate`,
  `unsupported` by the tool, or one on which the tool `failed`

Files that end in `.xz` are the same lines, compressed. `accelzoo.hwmodel.measurement_log` writes them.
"""

from __future__ import annotations

import dataclasses
import json
import lzma
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple, NoReturn

from accelzoo.errors import DataError
from accelzoo.hwmodel.measurement import Measurement, Provenance, graph_digest

FORMAT = "accelzoo-measurements"
VERSION = 1
SKIPPED = ("duplicate", "unsupported", "failed")


class Sampling(NamedTuple):
    """Which samples `accelzoo.hwmodel.sampling` drew: their kind, the seed, and the version of the space."""

    kind: str
    seed: int
    space_version: int


@dataclass(frozen=True, slots=True)
class Skip:
    """A sample without a measurement: why (one of `SKIPPED`), and what the oracle said."""

    index: int
    skipped: str
    reason: str = ""

    def to_json(self) -> dict[str, Any]:
        """Returns the content of its line."""
        return {name: value for name, value in dataclasses.asdict(self).items() if value != ""}


@dataclass(frozen=True, slots=True, kw_only=True)
class Measurements:
    """What a file holds.

    Attributes:
        provenance: Where all of them come from.
        sampling: How their graphs were drawn; None for graphs of your own.
        samples: The measurements, in the order of the file.
        indices: The number of each sample within its sampling; None for graphs of your own.
        skipped: Samples without a measurement.
        note: What was left out: a last line that a killed process did not finish.
    """

    provenance: Provenance
    sampling: Sampling | None = None
    samples: tuple[Measurement, ...] = ()
    indices: tuple[int | None, ...] = ()
    skipped: tuple[Skip, ...] = ()
    note: str | None = None

    @classmethod
    def read(cls, path: str | Path) -> Measurements:
        """Reads a `.jsonl` or `.jsonl.xz` file, also one that is still being written; the file is not changed.

        Raises:
            DataError: If there is no such file, or it has a fault; the message gives file and line.
        """
        path = Path(path)
        try:
            data = path.read_bytes()
            data = lzma.decompress(data) if path.suffix == ".xz" else data
        except FileNotFoundError:
            raise DataError(f"{path}: there is no file of measurements") from None
        except (OSError, lzma.LZMAError) as error:
            raise DataError(f"{path}: cannot be read: {error}") from error
        found, _ = parse(path, data)
        if found is None:
            raise DataError(f"{path}: not even the first line is whole, so there are no measurements")
        return found

    def __len__(self) -> int:
        return len(self.samples)

    def __iter__(self) -> Iterator[Measurement]:
        return iter(self.samples)

    def of_kind(self, kind: str) -> tuple[Measurement, ...]:
        """Returns the measurements of one kind of sample: `op`, `block` or `network`."""
        return tuple([sample for sample in self.samples if sample.source.split(":")[0] == kind])


def merge(parts: Iterable[Measurements]) -> Measurements:
    """Joins measurements of one provenance; a graph that several hold keeps its first measurement.

    The result names a sampling, indices and skipped samples only where all parts are of one sampling.

    Raises:
        DataError: If there are none, or they come from different oracles, targets, tools or settings.
    """
    parts = list(parts)
    if not parts:
        raise DataError("there are no measurements to merge")
    first = parts[0]
    for part in parts[1:]:
        if changes := differences(first.provenance.to_json(), part.provenance.to_json()):
            raise DataError("\n  ".join(["cannot merge measurements of different provenance:", *changes]))
    joined: dict[str, tuple[Measurement, int | None]] = {}
    for part in parts:
        for sample, index in zip(part.samples, part.indices, strict=True):
            joined.setdefault(graph_digest(sample.graph), (sample, index))
    alike = all(part.sampling == first.sampling for part in parts)
    return Measurements(
        provenance=first.provenance,
        sampling=first.sampling if alike else None,
        samples=tuple([sample for sample, _ in joined.values()]),
        indices=tuple([index if alike else None for _, index in joined.values()]),
        skipped=tuple({skip.index: skip for part in parts for skip in part.skipped}.values()) if alike else (),
    )


def header_to_json(provenance: Provenance, sampling: Sampling | None) -> dict[str, Any]:
    """Returns the content of a file's first line."""
    return {
        "format": FORMAT,
        "version": VERSION,
        "provenance": provenance.to_json(),
        "sampling": None if sampling is None else sampling._asdict(),
    }


def sample_to_json(sample: Measurement, index: int | None) -> dict[str, Any]:
    """Returns the content of a measurement's line."""
    return ({} if index is None else {"index": index}) | sample.to_json()


def spell(content: Mapping[str, Any]) -> bytes:
    """Returns a line with its newline: one fixed spelling, so that equal measurements make equal files."""
    return (json.dumps(content, separators=(",", ":"), allow_nan=False, ensure_ascii=False) + "\n").encode()


def differences(recorded: Mapping[str, Any], given: Mapping[str, Any]) -> list[str]:
    """Returns a line for every field in which two first lines or provenances differ."""
    before, now = dict(_leaves(recorded)), dict(_leaves(given))
    return [
        f"{name}: recorded {before.get(name, 'nothing')!r}, given {now.get(name, 'nothing')!r}"
        for name in (before | now)
        if before.get(name, "nothing") != now.get(name, "nothing")
    ]


def parse(path: Path, data: bytes) -> tuple[Measurements | None, int]:
    """Parses a file's bytes.

    Returns:
        The measurements, None if not even the first line is whole, and how many bytes the complete lines have.

    Raises:
        DataError: If a complete line has a fault.
    """
    whole = data.rfind(b"\n") + 1
    lines = data[:whole].split(b"\n")[:-1]
    if not lines:
        return None, 0
    note = None
    if whole < len(data):
        note = f"{path}:{len(lines) + 1}: dropped the last line, which was never finished ({len(data) - whole} bytes)"
    provenance, sampling = _header(path, _content(path, 1, lines[0]))
    samples, indices, skipped = [], [], []
    for number, line in enumerate(lines[1:], start=2):
        content = _content(path, number, line)
        if "skipped" in content:
            skipped.append(_skip(path, number, content))
            continue
        indices.append(_index(path, number, content.pop("index", None)))
        try:
            samples.append(Measurement.from_json(content))
        except DataError as error:
            raise DataError(f"{path}:{number}: {error}") from error
    found = Measurements(
        provenance=provenance,
        sampling=sampling,
        samples=tuple(samples),
        indices=tuple(indices),
        skipped=tuple(skipped),
        note=note,
    )
    return found, whole


def _content(path: Path, number: int, line: bytes) -> dict[str, Any]:
    try:
        content = json.loads(line, parse_constant=_refuse)
    except ValueError as error:
        raise DataError(f"{path}:{number}: expected a line of JSON, found {line[:60]!r} ({error})") from error
    if not isinstance(content, dict):
        raise DataError(f"{path}:{number}: expected a mapping, found {line[:60]!r}")
    return content


def _refuse(constant: str) -> NoReturn:
    raise ValueError(f"{constant} is not a number that can be measured")


def _header(path: Path, content: Mapping[str, Any]) -> tuple[Provenance, Sampling | None]:
    if content.get("format") != FORMAT:
        raise DataError(f"{path}:1: not a file of measurements: format is {content.get('format')!r}, not {FORMAT!r}")
    if content.get("version") != VERSION:
        raise DataError(f"{path}:1: version {content.get('version')!r} is not known; this version reads {VERSION}")
    try:
        drawn = content["sampling"]
        sampling = None if drawn is None else Sampling(**drawn)
        return Provenance.from_json(content["provenance"]), sampling
    except (KeyError, TypeError, DataError) as error:
        raise DataError(f"{path}:1: {error}") from error


def _index(path: Path, number: int, index: object) -> int | None:
    if index is not None and (type(index) is not int or index < 0):
        raise DataError(f"{path}:{number}: index must be a whole number, at least 0, got {index!r}")
    return index


def _skip(path: Path, number: int, content: Mapping[str, Any]) -> Skip:
    try:
        skip = Skip(**content)
    except TypeError as error:
        raise DataError(f"{path}:{number}: a skipped sample with wrong fields: {error}") from error
    if skip.skipped not in SKIPPED:
        raise DataError(f"{path}:{number}: skipped must be one of {', '.join(SKIPPED)}, got {skip.skipped!r}")
    _index(path, number, skip.index)
    return skip


def _leaves(value: Any, path: str = "") -> Iterator[tuple[str, Any]]:
    if not isinstance(value, Mapping) or not value:
        yield path, value
        return
    for name, part in value.items():
        yield from _leaves(part, f"{path}.{name}" if path else name)
