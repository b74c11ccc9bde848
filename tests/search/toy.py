"""A toy world with closed-form answers: additive accuracy, additive cost, and a space with equal architectures."""

from __future__ import annotations

import hashlib
import itertools
import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

from accelzoo.search import Objective, Result, run

Genome = tuple[int, ...]


@dataclass(frozen=True)
class ToyArch:
    choices: Genome

    def digest(self) -> str:
        return "sha256:" + hashlib.sha256(repr(self.choices).encode()).hexdigest()


@dataclass(frozen=True)
class ToySpace:
    """Choices as they are; with `alias`, the last position is inactive while the first is 0."""

    sizes: Genome = (3, 3, 3, 3)
    alias: bool = False

    def decode(self, genome: Genome) -> ToyArch:
        return ToyArch(self.canonical(genome))

    def canonical(self, genome: Genome) -> Genome:
        return (*genome[:-1], 0) if self.alias and genome[0] == 0 else genome

    def digest(self) -> str:
        return f"toy:{self.sizes}:{self.alias}"

    def all(self) -> Iterator[Genome]:
        return itertools.product(*(range(size) for size in self.sizes))


@dataclass(frozen=True)
class ToyCost:
    latency_s: float
    energy_j: float = 0.5
    peak_activation_bytes: int = 1024
    weight_bytes: int = 1
    dram_bytes: int = 0
    macs: int = 1000
    unpriced: tuple[str, ...] = ()


def accuracy(arch: ToyArch) -> float:
    """Rises with every choice, most with the first."""
    return sum(choice / (position + 1) for position, choice in enumerate(arch.choices)) / 10


def costs(arch: ToyArch) -> ToyCost:
    """1 ms and 1 ms more for each step of a choice; weights fall as latency rises."""
    total = sum(arch.choices)
    return ToyCost(latency_s=(1 + total) / 1000, weight_bytes=100 - total)


def cosines(weights: list[float]) -> Callable[[ToyArch], float]:
    """A smooth landscape: each position has its own best choice, and nearer is better."""

    def signal(arch: ToyArch) -> float:
        total = 0.0
        for choice, weight in zip(arch.choices, weights, strict=True):
            total += math.cos((choice - weight) / 3)
        return total

    return signal


SPACE = ToySpace(sizes=(3, 3, 3, 3))


def search(
    space: ToySpace = SPACE, signal: Callable[[ToyArch], float] = accuracy, *, evaluations: int = 20, **settings: Any
) -> Result:
    """Runs a search for accuracy alone by evolution, unless `settings` say otherwise."""
    given = {"algorithm": "evolution", "objective": Objective(), **settings}
    return run(space, signal, evaluations=evaluations, progress=False, **given)
