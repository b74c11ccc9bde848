"""`accelzoo plot`: the charts of a run or a release as pictures."""

from __future__ import annotations

from argparse import ArgumentParser, Namespace
from pathlib import Path

from accelzoo.errors import AccelzooError
from accelzoo.recipes import output

EPILOG = """\
examples:
  $ accelzoo plot runs/example -o pictures
  wrote pictures/pareto.png
  wrote pictures/progress.png
  wrote pictures/knobs.png
  no networks: The run is not finished.
  no blocks: The run is not finished: its networks are not chosen yet.
  no predicted: The run is not finished.
  no curves: The run's folder has no history of a training.

The charts of `accelzoo report`. networks: latency against test score of all that were trained. pareto: accuracy over
each cost that counts, with the candidates over budget and the baseline's price. progress: the front's hypervolume,
and the best candidate so far beside what the same candidates would have given in random order. knobs, which the page
leaves out: the share of accuracy's and of the first cost's variance over the space that each knob explains alone
(functional analysis of variance), from 30 candidates on. blocks: latency per block. predicted: estimates against
compiled or measured latencies. curves: loss and score over the epochs. A product run has pareto, progress and knobs
for each search.
What cannot be drawn is named with the reason. A FILE.png or FILE.svg instead of a folder holds all of them.
The pictures need the extra plot: pip install 'accelzoo[plot]'.
"""


def add_arguments(parser: ArgumentParser) -> None:
    """Declares the verb's arguments."""
    parser.add_argument(
        "name", metavar="RUN|RELEASE", help="the folder of a run, finished or not; a release's folder or its name"
    )
    parser.add_argument(
        "-o", "--out", metavar="DIR|FILE", type=Path, required=True, help="a folder, or one .png or .svg for all"
    )
    parser.add_argument("--svg", action="store_true", help="write .svg into the folder, not .png")
    parser.add_argument(
        "--minimise", metavar="COST", action="append", default=[], help="a cost that counts, such as latency_s; several"
    )


def run(options: Namespace) -> int:
    """Draws and says what was written."""
    from accelzoo.recipes.page.altair_parts import require
    from accelzoo.recipes.page.drawing import SUFFIXES, draw_figures
    from accelzoo.recipes.page.figure import Absent, Figure
    from accelzoo.recipes.page.figures import all_figures
    from accelzoo.recipes.page.material import read_material

    out: Path = options.out
    one = out.suffix in SUFFIXES
    if out.suffix and not one:
        raise AccelzooError(f"{out}: the name must end in {' or '.join(SUFFIXES)}, or be a folder's")
    if one:
        _check_free(out)
    require()
    found = all_figures(read_material(options.name, options.minimise))
    drawn = [figure for figure in found if isinstance(figure, Figure)]
    if not drawn:
        reasons = "; ".join(figure.reason for figure in found if isinstance(figure, Absent))
        raise AccelzooError(f"{options.name}: nothing to draw: {reasons}")
    files = {out: drawn} if one else {out / f"{each.name}{'.svg' if options.svg else '.png'}": [each] for each in drawn}
    for path in files:
        _check_free(path)
    if not one:
        out.mkdir(parents=True, exist_ok=True)
    for path, figures in files.items():
        draw_figures(figures, path)
        output.emit(f"wrote {path}")
    for figure in found:
        if isinstance(figure, Absent):
            output.emit(f"no {figure.name}: {figure.reason}")
    return 0


def _check_free(path: Path) -> None:
    if path.exists():
        raise AccelzooError(f"{path}: exists already; give another name, or move it away")
