"""Latency tables: the published size and rank, exact sums without noise, errors within the stated ones with noise."""

from __future__ import annotations

import json

import numpy as np
import numpy.typing as npt
import pytest

from accelzoo import draw, get_arch
from accelzoo.arch import Arch, Stage
from accelzoo.blocks import DepthwiseSeparable
from accelzoo.errors import ConfigError, DataError
from accelzoo.heads import ClassificationHead
from accelzoo.hwmodel import calibrate, estimate, load_target
from accelzoo.hwmodel._calibrate_checks import MeasurementError
from accelzoo.hwmodel.oracles import load as load_oracle
from accelzoo.search.width import (
    ClosedLoop,
    LatencyGrid,
    Timings,
    WidthCosts,
    WidthSpace,
    close_loop,
    covering_genomes,
    fit_latency_table,
    time_genomes,
)
from accelzoo.search.width._table_fit import Features, fit_entries
from accelzoo.stem import Stem
from tests.checkout import ROOT

INSTANCE = ROOT / "../shared/data/aows_instance/mbv1_v100_trt_fp16_b64_width_instance.json"
Floats = npt.NDArray[np.float64]


@pytest.fixture(scope="module")
def mobilenet() -> LatencyGrid:
    return LatencyGrid.of(WidthSpace.from_arch(get_arch("mobilenetv1_100")))


@pytest.fixture(scope="module")
def small() -> LatencyGrid:
    sizes = (32, 1), (64, 2), (64, 1), (64, 1)
    blocks = [DepthwiseSeparable(out_channels=channels, residual=False, stride=stride) for channels, stride in sizes]
    arch = Arch(stem=Stem(out_channels=16), stages=tuple(Stage(block=block) for block in blocks),
                head=ClassificationHead(hidden_channels=None, num_classes=10), input_size=(3, 64, 64))  # fmt: skip
    return LatencyGrid.of(WidthSpace.from_arch(arch, (0.25, 0.5, 0.75, 1.0, 1.25, 1.5)))


def random_genomes(grid: LatencyGrid, count: int, seed: int) -> npt.NDArray[np.int64]:
    rng = draw.generator(seed, 99)
    return np.array([grid.space.sample_genome(rng) for _ in range(count)])


def noisy(seconds: Floats, seed: int, deviation: float) -> Floats:
    return np.asarray(seconds * (1 + deviation * np.random.default_rng(seed).standard_normal(len(seconds))))


def nrmse(predicted: Floats, wanted: Floats) -> float:
    return float(np.sqrt(np.mean((predicted - wanted) ** 2)) / wanted.mean())


def test_mobilenet_v1_has_the_published_table(mobilenet: LatencyGrid) -> None:
    assert mobilenet.entries == 1_612
    assert mobilenet.identifiability() == (1_496, 116)


def test_entries_add_up_to_networks(small: LatencyGrid) -> None:
    genomes = random_genomes(small, 10, 1)
    target = load_target("edge-npu")
    priced = small.priced(target)
    wanted = [estimate(small.space.decode(tuple(genome)).lower(), target).latency_s for genome in genomes.tolist()]
    assert priced[small.rows(genomes)].sum(axis=1) == pytest.approx(wanted, rel=1e-12)
    assert (small.counts(genomes) @ priced) == pytest.approx(wanted, rel=1e-12)
    assert (small.counts(genomes).sum(axis=1) == len(small.space.factors)).all()
    # Two blocks of equal shapes share their entries; as sums over pairs of neighbours alone there would be more.
    assert small.entries < sum(table.size for table in small.index)


def test_sums_are_recovered_without_noise(small: LatencyGrid) -> None:
    rng = np.random.default_rng(3)
    truth = small.priced("camera-npu") * np.exp(0.3 * rng.standard_normal(small.entries))
    rank, _ = small.identifiability()
    timed = covering_genomes(small.space, 2 * rank, seed=1)
    table = fit_latency_table(small, timed, truth[small.rows(timed)].sum(axis=1), "edge-npu", noise=0.0)
    assert table.report.rank == rank
    assert table.report.nullity == small.entries - rank > 0
    unseen = random_genomes(small, 300, 2)
    assert table.latency_s(unseen) == pytest.approx(truth[small.rows(unseen)].sum(axis=1), rel=1e-9)
    # The entries themselves are not those of the truth: they are not identifiable.
    assert np.abs(table.entries / truth - 1).max() > 0.01
    costs = table.onto(WidthCosts.priced(small.space, "edge-npu", ("latency_s", "macs")))
    assert costs.totals(unseen)[:, list(costs.columns).index("latency_s")] == pytest.approx(table.latency_s(unseen))


def test_few_noisy_timings_are_enough(mobilenet: LatencyGrid) -> None:
    if not INSTANCE.exists():
        pytest.skip("the width-search instance is not at ../shared/data/aows_instance")
    measured = json.loads(INSTANCE.read_text(encoding="utf-8"))["latency"]
    truth = np.zeros(mobilenet.entries)
    truth[mobilenet.index[0]] = measured[0][0]
    for number in range(1, 14):
        truth[mobilenet.index[number]] = measured[number]
    truth[mobilenet.index[14]] = 1e-3 + 3e-7 * np.array(mobilenet.space.widths[13])  # the classifier: not measured
    timed = covering_genomes(mobilenet.space, 300, seed=3)
    seconds = noisy(1e-3 * truth[mobilenet.rows(timed)].sum(axis=1), 0, 0.005)
    table = fit_latency_table(mobilenet, timed, seconds, "edge-npu")
    unseen = random_genomes(mobilenet, 300, 4)
    reached = nrmse(table.latency_s(unseen), 1e-3 * truth[mobilenet.rows(unseen)].sum(axis=1))
    assert reached <= 0.02
    assert table.report.nrmse == pytest.approx(np.hypot(reached, 0.005), rel=0.35)  # judged on noisy timings
    assert table.report.noise == pytest.approx(0.005, rel=0.4)


def test_a_calibrated_target_is_a_prior(small: LatencyGrid) -> None:
    device = load_target("mobile-cpu")
    timed = covering_genomes(small.space, 14, seed=6)
    seconds = time_genomes(small.space, timed, device)
    graphs = [small.space.decode(tuple(genome)).lower() for genome in timed.tolist()]
    unseen = random_genomes(small, 50, 6)
    wanted = time_genomes(small.space, unseen, device)
    plain, better = (
        nrmse(small.priced(prior)[small.rows(unseen)].sum(axis=1), wanted)
        for prior in ("edge-npu", calibrate(graphs, seconds, "edge-npu"))
    )
    assert better < plain
    table = fit_latency_table(small, timed, seconds, calibrate(graphs, seconds, "edge-npu"))
    assert nrmse(table.latency_s(unseen), wanted) < 0.1


def test_left_out_errors_are_those_of_fits_without_the_fold() -> None:
    rng = np.random.default_rng(5)
    entries, networks = 30, 40
    counts = rng.integers(0, 2, (networks, entries)).astype(np.float64)
    truth = rng.uniform(1, 2, entries)
    seconds = noisy(counts @ truth, 1, 0.01)
    features = Features(np.full(entries, 1.5), np.arange(entries) // 10, rng.uniform(0, 4, (entries, 2)))
    folds = np.arange(networks) % 4
    nothing = np.zeros((0, 2), np.int64)
    fit = fit_entries(counts, seconds, features, nothing, folds, noise=0.01, monotonicity=None)
    kernel = sum(fit.variances[name] * part for name, part in features.components().items())
    for fold in range(4):
        kept, out = folds != fold, folds == fold
        design = counts * features.mean / seconds[:, None]
        system = design[kept] @ kernel @ design[kept].T + 1e-4 * np.eye(int(kept.sum()))
        deviations = kernel @ design[kept].T @ np.linalg.solve(system, 1 - design[kept].sum(axis=1))
        assert fit.left_out[out] == pytest.approx((design @ (1 + deviations))[out], rel=1e-9)


def test_falling_latencies_are_drawn_together(small: LatencyGrid) -> None:
    prior = small.priced("edge-npu")
    timed = covering_genomes(small.space, 12, seed=2)
    seconds = noisy(prior[small.rows(timed)].sum(axis=1), 7, 0.15)
    loose, drawn = (fit_latency_table(small, timed, seconds, prior, monotonicity=m) for m in (None, 0.01))

    def fall(entries: Floats) -> float:
        steps = [np.diff(entries[table], axis=axis) for table in small.index for axis in range(table.ndim)]
        return float(sum(np.minimum(step, 0).sum() for step in steps))

    assert loose.report.penalised == 0
    assert drawn.report.penalised > 0
    assert fall(loose.entries) < fall(drawn.entries) <= 0


def test_timers_of_every_sort(small: LatencyGrid) -> None:
    genomes = random_genomes(small, 3, 8)
    archs = [small.space.decode(tuple(genome)) for genome in genomes.tolist()]
    target = load_target("edge-npu")
    assert time_genomes(small.space, genomes, target).tolist() == [estimate(a.lower(), target).latency_s for a in archs]
    oracle = load_oracle("systolic", "systolic-32x32")
    wanted = [oracle.measure(arch.lower()).latency_s for arch in archs]
    assert time_genomes(small.space, genomes, oracle).tolist() == wanted
    assert time_genomes(small.space, genomes, lambda arch: arch.stem.out_channels).tolist() == [
        arch.stem.out_channels for arch in archs
    ]
    with pytest.raises(DataError, match="positive finite"):
        time_genomes(small.space, genomes, lambda arch: float("nan"))


def test_bad_timings_are_refused_row_by_row(small: LatencyGrid) -> None:
    timed = covering_genomes(small.space, 12, seed=2)
    prior = small.priced("edge-npu")
    seconds = prior[small.rows(timed)].sum(axis=1)
    for change, row, said in ((np.nan, 3, "finite"), (-1.0, 4, "greater than 0"), (1e3, 5, "another unit")):
        broken = seconds.copy()
        broken[row] *= change
        with pytest.raises(MeasurementError, match=f"row {row}.*{said}"):
            fit_latency_table(small, timed, broken, prior)
    with pytest.raises(MeasurementError, match="milliseconds given as seconds"):
        fit_latency_table(small, timed, 1e3 * seconds, prior)
    assert fit_latency_table(small, timed, 1e3 * seconds, prior, trust_units=True).report.factor == pytest.approx(1e3)
    with pytest.raises(MeasurementError, match="at least 10"):
        fit_latency_table(small, timed[:9], seconds[:9], prior)
    with pytest.raises(MeasurementError, match="one number per network"):
        fit_latency_table(small, timed, seconds[:9], prior)
    with pytest.raises(ConfigError, match="prior"):
        fit_latency_table(small, timed, seconds, prior[:-1])
    with pytest.raises(ConfigError, match=r"monotonicity \(=0\) must be above 0"):
        fit_latency_table(small, timed, seconds, prior, monotonicity=0)
    with pytest.raises(ConfigError, match="noise"):
        fit_latency_table(small, timed, seconds, prior, noise=-1.0)


def looped(grid: LatencyGrid, most: float, **settings: float) -> ClosedLoop:
    """A device that no sum over layers describes: 20 % slower per doubling of the whole network's weights."""
    target = load_target("camera-npu")

    def device(arch: Arch) -> float:
        graph = arch.lower()
        return estimate(graph, target).latency_s * (graph.weight_bytes / 1e4) ** 0.26

    timed = covering_genomes(grid.space, 40, seed=3)
    timings = Timings(genomes=timed, latency_s=time_genomes(grid.space, timed, device))
    errors = [1 / np.array(widths) for widths in grid.space.widths]
    costs = WidthCosts.priced(grid.space, "edge-npu").with_errors(errors)
    found = close_loop(grid, costs, {"latency_s": most}, device, timings, "edge-npu", **settings)  # type: ignore[arg-type]
    if found.chosen is not None:
        assert found.measured_s == device(grid.space.decode(found.chosen.genome)) <= most
    return found


def test_the_loop_closes(small: LatencyGrid) -> None:
    most = float(np.quantile(looped(small, 1.0, rounds=1).timings.latency_s, 0.4))
    found = looped(small, most)
    assert found.status == "settled"
    assert found.rounds[-1].error <= 0.01
    assert found.rounds[0].error > 0.01  # else there was nothing to close
    assert len(found.timings.latency_s) == 40 + sum(len(turn.points) for turn in found.rounds)
    for turn in found.rounds:
        pairs = zip(turn.predicted_s, turn.measured_s, strict=True)
        assert turn.error == pytest.approx(max(abs(predicted / measured - 1) for predicted, measured in pairs))
    assert looped(small, most, rounds=1).status == "unsettled"
    again = looped(small, most, repeats=3)  # a device without noise: nothing changes
    assert [turn.measured_s for turn in again.rounds] == [turn.measured_s for turn in found.rounds]
    nothing = looped(small, 1e-9)
    assert nothing.status == "infeasible"
    assert nothing.chosen is None
    assert nothing.solution.least["latency_s"] > 1e-9
    with pytest.raises(ConfigError, match="tolerance"):
        looped(small, most, tolerance=0.0)
