"""Every built-in target keeps the contract, and the contract catches estimators that break it."""

from __future__ import annotations

import functools
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import pytest

from accelzoo.hwmodel import Cost, Graph, OpCost, Target, calibrate, estimate, list_targets, load_target
from accelzoo.hwmodel.conformance import BuiltInTargetContract, TargetContract, is_far_larger, small_network
from accelzoo.hwmodel.learned import Correction, register
from tests.hwmodel.fitted import FittedPart
from tests.hwmodel.networks import TOY


class TestBuiltInTargets(BuiltInTargetContract):
    @pytest.fixture(params=list_targets())
    def target(self, request: pytest.FixtureRequest) -> Target:
        return load_target(request.param)


class TestTinyMemories(TargetContract):
    """Nearly everything spills and streams."""

    @pytest.fixture
    def target(self) -> Target:
        return replace(
            TOY,
            weights_in="sram",
            weight_sram_bytes=100,
            sram_bytes=1000,
            sram_bytes_per_s=8e9,
            dram_bytes_per_s=1e9,
            energy_per_sram_byte_j=1e-12,
            energy_per_dram_byte_j=1e-10,
            static_power_w=1e-3,
        )


class TestTargetThatRunsConvolutionsOnly(TargetContract):
    @pytest.fixture
    def target(self) -> Target:
        return replace(TOY, unsupported=("activation", "pool", "linear", "add", "mul"))


class TestTargetThatRunsNoneOfTheNewerKinds(TargetContract):
    @pytest.fixture
    def target(self) -> Target:
        return replace(TOY, unsupported=("matmul", "softmax", "concat", "resize:bilinear", "pool:max"))


class PlacingPart(FittedPart):
    """Prices operators of more than 10,000 MACs a tenth lower; everything is placed in `placed_bytes`."""

    def __init__(self, placed_bytes: int) -> None:
        super().__init__({"placed_bytes": placed_bytes})

    def price(self, graph: Graph, target: Target, rows: Sequence[OpCost]) -> Correction:
        cheaper = [row._replace(latency_s=(0.9 if row.macs > 10_000 else 1.0) * row.latency_s) for row in rows]
        return Correction(cheaper, (), (self.facts["placed_bytes"],) * len(graph.ops))


def placing(placed_bytes: int) -> Target:
    return replace(TOY, learned=register(PlacingPart(placed_bytes)))


class TestTargetThatLearned(TargetContract):
    """It is not monotone, and places more than is alive, or less."""

    @pytest.fixture(params=[1000, 10_000_000])
    def target(self, request: pytest.FixtureRequest) -> Target:
        return placing(request.param)


@functools.cache
def calibrated() -> Target:
    prior = load_target("edge-npu")
    graphs = [small_network(width, size) for width in (16, 24, 40) for size in (28, 56, 64, 112)]
    return calibrate(graphs, [1.5 * estimate(graph, prior).latency_s for graph in graphs], prior)


class TestCalibratedTarget(TargetContract):
    @pytest.fixture
    def target(self) -> Target:
        return calibrated()


def test_what_was_learned_may_not_be_monotone_but_what_is_on_paper_must() -> None:
    def estimate_on_paper(graph: Graph, target: Target, *, strict: bool = False) -> Cost:
        return estimate(graph, placing(1000), strict=strict)

    contract = TargetContract()
    contract.estimate = estimate_on_paper
    contract.test_more_channels_never_cost_less(placing(1000))
    with pytest.raises(AssertionError, match="is faster than"):
        contract.test_more_channels_never_cost_less(TOY)


def _broken(change: dict[str, Any]) -> type[TargetContract]:
    class Broken(TargetContract):
        @staticmethod
        def estimate(graph: Graph, target: Target, *, strict: bool = False) -> Cost:
            cost = estimate(graph, target, strict=strict)
            return replace(cost, **{key: value(cost) for key, value in change.items()})

    return Broken


@pytest.mark.parametrize(
    ("test", "change"),
    [
        ("test_facts_of_the_graph_pass_through", {"macs": lambda cost: cost.macs + 1}),
        ("test_facts_of_the_graph_pass_through", {"by_op": lambda cost: cost.by_op[1:]}),
        ("test_totals_are_the_rows_added_from_left_to_right", {"latency_s": lambda cost: cost.latency_s * 1.0001}),
        ("test_more_channels_never_cost_less", {"latency_s": lambda cost: 1 / cost.latency_s}),
        ("test_higher_resolution_never_costs_less", {"latency_s": lambda cost: 1 / cost.latency_s}),
        ("test_more_macs_of_one_kind_never_cost_less", {"latency_s": lambda cost: 1 / cost.latency_s}),
        ("test_operators_that_cannot_run_are_named", {"unpriced": lambda cost: ()}),
        (
            "test_larger_operators_of_the_other_kinds_never_cost_less",
            {"latency_s": lambda cost: 1 / (1 + cost.latency_s)},
        ),
        (
            "test_every_row_takes_time_and_energy_or_says_why_not",
            {"by_op": lambda cost: tuple([row._replace(latency_s=0.0) for row in cost.by_op])},
        ),
    ],
)
def test_the_contract_catches(test: str, change: dict[str, Any]) -> None:
    with pytest.raises(AssertionError):
        getattr(_broken(change)(), test)(load_target("edge-npu"))


@pytest.mark.parametrize(
    ("test", "change"),
    [
        ("test_facts_of_the_graph_pass_through", {"weight_bytes": lambda cost: cost.weight_bytes + 1}),
        ("test_facts_of_the_graph_pass_through", {"extrapolated": lambda cost: ("nothing",)}),
        ("test_facts_of_the_graph_pass_through", {"peak_activation_bytes": lambda cost: 999}),
        ("test_a_far_larger_network_never_costs_less", {"latency_s": lambda cost: 1 / cost.latency_s}),
        ("test_a_far_larger_network_never_costs_less", {"energy_j": lambda cost: 1 / cost.macs}),
    ],
)
def test_the_contract_catches_of_a_target_that_learned(test: str, change: dict[str, Any]) -> None:
    getattr(TargetContract(), test)(placing(1000))
    with pytest.raises(AssertionError):
        getattr(_broken(change)(), test)(placing(1000))


def test_a_network_is_far_larger_if_it_contains_the_other_and_four_times_its_work() -> None:
    assert is_far_larger(small_network(32, 56), small_network(8, 56))
    assert is_far_larger(small_network(32, 112), small_network(8, 56))
    assert not is_far_larger(small_network(31, 56), small_network(8, 56))
    assert not is_far_larger(small_network(8, 112), small_network(8, 56))  # the classifier is the same
    assert not is_far_larger(small_network(128, 28), small_network(8, 56))
