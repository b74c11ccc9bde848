"""Random graphs: the same everywhere, independent of each other, and over the ranges they promise."""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
import sys
from collections import Counter

import pytest

from accelzoo import draw
from accelzoo.errors import UnknownNameError
from accelzoo.hwmodel import Graph
from accelzoo.hwmodel.ir import KINDS as OPERATOR_KINDS
from accelzoo.hwmodel.measurement import graph_digest
from accelzoo.hwmodel.sampling import KINDS, SPACE_VERSION, draw_sample, fused_ibn_pairs
from accelzoo.hwmodel.sampling.blocks import BLOCK_KINDS, FORMS, append_block, draw_block, draw_style
from accelzoo.hwmodel.sampling.choices import aligned, between, chance, channels, log_between, weighted
from accelzoo.hwmodel.sampling.networks import LARGEST_WEIGHTS_BYTES, OPERATORS
from accelzoo.hwmodel.sampling.operators import DRAWS
from accelzoo.hwmodel.sampling.operators import OPERATOR_KINDS as SAMPLED_KINDS
from tests.checkout import ROOT

DIGESTS = {
    "op": "8ff20757160e4485",
    "block": "c7780072f647d76b",
    "network": "549f6f536ad0e5b4",
    "pairs": "de36515dd3471b4e",
}
"""Of the first samples of seed 0; a change of any of them is a change of `SPACE_VERSION`."""
COUNTS = {"op": 300, "block": 200, "network": 30}


def combined(graphs: list[Graph]) -> str:
    return hashlib.sha256("".join(graph_digest(graph) for graph in graphs).encode()).hexdigest()[:16]


def digests() -> dict[str, str]:
    found = {kind: combined([draw_sample(kind, 0, index).graph for index in range(COUNTS[kind])]) for kind in KINDS}
    return found | {"pairs": combined([graph for pair in fused_ibn_pairs(100, 0) for graph in pair])}


@pytest.fixture(scope="module")
def networks() -> list[Graph]:
    return [draw_sample("network", 1, index).graph for index in range(120)]


def test_equal_seeds_give_equal_graphs_for_ever() -> None:
    assert SPACE_VERSION == 1
    assert digests() == DIGESTS


def test_another_process_draws_the_same() -> None:
    source = "from tests.hwmodel.test_sampling import digests; import json; print(json.dumps(digests()))"
    environment = {**os.environ, "PYTHONHASHSEED": "12345"}
    done = subprocess.run(
        [sys.executable, "-c", source], cwd=ROOT, env=environment, capture_output=True, text=True, check=True
    )
    assert json.loads(done.stdout) == DIGESTS


@pytest.mark.parametrize("kind", KINDS)
def test_samples_do_not_depend_on_each_other(kind: str) -> None:
    forward = [draw_sample(kind, 3, index) for index in range(6)]
    assert [draw_sample(kind, 3, index) for index in reversed(range(6))] == forward[::-1]
    assert draw_sample(kind, 4, 0) != forward[0]
    assert all(sample.source.split(":")[0] == kind for sample in forward)


def test_unknown_kind_is_refused() -> None:
    with pytest.raises(UnknownNameError, match="did you mean 'network'"):
        draw_sample("networks", 0, 0)


def test_networks_have_the_promised_sizes(networks: list[Graph]) -> None:
    macs = sorted(graph.macs / 1e6 for graph in networks)
    assert macs[0] >= 20
    assert macs[-1] <= 5000
    share = sum(size <= 600 for size in macs) / len(macs)
    assert 0.65 < share < 0.9
    assert all(OPERATORS[0] <= len(graph.ops) <= OPERATORS[1] for graph in networks)
    assert all(graph.weight_bytes <= LARGEST_WEIGHTS_BYTES for graph in networks)


def test_networks_cover_what_the_zoo_uses(networks: list[Graph]) -> None:
    ops = [op for graph in networks for op in graph.ops]
    kinds = Counter(op.kind for op in ops)
    assert {*kinds} == {*OPERATOR_KINDS} - {"matmul", "softmax", "opaque"}
    functions = {op.function for op in ops}
    assert functions >= {"relu", "relu6", "silu", "sigmoid", "hard_swish", "hard_sigmoid", "avg", "max", "nearest"}
    convolutions = [op for op in ops if op.kind in ("conv2d", "depthwise_conv2d")]
    assert {op.kernel_size[0] for op in convolutions} == {1, 3, 5, 7}
    assert {op.stride[0] for op in convolutions} == {1, 2}
    ragged = sum(op.out_shape[0] % 8 != 0 for op in convolutions) / len(convolutions)
    assert 0.05 < ragged < 0.3
    resolutions = Counter(graph.input_shape[1] for graph in networks)
    assert resolutions[224] > 20
    assert min(resolutions) < 64
    assert max(resolutions) > 256
    assert max(op.out_shape[0] for op in convolutions) >= 1024


def test_operators_cover_kinds_and_sizes() -> None:
    samples = [draw_sample("op", 1, index) for index in range(1500)]
    assert {sample.source for sample in samples} == {f"op:{kind}" for kind in SAMPLED_KINDS}
    sizes = {sample.graph.input_shape[1] for sample in samples}
    assert min(sizes) == 1
    assert max(sizes) > 256
    assert all(len(sample.graph.ops) <= 3 for sample in samples)
    assert max(sample.graph.macs for sample in samples) < 2e9
    assert len({graph_digest(sample.graph) for sample in samples}) > 1400


def test_blocks_cover_every_form() -> None:
    samples = [draw_sample("block", 1, index) for index in range(400)]
    assert {sample.source for sample in samples} == {f"block:{kind}" for kind in BLOCK_KINDS}
    assert {*FORMS} == {*BLOCK_KINDS}
    assert {*DRAWS} == {*SAMPLED_KINDS}


@pytest.mark.parametrize("kind", BLOCK_KINDS)
def test_a_block_has_the_width_and_stride_it_was_drawn_with(kind: str) -> None:
    from accelzoo.hwmodel import GraphBuilder

    for index in range(60):
        rng = draw.generator(9, index)
        style = draw_style(rng)
        width, out, stride = channels(rng, 8, 128), channels(rng, 8, 128), 1 + index % 2
        builder = GraphBuilder((width, 15, 15))
        end = append_block(builder, "b", builder.input, draw_block(rng, kind, style, width, out, stride), style)
        assert builder.shape(end) == (out, 15 if stride == 1 else 8, 15 if stride == 1 else 8)


def test_pairs_differ_only_in_the_depthwise_convolution() -> None:
    for fused, plain in fused_ibn_pairs(200, 7):
        assert fused.input_shape == plain.input_shape
        assert fused.ops[-1].out_shape == plain.ops[-1].out_shape
        expand, depthwise = fused.ops[0], plain.ops[2]
        assert depthwise.kind == "depthwise_conv2d"
        assert (expand.kernel_size, expand.stride) == (depthwise.kernel_size, depthwise.stride)
        assert expand.out_shape == depthwise.out_shape
        assert plain.ops[0].kernel_size == (1, 1)
        assert [op.kind for op in fused.ops if op.kind == "add"] == [op.kind for op in plain.ops if op.kind == "add"]
        assert fused.macs <= 1_700_000_000
    assert fused_ibn_pairs(3, 7) == fused_ibn_pairs(200, 7)[:3]


def test_choices_keep_to_their_bounds() -> None:
    rng = draw.generator(0)
    assert {between(rng, 3, 5) for _ in range(100)} == {3, 4, 5}
    drawn = [log_between(rng, 3, 100) for _ in range(4000)]
    assert (min(drawn), max(drawn)) == (3, 100)
    octaves = Counter((value // 3).bit_length() for value in drawn)
    # Octaves 3…5, 6…11, 12…23, 24…47, 48…95 alike, and 96…100 with the 5 % of it that are left.
    assert all(0.85 < octaves[place] * 5.05 / 4000 < 1.15 for place in range(1, 6))
    assert 10 < octaves[6] < 80
    assert Counter(weighted(rng, {"a": 3, "b": 1}) for _ in range(4000))["a"] == pytest.approx(3000, abs=120)
    assert sum(chance(rng, 20) for _ in range(4000)) == pytest.approx(800, abs=110)
    assert [aligned(count, 8) for count in (1, 11, 12, 20)] == [8, 8, 16, 24]
