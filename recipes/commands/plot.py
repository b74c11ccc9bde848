"""`accelzoo plot`: pictures of a run."""

from __future__ import annotations

from argparse import ArgumentParser, Namespace
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from accelzoo.errors import AccelzooError
from accelzoo.recipes import output

if TYPE_CHECKING:
    from accelzoo.recipes.run_plot import Knobs
    from accelzoo.recipes.run_view import RunView
    from accelzoo.search.importance import Importance
    from accelzoo.search.record import Record

EPILOG = """\
examples:
  $ accelzoo plot runs/example -o pictures
  wrote pictures/pareto.png
  wrote pictures/progress.png
  wrote pictures/knobs.png

pareto: accuracy over each cost that counts, with the candidates over budget and the baseline's price. progress: the
front's hypervolume, or without costs the best score. knobs: the share of accuracy's and of the first cost's variance
over the space that each knob explains alone (functional analysis of variance), from 30 candidates on.
A FILE.png or FILE.svg instead of a folder holds all of them. The pictures need the extra plot:
pip install 'accelzoo[plot]'.
"""
SUFFIXES = (".png", ".svg")


def add_arguments(parser: ArgumentParser) -> None:
    """Declares the verb's arguments."""
    parser.add_argument("folder", metavar="RUN", type=Path, help="a run's folder, while it is written or afterwards")
    parser.add_argument(
        "-o", "--out", metavar="DIR|FILE", type=Path, required=True, help="a folder, or one .png or .svg for all"
    )
    parser.add_argument(
        "--minimise", metavar="COST", action="append", default=[], help="a cost that counts, such as latency_s; several"
    )


def run(options: Namespace) -> int:
    """Draws and says what was written."""
    from accelzoo.recipes import validation_plot
    from accelzoo.recipes.run_front import Front, cost_fields
    from accelzoo.recipes.run_plot import Picture
    from accelzoo.recipes.run_view import read_run

    one = options.out.suffix in SUFFIXES
    names = [options.out] if one else [options.out / name for name in ("pareto.png", "progress.png", "knobs.png")]
    for path in names:
        if path.exists():
            raise AccelzooError(f"{path}: exists already; give another name, or move it away")
    if options.out.suffix and not one:
        raise AccelzooError(f"{options.out}: the name must end in {' or '.join(SUFFIXES)}, or be a folder's")
    validation_plot.require()
    view, records = read_run(options.folder)
    fields = cost_fields(view.header, options.minimise)
    if not any(record.status == "ok" for record in records):
        raise AccelzooError(f"{view.place.folder}: nothing to draw: no candidate has an accuracy yet")
    front = None
    if view.header["target"] is not None:
        front = Front(fields, view.header)
        front.update(records)
    picture = Picture(view, records, front, _knobs(view, records, fields[0] if front else None))
    if not one:
        options.out.mkdir(parents=True, exist_ok=True)
    for path in picture.draw_one(options.out) if one else picture.draw(options.out):
        output.emit(f"wrote {path}")
    return 0


def _knobs(view: RunView, records: Sequence[Record], field: str | None) -> list[Knobs]:
    """What decides accuracy, and a cost if there are any."""
    from accelzoo.recipes.run_plot import Knobs
    from accelzoo.recipes.run_view import cost_label

    # Architectures that came up again under another genome count: they say that the difference does not matter.
    accuracies = {record.genome: record.accuracy for record in records if record.accuracy is not None}
    panels = [Knobs("accuracy", _shares(view, accuracies))]
    if field is not None:
        costs = {record.genome: float(getattr(record.cost, field)) for record in records if record.cost is not None}
        panels.append(Knobs(cost_label(field), _shares(view, costs)))
    return panels


def _shares(view: RunView, values: dict[tuple[int, ...], float]) -> Importance | str:
    from accelzoo.search.importance import TooFewError, importance

    try:
        return importance([*values], [*values.values()], view.header["sizes"])
    except TooFewError as error:
        return str(error)
