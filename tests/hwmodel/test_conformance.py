"""Every built-in target keeps the contract, and the contract catches estimators that break it."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from accelzoo.hwmodel import Cost, Graph, Target, estimate, list_targets, load_target
from accelzoo.hwmodel.conformance import BuiltInTargetContract, TargetContract
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
            "test_every_row_takes_time_and_energy_or_says_why_not",
            {"by_op": lambda cost: tuple([row._replace(latency_s=0.0) for row in cost.by_op])},
        ),
    ],
)
def test_the_contract_catches(test: str, change: dict[str, Any]) -> None:
    with pytest.raises(AssertionError):
        getattr(_broken(change)(), test)(load_target("edge-npu"))
