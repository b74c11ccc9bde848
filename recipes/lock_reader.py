"""Reading a lock of any schema: what an older one lacks is None or empty."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from accelzoo.errors import DataError
from accelzoo.recipes.lock import SCHEMA_VERSION

_REQUIRED: Mapping[str, type] = {
    "recipe": str, "recipe_digest": str, "target": dict, "winner_digest": str, "search": dict, "data": dict,
    "trainings": dict, "comparison": dict, "versions": dict, "machine": dict, "wall_s": dict,
}  # fmt: skip
_SINCE_2: Mapping[str, tuple[type, ...]] = {
    "profile": (str, type(None)), "overrides": (list,), "plan": (dict,), "hwmodel_digest": (str,), "results": (list,),
    "tolerances": (dict,), "spent": (dict,),
}  # fmt: skip
_OPTIONAL: Mapping[str, tuple[type, ...]] = {"files": (dict,), "release": (str, dict)}


@dataclass(frozen=True, slots=True, kw_only=True)
class Lock:
    """A lock as it was read.

    Args:
        schema: 1 or 2.
        recipe: The recipe's name.
        recipe_digest: Of the recipe as it was run.
        target: `name` and `digest` of what was priced on.
        winner_digest: `Arch.digest()` of the network.
        search: What was searched, and how.
        data: Manifests of the data, by name.
        trainings: Facts of every training, by name.
        comparison: The result.
        versions: Of what the result depends on.
        machine: What the run ran on.
        wall_s: Seconds by part.
        profile: The recipe's profile; None of a recipe without any, and of schema 1.
        overrides: Changes to it; None of schema 1.
        plan: The recipe as it was run; None of schema 1.
        hwmodel_digest: Of the cost model's sources; None of schema 1.
        results: Headline figures with their commands.
        tolerances: Metric → how far a repeated training may be off.
        spent: Core-hours, GPU-hours and energy.
        files: Of a release's lock, file → sha256; None of schema 1, and of a run's own lock.
        release: Of a run's own lock: the release's digest, or those of its networks; None otherwise.
    """

    schema: int
    recipe: str
    recipe_digest: str
    target: Mapping[str, Any]
    winner_digest: str
    search: Mapping[str, Any]
    data: Mapping[str, Any]
    trainings: Mapping[str, Any]
    comparison: Mapping[str, Any]
    versions: Mapping[str, Any]
    machine: Mapping[str, Any]
    wall_s: Mapping[str, Any]
    profile: str | None = None
    overrides: tuple[str, ...] | None = None
    plan: Mapping[str, Any] | None = None
    hwmodel_digest: str | None = None
    results: tuple[Mapping[str, Any], ...] = ()
    tolerances: Mapping[str, float] = field(default_factory=dict)
    spent: Mapping[str, Any] = field(default_factory=dict)
    files: Mapping[str, str] | None = None
    release: str | Mapping[str, str] | None = None


def load_lock(source: str | Path, where: str | None = None) -> Lock:
    """Reads a lock.

    Args:
        source: The file, or its text.
        where: What messages call a text.

    Raises:
        DataError: If it cannot be read, is no lock, or is of a schema that this version does not know; it says where.
    """
    name = where or "lock"
    if isinstance(source, Path):
        name = where or str(source)
        try:
            source = source.read_text("utf-8")
        except (OSError, UnicodeDecodeError) as error:
            raise DataError(f"cannot read {name}: {error}") from None
    try:
        content = json.loads(source)
    except (ValueError, RecursionError) as error:
        raise DataError(f"{name}: not JSON: {error}") from None
    if not isinstance(content, dict):
        raise DataError(f"{name}: expected a JSON object, found {type(content).__name__}")
    return read_lock(content, name)


def read_lock(content: Mapping[str, Any], where: str) -> Lock:
    """Returns the lock that plain data hold; arguments and errors as for `load_lock`."""
    schema = content.get("schema")
    if type(schema) is not int or not 1 <= schema <= SCHEMA_VERSION:
        raise DataError(f"{where}: schema {schema!r} is not known; this version reads 1 … {SCHEMA_VERSION}")
    wanted: dict[str, tuple[type, ...]] = {key: (kind,) for key, kind in _REQUIRED.items()}
    wanted |= _SINCE_2 if schema >= 2 else {}
    faults = [f"{key}: missing" for key in wanted if key not in content]
    faults += [
        f"{key}: expected {' or '.join(kind.__name__ for kind in kinds)}, found {type(content[key]).__name__}"
        for key, kinds in {**wanted, **_OPTIONAL}.items()
        if key in content and not isinstance(content[key], kinds)
    ]
    if faults:
        raise DataError(f"{where}: no lock of schema {schema}: {'; '.join(faults)}")
    known = {key: content[key] for key in (*wanted, *_OPTIONAL) if key in content}
    for key in ("overrides", "results"):
        known |= {key: tuple(known[key])} if key in known else {}
    return Lock(schema=schema, **known)
