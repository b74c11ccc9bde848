"""`accelzoo publish`: a release's folder onto a hub."""

from __future__ import annotations

from argparse import ArgumentParser, Namespace
from pathlib import Path

from accelzoo.recipes import output

HUB_HELP = (
    "a directory, file:///..., hf: (Hugging Face), or https://... (a server of its kind); "
    "default: $ACCELZOO_HUB, else the hub in your data directory"
)
EPILOG = """\
examples:
  $ accelzoo publish tiny-release zoo/tiny-net --tag v1
  hub:zoo/tiny-net@sha256:...

  $ accelzoo publish . zoo/tiny-net
  accelzoo: error: .: a folder that is no release; releases in it: tiny-release

The line printed is the release's reference, for `accelzoo pull`, `accelzoo show` and
`accelzoo.create_model`; of another hub than the default, for `accelzoo pull` with the same --hub.
Hugging Face's token is taken from `hf auth login` or $HF_TOKEN, never from the command line.
"""


def add_arguments(parser: ArgumentParser) -> None:
    """Declares the verb's arguments."""
    parser.add_argument("folder", metavar="FOLDER", help="the release's folder, as `accelzoo run` wrote it")
    parser.add_argument("name", metavar="OWNER/NAME", help="what to publish it as")
    parser.add_argument("--hub", metavar="URL", help=HUB_HELP)
    parser.add_argument("--private", action="store_true", help="hf: and https: create a repository only its owner sees")
    parser.add_argument("--tag", metavar="T", action="append", default=[], help="mark it for ever; may be repeated")
    parser.add_argument(
        "--expect", metavar="DIGEST", help="fail unless this is the name's newest release now ('': unless it has none)"
    )


def run(options: Namespace) -> int:
    """Publishes and prints the reference."""
    from accelzoo.hub import HfHub, open_hub
    from accelzoo.model_card import check_license
    from accelzoo.pretrained import is_release, no_release
    from accelzoo.release import read_release

    if Path(options.folder).is_dir() and not is_release(options.folder):
        raise no_release(options.folder)
    hub = open_hub(options.hub, private=options.private)
    check_license(read_release(options.folder).read_card())
    digest = hub.publish(options.folder, options.name, expect=options.expect, tags=options.tag)
    output.emit(f"{'hf' if isinstance(hub, HfHub) else 'hub'}:{options.name}@{digest}")
    return 0
