"""Prices in bulk: those of `estimate` to the last bit, +inf where there is none; and what algorithms are told ahead."""

from __future__ import annotations

import itertools
from dataclasses import replace
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pytest

from accelzoo.errors import ShapeError
from accelzoo.hwmodel import estimate, load_target
from accelzoo.hwmodel.table import CostTableError
from accelzoo.knobs import Space, choice
from accelzoo.search import COST_FIELDS, Budgets, Objective, TargetCosts, read_trace, run
from accelzoo.search.algorithms.random import RandomSearch
from accelzoo.search.chain import GENESIS, canonical, chained
from accelzoo.search.evaluator import Evaluator
from accelzoo.search.prices import Prices
from accelzoo.search.trace import FILE_NAME
from tests.search.toy import SPACE, ToyArch, ToyCost, accuracy, costs, search

TARGET = load_target("camera-npu")


def partly_possible() -> Space:
    """48 genomes, of which half make no network: groups of 12 do not divide every expanded width."""
    stages = [
        {"kind": "fused_ibn", "stride": 2, "out_channels": choice(8, 16, 20), "kernel_size": choice(3, 5)},
        {"kind": "fused_ibn", "stride": 2, "group_size": choice(8, 12), "out_channels": choice(24, 32)},
        {"kind": choice("ibn", "fused_ibn"), "stride": 2, "out_channels": 32},
    ]
    stages[1]["expansion_ratio"] = 2
    head = {"kind": "classification", "num_classes": 10, "hidden_channels": None}
    template = {"input_size": [3, 32, 32], "stem": {"out_channels": 8}, "stages": stages, "head": head}
    return Space("partly possible", template)


def everything(space: Space) -> np.ndarray[Any, np.dtype[np.int64]]:
    return np.array(list(itertools.product(*map(range, space.sizes))), np.int64)


def test_prices_are_those_of_estimate_to_the_bit_and_inf_where_there_is_no_network() -> None:
    space = partly_possible()
    genomes = everything(space)
    rows = TargetCosts(TARGET).prices(space)(genomes)
    assert rows.shape == (48, len(COST_FIELDS))
    possible = 0
    for row, genome in zip(rows.tolist(), genomes.tolist(), strict=True):
        try:
            cost = estimate(space.decode(genome).lower(), TARGET)
        except ShapeError:
            assert row == [np.inf] * 6
        else:
            assert row == [getattr(cost, name) for name in COST_FIELDS]
            possible += 1
    assert possible == 24


def test_a_network_that_the_target_cannot_run_has_no_price() -> None:
    target = replace(TARGET, unsupported=("depthwise_conv2d",))
    space = partly_possible()
    genomes = np.array([[0, 0, 0, 0, kind] for kind in (0, 1)])
    costs = [estimate(space.decode(genome).lower(), target) for genome in genomes.tolist()]
    assert [bool(cost.unpriced) for cost in costs] == [True, False]
    rows = TargetCosts(target).prices(space)(genomes)
    assert (rows[0] == np.inf).all()
    assert rows[1, 0] == costs[1].latency_s


@pytest.mark.parametrize("genomes", [[[0, 0]], [[0.0] * 5], [[0, 0, 2, 0, 0]], [[-1, 0, 0, 0, 0]]])
def test_genomes_of_another_space_are_refused(genomes: Any) -> None:
    with pytest.raises(ShapeError):
        TargetCosts(TARGET).prices(partly_possible())(np.array(genomes))


def prices(costs: Any, space: Any, budgets: dict[str, float], minimise: tuple[str, ...] = ()) -> Prices:
    return Prices(Evaluator(space, accuracy, costs, Budgets.of(budgets), Objective(minimise=minimise)))


@pytest.mark.parametrize("bulk", [True, False])
def test_violations_and_costs_are_those_of_single_candidates(bulk: bool) -> None:
    space, target_costs = partly_possible(), TargetCosts(TARGET)
    genomes = everything(space)
    limits = {"latency_s": 9e-5, "weight_bytes": 36_000.0}
    fields = ("energy_j", "macs")
    known = prices(target_costs if bulk else target_costs.__call__, space, limits, fields)
    assert (known.table is not None) == bulk
    budgets = Budgets.of(limits)
    values = zip(known.violation(genomes).tolist(), known.objectives(genomes).tolist(), genomes.tolist(), strict=True)
    seen = set()
    for violation, objectives, genome in values:
        try:
            cost = estimate(space.decode(genome).lower(), TARGET)
        except ShapeError:
            assert (violation, objectives) == (np.inf, [-np.inf, -np.inf])
            continue
        assert violation == budgets.violation(cost)  # type: ignore[arg-type]
        assert objectives == [-cost.energy_j, -cost.macs]
        seen.add(violation > 0)
    assert seen == {True, False}


def test_costs_whose_table_fails_are_asked_one_by_one(caplog: pytest.LogCaptureFixture) -> None:
    class Failing:
        def __call__(self, arch: ToyArch) -> ToyCost:
            return costs(arch)

        def prices(self, space: Any) -> Any:
            def price(genomes: Any) -> Any:
                raise CostTableError("too many entries")

            return price

    known = prices(Failing(), SPACE, {"latency_s": 2e-3})
    assert known.violation(np.array([[0, 0, 0, 0], [1, 1, 1, 0]])).tolist() == [0.0, 1.0]
    assert "candidates are priced one by one from here on: too many entries" in caplog.text


class Curious(RandomSearch):
    """Takes everything that a search can tell ahead."""

    told: ClassVar[dict[str, Any]] = {}

    def use_canonical(self, canonical: Any) -> None:
        self.told["canonical"] = canonical

    def use_features(self, features: Any) -> None:
        self.told["features"] = features

    def use_violation(self, violation: Any) -> None:
        self.told["violation"] = violation

    def use_costs(self, costs: Any) -> None:
        self.told["costs"] = costs


def test_an_algorithm_is_told_ahead_what_it_has_methods_for() -> None:
    space = partly_possible()
    Curious.told = {}
    settings: dict[str, Any] = {"evaluations": 3, "algorithm": Curious, "progress": False}
    found = run(space, lambda arch: 0.5, costs=TargetCosts(TARGET), **settings)
    assert set(Curious.told) == {"canonical", "features", "costs"}
    assert found.header["features"] == list(Curious.told["features"].names)
    genomes = everything(space)[:2]
    assert Curious.told["features"](genomes).shape == (2, len(found.header["features"]))
    latency_s = estimate(space.decode(genomes[0].tolist()).lower(), TARGET).latency_s
    assert Curious.told["costs"](genomes)[0].tolist() == [-latency_s]

    Curious.told = {}
    found = run(space, lambda arch: 0.5, costs=TargetCosts(TARGET), budgets={"latency_s": 1.0}, **settings)
    assert set(Curious.told) == {"canonical", "features", "violation"}
    assert Curious.told["violation"](genomes).tolist() == [0.0, 0.0]

    Curious.told = {}
    assert search(algorithm=Curious).header["features"] is None  # a toy's genomes are no `Arch`
    assert set(Curious.told) == {"canonical"}


def test_a_price_that_was_asked_ahead_is_not_asked_again() -> None:
    asked = []

    def price(arch: ToyArch) -> ToyCost:
        asked.append(arch)
        return costs(arch)

    class Looking(Curious):
        def use_violation(self, violation: Any) -> None:
            violation(np.array(list(SPACE.all())))
            asked.clear()

    search(evaluations=40, algorithm=Looking, costs=price, budgets={"latency_s": 5e-3})
    assert asked == []


def test_a_trace_from_before_there_was_more_to_tell_goes_on_without(tmp_path: Path) -> None:
    """Its header has neither `features`, `pending`, `pool` nor `objective.minimise`."""
    settings: dict[str, Any] = {"algorithm": Curious, "costs": costs, "budgets": {"latency_s": 5e-3}}
    search(evaluations=20, folder=tmp_path / "now", **settings)
    search(evaluations=8, folder=tmp_path / "before", **settings)
    path = tmp_path / "before" / FILE_NAME
    trace = read_trace(path)
    header = {name: value for name, value in trace.header.items() if name not in ("features", "pending", "pool")}
    header["objective"] = {name: header["objective"][name] for name in ("cost_field", "exponent", "reference")}
    contents: list[Any] = [header, *[record.to_json() for record in trace.records]]
    previous, lines = GENESIS, []
    for content in contents:
        previous, line = chained(previous, content)
        lines.append(f"{line}\n")
    path.write_text("".join(lines))
    Curious.told = {}
    found = search(evaluations=20, folder=tmp_path / "before", resume=True, **settings)
    assert set(Curious.told) == {"canonical"}
    assert found.header["pending"] == 1
    assert found.trace == read_trace(tmp_path / "now").records
    assert path.read_text().startswith("".join(lines))
    assert canonical(dict(read_trace(path).header)) == canonical(header)


def test_the_genome_to_begin_with_is_measured_once_and_keeps_that_price() -> None:
    """A measurement differs each time: what was within the budget when it was chosen must not be over it later."""
    measured: list[ToyArch] = []

    def creeping(arch: ToyArch) -> ToyCost:
        measured.append(arch)
        return ToyCost(latency_s=1.0 + 0.01 * len(measured))

    result = search(costs=creeping, budgets={"latency_s": 1.015}, evaluations=1, max_candidates=5)
    assert result.trace[0].status == "ok"
    first = SPACE.decode(result.trace[0].genome)
    assert measured.count(first) == 1


def test_numbers_of_numpy_go_into_the_header(tmp_path: Path) -> None:
    objective = Objective(exponent=np.float64(-0.07), reference=np.float32(3))  # type: ignore[arg-type]
    result = run(SPACE, accuracy, evaluations=3, algorithm="evolution", costs=costs, objective=objective,
                 seed=np.int64(3), pending=np.int64(2), folder=tmp_path)  # type: ignore[arg-type]  # fmt: skip
    assert read_trace(tmp_path).header["pending"] == 2
    assert result.header["seed"] == 3
