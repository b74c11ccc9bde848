"""Recipes: what to search, train and release, as files that run from end to end."""

from __future__ import annotations

from pathlib import Path

from accelzoo.errors import unknown_name

FOLDER = Path(__file__).parent


def list_recipes() -> list[str]:
    """Names of the recipes that ship, sorted."""
    return sorted(path.stem for path in FOLDER.glob("*.yaml"))


def recipe_path(name: str | Path) -> Path:
    """Path of a shipped recipe, or of a user's own file.

    Raises:
        UnknownNameError: If there is no such recipe; the nearest name is suggested.
    """
    if isinstance(name, Path) or name.endswith((".yaml", ".yml")):
        return Path(name)
    if name not in list_recipes():
        raise unknown_name("recipe", name, list_recipes())
    return FOLDER / f"{name}.yaml"
