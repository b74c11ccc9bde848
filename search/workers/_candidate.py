"""A candidate on its way through workers that can be lost, and what becomes of it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from accelzoo.search.space import Genome
from accelzoo.search.workers._evaluate import MEMORY_ATTEMPTS, out_of_memory
from accelzoo.search.workers.protocol import Outcome

MAX_ATTEMPTS = 5
Fate = Literal["lost", "memory", "timeout"]


@dataclass(slots=True)
class Candidate:
    """One candidate.

    Attributes:
        index: Names it.
        genome: What is evaluated.
        attempts: How often it was begun.
        lost: How often its worker was lost.
        out_of_memory: How often it ran out of memory.
        given_at: When it was last begun, on its pool's clock.
        oom_kills: What `oom_kills` counted then.
    """

    index: int
    genome: Genome
    attempts: int = 0
    lost: int = 0
    out_of_memory: int = 0
    given_at: float = 0.0
    oom_kills: int | None = None

    def after(self, fate: Fate, max_attempts: int, timeout_s: float | None = None) -> Outcome | None:
        """Returns the outcome once its worker is gone, or None if it is to be asked again."""
        if fate == "timeout":
            return Outcome(reason=f"not finished within timeout_s (={timeout_s})", attempts=self.attempts)
        if fate == "memory":
            self.out_of_memory += 1
            return out_of_memory(self.attempts) if self.out_of_memory >= MEMORY_ATTEMPTS else None
        self.lost += 1
        if self.lost < max_attempts:
            return None
        return Outcome(reason=f"its worker was lost in each of {max_attempts} attempts", attempts=self.attempts)
