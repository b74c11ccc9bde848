"""Working in a forked child that a test may kill."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable


def in_child(work: Callable[[], object]) -> int:
    """Forks, works in the child, and returns its process number."""
    child = os.fork()
    if child == 0:
        try:
            work()
        except BaseException as error:
            sys.stderr.write(f"{error!r}\n")
            os._exit(1)
        os._exit(0)
    return child


def wait(child: int) -> int:
    """Returns the exit status, or minus the number of the signal that killed the child."""
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
