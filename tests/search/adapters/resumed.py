"""A search with budgets, failures and duplicates: unbroken, and stopped and resumed, which has to be the same."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from accelzoo.search import Result
from accelzoo.search.trace import FILE_NAME
from tests.search import toy

SPACE = toy.ToySpace(sizes=(4, 3, 4, 3, 2), alias=True)


def evaluate(arch: toy.ToyArch) -> float:
    return float("nan") if arch.choices[:2] == (1, 1) else toy.accuracy(arch)


def search(algorithm: Any, options: dict[str, Any] | None, evaluations: int, **settings: Any) -> Result:
    return toy.search(
        SPACE,
        evaluate,
        costs=toy.costs,
        budgets={"latency_s": 9e-3},
        algorithm=algorithm,
        algorithm_options=options,
        evaluations=evaluations,
        **settings,
    )


def traces(folder: Path, algorithm: Any, options: dict[str, Any] | None = None, **settings: Any) -> tuple[bytes, bytes]:
    """Returns the trace of 40 evaluations, and of 1, then 17, then 40."""
    unbroken = folder / "unbroken"
    search(algorithm, options, 40, folder=unbroken, **settings)
    stopped = folder / "stopped"
    for evaluations in (1, 17, 40):
        search(algorithm, options, evaluations, folder=stopped, resume=True, **settings)
    return (unbroken / FILE_NAME).read_bytes(), (stopped / FILE_NAME).read_bytes()
