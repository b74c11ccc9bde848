"""Accuracy signals: what says how good an architecture is, each with a declared cost.

    TableSignal({arch.digest(): 0.93, ...})                 # measured before: a benchmark's table
    ScoreSignal("synflow")                                  # a zero-cost score, by its name
    accelzoo.recipes.trainings.TrainingSignal(bank, ...)    # a training, short or full

Each is a callable that `accelzoo.search.run` takes. One with `at(fidelity)` can be had for a share of its effort, which
`accelzoo.search.halving` makes use of. `accelzoo.search.signals.conformance` puts your own through the same tests.

Signals are chained from cheap to dear: `accelzoo.search.shortlist` keeps, of 10⁵ to 10⁷ genomes, those that zero-cost
scores and prices speak for; a model-based search trains some of them shortly (`run(..., pool=shortlist.genomes)`); and
`successive_halving` lets longer trainings decide among its best. That is the pipeline of the recipes.
"""

from __future__ import annotations

from accelzoo.search.signals.protocol import GradedSignal, Signal, at_fidelity, check_fidelity, declared_seconds
from accelzoo.search.signals.score import ScoreSignal
from accelzoo.search.signals.table import TableSignal

__all__ = [
    "GradedSignal",
    "ScoreSignal",
    "Signal",
    "TableSignal",
    "at_fidelity",
    "check_fidelity",
    "declared_seconds",
]
