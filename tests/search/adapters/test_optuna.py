"""Optuna's samplers keep the contract, propose what they propose in Optuna's own loop, and learn what became of it."""

from __future__ import annotations

import math
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from accelzoo import draw
from accelzoo.errors import ConfigError, ShapeError
from accelzoo.search import Named
from accelzoo.search.algorithms.optuna import OptunaSearch
from accelzoo.search.conformance import AlgorithmContract, landscapes
from tests.search import toy
from tests.search.adapters import resumed

optuna = pytest.importorskip("optuna", reason="needs the extra [optuna]")
LARGE = (9, 8, 7, 1, 9, 8, 9, 9)


class TestGenetic(AlgorithmContract):
    algorithm = OptunaSearch
    options = {"sampler": "NSGAIISampler", "options": {"population_size": 8}}  # noqa: RUF012 (as the base class has it)
    objectives = 2


@pytest.mark.slow
class TestGeneticWithDirections(AlgorithmContract):
    algorithm = OptunaSearch
    options = {"sampler": "NSGAIIISampler", "options": {"population_size": 8}, "ordered": False}  # noqa: RUF012
    objectives = 3


@pytest.mark.slow
class TestBruteForce(AlgorithmContract):
    algorithm = OptunaSearch
    options = {"sampler": "BruteForceSampler"}  # noqa: RUF012


@pytest.mark.slow
class TestQuasiRandom(AlgorithmContract):
    algorithm = OptunaSearch
    options = {"sampler": "QMCSampler"}  # noqa: RUF012


@pytest.mark.slow
class TestRandomCategories(AlgorithmContract):
    algorithm = OptunaSearch
    options = {"sampler": "RandomSampler", "ordered": False}  # noqa: RUF012


def asked_of(algorithm: OptunaSearch, turns: int, objectives: int) -> list[list[int]]:
    asked = []
    for _ in range(turns):
        genomes = algorithm.ask(1)
        algorithm.tell(genomes, landscapes(genomes, objectives))
        asked += genomes.tolist()
    return asked


def own_loop(sampler: Any, turns: int, objectives: int) -> list[list[int]]:
    """Optuna as its manual asks and tells."""
    study = optuna.create_study(directions=["maximize"] * objectives, sampler=sampler)
    space = {f"x{at}": optuna.distributions.IntDistribution(0, size - 1) for at, size in enumerate(LARGE)}
    asked = []
    for _ in range(turns):
        trial = study.ask(space)
        genome = [trial.params[name] for name in space]
        values = landscapes([genome], objectives)[0]
        if np.isfinite(values).all():
            study.tell(trial, values.tolist())
        else:
            study.tell(trial, state=optuna.trial.TrialState.FAIL)
        asked.append(genome)
    return asked


@pytest.mark.parametrize("objectives", [1, 2])
@pytest.mark.parametrize(
    ("sampler", "options"),
    [("TPESampler", {"n_startup_trials": 5}), ("NSGAIISampler", {"population_size": 6}), ("RandomSampler", {})],
)
def test_proposals_are_those_of_optunas_own_loop(sampler: str, options: dict[str, Any], objectives: int) -> None:
    seed = draw.below(draw.generator(3), 2**32)  # the first draw is the sampler's seed
    expected = own_loop(getattr(optuna.samplers, sampler)(seed=seed, **options), 30, objectives)
    firsts = list({tuple(genome): genome for genome in expected}.values())  # what comes again is not asked for again
    assert len(firsts) > 20
    search = OptunaSearch(LARGE, draw.generator(3), sampler=sampler, options=options)
    assert asked_of(search, len(firsts), objectives) == firsts


@pytest.mark.parametrize("sampler", ["TPESampler", "NSGAIISampler"])
def test_a_small_space_is_asked_for_once_and_then_ends(sampler: str) -> None:
    algorithm = OptunaSearch((3, 2, 4), draw.generator(1), sampler=sampler)
    asked = asked_of(algorithm, 24, 1)
    assert len({tuple(genome) for genome in asked}) == 24
    assert len(algorithm.ask(1)) == 0


LEARNT: list[tuple[Any, ...]] = []


def recording(kind: str, **options: Any) -> type[OptunaSearch]:
    """A search whose sampler writes down what it learns."""

    class Sampler(getattr(optuna.samplers, kind)):  # type: ignore[misc]
        def after_trial(self, study: Any, trial: Any, state: Any, values: Any) -> None:
            constraints = study._storage.get_trial(trial._trial_id).constraints
            LEARNT.append((tuple(trial.params.values()), state.name, values and tuple(values), constraints))
            super().after_trial(study, trial, state, values)

    class Recording(OptunaSearch):
        def make_sampler(self, seed: int) -> Any:
            LEARNT.clear()
            return Sampler(seed=seed, **options)

    return Recording


OUTCOMES = np.array([[0.5, -3.0], [-1.25e6, -1e6], [-math.inf, -math.inf], [0.25, -2.0], [-2e6, -2e6]])
GENOMES = np.array([[0, 1], [1, 1], [2, 2], [3, 0], [0, 3]])


def test_budgets_are_constraints_where_the_sampler_knows_them() -> None:
    recording("TPESampler")((4, 4), draw.generator(0)).tell(GENOMES, OUTCOMES)
    assert LEARNT == [
        ((0, 1), "COMPLETE", (0.5, -3.0), {}),
        ((1, 1), "COMPLETE", (0.5, -3.0), {"budgets": 0.25}),  # the worst so far
        ((2, 2), "FAIL", None, {}),
        ((3, 0), "COMPLETE", (0.25, -2.0), {}),
        ((0, 3), "COMPLETE", (0.25, -3.0), {"budgets": 1.0}),
    ]


def test_budgets_are_a_penalty_elsewhere() -> None:
    recording("RandomSampler")((4, 4), draw.generator(0)).tell(GENOMES, OUTCOMES)
    assert [(state, values) for _, state, values, _ in LEARNT] == [
        ("COMPLETE", (0.5, -3.0)),
        ("COMPLETE", (-1.25e6, -1e6)),
        ("FAIL", None),
        ("COMPLETE", (0.25, -2.0)),
        ("COMPLETE", (-2e6, -2e6)),
    ]
    assert not any(constraints for *_, constraints in LEARNT)


def test_what_is_proposed_again_is_answered_with_what_is_known() -> None:
    algorithm = recording("RandomSampler")((2, 2), draw.generator(1))
    head_start = np.array([[0, 0], [0, 1], [1, 0]])
    algorithm.tell(head_start, np.array([1.0, -math.inf, 3.0]))
    assert algorithm.ask(4).tolist() == [[1, 1]]
    repeats = LEARNT[3:]
    assert repeats, "the sampler happened to propose the new genome at once: take another seed"
    known = {(0, 0): ("COMPLETE", (1.0,)), (0, 1): ("FAIL", None), (1, 0): ("COMPLETE", (3.0,))}
    assert all((state, values) == known[genome] for genome, state, values, _ in repeats)


def test_a_head_start_is_in_the_population() -> None:
    # A child that is neither crossed nor mutated is a copy of a member: all proposals come from the head start.
    options = {"population_size": 4, "mutation_prob": 0.0, "crossover_prob": 0.0}
    algorithm = recording("NSGAIISampler", **options)((9,) * 4, draw.generator(2))
    told = [(1, 1, 1, 1), (1, 2, 3, 4), (4, 3, 2, 1), (0, 0, 0, 1)]
    algorithm.tell(np.array(told), np.array([4.0, 3.0, 2.0, 1.0]))
    (genome,) = algorithm.ask(1).tolist()
    assert tuple(genome) not in told  # a random one, after so many copies
    copies = [known for known, *_ in LEARNT[4:]]
    assert len(copies) >= 8
    assert set(copies) <= set(told)


@pytest.mark.parametrize(
    ("given", "fault"),
    [
        ({"sampler": "TPESampeler"}, r"sampler \(='TPESampeler'\) must be one of .*did you mean 'TPESampler'"),
        ({"sampler": "GridSampler"}, "must be one of"),
        ({"options": {"n_startup_trails": 3}}, "unknown option of TPESampler.*did you mean 'n_startup_trials'"),
        ({"options": {"seed": 3}}, r"options\.seed: unknown option"),
        ({"sampler": "NSGAIISampler", "options": {"population_size": 1}}, "options of NSGAIISampler: .*size"),
    ],
)
def test_what_cannot_be_is_refused(given: dict[str, Any], fault: str) -> None:
    with pytest.raises(ConfigError, match=fault):
        OptunaSearch((2, 2), draw.generator(0), **given)


def test_a_sampler_for_one_objective_says_so() -> None:
    algorithm = OptunaSearch((4, 4), draw.generator(0), sampler="CmaEsSampler")
    algorithm.use_costs(lambda genomes: np.zeros((len(genomes), 1)))
    with pytest.raises(ConfigError, match=r"sampler \(='CmaEsSampler'\): .*multi-objective"):
        algorithm.ask(1)


def test_the_number_of_objectives_does_not_change() -> None:
    algorithm = OptunaSearch((4, 4), draw.generator(0))
    algorithm.tell(algorithm.ask(1), np.array([[1.0, 2.0]]))
    with pytest.raises(ShapeError, match="values of 1 objectives must have 2"):
        algorithm.tell(algorithm.ask(1), np.array([1.0]))


def test_optuna_is_as_talkative_as_before() -> None:
    before = optuna.logging.get_verbosity()
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        OptunaSearch((2, 2), draw.generator(0), options={"multivariate": True})  # an experimental one
    assert optuna.logging.get_verbosity() == before


def test_a_search_resumes_to_the_same_trace(tmp_path: Path) -> None:
    unbroken, stopped = resumed.traces(tmp_path, "optuna", {"sampler": "TPESampler", "options": {"n_ei_candidates": 8}})
    assert stopped == unbroken


def test_a_sampler_of_ones_own(tmp_path: Path) -> None:
    algorithm = recording("NSGAIISampler")
    unbroken, stopped = resumed.traces(tmp_path, algorithm)
    assert stopped == unbroken
    assert b"Recording" in unbroken.splitlines()[0]


def test_it_finds_the_optimum_of_a_small_space() -> None:
    result = toy.search(signal=Named(toy.accuracy, "toy"), algorithm="optuna", evaluations=60)
    assert result.best.genome == (2, 2, 2, 2)  # accuracy rises with every choice; 81 genomes
