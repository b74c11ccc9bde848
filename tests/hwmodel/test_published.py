"""What others measured on accelerators of these classes must follow from the built-in targets."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pytest

from accelzoo import draw
from accelzoo.hwmodel import Graph, Target, estimate, load_target
from tests.hwmodel.networks import (
    MOBILENET_V2_STAGES,
    bottleneck,
    conv,
    mobilenet_v1,
    mobilenet_v2,
    resnet50,
    vgg16,
)

EARLY_TO_LATE = ((16, 112), (24, 56), (40, 28), (112, 14), (160, 7))
"""(channels, height and width) of the blocks of a mobile network."""


def latency_s(graph: Graph, target: Target) -> float:
    return estimate(graph, target, strict=True).latency_s


def fused_over_depthwise(channels: int, size: int, expansion: int, target: Target) -> float:
    fused, depthwise = (bottleneck(channels, size, expansion, fused=fused) for fused in (True, False))
    return latency_s(fused, target) / latency_s(depthwise, target)


@pytest.mark.parametrize("expansion", [4, 6])
def test_fusing_pays_early_and_costs_late_on_an_edge_npu(expansion: int) -> None:
    # Measured ratios from early to late blocks on an Edge TPU: 0.33, 0.47, 0.76, 1.35, 2.83. The target's `rows_hold:
    # window` was chosen in view of them, so their order checks the model's form and is no independent prediction.
    ratios = [fused_over_depthwise(*block, expansion, load_target("edge-npu")) for block in EARLY_TO_LATE]
    assert [ratio < 1 for ratio in ratios] == [True, True, True, False, False]
    assert ratios == sorted(ratios)
    assert ratios[0] < 0.5
    assert ratios[-1] > 1.5


@pytest.mark.parametrize("expansion", [4, 6])
@pytest.mark.parametrize("block", EARLY_TO_LATE)
def test_fusing_never_pays_on_a_cpu(block: tuple[int, int], expansion: int) -> None:
    assert fused_over_depthwise(*block, expansion, load_target("mobile-cpu")) > 2


def random_network(rng: np.random.Generator) -> Graph:
    width = (0.5, 0.75, 1.0, 1.4)[draw.below(rng, 4)]
    stages = tuple(
        (expansion if expansion == 1 else 3 + draw.below(rng, 4), int(channels * width), 1 + draw.below(rng, 4), stride)
        for expansion, channels, _, stride in MOBILENET_V2_STAGES
    )
    fused_stages = frozenset(index for index in range(1, len(stages)) if draw.below(rng, 3) == 0)
    return mobilenet_v2(stages, (128, 160, 192, 224)[draw.below(rng, 4)], fused_stages)


def spearman(first: Sequence[float], second: Sequence[float]) -> float:
    ranks = [np.argsort(np.argsort(values)) for values in (first, second)]
    return float(np.corrcoef(ranks[0], ranks[1])[0, 1])


def test_macs_predict_latency_on_a_cpu_but_not_on_npus() -> None:
    # MACs mislead on edge accelerators: Gupta & Akin, "Accelerator-aware neural network design using AutoML", 2020.
    rng = np.random.Generator(np.random.PCG64(0))
    networks = [random_network(rng) for _ in range(40)]
    macs = [network.macs for network in networks]
    found = {
        name: spearman(macs, [latency_s(network, load_target(name)) for network in networks])
        for name in ("mobile-cpu", "edge-npu", "camera-npu")
    }
    assert found["mobile-cpu"] > 0.99
    assert found["edge-npu"] < 0.95
    assert found["camera-npu"] < 0.98


@pytest.mark.parametrize(
    ("network", "measured_ms"), [(mobilenet_v1(), 2.4), (mobilenet_v2(), 2.6), (resnet50(299), 49), (vgg16(), 296)]
)
def test_an_edge_npu_is_about_as_fast_as_a_coral_accelerator(network: Graph, measured_ms: float) -> None:
    # Coral documentation, "Edge TPU performance benchmarks", USB accelerator on a desktop. Small networks take longer
    # there by sending the image and calling the driver, neither of which is modelled.
    ratio = latency_s(network, load_target("edge-npu")) / (1e-3 * measured_ms)
    assert 0.4 < ratio < 1.2


def steps(latencies_s: Sequence[float]) -> set[int]:
    """Returns the channel counts, from 1 on, that take longer than one channel less; nothing may get faster."""
    assert list(latencies_s) == sorted(latencies_s)
    return {index + 1 for index in range(1, len(latencies_s)) if latencies_s[index] > latencies_s[index - 1]}


def compute_bound_latencies_s(graphs: Sequence[Graph], target: Target) -> list[float]:
    costs = [estimate(graph, target) for graph in graphs]
    assert {row.bound for cost in costs for row in cost.by_op} == {"compute"}
    return [cost.latency_s for cost in costs]


CHANNELS = range(1, 129)


@pytest.mark.parametrize(("name", "tile"), [("camera-npu", 8), ("edge-npu", 64)])
def test_output_channels_cost_in_steps_of_a_tile(name: str, tile: int) -> None:
    graphs = [conv(128, channels, 28, 5) for channels in CHANNELS]
    expected = {channels for channels in CHANNELS if channels > 1 and (channels - 1) % tile == 0}
    assert steps(compute_bound_latencies_s(graphs, load_target(name))) == expected


@pytest.mark.parametrize(("name", "tile"), [("camera-npu", 8), ("edge-npu", 64)])
def test_input_channels_cost_in_steps_of_a_tile(name: str, tile: int) -> None:
    graphs = [conv(channels, 128, 28, 5) for channels in CHANNELS]
    target = replace(load_target(name), rows_hold="channels")
    expected = {channels for channels in CHANNELS if channels > 1 and (channels - 1) % tile == 0}
    assert steps(compute_bound_latencies_s(graphs, target)) == expected


def test_a_window_over_the_rows_makes_finer_steps() -> None:
    # 25 terms per input channel: 64 rows are full after 2.56 channels.
    graphs = [conv(channels, 128, 28, 5) for channels in CHANNELS]
    tiles = [-(-25 * channels // 64) for channels in CHANNELS]
    expected = {channels for channels in CHANNELS if channels > 1 and tiles[channels - 1] > tiles[channels - 2]}
    target = replace(load_target("edge-npu"), sram_bytes_per_s=1e12)
    assert steps(compute_bound_latencies_s(graphs, target)) == expected


def test_peak_rates_are_those_of_the_data_sheets() -> None:
    # Two operations per MAC: 4 TOPS (Coral data sheet); 0.5 TOPS at 1 GHz, so half of it at 500 MHz (Arm Ethos-U55).
    tops = {name: 2e-12 * load_target(name).peak_macs_per_s for name in ("edge-npu", "camera-npu")}
    assert tops == {"edge-npu": pytest.approx(4, rel=0.02), "camera-npu": pytest.approx(0.25, rel=0.03)}


def test_peak_power_of_the_edge_npu_is_that_of_the_data_sheet() -> None:
    target = load_target("edge-npu")
    watts = target.static_power_w + target.energy_per_mac_j * target.peak_macs_per_s
    assert watts == pytest.approx(2, rel=0.02)
