"""Additive problems made of cost tables: equal to pricing every network by `estimate`."""

from __future__ import annotations

import itertools
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from accelzoo.errors import AccelzooError, ConfigError
from accelzoo.hwmodel import estimate, load_target
from accelzoo.hwmodel.table import CostTable
from accelzoo.knobs import Space, choice
from accelzoo.search import exact


def space(*, width: bool = False) -> Space:
    stages = [
        {"kind": choice("ibn", "fused_ibn"), "stride": 2, "out_channels": choice(8, 16, 24)},
        {"kind": "ibn", "stride": 2, "expansion_ratio": choice(2, 4), "kernel_size": choice(3, 5), "out_channels": 24},
        {"kind": "ibn", "stride": 2, "repeats": choice(1, 2), "out_channels": choice(32, 48)},
    ]
    template: dict[str, Any] = {
        "input_size": [3, 64, 64],
        "stem": {"out_channels": 16},
        "stages": stages,
        "head": {"kind": "classification", "num_classes": 10, "hidden_channels": None},
    }
    return Space("exact", template | ({"width_multiplier": choice(0.5, 1.0)} if width else {}))


def priced(one: Space, target: str, fields: tuple[str, ...]) -> dict[tuple[int, ...], tuple[Any, ...]]:
    """Prices of every genome by `estimate` alone."""
    found = {}
    for genome in itertools.product(*map(range, one.sizes)):
        cost = estimate(one.decode(genome).lower(), load_target(target))
        found[genome] = tuple(getattr(cost, name) for name in fields)
    return found


@pytest.mark.parametrize(("target", "width"), [("camera-npu", True), ("mobile-cpu", False), ("ethos-u55-128", False)])
def test_every_genome_costs_what_estimate_says(target: str, width: bool) -> None:
    one = space(width=width)
    fields = ("latency_s", "energy_j", "dram_bytes", "macs")
    wanted = priced(one, target, (*fields, "peak_activation_bytes"))
    table = exact.from_cost_table(CostTable(one, target), fields)
    genomes = np.array(list(wanted))
    values = np.array(list(wanted.values()))
    np.testing.assert_allclose(table.totals(genomes), values[:, :-1], rtol=1e-13)

    front = exact.front(table, ("latency_s", "macs"))
    best = {(round(x / 1e-15), int(y)) for x, y in values[:, [0, 3]]}
    undominated = {p for p in best if not any(q != p and q[0] <= p[0] and q[1] <= p[1] for q in best)}
    assert {(round(x / 1e-15), int(y)) for x, y in front.values} == undominated

    most = int(np.median(values[:, -1]))
    quiet = exact.from_cost_table(CostTable(one, target), fields, peak_activation_bytes=most)
    found = exact.solve(quiet, objective="latency_s")
    assert found.value == pytest.approx(values[values[:, -1] <= most, 0].min(), rel=1e-13)


def test_with_an_accuracy_it_answers_the_question_of_a_search() -> None:
    one = space()
    rng = np.random.default_rng(0)
    gains = [rng.random(size) for size in one.sizes]
    table = exact.from_cost_table(CostTable(one, "camera-npu")).with_column("accuracy", gains, higher_is_better=True)
    wanted = priced(one, "camera-npu", ("latency_s",))
    accuracy = {genome: sum(gain[choice] for gain, choice in zip(gains, genome, strict=True)) for genome in wanted}
    budget = sorted(latency for (latency,) in wanted.values())[len(wanted) // 3] * (1 + 1e-12)
    found = exact.solve(table, {"latency_s": budget})
    assert found.objective == "accuracy"
    fitting = [genome for genome, (latency,) in wanted.items() if latency <= budget]
    assert found.best.genome == max(fitting, key=lambda genome: accuracy[genome])


def heavy() -> tuple[CostTable, Space, int]:
    """A table on a target whose memory for weights holds half of the genomes."""
    one = space()
    target = load_target("edge-npu")
    weights = sorted(bytes_ for (bytes_,) in priced(one, "edge-npu", ("weight_bytes",)).values())
    capacity = weights[len(weights) // 2]
    return CostTable(one, replace(target, weight_sram_bytes=capacity)), one, capacity


def test_weights_that_do_not_fit_on_chip_are_no_additive_problem() -> None:
    table, one, capacity = heavy()
    with pytest.raises(AccelzooError, match=f"exceed the {capacity:,} weight_sram_bytes.*on_chip=True"):
        exact.from_cost_table(table)
    made = exact.from_cost_table(table, on_chip=True)
    genomes = np.array(list(itertools.product(*map(range, one.sizes))))
    nothing = [np.zeros(size) for size in one.sizes]
    costs = [estimate(one.decode(genome).lower(), table.target) for genome in genomes.tolist()]
    slowest = max(cost.latency_s for cost in costs if cost.weight_bytes <= capacity)
    assert exact.solve(made).value == pytest.approx(min(c.latency_s for c in costs if c.weight_bytes <= capacity))
    macs = exact.from_cost_table(table, ("macs", "latency_s"), on_chip=True)
    most = exact.solve(macs.with_column("none", nothing), {"latency_s": (slowest * 0.999999, None)})
    assert most.best.values["weight_bytes"] <= capacity


@pytest.mark.parametrize(
    ("fields", "fault"),
    [
        ((), "name at least one"),
        (("latency",), "unknown 'latency'; allowed: latency_s"),
        (("peak_activation_bytes",), "a maximum over operators, no sum: pass peak_activation_bytes=LIMIT"),
    ],
)
def test_fields_that_are_no_sums_are_refused(fields: tuple[str, ...], fault: str) -> None:
    with pytest.raises(ConfigError, match=fault):
        exact.from_cost_table(CostTable(space(), "camera-npu"), fields)


def test_a_table_that_prices_wholes_is_refused() -> None:
    with pytest.raises(AccelzooError, match="as a whole: asked for"):
        exact.from_cost_table(CostTable(space(), "camera-npu", whole=True))


def test_a_limit_that_nothing_keeps_is_refused() -> None:
    with pytest.raises(AccelzooError, match="no genome is left"):
        exact.from_cost_table(CostTable(space(), "camera-npu"), peak_activation_bytes=1)
