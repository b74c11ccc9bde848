"""What the zoo costs beside timm: registering, building, lowering, running and training the same networks, in one run.

`python benchmarks/zoo_speed.py > benchmarks/zoo_speed.md` writes the committed tables (about twenty minutes; with
`--quick` two minutes, without the compiled columns). Both sides of a ratio take turns, so that other work on the
machine meets both alike; the ratio is the median of the ratios of neighbouring turns.
"""

from __future__ import annotations

import argparse
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from typing import Any, NamedTuple

from accelzoo.recipes.report import markdown_table

BUILT = (
    "mobilenetv1_100",
    "mobilenetv2_100",
    "mobilenetv3_large_100",
    "efficientnet_es",
    "efficientnetv2_s",
    "mobilenetv4_conv_medium",
    "mobilenetv4_hybrid_medium",
    "fbnetv3_b",
    "resnet50",
    "regnety_008",
)
RUN = ("mobilenetv2_100", "mobilenetv3_large_100", "efficientnet_es", "mobilenetv4_hybrid_medium", "resnet18")
FRESH = """
import sys, time
times = [time.perf_counter()]
import numpy, yaml
times.append(time.perf_counter())
from accelzoo import registry
times.append(time.perf_counter())
names = registry.list_models()
times.append(time.perf_counter())
print(*(1e3 * (after - before) for before, after in zip(times, times[1:])), len(names), int("torch" in sys.modules))
"""
FRESH_TIMM = """
import time, timm, torch
from accelzoo import registry
registry.list_models()
started = time.perf_counter()
import accelzoo.timm
print((time.perf_counter() - started) * 1e3, len(timm.list_models("accelzoo_*")))
"""


class Pair(NamedTuple):
    """Seconds of ours and of timm's, turn by turn."""

    ours_s: list[float]
    theirs_s: list[float]

    @property
    def ratio(self) -> float:
        """Median of ours / theirs over the turns."""
        return statistics.median(a / b for a, b in zip(self.ours_s, self.theirs_s, strict=True))

    def cells(self, unit_s: float = 1e-3) -> tuple[str, str, str]:
        """Medians of both and the ratio, as text."""
        ours, theirs = statistics.median(self.ours_s), statistics.median(self.theirs_s)
        return f"{ours / unit_s:.1f}", f"{theirs / unit_s:.1f}", f"{self.ratio:.3f}"


def seconds(call: Callable[[], object]) -> float:
    """Wall seconds of one call."""
    started = time.perf_counter()
    call()
    return time.perf_counter() - started


def take_turns(ours: Callable[[], object], theirs: Callable[[], object], turns: int, warm_up: int = 2) -> Pair:
    """Calls both `turns` times, one after the other, each first every second time."""
    for _ in range(warm_up):
        ours()
        theirs()
    pair = Pair([], [])
    for turn in range(turns):
        sides = [(ours, pair.ours_s), (theirs, pair.theirs_s)]
        for call, taken in sides if turn % 2 else reversed(sides):
            taken.append(seconds(call))
    return pair


def registering_rows() -> list[tuple[str, ...]]:
    """Registers everything in fresh interpreters: the least of seven."""
    runs = [_fresh(FRESH) for _ in range(7)]
    if any(run[-1] for run in runs):
        raise SystemExit("registering imports torch")
    libraries_ms, modules_ms, registering_ms, names, _ = (min(column) for column in zip(*runs, strict=True))
    in_timm = min(_fresh(FRESH_TIMM) for _ in range(3))
    return [
        ("importing numpy and PyYAML", "", f"{libraries_ms:.1f}"),
        ("importing `accelzoo.registry`", "", f"{modules_ms:.1f}"),
        ("registering every family and name", f"{names:.0f}", f"{registering_ms:.1f}"),
        ("`import accelzoo.timm`, timm being loaded", f"{in_timm[1]:.0f}", f"{in_timm[0]:.1f}"),
    ]


def _fresh(code: str) -> tuple[float, ...]:
    done = subprocess.run([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True, check=True)
    return tuple(float(word) for word in done.stdout.split())


def lowering_rows() -> list[tuple[str, ...]]:
    """Lowers every registered model: fastest, median and slowest, with and without blocks known from before."""
    from accelzoo import get_arch, list_models
    from accelzoo.blocks.base import lowered

    known, new, operators = {}, {}, {}
    for name in list_models():
        arch = get_arch(name)
        operators[name] = len(arch.lower().ops)
        known[name] = min(seconds(arch.lower) for _ in range(20))
        cold = []
        for _ in range(10):
            lowered.cache_clear()
            cold.append(seconds(arch.lower))
        new[name] = min(cold)
    rows = []
    for label, taken in (("blocks lowered before", known), ("every block new", new)):
        slowest = max(taken, key=taken.__getitem__)
        within = sum(value <= 0.3e-3 for value in taken.values())
        rows.append(
            (
                label,
                str(len(taken)),
                f"{statistics.median(taken.values()) * 1e3:.3f}",
                f"{taken['mobilenetv2_100'] * 1e3:.3f}",
                f"{taken[slowest] * 1e3:.3f} ({slowest}, {operators[slowest]} operators)",
                f"{within} of {len(taken)}",
            )
        )
    return rows


def build_rows(turns: int) -> list[tuple[str, ...]]:
    """Creates models with random weights on both sides."""
    import timm

    import accelzoo
    from accelzoo.registry import models

    rows = []
    for name in BUILT:
        theirs = models()[name].timm_names[name]
        pair = take_turns(lambda: accelzoo.create_model(name), lambda: timm.create_model(theirs), turns)  # noqa: B023
        rows.append((name, *pair.cells()))
    return rows


def run_rows(turns: int, compiled: bool) -> list[tuple[str, ...]]:
    """Runs and trains the same networks with the same weights on both sides."""
    import timm
    import torch

    import accelzoo
    from accelzoo.registry import models

    torch.set_num_threads(1)
    rows = []
    for name in RUN:
        sides: list[Any] = [accelzoo.create_model(name), timm.create_model(models()[name].timm_names[name])]
        cells = [*_forward(sides, turns).cells(), *_step(sides, turns).cells()]
        if compiled:
            for measure in (_forward, _step):
                cells += measure([torch.compile(side) for side in sides], turns).cells()
                torch.compiler.reset()
        rows.append((name, *cells))
    return rows


def _forward(sides: list[Any], turns: int) -> Pair:
    import torch

    x = torch.randn(1, 3, 224, 224)

    def call(side: Any) -> Callable[[], object]:
        def run() -> None:
            with torch.inference_mode():
                side(x)

        return run

    for side in sides:
        side.eval()
    return take_turns(call(sides[0]), call(sides[1]), turns)


def _step(sides: list[Any], turns: int) -> Pair:
    import torch

    x = torch.randn(4, 3, 128, 128)
    labels = torch.arange(4)

    def call(side: Any) -> Callable[[], object]:
        optimizer = torch.optim.SGD(side.parameters(), lr=1e-4)

        def run() -> None:
            optimizer.zero_grad()
            torch.nn.functional.cross_entropy(side(x), labels).backward()
            optimizer.step()

        return run

    for side in sides:
        side.train()
    return take_turns(call(sides[0]), call(sides[1]), max(5, turns // 2))


def main() -> None:
    """Prints the tables."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="fewer turns, nothing compiled")
    quick = parser.parse_args().quick
    print(f"Made by `python benchmarks/zoo_speed.py{' --quick' if quick else ''}`. Wall milliseconds.\n")
    print("Registering:\n")
    print(markdown_table(("what", "names", "ms"), registering_rows()))
    print("Lowering every registered model (`Arch.lower`), milliseconds:\n")
    header = ("", "networks", "median", "mobilenetv2_100", "slowest", "at most 0.3 ms")
    print(markdown_table(header, lowering_rows()))
    print("`create_model` with random weights, accelzoo's and timm's:\n")
    print(markdown_table(("model", "ours", "timm", "ratio"), build_rows(5 if quick else 15)))
    print("The same network on both sides, one CPU thread, forward at 1×3×224×224, training step at 4×3×128×128:\n")
    columns = ["model", "forward, ours", "timm", "ratio", "step, ours", "timm", "ratio"]
    if not quick:
        columns += ["compiled forward, ours", "timm", "ratio", "compiled step, ours", "timm", "ratio"]
    print(markdown_table(tuple(columns), run_rows(10 if quick else 40, not quick)))


if __name__ == "__main__":
    main()
