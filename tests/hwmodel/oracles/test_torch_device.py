"""PyTorch: the module built from a graph computes it, and its time is measured."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn import functional as F

from accelzoo.errors import DataError
from accelzoo.hwmodel import Graph, GraphBuilder, Op, oracles
from accelzoo.hwmodel.oracles import MissingToolError
from accelzoo.hwmodel.oracles.conformance import OracleContract
from accelzoo.hwmodel.oracles.protocol import Oracle
from accelzoo.hwmodel.oracles.torch_device import TorchDevice, build_module
from accelzoo.hwmodel.sampling import draw_sample
from tests.hwmodel.networks import conv

QUICK: dict[str, Any] = {"repeats": 5, "warmup_s": 0.0, "repeat_s": 0.0005}


class TestTorchCpu(OracleContract):
    deterministic = False
    rows = "none"

    @pytest.fixture
    def oracle(self) -> Oracle:
        return oracles.load("torch-cpu", "torch-cpu", **QUICK)


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
class TestTorchCuda(TestTorchCpu):
    @pytest.fixture
    def oracle(self) -> Oracle:
        return oracles.load("torch-cuda", "torch-cuda", **QUICK)


@pytest.mark.slow
def test_a_compiled_network_is_measured() -> None:
    measured = oracles.load("torch-cpu", "torch-cpu-compiled", **QUICK).measure(conv(8, 8, 14, 3))
    assert measured.latency_s > 0


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a CUDA device")
def test_a_missing_device_is_said() -> None:
    with pytest.raises(MissingToolError, match="no CUDA device"):
        oracles.load("torch-cuda", "torch-cuda")


@pytest.mark.parametrize("settings", [{"threads": 0}, {"repeats": 2}, {"warmup_s": -1.0}])
def test_settings_out_of_range_are_refused(settings: dict[str, Any]) -> None:
    with pytest.raises(DataError, match="must be at least"):
        oracles.load("torch-cpu", "torch-cpu", **settings)


@pytest.mark.parametrize("kind", ["op", "block"])
def test_modules_have_the_shapes_of_their_graphs(kind: str) -> None:
    for index in range(40):
        graph = draw_sample(kind, 11, index).graph
        if graph.macs > 50_000_000:
            continue
        with torch.inference_mode():
            *_, y = build_module(graph)(torch.randn(1, *graph.input_shape))
        assert tuple(y.shape[1:]) == graph.ops[-1].out_shape


def test_a_network_computes_what_torch_computes() -> None:
    builder = GraphBuilder((3, 17, 17))
    x = builder.activation("act", builder.conv2d("conv", builder.input, 8, 3, 2), "hard_swish")
    y = builder.conv2d("depthwise", x, 8, 5, groups=8)
    x = builder.concat("concat", [builder.add("add", y, x), x])
    x = builder.resize("resize", builder.pool("pool", x, 3, 2, "max"), (9, 9), "bilinear")
    builder.linear("linear", builder.global_pool("global", x), 4)
    module = build_module(builder.graph())
    layers: dict[str, Any] = dict(module.named_children())
    x_in = torch.randn(1, 3, 17, 17, generator=torch.Generator().manual_seed(0))
    a = F.hardswish(layers["op0"](x_in))
    assert layers["op0"].padding == (1, 1)
    b = torch.cat((layers["op2"](a) + a, a), 1)
    c = F.interpolate(F.max_pool2d(b, 3, 2, 1), (9, 9), mode="bilinear")
    expected = layers["op8"](c.mean((2, 3)))
    (found,) = module(x_in)
    np.testing.assert_allclose(found.flatten().detach(), expected.flatten().detach(), rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize(
    ("in_size", "out_size", "kernel_size", "stride"),
    [(14, 7, 3, 2), (14, 6, 3, 2), (13, 7, 3, 2), (9, 7, 3, 1), (8, 4, 2, 2)],
)
def test_any_padding_gives_the_map_that_the_graph_says(
    in_size: int, out_size: int, kernel_size: int, stride: int
) -> None:
    window: dict[str, Any] = {"kernel_size": (kernel_size, kernel_size), "stride": (stride, stride)}
    shapes = ((4, in_size, in_size),), (4, out_size, out_size)
    ops = [
        Op("conv", "conv2d", ("input",), *shapes, **window),
        Op("max", "pool", ("input",), *shapes, **window, function="max"),
        Op("avg", "pool", ("input",), *shapes, **window, function="avg"),
    ]
    for op in ops:
        (y,) = build_module(Graph([op], (4, in_size, in_size)))(torch.randn(1, 4, in_size, in_size))
        assert y.shape == (1, 4, out_size, out_size)
        assert torch.isfinite(y).all()


def test_a_module_of_ones_own_is_timed() -> None:
    oracle = TorchDevice("torch-cpu", **QUICK)
    threads = torch.get_num_threads()
    timing = oracle.time_module(nn.Conv2d(3, 8, 3), (3, 32, 32))
    assert timing.latency_s > 0
    assert timing.spread >= 0
    assert oracle.measure(conv(3, 8, 32, 3), nn.Conv2d(3, 8, 3, padding=1)).latency_s > 0
    assert torch.get_num_threads() == threads


def test_the_provenance_names_the_machine() -> None:
    provenance = oracles.load("torch-cpu", "torch-cpu").provenance
    assert provenance.tool == f"torch-{torch.__version__}"
    assert provenance.settings["threads"] == 1
    assert provenance.host
