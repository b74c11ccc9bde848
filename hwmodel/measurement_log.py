"""Writing files of measurements: appended line by line, resumed after a kill, never mixed, never overwritten."""

from __future__ import annotations

import lzma
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Self

from accelzoo.errors import DataError
from accelzoo.hwmodel.ir import Graph
from accelzoo.hwmodel.measurement import Measurement, Provenance, graph_digest
from accelzoo.hwmodel.measurements import (
    Measurements,
    Sampling,
    Skip,
    differences,
    header_to_json,
    parse,
    sample_to_json,
    spell,
)
from accelzoo.locks import try_lock

XZ_SUFFIX = ".xz"


class MeasurementLog:
    """Appends measurements to a `.jsonl` file that no other process is writing; a context manager.

    Each line is one write, synced to the disk: a killed process loses at most the sample it was measuring. A last line
    that was never finished is cut off when the file is opened again, so that its sample is measured again.

    Attributes:
        path: The file.
        done: The indices of the samples that the file holds or skips.
        note: What was cut off.

    Args:
        path: The file; begun if it is not there or empty.
        provenance: Where the measurements come from.
        sampling: How the graphs are drawn; None for graphs of your own.

    Raises:
        DataError: If the file holds something else, measurements of another oracle, target, tool, settings or
            sampling (the message lists what differs), or another process is writing it.
    """

    def __init__(self, path: str | Path, provenance: Provenance, sampling: Sampling | None = None) -> None:
        self.path = Path(path)
        if self.path.suffix == XZ_SUFFIX:
            raise DataError(f"{self.path}: lines cannot be appended to a compressed file; unpack it first")
        self.note: str | None = None
        self.done: set[int] = set()
        self._known: set[str] = set()
        self.path.parent.mkdir(parents=True, exist_ok=True)
        flags = os.O_RDWR | os.O_CREAT | os.O_APPEND | getattr(os, "O_BINARY", 0)
        self._file = os.open(self.path, flags, 0o644)
        try:
            if not try_lock(self._file):
                raise DataError(f"{self.path}: another process is writing these measurements")
            self._continue(header_to_json(provenance, sampling))
        except BaseException:
            os.close(self._file)
            self._file = -1
            raise

    def _continue(self, header: Mapping[str, Any]) -> None:
        found, whole = parse(self.path, self.path.read_bytes())
        if found is None:
            self._require_own(header)
            os.ftruncate(self._file, 0)
            self._append(header)
            return
        require_same(self.path, found, header)
        os.ftruncate(self._file, whole)
        self.note = found.note
        self._known = {graph_digest(sample.graph) for sample in found}
        self.done = {index for index in found.indices if index is not None} | {skip.index for skip in found.skipped}

    def _require_own(self, header: Mapping[str, Any]) -> None:
        """Checks that a file without a whole line is the beginning of what would be written."""
        data = self.path.read_bytes()
        if not spell(header).startswith(data):
            raise DataError(f"{self.path}: not a file of measurements ({data[:40]!r}…), and it is never overwritten")

    def holds(self, graph: Graph) -> bool:
        """Tells whether the file has a measurement of an equal graph, whatever its operators are called."""
        return graph_digest(graph) in self._known

    def append(self, sample: Measurement, index: int | None = None) -> bool:
        """Writes a measurement; a graph that the file holds already is recorded as a duplicate instead.

        Returns:
            Whether it was written.
        """
        digest = graph_digest(sample.graph)
        if digest in self._known:
            if index is not None:
                self.skip(Skip(index, "duplicate"))
            return False
        self._append(sample_to_json(sample, index))
        self._known.add(digest)
        if index is not None:
            self.done.add(index)
        return True

    def skip(self, skip: Skip) -> None:
        """Writes that a sample has no measurement, so that resuming does not try it again."""
        self._append(skip.to_json())
        self.done.add(skip.index)

    def close(self) -> None:
        """Lets other processes write."""
        if self._file >= 0:
            os.close(self._file)
            self._file = -1

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exception: object) -> None:
        self.close()

    def _append(self, content: Mapping[str, Any]) -> None:
        rest = memoryview(spell(content))
        while rest:  # one write, unless the disk is full or a signal arrives
            rest = rest[os.write(self._file, rest) :]
        os.fsync(self._file)


def require_same(path: Path, found: Measurements, header: Mapping[str, Any]) -> None:
    """Checks that a file was begun with this provenance and sampling.

    Raises:
        DataError: Every field that differs, with both values.
    """
    if changes := differences(header_to_json(found.provenance, found.sampling), header):
        raise DataError(
            "\n  ".join([f"{path}:1: these measurements are of another kind; give another file:", *changes])
        )


def compress(measurements: Measurements, path: str | Path, *, replace: bool = False) -> Path:
    """Writes measurements as `.jsonl.xz`, in the order of their indices; equal measurements make equal files.

    Args:
        measurements: What to write.
        path: The file; it appears as a whole or not at all.
        replace: Whether to write over measurements of the same provenance and sampling.

    Raises:
        DataError: If the file is there already and may not be replaced, or its name does not end in `.jsonl.xz`.
    """
    path = Path(path)
    if not path.name.endswith(".jsonl.xz"):
        raise DataError(f"{path}: the name of a compressed file of measurements ends in .jsonl.xz")
    header = header_to_json(measurements.provenance, measurements.sampling)
    if path.exists():
        if not replace:
            raise DataError(f"{path}: there is a file already, and it is never overwritten")
        require_same(path, Measurements.read(path), header)
    lines = [spell(header), *_ordered_lines(measurements)]
    part = path.with_name(path.name + ".part")
    part.write_bytes(lzma.compress(b"".join(lines), preset=9))
    os.replace(part, path)
    return path


def _ordered_lines(measurements: Measurements) -> list[bytes]:
    pairs = zip(measurements.samples, measurements.indices, strict=True)
    numbered = [(index, spell(sample_to_json(sample, index))) for sample, index in pairs]
    numbered += [(skip.index, spell(skip.to_json())) for skip in measurements.skipped]
    return [line for _, line in sorted(numbered, key=lambda pair: (pair[0] is None, pair[0] or 0))]


def unpack(packed: Path, path: Path) -> None:
    """Writes the lines of a compressed file beside it, to go on appending.

    Raises:
        DataError: If `path` is there already, or `packed` has a fault.
    """
    if path.exists():
        raise DataError(f"{path}: there is a file already, and it is never overwritten")
    Measurements.read(packed)
    part = path.with_name(path.name + ".part")
    part.write_bytes(lzma.decompress(packed.read_bytes()))
    os.replace(part, path)
