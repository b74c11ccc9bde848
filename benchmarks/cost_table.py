"""How many candidates a second a cost table prices, beside one estimate per candidate, in one run.

`python benchmarks/cost_table.py > benchmarks/cost_table.md` writes the committed table. Times are CPU seconds of one
thread, so that other work on the machine counts little; the ratios are what counts.
"""

from __future__ import annotations

import time

import numpy as np

from accelzoo import estimate, get_space, load_target
from accelzoo.hwmodel import Target, list_targets
from accelzoo.hwmodel.table import CostTable
from accelzoo.knobs import Space, choice
from accelzoo.recipes.report import markdown_table

CANDIDATES = 1_000_000
WARM_UP = 100_000
COMPARED = 300
REPEATS = 3


def _stage(stride: int, *out_channels: int) -> dict[str, object]:
    return {
        "kind": choice("ibn", "fused_ibn"),
        "stride": stride,
        "expansion_ratio": choice(2, 4, 6),
        "repeats": choice(1, 2, 3, 4),
        "out_channels": choice(*out_channels),
    }


SPACE = Space(
    "benchmark",
    {
        "input_size": [3, 224, 224],
        "stem": {"out_channels": 32},
        "stages": [
            _stage(2, 16, 24, 32),
            _stage(2, 32, 40, 48),
            _stage(2, 64, 80, 96),
            _stage(1, 96, 112, 128),
            _stage(2, 160, 192, 224),
        ],
        "head": {"kind": "classification", "num_classes": 1000, "hidden_channels": None},
    },
)
"""20 positions, MobileNet-like."""


def cpu_s(started: float) -> float:
    """Returns the CPU seconds since `started`."""
    return time.process_time() - started


def row(label: str, space: Space, target: Target) -> tuple[str, ...]:
    """Builds a table, prices random candidates both ways and compares the bits."""
    started = time.process_time()
    table = CostTable(space, target)
    table.build()
    built_s = cpu_s(started)
    genomes = np.random.default_rng(0).integers(0, space.sizes, (CANDIDATES, len(space.sizes)))
    fitting = genomes[table.tabulated(genomes)]
    table.price(fitting[:WARM_UP])
    times = []
    for _ in range(REPEATS):
        started = time.process_time()
        prices = table.price(fitting)
        times.append(cpu_s(started) / len(fitting))
    started = time.process_time()
    costs = [estimate(space.decode(genome).lower(), target) for genome in fitting[:COMPARED].tolist()]
    each_s = cpu_s(started) / COMPARED
    wanted = np.array([[getattr(cost, name) for name in table.fields] for cost in costs], np.float64)
    if wanted.tobytes() != prices[:COMPARED].tobytes():
        raise SystemExit("the table disagrees with estimate")
    rates = (f"{1 / min(times):,.0f}", f"{1 / each_s:,.0f}", f"{each_s / min(times):,.0f}×")
    built = (f"{built_s:.1f}", f"{table.entries:,}")
    return (label, target.name, *built, *rates, f"{1 - len(fitting) / CANDIDATES:.1%}")


def main() -> None:
    """Prints the table."""
    print("Made by `python benchmarks/cost_table.py`. CPU time of one thread; equal bit for bit on all compared.\n")
    header = ("space", "target", "build (s)", "entries", "candidates/s", "estimate each: candidates/s", "ratio")
    targets = [load_target(name) for name in list_targets()]
    analytic = [target for target in targets if not target.context_radius]
    learned = [target for target in targets if target.context_radius]
    rows = [row("20 positions, 224×224", SPACE, target) for target in (*analytic, *learned[:1])]
    rows.append(row("camera, 29 positions", get_space("camera"), load_target("camera-npu")))
    print(markdown_table((*header, "do not fit on chip"), rows))
    print(NOTES, end="")


NOTES = """\
- Candidates are drawn at random over the whole space, so every one takes other entries.
- Built once: every choice of every stage under every shape that can enter it, each priced by `estimate` inside a whole
  network that has it. For a learned target, whose prices depend on the neighbours, under every neighbour as well.
- The last column is the share of candidates whose weights exceed `weight_sram_bytes`: there every operator's price
  depends on all others, and the table asks `estimate` for each, at the speed of the column before. They are left out
  of the rates, as `CostTable.tabulated` lets a search leave them out.
"""


if __name__ == "__main__":
    main()
