"""The lock: the record of a run, enough to say what was done to what, with what result."""

from __future__ import annotations

import hashlib
import json
import os
import platform
from collections.abc import Mapping
from importlib.metadata import version
from typing import Any

import accelzoo
from accelzoo import config
from accelzoo.hwmodel import Target
from accelzoo.recipes.schema import AnyRecipe
from accelzoo.search import Result

SCHEMA_VERSION = 1
_PACKAGES = ("accelerate", "numpy", "safetensors", "timm", "torch")


def versions() -> dict[str, str]:
    """Versions of what the result depends on."""
    found = {name: version(name) for name in _PACKAGES}
    return {"accelzoo": accelzoo.__version__, "python": platform.python_version(), **found}


def machine(threads: int) -> dict[str, Any]:
    """What the run ran on, as far as results may depend on it."""
    import torch

    device = torch.cuda.get_device_name() if torch.cuda.is_available() else platform.machine()
    return {"system": platform.system(), "device": device, "cpu_count": os.cpu_count(), "threads": threads}


def describe_search(
    result: Result, winner_index: int, signal_digest: str, parts: Mapping[str, Mapping[str, Any]] | None = None
) -> dict[str, Any]:
    """What was searched, how, and where in the trace the winner stands.

    Args:
        result: The search.
        winner_index: The winner's candidate.
        signal_digest: Names the accuracy signal.
        parts: What came before and after it: facts of the `shortlist` and of the `finalists`' race.
    """
    trace = b"" if result.path is None else result.path.read_bytes()
    return {
        **{key: result.header[key] for key in ("algorithm", "budgets", "objective", "seed", "space", "target")},
        "signal": signal_digest,
        "candidates": len(result.trace),
        "evaluated": sum(record.evaluated for record in result.trace),
        "trace_sha256": hashlib.sha256(trace).hexdigest(),
        "winner_index": winner_index,
        "front": [candidate.index for candidate in result.front],
        **{name: dict(facts) for name, facts in (parts or {}).items()},
    }


def make_lock(
    recipe: AnyRecipe,
    *,
    target: Target,
    winner_digest: str,
    search: Mapping[str, Any],
    data: Mapping[str, Any],
    trainings: Mapping[str, Any],
    comparison: Mapping[str, Any],
    seconds: Mapping[str, float],
) -> dict[str, Any]:
    """Puts the lock together.

    Args:
        recipe: The recipe as it was run, profile and overrides laid in.
        target: What was priced on.
        winner_digest: `Arch.digest()` of the network that is released.
        search: How it was found; of a funnel as `describe_search` returns it.
        data: Manifests of the data at every input size that was trained at, by name.
        trainings: Facts of every full training.
        comparison: The result.
        seconds: Wall time per part of the run, without what killed processes had spent in a part they did not finish.
    """
    return {
        "schema": SCHEMA_VERSION,
        "recipe": recipe.recipe,
        "recipe_digest": config.digest(recipe),
        "target": {"name": target.name, "digest": target.digest()},
        "winner_digest": winner_digest,
        "search": dict(search),
        "data": dict(data),
        "trainings": dict(trainings),
        "comparison": dict(comparison),
        "versions": versions(),
        "machine": machine(recipe.training.threads),
        "wall_s": {name: round(value, 1) for name, value in seconds.items()},
    }


def same_but_for_times(lock: Mapping[str, Any], recorded: Any) -> bool:
    """Tells whether a lock says the same as one read from a file, wall times aside."""
    return bool(_without_times(json.loads(json.dumps(lock))) == _without_times(recorded))


def _without_times(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _without_times(item) for key, item in value.items() if key != "wall_s"}
    return [_without_times(item) for item in value] if isinstance(value, list) else value
