"""Whether a lock's own account holds together: its searches with the trace, its numbers with each other.

SHA256SUMS can be rewritten to match an edited lock, and a lock edited everywhere at once is told by a pinned digest
alone. What is edited in one place contradicts another: the trace's first line, the recipe, the data's manifest.
"""

from __future__ import annotations

import json
import re
import statistics
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from accelzoo import config
from accelzoo.recipes.lock_reader import Lock
from accelzoo.recipes.verify_values import FailedCheckError
from accelzoo.release import LOCK_FILE, Release

_SETTINGS = ("algorithm", "budgets", "objective", "seed", "space", "target")
_SEED = re.compile(r"(?:train-.*|final-.*|winner|baseline)-seed(\d+)")
_Fact = tuple[str, Any, Any, str]
"""Where in the lock, what is found there, what is expected, and whose word that is."""


def check_account(release: Release, lock: Lock) -> str:
    """Compares every number of the lock that is said twice: seeds, numbers of images, means and headline figures."""
    seeds = config.load(config.Text(release.read_recipe())).plain()["seeds"]
    facts = [*_seeds(lock), *_comparison(lock, seeds), *_figures(lock)]
    require_equal(facts)
    return f"{len(facts)} numbers that are said twice agree"


def check_settings(lines: Sequence[Mapping[str, Any]], searched: Mapping[str, Any], where: str) -> None:
    """Compares what a lock says of a search with the lines of its trace.

    Args:
        lines: The trace's, the first of which holds the settings.
        searched: The lock's words on the search.
        where: Where in the lock they are.

    Raises:
        FailedCheckError: Naming the first that is another one.
    """
    header = lines[0]
    names = [name for name in _SETTINGS if name in header and name in searched]
    facts: list[_Fact] = [(f"{where}.{name}", searched[name], header[name], "the trace") for name in names]
    if "candidates" in searched:
        facts.append((f"{where}.candidates", searched["candidates"], len(lines) - 1, "the trace"))
    require_equal(facts)


def require_equal(facts: Sequence[_Fact]) -> None:
    """Refuses a lock of which any fact is not what is expected."""
    for where, found, expected, whose in facts:
        if found != expected:
            said = f"{where}: expected {json.dumps(expected)} of {whose}, found {json.dumps(found)}"
            raise FailedCheckError(LOCK_FILE, said)


def _seeds(lock: Lock) -> Iterator[_Fact]:
    """Trainings are named after their seeds."""
    for name, facts in lock.trainings.items():
        if "seed" in facts and (named := _SEED.fullmatch(name)) is not None:
            yield f"trainings.{name}.seed", facts["seed"], int(named[1]), "its name"


def _comparison(lock: Lock, seeds: Sequence[int]) -> Iterator[_Fact]:
    if "winner" in lock.comparison:
        return _of_funnel(lock, seeds)
    if "trained" in lock.comparison:
        return _of_width(lock)
    return _of_product(lock, seeds)


def _of_funnel(lock: Lock, seeds: Sequence[int]) -> Iterator[_Fact]:
    for name in ("baseline", "winner"):
        scored, where = lock.comparison[name], f"comparison.{name}"
        yield f"{where}.test_images", scored["test_images"], _images(lock, name, "test"), "the data"
        yield f"{where}.test_top1_mean", scored["test_top1_mean"], statistics.fmean(scored["test_top1"]), "its seeds"
        tests = [lock.trainings[f"{name}-seed{seed}"]["test"] for seed in seeds]
        top1 = [test["correct"] / test["count"] for test in tests]
        yield f"{where}.test_top1", scored["test_top1"], top1, "the trainings"


def _of_width(lock: Lock) -> Iterator[_Fact]:
    for one in lock.comparison["trained"]:
        for split in ("validation", "test"):
            where = f"comparison.trained.{one['name']}.{split}"
            yield f"{where}.count", one[split]["count"], _images(lock, "all", split), "the data"
            share = one[split]["correct"] / one[split]["count"]
            yield f"{where}.top1", one[split]["top1"], share, "its counts"


def _of_product(lock: Lock, seeds: Sequence[int]) -> Iterator[_Fact]:
    for one in lock.comparison["networks"]:
        where, runs = f"comparison.networks.{one['name']}", one["runs"]
        yield f"{where}.runs.seed", [run["seed"] for run in runs], list(seeds), "the recipe"
        for kind, split in (("int8", "validation"), ("validation", "validation"), ("test", "test")):
            counts = [run[kind]["count"] for run in runs]
            yield f"{where}.runs.{kind}.count", counts, [_images(lock, "all", split)] * len(runs), "the data"
        mean = statistics.fmean(run["test"]["value"] for run in runs)
        yield f"{where}.test_mean", one["test_mean"], mean, "its runs"


def _images(lock: Lock, name: str, split: str) -> Any:
    return lock.data[name]["splits"][split]["images"]


def _figures(lock: Lock) -> Iterator[_Fact]:
    """The headline figures of funnels and products are those of the comparison."""
    known = _known(lock)
    for index, one in enumerate(lock.results):
        if one["what"] in known:
            expected = known[one["what"]][one["metric"]]
            yield f"results[{index}].value", one["value"], expected, f"the comparison's {one['what']}"


def _known(lock: Lock) -> dict[str, dict[str, Any]]:
    """Network → metric → value; of width runs none, whose figures are means over the seeds of a choice."""
    comparison = lock.comparison
    if "winner" in comparison:
        both = {name: comparison[name] for name in ("baseline", "winner")}
        return {name: {**one["cost"], "test_top1": one["test_top1_mean"]} for name, one in both.items()}
    if "trained" in comparison:
        return {}
    return {
        one["name"]: {
            **one["prices"][lock.target["name"]]["cost"],
            f"test_{comparison['metric']}": one["test_mean"],
            "compiled_latency_s": (one["compiled"] or {}).get("latency_s"),
        }
        for one in comparison["networks"]
    }
