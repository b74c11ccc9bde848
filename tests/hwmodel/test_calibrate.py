"""Calibration against made-up devices whose truth is known, brute-force linear algebra, and measured networks."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

from accelzoo import draw
from accelzoo.errors import DataError
from accelzoo.hwmodel import Graph, GraphBuilder, estimate
from accelzoo.hwmodel._calibrate_fit import LEAST_NOISE_VARIANCE, minimise, shares, solve, solve_again
from accelzoo.hwmodel._calibrate_report import identifiable
from accelzoo.hwmodel._calibrate_terms import VARIANCES, Predictor, Terms, key_of, op_of
from accelzoo.hwmodel.calibrate import (
    Calibration,
    calibrate,
    count_terms,
    fit_calibration,
    on_paper,
    suggest_networks,
    to_target,
)
from accelzoo.hwmodel.learned import save_target
from benchmarks import few_shot
from tests.checkout import ROOT
from tests.hwmodel.timed import PRIOR, device_op_s, device_s, errors_of, paper_s, random_graphs

Array = npt.NDArray[np.float64]


@pytest.fixture(scope="module")
def graphs() -> list[Graph]:
    return random_graphs(140)


@pytest.fixture(scope="module")
def fitted(graphs: list[Graph]) -> Calibration:
    return fit_calibration(graphs[:40], device_s(graphs[:40]), PRIOR)


@pytest.mark.parametrize("prior", ["camera-npu", "edge-npu", "mobile-cpu"])
def test_forty_timings_price_networks_never_seen(graphs: list[Graph], prior: str) -> None:
    fitted = fit_calibration(graphs[:40], device_s(graphs[:40]), prior)
    errors = np.abs(errors_of(fitted, graphs[40:], device_s(graphs[40:])))
    assert np.mean(errors <= 0.1) >= 0.98
    assert np.sqrt(np.mean(errors**2)) < 0.03
    assert fitted.report.rmspe < 0.05


def test_a_slower_prior_is_found_operator_by_operator_even_unseen_ones(graphs: list[Graph]) -> None:
    fitted = fit_calibration(graphs[:20], paper_s(graphs[:20], PRIOR, 3.0), PRIOR)
    assert fitted.report.prior_share == 1.0
    bigger = GraphBuilder((48, 56, 56))
    bigger.conv2d("project", bigger.conv2d("fused", bigger.input, 96, 3, 1), 48)
    graph = bigger.graph()
    for row, latency_s in zip(estimate(graph, PRIOR).by_op, seconds_of(fitted, graph), strict=True):
        assert latency_s / row.latency_s == pytest.approx(3.0, rel=0.3)


def seconds_of(fitted: Calibration, graph: Graph) -> list[float]:
    return [row.latency_s for row in fitted.price(graph, PRIOR, estimate(graph, PRIOR).by_op).rows]


def test_prices_are_positive_additive_and_leave_fused_operators_free(fitted: Calibration, graphs: list[Graph]) -> None:
    graph = graphs[100]
    rows = estimate(graph, PRIOR).by_op
    latencies = seconds_of(fitted, graph)
    assert [latency_s == 0 for latency_s in latencies] == [row.bound == "fused" for row in rows]
    assert min(latencies) >= 0
    assert sum(latencies) == pytest.approx(fitted.latency_s(graph), rel=1e-12)
    alone = [fitted.op_latency_s(op) for op, row in zip(graph.ops, rows, strict=True) if row.bound != "fused"]
    assert sum(latencies) == pytest.approx(sum(alone) + fitted.overhead_s, rel=1e-12)
    assert fitted.overhead_s > 0


def test_operators_that_dominate_are_near_the_truth(fitted: Calibration, graphs: list[Graph]) -> None:
    # Networks constrain sums only; the operators on the largest maps still come out right.
    for op in graphs[100].ops[:12]:
        if op.kind == "depthwise_conv2d":
            assert fitted.op_latency_s(op) == pytest.approx(device_op_s(op), rel=0.35)


def test_the_same_input_gives_the_same_value(fitted: Calibration, graphs: list[Graph]) -> None:
    again = fit_calibration(graphs[:40], device_s(graphs[:40]), PRIOR)
    assert again == fitted
    assert hash(again) == hash(fitted)
    assert to_target(again) == to_target(fitted)


def test_json_brings_it_back_bit_for_bit(fitted: Calibration, graphs: list[Graph]) -> None:
    back = Calibration.from_json(json.loads(json.dumps(fitted.to_json(), allow_nan=False)))
    assert back == fitted
    assert [back.latency_s(graph) for graph in graphs[40:60]] == [fitted.latency_s(graph) for graph in graphs[40:60]]


@pytest.mark.parametrize("data", [None, {}, {"prior": {}}, [1]])
def test_other_json_is_refused(data: Any) -> None:
    with pytest.raises(DataError, match="calibration"):
        Calibration.from_json(data)


def test_a_broken_prior_in_json_is_refused(fitted: Calibration) -> None:
    data = fitted.to_json()
    data["prior"]["clock_hz"] = -1
    with pytest.raises(DataError, match="clock_hz"):
        Calibration.from_json(data)


def test_calibrate_makes_a_target_that_estimate_understands(graphs: list[Graph], fitted: Calibration) -> None:
    target = calibrate(graphs[:10], device_s(graphs[:10]), "camera-npu", name="mine")
    assert target.name == "mine"
    assert "10 whole networks" in target.source
    assert target.digest() != PRIOR.digest()
    assert estimate(graphs[5], target).latency_s == pytest.approx(device_s(graphs[5:6])[0], rel=0.05)
    assert estimate(graphs[99], to_target(fitted)).latency_s == fitted.latency_s(graphs[99])


def test_rows_of_the_target_add_up_like_any_others(fitted: Calibration, graphs: list[Graph]) -> None:
    cost = estimate(graphs[99], to_target(fitted))
    paper = estimate(graphs[99], PRIOR)
    for row in cost.by_op:
        assert row.latency_s == pytest.approx(max(row.compute_s, row.memory_s) + row.overhead_s, rel=1e-9)
        assert 0 <= row.utilization <= 1
    extra_j = (cost.latency_s - paper.latency_s) * PRIOR.static_power_w
    assert cost.energy_j == pytest.approx(paper.energy_j + extra_j, rel=1e-9)
    assert cost.extrapolated == ()


def test_operators_unlike_everything_timed_are_named(fitted: Calibration) -> None:
    builder = GraphBuilder((3, 64, 64))
    x = builder.conv2d("stem", builder.input, 16, 3, 2)
    x = builder.conv2d("huge", x, 2048)
    builder.softmax("softmax", x)
    assert estimate(builder.graph(), to_target(fitted)).extrapolated == ("huge", "softmax")


def test_a_saved_target_prices_alike_in_another_process(
    fitted: Calibration, graphs: list[Graph], tmp_path: Path
) -> None:
    target = to_target(fitted, "mine")
    save_target(target, tmp_path)
    program = (
        "import json, sys; from accelzoo.hwmodel import Graph, estimate, load_target\n"
        "print(repr(estimate(Graph.from_json(json.load(sys.stdin)), load_target(sys.argv[1])).latency_s))"
    )
    told = subprocess.run(
        [sys.executable, "-c", program, str(tmp_path / "mine.yaml")],
        input=json.dumps(graphs[99].to_json()), capture_output=True, text=True, check=True, cwd=ROOT,
    ).stdout  # fmt: skip
    assert float(told) == estimate(graphs[99], target).latency_s


def test_of_a_calibrated_prior_only_the_paper_counts(fitted: Calibration, graphs: list[Graph]) -> None:
    again = fit_calibration(graphs[:12], device_s(graphs[:12]), to_target(fitted))
    assert again.prior.learned is None
    assert again.prior_digest == to_target(fitted).digest()


def test_the_paper_of_the_target_says_where_it_comes_from(fitted: Calibration) -> None:
    paper = on_paper(fitted)
    assert paper.name == "camera-npu-calibrated"
    assert paper.source.startswith("Timings of 40 whole networks, calibrated from camera-npu")
    assert paper.clock_hz == PRIOR.clock_hz


# The numbers behind it


def problem(graphs: list[Graph], count: int) -> tuple[Array, Array, Terms]:
    keys, counts = count_terms(graphs[:count], PRIOR)
    return counts, device_s(graphs[:count]), Terms.of(keys, PRIOR)


@pytest.mark.parametrize("count", [15, 180])
def test_the_fit_is_a_stationary_point_of_the_posterior(graphs: list[Graph], count: int) -> None:
    more = [*graphs, *random_graphs(count - 140, seed=1)] if count > 140 else graphs
    counts, latency_s, terms = problem(more, count)
    assert (count > len(terms.keys)) == (count == 180)  # both ways to solve
    solution = solve_again(counts, latency_s, terms, solve(counts[:15], latency_s[:15], terms))
    residual = np.log(latency_s) - np.log(counts @ np.exp(solution.log_terms))
    # d/dg: K⁻¹(g − mean) = Jᵀ residual / σ²; by definition K⁻¹(g − mean) are the weights.
    slope = shares(counts, solution.log_terms).T @ residual / solution.noise_variance
    kernel = terms.kernel(solution.variances)
    gradient = shares(counts, solution.log_terms)
    curvature = np.linalg.inv(kernel) + gradient.T @ gradient / solution.noise_variance
    assert np.abs(np.linalg.solve(curvature, slope - solution.weights)).max() < 0.02
    assert solution.log_terms == pytest.approx(solution.log_mean + kernel @ solution.weights)
    assert solution.noise_variance >= LEAST_NOISE_VARIANCE


def test_predictions_agree_with_the_matrix_of_the_kernel(graphs: list[Graph]) -> None:
    _, _, terms = problem(graphs, 15)
    kernel = terms.kernel(VARIANCES)
    assert np.linalg.eigvalsh(kernel).min() > 0
    assert (kernel[-1, :-1] == 0).all()
    weights = np.random.default_rng(0).standard_normal(len(terms.keys))
    predict = Predictor(terms, weights, VARIANCES)
    expected = kernel[:-1, :-1] @ weights
    for index, key in enumerate(terms.keys):
        assert predict(op_of(key), terms.features[index])[0] == pytest.approx(expected[index], rel=1e-9, abs=1e-9)


def test_terms_are_priced_as_they_were_fitted(fitted: Calibration) -> None:
    for term in fitted.terms:
        assert fitted.op_latency_s(op_of(term.key)) == pytest.approx(term.latency_s, rel=1e-8)


def test_keys_of_operators_forget_names_only() -> None:
    builder = GraphBuilder((8, 4, 4))
    first = builder.conv2d("first", builder.input, 8, 3)
    builder.conv2d("second", first, 8, 3)
    one, two = builder.graph().ops
    assert key_of(one) == key_of(two)
    assert op_of(key_of(one)).macs == one.macs


def test_identifiable_terms_are_those_no_null_direction_moves() -> None:
    rng = np.random.default_rng(0)
    for _ in range(20):
        counts = rng.integers(0, 3, (6, 9)).astype(np.float64)
        counts[:, 7] = counts[:, 8] = 0
        counts[:, 8][:3] = 1
        rank, alone = identifiable(counts)
        assert rank == np.linalg.matrix_rank(counts)
        null = np.linalg.svd(counts)[2][rank:]
        assert alone == (np.abs(null).max(axis=0) < 1e-6).tolist()


def test_minimise_finds_the_bottom_of_rosenbrocks_valley() -> None:
    def valley(point: Array) -> tuple[float, Array]:
        x, y = point.tolist()
        slope = np.array([-2 * (1 - x) - 400 * x * (y - x * x), 200 * (y - x * x)])
        return (1 - x) ** 2 + 100 * (y - x * x) ** 2, slope

    assert minimise(valley, np.array([-1.2, 1.0]), steps=200) == pytest.approx([1.0, 1.0], abs=0.05)


def test_report_counts_the_system(fitted: Calibration, graphs: list[Graph]) -> None:
    keys, counts = count_terms(graphs[:40], PRIOR)
    report = fitted.report
    assert (report.networks, report.terms, report.folds) == (40, len(keys) + 1, 10)
    assert report.rank == np.linalg.matrix_rank(counts)
    assert report.rank + report.nullity == report.terms
    assert report.within_5_percent <= report.within_10_percent <= 1
    assert report.mape <= report.rmspe
    # The stem is in every network, as is the overhead: only their sum can be known.
    assert not any(label.startswith("conv2d 3x3 /2 3x64x64") for label in report.identified)


# Which networks to measure next


def covariance(fitted: Calibration, candidates: list[Graph], extra: list[int]) -> Array:
    """Posterior covariance of the candidates' log latencies, some of them measured as well, by one dense inverse."""
    keys, _ = count_terms(candidates, fitted.prior)
    terms = fitted.kernel_terms.joined(keys, fitted.prior)
    log_terms = np.log([*(fitted.op_latency_s(op_of(key)) for key in terms.keys), fitted.overhead_s])
    rows = np.zeros((len(fitted.measured), len(log_terms)))
    rows[:, -1] = 1
    for row, (_, pairs) in enumerate(fitted.measured):
        for index, count in pairs:
            rows[row, index] = count
    _, counts = count_terms(candidates, fitted.prior, terms.keys)
    seen = shares(np.concatenate([rows, counts[extra]]), log_terms)
    kernel = terms.kernel(dict(fitted.variances))
    system = seen @ kernel @ seen.T + fitted.noise_variance * np.eye(len(seen))
    asked = shares(counts, log_terms)
    result: Array = asked @ (kernel - kernel @ seen.T @ np.linalg.solve(system, seen @ kernel)) @ asked.T
    return result


def test_suggestions_are_those_of_brute_force(graphs: list[Graph]) -> None:
    fitted = fit_calibration(graphs[:12], device_s(graphs[:12]), PRIOR)
    candidates = graphs[40:48]
    picks = suggest_networks(fitted, candidates, 2)
    chosen: list[int] = []
    for pick in picks:
        after = [np.trace(covariance(fitted, candidates, [*chosen, index])) for index in range(len(candidates))]
        assert pick.candidate == int(np.argmin(after))
        before = covariance(fitted, candidates, chosen)[pick.candidate, pick.candidate]
        assert pick.uncertainty == pytest.approx(np.sqrt(before), rel=1e-3)
        assert pick.uncertainty_after == pytest.approx(np.sqrt(min(after) / len(candidates)), rel=1e-3)
        chosen.append(pick.candidate)


def test_suggestions_end_with_the_candidates_and_need_some(fitted: Calibration, graphs: list[Graph]) -> None:
    assert sorted(pick.candidate for pick in suggest_networks(fitted, graphs[50:53], 9)) == [0, 1, 2]
    for candidates, count in (([], 1), (graphs[:2], 0)):
        with pytest.raises(DataError, match="at least 1"):
            suggest_networks(fitted, candidates, count)


def test_following_suggestions_beats_drawing_at_random(graphs: list[Graph]) -> None:
    pool, judged = graphs[10:90], graphs[90:]
    start, start_s = graphs[:10], device_s(graphs[:10])
    picks = [pick.candidate for pick in suggest_networks(fit_calibration(start, start_s, PRIOR), pool, 10)]

    def rmspe(chosen: list[int]) -> float:
        more = start + [pool[index] for index in chosen]
        errors = errors_of(fit_calibration(more, device_s(more), PRIOR), judged, device_s(judged))
        return float(np.sqrt(np.mean(errors**2)))

    drawn = [rmspe(draw.sample(draw.generator(seed), range(len(pool)), 10)) for seed in range(2)]
    assert rmspe(picks) < np.mean(drawn)


# Measured networks

NO_DATA = pytest.mark.skipif(not few_shot.TABLE.exists(), reason="Accel-NASBench is not at ../shared/data")


@NO_DATA
def test_few_timings_of_a_real_accelerator() -> None:
    """A part of benchmarks/few_shot.md, which has all draws, priors and devices."""
    networks = few_shot.read_networks(limit=400)
    shares_within = [few_shot.score(networks, "ZCU102", "camera-npu", 20, seed).within_10_percent for seed in range(2)]
    assert np.mean(shares_within) >= 0.90


@NO_DATA
def test_graphs_of_the_benchmark_have_its_weights() -> None:
    networks = few_shot.read_networks(limit=50)
    for graph, params in zip(networks.graphs, networks.params, strict=True):
        # The table also counts two numbers per channel of batch normalisation, which lowering folds into a bias.
        norms = sum(
            op.out_shape[0] for op in graph.ops if op.kind != "linear" and op.weight_count and op.out_shape[1] > 1
        )
        assert graph.weight_count + 1000 + 2 * norms == pytest.approx(params * 1e6, rel=2e-3)
