"""What a shortlist should keep: ways to choose, compared on networks whose accuracy is known; and its speed.

`python -m benchmarks.shortlist` prints the tables and writes benchmarks/shortlist.md; the data lie in ../shared/data.
Accel-NASBench (Ahmad et al., DAC 2024) gives accuracy and measured latency; NAS-Bench-Macro (Su et al., CVPR 2021)
accuracy, with MACs as the price.
"""

from __future__ import annotations

import argparse
import csv
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from accelzoo.hwmodel import load_target
from accelzoo.recipes.pricing import prepare
from accelzoo.recipes.report import markdown_table
from accelzoo.recipes.schema import load_funnel
from accelzoo.registry import get_arch, get_space
from accelzoo.search import TargetCosts, hypervolume, pareto_front
from accelzoo.search.scores import DEFAULT_COMBINATION, get_score, rank_combination
from accelzoo.search.shortlist import select, shortlist
from benchmarks.zero_cost import ACCEL, Benchmark, read_accel, read_macro

REPORT = Path(__file__).with_suffix(".md")
KEPT = (64, 256, 512)
SHARES = (0.1, 0.25, 0.5, 0.75, 1.0)
"""Budgets: quantiles of the price."""

Array = npt.NDArray[np.float64]
Rows = npt.NDArray[np.int64]
Chooser = Callable[[Array, Array, int], Rows]


def by_score(scores: Array, price: Array, keep: int) -> Rows:
    """Keeps the best scores."""
    return np.lexsort((np.arange(len(scores)), -scores))[:keep]


def by_bin(scores: Array, price: Array, keep: int) -> Rows:
    """Keeps equally many of the best scores from each of 16 equally full bins of the price."""
    bins = np.array_split(np.argsort(price, kind="stable"), 16)
    kept = [part[np.argsort(-scores[part], kind="stable")][: keep // 16] for part in bins]
    return np.concatenate(kept)


def by_front(scores: Array, price: Array, keep: int) -> Rows:
    """Keeps non-dominated fronts, as `shortlist` does."""
    return select(scores, price[:, None], keep)


CHOOSERS: tuple[tuple[str, Chooser], ...] = (
    ("best scores alone", by_score),
    ("best scores of 16 bins", by_bin),
    ("fronts of score and price", by_front),
)


def regret(accuracy: Array, price: Array, kept: Rows) -> float:
    """Returns the mean loss of the best kept against the best there is, over budgets; with none within, the range."""
    losses = []
    for share in SHARES:
        budget = np.quantile(price, share)
        there, left = accuracy[price <= budget], accuracy[kept][price[kept] <= budget]
        losses.append(there.max() - (left.max() if left.size else there.min()))
    return float(np.mean(losses))


def covered(accuracy: Array, price: Array, kept: Rows) -> float:
    """Returns the share of the true hypervolume of accuracy and price that what is kept can reach."""
    points = np.column_stack([accuracy, -price])
    corner = points.min(axis=0)
    return hypervolume(points[kept], corner) / hypervolume(points, corner)


def compare(name: str, price_name: str, benchmark: Benchmark, price: Array) -> list[list[str]]:
    """Returns the rows of one benchmark."""
    values = {score: [get_score(score)(arch) for arch in benchmark.archs] for score in DEFAULT_COMBINATION}
    scores = rank_combination(values)
    rows = []
    for keep in KEPT:
        front = set(pareto_front(np.column_stack([benchmark.accuracy, -price])).tolist())
        for label, choose in CHOOSERS:
            kept = choose(scores, price, keep)
            rows.append(
                [
                    f"{name}, {price_name}",
                    f"{keep} of {len(scores):,}",
                    label,
                    f"{regret(benchmark.accuracy, price, kept):.3f}",
                    f"{covered(benchmark.accuracy, price, kept):.4f}",
                    f"{len(front & set(kept.tolist()))} of {len(front)}",
                ]
            )
            print("  ".join(rows[-1]), flush=True)
    return rows


def accel_latency() -> Array:
    """Returns latencies measured on the ZCU102, in milliseconds, in the order of `read_accel`; NaN where none was."""
    with ACCEL.open(newline="", encoding="utf-8") as file:
        return np.array([float(row["latency_zcu102_mean"] or "nan") for row in csv.DictReader(file)])


def speed(draws: list[int]) -> list[list[str]]:
    """Times shortlists: processor seconds of one core, from nothing known."""
    recipe = load_funnel("camera_classification", "full")
    task = prepare(recipe, 10, 3)
    spaces: list[tuple[str, Any, Any, dict[str, float]]] = [("camera", task.space, task.target, task.budgets)]
    target = load_target("edge-npu")
    other = get_space("mobilenetv2")
    latency = TargetCosts(target)(get_arch("mobilenetv2_100")).latency_s
    on_chip = {"latency_s": latency, "weight_bytes": float(target.weight_sram_bytes or 0)}
    spaces.append(("mobilenetv2", other, target, on_chip))
    rows = []
    for name, space, chip, budgets in spaces:
        for draw in draws:
            started = time.process_time()
            made = shortlist(space, costs=TargetCosts(chip), budgets=budgets, draw=draw, keep=512)
            seconds = time.process_time() - started
            per = seconds / made.seen * 1e6
            cells = [f"{name} on {chip.name}", f"{space.size():.3g}", f"{made.seen:,}", f"{made.feasible:,}"]
            rows.append([*cells, f"{seconds:.1f}", f"{per:.0f}"])
            print("  ".join(rows[-1]), flush=True)
    return rows


def main() -> None:
    """Makes both tables."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--draws", type=int, nargs="*", default=[100_000, 1_000_000])
    options = parser.parse_args()
    accel, macro = read_accel(), read_macro()
    macs = np.array([float(get_score("macs")(arch)) for arch in macro.archs])
    rows = compare("NAS-Bench-Macro", "MACs", macro, macs)
    latency = accel_latency()
    timed = np.flatnonzero(np.isfinite(latency))
    accel = accel._replace(archs=[accel.archs[row] for row in timed], accuracy=accel.accuracy[timed])
    rows += compare("Accel-NASBench", "ZCU102 latency", accel, latency[timed])
    choice = markdown_table(["networks", "kept", "how", "regret (points)", "hypervolume", "of the front"], rows)
    times = markdown_table(
        ["space", "genomes", "seen", "within budget", "CPU (s)", "µs per genome"], speed(options.draws)
    )
    text = (
        "Made by `python -m benchmarks.shortlist`. Scores: the default combination, which sees no accuracy.\n"
        "Regret: best accuracy there is within a budget less the best that was kept, mean over budgets at the "
        f"{', '.join(f'{share:.0%}' for share in SHARES)} quantiles of the price; hypervolume: share of that of all "
        f"networks; front: how many of the networks on the true front were kept.\n\n{choice}\n\n"
        "Speed, one core, nothing known at the start: tables of prices and scores are learnt on the way, which is\n"
        "most of the time. Budgets: those of the recipe; for mobilenetv2 its latency at width 1.0, and weights that\n"
        "fit on chip (without that one, genomes whose weights do not are priced one by one, milliseconds each).\n\n"
        f"{times}"
    )
    REPORT.write_text(text, encoding="utf-8")
    print(text)


if __name__ == "__main__":
    main()
