"""`accelzoo pull`: a release from a hub, verified."""

from __future__ import annotations

from argparse import ArgumentParser, Namespace
from pathlib import Path

from accelzoo.recipes import output
from accelzoo.recipes.commands.publish import HUB_HELP

EPILOG = """\
examples:
  $ accelzoo pull hub:zoo/tiny-net@v1 --into tiny
  tiny

The line printed is the release's folder. A bare OWNER/NAME is looked for on the local hub, then on Hugging Face.
"""


def add_arguments(parser: ArgumentParser) -> None:
    """Declares the verb's arguments."""
    parser.add_argument(
        "reference",
        metavar="REF",
        help="hub:OWNER/NAME, hf:OWNER/NAME (Hugging Face) or OWNER/NAME, each with or without @REVISION: a tag, or a "
        "digest or its first digits",
    )
    parser.add_argument("--into", metavar="DIR", type=Path, help="where to (default: the cache of pulled releases)")
    parser.add_argument("--hub", metavar="URL", help=HUB_HELP)
    parser.add_argument("--force", action="store_true", help="replace another release in DIR")


def run(options: Namespace) -> int:
    """Pulls and prints the folder."""
    from accelzoo.hubs.finding import pull_release

    output.emit(str(pull_release(options.reference, hub=options.hub, into=options.into, force=options.force)))
    return 0
