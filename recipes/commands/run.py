"""`accelzoo run`: a recipe from search to release."""

from __future__ import annotations

from argparse import ArgumentParser, Namespace
from pathlib import Path

from accelzoo.recipes import output

EPILOG = """\
examples:
  $ accelzoo run camera_classification search.evaluation=100
  accelzoo: error: override 'search.evaluation=100': search.evaluation: unknown
  key 'evaluation' (allowed: evaluations, ...); did you mean 'evaluations'?

Minutes on two CPU cores, then the table of baseline and winner, and the release's folder:

  accelzoo run camera_classification --profile smoke
"""


def add_arguments(parser: ArgumentParser) -> None:
    """Declares the verb's arguments."""
    parser.add_argument("recipe", metavar="RECIPE", help="a recipe (see `accelzoo ls recipes`), or a .yaml file")
    parser.add_argument("--profile", metavar="P", help="one of the recipe's profiles (default: its first)")
    parser.add_argument("--out", metavar="DIR", type=Path, help="the run's folder (default: runs/RECIPE-PROFILE)")
    group = parser.add_mutually_exclusive_group()
    group.add_argument("--resume", action="store_true", help="go on with the run in that folder")
    group.add_argument("--force", action="store_true", help="throw away the run in that folder")
    parser.add_argument(
        "--workers",
        metavar="N",
        default="1",
        help="processes that train candidates, or a Ray cluster: ray, ray://HOST:PORT?workers=16 (default: 1)",
    )
    parser.add_argument("--json", action="store_true", help="print JSON, with the unit in each field's name")
    parser.add_argument("overrides", metavar="key=value", nargs="*", help="changes, such as search.evaluations=100")


def run(options: Namespace) -> int:
    """Runs it; progress goes to standard error."""
    from accelzoo.recipes.pipeline import run_recipe

    outcome = run_recipe(
        options.recipe,
        profile=options.profile,
        overrides=options.overrides,
        out=options.out,
        resume=options.resume,
        force=options.force,
        workers=options.workers,
        progress=None,
    )
    if options.json:
        output.emit_json(outcome.to_json())
    else:
        output.emit(f"{outcome.table.rstrip()}\n\nrun      {outcome.folder}\nrelease  {outcome.release}")
    return 0
