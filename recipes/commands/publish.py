"""`accelzoo publish`: a release's folder onto a hub."""

from __future__ import annotations

from argparse import ArgumentParser, Namespace

from accelzoo.recipes import output

HUB_HELP = "a directory or file:///...; default: $ACCELZOO_HUB, else the hub in your data directory"
EPILOG = """\
examples:
  $ accelzoo publish tiny-release zoo/tiny-net --tag v1
  hub:zoo/tiny-net@sha256:...

The line printed is the release's reference, for `accelzoo pull`, `accelzoo show` and
`accelzoo.create_model`.
"""


def add_arguments(parser: ArgumentParser) -> None:
    """Declares the verb's arguments."""
    parser.add_argument("folder", metavar="FOLDER", help="the release's folder, as `accelzoo run` wrote it")
    parser.add_argument("name", metavar="OWNER/NAME", help="what to publish it as")
    parser.add_argument("--hub", metavar="URL", help=HUB_HELP)
    parser.add_argument("--tag", metavar="T", action="append", default=[], help="mark it for ever; may be repeated")
    parser.add_argument(
        "--expect", metavar="DIGEST", help="fail unless this is the name's newest release now ('': unless it has none)"
    )


def run(options: Namespace) -> int:
    """Publishes and prints the reference."""
    from accelzoo.hub import open_hub

    digest = open_hub(options.hub).publish(options.folder, options.name, expect=options.expect, tags=options.tag)
    output.emit(f"hub:{options.name}@{digest}")
    return 0
