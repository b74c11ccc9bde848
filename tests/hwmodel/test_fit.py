"""Fitting: a law that is known is found again, and measurements that cannot be right are refused."""

from __future__ import annotations

import dataclasses
import functools
import math
import re
import statistics

import pytest

from accelzoo.errors import DataError
from accelzoo.hwmodel import GraphBuilder, Target, UnsupportedOperatorError, estimate
from accelzoo.hwmodel.fit import fit, short_digest
from accelzoo.hwmodel.learned import learned_part
from accelzoo.hwmodel.measurement import Measurement, OpMeasurement
from accelzoo.hwmodel.measurements import Measurements
from accelzoo.hwmodel.peak import PeakModel
from accelzoo.hwmodel.regressor import Regressor
from tests.hwmodel.planted import (
    HELD_OUT,
    PRIOR,
    PROVENANCE,
    SEED,
    chain,
    errors,
    fitted,
    graphs,
    joining,
    mean_error,
    measure,
    measurements,
    small_fits,
)


def part_of(target: Target) -> Regressor:
    found = learned_part(target)
    assert isinstance(found, Regressor)
    return found


@functools.cache
def fitted_to_rows_alone() -> Target:
    with small_fits():
        return fit(measurements(networks=14, parts=False), PRIOR, hold_out=0)


@functools.cache
def fitted_to_totals() -> Target:
    """Of a device four times as slow, from totals of networks and of single operators."""
    with small_fits():
        return fit(measurements(networks=14, ops=150, rows=False, scale=4.0), PRIOR, hold_out=0)


def test_networks_never_fitted_to_are_priced_as_measured() -> None:
    assert mean_error(fitted()) < 0.08
    assert mean_error(fitted()) < mean_error(PRIOR) / 4
    assert max(map(abs, errors(fitted()))) < 0.25


def test_operators_of_networks_never_fitted_to_are_priced_as_measured() -> None:
    ratios = []
    for graph, source in graphs("network", 4, HELD_OUT):
        priced = estimate(graph, fitted()).by_op
        ratios += [priced[row.ops[0]].latency_s / row.latency_s for row in measure(graph, source).rows]
    assert statistics.median(abs(ratio - 1) for ratio in ratios) < 0.05


def test_what_decides_about_an_operator_is_told_apart() -> None:
    ratios = []
    for graph, source in graphs("network", 4, HELD_OUT):
        priced = estimate(graph, fitted()).by_op
        for row in measure(graph, source).rows:
            told = dict(row.extra)
            if told["compute_s"] == row.latency_s:
                ratios.append(priced[row.ops[0]].compute_s / told["compute_s"])
            elif told["dram_s"] == row.latency_s:
                ratios.append(priced[row.ops[0]].memory_s / told["dram_s"])
    assert len(ratios) > 100
    assert statistics.median(abs(ratio - 1) for ratio in ratios) < 0.08


def test_rows_need_no_parts() -> None:
    target = fitted_to_rows_alone()
    assert mean_error(target) < mean_error(PRIOR) / 4


def test_totals_alone_are_shared_out() -> None:
    target = fitted_to_totals()
    held = [measure(graph, source, scale=4.0) for graph, source in graphs("network", 8, HELD_OUT)]
    found, before = [
        statistics.mean(abs(estimate(sample.graph, each).latency_s / sample.latency_s - 1) for sample in held)
        for each in (target, PRIOR)
    ]
    assert before > 0.6
    assert found < before / 3
    # Without rows nobody says what is fused; the usual pairs are.
    assert [row.bound for row in estimate(chain(), target).by_op if row.kind == "activation"] == ["fused", "fused"]


def test_what_the_tool_fuses_and_what_it_leaves_out_is_seen() -> None:
    part = part_of(fitted())
    assert {pair for pair in part.fusions if pair[1].startswith("activation")} == part.fusions
    assert {function for _, function in part.fusions} == {"activation:relu", "activation:relu6"}
    assert {("conv2d", "activation:relu"), ("depthwise_conv2d", "activation:relu6")} <= part.fusions
    assert part.free == {"concat"}
    assert estimate(joining(10), fitted()).by_op[2].latency_s == 0


def test_peaks_are_those_the_tool_tells() -> None:
    assert part_of(fitted()).peak == PeakModel()
    for graph, _ in graphs("network", 8, HELD_OUT):
        assert estimate(graph, fitted()).peak_activation_bytes == graph.peak_activation_bytes


def test_the_target_says_what_it_was_fitted_to() -> None:
    target, part = fitted(), part_of(fitted())
    assert target.name == "planted"
    assert target.source.startswith("planted-1.0/made-up: fitted to 17 measurements over ")
    assert PRIOR.source in target.source
    assert fitted_to_rows_alone().name == "prior-fitted"
    assert dataclasses.replace(target, name=PRIOR.name, source=PRIOR.source, learned=None) == PRIOR
    assert part.facts["provenance"] == PROVENANCE.to_json()
    assert part.facts["samples"] == {"block": 3, "network": 14}
    measured = {short_digest(sample.graph) for sample in measurements(networks=14)}
    assert set(part.facts["graphs"]) == measured
    assert not measured & {short_digest(graph) for graph, _ in graphs("network", 8, HELD_OUT)}


def test_the_stated_error_is_of_networks_left_out() -> None:
    stated = part_of(fitted()).facts["held_out_error"]
    assert stated["networks"] == int(0.2 * 14)
    assert 0 < stated["mape"] < 0.2
    assert abs(stated["bias"]) <= stated["mape"]
    assert 0 <= stated["within_10_percent"] <= 1
    assert part_of(fitted_to_rows_alone()).facts["held_out_error"]["networks"] == 0


def test_equal_measurements_make_equal_targets_and_tell_how_far_they_are() -> None:
    told: list[tuple[str, int, int]] = []
    samples = measurements(networks=3).samples
    learned_before = dataclasses.replace(PRIOR, learned=fitted().learned)  # which does not count
    with small_fits():
        targets = [
            fit(list(samples), PRIOR, hold_out=0.5, progress=lambda *step: told.append(step)),
            fit(iter(samples), learned_before, hold_out=0.5),
        ]
    assert targets[0] == targets[1]
    assert targets[0].digest() == targets[1].digest()
    assert targets[0].name == "prior-fitted"
    assert all(0 <= done <= count for _, done, count in told)
    texts = [text for text, _, _ in told]
    assert any(text.startswith("error estimate") for text in texts)
    assert not texts[-1].startswith("error estimate")


def test_too_few_measurements_are_refused_with_what_can_be_done() -> None:
    few = [measure(chain(size=size), "network:own") for size in (14, 28)]
    with pytest.raises(DataError, match=r"2 measurements with 16 operators are too few.*at least 200.*calibrate"):
        fit(few, PRIOR)
    with pytest.raises(DataError, match="0 measurements"):
        fit([], "camera-npu")


def test_another_unit_is_noticed_with_the_row() -> None:
    samples = list(measurements(networks=6).samples)
    samples[2] = dataclasses.replace(samples[2], latency_s=1e3 * samples[2].latency_s)  # milliseconds
    samples[4] = dataclasses.replace(samples[4], latency_s=1e-6 * samples[4].latency_s)
    with pytest.raises(DataError, match=r"2 of 9 measurements are implausible") as caught:
        fit(samples, PRIOR)
    lines = str(caught.value).splitlines()
    assert [line.split(":")[0].strip() for line in lines[1:]] == ["measurement 2 (network", "measurement 4 (network"]
    for line, index in ((lines[1], 2), (lines[2], 4)):
        measured, priced = [float(number) for number in re.findall(r"([\d.e+-]+) s", line)]
        assert measured == pytest.approx(samples[index].latency_s, rel=0.01)
        assert priced == pytest.approx(estimate(samples[index].graph, PRIOR).latency_s, rel=0.01)
        assert "is the unit right?" in line


@pytest.mark.parametrize("value", [math.nan, math.inf, 0.0, -1.0])
def test_times_that_are_none_are_refused_before_fitting(value: float) -> None:
    with pytest.raises(DataError, match="latency_s must be a finite number greater than 0"):
        Measurement(graph=chain(), latency_s=value)
    with pytest.raises(DataError, match=r"row 1 \(b\): latency_s must be a finite number greater than 0"):
        Measurement(graph=chain(), latency_s=1.0, rows=(OpMeasurement((0, 1), 0.5), OpMeasurement((2,), value)))


def test_operators_that_the_prior_cannot_price_are_listed() -> None:
    builder = GraphBuilder((8, 4, 4))
    builder.opaque("norm", (builder.conv2d("conv", builder.input, 8),), "aten.native_layer_norm", (8, 4, 4))
    own = Measurement(graph=builder.graph(), latency_s=1e-5)
    prior = dataclasses.replace(PRIOR, unsupported=("pool", "linear"))
    with pytest.raises(UnsupportedOperatorError) as caught:
        fit([*measurements(networks=3), own], prior)
    said = str(caught.value)
    for name in ("pool:avg", "linear", "opaque:aten.native_layer_norm"):
        assert name in said
    assert "conv2d" not in said
    assert "'prior'" in said


def test_samples_need_no_provenance_and_blocks_alone_suffice() -> None:
    blocks = [measure(graph, source) for graph, source in graphs("block", 30)]
    with small_fits():
        target = fit(blocks, PRIOR, name="blocks")
    assert target.source.startswith("fitted to")
    part = part_of(target)
    assert part.facts["provenance"] is None
    assert part.facts["held_out_error"] == {"networks": 0}
    assert part.peak == PeakModel()  # of no network is a peak known
    assert estimate(chain(), target).latency_s > 0


def test_the_made_up_tool_is_what_it_claims() -> None:
    assert SEED < HELD_OUT
    sample = measure(*graphs("network", 1)[0])
    covered = sorted(index for row in sample.rows for index in row.ops)
    free = {index for index, op in enumerate(sample.graph.ops) if op.kind == "concat"}
    assert covered == [index for index in range(len(sample.graph.ops)) if index not in free]
    assert isinstance(measurements(networks=1), Measurements)
    assert mean_error(PRIOR) > 0.2
