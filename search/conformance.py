"""The contract of a search algorithm as a test class; subclass it to put a plug-in through it.

```python
from accelzoo.search.conformance import AlgorithmContract
from my_plugin import HillClimbing


class TestHillClimbing(AlgorithmContract):
    algorithm = HillClimbing
    options = {"restarts": 3}
    objectives = 2  # only if it is to be told several values of each genome
```
"""

from __future__ import annotations

import json
import math
import os
import subprocess
import sys
from collections.abc import Callable
from importlib import import_module
from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt

from accelzoo import draw
from accelzoo.errors import AccelzooError
from accelzoo.search.algorithms import Algorithm, complete_options
from accelzoo.search.genomes import genome_count
from accelzoo.search.space import GenomeMatrix

SIZES = (3, 1, 4, 2, 5)
_OTHER_PROCESS = (
    "import sys, json; *given, sys.path = json.loads(sys.stdin.read());"
    "from accelzoo.search.conformance import transcript_of; print(json.dumps(transcript_of(*given)))"
)


def landscape(genomes: npt.ArrayLike) -> npt.NDArray[np.float64]:
    """Returns the value of each genome: float64 `(n,)` for `(n, positions)`; every seventh has none (−inf)."""
    matrix = np.asarray(genomes, dtype=np.int64)
    weights = np.arange(1, matrix.shape[1] + 1)
    total = (matrix * weights).sum(axis=1)
    return np.where(total % 7 == 3, -math.inf, total.astype(np.float64))


def landscapes(genomes: npt.ArrayLike, objectives: int) -> npt.NDArray[np.float64]:
    """Returns `landscape` for one objective; for several, `(n, objectives)` with it first and others against it."""
    first = landscape(genomes)
    if objectives == 1:
        return first
    matrix = np.asarray(genomes, dtype=np.int64)
    others = [-((matrix + shift) ** 2).sum(axis=1, dtype=np.float64) for shift in range(1, objectives)]
    return np.where(np.isfinite(first)[:, None], np.stack([first, *others], axis=1), -math.inf)


def transcript(algorithm: Algorithm, turns: int, objectives: int = 1) -> list[list[int]]:
    """Returns the genomes that an algorithm asks for, one at a time, while it is told their values."""
    asked = []
    for _ in range(turns):
        genomes = algorithm.ask(1)
        asked += genomes.tolist()
        algorithm.tell(genomes, landscapes(genomes, objectives))
    return asked


def transcript_of(module: str, name: str, options: dict[str, Any], objectives: int = 1) -> list[list[int]]:
    """Returns `transcript` of a class found by its module and qualified name."""
    found: Any = import_module(module)
    for part in name.split("."):
        found = getattr(found, part)
    return transcript(found(SIZES, draw.generator(7), **options), 60, objectives)


class AlgorithmContract:
    """What the search loop relies on; pytest runs it on every subclass.

    With `objectives` above 1, values have the shape `(n, objectives)`, and a failed candidate's are −inf in all.
    """

    algorithm: ClassVar[type[Algorithm]]
    options: ClassVar[dict[str, Any]] = {}
    objectives: ClassVar[int] = 1

    def make(self, seed: int = 7, sizes: tuple[int, ...] = SIZES) -> Algorithm:
        """Returns a fresh algorithm."""
        return self.algorithm(sizes, draw.generator(seed), **self.options)

    def values(self, genomes: npt.ArrayLike) -> npt.NDArray[np.float64]:
        """Returns what the algorithm is told of genomes."""
        return landscapes(genomes, self.objectives)

    def transcript(self, algorithm: Algorithm, turns: int) -> list[list[int]]:
        """Returns the genomes that an algorithm asks for, one at a time."""
        return transcript(algorithm, turns, self.objectives)

    def test_options_are_plain_and_have_defaults(self) -> None:
        """The trace's header holds every option as JSON."""
        options = complete_options(self.algorithm, self.options)
        assert json.loads(json.dumps(options)) == options

    def test_ask_returns_a_matrix_of_choices(self) -> None:
        """Int64 `(count, positions)`, each choice in its position's range, before and after values are told."""
        algorithm = self.make()
        for count in (1, 3, 8, 2):
            genomes = algorithm.ask(count)
            self._check(genomes, SIZES)
            assert len(genomes) == count
            algorithm.tell(genomes, self.values(genomes))

    def test_a_changed_answer_changes_nothing(self) -> None:
        """The matrices handed out and taken in are not the algorithm's own memory."""
        one, other = self.make(), self.make()
        for _ in range(30):
            genomes = one.ask(1)
            values = self.values(genomes)
            one.tell(genomes, values)
            genomes[:] = 0
            values[:] = 1e3
            kept = other.ask(1)
            other.tell(kept, self.values(kept))
        assert one.ask(1).tolist() == other.ask(1).tolist()

    def test_equal_seeds_ask_for_equal_genomes(self) -> None:
        """Nothing but the generator decides; another seed decides otherwise."""
        assert self.transcript(self.make(1), 60) == self.transcript(self.make(1), 60)
        assert self.transcript(self.make(1), 60) != self.transcript(self.make(2), 60)

    def test_another_process_and_hash_seed_ask_for_equal_genomes(self) -> None:
        """No set order, address or clock decides."""
        module, name = self.algorithm.__module__, self.algorithm.__qualname__
        expected = transcript_of(module, name, self.options, self.objectives)
        for hash_seed in ("1", "4242"):
            done = subprocess.run(
                [sys.executable, "-c", _OTHER_PROCESS],
                input=json.dumps([module, name, self.options, self.objectives, sys.path]),
                env={**os.environ, "PYTHONHASHSEED": hash_seed, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))},
                capture_output=True,
                text=True,
                check=True,
            )
            assert json.loads(done.stdout) == expected

    def test_the_global_generators_are_left_alone(self) -> None:
        """Searching does not disturb, and does not depend on, anybody else's random numbers."""
        import random

        random.seed(3)
        np.random.seed(3)
        before = random.getstate(), np.random.get_state(legacy=True)[1].tolist()  # type: ignore[index]
        expected = self.transcript(self.make(), 40)
        assert (random.getstate(), np.random.get_state(legacy=True)[1].tolist()) == before  # type: ignore[index]
        random.seed(4)
        np.random.seed(4)
        assert self.transcript(self.make(), 40) == expected

    def test_replaying_what_was_told_leads_to_the_same_place(self) -> None:
        """A trace is resumed by asking again and telling the recorded values."""
        unbroken = self.transcript(self.make(), 60)
        for turns in (1, 24, 26, 45):
            resumed = self.make()
            assert self.transcript(resumed, turns) == unbroken[:turns]
            assert self.transcript(resumed, 60 - turns) == unbroken[turns:]

    def test_tell_refuses_what_does_not_fit(self) -> None:
        """Shapes, choices out of range, NaN and +inf are errors, not training data."""
        algorithm = self.make()
        genomes = algorithm.ask(2)
        outside = genomes.copy()
        outside[0, 0] = SIZES[0]
        self._refused(lambda: algorithm.tell(genomes, self._column(0, 0, 0)))
        self._refused(lambda: algorithm.tell(genomes[:, 1:], self._column(0, 0)))
        self._refused(lambda: algorithm.tell(genomes.astype(np.float64), self._column(0, 0)))
        self._refused(lambda: algorithm.tell(outside, self._column(0, 0)))
        self._refused(lambda: algorithm.tell(genomes, self._column(0, math.nan)))
        self._refused(lambda: algorithm.tell(genomes, self._column(0, math.inf)))

    def test_failures_alone_do_not_stop_it(self) -> None:
        """A run of candidates without a value leaves an algorithm that still proposes."""
        algorithm = self.make()
        for _ in range(40):
            genomes = algorithm.ask(1)
            self._check(genomes, SIZES)
            algorithm.tell(genomes, self._column(*[-math.inf] * len(genomes)))

    def test_a_head_start_is_welcome(self) -> None:
        """Values of genomes that were never asked for are accepted."""
        algorithm = self.make()
        algorithm.tell(np.array([[0, 0, 0, 0, 0], [2, 0, 3, 1, 4]]), self._column(0.5, -1e6))
        self._check(algorithm.ask(4), SIZES)

    def test_fewer_rows_mean_that_nothing_is_left(self) -> None:
        """A small space ends cleanly: fewer rows than asked for only when every genome has been asked for."""
        for sizes in ((1,), (1, 1), (2, 3, 1), (4, 4)):
            algorithm = self.make(sizes=sizes)
            seen: set[tuple[int, ...]] = set()
            for _ in range(3 * genome_count(sizes)):
                genomes = algorithm.ask(2)
                self._check(genomes, sizes)
                seen |= {tuple(row) for row in genomes.tolist()}
                assert len(genomes) == 2 or len(seen) == genome_count(sizes)
                algorithm.tell(genomes, self.values(genomes))

    def test_several_objectives_are_declared(self) -> None:
        """A search asks only those for several objectives that say so in their class."""
        if self.objectives > 1:
            assert getattr(self.algorithm, "several_objectives", False) is True

    def test_a_pool_is_all_that_is_asked_for(self) -> None:
        """With `use_pool`, no other genome; fewer rows only when every one of the pool has been asked for."""
        algorithm: Any = self.make()
        if not hasattr(algorithm, "use_pool"):
            return
        drawn = np.array([[draw.below(rng, size) for size in SIZES] for rng in map(draw.generator, range(20))])
        pool = {tuple(row) for row in drawn.tolist()}
        algorithm.use_pool(drawn)
        asked: list[tuple[int, ...]] = []
        for _ in range(len(pool) + 3):
            genomes = algorithm.ask(1)
            self._check(genomes, SIZES)
            asked += [tuple(row) for row in genomes.tolist()]
            algorithm.tell(genomes, self.values(genomes))
            assert set(asked) <= pool
            assert len(genomes) == 1 or set(asked) == pool

    def _column(self, *values: float) -> npt.NDArray[np.float64]:
        """Returns values, each in every objective."""
        column = np.array(values, np.float64)
        return column if self.objectives == 1 else np.repeat(column[:, None], self.objectives, axis=1)

    @staticmethod
    def _check(genomes: GenomeMatrix, sizes: tuple[int, ...]) -> None:
        assert isinstance(genomes, np.ndarray)
        assert genomes.dtype == np.int64
        assert genomes.ndim == 2
        assert genomes.shape[1] == len(sizes)
        assert bool((genomes >= 0).all())
        assert bool((genomes < np.array(sizes)).all())

    @staticmethod
    def _refused(call: Callable[[], object]) -> None:
        try:
            call()
        except (AccelzooError, ValueError):
            return
        raise AssertionError("tell() accepted genomes or values that do not fit")
