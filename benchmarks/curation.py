"""What curation is worth on Ethos-U targets: `python -m benchmarks.curation` prints the tables of curation.md.

1. Ruggedness and certificates: channel grids of step 1, 2, 4 and 8.
2. Searches in the grid of step 4, whole and curated: evaluations until 95 % of the hypervolume of (accuracy, latency)
   is reached. For both it is that of the exact front of the whole space, known by enumeration. Accuracy is a linear
   model of the real top-1 of Accel-NASBench's networks (../shared/data) in their log MACs, log weight bytes, and linear
   regions; curation's own quality is another one (`trainability`).
3. Time of `curate` on spaces that ship.
"""

from __future__ import annotations

import os

os.environ.setdefault("OMP_NUM_THREADS", "1")

import argparse
import math
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from accelzoo import draw
from accelzoo.hwmodel import load_target
from accelzoo.hwmodel.table import CostTable
from accelzoo.knobs import Space, choice
from accelzoo.recipes.report import markdown_table
from accelzoo.registry import get_space
from accelzoo.search.algorithms.evolution import AgingEvolution
from accelzoo.search.algorithms.nsga2 import NSGA2
from accelzoo.search.curation import CuratedSpace, Report, curate
from accelzoo.search.exact import from_cost_table
from accelzoo.search.pareto import hypervolume, pareto_front
from accelzoo.search.scores import ScoreTable

TARGETS = ("ethos-u55-256", "ethos-u65-512", "ethos-u85-1024")
SEEDS = 100
MOST = 1500
SHARE = 0.95
EXPONENT = -0.07
RESAMPLES = 2000
CONFIGS: dict[str, dict[str, Any]] = {
    "nothing lost": {},
    "1 % regret": {"keep": "front", "regret": 0.01},
    "2 % regret, climbing": {"keep": "front", "regret": 0.02, "tolerance": 0.003, "agreement": 0.05},
    "3 % regret, climbing": {"keep": "front", "regret": 0.03, "tolerance": 0.003, "agreement": 0.05},
}
RUGGED = ("nothing lost", "2 % regret, climbing")

Array = npt.NDArray[np.float64]
Genomes = npt.NDArray[np.int64]


def grid(step: int) -> Space:
    """A small classifier of IBNs at 96×96 whose widths are open in steps of so many channels."""

    def stage(first: int, last: int) -> dict[str, Any]:
        widths = choice(*range(first, last + 1, step))
        return {"kind": "ibn", "stride": 2, "expansion_ratio": 4, "out_channels": widths}

    return Space(
        f"widths in steps of {step}",
        {
            "input_size": [3, 96, 96],
            "stem": {"out_channels": choice(*range(16, 33, step)), "stride": 2},
            "stages": [stage(16, 48), stage(32, 96), stage(48, 128)],
            "head": {"kind": "classification", "num_classes": 10},
        },
    )


class Accuracy:
    """A linear model of the top-1 of Accel-NASBench's networks: log MACs, log weights, linear regions."""

    def __init__(self) -> None:
        from accelzoo.arch import Arch
        from accelzoo.search.scores import get_score
        from benchmarks.zero_cost import read_accel

        bench = read_accel()
        regions = get_score("linear_regions")

        def features(arch: Arch) -> list[float]:
            graph = arch.lower()
            return [math.log(graph.macs), math.log(graph.weight_bytes), regions(arch), 1.0]

        rows = np.array([features(arch) for arch in bench.archs[::4]])
        self.top1 = bench.accuracy[::4]
        self.weights = np.linalg.lstsq(rows, self.top1, rcond=None)[0]
        self.explained = 1 - float((self.top1 - rows @ self.weights).var() / self.top1.var())

    def __call__(self, macs: Array, weight_bytes: Array, regions: Array) -> Array:
        """Top-1 in per cent, `(n,)`."""
        rows = np.stack([np.log(macs), np.log(weight_bytes), regions, np.ones(len(macs))], axis=1)
        found: Array = rows @ self.weights
        return found


@dataclass(frozen=True, slots=True, kw_only=True)
class Whole:
    """Every genome of a space with its values, `(sizes…, 2)`: accuracy, minus latency."""

    space: Space
    values: Array

    @classmethod
    def of(cls, space: Space, target: str, accuracy: Accuracy) -> Whole:
        """Enumerates a space."""
        genomes = np.stack(np.meshgrid(*map(np.arange, space.sizes), indexing="ij"), axis=-1).reshape(
            -1, len(space.sizes)
        )
        table = from_cost_table(CostTable(space, target), ("latency_s", "macs", "weight_bytes"))
        latency, macs, weight_bytes = table.totals(genomes).T
        regions = ScoreTable(space, ("linear_regions",)).values(genomes)[:, 0]
        values = np.stack([accuracy(macs, weight_bytes, regions), -latency], axis=1)
        return cls(space=space, values=values.reshape(*space.sizes, 2))

    def look_up(self, genomes: Genomes) -> Array:
        """Values of genomes, `(n, 2)`."""
        found: Array = self.values[tuple(genomes.T)]
        return found


def evaluations_to_front(whole: Whole, curated: CuratedSpace | None, seed: int) -> float:
    """Evaluations until NSGA-II has 95 % of the hypervolume; MOST if it never does."""
    flat = whole.values.reshape(-1, 2)
    best = flat[pareto_front(flat)]
    reference = best.min(axis=0)
    wanted = SHARE * hypervolume(best, reference)
    values = searched(whole, curated, NSGA2, seed, lambda found: found)

    def enough(count: int) -> bool:
        return hypervolume(values[:count], reference) >= wanted

    return first_count(enough, len(values))


def evaluations_to_best(whole: Whole, curated: CuratedSpace | None, seed: int) -> float:
    """Evaluations until evolution is within 5 % of the way from a random genome's score to the best one's."""
    flat = whole.values.reshape(-1, 2)
    reference = float(np.median(-flat[:, 1]))

    def score(found: Array) -> Array:
        scores: Array = found[:, 0] * (-found[:, 1] / reference) ** EXPONENT
        return scores

    every = score(flat)
    wanted = every.mean() + SHARE * (every.max() - every.mean())
    values = searched(whole, curated, AgingEvolution, seed, score)
    return first_count(lambda count: bool((score(values[:count]) >= wanted).any()), len(values))


def searched(
    whole: Whole, curated: CuratedSpace | None, kind: Any, seed: int, told: Callable[[Array], Array]
) -> Array:
    """Values of what a search asks for, in order, `(n, 2)`."""
    space = curated or whole.space
    algorithm = kind(space.sizes, draw.generator(seed))
    found: list[Array] = []
    for _ in range(MOST // 25):
        genomes = algorithm.ask(25)
        if not len(genomes):
            break
        values = whole.look_up(curated.in_source(genomes) if curated else genomes)
        algorithm.tell(genomes, told(values))
        found.append(values)
    return np.concatenate(found)


def first_count(enough: Callable[[int], bool], most: int) -> float:
    """The least count that is enough, by bisection; MOST if `most` is not."""
    if not enough(most):
        return MOST
    low, high = 0, most
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (low, middle) if enough(middle) else (middle, high)
    return high


def compared(whole: Array, curated: Array) -> str:
    """Ratio of the means with a bootstrap interval of 95 %."""
    rng = np.random.default_rng(0)
    rows = rng.integers(len(whole), size=(2, RESAMPLES, len(whole)))
    ratios = whole[rows[0]].mean(axis=1) / curated[rows[1]].mean(axis=1)
    low, high = np.percentile(ratios, [2.5, 97.5])
    return f"{whole.mean() / curated.mean():.2f} ({low:.2f} – {high:.2f})"


def search_rows(accuracy: Accuracy, seeds: int) -> list[tuple[str, ...]]:
    """The searches' table."""
    rows = []
    space = grid(4)
    for target in TARGETS:
        whole = Whole.of(space, target, accuracy)
        spaces = {"whole": None, **{label: curate(space, target, **how) for label, how in CONFIGS.items()}}
        base: dict[str, Array] = {}
        for label, curated in spaces.items():
            row = [target, label, f"{(curated or space).size():,}"]
            for name, count in (("front", evaluations_to_front), ("best", evaluations_to_best)):
                counts = np.array([count(whole, curated, seed) for seed in range(seeds)], float)
                base.setdefault(name, counts)
                missed = int((counts >= MOST).sum())
                row += [f"{counts.mean():.0f}" + (f" ({missed} missed)" if missed else "")]
                row += ["" if curated is None else compared(base[name], counts)]
            rows.append(tuple(row))
            print("  ".join(row), flush=True)
    return rows


def rugged_rows() -> list[tuple[str, ...]]:
    """Ruggedness and certificates over grids and settings; steps count as flat up to 0.3 % of the cost."""
    rows = []
    for target in TARGETS:
        for step, labels in ((1, RUGGED[1:]), (2, RUGGED), (4, RUGGED), (8, RUGGED)):
            for label in labels:
                report = curate(grid(step), target, **{"tolerance": 0.003, **CONFIGS[label]}).report
                rows.append((target, str(step), label, *facts(report)))
                print("  ".join(rows[-1]), flush=True)
    return rows


def facts(report: Report) -> tuple[str, ...]:
    """Sizes, steps and front of a report."""
    certificate = report.certificate
    steps = (report.rugged_before, report.rugged_after)
    return (
        f"{report.size_before:,} → {report.size_after:,}",
        *(f"{rugged.flat_share:.1%} + {rugged.down_share:.1%}" for rugged in steps),
        f"{certificate.before} → {certificate.after}" if certificate.certified else "not certified",
        f"{certificate.extra_cost:.2%}",
    )


def time_rows(pairs: Sequence[tuple[str, str]]) -> list[tuple[str, ...]]:
    """Seconds of processor time of `curate` on shipped spaces."""
    rows = []
    for name, target in pairs:
        begin = time.process_time()
        report = curate(get_space(name), load_target(target)).report
        rows.append((name, target, f"{time.process_time() - begin:.1f}", *facts(report)))
        print("  ".join(rows[-1]), flush=True)
    return rows


def main() -> None:
    """Prints the tables asked for."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--only", choices=("rugged", "search", "time"))
    parser.add_argument("--seeds", type=int, default=SEEDS)
    options = parser.parse_args()
    if options.only in (None, "rugged"):
        header = ("target", "step", "curated", "genomes", "flat + down before", "after", "front", "most extra cost")
        print(markdown_table(header, rugged_rows()))
    if options.only in (None, "search"):
        accuracy = Accuracy()
        print(f"accuracy model: R² {accuracy.explained:.3f}, weights {accuracy.weights.round(3).tolist()}")
        header = ("target", "space", "genomes", "NSGA-II", "ratio", "evolution", "ratio")
        print(markdown_table(header, search_rows(accuracy, options.seeds)))
    if options.only in (None, "time"):
        pairs = [(name, "camera-npu") for name in ("camera", "mobilenetv1_widths", "mobilenetv2")]
        pairs += [("mobilenetv1_widths", "ethos-u55-256")]
        header = ("space", "target", "seconds", "genomes", "flat + down before", "after", "front", "most extra cost")
        print(markdown_table(header, time_rows(pairs)))


if __name__ == "__main__":
    main()
