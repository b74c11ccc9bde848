"""The floors: a module imports only from its own floor and those below, and only light libraries at import time."""

from __future__ import annotations

import ast
import json
import subprocess
import sys
from collections.abc import Container, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.checkout import ROOT, modules

# A module's floor is that of its longest prefix here. Adding a file to floor 2 means naming it once below.
FLOORS = {
    **dict.fromkeys(("accelzoo.recipes", "accelzoo.recipes.product", "accelzoo.recipes.width", "accelzoo.__main__"), 4),
    "accelzoo.search": 3,
    **dict.fromkeys(
        (
            "accelzoo._checksums",
            "accelzoo._export_job",
            "accelzoo._files",
            "accelzoo.arch",
            "accelzoo.attention",
            "accelzoo.blocks",
            "accelzoo.build",
            "accelzoo.classifier",
            "accelzoo.compile",
            "accelzoo.detection",
            "accelzoo.dilation",
            "accelzoo.export",
            "accelzoo.exporting",
            "accelzoo.families",
            "accelzoo.heads",
            "accelzoo.hub",
            "accelzoo.hubs",
            "accelzoo.importer",
            "accelzoo.importing",
            "accelzoo.knobs",
            "accelzoo.layers",
            "accelzoo.model_card",
            "accelzoo.modules",
            "accelzoo.necks",
            "accelzoo.overrides",
            "accelzoo.parameters",
            "accelzoo.pricing",
            "accelzoo.pretrained",
            "accelzoo.quantization",
            "accelzoo.registry",
            "accelzoo.release",
            "accelzoo.release_config",
            "accelzoo.rounding",
            "accelzoo.segmentation",
            "accelzoo.stem",
            "accelzoo.tasks",
            "accelzoo.templates",
            "accelzoo.timm",
            "accelzoo.train",
            "accelzoo.training",
            "accelzoo.trunk",
            "accelzoo.weights",
            "accelzoo.weights_digest",
        ),
        2,
    ),
    "accelzoo.hwmodel": 1,
    **dict.fromkeys(
        (
            "accelzoo._printable",
            "accelzoo.config",
            "accelzoo.draw",
            "accelzoo.errors",
            "accelzoo.lazy",
            "accelzoo.locks",
        ),
        0,
    ),
}
PUBLIC_PAGE = "accelzoo"  # floor 2 itself, but no prefix: `accelzoo.new_file` must be placed above
PUBLIC_PAGE_FLOOR = 2

# What may be imported at import time beside the standard library; unnamed modules are free (they need torch).
LIGHT_AT_IMPORT = {
    "accelzoo.recipes": {"numpy", "rich", "yaml"},
    "accelzoo.search": {"numpy", "rich"},
    "accelzoo.search.width.slimmable": {"numpy", "timm", "torch"},  # trains: nothing else of the search needs it
    "accelzoo.hwmodel": {"numpy"},
    "accelzoo.config": {"numpy", "yaml"},
    "accelzoo.draw": {"numpy"},
    "accelzoo.errors": set[str](),
    "accelzoo.lazy": set[str](),
    "accelzoo.locks": set[str](),
}
NEVER_IN_HWMODEL = {"torch", "timm", "torchvision"}
MEASURES_TORCH = "accelzoo.hwmodel.oracles.torch_device"  # the one that may, though never at import time
MODULES = modules()
KNOWN = {*MODULES, *FLOORS}


@dataclass(frozen=True, slots=True, kw_only=True)
class Import:
    """One imported dotted name, where it stands, and whether importing the module imports it."""

    name: str
    line: int
    at_import: bool


def longest_prefix(name: str, known: Container[str]) -> str | None:
    parts = name.split(".")
    prefixes = (".".join(parts[:count]) for count in range(len(parts), 0, -1))
    return next((prefix for prefix in prefixes if prefix in known), None)


def floor_of(module: str) -> int | None:
    if module == PUBLIC_PAGE:
        return PUBLIC_PAGE_FLOOR
    prefix = longest_prefix(module, FLOORS)
    return None if prefix is None else FLOORS[prefix]


def imports_of(source: str, module: str, is_package: bool) -> Iterator[Import]:
    """Yields every import in `source`: at the top, in functions, for type checkers, and `import_module("…")`."""
    yield from _imports_below(ast.parse(source), module.split(".") if is_package else module.split(".")[:-1], True)


def _imports_below(node: ast.AST, package: list[str], at_import: bool) -> Iterator[Import]:
    for child in ast.iter_child_nodes(node):
        for name in _imported_names(child, package):
            yield Import(name=name, line=child.lineno, at_import=at_import)  # type: ignore[attr-defined]
        runs = not isinstance(child, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda) and not _types_only(child)
        yield from _imports_below(child, package, at_import and runs)


def _types_only(node: ast.AST) -> bool:
    return isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test)


def _imported_names(node: ast.AST, package: list[str]) -> list[str]:
    match node:
        case ast.Import():
            return [alias.name for alias in node.names]
        case ast.ImportFrom():
            base = package[: len(package) - node.level + 1] if node.level else []
            base = [*base, *(node.module.split(".") if node.module else [])]
            return [".".join((*base, alias.name)) for alias in node.names]
        case ast.Call(func=ast.Name(id=called) | ast.Attribute(attr=called), args=[ast.Constant(value=str(name)), *_]):
            return [name] if called in ("import_module", "__import__") else []
        case _:
            return []


def faults(source: str, module: str, is_package: bool = False) -> list[str]:
    """Returns every import of `source` that goes up a floor or loads a library its module may not load."""
    floor = floor_of(module)
    if floor is None:
        return [f"{module} stands on no floor: name it in FLOORS"]
    light = longest_prefix(module, LIGHT_AT_IMPORT)
    found = []
    for item in imports_of(source, module, is_package):
        library = item.name.split(".")[0]
        if library == PUBLIC_PAGE:
            target = longest_prefix(item.name, KNOWN) or item.name
            target_floor = floor_of(target)
            if target_floor is None or target_floor > floor:
                found.append(f"line {item.line}: {module} (floor {floor}) imports {target} (floor {target_floor})")
        elif library in sys.stdlib_module_names or _measured(library, module, item):
            continue
        elif module.startswith("accelzoo.hwmodel") and library in NEVER_IN_HWMODEL:
            found.append(f"line {item.line}: {module} imports {library}, which accelzoo.hwmodel never does")
        elif item.at_import and light is not None and library not in LIGHT_AT_IMPORT[light]:
            allowed = ", ".join(sorted(LIGHT_AT_IMPORT[light])) or "nothing beside the standard library"
            found.append(f"line {item.line}: importing {module} imports {library}; {light} may import {allowed}")
    return found


def _measured(library: str, module: str, item: Import) -> bool:
    return module == MEASURES_TORCH and library == "torch" and not item.at_import


@pytest.mark.parametrize("module", sorted(MODULES))
def test_module_keeps_to_its_floor(module: str) -> None:
    path = MODULES[module]
    assert faults(path.read_text(encoding="utf-8"), module, path.name == "__init__.py") == []


def test_every_floor_names_something_that_exists() -> None:
    absent = [prefix for prefix in FLOORS if not any(f"{name}.".startswith(f"{prefix}.") for name in MODULES)]
    assert absent == []


@pytest.mark.parametrize(
    ("module", "source", "fault"),
    [
        ("accelzoo.arch", "import accelzoo.search", "accelzoo.search (floor 3)"),
        ("accelzoo.arch", "def late():\n    from accelzoo import search", "line 2"),
        ("accelzoo.hwmodel.cost", "from accelzoo import create_model", "imports accelzoo (floor 2)"),
        ("accelzoo.hwmodel.cost", "from ..arch import Arch", "accelzoo.arch (floor 2)"),
        ("accelzoo.search.run", "import importlib\nimportlib.import_module('accelzoo.recipes.cli')", "line 2"),
        ("accelzoo.config", "if TYPE_CHECKING:\n    from accelzoo.arch import Arch", "line 2"),
        ("accelzoo.hwmodel.cost", "def late():\n    import torch", "never"),
        ("accelzoo.search.run", "try:\n    import torch\nexcept ImportError:\n    pass", "may import numpy, rich"),
        ("accelzoo.errors", "import numpy", "nothing beside the standard library"),
        ("accelzoo.brand_new", "import os", "stands on no floor"),
    ],
)
def test_a_fault_is_found(module: str, source: str, fault: str) -> None:
    (found,) = faults(source, module)
    assert fault in found


@pytest.mark.parametrize(
    ("module", "source"),
    [
        ("accelzoo.search.run", "from accelzoo import arch, errors\nimport numpy as np\nimport json"),
        ("accelzoo.search.run", "def late():\n    import torch"),
        ("accelzoo.search.run", "if TYPE_CHECKING:\n    import torch"),
        ("accelzoo.hwmodel.cost", "from .ir import Graph\nfrom accelzoo.errors import ShapeError"),
        ("accelzoo.build", "import torch"),
    ],
)
def test_what_is_allowed_passes(module: str, source: str) -> None:
    assert faults(source, module) == []


def test_ruff_bans_the_bare_folder_names(tmp_path: Path) -> None:
    sample = tmp_path / "sample.py"
    sample.write_text("import search\nfrom hwmodel import ir\nimport recipes.cli\nimport accelzoo.search\n")
    command = [sys.executable, "-m", "ruff", "check", "--no-cache", "--config", str(ROOT / "pyproject.toml")]
    command += ["--select", "TID251", "--output-format", "json", str(sample)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    found = [(item["code"], item["location"]["row"]) for item in json.loads(done.stdout)]
    assert found == [("TID251", 1), ("TID251", 2), ("TID251", 3)]
