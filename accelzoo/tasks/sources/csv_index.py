"""A CSV index of image files with a label, and optionally a split and a group column."""

from __future__ import annotations

import csv
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from accelzoo.errors import DataError, suggestion
from accelzoo.tasks.raw import RawData, RawSplit
from accelzoo.tasks.splitting import SPLIT_NAMES

NAME = "csv"
SUMMARY = "a CSV of file, label [, split] [, group]; columns by name: index.csv?label=person&group=scene"
OPTIONS: tuple[str, ...] = ("file", "label", "split", "group")
# Groups keep near-duplicates (frames of one scene, photographs of one subject) on one side of a drawn split.
_KNOWN = {
    "file": ("file", "path", "filename", "file_name", "filepath", "image", "image_path"),
    "split": ("split", "subset", "partition", "fold"),
    "group": ("group", "scene", "subject", "speaker", "patient", "sequence"),
    "label": ("label", "class", "class_name", "category", "target"),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class _Columns:
    file: str
    label: str
    split: str | None
    group: str | None


def detect(path: Path) -> bool:
    """Says whether `path` ends in .csv, or is a folder with an index.csv."""
    return (path.suffix == ".csv" and path.is_file()) or (path / "index.csv").is_file()


def read(path: Path | None, options: Mapping[str, str]) -> RawData:
    """Reads the rows of the index; file names are relative to the index's folder."""
    if path is None:
        raise DataError("csv: needs a path: csv:/folder/index.csv")
    index = path / "index.csv" if path.is_dir() else path
    header, rows = _read_rows(index)
    columns = _choose_columns(index, header, options)
    _check_rows(index, rows, columns)
    class_names = _sorted_names({row[columns.label] for row in rows})
    if len(class_names) < 2:
        raise DataError(f"{index}: column {columns.label!r} has only the value {class_names[0]!r}; need two classes")
    splits: dict[str, list[dict[str, str]]] = {}
    for number, row in enumerate(rows, start=2):
        splits.setdefault(_split_of(index, number, row, columns), []).append(row)
    if "train" not in splits:
        raise DataError(f"{index}: column {columns.split!r} has no row for train")
    made = {name: _split(index, part, columns, class_names) for name, part in splits.items()}
    return RawData(
        train=made["train"], validation=made.get("validation"), test=made.get("test"), class_names=class_names
    )


def _read_rows(index: Path) -> tuple[list[str], list[dict[str, str]]]:
    try:
        with index.open(newline="", encoding="utf-8-sig") as stream:
            reader = csv.DictReader(stream, restkey="", restval=None, strict=True)
            rows = list(reader)
            header = list(reader.fieldnames or ())
    except FileNotFoundError as error:
        raise DataError(f"{index}: no such file") from error
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise DataError(f"{index}: not a readable CSV file ({error})") from error
    if not rows:
        raise DataError(f"{index}: has no rows")
    for number, row in enumerate(rows, start=2):
        if "" in row or None in row.values():
            raise DataError(f"{index}:{number}: expected {len(header)} fields ({', '.join(header)})")
    return header, rows


def _choose_columns(index: Path, header: Sequence[str], options: Mapping[str, str]) -> _Columns:
    for role, name in options.items():
        if name not in header:
            raise DataError(
                f"{index}: no column {name!r} (asked for as {role}){suggestion(name, header)}; columns: "
                f"{', '.join(header)}"
            )
    chosen: dict[str, str | None] = {}
    for role, known in _KNOWN.items():
        free = [name for name in header if name not in chosen.values() and name not in options.values()]
        chosen[role] = options.get(role) or next((name for name in free if name.lower() in known), None)
    rest = [name for name in header if name not in chosen.values()]
    if chosen["label"] is None and len(rest) == 1:
        chosen["label"] = rest[0]
    file, label = chosen["file"], chosen["label"]
    if file is None or label is None:
        missing = [role for role in ("file", "label") if chosen[role] is None]
        raise DataError(
            f"{index}: cannot tell which column is the {' and the '.join(missing)}; columns: {', '.join(header)}. "
            f"Say it: {index.name}?{'&'.join(f'{role}=COLUMN' for role in missing)}"
        )
    return _Columns(file=file, label=label, split=chosen["split"], group=chosen["group"])


def _check_rows(index: Path, rows: Sequence[Mapping[str, str]], columns: _Columns) -> None:
    seen: dict[str, int] = {}
    for number, row in enumerate(rows, start=2):
        if not row[columns.label] or not row[columns.file]:
            raise DataError(f"{index}:{number}: empty {columns.file if not row[columns.file] else columns.label}")
        key = str(Path(row[columns.file]))
        if key in seen:
            raise DataError(f"{index}:{number}: {key} is listed already in line {seen[key]}")
        seen[key] = number


def _split_of(index: Path, number: int, row: Mapping[str, str], columns: _Columns) -> str:
    if columns.split is None:
        return "train"
    value = row[columns.split].strip().lower()
    if value not in SPLIT_NAMES:
        raise DataError(
            f"{index}:{number}: unknown {columns.split} {row[columns.split]!r}; allowed: {', '.join(SPLIT_NAMES)}"
        )
    return SPLIT_NAMES[value]


def _split(index: Path, rows: Sequence[Mapping[str, str]], columns: _Columns, names: tuple[str, ...]) -> RawSplit:
    return RawSplit(
        images=[index.parent / row[columns.file] for row in rows],
        labels=np.asarray([names.index(row[columns.label]) for row in rows], dtype=np.int64),
        groups=None if columns.group is None else [row[columns.group] for row in rows],
    )


def _sorted_names(values: set[str]) -> tuple[str, ...]:
    if all(value.lstrip("-").isdecimal() for value in values):
        return tuple(sorted(values, key=int))
    return tuple(sorted(values))
