"""Model-based search: evaluations to the best network, rank correlation of its surrogate, and time per ask.

`python -m benchmarks.model_based` prints the tables and writes benchmarks/model_based.md; the data lie in
../shared/data. NAS-Bench-Macro (Su et al., CVPR 2021) gives the value of every genome asked for; parameters and MACs
are computed from the architecture. Accel-NASBench (Ahmad et al., DAC 2024) gives trained networks to rank.
"""

from __future__ import annotations

import argparse
import csv
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
from scipy.stats import spearmanr

from accelzoo import draw
from accelzoo.recipes.report import markdown_table
from accelzoo.search.acquisition import ACQUISITIONS, first_best
from accelzoo.search.algorithms.bayesian import BayesianOptimisation
from accelzoo.search.algorithms.evolution import AgingEvolution
from accelzoo.search.algorithms.random import RandomSearch
from accelzoo.search.features import SpaceFeatures
from accelzoo.search.surrogate import FeatureScale, Surrogate
from benchmarks.zero_cost import accel_space

DATA = Path(__file__).parents[1] / "../shared/data"
MACRO = DATA / "nas_bench_macro/nas_bench_macro_cifar10.csv"
ACCEL = DATA / "accel_nasbench/accel_nasbench_train_val.csv"
SIZES = (3,) * 8
STAGES = ((0, 2, 64), (2, 5, 128), (5, 8, 256))
"""First layer, one past the last, and channels of each stage of NAS-Bench-Macro."""
BLOCKS = {1: (3, 3), 2: (6, 5)}
"""Choice → expansion and kernel size; choice 0 is the identity."""
EVALUATIONS = (50, 100, 200)
NETWORKS = (8, 32, 64)
TARGETS = (93.05, 93.12, 93.127)
EXPLORATIONS = (("ucb", 0.0), ("ucb", 0.5), ("ucb", 1.0), ("ucb", 2.0), ("ei", 0.0), ("ei", 0.1))
HELD_BACK = 1000
"""Seeds from here on chose the options; those below report."""

Array = npt.NDArray[np.float64]
Genome = tuple[int, ...]
GenomeMatrix = npt.NDArray[np.int64]


def read_macro() -> dict[Genome, float]:
    """Returns mean accuracy of every genome, percent."""
    with MACRO.open(newline="", encoding="utf-8") as file:
        return {tuple(map(int, row["arch"])): float(row["mean_acc"]) for row in csv.DictReader(file)}


def canonical(genome: Genome) -> Genome:
    """Returns the genome with the identities behind each stage's first layer moved to the stage's end."""
    moved: list[int] = []
    for first, last, _ in STAGES:
        rest = [choice for choice in genome[first + 1 : last] if choice]
        moved += [genome[first], *rest, *[0] * (last - first - 1 - len(rest))]
    return tuple(moved)


def count_macro(genome: Genome) -> tuple[int, int]:
    """Returns parameters and MACs of a network of NAS-Bench-Macro, from its architecture.

    Convolutions without biases, two parameters of normalisation per channel; the stem, stages and head of the paper.
    """
    params, macs, size, channels = 3 * 9 * 32 + 2 * 32, 3 * 9 * 32 * 32 * 32, 32, 32
    for first, last, out in STAGES:
        for layer in range(first, last):
            stride = 2 if layer == first else 1
            if genome[layer] or stride == 2:
                added = _count_layer(genome[layer], channels, out, size, stride)
                params, macs = params + added[0], macs + added[1]
            size, channels = size // stride, out
    params += channels * 1280 + 2 * 1280 + 1280 * 10 + 10
    return params, macs + channels * 1280 * size * size + 1280 * 10


def _count_layer(choice: int, channels: int, out: int, size: int, stride: int) -> tuple[int, int]:
    small = (size // stride) ** 2
    if not choice:  # the identity at a stage's start
        return channels * out + 2 * out, channels * out * small
    expansion, kernel_size = BLOCKS[choice]
    wide = channels * expansion
    weights = channels * wide, wide * kernel_size**2, wide * out
    return sum(weights) + 4 * wide + 2 * out, weights[0] * size * size + (weights[1] + weights[2]) * small


def macro_features(genomes: GenomeMatrix) -> Array:
    """Returns log parameters and log MACs, `(n, 2)`."""
    return np.log([count_macro(tuple(genome)) for genome in genomes.tolist()])


class Searched(NamedTuple):
    """Mean best accuracy after each of EVALUATIONS, standard errors, and CPU seconds of a run until the optimum."""

    means: Array
    errors: Array
    seconds: float


def search_macro(
    table: dict[Genome, float],
    seeds: range,
    kind: Any,
    *,
    features: bool = False,
    merged: bool = False,
    **options: Any,
) -> Searched:
    """Searches NAS-Bench-Macro with each seed; every genome asked for counts as one training."""
    optimum = max(table.values())
    best, started = np.full((len(seeds), max(EVALUATIONS)), optimum), time.process_time()
    for row, seed in enumerate(seeds):
        algorithm = kind(SIZES, draw.generator(seed), **options)
        if features:
            algorithm.use_features(macro_features)
        if merged:
            algorithm.use_canonical(canonical)
        for turn in range(max(EVALUATIONS)):
            genomes = algorithm.ask(1)
            found = table[tuple(genomes[0].tolist())]
            algorithm.tell(genomes, np.array([found]))
            best[row, turn] = max(found, best[row, turn - 1]) if turn else found
            if found == optimum:  # nothing that follows can change the best
                break
    reached = best[:, [count - 1 for count in EVALUATIONS]]
    spread = reached.std(axis=0) / np.sqrt(len(seeds))
    return Searched(reached.mean(axis=0), spread, (time.process_time() - started) / len(seeds))


def macro_table(table: dict[Genome, float], runs: int) -> list[list[str]]:
    """Returns the rows: what searched, its options, and what it reached."""
    everything = {"features": True, "merged": True}
    reports: list[tuple[str, Any, dict[str, Any]]] = [
        ("random", RandomSearch, {}),
        ("evolution (population 25, sample 8)", AgingEvolution, {}),
        ("bayesian", BayesianOptimisation, everything),
        ("bayesian, no features", BayesianOptimisation, {"merged": True}),
        ("bayesian, no features, isomorphic encodings apart", BayesianOptimisation, {}),
        ("bayesian, `ucb` 0.5", BayesianOptimisation, {**everything, "acquisition": "ucb", "exploration": 0.5}),
    ]
    rows = []
    for name, kind, options in reports:
        found = search_macro(table, range(runs), kind, **options)
        pairs = zip(found.means, found.errors, strict=True)
        rows.append([name, *(f"{mean:.3f} ± {error:.3f}" for mean, error in pairs), f"{found.seconds:.2f}"])
        print("  ".join(rows[-1]), flush=True)
    return rows


class Networks(NamedTuple):
    """Trained networks: choices `(n, 28)`, features `(n, 2)`, top-1 `(n,)` in percent."""

    genomes: GenomeMatrix
    features: Array
    top1: Array


def read_accel() -> dict[str, Networks]:
    """Returns the networks of each split of Accel-NASBench; choices are numbered by their value."""
    with ACCEL.open(newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    names = [f"block{block}_{knob}" for block in range(7) for knob in ("e", "k", "l", "se")]
    columns = [np.unique([int(row[name]) for row in rows], return_inverse=True)[1] for name in names]
    genomes = np.stack(columns, axis=1).astype(np.int64)
    features = np.log([[float(row["params"]), float(row["macs"])] for row in rows])
    top1 = np.array([float(row["val_top1"]) for row in rows])
    splits = np.array([row["split"] for row in rows])
    return {
        name: Networks(genomes[splits == name], features[splits == name], top1[splits == name])
        for name in ("train", "val")
    }


def accel_sizes(splits: dict[str, Networks]) -> tuple[int, ...]:
    """Returns the number of choices of each knob."""
    return tuple((np.concatenate([one.genomes for one in splits.values()]).max(axis=0) + 1).tolist())


def with_scores(splits: dict[str, Networks]) -> dict[str, Networks]:
    """Returns the splits with the features that a search computes itself, from the architectures alone."""
    features = SpaceFeatures(accel_space())
    order = [4 * block + knob for block in range(7) for knob in (0, 1, 3, 2)]  # the space has se before layers
    return {name: one._replace(features=features(one.genomes[:, order])) for name, one in splits.items()}


def rank_correlations(splits: dict[str, Networks], draws: int, prior: bool, order: float = 0.5) -> list[list[Array]]:
    """Returns Spearman correlations, by NETWORKS and by (rest of train, val), each `(draws,)`."""
    train, val, sizes = splits["train"], splits["val"], accel_sizes(splits)
    scale = FeatureScale.of(train.features) if prior else None
    found = []
    for count in NETWORKS:
        drawn = []
        for seed in range(draws):
            order_drawn = draw.permutation(draw.generator(seed, count), len(train.top1))
            picked, rest = order_drawn[:count], order_drawn[count:]
            model = Surrogate(
                sizes,
                train.genomes[picked],
                train.top1[picked],
                train.features[picked] if prior else None,
                scale=scale,
                order=order,
            )
            others = Networks(train.genomes[rest], train.features[rest], train.top1[rest])
            drawn.append([spearmanr(_ranked(model, one, prior), one.top1)[0] for one in (others, val)])
        found.append(list(np.array(drawn).T))
    return found


def _ranked(model: Surrogate, networks: Networks, prior: bool) -> Array:
    return model.rank(networks.genomes, networks.features if prior else None)


def spearman_table(splits: dict[str, Networks], draws: int) -> list[list[str]]:
    """Returns the rows: with and without the prior mean, other kernels, on the rest of train and on val."""
    rows = []
    for name, given, prior, order in (
        ("prior mean of `search.features`, as `run` has it", with_scores(splits), True, 0.5),
        ("prior mean of log params, log MACs", splits, True, 0.5),
        ("the same, kernel of differences only", splits, True, 0.0),
        ("no prior mean", splits, False, 0.5),
        ("the same, kernel of differences only", splits, False, 0.0),
    ):
        found = rank_correlations(given, draws, prior, order)
        for column, judged in enumerate(("rest of train", "val")):
            texts = [f"{one[column].mean():.3f} ({one[column].min():.3f})" for one in found]
            rows.append([name, judged, *texts])
            print("  ".join(rows[-1]), flush=True)
    parameters = [f"{spearmanr(splits[name].features[:, 0], splits[name].top1)[0]:.3f}" for name in splits]
    rows += [["parameters alone", judged, text, text, text] for judged, text in zip(splits, parameters, strict=True)]
    return rows


def acquisition_table(splits: dict[str, Networks], runs: int) -> list[list[str]]:
    """Returns the rows: how far below the best network of `train` each acquisition is after 25 and 50 of them."""
    train, sizes = splits["train"], accel_sizes(splits)
    scale = FeatureScale.of(train.features)
    rows = []
    for name, exploration in EXPLORATIONS:
        regrets = []
        for seed in range(HELD_BACK, HELD_BACK + runs):
            known = draw.sample(draw.generator(seed), range(len(train.top1)), 10)
            while len(known) < 50:
                model = Surrogate(sizes, train.genomes[known], train.top1[known], train.features[known], scale=scale)
                prediction = model.predict(train.genomes, train.features)
                scores = ACQUISITIONS[name](prediction, float(train.top1[known].max()), exploration)
                scores[known] = scores.min()
                known.append(first_best(scores))
            regrets.append([train.top1.max() - train.top1[known[:count]].max() for count in (25, 50)])
        rows.append([name, f"{exploration}", *(f"{mean:.3f}" for mean in np.mean(regrets, axis=0))])
        print("  ".join(rows[-1]), flush=True)
    return rows


def landscape_table(runs: int) -> list[list[str]]:
    """Returns the rows: mean best after some evaluations of additive landscapes with 12 knobs of 6 choices."""
    sizes, counts = (6,) * 12, (25, 50, 100)
    searches: list[tuple[str, Any, dict[str, Any]]] = [("evolution", AgingEvolution, {})]
    for name, exploration in EXPLORATIONS:
        options = {"acquisition": name, "exploration": exploration}
        searches.append((f"bayesian, {name} {exploration}", BayesianOptimisation, options))
    rows = []
    for text, kind, options in searches:
        reached = []
        for seed in range(HELD_BACK, HELD_BACK + runs):
            peaks = draw.generator(99, seed)
            weights = np.array([6 * draw.uniform(peaks) for _ in sizes])
            algorithm, values = kind(sizes, draw.generator(seed), **options), np.empty(0)
            for _ in range(max(counts)):
                genomes = algorithm.ask(1)
                found = np.cos((genomes - weights) / 3).sum(axis=1)
                algorithm.tell(genomes, found)
                values = np.append(values, found)
            reached.append([values[:count].max() for count in counts])
        rows.append([text, *(f"{mean:.3f}" for mean in np.mean(reached, axis=0))])
        print("  ".join(rows[-1]), flush=True)
    return rows


def ask_table(table: dict[Genome, float], splits: dict[str, Networks]) -> list[list[str]]:
    """Returns the rows: milliseconds per ask with n values told, with hyperparameters fitted anew and kept."""
    train = splits["train"]
    sizes = accel_sizes(splits)
    macro = np.array(list(table), dtype=np.int64)
    spaces: list[tuple[str, tuple[int, ...], GenomeMatrix, Array, Callable[[GenomeMatrix], Array]]] = [
        ("NAS-Bench-Macro, 6,561 candidates", SIZES, macro, np.array(list(table.values())), macro_features),
        ("Accel-NASBench, sampled", sizes, train.genomes, train.top1, lambda rows: rows[:, :2] + 0.0),
    ]
    rows = []
    for name, space, genomes, values, features in spaces:
        for count in EVALUATIONS:
            algorithm = BayesianOptimisation(space, draw.generator(0))
            algorithm.use_features(features)
            picked = draw.sample(draw.generator(count), range(len(values)), count)
            algorithm.tell(genomes[picked[:20]], values[picked[:20]])
            algorithm.ask(1)  # works out the features
            algorithm.tell(genomes[picked[20:]], values[picked[20:]])
            times = []
            for _ in range(6):
                started = time.process_time()
                asked = algorithm.ask(1)
                times.append(1e3 * (time.process_time() - started))
                algorithm.tell(asked, [float(values.mean())])
            rows.append([name, str(count), f"{times[0]:.1f}", f"{np.median(times[1:]):.1f}"])
            print("  ".join(rows[-1]), flush=True)
    return rows


def main() -> None:
    """Prints and writes the tables."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=int, default=100)
    parser.add_argument("--draws", type=int, default=50)
    parser.add_argument("--pool-runs", type=int, default=40)
    parser.add_argument("--out", type=Path, default=Path(__file__).with_suffix(".md"))
    options = parser.parse_args()
    table, splits = read_macro(), read_accel()
    acquisitions = acquisition_table(splits, options.pool_runs)
    landscapes = landscape_table(options.pool_runs)
    ranks = spearman_table(splits, options.draws)
    asks = ask_table(table, splits)
    searched = macro_table(table, options.runs)
    searched.append(["*asked for*", *(f"{target}" for target in TARGETS), ""])
    header = ("search", *(f"after {count}" for count in EVALUATIONS), "CPU s to the optimum")
    text = TEXT.format(
        runs=options.runs,
        draws=options.draws,
        pool_runs=options.pool_runs,
        searched=markdown_table(header, searched),
        ranks=markdown_table(("surrogate", "judged on", *(f"{count} networks" for count in NETWORKS)), ranks),
        acquisitions=markdown_table(("acquisition", "exploration", "after 25", "after 50"), acquisitions),
        landscapes=markdown_table(("search", "after 25", "after 50", "after 100"), landscapes),
        asks=markdown_table(("space", "values told", "with a new fit (ms)", "without (ms)"), asks),
    )
    options.out.write_text(text, encoding="utf-8")


TEXT = """Made by `python -m benchmarks.model_based`, one thread; CPU times are of a busy shared machine.

## NAS-Bench-Macro: mean best accuracy (%), {runs} seeds, ± standard error

{searched}
- Every genome asked for counts as one trained network; the optimum is 93.1267. Random and evolution do not know which
  encodings are isomorphic; the row "encodings apart" is what `bayesian` reaches when it does not either.
- Features are log parameters and log MACs, computed from the architecture; accuracies are seen only of genomes that
  were asked for.
- The table has no held-out part. While the method was written its forms were tried on seeds 1000–1019 of it, and once
  on seeds 0–9; the report is on seeds 0 …, and its default is not the option that does best here.

## Accel-NASBench: Spearman with top-1 after training n random networks of `train`, mean (worst) of {draws} draws

{ranks}
- The priors of the hyperparameters were compared on `train`; nothing was chosen on `val`.
- `search.features`: log weights, log MACs, log trainability, linear regions. The forms of these two zero-cost scores
  were chosen while looking at both benchmarks (benchmarks/zero_cost.md), so their row is no clean test.
- Asked for: 0.84, 0.90, 0.94 with the prior mean.

## Accel-NASBench `train` as a pool: best top-1 of the pool less the best found (points), {pool_runs} seeds

{acquisitions}
## Additive landscapes, 12 knobs of 6 choices (too many to be scored whole): mean best, {pool_runs} seeds

{landscapes}
- `ei` became the default: on these two tables as good as `ucb` with its best exploration, and without one to choose.

## Time per ask (CPU ms)

{asks}
"""

if __name__ == "__main__":
    main()
