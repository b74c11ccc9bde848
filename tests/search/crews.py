"""Workers of the tests: they finish candidates in random order, and nothing of them is a process."""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Self

from accelzoo.search import CandidateError
from accelzoo.search.space import Genome, SearchSpace
from accelzoo.search.workers import Outcome


@dataclass
class Shuffled:
    """Workers that finish what they have in random order, and die after so many outcomes."""

    count: int = 4
    seed: int = 0
    dies_after: int = 10**9
    seen: list[Genome] = field(default_factory=list)
    most: int = 0

    def start(self, space: SearchSpace, signal: Callable[[Any], float]) -> ShuffledPool:
        return ShuffledPool(self, space, signal)


class ShuffledPool:
    def __init__(self, owner: Shuffled, space: SearchSpace, signal: Callable[[Any], float]) -> None:
        self._owner, self._space, self._signal = owner, space, signal
        self._random = random.Random(owner.seed)
        self._open: list[tuple[int, Genome]] = []

    def submit(self, index: int, genome: Genome) -> None:
        self._open.append((index, genome))
        self._owner.most = max(self._owner.most, len(self._open))

    def wait(self) -> tuple[int, Outcome]:
        if len(self._owner.seen) >= self._owner.dies_after:
            raise KeyboardInterrupt
        index, genome = self._open.pop(self._random.randrange(len(self._open)))
        self._owner.seen.append(genome)
        try:
            return index, Outcome(accuracy=self._signal(self._space.decode(genome)))
        except CandidateError as error:
            return index, Outcome(reason=f"CandidateError: {error}")

    def close(self) -> None:
        """Has nothing to end."""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exception: object) -> None:
        self.close()
