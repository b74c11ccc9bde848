"""The comment at the top of a recipe: read, refused where it stands, and held against a lock."""

from __future__ import annotations

from typing import Any

import pytest

from accelzoo.errors import ConfigError
from accelzoo.recipes.header_check import figures_of, header_faults
from accelzoo.recipes.headers import Header, Stated, parse_header

TEXT = """\
# Ours: a network,
# and another.
#
# profile quick
#   run       accelzoo run mine data=/photos
#   run         --workers 2
#   hardware  2 CPU cores
#   time      35 min
#   expect    baseline: test top-1 70.6 %, latency 0.50 ms
#   expect    winner: test top-1 71 %, latency -58.4 %, MACs +12 %
#
# profile other
#   run       accelzoo run mine --profile other
#   hardware  any
#   time      unknown
#   expect    unknown
recipe: mine
# profile late
"""
LOCK = {
    "schema": 2,
    "wall_s": {"search": 100.0, "training": 1990.0},
    "comparison": {
        "baseline": {"test_top1_mean": 0.7059, "cost": {"latency_s": 0.000497, "macs": 1000, "weight_bytes": 2048}},
        "winner": {"test_top1_mean": 0.70727, "cost": {"latency_s": 0.000206784, "macs": 1122, "weight_bytes": 1024}},
    },
}


def faults(text: str) -> list[str]:
    with pytest.raises(ConfigError) as caught:
        parse_header(text, "mine.yaml")
    return list(caught.value.faults)


def header(old: str = "", new: str = "") -> Header:
    assert old in TEXT
    return parse_header(TEXT.replace(old, new, 1) if old else TEXT, "mine.yaml")


def test_a_header_is_read() -> None:
    found = header()
    assert found.about == "Ours: a network, and another."
    assert list(found.profiles) == ["quick", "other"]
    quick, other = found.profiles.values()
    assert (quick.line, quick.run) == (4, "accelzoo run mine data=/photos --workers 2")
    assert (quick.hardware, quick.time, quick.time_text) == (
        "2 CPU cores", Stated(value=35.0, digits=0, unit="min"), "35 min",
    )  # fmt: skip
    assert quick.to_json() == {
        "run": "accelzoo run mine data=/photos --workers 2",
        "hardware": "2 CPU cores",
        "time_s": 2100.0,
        "expect": {
            "baseline": [
                {"figure": "test top-1", "value": 70.6, "unit": "%", "against_baseline": False},
                {"figure": "latency", "value": 0.5, "unit": "ms", "against_baseline": False},
            ],
            "winner": [
                {"figure": "test top-1", "value": 71.0, "unit": "%", "against_baseline": False},
                {"figure": "latency", "value": -58.4, "unit": "%", "against_baseline": True},
                {"figure": "MACs", "value": 12.0, "unit": "%", "against_baseline": True},
            ],
        },
    }
    assert (other.time, other.time_text, other.expect, other.expect_text) == (None, "unknown", {}, ("unknown",))


@pytest.mark.parametrize(
    ("old", "new", "where", "said"),
    [
        ("time      35 min", "time      half an hour", 8, "expected a number of s, min or h such as '35 min'"),
        ("time      35 min", "tiem      35 min", 8, "unknown entry 'tiem'; did you mean 'time'?"),
        ("#   time      35 min\n", "", 4, "profile quick does not say 'time'"),
        ("time      35 min", "time", 8, "time says nothing"),
        ("#   time      35 min", "#   time      35 min\n#   time      1 h", 9, "time is said twice"),
        ("#   time      35 min", "# time 35 min", 8, "expected `# profile NAME`"),
        ("latency 0.50 ms", "latency 0.50 s", 9, "'latency 0.50 s' is in 's' where 'ms' is the unit"),
        ("latency 0.50 ms", "latency about 0.5 ms", 9, "unknown figure 'latency about'"),
        ("latency 0.50 ms", "latency", 9, "expected a figure such as"),
        ("latency -58.4 %", "latnecy -58.4 %", 10, "unknown figure 'latnecy'; did you mean 'latency'?"),
        ("test top-1 71 %", "test top-1 +71 %", 10, "test top-1 is a score, not a change"),
        ("winner: ", "the winner ", 10, "expected 'NETWORK: FIGURE, FIGURE' or 'unknown'"),
        ("# profile other", "# profile quick", 12, "profile quick has a block already"),
    ],
)  # fmt: skip
def test_faults_are_told_where_they_stand(old: str, new: str, where: int, said: str) -> None:
    assert old in TEXT
    found = faults(TEXT.replace(old, new, 1))
    assert any(fault.startswith(f"mine.yaml:{where}:1: ") and said in fault for fault in found), found


def test_a_number_is_as_exact_as_its_digits() -> None:
    stated = Stated(value=35.0, digits=0, unit="min")
    assert [stated.covers(value) for value in (34.4, 34.5, 35.4, 35.5, 35.6)] == [False, True, True, True, False]
    change = Stated(value=-58.4, digits=1, unit="%")
    assert [change.covers(value) for value in (-58.46, -58.44, -58.36, -58.34)] == [False, True, True, False]


def test_a_header_that_says_what_the_lock_says_has_no_fault() -> None:
    # 0.206784 / 0.497 − 1 = −58.39 %, 1122 / 1000 − 1 = +12.2 %, 2090 s = 34.8 min.
    assert header_faults(header(), LOCK, "quick") == []
    assert header_faults(header("35 min", "0.6 h"), LOCK, "quick") == []


@pytest.mark.parametrize(
    ("old", "new", "where", "said"),
    [
        ("top-1 70.6", "top-1 70.5", 9, "baseline: test top-1: 70.5 % is stated, the lock has 70.6 %"),
        ("latency -58.4 %", "latency -58.3 %", 10, "winner: latency: -58.3 % is stated, the lock has -58.4 %"),
        ("MACs +12 %", "MACs -12 %", 10, "winner: MACs: -12 % is stated, the lock has +12 %"),
        ("35 min", "34 min", 8, "34 min is stated, the lock has 35 min"),
        ("35 min", "unknown", 8, "there is a lock, so that it says the time"),
        ("winner: ", "champion: ", 10, "the lock has no network 'champion'; it has baseline, winner"),
        ("MACs +12 %", "energy 3 µJ", 10, "the lock has no energy; it has test top-1, latency, weights, MACs"),
    ],
)  # fmt: skip
def test_a_header_that_says_something_else_is_told(old: str, new: str, where: int, said: str) -> None:
    (fault,) = header_faults(header(old, new), LOCK, "quick")
    assert fault.startswith(f"mine.yaml:{where}:1: profile quick: ")
    assert said in fault


def test_a_lock_of_a_profile_of_which_nothing_is_said() -> None:
    (fault,) = header_faults(header(), LOCK, "full")
    assert fault == "mine.yaml:1:1: the lock is of profile 'full', of which the header says nothing"
    (fault,) = header_faults(header(), LOCK, "other")
    assert fault.startswith("mine.yaml:12:1: profile other: there is a lock")


def product(name: str, latency_s: float, compiled_s: float | None, score: float) -> dict[str, Any]:
    compiled = None if compiled_s is None else {"tool": "vela", "latency_s": compiled_s, "sram_bytes": None}
    prices = {"npu": {"cost": {"latency_s": latency_s, "weight_bytes": 2048}}}
    return {"name": name, "compiled": compiled, "test_mean": score, "prices": prices}


@pytest.mark.parametrize(("second_s", "expected"), [(0.001, [3.0, 1.0]), (None, [4.0, 2.0])])
def test_figures_of_a_product_are_the_compilers_if_it_compiled_all(
    second_s: float | None, expected: list[float]
) -> None:
    networks = [product("baseline", 0.004, 0.003, 0.1), product("A", 0.002, second_s, 0.2)]
    lock = {"comparison": {"metric": "mIoU", "target": "npu", "networks": networks}}
    found = figures_of(lock)
    assert [figures["latency"] for figures in found.values()] == expected
    assert (found["A"]["test mIoU"], found["A"]["weights"]) == (20.0, 2.0)


def test_figures_of_widths_are_named_by_budget_and_method() -> None:
    rows = [
        {"method": "original", "latency_share": 1.0, "measured_s": 0.004, "macs": 2e6, "test_top1_mean": 0.5},
        {"method": "optimal", "latency_share": 0.18, "measured_s": 0.001, "macs": 1e6, "test_top1_mean": 0.4},
    ]
    found = figures_of({"comparison": {"networks": rows}})
    assert found == {
        "original": {"test top-1": 50.0, "latency": 4.0, "MACs": 2.0},
        "18 % optimal": {"test top-1": 40.0, "latency": 1.0, "MACs": 1.0},
    }
