"""Latencies of a width run: what is chosen, against trying every network; measured once each, whatever happens."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from accelzoo import get_arch
from accelzoo.errors import BudgetError, ConfigError, TraceError
from accelzoo.hwmodel import estimate, load_target, oracles
from accelzoo.hwmodel.ir import Graph
from accelzoo.hwmodel.measurement import Measurement, Provenance, graph_digest
from accelzoo.hwmodel.oracles import OracleError
from accelzoo.recipes.width.latency import DeviceLatency
from accelzoo.recipes.width.schema import MeasurePlan
from accelzoo.recipes.width.stopwatch import Stopwatch
from accelzoo.rounding import make_divisible
from accelzoo.search.space import Genome
from accelzoo.search.width import WidthSpace

PRIOR = load_target("edge-npu")
DEVICE = load_target("camera-npu")
PLAN = MeasurePlan(oracle="device", timings=20)


@pytest.fixture(scope="module")
def space() -> WidthSpace:
    """Four groups of three widths: few enough networks, 81, to try them all."""
    arch = get_arch("mobilenetv1_100", width_multiplier=0.25, num_classes=10, input_size=(3, 32, 32))
    names = [group.name for group in WidthSpace.from_arch(arch, (0.5, 1, 1.5)).groups]
    return WidthSpace.from_arch(arch, (0.5, 1, 1.5), fixed=names[:4] + names[8:])


class Device:
    """Takes as long as one target estimates, changed by a function; remembers what it was asked.

    Args:
        change: Seconds as estimated → seconds.
        most: After how many measurements somebody presses Ctrl-C.
    """

    def __init__(self, change: Callable[[float], float] = float, most: int = 10**9) -> None:
        self.asked: list[str] = []
        self.change = change
        self.most = most

    @property
    def provenance(self) -> Provenance:
        return Provenance(oracle="device", target="edge-npu", tool="device-1", settings={"of": DEVICE.name})

    def measure(self, graph: Graph) -> Measurement:
        if len(self.asked) == self.most:
            raise KeyboardInterrupt
        self.asked.append(graph_digest(graph))
        return Measurement(graph=graph, latency_s=self.change(estimate(graph, DEVICE).latency_s))


class BatchDevice(Device):
    """Measures several together, each time a different multiple of what it should be."""

    batch_size = 4

    def __init__(self, factors: Sequence[float]) -> None:
        super().__init__()
        self.factors = itertools.cycle(factors)
        self.batches: list[int] = []

    def measure_many(self, graphs: Sequence[Graph]) -> list[Measurement | OracleError]:
        self.batches.append(len(graphs))
        factor = next(self.factors)
        return [replace(found, latency_s=factor * found.latency_s) for found in map(self.measure, graphs)]


@pytest.fixture
def attached(monkeypatch: pytest.MonkeyPatch) -> Callable[[Device], Device]:
    """Lets the recipe's oracle be a device of the tests."""

    def attach(device: Device) -> Device:
        monkeypatch.setattr(oracles, "load", lambda name, target: device)
        return device

    return attach


def networks(space: WidthSpace) -> list[Genome]:
    return list(itertools.product(*[range(size) for size in space.sizes]))


def true_s(space: WidthSpace, genome: Genome) -> float:
    return estimate(space.decode(genome).lower(), DEVICE).latency_s


def errors_of(space: WidthSpace) -> list[np.ndarray[tuple[int], np.dtype[np.float64]]]:
    """Made up, and such that no two networks are alike."""
    return [(1 + 0.137 * index) / np.array(group.widths) for index, group in enumerate(space.groups)]


def error_of(space: WidthSpace, genome: Genome) -> float:
    return float(sum(errors[choice] for errors, choice in zip(errors_of(space), genome, strict=True)))


def best_of_all(space: WidthSpace, kept: Sequence[Genome]) -> Genome:
    return min(kept, key=lambda genome: error_of(space, genome))


def test_without_a_plan_estimates_are_measurements(space: WidthSpace, tmp_path: Path) -> None:
    path = tmp_path / "timings.jsonl"
    with DeviceLatency.of(space, DEVICE, None, ("weight_bytes", "peak_activation_bytes"), path) as device:
        everyone = networks(space)
        wanted = [true_s(space, genome) for genome in everyone]
        assert device.measured_s(everyone) == pytest.approx(wanted, rel=1e-12)
        assert device.predicted_s(everyone) == pytest.approx(wanted, rel=1e-9)
        most_s = device.budget_s(0.9)
        assert most_s == pytest.approx(0.9 * true_s(space, space.base))
        points, facts = device.chosen_optimal(errors_of(space), {"latency_s": most_s}, 3)
        kept = [genome for genome, seconds in zip(everyone, wanted, strict=True) if seconds <= most_s]
        assert [point.genome for point in points] == sorted(kept, key=lambda genome: error_of(space, genome))[:3]
        assert facts == {"status": "estimated", "rounds": 0, "errors": [], "aim": 1.0}
        assert device.measured_by is None
        assert device.report is None
        assert not device.timed
    assert not path.exists()


@pytest.mark.parametrize("share", [0.9, 1.0, 1.1])
def test_with_a_plan_the_best_measured_network_is_found(
    space: WidthSpace, tmp_path: Path, attached: Callable[[Device], Device], share: float
) -> None:
    attached(Device(lambda seconds: 1.3 * seconds + 2e-5))
    with DeviceLatency.of(space, PRIOR, PLAN, (), tmp_path / "timings.jsonl") as device:
        most_s = device.budget_s(share)
        assert most_s == pytest.approx(share * (1.3 * true_s(space, space.base) + 2e-5), rel=1e-12)
        points, facts = device.chosen_optimal(errors_of(space), {"latency_s": most_s}, 4)
        kept = [genome for genome in networks(space) if 1.3 * true_s(space, genome) + 2e-5 <= most_s * (1 + 1e-9)]
        assert points[0].genome == best_of_all(space, kept)
        assert (device.measured_s([point.genome for point in points]) <= most_s * (1 + 1e-9)).all()
        assert points[0].values["latency_s"] == pytest.approx(device.measured_s([points[0].genome])[0], rel=0.011)
        assert facts["status"] == "settled"
        assert len(facts["errors"]) == facts["rounds"] >= 1
        assert facts["errors"][-1] <= PLAN.tolerance
        assert device.measured_by == "device-1/edge-npu"
        assert device.report is not None


def test_other_budgets_hold_too(space: WidthSpace, tmp_path: Path, attached: Callable[[Device], Device]) -> None:
    attached(Device())
    original = estimate(space.arch.lower(), PRIOR)
    most_peak = float(original.peak_activation_bytes)
    others = {"weight_bytes": 0.9 * original.weight_bytes, "peak_activation_bytes": most_peak}

    def keeps(genome: Genome) -> bool:
        cost = estimate(space.decode(genome).lower(), PRIOR)
        return all(getattr(cost, name) <= most for name, most in others.items())

    with DeviceLatency.of(space, PRIOR, PLAN, tuple(others), tmp_path / "timings.jsonl") as device:
        budgets = {"latency_s": device.budget_s(1.0), **others}
        kept = [x for x in networks(space) if keeps(x) and true_s(space, x) <= budgets["latency_s"] * (1 + 1e-9)]
        points, _ = device.chosen_optimal(errors_of(space), budgets, 1)
        assert points[0].genome == best_of_all(space, kept)
        widest_first = sorted(networks(space), key=lambda genome: -true_s(space, genome))
        assert device.chosen_on_way(widest_first, budgets) == next(x for x in widest_first if x in kept)
        assert keeps(device.chosen_uniform(budgets)[1])
        with pytest.raises(ConfigError, match=r"budgets\.energy_j: unknown column; allowed: weight_bytes, latency_s"):
            device.chosen_on_way(widest_first, {**budgets, "energy_j": 1.0})
        with pytest.raises(BudgetError, match=r"no step of 81 .* the least of the steps: \{'weight_bytes': \d+"):
            device.chosen_on_way(widest_first, {**budgets, "weight_bytes": 1.0})
        with pytest.raises(ConfigError, match=r"budgets\.latency_s is missing"):
            device.chosen_on_way(widest_first, others)


@pytest.mark.parametrize("share", [0.88, 0.97, 1.0, 1.2])
def test_uniform_is_the_largest_multiplier_that_keeps_the_measured_budget(
    space: WidthSpace, tmp_path: Path, attached: Callable[[Device], Device], share: float
) -> None:
    attached(Device())
    with DeviceLatency.of(space, PRIOR, PLAN, (), tmp_path / "timings.jsonl") as device:
        most_s = share * true_s(space, space.base)
        multiplier, genome = device.chosen_uniform({"latency_s": most_s})
    fitting = [m / 100 for m in range(50, 151) if true_s(space, scaled(space, m / 100)) <= most_s * (1 + 1e-9)]
    assert genome == scaled(space, max(fitting))
    assert multiplier == max(fitting)


def scaled(space: WidthSpace, multiplier: float) -> Genome:
    """MobileNet's rounding, then the nearest width of the group, of two the wider."""
    widths = []
    for group in space.groups:
        asked = make_divisible(group.base * multiplier, 8)
        least = min(abs(width - asked) for width in group.widths)
        widths.append(max(width for width in group.widths if abs(width - asked) == least))
    return space.genome_of(widths)


def test_the_way_is_walked_where_measurements_go_up_and_down(
    space: WidthSpace, tmp_path: Path, attached: Callable[[Device], Device]
) -> None:
    wide = [(2, 2, 2, 2), (2, 2, 2, 1), (2, 2, 1, 1), (2, 1, 1, 1)]
    way = [*wide, (1, 1, 1, 1), (1, 1, 1, 0), (1, 0, 0, 0), (0, 0, 0, 0)]
    seconds = [true_s(space, genome) for genome in way]
    assert seconds == sorted(seconds, reverse=True)
    most_s = seconds[3] * 1.0001
    slow = {seconds[3], seconds[4]}  # as measured, these two take longer than the one before them
    device = attached(Device(lambda value: 1.5 * value if value in slow else value))
    with DeviceLatency.of(space, DEVICE, PLAN, (), tmp_path / "timings.jsonl") as latency:
        assert latency.chosen_on_way(way, {"latency_s": most_s}) == way[5]
        before = len(device.asked)
        assert latency.chosen_on_way(way, {"latency_s": seconds[0]}) == way[0]
        assert len(device.asked) <= before + 1
        with pytest.raises(BudgetError, match=r"no step of 8 keeps the budget\n  latency_s: at most 1e-09, least"):
            latency.chosen_on_way(way, {"latency_s": 1e-9})


def answers(device: DeviceLatency, shares: Sequence[float]) -> dict[float, object]:
    found: dict[float, object] = {}
    for share in shares:
        budgets = {"latency_s": device.budget_s(share)}
        points, facts = device.chosen_optimal(errors_of(device.space), budgets, 3)
        found[share] = (device.chosen_uniform(budgets), [(p.genome, p.values) for p in points], facts)
    return found


def test_answers_do_not_depend_on_order_or_interruption_and_nothing_is_measured_twice(
    space: WidthSpace, tmp_path: Path, attached: Callable[[Device], Device]
) -> None:
    whole = attached(Device())
    with DeviceLatency.of(space, PRIOR, PLAN, (), tmp_path / "whole.jsonl") as latency:
        wanted = answers(latency, (0.9, 1.0, 1.1))
    assert len(whole.asked) == len(set(whole.asked))
    path = tmp_path / "stopped.jsonl"
    asked: list[str] = []
    for most in (7, 16, 10**9):  # stopped within the first timings, then while choosing, then let go on
        device = attached(Device(most=most))
        try:
            with DeviceLatency.of(space, PRIOR, PLAN, (), path) as latency:
                found = answers(latency, (1.1, 0.9, 1.0))
        except KeyboardInterrupt:
            assert len(device.asked) == most < 10**9
            with path.open("ab") as file:
                file.write(b'{"genome":[1,')  # and killed in the middle of a line
        asked += device.asked
    assert found == wanted
    assert len(asked) == len(set(asked))
    again = attached(Device(most=0))
    with DeviceLatency.of(space, PRIOR, PLAN, (), path) as latency:
        assert answers(latency, (0.9, 1.0, 1.1)) == wanted
        assert len(latency.timed) == len(asked)
    assert not again.asked


def test_budgets_that_nothing_keeps_are_refused(
    space: WidthSpace, tmp_path: Path, attached: Callable[[Device], Device]
) -> None:
    attached(Device())
    least = true_s(space, (0, 0, 0, 0))
    with DeviceLatency.of(space, PRIOR, PLAN, (), tmp_path / "timings.jsonl") as device:
        with pytest.raises(BudgetError, match=r"nothing meets the budgets\n  latency_s: at most 1e-09, least ach"):
            device.chosen_optimal(errors_of(space), {"latency_s": 1e-9}, 2)
        with pytest.raises(BudgetError, match=f"no multiplier .*\n  latency_s: at most 1e-09, least found {least!r}"):
            device.chosen_uniform({"latency_s": 1e-9})


def test_where_all_that_is_chosen_is_too_slow_less_is_asked_for(
    space: WidthSpace, tmp_path: Path, attached: Callable[[Device], Device]
) -> None:
    most_s = true_s(space, space.base) * (1 + 1e-6)
    attached(Device(lambda value: 1.03 * value if 0.975 * most_s < value <= most_s else value))
    hasty = replace(PLAN, rounds=1, per_round=1)
    with DeviceLatency.of(space, DEVICE, hasty, (), tmp_path / "timings.jsonl") as device:
        points, facts = device.chosen_optimal(errors_of(space), {"latency_s": most_s}, 1)
        assert (device.measured_s([point.genome for point in points]) <= most_s).all()
    assert facts["aim"] < 1
    assert facts["rounds"] == len(facts["errors"]) >= 2


def test_repeats_are_medians_and_batches_are_measured_together(space: WidthSpace, tmp_path: Path) -> None:
    device = BatchDevice([1.0, 5.0, 2.0])
    told: list[tuple[int, int]] = []
    with Stopwatch(space, device, tmp_path / "t.jsonl", repeats=3, progress=lambda *x: told.append(x)) as watch:
        genomes = [*networks(space)[:9], (0, 0, 0, 0)]
        wanted = [2 * true_s(space, genome) for genome in genomes]
        assert watch.measured_s(genomes) == pytest.approx(wanted, rel=1e-12)
    assert device.batches == [4, 4, 4, 4, 4, 4, 1, 1, 1]
    assert told == [(4, 9), (8, 9), (9, 9)]


def test_a_file_of_other_timings_is_refused(space: WidthSpace, tmp_path: Path) -> None:
    path = tmp_path / "timings.jsonl"
    with Stopwatch(space, Device(), path) as watch:
        watch.measured_s([space.base])
        with pytest.raises(TraceError, match="another process is writing this file of timings"):
            Stopwatch(space, Device(), path)
    with pytest.raises(TraceError, match=r"jsonl:1: the timings were begun otherwise:\n  repeats: recorded 1, now 2"):
        Stopwatch(space, Device(), path, repeats=2)
    lines = path.read_text(encoding="utf-8").replace('"latency_s":', '"latency_s":1')
    path.write_text(lines, encoding="utf-8")
    with pytest.raises(TraceError, match="the chain breaks"):
        Stopwatch(space, Device(), path)


def test_an_oracle_that_calculates(space: WidthSpace, tmp_path: Path) -> None:
    array = replace(PRIOR, name="systolic-32x32")
    plan = MeasurePlan(oracle="systolic", timings=10)
    with DeviceLatency.of(space, array, plan, (), tmp_path / "timings.jsonl") as device:
        points, _ = device.chosen_optimal(errors_of(space), {"latency_s": device.budget_s(0.9)}, 2)
        found = oracles.load("systolic", "systolic-32x32").measure(space.decode(points[0].genome).lower())
        assert device.measured_s([points[0].genome])[0] == found.latency_s
    with pytest.raises(ConfigError, match=r"measure\.oracle: unknown target of the oracle 'systolic' 'edge-npu'"):
        DeviceLatency.of(space, PRIOR, plan, (), tmp_path / "other.jsonl")
    with pytest.raises(ConfigError, match=r"measure\.oracle: unknown oracle 'sistolic'; did you mean 'systolic'"):
        DeviceLatency.of(space, PRIOR, replace(plan, oracle="sistolic"), (), tmp_path / "other.jsonl")
