"""Where things stand in a checkout: its folders, packages, modules and files."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]

# Folder of the checkout -> the package it installs as.
TREES = {
    "accelzoo": "accelzoo",
    "hwmodel": "accelzoo.hwmodel",
    "recipes": "accelzoo.recipes",
    "search": "accelzoo.search",
}
_OTHER_FOLDERS = (".ci", "benchmarks", "docs", "tests")
_UNCOMMITTED_FOLDERS = {"__pycache__"}


def files_under(folder: Path) -> Iterator[Path]:
    """Yields every committed-to-be file below `folder` in order, never through a symbolic link."""
    for path in sorted(folder.iterdir()):
        if path.is_symlink() or path.name in _UNCOMMITTED_FOLDERS:
            continue
        if path.is_dir():
            yield from files_under(path)
        else:
            yield path


def project_files() -> Iterator[Path]:
    """Yields every file of the project: those at the top and those in its known folders."""
    yield from sorted(path for path in ROOT.iterdir() if path.is_file())
    for name in sorted((*TREES, *_OTHER_FOLDERS)):
        if (ROOT / name).is_dir():
            yield from files_under(ROOT / name)


def modules() -> dict[str, Path]:
    """Returns every importable module of the distribution by its dotted name, packages by their own name."""
    found = {}
    for folder, package in TREES.items():
        for path in files_under(ROOT / folder):
            if path.suffix == ".py":
                inside = path.relative_to(ROOT / folder).with_suffix("").parts
                parts = inside[:-1] if inside[-1] == "__init__" else inside
                found[".".join((package, *parts))] = path
    return found


def packages() -> dict[str, Path]:
    """Returns every package of the distribution by its dotted name, with its folder."""
    return {name: path.parent for name, path in modules().items() if path.name == "__init__.py"}
