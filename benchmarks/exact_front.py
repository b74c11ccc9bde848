"""How long the exact Pareto front of an additive problem takes, beside NSGA-II on the same problem, in one run.

`python benchmarks/exact_front.py > benchmarks/exact_front.md` writes the committed tables. Times are CPU milliseconds
of one thread, so that other work on the machine counts little; the median of 5 runs.
"""

from __future__ import annotations

import json
import statistics
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from accelzoo import draw, get_space
from accelzoo.hwmodel.table import CostTable
from accelzoo.recipes.report import markdown_table
from accelzoo.search import exact
from accelzoo.search.algorithms.nsga2 import NSGA2
from accelzoo.search.exact import AdditiveTable
from accelzoo.search.pareto import hypervolume

POSITIONS, CHOICES = 30, 8
SEEDS = 5
REPEATS = 5
EVALUATIONS, POPULATION = 20_000, 100
WIDTHS = Path("../shared/data/aows_instance/mbv1_v100_trt_fp16_b64_width_instance.json")

Floats = npt.NDArray[np.float64]
Kind = Callable[[Floats, Floats], tuple[Floats, Floats]]

KINDS: dict[str, Kind] = {
    "independent, real": lambda x, y: (x, y),
    "correlated, real": lambda x, y: (x, x + 0.2 * y),
    "opposed with noise, real": lambda x, y: (x, 1 - x + 0.3 * y),
    "opposed with noise, whole 0 … 99": lambda x, y: (np.floor(100 * x), np.floor(100 * (1 - x) + 20 * y)),
    "every choice pays (x, 1/x), three digits": lambda x, y: (np.round(1e3 * x + 100), np.round(1e3 / (x + 0.1))),
    "every choice pays (x, 1/x), real": lambda x, y: (x + 0.1, 1 / (x + 0.1)),
}
"""Makes two costs of two uniform draws. In the last two no choice is dominated: the hardest there are."""


def problem(kind: Kind, seed: int, positions: int = POSITIONS) -> AdditiveTable:
    """Draws a problem with the columns `error` and `cost`."""
    rng = draw.generator(seed, positions)
    error, cost = [], []
    for _ in range(positions):
        drawn = np.array([[draw.uniform(rng), draw.uniform(rng)] for _ in range(CHOICES)])
        one, other = kind(drawn[:, 0], drawn[:, 1])
        error.append(one)
        cost.append(other)
    return AdditiveTable.of({"error": error, "cost": cost})


def cpu_ms(call: Callable[[], Any]) -> float:
    """Returns the median CPU time of a call."""
    times = []
    for _ in range(REPEATS):
        started = time.process_time()
        call()
        times.append(1e3 * (time.process_time() - started))
    return statistics.median(times)


def span(values: list[float], form: str) -> str:
    """Returns the least and the greatest as text."""
    low, high = format(min(values), form), format(max(values), form)
    return low if low == high else f"{low} – {high}"


def evolved(table: AdditiveTable, seed: int) -> tuple[Floats, float]:
    """Returns every value that NSGA-II met, `(evaluations, 2)`, and its CPU time in ms, evaluations included."""
    started = time.process_time()
    algorithm = NSGA2(table.sizes, draw.generator(seed), population=POPULATION)
    met = []
    for _ in range(EVALUATIONS // POPULATION):
        genomes = algorithm.ask(POPULATION)
        met.append(table.totals(genomes))
        algorithm.tell(genomes, -met[-1])
    return np.concatenate(met), 1e3 * (time.process_time() - started)


def peer(table: AdditiveTable, seed: int) -> tuple[float, float, int]:
    """Returns NSGA-II's time, its share of the exact hypervolume, and how many of its points beat the exact front."""
    met, spent = evolved(table, seed)
    front = exact.front(table).values
    reference = -np.maximum(met.max(axis=0), front.max(axis=0))
    share = hypervolume(-met, reference) / hypervolume(-front, reference)
    # The front's best cost at no more error than each point's: the point may not be below it.
    place = np.searchsorted(front[:, 0], met[:, 0], side="right") - 1
    beaten = (place < 0) | (front[np.maximum(place, 0), 1] > met[:, 1])
    return spent, share, int(beaten.sum())


def row(label: str, kind: Kind) -> tuple[str, ...]:
    """Measures one kind of problem over the seeds."""
    times, sizes, labels, peers = [], [], [], []
    for seed in range(SEEDS):
        table = problem(kind, seed)
        front = exact.front(table)
        times.append(cpu_ms(partial(exact.front, table)))
        sizes.append(float(len(front)))
        labels.append(float(front.labels))
        peers.append(peer(table, seed))
    spent, shares, better = zip(*peers, strict=True)
    compared = (span(list(spent), ",.0f"), span(list(shares), ".1%"), f"{sum(better)}")
    return (label, span(sizes, ",.0f"), span(labels, ",.0f"), span(times, ".1f"), *compared)


def scaling() -> list[tuple[str, ...]]:
    """Measures how time grows with positions where nothing is dominated."""
    rows = []
    kinds = [kind for label, kind in KINDS.items() if label.startswith(("independent", "every"))]
    for positions in (10, 20, 30, 40, 60):
        cells = [str(positions)]
        for kind in kinds:
            table = problem(kind, 0, positions)
            cells += [f"{len(exact.front(table)):,}", f"{cpu_ms(partial(exact.front, table)):.1f}"]
        rows.append(tuple(cells))
    return rows


def widths() -> list[tuple[str, ...]]:
    """Measures the width search of AOWS's size: latency between neighbours, one budget."""
    data = json.loads(WIDTHS.read_text(encoding="utf-8"))
    first = [data["latency"][0][0], *[[0.0] * len(errors) for errors in data["unary"][1:]]]
    table = AdditiveTable.of({"error": data["unary"], "latency_ms": first}, {"latency_ms": data["latency"][1:]})
    rows = []
    for answer in data["answers"]:
        budgets = {"latency_ms": answer["T"]}
        found = exact.solve(table, budgets)
        assert found.relaxed is not None
        figures = (f"{found.value:.6f}", f"{found.relaxed.values['error']:.6f}", f"{found.dual_bound:.6f}")
        spent = cpu_ms(partial(exact.solve, table, budgets))
        rows.append((f"{answer['T']} ms", *figures, f"{found.labels:,}", f"{spent:.1f}"))
    started = time.process_time()
    other = exact.solve(table, {"latency_ms": 0.04}, method="milp")
    spent = 1e3 * (time.process_time() - started)
    rows.append(("0.04 ms, `milp`", f"{other.value:.6f}", "", "", "", f"{spent:.0f}"))
    front = exact.front(table)
    spent = cpu_ms(partial(exact.front, table))
    rows.append((f"whole front: {len(front):,} points", "", "", "", f"{front.labels:,}", f"{spent:.0f}"))
    return rows


def space() -> list[tuple[str, ...]]:
    """Measures a whole space priced on an accelerator, with an accuracy drawn for every choice."""
    camera = get_space("camera")
    costs = CostTable(camera, "camera-npu")
    costs.build()
    started = time.process_time()
    table = exact.from_cost_table(costs, ("latency_s", "energy_j"))
    made_ms = 1e3 * (time.process_time() - started)
    rng = draw.generator(0)
    gains = [sorted(draw.below(rng, 100) for _ in range(size)) for size in camera.sizes]
    table = table.with_column("accuracy", gains, higher_is_better=True)
    genomes = np.array([camera.sample_genome(rng) for _ in range(1_000)])
    prices = costs.price(genomes)[:, [costs.fields.index(name) for name in ("latency_s", "energy_j")]]
    latency_s, energy_j = np.quantile(prices, 0.25, axis=0).tolist()
    arcs = sum(len(layer.source) for layer in table.layers)
    rows = [(f"made from the cost table: {arcs:,} arcs", "", "", f"{made_ms:,.0f}")]
    for label, budgets in (
        ("best accuracy within a latency", {"latency_s": latency_s}),
        ("within a latency and an energy", {"latency_s": latency_s, "energy_j": energy_j}),
    ):
        found = exact.solve(table, budgets, objective="accuracy")
        spent = cpu_ms(partial(exact.solve, table, budgets, objective="accuracy"))
        rows.append((label, f"{found.value:.0f} (bound {found.dual_bound:.1f})", f"{found.labels:,}", f"{spent:,.0f}"))
    front = exact.front(table, ("latency_s", "accuracy"))
    spent = cpu_ms(partial(exact.front, table, ("latency_s", "accuracy")))
    rows.append(("front of latency and accuracy", f"{len(front):,} points", f"{front.labels:,}", f"{spent:,.0f}"))
    return rows


def main() -> None:
    """Prints the tables."""
    print("Made by `python benchmarks/exact_front.py`. CPU time of one thread.\n")
    print(f"Whole front of {POSITIONS} positions, {CHOICES} choices, 2 objectives; {SEEDS} problems a row\n")
    peers = (f"NSGA-II, {EVALUATIONS:,} evaluations (ms)", "its hypervolume", "its points better")
    header = ("costs", "points on the front", "labels made", "exact (ms)", *peers)
    print(markdown_table(header, [row(label, kind) for label, kind in KINDS.items()]))
    print(NOTES)
    print("Growth with positions (8 choices, points and ms)\n")
    header = ("positions", "independent, real", "ms", "every choice pays, three digits", "ms", "real", "ms")
    print(markdown_table(header, scaling()))
    print("\nThe camera space on camera-npu: 29 knobs, 6·10¹⁴ genomes, prices depend on what enters each stage\n")
    print(markdown_table(("question", "answer", "labels made", "ms"), space()))
    if WIDTHS.exists():
        print("\nMobileNet-v1 width search (14 layers, 10^15.6 networks, latency depends on neighbouring widths)\n")
        header = ("latency budget", "exact error", "Lagrangian alone", "dual bound", "labels made", "ms")
        print(markdown_table(header, widths()))


NOTES = """
- Exact: proven complete, equal to brute force on small problems bit for bit (tests/search/test_exact_brute_force.py).
- "Its points better": points of NSGA-II that no point of the exact front is at least as good as; it must be 0.
- Where every choice pays and costs are real, almost every trade-off is a point of its own, and time is that of writing
  them down: the labels made are 8 × the points of all prefixes' fronts. Costs rounded to three digits have fewer.
"""


if __name__ == "__main__":
    main()
