"""Prices networks on accelerators without building them: a graph of operators, a target, and the estimate of both.

Example:
    >>> from accelzoo.hwmodel import GraphBuilder, estimate, load_target
    >>> builder = GraphBuilder((3, 224, 224))
    >>> stem = builder.conv2d("stem", builder.input, 32, kernel_size=3, stride=2)
    >>> cost = estimate(builder.graph(), load_target("edge-npu"))
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from accelzoo import lazy
from accelzoo.hwmodel.analytic import is_supported, price_op
from accelzoo.hwmodel.cost import Cost, OpCost
from accelzoo.hwmodel.estimate import UnsupportedOperatorError, estimate
from accelzoo.hwmodel.ir import Graph, GraphBuilder, Op
from accelzoo.hwmodel.target import Target, list_targets, load_target

if TYPE_CHECKING:
    from accelzoo.hwmodel.calibrate import calibrate
    from accelzoo.hwmodel.fit import fit
    from accelzoo.hwmodel.measurement import Measurement
    from accelzoo.hwmodel.measurements import Measurements
    from accelzoo.hwmodel.table import CostTable
    from accelzoo.hwmodel.validate import Report, validate

# What pricing does not need. Three functions are called like their modules: `accelzoo.hwmodel.fit` is the function.
lazy.bind(
    __name__,
    {
        "CostTable": "table",
        "Measurement": "measurement",
        "Measurements": "measurements",
        "Report": "validate",
        "calibrate": "calibrate",
        "fit": "fit",
        "validate": "validate",
    },
)

__all__ = [
    "Cost",
    "CostTable",
    "Graph",
    "GraphBuilder",
    "Measurement",
    "Measurements",
    "Op",
    "OpCost",
    "Report",
    "Target",
    "UnsupportedOperatorError",
    "calibrate",
    "estimate",
    "fit",
    "is_supported",
    "list_targets",
    "load_target",
    "price_op",
    "validate",
]


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
