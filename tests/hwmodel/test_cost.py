"""Cost: an additive value that survives JSON."""

from __future__ import annotations

import dataclasses
import json
from typing import Any

import pytest

from accelzoo.errors import DataError
from accelzoo.hwmodel import Cost, OpCost, estimate, load_target
from tests.hwmodel.networks import bottleneck

ROW = OpCost("conv", "conv2d", 3.0, 2.0, 1.0, 1.0, 0.5, 100, 10, 20, 30, 0.25, "compute")
ONE = Cost(
    latency_s=1.5,
    energy_j=0.25,
    peak_activation_bytes=100,
    weight_bytes=10,
    dram_bytes=7,
    macs=1000,
    unpriced=("a (pool:max)",),
    by_op=(ROW,),
)
TWO = Cost(
    latency_s=2.0, energy_j=0.5, peak_activation_bytes=60, weight_bytes=3, dram_bytes=1, macs=24, unpriced=("b (mul)",)
)


def test_addition_sums_and_takes_the_larger_peak() -> None:
    expected = Cost(
        latency_s=3.5,
        energy_j=0.75,
        peak_activation_bytes=100,
        weight_bytes=13,
        dram_bytes=8,
        macs=1024,
        unpriced=("a (pool:max)", "b (mul)"),
        by_op=(ROW,),
    )
    assert expected == ONE + TWO


def test_what_is_extrapolated_is_named_by_both_parts() -> None:
    far, near = dataclasses.replace(ONE, extrapolated=("stem", "conv")), dataclasses.replace(TWO, extrapolated=("fc",))
    assert (far + near).extrapolated == ("stem", "conv", "fc")
    assert (far + TWO).extrapolated == (TWO + far).extrapolated == ("stem", "conv")
    assert dataclasses.replace(far + near, extrapolated=()) == ONE + TWO
    assert far != ONE


def test_json_names_what_is_extrapolated_only_where_something_is() -> None:
    assert "extrapolated" not in ONE.to_json()
    assert dataclasses.replace(ONE, extrapolated=("stem",)).to_json() == {**ONE.to_json(), "extrapolated": ["stem"]}
    assert Cost.from_json(ONE.to_json()).extrapolated == ()  # as older files have it
    assert "extrapolated" not in Cost.fields()


def test_zero_changes_nothing() -> None:
    assert Cost.zero() + ONE == ONE + Cost.zero() == ONE
    assert sum([ONE, TWO], Cost.zero()) == ONE + TWO


def test_costs_add_only_to_costs() -> None:
    with pytest.raises(TypeError):
        ONE + 1  # type: ignore[operator]


def test_costs_are_frozen_and_hashable() -> None:
    with pytest.raises(dataclasses.FrozenInstanceError):
        ONE.macs = 3  # type: ignore[misc]
    assert hash(ONE) == hash(dataclasses.replace(ONE))


def test_fields_are_the_numbers() -> None:
    numbers = [field.name for field in dataclasses.fields(Cost) if field.type in ("int", "float")]
    assert list(Cost.fields()) == numbers


def test_json_round_trip_is_exact() -> None:
    named = dataclasses.replace(ONE, extrapolated=("conv", "fc"))
    for cost in (Cost.zero(), ONE, named, estimate(bottleneck(24, 56, 6, fused=False), load_target("edge-npu"))):
        assert Cost.from_json(json.loads(json.dumps(cost.to_json()))) == cost


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"latancy_s": 1.0}, "unknown field 'latancy_s'; did you mean 'latency_s'"),
        ({"by_op": [{"name": "conv"}]}, "row of a cost: missing kind, latency_s"),
    ],
)
def test_json_that_is_no_cost_is_refused(change: dict[str, Any], message: str) -> None:
    with pytest.raises(DataError, match=message):
        Cost.from_json({**ONE.to_json(), **change})


def test_missing_fields_are_named() -> None:
    with pytest.raises(DataError, match="missing latency_s, macs"):
        Cost.from_json({key: value for key, value in ONE.to_json().items() if key not in ("latency_s", "macs")})
