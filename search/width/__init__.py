"""Width search: the number of channels of every layer at once, within budgets, proven (after AOWS, CVPR 2020).

Example:
    >>> from accelzoo import get_arch
    >>> from accelzoo.search import width
    >>> space = width.WidthSpace.from_arch(get_arch("mobilenetv1_100"))
    >>> errors = [[1 / channels for channels in group.widths] for group in space.groups]
    >>> costs = width.WidthCosts.priced(space, "edge-npu").with_errors(errors)
    >>> found = width.solve_width(costs, {"latency_s": 1e-3})
    >>> found.status, space.decode(found.best.genome).stem.out_channels
    ('optimal', 48)
"""

from __future__ import annotations

from accelzoo.search.width.baselines import PrunedWidths, ScaledWidths, greedy_widths, uniform_widths
from accelzoo.search.width.costs import WidthCosts
from accelzoo.search.width.grid import LatencyGrid
from accelzoo.search.width.latency import LatencyReport, LatencyTable, fit_latency_table
from accelzoo.search.width.loop import ClosedLoop, LoopRound, Timings, close_loop
from accelzoo.search.width.model import WidthModel, budgeted_model
from accelzoo.search.width.narrowing import Narrowing, TemperatureSchedule
from accelzoo.search.width.sampling import covering_genomes
from accelzoo.search.width.solution import WidthPoint, WidthSolution
from accelzoo.search.width.solve import solve_width, width_front
from accelzoo.search.width.space import WidthGroup, WidthSpace
from accelzoo.search.width.timing import Timer, time_genomes

__all__ = [  # noqa: RUF022 (the order of the page: what one calls first comes first)
    "WidthSpace",
    "WidthGroup",
    "WidthCosts",
    "solve_width",
    "width_front",
    "WidthSolution",
    "WidthPoint",
    "LatencyGrid",
    "covering_genomes",
    "time_genomes",
    "Timer",
    "fit_latency_table",
    "LatencyTable",
    "LatencyReport",
    "close_loop",
    "ClosedLoop",
    "LoopRound",
    "Timings",
    "budgeted_model",
    "WidthModel",
    "Narrowing",
    "TemperatureSchedule",
    "greedy_widths",
    "PrunedWidths",
    "uniform_widths",
    "ScaledWidths",
]
