"""`python -m accelzoo.timm SCRIPT …`: runs a script of timm's with accelzoo's networks registered."""

from __future__ import annotations

import runpy
import sys
from argparse import REMAINDER, ArgumentParser, RawDescriptionHelpFormatter
from collections.abc import Sequence
from pathlib import Path

from accelzoo.errors import AccelzooError

DONE, BAD_INPUT = 0, 2

EPILOG = """\
examples, in a checkout of timm (its scripts are not part of the installed package):
  python -m accelzoo.timm train --data-dir DATA --model accelzoo_mobilenetv2_100 --num-classes 10
  python -m accelzoo.timm validate --data-dir DATA --model accelzoo_mobilenetv2_100 --checkpoint model_best.pth.tar
  torchrun --nproc-per-node 4 -m accelzoo.timm train --data-dir DATA --model accelzoo_mobilenetv2_100

timm's train.py can also be told itself: python train.py --device-modules accelzoo.timm --model accelzoo_...
"""


def main(argv: Sequence[str] | None = None) -> int:
    """Runs one script.

    Args:
        argv: The arguments after the program's name; those of this process by default.

    Returns:
        0: done. 2: bad input, told on standard error. The script's own errors and exits pass through.
    """
    parser = ArgumentParser(
        prog="python -m accelzoo.timm",
        description="Runs a Python script with accelzoo's networks registered in timm.",
        epilog=EPILOG,
        formatter_class=RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    parser.add_argument("script", help="path of a script; NAME stands for ./NAME.py: train, validate, benchmark ...")
    parser.add_argument("arguments", nargs=REMAINDER, help="what the script gets")
    options = parser.parse_args(argv)
    try:
        path = find_script(options.script)
        import accelzoo.timm  # noqa: F401 (registers the networks)
    except AccelzooError as error:
        print(f"accelzoo: error: {error}", file=sys.stderr)
        return BAD_INPUT
    # As `python SCRIPT` does: the script sees its own name and finds its neighbours.
    sys.argv = [str(path), *options.arguments]
    sys.path[0] = str(path.parent)
    runpy.run_path(str(path), run_name="__main__")
    return DONE


def find_script(name: str) -> Path:
    """Returns the file that `name` stands for.

    Raises:
        AccelzooError: If there is none; the message says where timm's scripts are.
    """
    path = Path(name if name.endswith(".py") else f"{name}.py")
    if not path.is_file():
        raise AccelzooError(
            f"no script {str(path)!r} in {Path.cwd()}; timm's train.py and validate.py are in its checkout "
            "(https://github.com/huggingface/pytorch-image-models), not in the installed package"
        )
    return path.absolute()


if __name__ == "__main__":
    sys.exit(main())
