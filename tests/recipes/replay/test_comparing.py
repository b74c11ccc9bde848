"""The first difference of recorded and repeated values."""

from __future__ import annotations

from dataclasses import replace

import pytest

from accelzoo.recipes.replay.comparing import compare_records, compare_traces, first_difference
from accelzoo.recipes.replay.values import Divergence, Part, Replay
from accelzoo.search.record import Price, Record
from accelzoo.search.trace import Trace

PRICE = Price(latency_s=1e-3, energy_j=0.0, peak_activation_bytes=8, weight_bytes=16, dram_bytes=0, macs=64)
RECORDS = tuple(
    Record(index=i, genome=(i, 0), status="ok", evaluated=True, arch=f"a{i}", cost=PRICE, accuracy=0.5, score=0.5)
    for i in range(3)
)
HEADER = {"seed": 0, "objective": {"exponent": 0.0}, "start": [[0, 0]]}
TRACE = Trace(header=HEADER, records=RECORDS, hash="")


def test_equal_values_have_no_difference() -> None:
    value = {"a": [1, 2.5, "x", None], "b": {"c": True}}
    assert first_difference(value, value) is None
    assert first_difference([1], (1,)) is None  # as JSON has it


@pytest.mark.parametrize(
    ("expected", "got", "field"),
    [
        ({"a": {"b": [1, 2]}}, {"a": {"b": [1, 3]}}, "a.b[1]"),
        ({"a": [1, 2]}, {"a": [1]}, "a[1]"),
        ({"a": [1]}, {"a": [1, 2]}, "a[1]"),
        ({"a": 1}, {}, "a"),
        ({}, {"a": 1}, "a"),
        ({"a": True}, {"a": 1}, "a"),
        ({"a": "1"}, {"a": 1}, "a"),
        ({"b": 1, "a": 1}, {"a": 2, "b": 2}, "b"),  # in the recorded order
        ({"a": 0.1}, {"a": 0.1 + 2e-17}, "a"),  # one unit in the last place
    ],
)
def test_the_first_difference_is_named(expected: object, got: object, field: str) -> None:
    found = first_difference(expected, got)
    assert found is not None
    assert found.field == field


def test_floats_may_be_near_but_integers_never() -> None:
    assert first_difference({"s": 1.0}, {"s": 1.0 + 9e-7}, relative=1e-6) is None
    assert first_difference({"s": 1.0}, {"s": 1.0 + 2e-6}, relative=1e-6) is not None
    assert first_difference({"n": 10_000_000}, {"n": 10_000_001}, relative=1e-6) is not None


def test_the_first_other_candidate_is_named_by_its_genome() -> None:
    other = (RECORDS[0], replace(RECORDS[1], genome=(7, 0), arch="b", accuracy=0.1), RECORDS[2])
    assert compare_records(RECORDS, RECORDS) is None
    assert compare_records(RECORDS, other) == Divergence(field="genome[0]", expected=1, got=7, index=1)


def test_a_price_is_compared_to_the_last_bit() -> None:
    other = (*RECORDS[:2], replace(RECORDS[2], cost=replace(PRICE, latency_s=1e-3 * (1 + 2**-52))))
    found = compare_records(RECORDS, other)
    assert found is not None
    assert (found.index, found.field) == (2, "cost.latency_s")


def test_a_trace_that_ends_early_says_where() -> None:
    assert compare_records(RECORDS, RECORDS[:2]) == Divergence(field="candidates", expected=3, got=2, index=2)


def test_reasons_of_trainings_count_only_where_they_are_made_again() -> None:
    failed = Record(index=0, genome=(0,), status="failed", evaluated=True, arch="a", reason="out of memory")
    other = replace(failed, reason="not in the table")
    assert compare_records([failed], [other]) is not None
    assert compare_records([failed], [other], reasons=False) is None


def test_settings_come_before_candidates_and_those_that_came_later_are_not_asked_of_a_trace() -> None:
    later = {**HEADER, "pending": 1, "objective": {"exponent": 0.0, "minimise": []}}
    assert compare_traces(TRACE, replace(TRACE, header=later)) is None
    other = compare_traces(TRACE, replace(TRACE, header={**later, "seed": 1}, records=()))
    assert other == Divergence(field="settings.seed", expected=0, got=1)


def test_a_verdict_names_the_first_part_that_diverged() -> None:
    fine = Part.of("target", "its digest", None)
    bad = Part.of("search", "2 candidates", Divergence(field="arch", expected="x", got="y", index=1))
    left = Part(name="winner", status="skipped", said="no trials")
    made = Replay(of="run", recipe="tiny", parts=(fine, bad, left))
    assert made.verdict == "diverged: search: candidate 1: arch: expected 'x', got 'y'"
    assert Replay(of="run", recipe="tiny", parts=(fine, left)).verdict == "identical: 1 of 2 parts, 1 skipped"
    assert Replay(of="run", recipe="tiny", parts=(left,)).verdict == "nothing could be compared"
    assert not Replay(of="run", recipe="tiny", parts=(fine, left)).diverged
