"""The contract of workers as a test class; subclass it to put a way of your own to evaluate candidates through it.

```python
from accelzoo.search.workers.conformance import WorkersContract
from my_plugin import MyWorkers


class TestMyWorkers(WorkersContract):
    workers = MyWorkers(count=2)
```
"""

from __future__ import annotations

import math
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any, ClassVar

from accelzoo.errors import ConfigError, ShapeError
from accelzoo.search.evaluator import CandidateError
from accelzoo.search.space import Genome
from accelzoo.search.workers.protocol import Outcome, Workers


class Numbers:
    """A space whose architectures are their genomes; the genome `(9,)` makes none."""

    sizes = (10,)

    def decode(self, genome: Genome) -> Genome:
        """Returns the genome."""
        if genome == (9,):
            raise ConfigError(["nine makes no network"])
        return genome

    def canonical(self, genome: Genome) -> Genome:
        """Returns the genome."""
        return genome

    def digest(self) -> str:
        """Returns the space's name."""
        return "numbers"


def outcomes(workers: Workers, signal: Callable[[Any], float], genomes: list[Genome]) -> dict[int, Outcome]:
    """Evaluates genomes, all submitted before the first is waited for; they are named 10, 11, ….

    Args:
        workers: Evaluate them.
        signal: Genome → accuracy.
        genomes: Of `Numbers`.
    """
    with workers.start(Numbers(), signal) as pool:
        for number, genome in enumerate(genomes):
            pool.submit(10 + number, genome)
        return dict(pool.wait() for _ in genomes)


def mixed(genome: Genome) -> float:
    """A signal with something of every outcome."""
    (number,) = genome
    if number == 1:
        raise CandidateError("not this one")
    if number == 2:
        raise ShapeError("5 channels into groups of 2")
    if number == 3:
        raise MemoryError
    return {4: math.nan, 5: -math.inf}.get(number, number / 7)


class WorkersContract:
    """Every candidate comes back once with the outcome that one process would have found.

    Attributes:
        workers: What is tested.
    """

    workers: ClassVar[Workers]

    def test_outcomes_are_those_of_one_process(self) -> None:
        """A value, a failure, no network, no memory: each is told in the same words everywhere."""
        found = outcomes(self.workers, mixed, [(number,) for number in range(10)])
        memory = found.pop(13)
        assert (memory.accuracy, memory.reason, memory.attempts) == (None, "out of memory in each of 2 attempts", 2)
        assert math.isnan(found.pop(14).accuracy or 0.0)
        assert found == {
            10: Outcome(accuracy=0.0),
            11: Outcome(reason="CandidateError: not this one"),
            12: Outcome(reason="ShapeError: 5 channels into groups of 2"),
            15: Outcome(accuracy=-math.inf),
            16: Outcome(accuracy=6 / 7),
            17: Outcome(accuracy=1.0),
            18: Outcome(accuracy=8 / 7),
            19: Outcome(reason="ConfigError: nine makes no network"),
        }

    def test_more_can_be_submitted_while_others_run(self) -> None:
        """A search submits the next candidate when one is finished."""
        with self.workers.start(Numbers(), lambda genome: genome[0]) as pool:
            pool.submit(0, (1,))
            found = []
            for index in range(1, 6):
                pool.submit(index, (index + 1,))
                found.append(pool.wait())
            found.append(pool.wait())
        assert sorted((index, outcome.accuracy) for index, outcome in found) == [(i, i + 1) for i in range(6)]

    def test_a_lambda_with_a_closure_will_do(self) -> None:
        """What a notebook or script defines needs no module of its own."""
        table = {(0,): 0.1, (1,): 0.2}
        found = outcomes(self.workers, lambda genome: table[genome], [(1,), (0,)])
        assert {index: outcome.accuracy for index, outcome in found.items()} == {10: 0.2, 11: 0.1}

    def test_memory_that_runs_out_once_is_tried_again(self, tmp_path: Path) -> None:
        """Whatever else was in memory may be gone by then."""
        def signal(genome: Genome) -> float:
            with (tmp_path / "attempts").open("a", encoding="ascii") as file:
                file.write(f"{os.getpid()}\n")
            if len((tmp_path / "attempts").read_text(encoding="ascii").splitlines()) == 1:
                raise MemoryError
            return 0.5

        assert outcomes(self.workers, signal, [(0,)]) == {10: Outcome(accuracy=0.5, attempts=2)}

    def test_another_exception_stops_the_search_and_says_what_it_was(self) -> None:
        """The next candidate would meet it too."""
        def signal(genome: Genome) -> float:
            return {0: 1.0}[genome[0] + 41]

        with self.workers.start(Numbers(), signal) as pool:
            pool.submit(0, (1,))
            text = _refusal(pool.wait)
        assert "KeyError" in text
        assert "42" in text

    def test_waiting_for_nothing_is_an_error(self) -> None:
        """It would never end."""
        with self.workers.start(Numbers(), lambda genome: 0.0) as pool:
            assert "submitted" in _refusal(pool.wait)


def _refusal(call: Callable[[], object]) -> str:
    """Returns all that the exception of a call says."""
    try:
        call()
    except Exception as error:
        return "\n".join([type(error).__name__, str(error), *getattr(error, "__notes__", [])])
    raise AssertionError("nothing was raised")
