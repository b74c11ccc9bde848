"""The error of a signal that failed in another process."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from accelzoo.errors import AccelzooError


class WorkerError(AccelzooError):
    """What stops a search from inside a worker: the message names it, a note holds the worker's traceback."""


def raised_in_worker(described: Mapping[str, Any], loading: bool) -> WorkerError:
    """Makes the error that a search ends with.

    Args:
        described: `type`, `text` and `traceback` of what was raised, and `bad_input`: whether it is an `AccelzooError`,
            which says all there is to say without a traceback.
        loading: Whether it was raised while space and signal were loaded.
    """
    what = "loading the space and the signal raised" if loading else "the signal raised"
    error = WorkerError(f"{what}, in a worker: {described['type']}: {described['text']}")
    if not described["bad_input"]:
        error.add_note(f"the worker's traceback:\n{described['traceback'].rstrip()}")
    return error
