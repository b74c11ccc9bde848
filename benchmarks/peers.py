"""NSGA-II of pymoo and of Optuna behind `ask` and `tell`, for the benchmarks that compare with them.

They are bare on purpose: what is measured is their own time and their own candidates, repeats included. Through
`accelzoo.search.algorithms.optuna` and `.pymoo`, which searches use, each genome is asked for once and checked. They
need `pip install 'accelzoo[optuna,pymoo]'`. Both minimise; here everything is maximised.
"""

from __future__ import annotations

import warnings
from typing import Any, cast

import numpy as np
import numpy.typing as npt

Sizes = tuple[int, ...]
Matrix = npt.NDArray[Any]


class Pymoo:
    """Integer NSGA-II as pymoo's manual sets it up: SBX and polynomial mutation with rounding, no duplicates."""

    def __init__(self, sizes: Sizes, seed: int, population: int = 25, objectives: int = 2) -> None:
        from pymoo.algorithms.moo.nsga2 import NSGA2
        from pymoo.core.problem import Problem
        from pymoo.operators.crossover.sbx import SBX
        from pymoo.operators.mutation.pm import PM
        from pymoo.operators.repair.rounding import RoundingRepair
        from pymoo.operators.sampling.rnd import IntegerRandomSampling

        vary = {"prob": 1.0, "eta": 3.0, "vtype": float}
        self._problem = Problem(n_var=len(sizes), n_obj=objectives, xl=0, xu=np.array(sizes) - 1, vtype=int)
        self._algorithm = NSGA2(
            pop_size=population,
            sampling=IntegerRandomSampling(),
            crossover=SBX(**vary, repair=RoundingRepair()),
            mutation=PM(**vary, repair=RoundingRepair()),
            eliminate_duplicates=True,
        )
        self._algorithm.setup(self._problem, termination=("n_gen", 10**9), seed=seed, verbose=False)

    def ask(self) -> Matrix:
        """Returns a generation: integers `(n, positions)`."""
        self._asked = self._algorithm.ask()
        return cast(Matrix, self._asked.get("X")).astype(np.int64)

    def tell(self, values: Matrix) -> None:
        """Learns the values of the generation: `(n, objectives)`."""
        from pymoo.core.evaluator import Evaluator
        from pymoo.problems.static import StaticProblem

        Evaluator().eval(StaticProblem(self._problem, F=-values), self._asked)
        self._algorithm.tell(infills=self._asked)


class Optuna:
    """Optuna's NSGAIISampler over integer parameters, one trial at a time, kept in memory."""

    def __init__(self, sizes: Sizes, seed: int, population: int = 25, objectives: int = 2) -> None:
        import optuna

        optuna.logging.set_verbosity(optuna.logging.ERROR)
        warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
        sampler = optuna.samplers.NSGAIISampler(population_size=population, seed=seed)
        self._study = optuna.create_study(directions=["maximize"] * objectives, sampler=sampler)
        self._space = {f"x{at}": optuna.distributions.IntDistribution(0, size - 1) for at, size in enumerate(sizes)}

    def ask(self) -> Matrix:
        """Returns one genome: integers `(1, positions)`."""
        self._trial = self._study.ask(self._space)
        return np.array([[self._trial.params[name] for name in self._space]], np.int64)

    def tell(self, values: Matrix) -> None:
        """Learns the values of the genome: `(1, objectives)`."""
        self._study.tell(self._trial, values[0].tolist())
