"""Calibration refuses timings that cannot be used, and says which and why."""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np
import pytest

from accelzoo.errors import UnknownNameError
from accelzoo.hwmodel import Graph, GraphBuilder, Op, UnsupportedOperatorError, load_target
from accelzoo.hwmodel.calibrate import MeasurementError, fit_calibration
from tests.hwmodel.timed import PRIOR, device_s, errors_of, random_graphs


@pytest.fixture(scope="module")
def graphs() -> list[Graph]:
    return random_graphs(100)


def refused(graphs: Any, latency_s: Any, prior: Any = PRIOR) -> str:
    with pytest.raises(MeasurementError) as caught:
        fit_calibration(graphs, latency_s, prior)
    return str(caught.value)


@pytest.mark.parametrize("value", [np.nan, -1e-3, 0.0, np.inf])
def test_rows_that_are_no_latency_are_named(graphs: list[Graph], value: float) -> None:
    latency_s = device_s(graphs[:20])
    latency_s[[3, 17]] = value
    message = refused(graphs[:20], latency_s)
    assert [line.split(":")[0] for line in message.splitlines()] == ["row 3", "row 17"]
    assert str(value) in message


def test_lengths_types_and_names_are_checked(graphs: list[Graph]) -> None:
    assert "20 graphs but latency_s of shape (19,)" in refused(graphs[:20], device_s(graphs[:19]))
    assert "float64" in refused(graphs[:20], ["fast"] * 20)
    assert "row 1: graphs hold a str" in refused([graphs[0], "mobilenetv2_100"], [1e-3, 1e-3])
    with pytest.raises(UnknownNameError, match="camera-npu"):
        fit_calibration(graphs[:20], device_s(graphs[:20]), "camera-npuu")


def test_milliseconds_given_as_seconds_are_noticed(graphs: list[Graph]) -> None:
    latency_s = device_s(graphs[:20])
    message = refused(graphs[:20], latency_s * 1e3)
    assert message.startswith("row 0: ")
    assert "milliseconds given as seconds" in message
    assert "seconds given as milliseconds" in refused(graphs[:20], latency_s / 1e4)
    trusted = fit_calibration(graphs[:20], latency_s * 1e3, PRIOR, trust_units=True)
    assert trusted.latency_s(graphs[0]) == pytest.approx(latency_s[0] * 1e3, rel=0.1)


def test_one_row_in_another_unit_is_named(graphs: list[Graph]) -> None:
    latency_s = device_s(graphs[:20])
    latency_s[7] *= 1e3
    message = refused(graphs[:20], latency_s)
    assert message.startswith("row 7: ")
    assert len(message.splitlines()) == 1


def test_operators_without_a_price_are_listed(graphs: list[Graph]) -> None:
    norm = Op("norm", "opaque", ("input",), ((3, 64, 64),), (3, 64, 64), function="aten.native_layer_norm")
    strange = Graph([norm], (3, 64, 64))
    message = refused([*graphs[:20], strange], np.append(device_s(graphs[:20]), 1e-3))
    assert "aten.native_layer_norm" in message
    assert "'norm' in row 20" in message


def test_what_was_timed_can_be_run_whatever_the_prior_says(graphs: list[Graph]) -> None:
    gap = dataclasses.replace(PRIOR, name="gap", unsupported=("pool", "activation:sigmoid", "activation:gelu"))
    fitted = fit_calibration(graphs[:40], device_s(graphs[:40]), gap)
    assert fitted.report.lifted == ("activation:sigmoid", "pool:avg")
    assert fitted.prior.unsupported == ("activation:gelu",)
    assert fitted.prior_digest == gap.digest()
    assert np.abs(errors_of(fitted, graphs[40:60], device_s(graphs[40:60]))).max() < 0.15
    builder = GraphBuilder((8, 4, 4))
    builder.activation("gelu", builder.input, "gelu")
    with pytest.raises(UnsupportedOperatorError, match="gelu"):
        fitted.latency_s(builder.graph())


def test_too_few_networks_say_what_they_can_tell(graphs: list[Graph]) -> None:
    message = refused(graphs[:6], device_s(graphs[:6]))
    assert message.startswith("6 different networks; at least 10 are needed")
    assert "6 sums of operators" in message
    assert "what varies among them: conv2d" in message
    assert "no networks" in refused([], [])


def test_a_constant_design_says_that_one_factor_is_all(graphs: list[Graph]) -> None:
    message = refused([graphs[0]] * 15, np.full(15, 1e-3))
    assert "1 different networks (15 rows, but some have the same operators)" in message
    assert "one factor on the prior" in message
    assert "nothing varies" in message


def test_ten_networks_are_enough(graphs: list[Graph]) -> None:
    fitted = fit_calibration(graphs[:10], device_s(graphs[:10]), load_target("edge-npu"))
    assert np.mean(np.abs(errors_of(fitted, graphs[40:], device_s(graphs[40:]))) <= 0.1) >= 0.7
