"""How far apart are two measurements of the same graph by LiteRT, in two processes, a minute apart?

`python benchmarks/litert_repeat.py > benchmarks/litert_repeat.md` writes the committed table, in about 5 minutes. The
peers of the statistic that the oracle reports are the fastest piece of all, their 10th percentile and their median, and
the mean over passes of the 10th percentile of each.
"""

from __future__ import annotations

import itertools
import json
import subprocess
import sys
import time
from collections.abc import Callable, Sequence

import numpy as np

from accelzoo.hwmodel import oracles
from accelzoo.hwmodel.oracles import litert
from accelzoo.hwmodel.oracles.interleaved import summary
from accelzoo.hwmodel.sampling import draw_sample
from accelzoo.recipes.report import markdown_table

COUNTS = {"op": 16, "block": 14, "network": 10}
PROCESSES = 3
PAUSE_S = 60.0
SEED = 77
Passes = Sequence[Sequence[float]]


def _pooled(percentile: float) -> Callable[[Passes], float]:
    return lambda passes: float(np.percentile(np.concatenate(passes), percentile))


STATISTICS: dict[str, Callable[[Passes], float]] = {
    "minimum": _pooled(0),
    "p10": _pooled(10),
    "median": _pooled(50),
    "mean of passes": lambda passes: float(np.mean([np.percentile(pieces, 10) for pieces in passes])),
    "mean of the faster half of passes (reported)": lambda passes: summary(passes).latency_s,
}


def record() -> None:
    """Measures all graphs on all targets once; prints as JSON what was read, and the CPU time that it took."""
    found = {}
    for target in litert.TARGETS:
        start = time.process_time()
        oracle = litert.create(target)
        passes: list[Passes] = []
        for kind, count in COUNTS.items():
            graphs = [draw_sample(kind, SEED, index).graph for index in range(count)]
            for batch in oracle.record(graphs):
                passes += [[one.seconds[index] for one in batch] for index in range(len(batch[0].seconds))]
        found[target] = {"passes": passes, "cpu_s": time.process_time() - start}
    print(json.dumps(found))


def main() -> None:
    """Measures in several processes, and prints the table."""
    runs = []
    for number in range(PROCESSES):
        time.sleep(PAUSE_S if number else 0)
        command = [sys.executable, __file__, "--record"]
        runs.append(json.loads(subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout))
    kinds = np.repeat(list(COUNTS), list(COUNTS.values()))
    rows = []
    for target, (name, statistic) in itertools.product(litert.TARGETS, STATISTICS.items()):
        times = np.array([[statistic(passes) for passes in run[target]["passes"]] for run in runs])
        apart = np.array([np.abs(a / b - 1) for a, b in itertools.combinations(times, 2)])
        groups = [apart, *(apart[:, kinds == kind] for kind in COUNTS)]
        cells = [f"{np.median(group):.1%} / {np.percentile(group, 90):.1%}" for group in groups]
        rows.append((target, name, *cells, f"{(apart > 0.05).mean():.1%}", f"{apart.max():.0%}"))
    provenance = oracles.load("litert", litert.TARGETS[0]).provenance
    print("Made by `python benchmarks/litert_repeat.py`.\n")
    print(
        f"{provenance.tool}, {provenance.host}; {PROCESSES} processes, {PAUSE_S:g} s apart, every two of them compared;"
    )
    spent = ", ".join(f"{target} {np.mean([run[target]['cpu_s'] for run in runs]):.0f} s" for target in litert.TARGETS)
    print(f"{sum(COUNTS.values())} graphs, CPU time per process: {spent}.")
    print("Relative difference, median / 90th percentile:\n")
    header = ("target", "statistic of CPU time", "all", *COUNTS, "apart by over 5 %", "at most")
    print(markdown_table(header, rows), end="")


if __name__ == "__main__":
    record() if sys.argv[1:] == ["--record"] else main()
