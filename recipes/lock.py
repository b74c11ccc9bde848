"""The lock: the record of a run, enough to say what was done to what, with what result."""

from __future__ import annotations

import hashlib
import json
import os
import platform
from collections.abc import Mapping, Sequence
from functools import cache
from importlib.metadata import version
from pathlib import Path
from typing import Any

import accelzoo
from accelzoo import config, hwmodel
from accelzoo.hwmodel import Target
from accelzoo.hwmodel.oracles.torch_device import processor_name
from accelzoo.recipes.asked import Asked
from accelzoo.recipes.schema import AnyRecipe
from accelzoo.search import Result

SCHEMA_VERSION = 2
RELEASE = "release"
"""Of a run's own lock: the digest of its release, or those of its releases by network. No release can hold its own."""
FILES = "files"
"""Of a release's lock: the sha256 of the files that the lock vouches for, by name."""
_PACKAGES = ("accelerate", "numpy", "safetensors", "timm", "torch")


def versions() -> dict[str, str]:
    """Versions of what the result depends on."""
    found = {name: version(name) for name in _PACKAGES}
    return {"accelzoo": accelzoo.__version__, "python": platform.python_version(), **found}


def machine(threads: int) -> dict[str, Any]:
    """What the run ran on, as far as results may depend on it."""
    import torch

    device = torch.cuda.get_device_name() if torch.cuda.is_available() else platform.machine()
    return {
        "system": platform.system(),
        "device": device,
        "processor": processor_name(),
        "cpu_count": os.cpu_count(),
        "threads": threads,
    }


@cache
def hwmodel_digest() -> str:
    """Returns `sha256:…` over the sources of the cost model: name and content of each of its own modules.

    A lock carries it to inform: prices that differ from the lock's may have their reason in another cost model. What
    decides is the target's digest and the prices themselves.
    """
    hasher = hashlib.sha256()
    for path in sorted(Path(hwmodel.__file__).parent.glob("*.py")):
        content = path.read_bytes().replace(b"\r\n", b"\n")
        hasher.update(f"{path.name} {len(content)}\n".encode() + content)
    return f"sha256:{hasher.hexdigest()}"


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
    asked: Asked | None = None,
    results: Sequence[Mapping[str, Any]] = (),
    spent: Mapping[str, Any] | None = None,
    tolerances: Mapping[str, float] | None = None,
) -> dict[str, Any]:
    """Puts the lock together.

    Args:
        recipe: The recipe as it was run, profile and overrides laid in.
        target: What was priced on.
        winner_digest: `Arch.digest()` of the network that is released.
        search: How it was found; of a funnel as `describe_search` returns it.
        data: Manifests of the data at every input size that was trained at, by name.
        trainings: Facts of every full training (see `accelzoo.recipes.lock_trainings.training_facts`).
        comparison: The result.
        seconds: Wall time per part of the run, without what killed processes had spent in a part they did not finish.
        asked: How the run was asked for; None: by the recipe's name alone.
        results: The headline figures, each with its command (see `accelzoo.recipes.lock_results.figure`).
        spent: Core-hours, GPU-hours and energy (see `accelzoo.recipes.spent.spent`).
        tolerances: Metric → how far a repeated training may be off (see `accelzoo.recipes.lock_trainings.tolerance`).
    """
    return {
        "schema": SCHEMA_VERSION,
        **_recipe_facts(recipe, asked or Asked(recipe=recipe.recipe)),
        "hwmodel_digest": hwmodel_digest(),
        "target": {"name": target.name, "digest": target.digest()},
        "winner_digest": winner_digest,
        "search": dict(search),
        "data": dict(data),
        "trainings": dict(trainings),
        "comparison": dict(comparison),
        "versions": versions(),
        "machine": machine(recipe.training.threads),
        "results": [dict(one) for one in results],
        "tolerances": dict(tolerances or {}),
        "spent": dict(spent or {}),
        "wall_s": {name: round(value, 1) for name, value in seconds.items()},
    }


def _recipe_facts(recipe: AnyRecipe, asked: Asked) -> dict[str, Any]:
    return {
        "recipe": recipe.recipe,
        "profile": asked.profile,
        "overrides": list(asked.overrides),
        "recipe_digest": config.digest(recipe),
        "plan": config.to_config(recipe),
    }


def kept_lock(lock: Mapping[str, Any], recorded: Any) -> dict[str, Any]:
    """Returns the lock that a run left if it says the same: a finished run that is resumed makes the release it made.

    Args:
        lock: The lock, made anew.
        recorded: What the run's folder holds, or None.
    """
    if recorded is not None and same_but_for_times(lock, recorded):
        return {key: value for key, value in recorded.items() if key != RELEASE}
    return dict(lock)


def same_but_for_times(lock: Mapping[str, Any], recorded: Any) -> bool:
    """Tells whether a lock says the same as one read from a file: but for times, what it took, and the release."""
    if not isinstance(recorded, dict):
        return False
    return bool(_lasting(json.loads(json.dumps(lock))) == _lasting(recorded))


def _lasting(lock: Mapping[str, Any]) -> Any:
    return _without_times({key: value for key, value in lock.items() if key not in ("spent", RELEASE)})


def _without_times(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _without_times(item) for key, item in value.items() if key != "wall_s"}
    return [_without_times(item) for item in value] if isinstance(value, list) else value
