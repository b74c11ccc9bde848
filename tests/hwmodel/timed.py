"""Random small networks and made-up devices whose latency is known operator by operator."""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt

from accelzoo import draw
from accelzoo.hwmodel import Graph, GraphBuilder, Op, Target, estimate, load_target
from accelzoo.hwmodel.calibrate import Calibration

PRIOR = load_target("camera-npu")


def random_graph(rng: np.random.Generator, size: int = 64) -> Graph:
    """Inverted bottlenecks of random kernels, widths and depths, some with squeeze-excite."""
    graph = GraphBuilder((3, size, size))
    x = graph.activation("stem.act", graph.conv2d("stem", graph.input, 16, 3, 2), "relu")
    for stage, channels in enumerate((16, 24, 40, 64)):
        expansion, kernel_size = (2, 4, 6)[draw.below(rng, 3)], (3, 5)[draw.below(rng, 2)]
        squeeze = draw.below(rng, 2)
        for layer in range(1 + draw.below(rng, 3)):
            path, start, wide = f"{stage}.{layer}.", x, graph.shape(x)[0] * expansion
            x = graph.activation(f"{path}a", graph.conv2d(f"{path}expand", x, wide), "relu")
            x = graph.conv2d(f"{path}depthwise", x, wide, kernel_size, 1 if layer else 2, groups=wide)
            if squeeze:
                gate = graph.conv2d(f"{path}reduce", graph.global_pool(f"{path}pool", x), 8)
                gate = graph.activation(f"{path}gate", graph.conv2d(f"{path}excite", gate, wide), "sigmoid")
                x = graph.mul(f"{path}scale", x, gate)
            x = graph.conv2d(f"{path}project", x, channels)
            if layer:
                x = graph.add(f"{path}add", start, x)
    graph.linear("classifier", graph.global_pool("pool", x), 10)
    return graph.graph()


def random_graphs(count: int, seed: int = 0) -> list[Graph]:
    """Seeded random networks."""
    rng = draw.generator(seed)
    return [random_graph(rng) for _ in range(count)]


def device_op_s(op: Op) -> float:
    """A device unlike any built-in target: slow windows, very slow gates, a start for each operator."""
    positions = op.out_shape[1] * op.out_shape[2]
    if op.kind == "activation" and op.function == "relu":
        return 0.0
    if op.kind in ("conv2d", "linear"):
        return 3e-6 + op.macs / 40e9 * (1 + 8 / op.out_shape[0])
    if op.kind == "depthwise_conv2d":
        return 5e-6 + op.macs / 3e9 + op.output_bytes / 4e9
    if op.kind in ("mul", "pool"):
        return 2e-6 + math.prod(op.in_shape) * (2e-9 if positions > 256 else 0.8e-9)
    return 1e-6 + math.prod(op.out_shape) * 0.5e-9


def device_s(graphs: list[Graph], overhead_s: float = 2e-4) -> npt.NDArray[np.float64]:
    """Seconds of networks on that device."""
    return np.array([overhead_s + math.fsum(map(device_op_s, graph.ops)) for graph in graphs])


def paper_s(graphs: list[Graph], target: Target, factor: float) -> npt.NDArray[np.float64]:
    """Seconds on a device that is a target, only slower."""
    return np.array([factor * estimate(graph, target).latency_s for graph in graphs])


def errors_of(fitted: Calibration, graphs: list[Graph], truth_s: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """Relative errors of what a calibration predicts."""
    errors: npt.NDArray[np.float64] = np.array([fitted.latency_s(graph) for graph in graphs]) / truth_s - 1
    return errors
