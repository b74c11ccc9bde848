"""`accelzoo journal`: a run's candidates as a study of Optuna, for its dashboard."""

from __future__ import annotations

from argparse import ArgumentParser, Namespace
from pathlib import Path

from accelzoo.recipes import output

EPILOG = """\
examples:
  $ accelzoo journal missing --out study.log
  accelzoo: error: missing: there is no such folder; give the one that `accelzoo run` or `search.run` writes

From a run, finished or not, to Optuna's dashboard (pip install 'accelzoo[optuna]' optuna-dashboard):

  accelzoo journal runs/example --out study.log
  optuna-dashboard study.log

Complete trials have a score; pruned ones were over budget, which costs no evaluation; failed ones say why in their user
attributes, where costs and digests are, too. Nothing is written over.
"""


def add_arguments(parser: ArgumentParser) -> None:
    """Declares the verb's arguments."""
    parser.add_argument("folder", metavar="RUN", type=Path, help="a run's folder, while it is written or afterwards")
    parser.add_argument("-o", "--out", metavar="FILE", type=Path, required=True, help="the journal; a new file")
    parser.add_argument(
        "--space", metavar="S", help="the space's name or file, if it was neither a recipe's nor one of accelzoo's"
    )


def run(options: Namespace) -> int:
    """Writes the journal and says what is in it."""
    from accelzoo.recipes.run_view import find_run, read_run
    from accelzoo.registry import get_space
    from accelzoo.search.optuna_journal import export_journal

    study = find_run(options.folder).folder.absolute().name
    view, _ = read_run(options.folder)
    space = view.space if options.space is None else get_space(options.space)
    count = export_journal(view.place.trace, options.out, space, study)
    if space is None:
        output.warn(f"{view.note}; --space names it")
    output.emit(f"wrote {options.out}: study {study!r}, {count:,} trials")
    return 0
