"""The known answers of a width search of AOWS's size (14 layers, 10^15.6 networks, latency between neighbours)."""

from __future__ import annotations

import json
import math
from typing import Any

import pytest

from accelzoo.search import exact
from tests.checkout import ROOT

INSTANCE = ROOT / "../shared/data/aows_instance/mbv1_v100_trt_fp16_b64_width_instance.json"


@pytest.fixture(scope="module")
def instance() -> dict[str, Any]:
    if not INSTANCE.exists():
        pytest.skip("the width-search instance is not at ../shared/data/aows_instance")
    data: dict[str, Any] = json.loads(INSTANCE.read_text(encoding="utf-8"))
    return data


@pytest.fixture(scope="module")
def table(instance: dict[str, Any]) -> exact.AdditiveTable:
    unary, latency = instance["unary"], instance["latency"]
    first = [latency[0][0], *[[0.0] * len(errors) for errors in unary[1:]]]  # the stem has no neighbour before it
    return exact.AdditiveTable.of({"error": unary, "latency_ms": first}, {"latency_ms": latency[1:]})


def test_the_optimum_at_each_latency_is_the_certified_one(instance: dict[str, Any], table: exact.AdditiveTable) -> None:
    assert math.log10(math.prod(table.sizes)) == pytest.approx(15.57, abs=0.01)
    for answer in instance["answers"]:
        found = exact.solve(table, {"latency_ms": answer["T"]})
        assert found.value == pytest.approx(answer["exact_error"], abs=1e-9)
        assert found.best.values["latency_ms"] == pytest.approx(answer["exact_latency"], abs=1e-9)
        # The Lagrangian solution is AOWS's; its dual bound is below the optimum.
        assert found.relaxed is not None
        assert found.relaxed.values["error"] == pytest.approx(answer["lagrangian_error"], abs=1e-9)
        assert found.dual_bound == pytest.approx(answer["dual_bound"], abs=1e-9)


def test_the_answers_of_the_notes(table: exact.AdditiveTable) -> None:
    found = exact.solve(table, {"latency_ms": 0.04})
    assert found.relaxed is not None
    assert found.dual_bound is not None
    figures = (found.value, found.relaxed.values["error"], found.dual_bound)
    assert tuple(round(x, 6) for x in figures) == (0.129318, 0.129635, 0.128468)


def test_integer_programming_agrees(table: exact.AdditiveTable) -> None:
    found = exact.solve(table, {"latency_ms": 0.04}, method="milp")
    assert found.value == exact.solve(table, {"latency_ms": 0.04}).value
    assert found.gap < 1e-6


def test_the_front_holds_every_certified_optimum(instance: dict[str, Any], table: exact.AdditiveTable) -> None:
    front = exact.front(table).values
    for answer in instance["answers"]:
        best = front[front[:, 1] <= answer["T"]][:, 0].min()
        assert best == pytest.approx(answer["exact_error"], abs=1e-9)
