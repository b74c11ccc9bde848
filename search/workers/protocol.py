"""What a search asks of whatever evaluates its candidates."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Protocol, Self

from accelzoo.search.space import Genome, SearchSpace


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """What became of one candidate.

    Attributes:
        accuracy: What the signal returned, also if it is NaN or infinite; None if it returned nothing.
        reason: Why there is none: the same sentence in every run, since it goes into the trace.
        attempts: How often it was begun; more than once if it ran out of memory or its worker was lost.
    """

    accuracy: float | None = None
    reason: str | None = None
    attempts: int = 1


class Pool(Protocol):
    """Workers at work on one space and signal; leaving it as a context manager leaves no process behind."""

    def submit(self, index: int, genome: Genome) -> None:
        """Takes one more candidate and returns at once.

        Args:
            index: Names the candidate; `wait` returns it.
            genome: What to decode and give to the signal.
        """

    def wait(self) -> tuple[int, Outcome]:
        """Returns the index and the outcome of the next candidate that is finished, whichever it is.

        Raises:
            Exception: What the signal raised that is not about one candidate (in this process), or a `WorkerError`
                that names it (from another).
            RuntimeError: If nothing is left to wait for.
        """

    def close(self) -> None:
        """Stops everything at once; what is unfinished is lost."""

    def __enter__(self) -> Self: ...

    def __exit__(self, *exception: object) -> None: ...


class Workers(Protocol):
    """A way to evaluate candidates."""

    @property
    def count(self) -> int:
        """How many are evaluated at once."""

    def start(self, space: SearchSpace, signal: Callable[[Any], float]) -> Pool:
        """Returns a pool that evaluates `signal(space.decode(genome))`.

        Raises:
            ConfigError: If space or signal cannot be sent where they are needed.
        """
