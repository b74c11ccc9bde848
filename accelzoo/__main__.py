"""`python -m accelzoo`: the command line."""

import sys

from accelzoo.recipes.cli import main

if __name__ == "__main__":
    sys.exit(main())
