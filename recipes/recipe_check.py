"""A recipe's file looked at as a whole: all of its profiles, its header, and the lock beside it."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from accelzoo import config
from accelzoo.errors import AccelzooError, ConfigError
from accelzoo.recipes import list_recipes, recipe_path
from accelzoo.recipes.findings import Findings
from accelzoo.recipes.header_check import header_faults
from accelzoo.recipes.headers import Header, read_header
from accelzoo.recipes.kind_checks import check_kind
from accelzoo.recipes.schema import profile_names, profile_node, read_recipe, recipe_kind

NO_PROFILE = "default"
"""What the one form of a recipe without profiles is called, as in the name of its run's folder."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Checked:
    """What was looked at of one recipe.

    Args:
        path: Its file.
        kind: `funnel`, `width` or `product`; empty if that cannot be told.
        profiles: Names of its profiles; of a recipe without any `default`.
        faults: All that is wrong, each with its place; one that not every profile has names those that do.
    """

    path: Path
    kind: str
    profiles: tuple[str, ...]
    faults: tuple[str, ...]


def recipes_in(given: Iterable[str]) -> list[str]:
    """Returns recipes by name or file: those given, of folders every recipe below them; of nothing all that ship.

    Raises:
        ConfigError: If there is no recipe in a folder.
    """
    found: list[str] = []
    for name in given:
        if not Path(name).is_dir():
            found.append(name)
            continue
        below = [str(path) for path in sorted(Path(name).rglob("*.yaml")) if _says_recipe(path)]
        if not below:
            raise ConfigError([f"{name}: no recipe in this folder"])
        found += below
    return found or list_recipes()


def check_recipe(name: str, overrides: Sequence[str] = ()) -> Checked:
    """Checks every profile of a recipe: what it says, whether what it names exists and fits together, and its header.

    No data are read and nothing is trained. Where the file ships, or has a lock beside it (`NAME.lock.json`), its
    header must say something of every profile, and what the lock says of the profile that it is of.

    Args:
        name: A shipped recipe's name, or a file.
        overrides: `key=value` changes, laid over every profile.

    Raises:
        UnknownNameError: If there is no such recipe.
    """
    path = recipe_path(name)
    try:
        profiles, kind = profile_names(path), recipe_kind(path)
    except ConfigError as error:
        return Checked(path=path, kind="", profiles=(), faults=error.faults)
    found = {profile or NO_PROFILE: _profile_faults(path, profile, overrides) for profile in profiles or (None,)}
    faults = [*_together(found), *_header_faults(path, tuple(found))]
    return Checked(path=path, kind=kind, profiles=tuple(found), faults=tuple(faults))


def _profile_faults(path: Path, profile: str | None, overrides: Sequence[str]) -> list[str]:
    node = profile_node(path, profile)
    try:
        recipe = read_recipe(node, overrides)
    except ConfigError as error:
        return list(error.faults)
    found = Findings(node, overrides)
    check_kind(recipe, found)
    return found.faults


def _together(found: dict[str, list[str]]) -> list[str]:
    """Returns each fault once, with the profiles that have it where not all of them do."""
    profiles: dict[str, list[str]] = {}
    for profile, faults in found.items():
        for fault in dict.fromkeys(faults):
            profiles.setdefault(fault, []).append(profile)
    return [
        fault if len(having) == len(found) else f"{fault} (profile {', '.join(having)})"
        for fault, having in profiles.items()
    ]


def _header_faults(path: Path, profiles: Sequence[str]) -> list[str]:
    try:
        header = read_header(path)
    except ConfigError as error:
        return list(error.faults)
    strange = [name for name in header.profiles if name not in profiles]
    faults = [header.fault(header.profiles[name].line, f"there is no profile {name!r}") for name in strange]
    lock, silent = path.with_suffix(".lock.json"), []
    if lock.is_file() or (path.stem in list_recipes() and path == recipe_path(path.stem)):
        silent = [name for name in profiles if name not in header.profiles]
        faults += [header.fault(1, f"the header says nothing of profile {name!r}") for name in silent]
    if lock.is_file() and not silent:
        faults += _lock_faults(header, lock)
    return faults


def _lock_faults(header: Header, path: Path) -> list[str]:
    try:
        lock = json.loads(path.read_text("utf-8"))
        return header_faults(header, lock, lock["profile"] or NO_PROFILE)
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        return [f"{path}: no lock of a run: {type(error).__name__}: {error}"]


def _says_recipe(path: Path) -> bool:
    try:
        return config.load(path).get("recipe") is not None
    except AccelzooError:
        return False
