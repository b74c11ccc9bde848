"""Judging targets by measurements: the scores, the report, bad input."""

from __future__ import annotations

import dataclasses
import itertools
import json
import math
from collections.abc import Callable, Sequence
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from accelzoo import draw
from accelzoo.errors import DataError, UnknownNameError
from accelzoo.hwmodel import Graph, GraphBuilder, Target, estimate, load_target
from accelzoo.hwmodel._validate_rank import kendall, spearman
from accelzoo.hwmodel.measurement import Measurement
from accelzoo.hwmodel.validate import (
    Prediction,
    Report,
    Scores,
    fitted_rows,
    validate,
    validate_measurements,
)
from tests.hwmodel.fitted import fitted_on
from tests.hwmodel.networks import TOY, bottleneck, conv

GRAPHS = [conv(8, 8 * width, 16) for width in range(1, 9)]


def prices(graphs: Sequence[Graph], target: Target = TOY) -> list[float]:
    return [estimate(graph, target).latency_s for graph in graphs]


def prediction(measured_s: float, predicted_s: float | None, **fields: Any) -> Prediction:
    return Prediction(fields.pop("name", "net"), fields.pop("family", "f"), measured_s, predicted_s, **fields)


# correlations of ranks


@pytest.mark.parametrize(("ours", "theirs"), [(spearman, "spearmanr"), (kendall, "kendalltau")])
def test_correlations_equal_scipys(ours: Callable[..., float | None], theirs: str) -> None:
    stats = pytest.importorskip("scipy.stats", reason="the peer is SciPy, which scikit-learn brings")
    rng = draw.generator(3)
    for size, kinds in itertools.product((2, 3, 10, 101), (2, 4, 1000)):  # few kinds: many ties
        x, y = ([float(draw.below(rng, kinds)) for _ in range(size)] for _ in range(2))
        if len(set(x)) == 1 or len(set(y)) == 1:
            assert ours(x, y) is None
        else:
            assert ours(x, y) == pytest.approx(getattr(stats, theirs)(x, y).statistic, abs=1e-12)


def test_tau_b_counts_every_pair() -> None:
    x, y = [1.0, 2.0, 2.0, 3.0, 5.0], [1.0, 3.0, 2.0, 2.0, 4.0]
    pairs = list(itertools.combinations(range(5), 2))
    signs = [(np.sign(x[a] - x[b]), np.sign(y[a] - y[b])) for a, b in pairs]
    untied = math.sqrt(sum(s != 0 for s, _ in signs) * sum(t != 0 for _, t in signs))
    assert kendall(x, y) == pytest.approx(sum(s * t for s, t in signs) / untied)


@pytest.mark.parametrize("correlation", [spearman, kendall])
def test_correlations_of_too_little_are_none(correlation: Callable[..., float | None]) -> None:
    assert correlation([], []) is correlation([1.0], [2.0]) is correlation([1.0, 1.0], [1.0, 2.0]) is None
    assert correlation([1.0, 2.0, 7.0], [3.0, 4.0, 5.0]) == 1.0
    assert correlation([1.0, 2.0], [4.0, 3.0]) == -1.0


# scores


def test_scores_in_closed_form() -> None:
    # Powers of two keep the errors exact: +1/32, -1/16, +1/8, -1/2.
    ratios = (1 + 1 / 32, 1 - 1 / 16, 1 + 1 / 8, 1 / 2)
    scores = Scores.of([prediction(2.0**k, 2.0**k * ratio, name=f"n{k}") for k, ratio in enumerate(ratios)])
    errors = [ratio - 1 for ratio in ratios]
    assert (scores.n, scores.not_predicted) == (4, 0)
    assert (scores.within_5_percent, scores.within_10_percent) == (1 / 4, 2 / 4)
    assert scores.rmspe == pytest.approx(math.sqrt(sum(error**2 for error in errors) / 4))
    assert (scores.mape, scores.bias) == (sum(map(abs, errors)) / 4, sum(errors) / 4)
    assert (scores.worst, scores.worst_error) == ("n3", -0.5)
    # predicted 1.03, 1.875, 4.5, 4: one of six pairs is the wrong way round
    assert scores.kendall == pytest.approx(4 / 6)
    assert scores.spearman == pytest.approx(1 - 6 * 2 / (4 * 15))
    assert scores.peak_n == 0
    assert scores.peak_mape is scores.peak_within_5_percent is scores.peak_worst_error is scores.spread is None


def test_scores_of_peaks_and_of_the_repeat_error() -> None:
    found = [
        prediction(1.0, 1.0, measured_peak_bytes=100, predicted_peak_bytes=104, spread=0.01),
        prediction(1.0, 1.0, measured_peak_bytes=100, predicted_peak_bytes=80, spread=0.03),
        prediction(1.0, 1.0, predicted_peak_bytes=80),
        prediction(1.0, None, measured_peak_bytes=100),
    ]
    scores = Scores.of(found)
    assert (scores.peak_n, scores.peak_within_5_percent, scores.spread) == (2, 0.5, 0.02)
    assert scores.peak_mape == pytest.approx(0.12)
    assert scores.peak_worst_error == pytest.approx(-0.2)


def test_scores_of_nothing_are_none_and_never_zero() -> None:
    scores = dataclasses.asdict(Scores.of([prediction(1.0, None)]))
    counts = {"n": 0, "not_predicted": 1, "peak_n": 0}
    assert {name: scores.pop(name) for name in counts} == counts
    assert set(scores.values()) == {None}


# validate


def test_validate_by_family() -> None:
    measured = [price * factor for price, factor in zip(prices(GRAPHS), [1, 1.02, 1.08, 1.2] * 2, strict=True)]
    families = ["even", "odd"] * 4
    report = validate(TOY, GRAPHS, measured, families=families, names=list("abcdefgh"), against="tool-1/toy")
    assert (report.target, report.target_digest, report.against, report.fitted) == (
        "toy",
        TOY.digest(),
        "tool-1/toy",
        0,
    )
    assert [entry.name for entry in report.networks] == list("abcdefgh")
    assert list(report.families) == ["even", "odd"]
    assert report.families["even"] == Scores.of(report.networks[::2])
    assert (report.whole.n, report.whole.worst) == (8, "d")
    assert report.whole.worst_error == pytest.approx(1 / 1.2 - 1)
    assert report.whole.within_5_percent == 0.5
    assert report.whole.within_10_percent == 0.75


def test_validate_takes_arrays_and_names_of_targets() -> None:
    graphs = [bottleneck(16, 28, 4, fused=fused) for fused in (True, False)]
    report = validate("edge-npu", graphs, np.array([1e-4, 1e-4]))
    assert [entry.predicted_s for entry in report.networks] == [
        estimate(graph, load_target("edge-npu")).latency_s for graph in graphs
    ]
    assert [(entry.name, entry.family) for entry in report.networks] == [("0", "network"), ("1", "network")]
    with pytest.raises(UnknownNameError, match="did you mean 'edge-npu'"):
        validate("edge-npv", graphs, [1e-4, 1e-4])


def test_validate_lists_what_it_cannot_predict() -> None:
    silu = GraphBuilder((8, 16, 16))
    silu.activation("act", silu.conv2d("conv", silu.input, 8), "silu")
    target = dataclasses.replace(TOY, unsupported=("activation:silu",))
    graphs = [GRAPHS[0], silu.graph(), GRAPHS[1]]
    report = validate(target, graphs, [*prices(GRAPHS[:1]), 1e-6, *prices(GRAPHS[1:2])], peak_bytes=[None, 8, 2048])
    (missing,) = report.not_predicted
    assert (missing.name, missing.predicted_s, missing.unpriced) == ("1", None, ("act (activation:silu)",))
    assert (missing.measured_peak_bytes, missing.predicted_peak_bytes, missing.peak_error) == (8, None, None)
    assert (report.whole.n, report.whole.not_predicted, report.whole.mape, report.whole.peak_n) == (2, 1, 0, 1)
    assert report.remarks() == ["not predicted: 1 (1 activation:silu)"]
    assert "2 (+1 not predicted)" in report.to_markdown()


def test_validate_compares_peaks() -> None:
    (peak,) = (estimate(graph, TOY).peak_activation_bytes for graph in GRAPHS[:1])
    report = validate(TOY, GRAPHS[:2], prices(GRAPHS[:2]), peak_bytes=[2 * peak, None])
    assert (report.whole.peak_n, report.whole.peak_worst_error) == (1, -0.5)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"graphs": [], "latency_s": []}, "no networks to validate on"),
        ({"latency_s": [1e-6, math.nan]}, "row 1: latency nan s"),
        ({"latency_s": [-1e-6, 1e-6]}, "row 0: latency -1e-06 s"),
        ({"latency_s": [1e-6, 0]}, "row 1: latency 0"),
        ({"latency_s": [1e-6]}, "2 graphs but latency_s of shape"),
        ({"latency_s": ["fast", "slow"]}, "latency_s must be float64 seconds"),
        ({"graphs": [GRAPHS[0], "resnet18"]}, "row 1: graphs hold a str, not a Graph"),
        ({"families": ["one"]}, "2 graphs but 1 families"),
        ({"names": ["one", "two", "three"]}, "2 graphs but 3 names"),
        ({"peak_bytes": [100]}, "2 graphs but 1 peak_bytes"),
        ({"peak_bytes": [100, 0]}, "row 1: peak_bytes 0"),
        ({"peak_bytes": [math.nan, 5]}, "row 0: peak_bytes nan"),
        ({"spread": [0.1, -0.1]}, "row 1: spread -0.1"),
        ({"spread": [math.inf, None]}, "row 0: spread inf"),
    ],
)
def test_validate_refuses_bad_input(changes: dict[str, Any], message: str) -> None:
    given: dict[str, Any] = {"graphs": GRAPHS[:2], "latency_s": [1e-6, 1e-6]} | changes
    with pytest.raises(DataError, match=message):
        validate(TOY, given.pop("graphs"), given.pop("latency_s"), **given)


def test_validate_suspects_another_unit_and_names_the_row() -> None:
    good = prices(GRAPHS)
    with pytest.raises(DataError, match=r"8 of 8 latencies .* row 0 \(0\): .* 1,000 times slower\. Wrong unit\?"):
        validate(TOY, GRAPHS, [1e3 * price for price in good])
    mixed = good[:3] + [price / 31 for price in good[3:]]
    with pytest.raises(DataError, match=r"5 of 8 latencies .* row 3 \(3\): .* 31 times faster"):
        validate(TOY, GRAPHS, mixed)
    # A few odd ones are the target's fault, or single failures of the measurement: they stand in the report.
    report = validate(TOY, GRAPHS, [*good[:4], *(price * 1e3 for price in good[4:])])
    assert report.whole.within_5_percent == 0.5


# fitted


def test_validate_tells_what_was_used_in_fitting() -> None:
    target = fitted_on(TOY, GRAPHS[2:4])
    assert fitted_rows(target, GRAPHS) == [2, 3]
    assert fitted_rows(TOY, GRAPHS) == []
    report = validate(target, GRAPHS, prices(GRAPHS))
    assert (report.fitted, report.networks[7].extrapolated) == (2, ("conv",))
    assert "2 of them USED IN FITTING" in report.header()
    assert "extrapolated: 1 networks hold operators far from any that was fitted, such as conv of 7" in report.remarks()
    assert "maybe used in fitting" in validate(fitted_on(TOY, None), GRAPHS, prices(GRAPHS)).header()
    assert "none of them used in fitting" in validate(TOY, GRAPHS, prices(GRAPHS)).header()


# the report as data and as text


def example_report() -> Report:
    rows = [
        prediction(1.0, 1.25, name="a", family="x", measured_peak_bytes=8, predicted_peak_bytes=9, spread=0.01),
        prediction(2.0, 2.0, name="b", family="y"),
        prediction(2.0, None, name="c", family="y", unpriced=("op (opaque:aten.roll)", "p (softmax)", "q (softmax)")),
    ]
    return Report(target="t", target_digest="sha256:0", against="tool-1/t", networks=tuple(rows))


def test_report_comes_back_from_json() -> None:
    report = example_report()
    data = json.loads(json.dumps(report.to_json(), allow_nan=False))
    assert Report.from_json(data) == report
    assert data["scores"]["whole"]["mape"] == 0.125
    assert data["scores"]["families"]["y"]["kendall"] is None


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"target": None}, "missing target$"),
        ({"version": 2}, "expected 'accelzoo-validation', version 1, got .* version 2"),
        ({"netwoks": []}, "unknown field 'netwoks'; did you mean 'networks'"),
        ({"networks": [{"name": "a"}]}, "network 0: missing family, measured_s"),
        ({"networks": [[]]}, "network 0: expected a mapping"),
    ],
)
def test_a_damaged_report_is_refused(change: dict[str, Any], message: str) -> None:
    data = example_report().to_json() | change
    with pytest.raises(DataError, match=message):
        Report.from_json({key: value for key, value in data.items() if value is not None})


def test_report_as_markdown() -> None:
    lines = example_report().to_markdown().splitlines()
    assert lines[0] == "t against tool-1/t: 3 samples, none of them used in fitting."
    titles, rule, x, y, whole, _, remark = [[cell.strip() for cell in line.strip("|").split("|")] for line in lines[2:]]
    assert titles[:4] == ["family", "n", "±5 %", "±10 %"]
    assert len(rule) == len(titles) == len(x)
    row = dict(zip(titles, x, strict=True))
    assert (row["MAPE"], row["bias"], row["Kendall"], row["worst"]) == ("25.0 %", "+25.0 %", "–", "a +25.0 %")
    assert (row["peak MAPE"], row["repeat error"]) == ("12.5 %", "1.0 %")
    assert y[:2] == ["y", "1 (+1 not predicted)"]
    assert whole[:3] == ["all", "2 (+1 not predicted)", "50.0 %"]
    assert remark == ["- not predicted: c (1 opaque:aten.roll, 2 softmax)"]


def test_report_of_one_family_has_one_row() -> None:
    _, rows = validate(TOY, GRAPHS[:1], prices(GRAPHS[:1])).table()
    assert [row[0] for row in rows] == ["network"]


# measurements


def test_measurements_bring_family_name_peak_and_spread() -> None:
    sources = ["network:resnet:resnet18@224", "network:resnet/resnet34", "network:random", ""]
    samples = [
        Measurement(graph=graph, latency_s=price, source=source, peak_activation_bytes=5000, spread=0.02)
        for graph, price, source in zip(GRAPHS, prices(GRAPHS[:4]), sources, strict=False)
    ]
    report = validate_measurements(TOY, samples)
    assert [(entry.family, entry.name) for entry in report.networks] == [
        ("resnet", "resnet18@224"),
        ("resnet", "resnet34"),
        ("random", "random 2"),
        ("network", "network 3"),
    ]
    assert (report.whole.peak_n, report.whole.spread, report.whole.mape) == (4, 0.02, 0)


# shipped measurements


def test_held_out_measurements_are_found_beside_the_targets(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    module = import_module("accelzoo.hwmodel.validate")  # `import … as` gives the function of the same name
    monkeypatch.setattr(module, "HELD_OUT_FOLDER", tmp_path)
    assert module.held_out_file("edge-npu") is None
    (tmp_path / "edge-npu.held-out.jsonl.xz").touch()
    assert module.held_out_file("edge-npu") == tmp_path / "edge-npu.held-out.jsonl.xz"
