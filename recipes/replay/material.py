"""What a replay starts from: the lock, the recipe as it was run, and traces, of a recipe, a release or a run."""

from __future__ import annotations

import gzip
import hashlib
import json
import zlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from accelzoo import config
from accelzoo.errors import AccelzooError, ConfigError, DataError, suggestion
from accelzoo.pretrained import find_release, is_release, list_packaged, names_release
from accelzoo.recipes import FOLDER, list_recipes, recipe_path
from accelzoo.recipes.lock_reader import Lock, load_lock, read_lock
from accelzoo.recipes.replay.comparing import first_difference
from accelzoo.recipes.schema import AnyRecipe, load_recipe, profile_names, read_recipe
from accelzoo.release import LOCK_FILE, RECIPE_FILE, Release

TRACES = FOLDER / "traces"
"""Traces of the shipped recipes: `<recipe>.jsonl.gz`, or `<recipe>.<search>.jsonl.gz`."""
_MOST_BYTES = 1 << 30  # of a trace when unpacked; the largest that ships has a few million
_PLACES = ("data", "pretraining.data")
_OF_A_PLACE = ("name", "skipped")  # of a manifest: where the data were
_RUN_TRACES = ("search/trace.jsonl", "search/*/trace.jsonl", "width.jsonl")


@dataclass(frozen=True, slots=True, kw_only=True)
class Material:
    """What a run left.

    Attributes:
        of: How it was named.
        lock: The record of the run.
        planned: What was run, profile and overrides laid in.
        traces: sha256 in hexadecimal → content of a trace's file.
        notes: What a reader should know of where this is from.
        releases: Architecture's digest → released weights, where they are there.
        places: Where data are here, if not where the recipe says: `data=…`, `pretraining.data=…`.
        folder: Of a run, its folder.
    """

    of: str
    lock: Lock
    planned: AnyRecipe
    traces: Mapping[str, bytes] = field(repr=False)
    notes: tuple[str, ...] = ()
    releases: Mapping[str, Release] = field(default_factory=dict, repr=False)
    places: tuple[str, ...] = ()
    folder: Path | None = None

    @property
    def recipe(self) -> AnyRecipe:
        """What is run again: as planned, with the data where they are here."""
        if not self.places:
            return self.planned
        return read_recipe(config.Text(json.dumps(config.to_config(self.planned))), self.places)

    @property
    def classes(self) -> int:
        """How many classes the data had.

        Raises:
            DataError: If the lock does not say.
        """
        for name, manifest in self.lock.data.items():
            require(manifest, ("class_names",), f"{self.of}: lock: data.{name}")
            return len(manifest["class_names"])
        raise DataError(f"{self.of}: the lock names no data")

    def with_data(self, places: Sequence[str]) -> Material:
        """Returns the same with data elsewhere.

        Args:
            places: `data=…`, `pretraining.data=…`.

        Raises:
            ConfigError: If something else is to be changed: a replay changes nothing.
        """
        faults = [
            f"override {place!r}: a replay changes nothing but where data are (allowed: {', '.join(_PLACES)})"
            for place in places
            if place.partition("=")[0].strip() not in _PLACES
        ]
        if faults:
            raise ConfigError(faults)
        return replace(self, places=tuple(places))

    def require_data(self, manifests: Mapping[str, Any]) -> None:
        """Refuses other data than the run's.

        Args:
            manifests: Of the data that are here, by the lock's names for them.

        Raises:
            DataError: Naming the first value that differs.
        """
        for name, manifest in manifests.items():
            recorded = {key: value for key, value in self.lock.data[name].items() if key not in _OF_A_PLACE}
            here = {key: value for key, value in manifest.items() if key not in _OF_A_PLACE}
            found = first_difference(recorded, here, f"data.{name}")
            if found is not None:
                raise DataError(f"{self.of}: other data than those of the lock: {found}")

    def trace(self, sha256: str, place: Path) -> Path | None:
        """Writes a trace to a file; None if it is not there.

        Args:
            sha256: Of its content, as the lock has it.
            place: The file.
        """
        content = self.traces.get(sha256)
        if content is None:
            return None
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_bytes(content)
        return place


def require(facts: Any, names: Sequence[str], where: str) -> None:
    """Refuses a part of a lock that lacks what a replay needs.

    Raises:
        DataError: Naming what is missing.
    """
    missing = [name for name in names if not isinstance(facts, Mapping) or name not in facts]
    if missing:
        raise DataError(f"{where}: missing: {', '.join(missing)}")


def find_material(source: str) -> Material:
    """Finds what a recipe, a release or a run left.

    Args:
        source: A shipped recipe's name, or a recipe's file with `<recipe>.lock.json` beside it; a packaged release, the
            folder of one, or its reference on a hub; or the folder of a finished run.

    Raises:
        AccelzooError: If there is none of these, or it holds no lock.
        ConfigError: If the recipe has faults.
        DataError: If a lock or a trace is damaged.
        ReleaseError: If the release is damaged.
    """
    if source in list_packaged() or names_release(source):
        return _of_release(source, find_release(source))
    if source in list_recipes() or source.endswith((".yaml", ".yml")):
        return _of_recipe(source)
    if Path(source).is_dir():
        return _of_run(source, Path(source))
    known = [*list_recipes(), *list_packaged()]
    raise AccelzooError(
        f"{source}: no recipe, release or run of this name{suggestion(source, known)} (allowed: a recipe or its file, "
        "a release or its folder, the folder of a finished run)"
    )


def _of_release(source: str, release: Release) -> Material:
    lock, text = read_lock(release.read_lock(), f"{source}: {LOCK_FILE}"), release.read_recipe()
    content = release.trace_path.read_bytes()
    recipe, notes = _planned(lock, config.Text(text))
    found = {**_traces_in(TRACES, lock.recipe), _sha256(content): content}
    digest = release.config["accelzoo"]["arch_digest"]
    return Material(of=source, lock=lock, planned=recipe, traces=found, notes=notes, releases={digest: release})


def _of_run(source: str, folder: Path) -> Material:
    path = folder / LOCK_FILE
    if not path.is_file():
        raise AccelzooError(f"{folder}: holds no {LOCK_FILE}: no finished run is there, and no release")
    lock = load_lock(path)
    recipe, notes = _planned(lock, folder / RECIPE_FILE)
    traces = [file.read_bytes() for pattern in _RUN_TRACES for file in sorted(folder.glob(pattern))]
    found = {**_traces_in(TRACES, lock.recipe), **{_sha256(content): content for content in traces}}
    inside = [entry for entry in (folder / "release", *sorted(folder.glob("release/*"))) if is_release(entry)]
    releases = {one.config["accelzoo"]["arch_digest"]: one for one in map(_release_in, inside)}
    return Material(of=source, lock=lock, planned=recipe, traces=found, notes=notes, releases=releases, folder=folder)


def _of_recipe(source: str) -> Material:
    path = recipe_path(source)
    place = path.with_suffix(".lock.json")
    if not place.is_file():
        raise AccelzooError(f"{source}: there is no lock of it: {place.name} is not beside {path.name}")
    lock = load_lock(place)
    recipe, notes = _of_profile(path, lock) if lock.plan is None else (_in_lock(lock), ())
    beside = _traces_in(path.parent / "traces", lock.recipe)
    return Material(of=source, lock=lock, planned=recipe, traces=beside, notes=notes)


def _release_in(folder: Path) -> Release:
    return find_release(str(folder))


def _planned(lock: Lock, beside: config.Source) -> tuple[AnyRecipe, tuple[str, ...]]:
    """Returns the recipe that the lock holds, else the one beside it; and what is to be said of it."""
    if lock.plan is None:
        return read_recipe(beside), (f"lock of schema {lock.schema}: it holds no recipe; that beside it was read",)
    return _in_lock(lock), ()


def _in_lock(lock: Lock) -> AnyRecipe:
    return read_recipe(config.Text(json.dumps(lock.plan)))


def _of_profile(path: Path, lock: Lock) -> tuple[AnyRecipe, tuple[str, ...]]:
    """Returns a recipe's file with the profile that the lock was made with, as far as that can be told."""
    names: list[str | None] = [*profile_names(path)] or [None]
    data = next(iter(lock.data.values()))["name"]
    recipes = {name: load_recipe(path, name, [f"data={data}"]) for name in names}
    for name, recipe in recipes.items():
        if config.digest(recipe) == lock.recipe_digest:
            return recipe, (f"lock of schema {lock.schema}: it fits the profile {name!r} of {path.name}",)
    raise AccelzooError(
        f"{path}: its lock is of schema {lock.schema}, which does not hold the recipe, and fits none of the "
        f"profiles {', '.join(map(str, names))}: replay the release or the run instead"
    )


def _traces_in(folder: Path, recipe: str) -> dict[str, bytes]:
    contents = (_unpacked(path) for path in _named(folder, recipe))
    return {_sha256(content): content for content in contents}


def _named(folder: Path, recipe: str) -> Iterator[Path]:
    return (path for path in sorted(folder.glob("*.jsonl.gz")) if path.name.startswith(f"{recipe}."))


def _unpacked(path: Path) -> bytes:
    try:
        with gzip.open(path) as stream:
            content = stream.read(_MOST_BYTES + 1)
    except (OSError, EOFError, zlib.error) as error:
        raise DataError(f"{path}: not a packed trace: {error}") from None
    if len(content) > _MOST_BYTES:
        raise DataError(f"{path}: unpacked it has more than {_MOST_BYTES:,} bytes")
    return content


def _sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()

