"""Searching a space for the architectures that an objective and budgets ask for: the public page."""

from __future__ import annotations

from typing import TYPE_CHECKING

from accelzoo import lazy

if TYPE_CHECKING:
    from accelzoo.search.algorithms import Algorithm, algorithm_names, get_algorithm
    from accelzoo.search.algorithms.reinforce import absolute_reward
    from accelzoo.search.costs import TargetCosts
    from accelzoo.search.driver import run
    from accelzoo.search.evaluator import CandidateError
    from accelzoo.search.objective import Budgets, Objective
    from accelzoo.search.pareto import hypervolume, pareto_front
    from accelzoo.search.plan import Named
    from accelzoo.search.record import COST_FIELDS, Price, Record
    from accelzoo.search.result import Candidate, Result
    from accelzoo.search.space import Genome, GenomeMatrix, SearchSpace
    from accelzoo.search.trace import Trace, read_trace

# Resolved on first use, so that `import accelzoo.search` costs nothing and a torch user of one name pays for one name.
_HOMES = {
    "COST_FIELDS": "record",
    "Algorithm": "algorithms",
    "Budgets": "objective",
    "Candidate": "result",
    "CandidateError": "evaluator",
    "Genome": "space",
    "GenomeMatrix": "space",
    "Named": "plan",
    "Objective": "objective",
    "Price": "record",
    "Record": "record",
    "Result": "result",
    "SearchSpace": "space",
    "TargetCosts": "costs",
    "Trace": "trace",
    "absolute_reward": "algorithms.reinforce",
    "algorithm_names": "algorithms",
    "get_algorithm": "algorithms",
    "hypervolume": "pareto",
    "pareto_front": "pareto",
    "read_trace": "trace",
    "run": "driver",
}
__all__ = [  # noqa: RUF022 (the order of the page: what one calls first comes first)
    "run",
    "Objective",
    "Budgets",
    "TargetCosts",
    "Named",
    "Result",
    "Candidate",
    "CandidateError",
    "Record",
    "Price",
    "COST_FIELDS",
    "Trace",
    "read_trace",
    "Algorithm",
    "algorithm_names",
    "get_algorithm",
    "pareto_front",
    "hypervolume",
    "absolute_reward",
    "SearchSpace",
    "Genome",
    "GenomeMatrix",
]


__getattr__ = lazy.loader(__name__, _HOMES)


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
