"""Slimmable training: all networks of a width space at once, and what each width costs (after AOWS, CVPR 2020).

Example:
    >>> from accelzoo.search.width import WidthCosts, slimmable, solve_width
    >>> view = slimmable.hold_out(data.search_view())
    >>> net = slimmable.SlimmableNet(space)
    >>> result = slimmable.train_slimmable(net, view, TrainConfig(epochs=20))
    >>> costs = WidthCosts.priced(space, "edge-npu").with_errors(result.errors.tables())
    >>> chosen = solve_width(costs, {"latency_s": 2e-3}, count=8)
    >>> scores = slimmable.score_widths(net, [point.genome for point in chosen.points], view)
    >>> arch, weights = slimmable.extract_subnet(net, chosen.points[0].genome)

The solver and the latency tables of `accelzoo.search.width` do not need this package.
"""

from __future__ import annotations

from accelzoo.search.width.slimmable.errors import AdditiveErrors
from accelzoo.search.width.slimmable.extract import build_subnet, extract_subnet
from accelzoo.search.width.slimmable.net import SlimmableNet
from accelzoo.search.width.slimmable.objective import SlimmableObjective, SlimmablePlan
from accelzoo.search.width.slimmable.refine import RefinedErrors, refine_errors
from accelzoo.search.width.slimmable.samplers import NarrowedWidths, OneLayerWidths, UniformWidths, WidthSampler
from accelzoo.search.width.slimmable.score import WidthScores, hold_out, recalibrate, score_widths
from accelzoo.search.width.slimmable.train import SlimmableResult, train_slimmable

__all__ = [  # noqa: RUF022 (the order of the page: what one calls first comes first)
    "SlimmableNet",
    "hold_out",
    "train_slimmable",
    "SlimmableResult",
    "SlimmablePlan",
    "SlimmableObjective",
    "WidthSampler",
    "UniformWidths",
    "OneLayerWidths",
    "NarrowedWidths",
    "AdditiveErrors",
    "score_widths",
    "WidthScores",
    "refine_errors",
    "RefinedErrors",
    "recalibrate",
    "extract_subnet",
    "build_subnet",
]
