"""The comparison of baseline and winner, against numbers worked out by hand."""

from __future__ import annotations

import json
import math
from dataclasses import replace

import pytest

from accelzoo.hwmodel import Cost
from accelzoo.recipes.report import Comparison, Scored, markdown_table
from accelzoo.tasks.metrics import Metrics


def metrics(*correct: int) -> tuple[Metrics, ...]:
    return tuple(Metrics(correct=number, count=1000, loss=0.5) for number in correct)


BASELINE = Scored(
    cost=Cost(latency_s=2e-3, energy_j=80e-6, peak_activation_bytes=4096, weight_bytes=20480, macs=4_000_000),
    validation=metrics(700, 710, 720),
    test=metrics(800, 820, 840),  # mean 0.82, deviation 0.02
)
WINNER = Scored(
    cost=Cost(latency_s=1e-3, energy_j=100e-6, peak_activation_bytes=1024, weight_bytes=20480, macs=3_000_000),
    validation=metrics(705, 715, 725),
    test=metrics(840, 850, 860),  # mean 0.85, deviation 0.01
)
COMPARISON = Comparison(target="npu", data="digits", baseline=BASELINE, winner=WINNER)
TABLE = """\
|                                    |     baseline |       winner |              change |
| ---------------------------------- | -----------: | -----------: | ------------------: |
| weights (KiB)                      |           20 |           20 |               +0.0% |
| peak activations (KiB)             |            4 |            1 |              -75.0% |
| latency (ms)                       |            2 |            1 |              -50.0% |
| energy (µJ)                        |           80 |          100 |              +25.0% |
| MACs (M)                           |            4 |            3 |              -25.0% |
| test top-1 (%; 3 seeds, n = 1,000) | 82.00 ± 2.00 | 85.00 ± 1.00 | +3.00 ± 1.29 points |
"""


def one_seed(scored: Scored) -> Scored:
    return replace(scored, validation=scored.validation[:1], test=scored.test[:1])


def test_reductions() -> None:
    expected = {"weight_bytes": 0, "peak_activation_bytes": 0.75, "latency_s": 0.5, "energy_j": -0.25, "macs": 0.25}
    assert COMPARISON.reductions() == pytest.approx(expected)


def test_accuracy_gain_and_its_standard_error() -> None:
    gain, error = COMPARISON.accuracy_gain()
    assert gain == pytest.approx(0.03)
    assert error == pytest.approx(math.sqrt((0.02**2 + 0.01**2) / 3))  # Welch: the variances of both means add up


def test_plain_data() -> None:
    data = json.loads(json.dumps(COMPARISON.to_json(), allow_nan=False))
    assert data["baseline"]["test_top1"] == [0.8, 0.82, 0.84]
    assert data["baseline"]["validation_top1"] == [0.7, 0.71, 0.72]
    assert data["baseline"]["test_top1_mean"] == pytest.approx(0.82)
    assert data["baseline"]["test_top1_std"] == pytest.approx(0.02)  # with n − 1
    assert data["winner"]["cost"] == {
        "latency_s": 1e-3, "energy_j": 100e-6, "peak_activation_bytes": 1024, "weight_bytes": 20480, "dram_bytes": 0,
        "macs": 3_000_000,
    }  # fmt: skip
    assert (data["target"], data["data"], data["winner"]["test_images"]) == ("npu", "digits", 1000)
    assert data["accuracy_gain_standard_error"] == pytest.approx(0.0129099, abs=1e-6)


def test_the_table() -> None:
    assert COMPARISON.markdown() == TABLE


def test_one_seed_has_no_spread() -> None:
    comparison = replace(COMPARISON, baseline=one_seed(BASELINE), winner=one_seed(WINNER))
    assert comparison.rows()[-1] == ("test top-1 (%; 1 seed, n = 1,000)", "80.00", "84.00", "+4.00 points")


def test_what_costs_the_baseline_nothing_has_no_reduction() -> None:
    free = replace(BASELINE, cost=replace(BASELINE.cost, energy_j=0.0))
    comparison = replace(COMPARISON, baseline=free)
    assert "energy_j" not in comparison.reductions()
    assert ("energy (µJ)", "0", "100", "n/a") in comparison.rows()


@pytest.mark.parametrize(("kib", "text"), [(9999, "9,999"), (12345.5, "12,346"), (1234567, "1,234,567"), (0.5, "0.5")])
def test_large_numbers_are_written_out(kib: float, text: str) -> None:
    large = replace(BASELINE, cost=replace(BASELINE.cost, weight_bytes=int(kib * 1024)))
    assert replace(COMPARISON, baseline=large).rows()[0][1] == text


def test_a_markdown_table_lines_up() -> None:
    lines = markdown_table(("a", "number"), [("long label", "1"), ("x", "1,234,567")]).splitlines()
    assert lines == [
        "| a          |    number |",
        "| ---------- | --------: |",
        "| long label |         1 |",
        "| x          | 1,234,567 |",
    ]
    assert markdown_table(("", "b"), []).splitlines() == ["|     |   b |", "| --- | --: |"]
