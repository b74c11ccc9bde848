"""Files that appear whole or not at all, and what is told of them."""

from __future__ import annotations

import os
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from accelzoo._files import staging_path, write_synced
from accelzoo.errors import ExportError
from accelzoo.exporting.copies import Latency


@dataclass(frozen=True, slots=True, kw_only=True)
class ExportReport:
    """A file that was written.

    Args:
        path: The file.
        format: `onnx`, `torch-export`, `litert` or `executorch`.
        size_bytes: Its size.
        inputs: Name → shape in the file, in the order in which they are passed. Where `dynamic_batch` is set, the first
            number of each, and of the outputs' shapes, is only an example.
        outputs: Name → shape in the file.
        dynamic_batch: Whether the file takes any number of images at once.
        opset: Version of ONNX's operators; None in other formats.
        runtime: What the file was checked in, with its version; None if it was not checked.
        relative_errors: For each output, the largest difference between the file's and the network's, as a share of the
            largest value of that output; empty if it was not checked.
        latency: How long one inference takes here; None if it was not timed.
    """

    path: Path
    format: str
    size_bytes: int
    inputs: Mapping[str, tuple[int, ...]]
    outputs: Mapping[str, tuple[int, ...]]
    dynamic_batch: bool
    opset: int | None
    runtime: str | None
    relative_errors: Mapping[str, float]
    latency: Latency | None

    @property
    def max_relative_error(self) -> float | None:
        """The largest of `relative_errors`; None if the file was not checked."""
        return max(self.relative_errors.values(), default=None)


def free_path(path: str | Path, suffix: str, overwrite: bool) -> Path:
    """Returns the path, if a file can appear there.

    Raises:
        ExportError: If its name ends otherwise, its folder is missing, or something is there already.
    """
    target = Path(path)
    if target.suffix != suffix:
        raise ExportError(f"{target}: the name must end in {suffix!r}")
    if not os.path.isdir(target.parent):
        raise ExportError(f"{target}: no such folder {str(target.parent)!r}")
    if os.path.isdir(target):
        raise ExportError(f"{target} is a folder")
    if os.path.lexists(target) and not overwrite:
        raise ExportError(f"{target} exists; overwrite it on purpose or take another")
    return target


def write_whole(target: Path, data: bytes) -> None:
    """Writes a file in one step: whole or not at all.

    Raises:
        ExportError: If it cannot be written.
    """
    staged = staging_path(target)
    try:
        write_synced(staged, data)
        os.replace(staged, target)
    except OSError as error:
        with suppress(OSError):
            staged.unlink()
        raise ExportError(f"cannot write {target}: {error}") from error
