"""Prices networks on accelerators without building them: a graph of operators, a target, and the estimate of both.

Example:
    >>> from accelzoo.hwmodel import GraphBuilder, estimate, load_target
    >>> builder = GraphBuilder((3, 224, 224))
    >>> stem = builder.conv2d("stem", builder.input, 32, kernel_size=3, stride=2)
    >>> cost = estimate(builder.graph(), load_target("edge-npu"))
"""

from accelzoo.hwmodel.analytic import is_supported, price_op
from accelzoo.hwmodel.cost import Cost, OpCost
from accelzoo.hwmodel.estimate import UnsupportedOperatorError, estimate
from accelzoo.hwmodel.ir import Graph, GraphBuilder, Op
from accelzoo.hwmodel.target import Target, list_targets, load_target

__all__ = [
    "Cost",
    "Graph",
    "GraphBuilder",
    "Op",
    "OpCost",
    "Target",
    "UnsupportedOperatorError",
    "estimate",
    "is_supported",
    "list_targets",
    "load_target",
    "price_op",
]
