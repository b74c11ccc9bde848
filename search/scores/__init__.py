"""Zero-cost scores: what tells good networks from bad ones before any training; one module each, found by its file.

    scores.trainability(arch)                      # closed form, no tensors
    scores.naswot(arch, images)                    # a freshly drawn network sees a batch
    scores.snip(module, (images, labels), seed=3)  # any torch module, which is left as it was
    ScoreTable(space).combined(genomes)            # the default combination of a whole population, by look-up

A higher score is meant to say a better network; scores of different names share no unit, so they are combined by rank.
"""

from __future__ import annotations

import pkgutil
from importlib import import_module
from typing import TYPE_CHECKING, cast

from accelzoo import lazy
from accelzoo.errors import unknown_name
from accelzoo.search.scores._combination import DEFAULT_COMBINATION, rank_combination
from accelzoo.search.scores._score import CostClass, GraphScore, Score, ScoreError
from accelzoo.search.scores._table import ScoreTable

if TYPE_CHECKING:
    from accelzoo.search.scores.entropy import entropy
    from accelzoo.search.scores.grad_norm import grad_norm
    from accelzoo.search.scores.linear_regions import linear_regions
    from accelzoo.search.scores.macs import macs
    from accelzoo.search.scores.naswot import naswot
    from accelzoo.search.scores.params import params
    from accelzoo.search.scores.snip import snip
    from accelzoo.search.scores.synflow import synflow
    from accelzoo.search.scores.trainability import trainability
    from accelzoo.search.scores.zen import zen
    from accelzoo.search.scores.zico import zico

__all__ = [  # noqa: RUF022 (the order of the page: the analytic ones, those of networks, the baselines, then the rest)
    "trainability",
    "linear_regions",
    "entropy",
    "synflow",
    "naswot",
    "grad_norm",
    "snip",
    "zen",
    "zico",
    "params",
    "macs",
    "DEFAULT_COMBINATION",
    "rank_combination",
    "ScoreTable",
    "Score",
    "CostClass",
    "GraphScore",
    "ScoreError",
    "score_names",
    "get_score",
]


def score_names() -> list[str]:
    """Returns the name of every score: the modules of this package."""
    return sorted(info.name for info in pkgutil.iter_modules(__path__) if not info.name.startswith("_"))


def get_score(name: str) -> Score:
    """Returns the score that the module `name` of this package defines under its own name.

    Raises:
        UnknownNameError: If there is no such score.
    """
    names = score_names()
    if name not in names:
        raise unknown_name("zero-cost score", name, names)
    return cast(Score, getattr(import_module(f"{__name__}.{name}"), name))


# Each score is called like its module: `scores.synflow` is the score, whether or not the module was imported.
lazy.bind(__name__, {name: name for name in score_names()})
