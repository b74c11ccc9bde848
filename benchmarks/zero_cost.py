"""Zero-cost scores on NAS-Bench-Macro (Su et al., CVPR 2021) and Accel-NASBench (Ahmad et al., DAC 2024).

`python -m benchmarks.zero_cost` prints the tables and writes benchmarks/zero_cost.md; the data lie in ../shared/data.
Accuracies are only ever compared with scores, never seen by one. The default combination was chosen on the design sets,
a seeded half of NAS-Bench-Macro and the `train` split of Accel-NASBench; the other half and `val` stand beside.
"""

from __future__ import annotations

import argparse
import csv
import itertools
import multiprocessing
import time
from collections.abc import Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import torch
from scipy.stats import spearmanr

from accelzoo import Arch, draw
from accelzoo.arch import Stage
from accelzoo.blocks import IBN, ConvBnAct
from accelzoo.build import build
from accelzoo.heads import ClassificationHead
from accelzoo.knobs import Space, choice
from accelzoo.recipes.report import markdown_table
from accelzoo.search.genomes import random_genome
from accelzoo.search.scores import DEFAULT_COMBINATION, ScoreError, ScoreTable, get_score, rank_combination, score_names
from accelzoo.stem import Stem

ROOT = Path(__file__).parents[1]
DATA = ROOT / "../shared/data"
MACRO = DATA / "nas_bench_macro/nas_bench_macro_cifar10.csv"
ACCEL = DATA / "accel_nasbench/accel_nasbench_train_val.csv"
STRIDES = (1, 2, 2, 2, 1, 2, 1)
OUT_CHANNELS = (16, 24, 40, 80, 112, 192, 320)
LAYERS = (3, 3, 3, 3, 3, 4, 3)
MACRO_STAGES = ((0, 2), (2, 5), (5, 8))
BASELINES = ("params", "macs")
MOST_COMBINED = 3

Array = npt.NDArray[np.float64]
Mask = npt.NDArray[np.bool_]


class Benchmark(NamedTuple):
    """A benchmark's different networks, their accuracies, and which of them belong to the design set."""

    name: str
    archs: list[Arch]
    accuracy: Array
    design: Mask


def macro_arch(digits: str) -> Arch:
    """Returns a network of NAS-Bench-Macro: eight digits, 0 identity, 1 IBN of ratio 3 and kernel 3, 2 of 6 and 5."""
    stages: list[Stage] = []
    for number, (first, last) in enumerate(MACRO_STAGES):
        channels = 64 << number
        for place, digit in enumerate(digits[first:last]):
            stride = 1 if place else 2
            if digit != "0":
                ratio, kernel_size = {"1": (3, 3), "2": (6, 5)}[digit]
                block: Any = IBN(
                    out_channels=channels, kernel_size=kernel_size, stride=stride, expansion_ratio=ratio
                )
            elif place:
                continue
            else:
                block = ConvBnAct(out_channels=channels, kernel_size=1, stride=2, activate_output=False)
            stages.append(Stage(block=block, continued=place > 0))
    head = ClassificationHead(hidden_channels=1280, num_classes=10)
    return Arch(stem=Stem(out_channels=32, stride=1), stages=tuple(stages), head=head, input_size=(3, 32, 32))


def macro_canonical(digits: str) -> str:
    """Moves the identities behind the start of a stage to its end, where they are as good."""
    moved = ""
    for first, last in MACRO_STAGES:
        rest = digits[first + 1 : last].replace("0", "")
        moved += digits[first] + rest.ljust(last - first - 1, "0")
    return moved


def read_macro() -> Benchmark:
    """Reads the 3,969 different networks; a half drawn with seed 0 is the design set."""
    with MACRO.open(newline="") as file:
        rows = {macro_canonical(row["arch"]): row for row in csv.DictReader(file)}
    design = np.zeros(len(rows), np.bool_)
    design[draw.sample(draw.generator(0), range(len(rows)), len(rows) // 2)] = True
    accuracy = np.array([float(row["mean_acc"]) for row in rows.values()])
    return Benchmark("NAS-Bench-Macro", [macro_arch(digits) for digits in rows], accuracy, design)


def accel_arch(row: Mapping[str, str]) -> Arch:
    """Returns a network of Accel-NASBench from its row."""
    stages = []
    for index, (stride, channels) in enumerate(zip(STRIDES, OUT_CHANNELS, strict=True)):
        ratio, kernel_size, layers, squeeze = (int(row[f"block{index}_{knob}"]) for knob in ("e", "k", "l", "se"))
        block = IBN(
            out_channels=channels,
            kernel_size=kernel_size,
            stride=stride,
            expansion_ratio=ratio,
            se_ratio=0.25 * squeeze,
            se_gate="hard_sigmoid",
        )
        stages.append(Stage(block=block, repeats=layers))
    return Arch(stem=Stem(out_channels=32), stages=tuple(stages))


def read_accel() -> Benchmark:
    """Reads the 4,612 networks; the `train` split is the design set."""
    with ACCEL.open(newline="") as file:
        rows = list(csv.DictReader(file))
    accuracy = np.array([float(row["val_top1"]) for row in rows])
    design = np.array([row["split"] == "train" for row in rows])
    return Benchmark("Accel-NASBench", [accel_arch(row) for row in rows], accuracy, design)


def accel_space() -> Space:
    """Returns Accel-NASBench's space."""
    stages = []
    for stride, channels, layers in zip(STRIDES, OUT_CHANNELS, LAYERS, strict=True):
        stage = {"kind": "ibn", "out_channels": channels, "stride": stride, "se_gate": "hard_sigmoid"}
        stage |= {"expansion_ratio": choice(1, 4, 6), "kernel_size": choice(3, 5), "se_ratio": choice(0.0, 0.25)}
        stages.append({**stage, "repeats": choice(*range(1, layers + 1))})
    return Space("accel_nasbench", {"stem": {"out_channels": 32}, "stages": stages})


class Scored(NamedTuple):
    """Score's name → values, and → seconds of processor time per network."""

    values: dict[str, Array]
    seconds: dict[str, float]


def scored(archs: Sequence[Arch], names: Sequence[str], batch: Any = None) -> Scored:
    """Scores networks one by one; a network that has to be built is built once, as `score(arch)` does at seed 0."""
    values = {name: np.empty(len(archs)) for name in names}
    seconds = dict.fromkeys(names, 0.0)
    for at, arch in enumerate(archs):
        module = None if batch is None else build(arch, torch.Generator().manual_seed(0))
        for name in names:
            score = get_score(name)
            begin = time.process_time()
            try:
                values[name][at] = score(module if score.cost.network else arch, batch)
            except ScoreError:
                values[name][at] = np.nan  # a failed candidate: it ranks last
            seconds[name] += (time.process_time() - begin) / len(archs)
    return Scored(values, seconds)


def scored_by_all(archs: Sequence[Arch], names: Sequence[str], batch: Any, processes: int) -> Scored:
    """`scored`, the networks dealt out in turn to processes."""
    shares = [list(range(first, len(archs), processes)) for first in range(processes)]
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(processes, context, torch.set_num_threads, (1,)) as pool:
        parts = [pool.submit(scored, [archs[at] for at in share], names, batch) for share in shares]
        found = [part.result() for part in parts]
    values = {name: np.empty(len(archs)) for name in names}
    for share, part in zip(shares, found, strict=True):
        for name in names:
            values[name][share] = part.values[name]
    seconds = {name: float(np.mean([part.seconds[name] for part in found])) for name in names}
    return Scored(values, seconds)


def with_combination(values: Mapping[str, Array], names: Sequence[str], keep: Mask) -> Array:
    """The rank combination of some of the networks."""
    return rank_combination({name: values[name][keep] for name in names})


def correlation(values: Array, accuracy: Array) -> float:
    """Spearman's rank correlation."""
    return float(spearmanr(values, accuracy).statistic)


def selection(found: Sequence[tuple[Benchmark, Scored]], names: Sequence[str]) -> list[tuple[str, ...]]:
    """Every set of up to three scores, the best mean correlation over the two design sets first."""
    sets = [chosen for count in range(1, MOST_COMBINED + 1) for chosen in itertools.combinations(names, count)]

    def mean(chosen: tuple[str, ...]) -> float:
        return float(
            np.mean(
                [
                    correlation(with_combination(got.values, chosen, bench.design), bench.accuracy[bench.design])
                    for bench, got in found
                ]
            )
        )

    return sorted(sets, key=mean, reverse=True)


def closed_table(found: Sequence[tuple[Benchmark, Scored]], sets: Mapping[str, Sequence[str]]) -> str:
    """Correlations of closed forms and of their combinations, on all networks."""
    rows = []
    for label, names in sets.items():
        row = [label]
        for bench, got in found:
            for keep in (np.ones_like(bench.design), bench.design, ~bench.design):
                row.append(f"{correlation(with_combination(got.values, names, keep), bench.accuracy[keep]):.3f}")
        row.append(f"{1e6 * sum(found[1][1].seconds[name] for name in names):.0f}")
        rows.append(row)
    heads = ["score", *(f"{short} {part}" for short in ("Macro", "Accel") for part in ("all", "design", "other"))]
    return markdown_table([*heads, "µs one by one (Accel)"], rows)


def network_table(found: Sequence[tuple[Benchmark, Array, Scored]], sets: Mapping[str, Sequence[str]]) -> str:
    """Correlations on samples, of scores that need a network and of the others on the same networks."""
    rows = []
    for label, names in sets.items():
        row = [label]
        for _, accuracy, got in found:
            keep = np.ones(len(accuracy), np.bool_)
            row.append(f"{correlation(with_combination(got.values, names, keep), accuracy):.3f}")
            row.append(f"{1e3 * sum(got.seconds[name] for name in names):.3g}")
        rows.append(row)
    heads = [f"{bench.name} {what}" for bench, _, _ in found for what in ("Spearman", "ms")]
    return markdown_table(["score", *heads], rows)


def table_speed(count: int) -> str:
    """Says how fast a ScoreTable is on Accel-NASBench's space."""
    space = accel_space()
    rng = draw.generator(0)
    genomes = np.array([random_genome(space.sizes, rng) for _ in range(count)])
    begin = time.process_time()
    table = ScoreTable(space)
    table.values(genomes)
    learnt = time.process_time() - begin
    begin = time.process_time()
    table.values(genomes)
    again = (time.process_time() - begin) / count
    begin = time.process_time()
    table.combined(genomes)
    ranked = (time.process_time() - begin) / count
    return (
        f"`ScoreTable` on Accel-NASBench's space ({space.size():.3g} genomes), {', '.join(DEFAULT_COMBINATION)}, "
        f"{count:,} genomes: {again * 1e6:.2f} µs per candidate,\n{ranked * 1e6:.2f} µs with the ranking; the first "
        f"call learns {table.entries} entries in {learnt:.2f} s (comparison with the scores included)."
    )


def images(size: int, count: int) -> torch.Tensor:
    """Unit normal noise `(count, 3, size, size)`."""
    return torch.randn(count, 3, size, size, generator=torch.Generator().manual_seed(0))


def report(macro_sample: int, accel_sample: int, processes: int) -> str:
    """Runs everything and returns the report."""
    names = score_names()
    closed = [name for name in names if not get_score(name).cost.network]
    benches = (read_macro(), read_accel())
    found = [(bench, scored(bench.archs, closed)) for bench in benches]
    order = selection(found, closed)
    sets: dict[str, Sequence[str]] = {name: (name,) for name in sorted(closed, key=BASELINES.__contains__)}
    combinations = [chosen for chosen in order if len(chosen) > 1][:5]
    sets |= {" + ".join(chosen): chosen for chosen in combinations}
    sets["**default combination**"] = DEFAULT_COMBINATION
    parts = [NOTE.format(best=" + ".join(order[0]), count=len(order)), closed_table(found, sets)]
    samples = []
    for bench, size, count, batch in ((benches[0], 32, macro_sample, 8), (benches[1], 48, accel_sample, 8)):
        picked = draw.sample(draw.generator(1), range(len(bench.archs)), min(count, len(bench.archs)))
        if bench is benches[1]:
            design = np.flatnonzero(bench.design).tolist()
            picked = draw.sample(draw.generator(1), design, min(count, len(design)))
        got = scored_by_all([bench.archs[at] for at in picked], names, images(size, batch), processes)
        samples.append((bench, bench.accuracy[picked], got))
    network = [name for name in names if get_score(name).cost.network]
    kinds: dict[str, Sequence[str]] = {name: (name,) for name in [*network, *sets] if name in names}
    kinds["**default combination**"] = DEFAULT_COMBINATION
    parts += [SAMPLE_NOTE.format(macro=len(samples[0][1]), accel=len(samples[1][1])), network_table(samples, kinds)]
    parts.append(table_speed(100_000))
    return "\n\n".join(parts) + "\n"


NOTE = """\
Made by `python -m benchmarks.zero_cost`. Spearman's rank correlation with accuracy.
Macro: NAS-Bench-Macro, 3,969 different networks, mean CIFAR-10 accuracy; Accel: Accel-NASBench, 4,612 networks,
ImageNet top-1 of its proxy recipe. Targets for the default combination: 0.85 and 0.83. `params`, `macs`: baselines.

How chosen: `trainability` has no fitted coefficient, but its form (what is summed, shares of paths) was worked out
while looking at correlations with both tables, early sketches on all rows, later ones on a half of Macro and `train`
of Accel: no column here is a clean test, a third space would be. The default combination was then chosen by rule: of
the {count} sets of up to three scores in closed form, the one with the best mean correlation over the two design sets
(a seeded half of Macro, `train` of Accel): {best}. The columns `other` (the other half, `val`) had no say in that."""
SAMPLE_NOTE = """\
Scores of real, freshly drawn networks (seed 0), all scores on the same seeded samples: {macro} networks of Macro,
8 images 32 × 32; {accel} of Accel's `train` split, 8 images 48 × 48. Images are unit normal noise, labels drawn: no
score sees the benchmark's data. Milliseconds of processor time per network, one thread of a busy machine, without
building."""


def main(arguments: Sequence[str] | None = None) -> None:
    """Prints the report and writes it."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--macro-sample", type=int, default=1000, help="networks of NAS-Bench-Macro to build")
    parser.add_argument("--accel-sample", type=int, default=300, help="networks of Accel-NASBench to build")
    parser.add_argument("--processes", type=int, default=2, help="processes that build networks, of one thread each")
    parser.add_argument("--output", type=Path, default=Path(__file__).with_suffix(".md"), help="where to write it")
    given = parser.parse_args(arguments)
    torch.set_num_threads(1)
    text = report(given.macro_sample, given.accel_sample, given.processes)
    print(text)
    given.output.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
