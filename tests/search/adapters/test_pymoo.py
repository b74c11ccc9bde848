"""Pymoo's algorithms keep the contract, run as in pymoo's own loop, and learn what became of candidates."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

from accelzoo import draw
from accelzoo.errors import ConfigError
from accelzoo.search.algorithms.pymoo import PymooSearch
from accelzoo.search.conformance import AlgorithmContract
from tests.search import toy
from tests.search.adapters import resumed

pytest.importorskip("pymoo", reason="needs the extra [pymoo]")
LARGE = (9, 8, 7, 1, 9, 8, 9, 9, 9, 9)


class TestTwoObjectives(AlgorithmContract):
    algorithm = PymooSearch
    options = {"population": 8}  # noqa: RUF012 (as the base class has it)
    objectives = 2


@pytest.mark.slow
class TestDirections(AlgorithmContract):
    algorithm = PymooSearch
    options = {"algorithm": "UNSGA3", "population": 8}  # noqa: RUF012
    objectives = 3


@pytest.mark.slow
class TestSteadyState(AlgorithmContract):
    algorithm = PymooSearch
    options = {"algorithm": "SMSEMOA", "population": 8, "offspring": 1}  # noqa: RUF012
    objectives = 2


@pytest.mark.slow
class TestOneObjective(AlgorithmContract):
    algorithm = PymooSearch
    options = {"algorithm": "GA", "population": 6}  # noqa: RUF012


def smooth(genomes: npt.NDArray[Any], objectives: int) -> npt.NDArray[np.float64]:
    """Values with a front between corners, higher is better."""
    peaks = np.arange(objectives) * 3.0
    return -np.stack([((genomes - peak) ** 2).sum(axis=1) for peak in peaks], axis=1).astype(np.float64)


def own_loop(algorithm: Any, objectives: int, generations: int, seed: int) -> list[list[int]]:
    """Everything that pymoo's own `minimize` evaluates, in order."""
    from pymoo.core.problem import Problem
    from pymoo.optimize import minimize

    evaluated: list[list[int]] = []

    class Recorded(Problem):  # type: ignore[misc]
        def _evaluate(self, genomes: Any, out: dict[str, Any], *args: Any, **kwargs: Any) -> None:
            evaluated.extend(genomes.astype(int).tolist())
            out["F"] = -smooth(genomes, objectives)

    problem = Recorded(n_var=len(LARGE), n_obj=objectives, xl=0, xu=np.array(LARGE) - 1, vtype=int)
    minimize(problem, algorithm, ("n_gen", generations), seed=seed, verbose=False)
    return evaluated


@pytest.mark.parametrize(("name", "objectives"), [("GA", 1), ("NSGA2", 2), ("NSGA3", 3), ("SMSEMOA", 2)])
def test_candidates_are_those_of_pymoos_own_loop(name: str, objectives: int) -> None:
    ours = PymooSearch(LARGE, draw.generator(4), algorithm=name, population=15)
    seed = draw.below(draw.generator(4), 2**32)  # the first draw is the algorithm's seed
    expected = own_loop(ours.make_algorithm(objectives), objectives, 6, seed)
    asked: list[list[int]] = []
    for _ in {tuple(genome): None for genome in expected}:
        genomes = ours.ask(1)
        values = smooth(genomes, objectives)
        ours.tell(genomes, values[:, 0] if objectives == 1 else values)
        asked += genomes.tolist()
    firsts = list({tuple(genome): genome for genome in expected}.values())  # what comes again is not asked for again
    assert asked == firsts
    assert len(asked) > 60


LEARNT: list[tuple[list[int], list[float], float]] = []


class Recording(PymooSearch):
    """A search whose algorithm writes down what it learns."""

    def make_algorithm(self, objectives: int) -> Any:
        from pymoo.algorithms.moo.nsga2 import NSGA2
        from pymoo.operators.sampling.rnd import IntegerRandomSampling

        class Recorded(NSGA2):  # type: ignore[misc]
            def advance(self, infills: Any = None, **kwargs: Any) -> Any:
                for individual in infills:
                    LEARNT.append((individual.X.tolist(), individual.F.tolist(), float(individual.CV[0])))
                return super().advance(infills=infills, **kwargs)

        return Recorded(pop_size=5, sampling=IntegerRandomSampling())


def test_budgets_and_failures_are_constraints() -> None:
    LEARNT.clear()
    algorithm = Recording((4, 4), draw.generator(0), population=5)
    told = [[0.5, -3.0], [-1.25e6, -1e6], [-math.inf, -math.inf], [0.25, -2.0], [-2e6, -2e6]]
    algorithm.tell(np.array([[0, 1], [1, 1], [2, 2], [3, 0], [0, 3]]), np.array(told))
    algorithm.ask(1)
    assert LEARNT == [
        ([0, 1], [-0.5, 3.0], 0.0),
        ([1, 1], [-0.5, 3.0], 0.25),  # the worst so far
        ([2, 2], [-0.25, 3.0], 1e100),
        ([3, 0], [-0.25, 2.0], 0.0),
        ([0, 3], [-0.25, 3.0], 1.0),
    ]


def test_candidates_that_come_back_late_count_for_the_next_selection() -> None:
    algorithm = PymooSearch(LARGE, draw.generator(1), population=6)
    waiting: list[npt.NDArray[np.int64]] = []
    seen = set()
    for _ in range(60):
        waiting.append(algorithm.ask(1))
        seen.add(tuple(waiting[-1][0].tolist()))
        if len(waiting) == 4:
            genomes = waiting.pop(0)
            algorithm.tell(genomes, smooth(genomes, 2))
    assert len(seen) == 60


@pytest.mark.parametrize(
    ("given", "fault"),
    [
        ({"algorithm": "NSGA-2"}, r"algorithm \(='NSGA-2'\) must be one of GA, NSGA2.*did you mean 'NSGA2'"),
        ({"population": 1}, r"population \(=1\) must be at least 2"),
        ({"offspring": 0}, r"offspring \(=0\) must be at least 1"),
    ],
)
def test_what_cannot_be_is_refused(given: dict[str, Any], fault: str) -> None:
    with pytest.raises(ConfigError, match=fault):
        PymooSearch((2, 2), draw.generator(0), **given)


@pytest.mark.parametrize(
    ("name", "values", "fault"),
    [
        ("GA", [[1.0, 2.0]], "takes 1 objective; the search has 2"),
        ("SMSEMOA", [1.0], "takes 2 objectives or more; the search has 1"),
    ],
)
def test_the_number_of_objectives_has_to_suit(name: str, values: Any, fault: str) -> None:
    algorithm = PymooSearch((4, 4), draw.generator(0), algorithm=name)
    with pytest.raises(ConfigError, match=fault):
        algorithm.tell(algorithm.ask(1), np.array(values))


def test_the_number_of_objectives_can_be_known_before_the_first_candidate() -> None:
    algorithm = PymooSearch((4, 4), draw.generator(0), algorithm="GA")
    with pytest.raises(ConfigError, match="takes 1 objective; the search has 3"):
        algorithm.use_costs(lambda genomes: np.zeros((len(genomes), 2)))


def test_a_search_resumes_to_the_same_trace(tmp_path: Path) -> None:
    unbroken, stopped = resumed.traces(tmp_path, "pymoo", {"population": 8})
    assert stopped == unbroken


def test_it_finds_the_optimum_of_a_small_space() -> None:
    result = toy.search(algorithm="pymoo", algorithm_options={"algorithm": "GA", "population": 8}, evaluations=60)
    assert result.best.genome == (2, 2, 2, 2)  # accuracy rises with every choice; 81 genomes
