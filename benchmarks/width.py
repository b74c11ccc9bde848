"""Width search in numbers: the grid, the exact solver, latency tables from few timings, and the closed loop.

`python benchmarks/width.py --loop ethos-u ethos-u55-256 mobilenetv1_100 > benchmarks/width.md` writes the committed
tables. Times are CPU milliseconds of one thread, the median of 5 runs. Each `--loop ORACLE TARGET NETWORK` closes loops
on a measuring tool, which takes minutes.
"""

from __future__ import annotations

import argparse
import json
import math
import statistics
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from accelzoo import draw, get_arch
from accelzoo.hwmodel import load_target, oracles
from accelzoo.recipes.report import markdown_table
from accelzoo.search.width import (
    LatencyGrid,
    Timings,
    WidthCosts,
    WidthSpace,
    close_loop,
    covering_genomes,
    fit_latency_table,
    greedy_widths,
    solve_width,
    time_genomes,
    width_front,
)

INSTANCE = Path("../shared/data/aows_instance/mbv1_v100_trt_fp16_b64_width_instance.json")
AUTOSLIM = (
    (149.8, (16, 32, 48, 48, 88, 88, 224, 176, 224, 368, 320, 224, 744, 744)),
    (324.8, (16, 32, 48, 64, 112, 184, 320, 368, 320, 416, 464, 560, 1128, 1128)),
    (572.1, (24, 64, 128, 144, 232, 232, 560, 464, 512, 464, 560, 560, 1128, 1128)),
)
REPEATS = 5
TIMINGS = (300, 1_000, 2_000)
STATED = {300: 0.020, 1_000: 0.011, 2_000: 0.0065}
NOISE = 0.005
SEEDS = 3
FIRST_TIMINGS = 40

Floats = npt.NDArray[np.float64]
Rows = list[tuple[str, ...]]


def cpu_ms(call: Callable[[], Any]) -> float:
    """Returns the median CPU time of a call."""
    times = []
    for _ in range(REPEATS):
        started = time.process_time()
        call()
        times.append(1e3 * (time.process_time() - started))
    return statistics.median(times)


def grid_rows(grid: LatencyGrid) -> Rows:
    """Compares the space of MobileNet-v1 with the published one."""
    space = grid.space
    rank, nullity = grid.identifiability()
    macs = space.decode(space.base).lower().macs / 1e6
    rows: Rows = [
        ("networks", f"10^{math.log10(space.size()):.2f}", "10^15.57"),
        ("entries of the latency table", f"{grid.entries:,}", "1,612"),
        ("rank, nullity", f"{rank:,}, {nullity}", "1,496, 116"),
        ("MACs of MobileNet-v1 (M)", f"{macs:.1f}", "568.7"),
    ]
    for published, channels in AUTOSLIM:
        macs = space.at(channels).lower().macs / 1e6
        rows.append((f"MACs of AutoSlim-MobileNet-v1 {published:.0f}M (M)", f"{macs:.1f}", f"{published}"))
    return rows


def instance_costs(data: dict[str, Any]) -> WidthCosts:
    """Makes the costs of the width-search instance: errors, latency, and weights of the layers."""
    grid = [np.array(widths, np.float64) for widths in data["grid"]]
    pairs = range(1, len(grid))
    latency: dict[tuple[int, ...], Any] = {(i - 1, i): data["latency"][i] for i in pairs}
    weights: dict[tuple[int, ...], Any] = {
        (i - 1, i): np.outer(grid[i - 1], grid[i]) + 9 * grid[i - 1][:, None] for i in pairs
    }
    latency[0,], weights[0,] = data["latency"][0][0], 27 * grid[0]
    return WidthCosts.of(data["grid"], {"latency_ms": latency, "weights": weights}).with_errors(data["unary"])


def solver_rows(data: dict[str, Any]) -> Rows:
    """Solves the instance at its budgets, alone and with a budget of 90 % of the optimum's weights beside it."""
    costs = instance_costs(data)
    rows: Rows = []
    alone, both = [], []
    for answer in data["answers"]:
        budgets = {"latency_ms": answer["T"]}
        found = solve_width(costs, budgets)
        relaxed = solve_width(costs, budgets, method="lagrangian")
        alone.append(cpu_ms(partial(solve_width, costs, budgets)))
        two = budgets | {"weights": 0.9 * found.best.values["weights"]}
        second = solve_width(costs, two)
        both.append(cpu_ms(partial(solve_width, costs, two)))
        figures = [found.value, answer["exact_error"], relaxed.value, relaxed.lower_bound, second.value]
        rows.append((f"{answer['T']} ms", *[f"{x:.6f}" for x in figures], f"{alone[-1]:.0f}", f"{both[-1]:.0f}"))
    rows.append(("median", "", "", "", "", "", f"{statistics.median(alone):.0f}", f"{statistics.median(both):.0f}"))
    rows.append(("largest", "", "", "", "", "", f"{max(alone):.0f}", f"{max(both):.0f}"))
    return rows


def greedy_rows(data: dict[str, Any]) -> Rows:
    """Prunes the instance greedily by each rule, down to its tightest budget: the error at each budget on the way."""
    costs = instance_costs(data)
    error = list(costs.columns).index("error")
    tightest = {"latency_ms": min(answer["T"] for answer in data["answers"])}
    ways = [
        greedy_widths(costs, tightest, lambda genomes: costs.totals(genomes)[:, error], rule=rule)
        for rule in ("netadapt", "autoslim", "mobilenetv3")
    ]
    rows: Rows = []
    for answer in data["answers"]:
        budgets = {"latency_ms": answer["T"]}
        found = [solve_width(costs, budgets).value, *(way.first_within(budgets).values["error"] for way in ways)]
        rows.append((f"{answer['T']} ms", *[f"{value:.6f}" for value in found]))
    return rows


def graph_rows() -> Rows:
    """Solves networks whose factor graphs are no chains, with errors that fall like 1 / width."""
    rows: Rows = []
    for name, target in (("mobilenetv2_100", "camera-npu"), ("efficientnet_es", "camera-npu"),
                         ("mobilenetv3_large_100", "mobile-cpu"), ("resnet18", "edge-npu")):  # fmt: skip
        space = WidthSpace.from_arch(get_arch(name))
        started = time.process_time()
        costs = WidthCosts.priced(space, target, ("latency_s", "energy_j", "weight_bytes"))
        priced_ms = 1e3 * (time.process_time() - started)
        costs = costs.with_errors([group.base / np.array(group.widths) for group in space.groups])
        base = dict(zip(costs.columns, costs.totals([space.base])[0].tolist(), strict=True))
        peak = float(costs.peak_of([space.base])[0])
        one = {"latency_s": 0.7 * base["latency_s"]}
        four = {**{field: 0.8 * base[field] for field in ("latency_s", "energy_j", "weight_bytes")},
                "peak_activation_bytes": 0.9 * peak}  # fmt: skip
        first, second = solve_width(costs, one), solve_width(costs, four)
        times = [cpu_ms(partial(solve_width, costs, budgets)) for budgets in (one, four)]
        solved = zip((first, second), times, strict=True)
        cells = [f"{found.status}, {found.method}, {spent:,.0f}" for found, spent in solved]
        size = f"10^{math.log10(space.size()):.1f}"
        rows.append((f"{name} on {target}", f"{len(space.groups)}", size, f"{priced_ms:,.0f}", *cells))
    return rows


def measured_entries(grid: LatencyGrid, data: dict[str, Any]) -> Floats:
    """Returns the instance's measured latencies as entries; its classifier was not measured: a straight line."""
    truth = np.zeros(grid.entries)
    truth[grid.index[0]] = data["latency"][0][0]
    for number in range(1, 14):
        truth[grid.index[number]] = data["latency"][number]
    truth[grid.index[14]] = 1e-3 + 3e-7 * np.array(grid.space.widths[13])
    return 1e-3 * truth


def table_rows(grid: LatencyGrid, data: dict[str, Any]) -> Rows:
    """Learns the instance's latencies from noisy sums; errors on 500 networks that were not timed, without noise."""
    truth = measured_entries(grid, data)
    rng = draw.generator(9)
    unseen = np.array([grid.space.sample_genome(rng) for _ in range(500)])
    wanted = truth[grid.rows(unseen)].sum(axis=1)
    rows: Rows = []
    for prior in ("edge-npu", "camera-npu"):
        for count in TIMINGS:
            reached, judged, ranks = [], [], []
            for seed in range(SEEDS):
                timed = covering_genomes(grid.space, count, seed=seed)
                noise = 1 + NOISE * np.random.default_rng(seed).standard_normal(count)
                table = fit_latency_table(grid, timed, truth[grid.rows(timed)].sum(axis=1) * noise, prior)
                error = table.latency_s(unseen) - wanted
                reached.append(float(np.sqrt(np.mean(error**2)) / wanted.mean()))
                judged.append(table.report.nrmse)
                ranks.append(table.report.rank)
            span = f"{min(reached):.2%} – {max(reached):.2%}"
            figures = (span, f"{np.mean(judged):.2%}", f"{STATED[count]:.2%}")
            rows.append((prior, f"{count:,}", f"{min(ranks):,}", *figures))
    timed = covering_genomes(grid.space, TIMINGS[-1], seed=0)
    table = fit_latency_table(grid, timed, truth[grid.rows(timed)].sum(axis=1), "edge-npu", noise=0.0)
    largest = float(np.abs(table.latency_s(unseen) / wanted - 1).max())
    figures = (f"{largest:.0e} at most", "", "1e-09")
    rows.append(("edge-npu, without noise", f"{TIMINGS[-1]:,}", f"{table.report.rank:,}", *figures))
    return rows


def loop_rows(oracle: str, target: str, network: str) -> Rows:
    """Closes the loop on a measuring tool at three latency budgets, with errors that fall like 1 / width."""
    grid = LatencyGrid.of(WidthSpace.from_arch(get_arch(network)))
    space = grid.space
    prior = load_target(target)
    timer = oracles.load(oracle, target)
    timed = covering_genomes(space, FIRST_TIMINGS, seed=0)
    timings = Timings(genomes=timed, latency_s=time_genomes(space, timed, timer))
    costs = WidthCosts.priced(space, prior).with_errors([x.base / np.array(x.widths) for x in space.groups])
    base_s = float(time_genomes(space, [space.base], timer)[0])
    rows: Rows = []
    for share in (0.4, 0.6, 0.8):
        found = close_loop(grid, costs, {"latency_s": share * base_s}, timer, timings, prior, count=4)
        errors = [f"{turn.error:.2%}" for turn in found.rounds]
        measured = "" if found.measured_s is None else f"{1e3 * found.measured_s:.4f}"
        rows.append((f"{share:.0%} of {1e3 * base_s:.4f} ms", found.status, " → ".join(errors), measured))
    return rows


def main() -> None:
    """Prints the tables."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--loop", nargs=3, metavar=("ORACLE", "TARGET", "NETWORK"), action="append", default=[])
    asked = parser.parse_args()
    command = " ".join(["python benchmarks/width.py", *[f"--loop {' '.join(loop)}" for loop in asked.loop]])
    print(f"Made by `{command}`. CPU time of one thread.\n")
    grid = LatencyGrid.of(WidthSpace.from_arch(get_arch("mobilenetv1_100")))
    print("MobileNet-v1, every layer at 20 to 150 % of its channels in multiples of 8\n")
    print(markdown_table(("figure", "here", "published"), grid_rows(grid)))
    if INSTANCE.exists():
        data = json.loads(INSTANCE.read_text(encoding="utf-8"))
        print("\nThe instance of AOWS's size: best widths within a latency, then with 90 % of their weights\n")
        header: tuple[str, ...] = ("latency budget", "exact error", "certified", "Lagrangian", "dual bound",
                                   "with two budgets", "ms", "ms, two budgets")  # fmt: skip
        print(markdown_table(header, solver_rows(data)))
        print("\nThe same latencies by greedy pruning, each rule with its default step: error\n")
        print(markdown_table(("latency budget", "exact", "netadapt", "autoslim", "mobilenetv3"), greedy_rows(data)))
        costs = instance_costs(data)
        spent = cpu_ms(partial(width_front, costs, ("error", "latency_ms")))
        points = len(width_front(costs, ("error", "latency_ms")))
        print(f"\nThe whole front of error and latency: {points:,} points in {spent:.0f} ms.")
        print(f"\nLatencies of a V100 (the instance's tables) learnt from sums with {NOISE:.1%} noise; "
              f"NRMSE on 500 other networks, {SEEDS} seeds\n")  # fmt: skip
        header = ("prior", "timings", "rank", "NRMSE", "as cross-validated, noise included", "asked for")
        print(markdown_table(header, table_rows(grid, data)))
    print("\nOther graphs (errors made up): 70 % of the latency; 80 % of three sums with 90 % of the peak memory\n")
    header = ("network", "groups", "networks", "priced in ms", "one budget: ms", "four budgets: ms")
    print(markdown_table(header, graph_rows()))
    for loop in asked.loop:
        print(f"\nLoops on {' '.join(loop)} (errors made up): {FIRST_TIMINGS} timings, then the best 4 a round\n")
        header = ("latency budget", "end", "largest error of each round", "chosen network measured (ms)")
        print(markdown_table(header, loop_rows(*loop)))


if __name__ == "__main__":
    main()
