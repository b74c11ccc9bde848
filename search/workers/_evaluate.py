"""Evaluating one candidate, the same way wherever it is done."""

from __future__ import annotations

import gc
import sys
from collections.abc import Callable
from typing import Any

from accelzoo.errors import ConfigError, ShapeError
from accelzoo.search.evaluator import CandidateError
from accelzoo.search.space import Genome, SearchSpace
from accelzoo.search.workers.protocol import Outcome

MEMORY_ATTEMPTS = 2
# How torch says it when a plain `malloc` fails: its own type is for accelerators alone.
_NO_HOST_MEMORY = ("DefaultCPUAllocator: can't allocate memory", "DefaultCPUAllocator: not enough memory")


def evaluated(space: SearchSpace, signal: Callable[[Any], float], genome: Genome) -> Outcome | None:
    """Evaluates one candidate.

    Returns:
        Its outcome, or None if memory ran out: it may be tried once more.

    Raises:
        Exception: Whatever else the signal raises: the next candidate would meet it too.
    """
    refused: tuple[type[Exception], ...] = (ConfigError, ShapeError, CandidateError)
    try:
        arch = space.decode(genome)
        refused = (ShapeError, CandidateError)  # a signal's ConfigError is about all candidates
        return Outcome(accuracy=float(signal(arch)))
    except Exception as error:
        if isinstance(error, refused):
            return Outcome(reason=f"{type(error).__name__}: {error}")
        if is_out_of_memory(error):
            return None
        raise


def is_out_of_memory(error: Exception) -> bool:
    """Says whether an exception is Python's or torch's way to say that memory ran out."""
    torch = sys.modules.get("torch")
    if isinstance(error, MemoryError) or (torch is not None and isinstance(error, torch.OutOfMemoryError)):
        return True
    return isinstance(error, RuntimeError) and any(text in str(error) for text in _NO_HOST_MEMORY)


def free_memory() -> None:
    """Gives back what is no longer used, on the accelerator too."""
    gc.collect()
    torch = sys.modules.get("torch")
    if torch is not None and torch.cuda.is_initialized():
        torch.cuda.empty_cache()


def out_of_memory(attempts: int = MEMORY_ATTEMPTS) -> Outcome:
    """Returns the outcome of a candidate that never fitted.

    Args:
        attempts: How often it was begun in all, also where it was lost for another reason.
    """
    return Outcome(reason=f"out of memory in each of {MEMORY_ATTEMPTS} attempts", attempts=attempts)
