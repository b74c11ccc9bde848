"""`accelzoo front`: the candidates of a run that no other beats."""

from __future__ import annotations

import json
import shutil
import sys
from argparse import ArgumentParser, Namespace
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from accelzoo.errors import AccelzooError, DataError
from accelzoo.recipes import output

if TYPE_CHECKING:
    from accelzoo.recipes.run_view import RunView
    from accelzoo.search.record import Record

EPILOG = """\
examples:
  $ accelzoo front runs/example --minimise latency_s
  candidate            accuracy   latency
  baseline camera_ibn            463.5 µs
  5                     96.46 %  349.3 µs
  15                    95.47 %  322.8 µs
  12                    95.29 %  233.8 µs
  62                    94.88 %  196.8 µs
  53                    93.31 %  193.9 µs
  108                   93.00 %  167.6 µs

  knobs that differ                    5           15           12           62         53          108
  input_size                     3x24x24      3x24x24      3x24x24      3x24x24    3x16x16      3x24x24
  stem.out_channels                    8            8           32            8         32           32
  stages[0].kind             conv_bn_act          ibn    fused_ibn          ibn        ibn          ibn
  ...

  $ accelzoo front runs/example -o front.csv
  wrote front.csv: 19 of 125 candidates

The front of a run that is still going on is that of its candidates so far. Without --minimise, the costs that count are
those that the search minimised, or else its objective's and the budgeted ones. The baseline's accuracy is left empty:
nobody has given it the training that candidates get.
CSV and JSON hold all costs, with the unit in each name; of the knobs those that differ (CSV) or all (JSON).
"""
MOST_SHOWN = 12  # members whose knobs are laid out for readers
PIPE_WIDTH = 120


def add_arguments(parser: ArgumentParser) -> None:
    """Declares the verb's arguments."""
    parser.add_argument("folder", metavar="RUN", type=Path, help="a run's folder, while it is written or afterwards")
    parser.add_argument(
        "--minimise", metavar="COST", action="append", default=[], help="a cost that counts, such as latency_s; several"
    )
    written = parser.add_mutually_exclusive_group()
    written.add_argument("--csv", action="store_true", help="print CSV (RFC 4180), with the unit in each column's name")
    written.add_argument("--json", action="store_true", help="print JSON, with the unit in each field's name")
    parser.add_argument("-o", "--out", metavar="FILE", type=Path, help="a .csv or .json file to write: a new one")


def run(options: Namespace) -> int:
    """Prints or writes the front."""
    from accelzoo.recipes.run_front import Front, cost_fields
    from accelzoo.recipes.run_view import read_run

    form = _form(options)
    view, records = read_run(options.folder)
    fields = cost_fields(view.header, options.minimise)
    if view.header["target"] is None:
        raise DataError(f"{view.place.folder}: a search without costs has no front; `accelzoo watch` shows its best")
    front = Front(fields, view.header)
    front.update(records)
    if options.out is not None:
        _write(options.out, form, view, fields, front.members)
        output.emit(f"wrote {options.out}: {len(front.members)} of {len(records):,} candidates")
    elif form == "csv":
        output.emit_csv(_entries(view, front.members))
    elif form == "json":
        output.emit_json(_data(view, fields, front.members))
    else:
        output.emit(_text(view, fields, front.members, len(records)))
    return 0


def _form(options: Namespace) -> str | None:
    """What to write: csv, json, or a text for readers.

    Raises:
        AccelzooError: If the file's name says something else, or there is such a file.
    """
    asked = "csv" if options.csv else "json" if options.json else None
    if options.out is None:
        return asked
    if options.out.exists():
        raise AccelzooError(f"{options.out}: exists already; give another name, or move it away")
    suffix = options.out.suffix.removeprefix(".").lower()
    if asked is None and suffix not in ("csv", "json"):
        raise AccelzooError(f"{options.out}: the name must end in .csv or .json, or say --csv or --json")
    return asked or suffix


def _write(path: Path, form: str | None, view: RunView, fields: Sequence[str], members: Sequence[Record]) -> None:
    """Writes a file that is not there yet.

    Raises:
        AccelzooError: If it is there by now, or cannot be written.
    """
    text = output.csv_text(_entries(view, members)) if form == "csv" else f"{_json(_data(view, fields, members))}\n"
    try:
        with path.open("xb") as stream:
            stream.write(text.encode())
    except OSError as error:
        raise AccelzooError(f"{path}: cannot be written: {error.strerror}") from None


def _json(value: Any) -> str:
    return json.dumps(value, indent=2, ensure_ascii=False, allow_nan=False)


def _data(view: RunView, fields: Sequence[str], members: Sequence[Record]) -> dict[str, Any]:
    """The front as plain data."""
    from accelzoo.recipes.run_snapshot import candidate_json

    baseline = view.baseline
    return {
        "minimised": list(fields),
        "baseline": None if baseline is None else {"name": baseline.name, "cost": asdict(baseline.cost)},
        "front": [candidate_json(record, view) for record in members],
        "note": view.note,
    }


def _entries(view: RunView, members: Sequence[Record]) -> list[dict[str, Any]]:
    """The front as equal rows, the baseline first: all costs, and the knobs that differ or the genome."""
    from accelzoo import config

    knobs = _differing(view, members)
    entries = []
    if view.baseline is not None:
        empty = dict.fromkeys(knobs, "") if knobs is not None else {"genome": ""}
        figures = {"accuracy": "", "score": "", **asdict(view.baseline.cost)}
        entries.append({"candidate": f"baseline {view.baseline.name}", **figures, **empty})
    for place, record in enumerate(members):
        own: dict[str, Any] = {"genome": " ".join(map(str, record.genome))}
        if knobs is not None:
            own = {name: config.to_config(values[place]) for name, values in knobs.items()}
        figures = {"accuracy": record.accuracy, "score": record.score, **_costs(record)}
        entries.append({"candidate": record.index, **figures, **own})
    return entries


def _text(view: RunView, fields: Sequence[str], members: Sequence[Record], count: int) -> str:
    """The front for readers: a table of prices, and one of the knobs that differ."""
    from accelzoo.recipes.run_view import cost_label, cost_text

    if not members:
        return f"no candidate has an accuracy yet ({count:,} candidates)"
    knobs = _differing(view, members)
    rows = []
    for record in members:
        prices = [cost_text(name, _costs(record)[name]) for name in fields]
        rows.append([str(record.index), view.accuracy(record.accuracy or 0.0), *prices])
    if view.baseline is not None:
        prices = [cost_text(name, getattr(view.baseline.cost, name)) for name in fields]
        rows.insert(0, [f"baseline {view.baseline.name}", "", *prices])
    parts = [output.table(["candidate", ">accuracy", *(f">{cost_label(name)}" for name in fields)], rows)]
    if knobs is None:
        genomes = [[str(record.index), " ".join(map(str, record.genome))] for record in members]
        parts.append(output.table(["candidate", "genome"], genomes))
    elif len(members) > MOST_SHOWN:
        parts.append(f"The knobs of more than {MOST_SHOWN} candidates are in --csv and --json.")
    elif knobs:
        parts += _knob_tables(knobs, members)
    if view.note:
        parts.append(view.note)
    return "\n\n".join(parts)


def _knob_tables(knobs: dict[str, list[Any]], members: Sequence[Record]) -> list[str]:
    """A row for each knob that differs and a column for each candidate, in as many tables as the width needs."""
    from accelzoo.recipes.run_view import knob_text

    title = "knobs that differ"
    cells = [["" if value is None else knob_text(value) for value in values] for values in knobs.values()]
    columns = [[str(record.index), *column] for record, column in zip(members, zip(*cells, strict=True), strict=True)]
    widths = [2 + max(map(len, column)) for column in columns]
    room = (shutil.get_terminal_size().columns if sys.stdout.isatty() else PIPE_WIDTH) - max(map(len, [title, *knobs]))
    tables, start = [], 0
    while start < len(columns):
        end = start + 1
        while end < len(columns) and sum(widths[start : end + 1]) <= room:
            end += 1
        headings, *rows = zip(*columns[start:end], strict=True)
        named = [[name, *row] for name, row in zip(knobs, rows, strict=True)]
        tables.append(output.table([title, *(f">{index}" for index in headings)], named))
        start = end
    return tables


def _differing(view: RunView, members: Sequence[Record]) -> dict[str, list[Any]] | None:
    """Values of the knobs that are not the same in all members, None where inactive; None if the space is not known."""
    if view.space is None:
        return None
    settings = [view.space.values(record.genome) for record in members]
    found = {name: [knobs.get(name) for knobs in settings] for name in view.knob_names}
    return {name: values for name, values in found.items() if any(value != values[0] for value in values)}


def _costs(record: Record) -> dict[str, float]:
    return {} if record.cost is None else asdict(record.cost)
