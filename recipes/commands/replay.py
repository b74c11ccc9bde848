"""`accelzoo replay`: a run made again from its lock."""

from __future__ import annotations

from argparse import ArgumentParser, Namespace
from pathlib import Path

from accelzoo.recipes import output

DIVERGED = 1
EPILOG = """\
examples:
  $ accelzoo replay pets_c search.evaluations=100
  accelzoo: error: override 'search.evaluations=100': a replay changes nothing but
  where data are (allowed: data, pretraining.data)

A packaged release; its search is made again and compared candidate by candidate, in
half a minute, without data:

  accelzoo replay pets_c

The training too, bit for bit where processor and libraries are those of the lock:

  accelzoo replay camera_accel --train data=cifar10:/path/to/cifar10.npz

Exit code: 0 if nothing came out otherwise, 1 if something did; the first candidate that
did is named, with the field, what was recorded and what came out.
"""


def add_arguments(parser: ArgumentParser) -> None:
    """Declares the verb's arguments."""
    parser.add_argument(
        "source", metavar="RECIPE|RELEASE|RUN", help="a recipe that ships with a lock, a release, or a run's folder"
    )
    parser.add_argument("--train", action="store_true", help="repeat the training of what is released, too")
    parser.add_argument(
        "--signal",
        choices=("recorded", "train"),
        default="recorded",
        help="accuracies of a funnel's candidates: from the trace, or trained again (default: recorded)",
    )
    parser.add_argument("--out", metavar="DIR", type=Path, help="where trainings are kept and gone on with")
    parser.add_argument("--workers", metavar="N", default="1", help="processes, as for `accelzoo run` (default: 1)")
    parser.add_argument("--json", action="store_true", help="print JSON")
    parser.add_argument(
        "overrides", metavar="key=value", nargs="*", help="where data are here: data=..., pretraining.data=..."
    )


def run(options: Namespace) -> int:
    """Replays and says what came out; progress goes to standard error."""
    from accelzoo.recipes.replay.again import replay

    found = replay(
        options.source,
        train=options.train,
        train_candidates=options.signal == "train",
        places=options.overrides,
        out=options.out,
        workers=options.workers,
    )
    if options.json:
        output.emit_json(found.to_json())
    else:
        output.emit(found.text())
    return DIVERGED if found.diverged else 0
