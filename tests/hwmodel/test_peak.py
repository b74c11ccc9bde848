"""Placement of activations: closed forms of small graphs, and settings found again from what they give."""

from __future__ import annotations

import dataclasses
import json

import pytest

from accelzoo.hwmodel import Graph, GraphBuilder
from accelzoo.hwmodel.peak import PeakModel, fit_peak, steps
from accelzoo.hwmodel.sampling import draw_sample
from accelzoo.hwmodel.subgraph import Fusions, Subgraph, split

RELU: Fusions = frozenset({("conv2d", "activation:relu")})
APART: Fusions = frozenset()
NOTHING = PeakModel(in_place=frozenset())


def alive(model: PeakModel, graph: Graph, fusions: Fusions = APART) -> tuple[int, ...]:
    pieces = split(graph, fusions)
    return model.by_operator(pieces, steps(graph, pieces, model.channel_unit))


def residual() -> Graph:
    """20 channels of 5 × 5, 500 bytes a map; weights 400 + 80, 400 + 80 bytes."""
    builder = GraphBuilder((20, 5, 5))
    x = builder.activation("act", builder.conv2d("first", builder.input, 20), "relu")
    builder.add("add", builder.conv2d("second", x, 20), builder.input)
    return builder.graph()


def test_every_map_stands_beside_what_is_still_read() -> None:
    # The input lives to the end: first 500 + 500; act and second have two maps and their own; so has the addition.
    assert alive(NOTHING, residual()) == (1000, 1500, 1500, 1500)


def test_kinds_in_place_write_over_what_dies() -> None:
    assert alive(PeakModel(in_place=frozenset({"add"})), residual()) == (1000, 1500, 1500, 1000)
    assert alive(PeakModel(), residual()) == (1000, 1000, 1500, 1000)


def test_a_map_of_another_size_or_still_needed_is_not_written_over() -> None:
    builder = GraphBuilder((8, 4, 4))
    gate = builder.conv2d("gate", builder.global_pool("pool", builder.input), 8)
    wide = builder.mul("mul", builder.input, gate)
    kept = builder.activation("kept", wide, "relu")
    builder.add("add", kept, wide)
    # 128 bytes a map, 8 a gate: mul writes over the dying input, but kept must leave mul's output for add.
    assert alive(PeakModel(), builder.graph()) == (136, 144, 136, 256, 256)


def test_the_default_is_the_graphs_own_count() -> None:
    for index in range(4):
        graph = draw_sample("network", 2, index).graph
        assert alive(PeakModel(), graph) == graph.live_bytes()


def test_operators_of_a_subgraph_share_its_bytes_and_the_map_between_them_is_never_there() -> None:
    assert alive(NOTHING, residual(), RELU) == (1000, 1000, 1500, 1500)


def test_channels_are_stored_in_whole_units_but_for_the_networks_own() -> None:
    # Maps of 20 channels take 32 · 25 = 800 bytes; the network's input and its output are as dense as they come.
    units = PeakModel(in_place=frozenset(), channel_unit=16)
    assert alive(units, residual()) == (500 + 800, 500 + 800 + 800, 500 + 800 + 800, 500 + 800 + 500)


def test_weights_are_staged_beside_activations() -> None:
    staged = dataclasses.replace(NOTHING, staged=0.5, staged_ahead=1.0)
    assert alive(staged, residual()) == (1000 + 240, 1500 + 480, 1500 + 240, 1500)
    limited = dataclasses.replace(staged, staged_limit_bytes=100)
    assert alive(limited, residual()) == (1000 + 50, 1500 + 100, 1500 + 50, 1500)


def test_half_a_byte_is_one_more() -> None:
    builder = GraphBuilder((1, 1, 1))
    builder.conv2d("conv", builder.input, 1, bias=False)
    assert alive(dataclasses.replace(NOTHING, staged=0.5), builder.graph()) == (3,)


def test_no_more_than_there_is() -> None:
    assert alive(dataclasses.replace(NOTHING, cap_bytes=1200), residual()) == (1000, 1200, 1200, 1200)


def test_an_output_that_nothing_reads_is_gone_at_once() -> None:
    builder = GraphBuilder((8, 4, 4))
    builder.conv2d("unread", builder.input, 32)
    builder.conv2d("last", builder.input, 8)
    assert alive(NOTHING, builder.graph()) == (128 + 512, 256)


def samples(model: PeakModel, count: int = 12, fusions: Fusions = RELU) -> list[tuple[Graph, list[Subgraph], int]]:
    found = []
    for index in range(count):
        graph = draw_sample("network", 3, index).graph
        pieces = split(graph, fusions)
        found.append((graph, pieces, max(alive(model, graph, fusions))))
    return found


@pytest.mark.parametrize(
    "planted",
    [
        PeakModel(),
        PeakModel(in_place=frozenset(), channel_unit=16),
        PeakModel(in_place=frozenset({"add"}), staged=1.0),
        PeakModel(staged_ahead=1.0, staged_limit_bytes=1 << 16, channel_unit=16),
    ],
    ids=["plain", "bricks", "staged", "ahead"],
)
def test_fitting_explains_what_a_known_tool_says(planted: PeakModel, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("accelzoo.hwmodel.peak.STAGED_LIMITS", (1 << 16, 1 << 30))
    told = samples(planted, 8)
    found = fit_peak(told)
    for graph, _, measured in told:  # which of several settings that all explain them is anyone's guess
        assert max(alive(found, graph, RELU)) == pytest.approx(measured, rel=0.05)
    assert found.channel_unit == planted.channel_unit


def test_a_memory_that_most_networks_fill_is_seen() -> None:
    planted = PeakModel(cap_bytes=400_000)
    measured = samples(planted)
    assert sum(peak == planted.cap_bytes for _, _, peak in measured) >= 3
    assert fit_peak(measured).cap_bytes == planted.cap_bytes
    assert fit_peak(samples(PeakModel())).cap_bytes is None


def test_without_measurements_the_graphs_own_count_stands() -> None:
    assert fit_peak([]) == PeakModel()


def test_models_survive_json() -> None:
    for model in (PeakModel(), dataclasses.replace(NOTHING, staged=0.5, cap_bytes=7, channel_unit=16)):
        assert PeakModel.from_json(json.loads(json.dumps(model.to_json()))) == model
