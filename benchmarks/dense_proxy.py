"""How well zero-cost scores and short trainings tell how good detectors and segmentation networks become.

`python -m benchmarks.dense_proxy --task detection --data SOURCE --out FILE.jsonl` draws networks of a space, evenly
over the logarithm of their multiply-accumulates, scores each at initialisation on a batch of the training images with
their targets, and trains it twice from the same weights: shortly and longer, each with a schedule of its own. Every
network is one line of the `--out` file, with which a stopped run is taken up. At the end it prints Spearman's rank
correlations with the longer training's result, with 95 % intervals, and writes them beside as `.json`.
"""

from __future__ import annotations

import argparse
import json
import math
import multiprocessing
import sys
import time
from collections.abc import Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import asdict, dataclass, replace
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from scipy.stats import rankdata

from accelzoo import Arch, draw, get_space
from accelzoo.build import build
from accelzoo.errors import AccelzooError, ShapeError
from accelzoo.knobs import Space
from accelzoo.recipes.report import markdown_table
from accelzoo.search.genomes import random_genome
from accelzoo.search.scores import DEFAULT_COMBINATION, ScoreError, get_score, rank_combination, score_names
from accelzoo.train import TrainConfig, fit

DRAWN_PER_NETWORK = 40
"""Networks within the limits drawn for each that is kept, so that there is one near every point of the scale."""
MOST_DRAWS = 1000
"""Genomes drawn at most for each network that is kept, when few lie within the limits."""
RESAMPLES = 2000
INTERVAL = (2.5, 97.5)
TASKS = {"detection": "AP50", "segmentation": "mIoU"}
SHORT, FINAL = "short training", "final"
COMBINATIONS = (DEFAULT_COMBINATION, ("entropy", "macs", "params"), ("macs", "params"))
"""By mean rank: the default of classifiers, that of the product recipes, and size alone."""

Array = npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True, kw_only=True)
class Study:
    """What decides every line of a run's file.

    `classes` keeps some of a detection data set's classes, all if empty; `score_images` is the batch that scores see.
    Networks lie between `min_macs` and `max_macs`.
    """

    task: str
    data: str
    classes: tuple[str, ...]
    space: str
    networks: int
    epochs: float
    short_epochs: float
    batch_size: int
    learning_rate: float
    score_images: int
    min_macs: float
    max_macs: float
    device: str
    seed: int


@cache
def loaded(task: str, source: str, classes: tuple[str, ...]) -> Any:
    """Reads the data set, once in a process."""
    if task == "segmentation":
        from accelzoo.tasks.segmentation import load_segmentation

        return load_segmentation(source)
    from accelzoo.tasks.detection import load_detection

    return load_detection(source, classes=classes or None)


def drawn_networks(study: Study, classes: int) -> list[Arch]:
    """Draws networks that lie evenly over the logarithm of their multiply-accumulates.

    Of many genomes drawn evenly, those are kept that lie nearest to points spread from the 1st to the 99th percentile.
    The heads get as many classes as the data have.
    """
    space = get_space(study.space)
    rng = draw.generator(study.seed)
    pool: dict[str, tuple[float, Arch]] = {}
    for _ in range(MOST_DRAWS * study.networks):
        if len(pool) == DRAWN_PER_NETWORK * study.networks:
            break
        arch = _network(space, random_genome(space.sizes, rng), classes)
        if arch is None:
            continue
        macs = get_score("macs")(arch)
        if study.min_macs <= macs <= study.max_macs:
            pool[arch.digest()] = (math.log(macs), arch)
    if len(pool) < study.networks:
        sys.exit(f"only {len(pool)} different networks of {study.space} lie within the limits: widen them")
    positions, archs = zip(*pool.values(), strict=True)
    free = np.array(positions)
    chosen = []
    first, last = np.percentile(free, (1, 99)).tolist()
    for point in np.linspace(first, last, study.networks).tolist():
        nearest = int(np.argmin(np.abs(free - point)))
        free[nearest] = np.inf
        chosen.append(archs[nearest])
    return chosen


def _network(space: Space, genome: Sequence[int], classes: int) -> Arch | None:
    try:
        arch = space.decode(tuple(genome))
        arch = replace(arch, head=replace(arch.head, num_classes=classes))
        arch.lower()
    except ShapeError:
        return None  # not every combination fits
    return arch


def _augment(task: str) -> Any:
    """Of detection little change, as a short training sees each image a few times only; of segmentation the usual."""
    if task == "segmentation":
        return None
    from accelzoo.tasks.detection import DetectionAugment

    return DetectionAugment(scale=(0.8, 1.25), mosaic=0.0)


def examined(study: Study, arch: Arch) -> dict[str, Any]:
    """Scores and trains one network; returns its line."""
    started = time.perf_counter()
    data = loaded(study.task, study.data, study.classes)
    view = data.view(arch.input_size, _augment(study.task))
    scores, seconds = _scores(study, arch, view)
    line: dict[str, Any] = {"digest": arch.digest(), "config": arch.to_config(), "scores": scores}
    for key, epochs in (("short", study.short_epochs), ("final", study.epochs)):
        try:
            result = fit(_built(study, arch), view, _training(study, epochs), progress=False, device=study.device)
        except AccelzooError as error:
            return line | {"error": f"{key}: {error}"}
        if result.validation is None:
            raise ValueError(f"{study.data} has no validation images")
        line[key] = result.validation.to_json()
        line[f"{key}_s"] = result.wall_s
    return line | {"score_s": seconds, "seconds": time.perf_counter() - started}


def _scores(study: Study, arch: Arch, view: Any) -> tuple[dict[str, float | None], dict[str, float]]:
    """Every zero-cost score, None where it is not finite, and the seconds of processor time of each."""
    module = _built(study, arch)
    feed = view.feed(module, replace(_training(study, 1), batch_size=study.score_images), torch.device("cpu"))
    batch = feed.batch(0)
    scores: dict[str, float | None] = {}
    seconds: dict[str, float] = {}
    for name in score_names():
        score = get_score(name)
        begin = time.process_time()
        try:
            scores[name] = score(module if score.cost.network else arch, batch, seed=study.seed)
        except ScoreError:
            scores[name] = None
        seconds[name] = time.process_time() - begin
    return scores, seconds


def _built(study: Study, arch: Arch) -> Any:
    return build(arch, torch.Generator().manual_seed(study.seed))


def _training(study: Study, epochs: float) -> TrainConfig:
    return TrainConfig(
        epochs=epochs,
        batch_size=study.batch_size,
        learning_rate=study.learning_rate,
        gradient_clip=10.0,
        evaluate="end",
        seed=study.seed,
        threads=1,
    )


def run(study: Study, path: Path, workers: int) -> list[dict[str, Any]]:
    """Examines the networks that the file has no line for; returns all lines."""
    data = loaded(study.task, study.data, study.classes)
    archs = drawn_networks(study, len(data.class_names))
    done = _read(path, study)
    waiting = [arch for arch in archs if arch.digest() not in done]
    print(f"{len(archs)} networks, {len(archs) - len(waiting)} of them in {path}", flush=True)
    started = time.perf_counter()
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(workers, context, torch.set_num_threads, (1,)) as pool, path.open("a") as file:
        for count, future in enumerate(as_completed([pool.submit(examined, study, arch) for arch in waiting]), start=1):
            line = future.result()
            done[line["digest"]] = line
            file.write(json.dumps(line) + "\n")
            file.flush()
            left_s = (time.perf_counter() - started) / count * (len(waiting) - count)
            print(f"{count} of {len(waiting)}  {_said(line)}  {left_s / 60:.0f} min to go", flush=True)
    return [done[arch.digest()] for arch in archs]


def _said(line: Mapping[str, Any]) -> str:
    figures = f"{line['digest'][7:15]}  {line['scores']['macs'] / 1e6:.0f} MMAC"
    if "error" in line:
        return f"{figures}  failed: {line['error']}"
    return f"{figures}  short {line['short']['value']:.3f}  final {line['final']['value']:.3f}  {line['seconds']:.0f} s"


def _read(path: Path, study: Study) -> dict[str, dict[str, Any]]:
    """Lines by the networks' digest; a new file gets the study as its first line."""
    wanted = json.loads(json.dumps(asdict(study)))
    if not path.exists() or not path.stat().st_size:
        path.write_text(json.dumps({"study": wanted}) + "\n", encoding="utf-8")
    text = path.read_text(encoding="utf-8")
    whole = text[: text.rfind("\n") + 1]
    if whole != text:
        path.write_text(whole, encoding="utf-8")  # the last line was being written when the run was stopped
    first, *lines = [json.loads(line) for line in whole.splitlines()]
    # More networks may be asked for later: those lines that belong to the new draw are taken over.
    changed = [key for key, value in wanted.items() if first["study"].get(key) != value and key != "networks"]
    if changed:
        sys.exit(f"{path} is of a study with other {', '.join(changed)}: choose another --out")
    return {line["digest"]: line for line in lines}


def ranked(columns: Array) -> Array:
    """Ranks along the last axis, centred, of length 1; zeros where all are equal."""
    ranks = rankdata(columns, axis=-1)
    ranks = ranks - ranks.mean(-1, keepdims=True)
    norm = np.linalg.norm(ranks, axis=-1, keepdims=True)
    return np.asarray(ranks / np.where(norm > 0, norm, 1.0))


def spearman(one: Array, other: Array) -> Array:
    """Spearman's rank correlation along the last axis; 0 where one side is constant."""
    return np.asarray((ranked(one) * ranked(other)).sum(-1))


def partial_spearman(one: Array, other: Array, given: Array) -> Array:
    """Spearman's partial rank correlation: what remains of it among networks with equal ranks in `given`."""
    first, second, both = spearman(one, given), spearman(other, given), spearman(one, other)
    scale = np.sqrt(np.clip((1 - first**2) * (1 - second**2), 0, None))
    return np.asarray(np.where(scale > 1e-9, (both - first * second) / np.where(scale > 1e-9, scale, 1.0), 0.0))


def correlations(lines: Sequence[Mapping[str, Any]], seed: int) -> list[dict[str, Any]]:
    """Correlates every score, combinations of them and the short training with the final result.

    Args:
        lines: Of networks that were trained; a score that is None ranks last.
        seed: Draws the networks of each bootstrap sample, with replacement.

    Returns:
        Per score its name, `spearman` and `given_macs` with their intervals `low`, `high`; the best first.
    """
    finals = np.array([line["final"]["value"] for line in lines])
    columns = {name: _column(lines, name) for name in lines[0]["scores"]}
    for names in COMBINATIONS:
        columns[" + ".join(names)] = rank_combination({name: columns[name] for name in names})
    columns[SHORT] = np.array([line["short"]["value"] for line in lines])
    macs = columns["macs"]
    # The same samples for every score, drawn once.
    picks = np.array(draw.generator(seed).integers(len(lines), size=(RESAMPLES, len(lines))))
    found = []
    for name, column in columns.items():
        partial = np.percentile(partial_spearman(column[picks], finals[picks], macs[picks]), INTERVAL)
        whole = np.percentile(spearman(column[picks], finals[picks]), INTERVAL)
        entry: dict[str, Any] = {"score": name, "spearman": float(spearman(column, finals)), **_ends(whole)}
        if name != "macs":
            entry["given_macs"] = {"spearman": float(partial_spearman(column, finals, macs)), **_ends(partial)}
        found.append(entry)
    return sorted(found, key=lambda entry: -entry["spearman"])


def _column(lines: Sequence[Mapping[str, Any]], name: str) -> Array:
    values = [line["scores"][name] for line in lines]
    known = [value for value in values if value is not None]
    worst = min(known, default=0.0) - 1.0
    return np.array([worst if value is None else value for value in values])


def _ends(interval: Array) -> dict[str, float]:
    return {"low": float(interval[0]), "high": float(interval[1])}


def report(study: Study, lines: Sequence[Mapping[str, Any]]) -> tuple[str, dict[str, Any]]:
    """Returns the table and the results as plain values."""
    trained = [line for line in lines if "final" in line]
    if len(trained) < 3:
        return f"{len(trained)} networks were trained: too few to rank\n", {"study": asdict(study), "networks": []}
    found = correlations(trained, study.seed)
    seconds = {name: float(np.mean([line["score_s"][name] for line in trained])) for name in trained[0]["score_s"]}
    seconds[SHORT] = float(np.mean([line["short_s"] for line in trained]))
    for names in COMBINATIONS:
        seconds[" + ".join(names)] = sum(seconds[name] for name in names)
    rows = [[entry["score"], *_cells(entry), *_cells(entry.get("given_macs")), f"{seconds[entry['score']]:.3g}"]
            for entry in found]  # fmt: skip
    heads = ["score", "Spearman", "95 %", "of equal MACs", "95 %", "s per network"]
    finals = [line["final"]["value"] for line in trained]
    spans = [line["final"]["high"] - line["final"]["low"] for line in trained if line["final"]["low"] is not None]
    note = (
        f"{study.space} on {study.data}: {len(trained)} networks, {TASKS[study.task]} {min(finals):.3f} … "
        f"{max(finals):.3f} after {study.epochs:g} epochs"
    )
    note += f" (an interval of one network is {np.mean(spans):.3f} wide)" if spans else ""
    note += f"; short training: {study.short_epochs:g} epochs.\n\n"
    plain = {"study": asdict(study), "correlations": found, "seconds": seconds, "networks": trained}
    plain["failed"] = [line for line in lines if "final" not in line]
    return note + markdown_table(heads, rows), plain


def _cells(entry: Mapping[str, float] | None) -> list[str]:
    if entry is None:
        return ["", ""]
    return [f"{entry['spearman']:.2f}", f"{entry['low']:.2f} … {entry['high']:.2f}"]


def arguments_of(given: Sequence[str] | None) -> argparse.Namespace:
    """Reads the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--task", choices=TASKS, required=True)
    parser.add_argument("--data", required=True, help="source, as load_detection or load_segmentation takes it")
    parser.add_argument("--classes", nargs="*", default=(), help="of detection: keep only these")
    parser.add_argument("--space", help="ibn_detection or ibn_segmentation by default")
    parser.add_argument("--networks", type=int, default=32)
    parser.add_argument("--epochs", type=float, default=12)
    parser.add_argument("--short-epochs", type=float, default=3)
    parser.add_argument("--batch-size", type=int, default=16)
    parser.add_argument("--learning-rate", type=float, default=2e-3)
    parser.add_argument("--score-images", type=int, default=8, help="images of the batch that scores see")
    parser.add_argument("--min-macs", type=float, default=0)
    parser.add_argument("--max-macs", type=float, default=math.inf)
    parser.add_argument("--device", default="cpu", help="where networks are trained; scores are computed on the CPU")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--workers", type=int, default=2, help="processes, of one thread each")
    parser.add_argument("--out", type=Path, required=True, help="a line per network; results go beside it as .json")
    return parser.parse_args(given)


def main(arguments: Sequence[str] | None = None) -> None:
    """Runs or takes up a study, prints the table and writes the results."""
    given = vars(arguments_of(arguments))
    out, workers = given.pop("out"), given.pop("workers")
    study = Study(**given | {"space": given["space"] or f"ibn_{given['task']}", "classes": tuple(given["classes"])})
    if study.max_macs == math.inf:
        study = replace(study, max_macs=1e15)  # JSON has no infinity
    torch.set_num_threads(1)
    text, results = report(study, run(study, out, workers))
    print(text)
    out.with_suffix(".json").write_text(json.dumps(results, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
