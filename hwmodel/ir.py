"""The operator graph: what a network computes, with shapes, MACs, bytes and the memory it needs alive.

A graph is a value without tensors. Shapes are `(channels, height, width)` at batch 1. Batch normalisation does not
appear: an accelerator runs it folded into the convolution before it. Work is counted in multiply-accumulates (MACs),
never in "FLOPs", of which different authors count one or two per MAC.

This page gathers the parts: the operator (`op`), the graph (`graph`) and what makes graphs (`builder`).
"""

from accelzoo.hwmodel.builder import GraphBuilder
from accelzoo.hwmodel.graph import Graph
from accelzoo.hwmodel.op import (
    ACTIVATIONS,
    BIAS_BITS,
    ELEMENTWISE_KINDS,
    FUNCTIONS,
    INPUT,
    KINDS,
    MATRIX_KINDS,
    POOLINGS,
    RESIZINGS,
    Op,
    Pair,
    Shape,
)

__all__ = [
    "ACTIVATIONS",
    "BIAS_BITS",
    "ELEMENTWISE_KINDS",
    "FUNCTIONS",
    "INPUT",
    "KINDS",
    "MATRIX_KINDS",
    "POOLINGS",
    "RESIZINGS",
    "Graph",
    "GraphBuilder",
    "Op",
    "Pair",
    "Shape",
]
