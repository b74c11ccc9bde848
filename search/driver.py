"""The way in: `run` searches a space.

What is maximised is accuracy, with costs and without budgets accuracy and `latency_s` side by side (the Pareto front of
both), unless an `Objective` says otherwise. Every candidate is priced first; one over budget is recorded but never
given to the signal. Under budgets, the first candidate is a genome known to meet them. An architecture that comes up
again is recorded as a duplicate with the values it had, and the signal is not called.

Several candidates can be evaluated at once (`workers`). The i-th is proposed when candidates 0 … i − `pending` have
been told, whichever was finished first, so that a search is the same whatever the number of workers and however long
each candidate takes.

With a folder, every candidate is a line of `trace.jsonl` in it. A search that was stopped at any moment, by Ctrl-C or
SIGKILL, goes on with `resume=True` and ends with the trace that an unbroken one would have written. A finished one goes
on with `resume=True` and more evaluations. While several are evaluated at once, results that come before their turn are
kept in `results.jsonl` beside it.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy.typing as npt

from accelzoo.errors import ConfigError
from accelzoo.search.algorithms import Algorithm
from accelzoo.search.evaluator import Evaluator
from accelzoo.search.loop import Loop
from accelzoo.search.objective import Budgets, Objective
from accelzoo.search.plan import Plan
from accelzoo.search.progress import ProgressLine
from accelzoo.search.result import Result, Stopped
from accelzoo.search.space import SearchSpace
from accelzoo.search.store import Store
from accelzoo.search.workers import Workers, as_workers

_LOG = logging.getLogger("accelzoo.search")
_ENDS = {
    "evaluations": "done",
    "exhausted": "space exhausted",
    "candidates": "stopped at the bound on candidates (max_candidates)",
}


def run(
    space: SearchSpace,
    signal: Callable[[Any], float],
    *,
    evaluations: int,
    algorithm: str | type[Algorithm] = "default",
    algorithm_options: Mapping[str, Any] | None = None,
    costs: Callable[[Any], Any] | None = None,
    budgets: Mapping[str, float] | Budgets | None = None,
    objective: Objective | None = None,
    pool: npt.ArrayLike | None = None,
    seed: int = 0,
    workers: int | str | Workers = 1,
    pending: int | None = None,
    max_candidates: int | None = None,
    folder: str | Path | None = None,
    resume: bool = False,
    progress: bool | None = None,
) -> Result:
    """Searches a space; the module's docstring says how.

    Args:
        space: What to search.
        signal: Architecture → accuracy, higher is better. `CandidateError` fails one candidate.
        evaluations: How many candidates to give to the signal.
        algorithm: A name of `algorithm_names()`, or a class.
        algorithm_options: Its keyword arguments.
        costs: Architecture → `accelzoo.hwmodel` cost (see `TargetCosts`).
        budgets: Cost field → the most it may be.
        objective: How accuracy and cost make a score, and which costs are objectives beside it.
        pool: Integers `(n, positions)`: only these genomes are asked for, by an algorithm that can be kept to them.
        seed: Seeds everything that is drawn.
        workers: How many processes evaluate candidates, 1: this one; or where (see `accelzoo.search.workers`).
        pending: How many candidates may be proposed before the first is told; as many as workers, or as in the trace.
        max_candidates: Bounds all candidates, infeasible ones and duplicates too; `1,000 + 50 × evaluations`.
        folder: Where the trace is kept.
        resume: Go on with the folder's trace, or begin it.
        progress: Show a line on standard error; None: if that is a terminal.

    Raises:
        BudgetError: If nothing meets the budgets; it names the best achievable values.
        ConfigError: If an argument is unknown or out of range.
        ShapeError: If the space is empty, or none of its genomes makes a network that can be priced.
        TraceError: If the trace is there (and not `resume`), broken, in use, or of other settings.
    """
    bounds, crew = _bounds(evaluations, max_candidates), as_workers(workers)
    evaluator = _evaluator(space, signal, costs, Budgets.of(budgets), objective)
    plan = Plan(evaluator, algorithm, algorithm_options, seed, pool=pool, pending=pending, workers=crew.count)
    with Store(folder, plan, resume=resume) as store:
        return _searched(_loop(evaluator, plan, store, crew), bounds, progress)


def _evaluator(
    space: SearchSpace,
    signal: Callable[[Any], float],
    costs: Callable[[Any], Any] | None,
    budgets: Budgets,
    objective: Objective | None,
) -> Evaluator:
    if objective is None:
        objective = Objective(minimise=("latency_s",)) if costs is not None and not budgets else Objective()
    return Evaluator(space, signal, costs, budgets, objective)


def _loop(evaluator: Evaluator, plan: Plan, store: Store, crew: Workers) -> Loop:
    if store.pending < crew.count:
        _LOG.warning(
            f"pending (={store.pending}) is below the number of workers (={crew.count}): "
            f"{crew.count - store.pending} of them stay idle"
        )
    return Loop(evaluator, plan.algorithm(informed=store.informed), store, crew, plan.allowed)


def _searched(loop: Loop, bounds: tuple[int, int], progress: bool | None) -> Result:
    store = loop.store
    loop.replay()
    stopped = _go(loop, bounds, progress)
    message = f"{_ENDS[stopped]} after {loop.summary()}"
    if stopped != "evaluations":
        _LOG.warning(message)
    return Result(
        space=loop.space,
        header=store.header,
        trace=tuple(loop.records),
        stopped=stopped,
        message=message,
        path=store.path,
    )


def _go(loop: Loop, bounds: tuple[int, int], progress: bool | None) -> Stopped:
    """Runs the loop; whatever stops it early is told what is kept and how to go on."""
    try:
        with ProgressLine(bounds[0], loop.evaluated, len(loop.records), progress) as line:
            return loop.go(line, *bounds)
    except BaseException as error:
        kept = "no folder was given to keep them"
        if loop.store.path is not None:
            kept = f"they are in {loop.store.path}; the same call with resume=True goes on"
        note = f"stopped after {loop.summary()}; {kept}"
        error.add_note(note)
        if isinstance(error, KeyboardInterrupt):
            _LOG.warning(note)
        raise


def _bounds(evaluations: int, max_candidates: int | None) -> tuple[int, int]:
    bounds = {
        "evaluations": evaluations,
        "max_candidates": 1_000 + 50 * evaluations if max_candidates is None else max_candidates,
    }
    faults = [f"{name} (={count}) must be at least 1" for name, count in bounds.items() if count < 1]
    if faults:
        raise ConfigError(faults)
    return bounds["evaluations"], bounds["max_candidates"]
