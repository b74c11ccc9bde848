"""The comparison of widths, against numbers worked out by hand."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest

from accelzoo.recipes.units import latency_unit
from accelzoo.recipes.width.gain import Gain, Measure, paired_gain
from accelzoo.recipes.width.report import WidthComparison
from tests.recipes.width.width_runs import trained

# Student's quantile for 97.5 % with 2 degrees of freedom, as printed in any table; with 1 it is 12.7062.
T_2 = 4.30265
HALF = {"greedy": (800, 800, 800), "optimal": (820, 840, 860), "narrowed": (820, 860, 840)}
WHOLE = {"greedy": (900, 900, 900), "optimal": (900, 910, 890), "narrowed": (905, 915, 895)}
COMPARISON = WidthComparison(
    target="npu",
    measured_by="clock",
    data="digits",
    groups=("stem", "head"),
    trained=(
        *(trained(None, seed, 1.0, 920 + seed, widths=(16, 32)) for seed in (0, 1, 2)),
        *(
            trained(method, seed, share, correct[seed])  # type: ignore[arg-type]
            for seed in (2, 0, 1)
            for share, methods in ((0.75, WHOLE), (0.5, HALF))
            for method, correct in methods.items()
        ),
    ),
)
TABLE = """\
digits, 1,000 test images, 2 seeds; latencies measured by clock for npu.

| budget, widths | latency (ms) | weights (KiB) | MACs (M) | test top-1 (%) | held-out loss | accuracy gain on greedy (%) | error reduction on greedy (%) |
| -------------- | -----------: | ------------: | -------: | -------------: | ------------: | --------------------------: | ----------------------------: |
| original       |           10 |            96 |       48 |   92.00 ± 0.00 |               |                             |                               |
| 50 %, greedy   |            5 |            48 |       24 |   80.00 ± 0.00 |        0.6250 |                             |                               |
| 50 %, optimal  |            5 |            48 |       24 |   83.00 ± 1.41 |        0.6250 |       +3.75 (-12.13 … +19.63) |         +15.00 (-48.53 … +78.53) |
"""  # noqa: E501


def gain(mean: float, half: float, **counts: int) -> dict[str, object]:
    return {"mean": pytest.approx(mean, abs=1e-12), "low": pytest.approx(mean - half, abs=1e-5),
            "high": pytest.approx(mean + half, abs=1e-5), **counts}  # fmt: skip


def plain(found: Gain | None) -> dict[str, object]:
    assert found is not None
    return found.to_json()


def test_gain_at_one_budget_is_paired_by_seed() -> None:
    # Against 0.8: 2, 4 and 6 points; 2.5, 5 and 7.5 % more; 10, 20 and 30 % fewer errors. Deviation / sqrt(3) each.
    expected: tuple[tuple[Measure, float, float], ...] = (
        ("points", 0.04, 0.02), ("accuracy", 0.05, 0.025), ("error", 0.2, 0.1),
    )  # fmt: skip
    for measure, mean, deviation in expected:
        found = plain(COMPARISON.gain("optimal", "greedy", 0.5, measure=measure))
        assert found == gain(mean, T_2 * deviation / 3**0.5, pairs=3, wins=3, ties=0)
    narrowed = plain(COMPARISON.gain("narrowed", "optimal", 0.5, measure="points"))  # 0, 2 and −2 points
    assert narrowed == gain(0, T_2 * 0.02 / 3**0.5, pairs=3, wins=1, ties=1)


def test_budgets_are_averaged_within_a_seed() -> None:
    # Points of seeds 0, 1, 2: (2 + 0) / 2, (4 + 1) / 2, (6 − 1) / 2; the mean is 2, the deviation sqrt(3) / 2.
    found = COMPARISON.gain("optimal", "greedy", measure="points")
    assert plain(found) == gain(0.02, T_2 * 0.01 * 0.75**0.5 / 3**0.5, pairs=6, wins=4, ties=1)
    assert "4 of 6, 1 equal" in COMPARISON.markdown()


def test_only_pairs_count() -> None:
    without = replace(COMPARISON, trained=tuple(
        one for one in COMPARISON.trained if one.choice.name not in ("greedy-0.5-seed1", "optimal-0.75-seed2")
    ))  # fmt: skip
    found = plain(without.gain("optimal", "greedy", measure="points"))  # seeds: (2 + 0) / 2, 1, 6
    assert found["pairs"] == 4
    assert found["mean"] == pytest.approx(0.08 / 3)
    assert without.gain("optimal", "uniform") is None
    assert without.gain("optimal", "greedy", 0.9) is None


def test_one_seed_has_no_interval() -> None:
    alone = {"mean": pytest.approx(0.1), "low": None, "high": None, "pairs": 1, "wins": 1, "ties": 0}
    assert plain(paired_gain({3: [(0.9, 0.8)]}, "points")) == alone
    assert str(paired_gain({3: [(0.9, 0.8)]}, "accuracy")) == "+12.50"


def test_nothing_to_relate_to_is_no_gain() -> None:
    assert paired_gain({0: [(0.9, 0.0)]}, "accuracy") is None
    assert paired_gain({0: [(0.9, 1.0)]}, "error") is None
    assert paired_gain({0: [(0.9, 1.0)]}, "points") is not None
    assert paired_gain({}, "points") is None


def test_the_text() -> None:
    two = replace(COMPARISON, trained=tuple(
        replace(one, test=replace(one.test, correct=920)) if one.choice.method == "original" else one
        for one in COMPARISON.trained
        if one.choice.seed < 2 and one.choice.share in (0.5, 1.0) and one.choice.method != "narrowed"
    ))  # fmt: skip
    text = two.markdown()
    # Gains of 2.5 and 5 %: 3.75 ± 12.7062 · 1.25, as the deviation is 2.5 / sqrt(2); so for the errors' 10 and 20 %.
    assert squeezed(text).startswith(squeezed(TABLE))
    contest = "+3.00 (-9.71 … +15.71) | +3.75 (-12.13 … +19.63) | +15.00 (-48.53 … +78.53) | 2 of 2 |"
    assert f"| optimal vs greedy | {contest}" in squeezed(text)
    assert "2 optimised networks: predicted latency off the measured one by 0.00 % on average" in text
    assert "2 other networks: predicted" in text
    assert "none over it" in text
    assert "Student's t over 2 seeds" in text


def test_the_text_without_measurements_and_greedy() -> None:
    alone = replace(COMPARISON, measured_by=None, trained=(trained(None, 0, 1.0, 900), trained("optimal", 0, 0.5, 890)))
    text = alone.markdown()
    assert text.startswith("digits, 1,000 test images, 1 seed; latencies estimated for npu.\n")
    assert "estimated latency (ms)" in text
    assert " vs " not in text
    assert "gain on" not in text
    assert "One seed: there are no intervals" in text


def test_latencies_are_checked() -> None:
    chosen = (
        trained("optimal", 0, 0.5, 800, measured_s=4e-3, predicted_s=5e-3),  # 25 % off, 20 % below the budget
        trained("greedy", 0, 0.5, 800, measured_s=5.5e-3, predicted_s=5.225e-3),  # 5 % off, 10 % over
    )
    comparison = replace(COMPARISON, trained=(trained(None, 0, 1.0, 900), *chosen))
    check = comparison.latency_check()
    assert check is not None
    assert (check.choices, check.over_budget) == (2, 1)
    assert (check.largest_error, check.mean_error) == pytest.approx((0.25, 0.15))
    assert (check.least_slack, check.mean_slack, check.largest_slack) == pytest.approx((-0.1, 0.05, 0.2))
    notes = comparison.markdown()
    assert "1 optimised networks: predicted latency off the measured one by 25.00 % on average" in notes
    assert "below the budget by -10.00 % (-10.00 % … -10.00 %), 1 over it." in notes


def test_plain_data() -> None:
    data = json.loads(json.dumps(COMPARISON.to_json(), allow_nan=False))
    rows = [(row["method"], row["latency_share"]) for row in data["networks"]]
    methods = ("greedy", "optimal", "narrowed")
    assert rows == [("original", 1.0), *((method, share) for share in (0.5, 0.75) for method in methods)]
    assert data["networks"][2]["test_top1"] == [0.82, 0.84, 0.86]
    assert data["networks"][2]["test_top1_std"] == pytest.approx(0.02)
    assert (data["networks"][0]["score"], data["networks"][2]["score"]) == (None, 0.75)
    assert (data["seeds"], data["groups"], len(data["trained"])) == ([0, 1, 2], ["stem", "head"], 21)
    gains = {(one["method"], one["reference"], one["latency_share"]): one for one in data["gains"]}
    assert len(gains) == 9  # three contests, over all and at each of two budgets
    assert gains["optimal", "greedy", None]["points"]["mean"] == pytest.approx(0.02)
    assert data["latency"]["optimised"]["choices"] == 12
    assert data["latency"]["other"]["over_budget"] == 0


def test_what_cannot_be_compared_is_refused() -> None:
    one = trained("optimal", 0, 0.5, 800)
    with pytest.raises(ValueError, match="must have the original"):
        replace(COMPARISON, trained=(one,))
    with pytest.raises(ValueError, match=r"optimal-0\.5-seed0 twice"):
        replace(COMPARISON, trained=(trained(None, 0, 1.0, 900), one, one))
    with pytest.raises(ValueError, match="2 widths for 1 groups"):
        replace(COMPARISON, groups=("stem",))
    assert replace(COMPARISON, trained=COMPARISON.trained[:1]).latency_check() is None


@pytest.mark.parametrize(("longest_s", "unit"), [(2.0, "s"), (0.5, "ms"), (1e-3, "ms"), (9e-4, "µs"), (1e-9, "µs")])
def test_latency_units(longest_s: float, unit: str) -> None:
    assert latency_unit(longest_s)[1] == unit


def squeezed(text: str) -> str:
    """Without the padding of the tables."""
    return "\n".join(" ".join(line.split()) for line in text.splitlines() if not line.startswith("| -"))
