"""One candidate at a time, in this process."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any, Self

from accelzoo.search.space import Genome, SearchSpace
from accelzoo.search.workers._evaluate import MEMORY_ATTEMPTS, evaluated, free_memory, out_of_memory
from accelzoo.search.workers.protocol import Outcome


@dataclass(frozen=True, slots=True)
class Serial:
    """Evaluates in this process, in the order of submission, whenever the search waits."""

    @property
    def count(self) -> int:
        """One."""
        return 1

    def start(self, space: SearchSpace, signal: Callable[[Any], float]) -> SerialPool:
        """Returns a pool; nothing has to start."""
        return SerialPool(space, signal)


class SerialPool:
    """The pool of `Serial`.

    Args:
        space: Decodes genomes.
        signal: Architecture → accuracy.
    """

    def __init__(self, space: SearchSpace, signal: Callable[[Any], float]) -> None:
        self._space = space
        self._signal = signal
        self._queue: deque[tuple[int, Genome]] = deque()

    def submit(self, index: int, genome: Genome) -> None:
        """Takes one more candidate."""
        self._queue.append((index, genome))

    def wait(self) -> tuple[int, Outcome]:
        """Evaluates the candidate that was submitted first.

        Raises:
            RuntimeError: If there is none.
        """
        if not self._queue:
            raise RuntimeError("no candidate was submitted that is not finished")
        index, genome = self._queue.popleft()
        for attempt in range(1, MEMORY_ATTEMPTS + 1):
            outcome = evaluated(self._space, self._signal, genome)
            if outcome is not None:
                return index, outcome if attempt == 1 else replace(outcome, attempts=attempt)
            free_memory()
        return index, out_of_memory()

    def close(self) -> None:
        """Forgets what is unfinished."""
        self._queue.clear()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exception: object) -> None:
        self.close()
