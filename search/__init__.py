"""Searching a space for the architectures that an objective and budgets ask for: the public page."""

from __future__ import annotations

from typing import TYPE_CHECKING

from accelzoo import lazy

if TYPE_CHECKING:
    from accelzoo.search.algorithms import Algorithm, algorithm_names, get_algorithm
    from accelzoo.search.algorithms.reinforce import absolute_reward
    from accelzoo.search.costs import TargetCosts
    from accelzoo.search.curation import CuratedSpace, curate
    from accelzoo.search.driver import run
    from accelzoo.search.evaluator import CandidateError
    from accelzoo.search.features import space_features
    from accelzoo.search.halving import hyperband, successive_halving
    from accelzoo.search.importance import importance
    from accelzoo.search.objective import Budgets, Objective
    from accelzoo.search.optuna_journal import export_journal
    from accelzoo.search.pareto import hypervolume, pareto_front
    from accelzoo.search.plan import Named
    from accelzoo.search.race import Race
    from accelzoo.search.record import COST_FIELDS, Price, Record
    from accelzoo.search.result import Candidate, Result
    from accelzoo.search.shortlist import Shortlist, shortlist
    from accelzoo.search.signals import ScoreSignal, Signal, TableSignal
    from accelzoo.search.space import Genome, GenomeMatrix, SearchSpace
    from accelzoo.search.trace import Trace, read_trace
    from accelzoo.search.workers import LocalWorkers, RayWorkers, Serial, WorkerError

# Resolved on first use, so that `import accelzoo.search` costs nothing and a torch user of one name pays for one name.
_HOMES = {
    "Algorithm": "algorithms",
    "Budgets": "objective",
    "COST_FIELDS": "record",
    "Candidate": "result",
    "CandidateError": "evaluator",
    "CuratedSpace": "curation",
    "Genome": "space",
    "GenomeMatrix": "space",
    "LocalWorkers": "workers",
    "Named": "plan",
    "Objective": "objective",
    "Price": "record",
    "Race": "race",
    "RayWorkers": "workers",
    "Record": "record",
    "Result": "result",
    "ScoreSignal": "signals",
    "SearchSpace": "space",
    "Serial": "workers",
    "Shortlist": "shortlist",
    "Signal": "signals",
    "TableSignal": "signals",
    "TargetCosts": "costs",
    "Trace": "trace",
    "WorkerError": "workers",
    "absolute_reward": "algorithms.reinforce",
    "algorithm_names": "algorithms",
    "curate": "curation",
    "export_journal": "optuna_journal",
    "get_algorithm": "algorithms",
    "hyperband": "halving",
    "hypervolume": "pareto",
    "importance": "importance",
    "pareto_front": "pareto",
    "read_trace": "trace",
    "run": "driver",
    "shortlist": "shortlist",
    "space_features": "features",
    "successive_halving": "halving",
}
__all__ = [  # noqa: RUF022 (the order of the page: what one calls first comes first)
    "run",
    "curate",
    "CuratedSpace",
    "Objective",
    "Budgets",
    "TargetCosts",
    "Named",
    "Signal",
    "TableSignal",
    "ScoreSignal",
    "shortlist",
    "Shortlist",
    "successive_halving",
    "hyperband",
    "Race",
    "Serial",
    "LocalWorkers",
    "RayWorkers",
    "WorkerError",
    "Result",
    "Candidate",
    "CandidateError",
    "Record",
    "Price",
    "COST_FIELDS",
    "Trace",
    "read_trace",
    "export_journal",
    "importance",
    "Algorithm",
    "algorithm_names",
    "get_algorithm",
    "pareto_front",
    "hypervolume",
    "absolute_reward",
    "space_features",
    "SearchSpace",
    "Genome",
    "GenomeMatrix",
]


__getattr__ = lazy.loader(__name__, _HOMES)
# Called like their modules: these names are the functions, whether or not the module was imported.
lazy.bind(__name__, {name: home for name, home in _HOMES.items() if name == home})


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
