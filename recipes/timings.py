"""The CSV of whole-network timings: which networks, and how long each takes."""

from __future__ import annotations

import csv
import math
import shlex
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from accelzoo import config
from accelzoo.arch import Arch
from accelzoo.errors import AccelzooError, DataError, suggestion
from accelzoo.hwmodel.ir import Graph
from accelzoo.registry import get_arch

UNITS = {"latency_s": 1.0, "latency_ms": 1e-3, "latency_us": 1e-6}
_NETWORK_COLUMNS = ("model", "arch")
_SHOWN_TEXT = 96


class Timing(NamedTuple):
    """A row: where it stands, what it says of the network, the network, and seconds (None: a candidate)."""

    line: int
    text: str
    graph: Graph
    latency_s: float | None


def read_timings(path: Path, *, candidates: bool = False) -> list[Timing]:
    """Reads timings.

    Args:
        path: A CSV file with a column `model` or `arch` and one of `latency_s`, `latency_ms`, `latency_us`. A model is
            a name with overrides behind it, or a config file; an architecture is a config as JSON, or its file. Files
            are looked for beside the CSV.
        candidates: Whether an empty latency is a candidate to measure; else it is a fault.

    Raises:
        DataError: All faults, each with its line.
    """
    try:
        text = path.read_text(encoding="utf-8-sig")
    except OSError as error:
        raise DataError(f"cannot read {path}: {error.strerror}") from None
    except UnicodeDecodeError as error:
        raise DataError(f"{path}: not UTF-8 text ({error.reason} at byte {error.start})") from None
    lines = _lines(path, text)
    line, header = next(lines, (1, []))
    names = [name.strip() for name in header]
    network, unit = _columns(f"{path}:{line}", names)
    timings, faults = [], []
    for line, cells in lines:
        if not any(cell.strip() for cell in cells):
            continue
        try:
            timings.append(_timing(path, line, names, cells, network, unit, candidates))
        except AccelzooError as error:
            faults += [f"{path}:{line}: {text}" for text in str(error).splitlines()]
    if faults:
        raise DataError("\n".join(faults))
    if not timings:
        raise DataError(f"{path}: no rows below the header")
    return timings


def _lines(path: Path, text: str) -> Iterator[tuple[int, list[str]]]:
    """Yields the rows with the line on which each begins; a quoted cell may run over several."""
    reader = csv.reader(text.splitlines(keepends=True), strict=True)
    while True:
        line = reader.line_num + 1
        try:
            yield line, next(reader)
        except StopIteration:
            return
        except csv.Error as error:
            raise DataError(f"{path}:{line}: broken CSV: {error}") from None


def _columns(where: str, names: Sequence[str]) -> tuple[str, str]:
    """Finds the column of the networks and that of the latencies."""
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise DataError(f"{where}: column {', '.join(twice)} appears twice")
    networks = [name for name in names if name in _NETWORK_COLUMNS]
    latencies = [name for name in names if name in UNITS]
    given = ", ".join(names) or "none"
    if len(networks) != 1:
        raise DataError(f"{where}: exactly one column must be called model or arch; the columns are {given}")
    if len(latencies) != 1:
        unitless = [name for name in names if name.startswith("latency") and name not in UNITS]
        hint = f"; {unitless[0]!r} names no unit that is known{suggestion(unitless[0], UNITS)}" if unitless else ""
        units = ", ".join(UNITS)
        raise DataError(f"{where}: exactly one column must be one of {units}; the columns are {given}{hint}")
    return networks[0], latencies[0]


def _timing(
    path: Path, line: int, names: list[str], cells: list[str], network: str, unit: str, candidates: bool
) -> Timing:
    if len(cells) != len(names):
        raise DataError(f"{len(cells)} cells under {len(names)} columns")
    row: dict[str, str] = dict(zip(names, cells, strict=True))
    text, number = row[network].strip(), row[unit].strip()
    if not text:
        raise DataError(f"{network} is empty")
    latency_s = None if candidates and not number else _seconds(unit, number)
    arch = _inline(text) if text.startswith("{") else _named(path.parent, network, text)
    shown = text if len(text) <= _SHOWN_TEXT else text[: _SHOWN_TEXT - 3] + "..."
    return Timing(line, shown, arch.lower(), latency_s)


def _seconds(unit: str, number: str) -> float:
    try:
        value = float(number)
    except ValueError:
        raise DataError(f"{unit} {number!r} is not a number") from None
    if not (math.isfinite(value) and value > 0):
        raise DataError(f"{unit} {number} must be finite and greater than 0")
    return value * UNITS[unit]


def _inline(text: str) -> Arch:
    arch: Arch = config.read(Arch, config.Text(text, "arch"))
    return arch


def _named(folder: Path, column: str, text: str) -> Arch:
    try:
        name, *overrides = shlex.split(text)
    except ValueError as error:
        raise DataError(f"{column} {text!r}: {error}") from None
    if name.endswith((".yaml", ".yml", ".json")):
        name = str(folder / name)
    elif column == "arch":
        raise DataError(f"arch {text!r} is neither JSON nor a .yaml or .json file (names of models go under `model`)")
    changes: dict[str, Any] = config.read(dict[str, Any], {}, overrides=overrides)
    return get_arch(name, **changes)
