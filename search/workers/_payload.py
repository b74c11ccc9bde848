"""A space and a signal as bytes that another process can read."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from accelzoo.errors import ConfigError
from accelzoo.search.space import SearchSpace


def packed(space: SearchSpace, signal: Callable[[Any], float]) -> bytes:
    """Pickles both, with cloudpickle: what a script or a notebook defines travels by value.

    They only ever travel from a search to its own workers; nothing that was pickled is kept or read from a file.

    Raises:
        ConfigError: If one of them cannot be pickled; it names which and why.
    """
    import cloudpickle

    try:
        return bytes(cloudpickle.dumps((space, signal)))
    except Exception:
        faults = [
            f"workers: the {name} ({thing!r:.200}) cannot be sent to another process: {_fault(cloudpickle, thing)}; "
            "open files, locks, generators and connections where they are used, or take one worker"
            for name, thing in (("space", space), ("signal", signal))
            if _fault(cloudpickle, thing)
        ]
        if not faults:
            raise
        raise ConfigError(faults) from None


def _fault(cloudpickle: Any, thing: Any) -> str:
    try:
        cloudpickle.dumps(thing)
    except Exception as error:  # whatever a `__reduce__` raises
        return f"{type(error).__name__}: {error}"
    return ""
