"""Spaces and pools with nothing in them: an error that says why, not a list of failures."""

from __future__ import annotations

import itertools
import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from accelzoo.errors import BudgetError, ConfigError, ShapeError, TraceError
from accelzoo.hwmodel import estimate, load_target
from accelzoo.hwmodel.table import CostTable
from accelzoo.knobs import Space, choice
from accelzoo.search import Budgets, TargetCosts, run
from accelzoo.search.least import prove
from tests.search.test_prices import everything
from tests.search.toy import ToyArch, ToyCost, ToySpace, accuracy, costs, search

TARGET = load_target("camera-npu")


class Impossible(ToySpace):
    def decode(self, genome: tuple[int, ...]) -> ToyArch:
        raise ConfigError(["stages[1]: stride 4 does not fit"])


@pytest.mark.parametrize(("sizes", "tried"), [((3, 3), "all 9 genomes"), ((9,) * 12, "1,000 random genomes")])
def test_a_space_in_which_nothing_decodes_is_an_error_before_anything_else(
    tmp_path: Path, sizes: tuple[int, ...], tried: str
) -> None:
    for budgets in ({}, {"latency_s": 1.0}):
        with pytest.raises(ShapeError) as caught:
            search(Impossible(sizes=sizes), costs=costs, budgets=budgets, folder=tmp_path / "new")
        assert str(caught.value).startswith(
            f"the space (Impossible) makes no network that can be priced (tried {tried}); the first reason: "
            "ConfigError: stages[1]: stride 4 does not fit\n  genome ("
        )
    assert not (tmp_path / "new").exists()


def test_the_knobs_of_the_first_reason_are_named() -> None:
    stages = [{"kind": "fused_ibn", "group_size": choice(7, 11), "out_channels": 16, "stride": choice(1, 2)}]
    head = {"kind": "classification", "num_classes": 10, "hidden_channels": None}
    space = Space("odd", {"input_size": [3, 32, 32], "stem": {"out_channels": 8}, "stages": stages, "head": head})
    with pytest.raises(ShapeError) as caught:
        run(space, lambda arch: 0.5, evaluations=3, costs=TargetCosts(TARGET), progress=False)
    lines = str(caught.value).splitlines()
    assert lines[0].startswith("space 'odd' makes no network that can be priced (tried all 4 genomes); the first rea")
    assert "group_size (=7) must divide" in lines[0]
    assert lines[1:] == ["  genome (0, 0)", "  stages[0].group_size = 7", "  stages[0].stride = 1"]


def test_a_target_that_can_run_nothing_is_an_error() -> None:
    def unpriced(arch: ToyArch) -> ToyCost:
        return ToyCost(latency_s=0.0, unpriced=("head (softmax)",))

    with pytest.raises(ShapeError, match=r"the first reason: the target cannot price head \(softmax\)"):
        search(costs=unpriced)


@pytest.mark.parametrize("sizes", [(), (3, 0)])
def test_an_empty_space_is_named(sizes: tuple[int, ...]) -> None:
    with pytest.raises(ShapeError, match=r"the space \(ToySpace\) is empty: sizes \(=\(.*\)\) must give at least one"):
        search(ToySpace(sizes=sizes))
    with pytest.raises(ShapeError, match="space 'none' is empty"):
        run(Space("none", {}), accuracy, evaluations=3, progress=False)


def limits_of(space: Space) -> dict[str, float]:
    """The least of every field over all networks of a space, by `estimate` alone."""
    found: dict[str, float] = {}
    for genome in everything(space).tolist():
        try:
            cost = estimate(space.decode(genome).lower(), TARGET)
        except ShapeError:
            continue
        for name in cost.fields():
            found[name] = min(found.get(name, math.inf), getattr(cost, name))
    return found


def possible() -> Space:
    """576 genomes, all of them networks."""
    stages = [
        {"kind": "ibn", "stride": 2, "out_channels": choice(16, 8, 24), "kernel_size": choice(5, 3)},
        {"kind": choice("fused_ibn", "ibn"), "stride": 2, "out_channels": choice(16, 24), "repeats": choice(1, 2)},
        {"kind": "ibn", "stride": 2, "out_channels": choice(32, 40, 48), "repeats": choice(1, 2)},
        {"kind": "ibn", "stride": 1, "out_channels": 48, "kernel_size": choice(3, 5)},
    ]
    head = {"kind": "classification", "num_classes": 10, "hidden_channels": None}
    return Space("p", {"input_size": [3, 32, 32], "stem": {"out_channels": 8}, "stages": stages, "head": head})


FIELDS = ("latency_s", "energy_j", "peak_activation_bytes", "weight_bytes", "dram_bytes", "macs")


def test_the_least_of_every_field_is_proven_without_pricing_every_genome(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("accelzoo.search.feasible.ENUMERATED", 1)
    monkeypatch.setattr("accelzoo.search.feasible.RESTARTS", 1)
    monkeypatch.setattr("accelzoo.search.feasible.SWEEPS", 1)
    space = possible()
    least = limits_of(space)
    budgets = {name: least[name] * 0.99 for name in FIELDS}
    with pytest.raises(BudgetError) as caught:
        run(space, lambda arch: 0.5, evaluations=3, costs=TargetCosts(TARGET), budgets=budgets, progress=False)
    lines = str(caught.value).splitlines()
    assert lines[0] == "no architecture meets the budgets (proven for all 576 genomes)"
    assert lines[1:7] == [f"  {name}: budget {budgets[name]:.12g}, smallest {least[name]!r}" for name in FIELDS]


def test_a_proof_finds_the_only_genome_within_budgets() -> None:
    space = possible()
    table = CostTable(space, TARGET)
    rows = {}
    for genome in everything(space).tolist():
        cost = estimate(space.decode(genome).lower(), TARGET)
        rows[tuple(genome)] = (cost.latency_s, cost.peak_activation_bytes, cost.weight_bytes)
    # A limit on everything that one network just meets and no other does.
    genome, row = next(
        (genome, row)
        for genome, row in rows.items()
        if sum(all(x <= y for x, y in zip(other, row, strict=True)) for other in rows.values()) == 1
    )
    names = ("latency_s", "peak_activation_bytes", "weight_bytes")
    budgets = dict(zip(names, (row[0] * (1 + 1e-9), *row[1:]), strict=True))
    assert prove(table, Budgets.of(budgets)).within == genome
    proof = prove(table, Budgets.of({**budgets, "weight_bytes": row[2] - 1}))
    assert proof.within is None
    least = [min(row[column] for row in rows.values()) for column in range(3)]
    for column, name in enumerate(names):
        assert rows[proof.least[name]][column] == least[column]
    tight = Budgets.of({"peak_activation_bytes": least[1] - 1})
    assert prove(table, tight, {"peak_activation_bytes": least[1]}).least == {}  # that was the least
    proof = prove(table, tight, {"peak_activation_bytes": 1e9})
    assert rows[proof.least["peak_activation_bytes"]][1] == least[1]


def test_where_there_is_no_proof_the_smallest_found_is_named(caplog: pytest.LogCaptureFixture) -> None:
    class Deeper(ToySpace):
        """Its knobs do not say where they stand, so that no table of parts can be made."""

        def decode(self, genome: tuple[int, ...]) -> Any:
            return possible().decode(genome[:8])

    with pytest.raises(BudgetError, match=r"looked at [\d,]+ of 3.05e\+04 genomes.*\n.*smallest found \d"):
        search(
            Deeper(sizes=(*possible().sizes, 53)),
            costs=TargetCosts(TARGET),
            budgets={"latency_s": 1e-9},
        )
    assert "proof" not in caplog.text


POOL = np.array([genome for genome in itertools.product(range(3), repeat=4) if sum(genome) % 2], np.int64)


def test_only_the_pool_is_asked_for(tmp_path: Path) -> None:
    budgets = {"latency_s": 4e-3}
    found = search(algorithm="random", pool=POOL, costs=costs, budgets=budgets, evaluations=99, folder=tmp_path)
    assert found.stopped == "exhausted"
    assert {record.genome for record in found.trace} == {tuple(genome) for genome in POOL.tolist()}
    within = [genome for genome in POOL.tolist() if sum(genome) <= 3]
    assert found.trace[0].genome == tuple(within[0])
    assert sum(record.evaluated for record in found.trace) == len(within)
    assert found.best.accuracy == max(accuracy(ToyArch(tuple(genome))) for genome in within)
    assert found.header["pool"].startswith("sha256:")
    with pytest.raises(TraceError, match=r"pool: recorded 'sha256:.*given 'sha256:"):
        search(algorithm="random", pool=POOL[::-1], costs=costs, budgets=budgets, folder=tmp_path, resume=True)
    with pytest.raises(TraceError, match=r"pool: recorded 'sha256:.*given None"):
        search(algorithm="random", costs=costs, budgets=budgets, folder=tmp_path, resume=True)


def test_budgets_that_no_genome_of_a_pool_meets_name_its_exact_least() -> None:
    with pytest.raises(BudgetError) as caught:
        search(algorithm="random", pool=POOL, costs=costs, budgets={"latency_s": 1.5e-3})
    assert str(caught.value).splitlines() == [
        f"no architecture meets the budgets (looked at all {len(POOL)} genomes of the pool)",
        "  latency_s: budget 0.0015, smallest 0.002",
    ]


@pytest.mark.parametrize(
    ("settings", "error", "said"),
    [
        ({"algorithm": "evolution"}, ConfigError, "pool: algorithm evolution cannot be kept .* can: .*random"),
        ({"pool": POOL[:0]}, ConfigError, "pool: there is no genome in it"),
        ({"pool": POOL + 2}, ShapeError, "must be in 0 … 2"),
        ({"pool": POOL[:, 1:]}, ShapeError, "must be integers of shape"),
    ],
)
def test_a_pool_that_cannot_be_is_refused(settings: dict[str, Any], error: type[Exception], said: str) -> None:
    with pytest.raises(error, match=said):
        search(**{"algorithm": "random", "pool": POOL, **settings})


def test_an_algorithm_that_leaves_its_pool_is_stopped() -> None:
    from accelzoo.search.algorithms.random import RandomSearch

    class Roaming(RandomSearch):
        def use_pool(self, genomes: Any) -> None:
            """Takes no heed."""

    with pytest.raises(ShapeError, match=r"Roaming asked for \(.*\), which is not in its pool"):
        search(algorithm=Roaming, pool=POOL[:3], evaluations=3)


def test_of_a_pool_in_which_nothing_decodes_the_reason_is_named() -> None:
    with pytest.raises(ShapeError, match=r"tried the pool's genomes.*stride 4 does not fit"):
        search(Impossible(sizes=(3,) * 4), algorithm="random", pool=POOL)
