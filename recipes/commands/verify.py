"""`accelzoo verify`: a release checked without trusting who made it."""

from __future__ import annotations

from argparse import ArgumentParser, Namespace

from accelzoo._printable import printable
from accelzoo.recipes import output

EPILOG = """\
examples:
  $ accelzoo verify camera_accel
  ok       checksums                6 files, sha256:...
  ok       lock                     schema ..., of camera_classification
  ok       trace                    ... lines whose chain holds; sha256 as in the lock
  ...
  ok       price                    ... ms on camera-npu: computed anew, as in config and lock
  ...

Every check is a line: ok, FAILED with the file at fault, or skipped with the reason. The exit code is 0 only if every
check that could be made passed, and 1 otherwise.
"""
FAILED = 1


def add_arguments(parser: ArgumentParser) -> None:
    """Declares the verb's arguments."""
    parser.add_argument(
        "release",
        metavar="RELEASE",
        help="a folder, a packaged release, hub:OWNER/NAME or hf:OWNER/NAME, each with or without @sha256:DIGEST",
    )
    parser.add_argument(
        "--data", metavar="SOURCE", help="where the recipe's data are, to score the weights (default: where it says)"
    )
    parser.add_argument("--json", action="store_true", help="print JSON")


def run(options: Namespace) -> int:
    """Checks, and prints a line for each check."""
    from accelzoo.recipes.verify import verify_release

    found = verify_release(options.release, options.data)
    if options.json:
        output.emit_json(found.to_json())
    else:
        width = max(len(check.name) for check in found.checks)
        for check in found.checks:
            output.emit(f"{check.status:7}  {check.name:{width}}  {printable(check.said)}")
    return 0 if found.passed else FAILED
