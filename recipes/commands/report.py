"""`accelzoo report`: one page about a run or a release."""

from __future__ import annotations

from argparse import ArgumentParser, Namespace
from pathlib import Path

from accelzoo.errors import AccelzooError
from accelzoo.recipes import output

EPILOG = """\
examples:
  $ accelzoo report cells_v1 -o cells_v1.html
  wrote cells_v1.html

One HTML file that needs nothing else, not even a network: what was searched and for which target, baseline against
winner, Pareto front (point at a network to see its architecture), progress, latency per block, predicted against
compiled, training curves, example predictions, environment and lock. What a run or a release does not hold is named
with the reason. `accelzoo plot` draws the same charts as PNG or SVG.
--curated FILE adds what `accelzoo curate SPACE --target T --json` printed: the landscape before and after.
It needs the extra plot: pip install 'accelzoo[plot]'.
"""


def add_arguments(parser: ArgumentParser) -> None:
    """Declares the verb's arguments."""
    parser.add_argument(
        "name", metavar="RUN|RELEASE", help="the folder of a run, finished or not; a release's folder or its name"
    )
    parser.add_argument("-o", "--out", metavar="FILE", type=Path, required=True, help="the .html to write")
    parser.add_argument("--force", action="store_true", help="overwrite FILE")
    parser.add_argument("--curated", metavar="FILE", type=Path, help="what `accelzoo curate --json` printed")
    parser.add_argument(
        "--minimise", metavar="COST", action="append", default=[], help="a cost that counts, such as latency_s; several"
    )


def run(options: Namespace) -> int:
    """Writes the page."""
    from accelzoo._files import replace_file
    from accelzoo.recipes.page.altair_parts import require
    from accelzoo.recipes.page.material import read_material
    from accelzoo.recipes.page.page import make_page

    path = options.out
    if path.suffix not in (".html", ".htm"):
        raise AccelzooError(f"{path}: the name must end in .html")
    if path.exists() and not options.force:
        raise AccelzooError(f"{path}: exists already; give another name, or say --force")
    require()
    page = make_page(read_material(options.name, options.minimise), options.curated)
    try:
        replace_file(path, page.encode(), staging=path.parent)
    except OSError as error:
        raise AccelzooError(f"{path}: cannot be written: {error.strerror}") from None
    output.emit(f"wrote {path}")
    return 0
