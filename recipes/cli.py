"""The command line: finds the verb, reads its arguments, and turns errors into messages and exit codes."""

from __future__ import annotations

import sys
from argparse import ArgumentParser, Namespace, RawDescriptionHelpFormatter
from collections.abc import Sequence

from accelzoo import __version__
from accelzoo._printable import printable
from accelzoo.errors import AccelzooError, suggestion
from accelzoo.recipes.commands import VERBS, Command, load_command
from accelzoo.recipes.output import ClosedOutputError

DONE, BAD_INPUT, INTERRUPTED, CLOSED_OUTPUT = 0, 2, 130, 141

DESCRIPTION = """\
A model zoo for neural accelerators: every architecture has a price before it is built,
every release can be derived again.

verbs:
"""
EPILOG = """\
examples:
  $ accelzoo ls models mobilenetv2_100
  model            family       task                input  params (M)  MACs (M)  weights (KiB)  peak (KiB)  top-1 (%)
  mobilenetv2_100  mobilenetv2  classification  3x224x224        3.50     300.8           3459        1470       71.8

  $ accelzoo cost mobilenetv2_100 --target edge-npu width_multiplier=0.5
  mobilenetv2_100 on edge-npu (batch 1, input 3x224x224), width_multiplier=0.5
  latency           994.5 µs
  energy            692.4 µJ
  MACs              97.13 M       5.0 % of the peak, 1.966 T MACs/s
  weights           1.898 MiB     31.6 % of the budget, 6.000 MiB
  peak activations  735.0 KiB     35.9 % of the budget, 2.000 MiB
  DRAM traffic      0 B

Each verb has its own help: accelzoo VERB --help
"""


def main(argv: Sequence[str] | None = None) -> int:
    """Runs one command.

    Args:
        argv: The arguments after the program's name; those of this process by default.

    Returns:
        0: done. 2: bad input, told on standard error. 130: stopped by Ctrl-C. 141: the reader of a pipe went away.
        Whatever is not the user's fault raises.
    """
    arguments = list(sys.argv[1:] if argv is None else argv)
    try:
        command, options = _parse(arguments)
    except SystemExit as stop:  # argparse: help or version were asked for, or the arguments are wrong
        return stop.code if isinstance(stop.code, int) else DONE
    try:
        return command.run(options)
    except AccelzooError as error:
        _complain("error: " + "\n".join([str(error), *getattr(error, "__notes__", [])]))
        return BAD_INPUT
    except KeyboardInterrupt as interrupt:
        resume = ["the same command with --resume goes on where it was"] if arguments[0] == "run" else []
        _complain("\n".join(["interrupted", *getattr(interrupt, "__notes__", []), *resume]))
        return INTERRUPTED
    except ClosedOutputError:
        return CLOSED_OUTPUT


def _parse(arguments: Sequence[str]) -> tuple[Command, Namespace]:
    if not arguments or arguments[0] not in VERBS:
        _parse_without_verb(arguments)
    verb, *rest = arguments
    command = load_command(verb)
    parser = ArgumentParser(
        prog=f"accelzoo {verb}",
        description=f"{VERBS[verb]}.",
        epilog=command.EPILOG,
        formatter_class=RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    command.add_arguments(parser)
    # Intermixed: `cost NAME --target T key=value` has an option between its positional arguments.
    return command, parser.parse_intermixed_args(rest)


def _parse_without_verb(arguments: Sequence[str]) -> None:
    """Handles `--help`, `--version` and mistakes; always raises SystemExit."""
    width = max(map(len, VERBS))
    parser = ArgumentParser(
        prog="accelzoo",
        usage="accelzoo VERB ...",
        description=DESCRIPTION + "\n".join(f"  {verb:{width}}  {text}" for verb, text in VERBS.items()),
        epilog=EPILOG,
        formatter_class=RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    parser.add_argument("--version", action="version", version=f"accelzoo {__version__}")
    _, rest = parser.parse_known_args(arguments)
    if not rest:
        parser.error(f"no verb given (allowed: {', '.join(VERBS)})")
    parser.error(f"unknown verb {rest[0]!r}{suggestion(rest[0], VERBS)} (allowed: {', '.join(VERBS)})")


def _complain(message: str) -> None:
    print(printable(f"accelzoo: {message}", keep="\n"), file=sys.stderr)


if __name__ == "__main__":
    sys.exit(main())
