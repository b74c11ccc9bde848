"""`accelzoo recipes`: what ships, a copy of one's own, and a check of all that a recipe says."""

from __future__ import annotations

import fnmatch
import shlex
from argparse import ArgumentParser, Namespace
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from accelzoo.errors import AccelzooError, ConfigError, suggestion
from accelzoo.recipes import output

if TYPE_CHECKING:
    from accelzoo.recipes.headers import ProfileHeader

EPILOG = """\
examples:
  $ accelzoo recipes ls 'camera*'
  camera_classification (funnel): A camera classifier with at most 50 % of the baseline's weights ...
  profile   target      hardware    time    expected result
  smoke     camera-npu  1 CPU core  ...     baseline: test top-1 ...
  ...

  $ accelzoo recipes cp camera_classification mine.yaml
  wrote mine.yaml; edit it, then: accelzoo run mine.yaml

  $ accelzoo recipes validate mine.yaml
  recipe     kind    profiles               found
  mine.yaml  funnel  smoke, full, presence  no fault

  $ accelzoo recipes validate mine.yaml target=camera_npu search.algorithm=evolutoin
  accelzoo: error: override 'target=camera_npu': target: unknown target
  'camera_npu'; did you mean 'camera-npu'? Known: ...
  override 'search.algorithm=evolutoin': search.algorithm: unknown search algorithm
  'evolutoin'; did you mean 'evolution'? Known: ...

The expected results and times are those of the header of each recipe's file; a figure with a sign is the change
against the baseline. `cp` never writes over a file. Paths inside a recipe are relative to the folder of the call, so
that a copy works wherever it lies. `validate` reads every profile of the recipes given (of folders all below them; of
nothing all that ship), looks up all names, tries what fits together, and names every fault with file, line and column.
It reads no data and trains nothing.
"""


def add_arguments(parser: ArgumentParser) -> None:
    """Declares the verb's arguments."""
    parser.add_argument("action", metavar="ACTION", nargs="?", default="ls", help="ls (default), cp or validate")
    parser.add_argument(
        "arguments",
        metavar="ARGUMENT",
        nargs="*",
        help="ls: patterns for names. cp: a recipe, and the file to write. "
        "validate: recipes, files or folders, and key=value changes",
    )
    parser.add_argument("--json", action="store_true", help="print JSON")


def run(options: Namespace) -> int:
    """Lists, copies or validates."""
    if options.action not in _ACTIONS:
        allowed = f"(allowed: {', '.join(_ACTIONS)})"
        raise AccelzooError(f"unknown action {options.action!r}{suggestion(options.action, _ACTIONS)} {allowed}")
    _ACTIONS[options.action](options)
    return 0


def _list(options: Namespace) -> None:
    from accelzoo.recipes import list_recipes

    patterns = options.arguments or ["*"]
    names = [name for name in list_recipes() if any(fnmatch.fnmatch(name, pattern) for pattern in patterns)]
    entries = [_entry(name) for name in names]
    if options.json:
        output.emit_json([_entry_json(entry) for entry in entries])
    else:
        output.emit("\n\n".join(map(_page, entries)) or "no recipes")


class _Entry(NamedTuple):
    """One recipe: its kind, and profile → target and what the header says."""

    name: str
    kind: str
    description: str
    profiles: dict[str, tuple[str, ProfileHeader]]


def _entry(name: str) -> _Entry:
    from accelzoo import config
    from accelzoo.recipes import recipe_path
    from accelzoo.recipes.headers import read_header

    path = recipe_path(name)
    recipe: Any = config.load(path).plain()
    changes = recipe.get("profiles") or {}
    profiles = {
        profile: ({**recipe, **(changes.get(profile) or {})}["target"], said)
        for profile, said in read_header(path).profiles.items()
    }
    return _Entry(name, recipe.get("kind", "funnel"), recipe["description"], profiles)


def _entry_json(entry: _Entry) -> dict[str, Any]:
    profiles = {profile: {"target": target, **said.to_json()} for profile, (target, said) in entry.profiles.items()}
    return {**entry._asdict(), "profiles": profiles}


def _page(entry: _Entry) -> str:
    rows = []
    for profile, (target, said) in entry.profiles.items():
        first, *more = said.expect_text
        rows += [[profile, target, said.hardware, said.time_text, first], *([*[""] * 4, line] for line in more)]
    listing = output.table(["profile", "target", "hardware", "time", "expected result"], rows)
    return f"{entry.name} ({entry.kind}): {entry.description}\n{listing}"


def _copy(options: Namespace) -> None:
    from accelzoo.recipes.recipe_copy import copy_recipe

    if len(options.arguments) != 2:
        raise AccelzooError("cp takes a recipe and the file to write: accelzoo recipes cp RECIPE FILE")
    name, file = options.arguments
    copy_recipe(name, Path(file))
    if options.json:
        output.emit_json({"recipe": name, "file": file})
    else:
        output.emit(f"wrote {file}; edit it, then: {shlex.join(['accelzoo', 'run', file])}")


def _validate(options: Namespace) -> None:
    from accelzoo.recipes.recipe_check import check_recipe, recipes_in

    overrides = [text for text in options.arguments if "=" in text and not Path(text).exists()]
    names = recipes_in(text for text in options.arguments if text not in overrides)
    checked = [(name, check_recipe(name, overrides)) for name in names]
    if faults := list(dict.fromkeys(fault for _, one in checked for fault in one.faults)):
        raise ConfigError(faults)
    if options.json:
        output.emit_json([{"recipe": name, "kind": one.kind, "profiles": list(one.profiles)} for name, one in checked])
    else:
        rows = [[name, one.kind, ", ".join(one.profiles), "no fault"] for name, one in checked]
        output.emit(output.table(["recipe", "kind", "profiles", "found"], rows))


_ACTIONS: dict[str, Callable[[Namespace], None]] = {"ls": _list, "cp": _copy, "validate": _validate}
