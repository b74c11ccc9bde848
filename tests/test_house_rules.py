"""The house rules a formatter cannot see: short files, short functions, nothing of one machine or one package index."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.checkout import ROOT, project_files

FILE_LINES = 400
FUNCTION_LINES = 50
PYTHON_FILES = [path for path in project_files() if path.suffix == ".py"]
# Spelt as patterns, so that this file holds neither.
INDEX_HOST = re.compile(r"(?:pypi|pythonhosted|anaconda|npmjs|pytorch)\.(?:org|com)\b", re.IGNORECASE)
MACHINE_PATH = re.compile(r"(?<![\w.}*~-])/(?:work|farm|root|home|Users|opt|tmp|mnt)/\w")


def named(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()


def long_functions(source: str) -> Iterator[str]:
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            assert node.end_lineno is not None
            length = node.end_lineno - node.lineno + 1
            if length > FUNCTION_LINES:
                yield f"line {node.lineno}: {node.name} has {length} lines, {FUNCTION_LINES} are allowed"


def foreign_names(text: str) -> list[str]:
    return [found.group() for pattern in (INDEX_HOST, MACHINE_PATH) for found in pattern.finditer(text)]


@pytest.mark.parametrize("path", PYTHON_FILES, ids=named)
def test_file_and_its_functions_are_short(path: Path) -> None:
    source = path.read_text(encoding="utf-8")
    assert len(source.splitlines()) <= FILE_LINES
    assert list(long_functions(source)) == []


def test_no_file_names_a_machine_or_a_package_index() -> None:
    found = {}
    for path in project_files():
        try:
            names = foreign_names(path.read_text(encoding="utf-8"))
        except UnicodeDecodeError:
            continue  # weights and pictures
        if names:
            found[named(path)] = names
    assert found == {}


def test_the_checks_find_what_they_look_for() -> None:
    body = "    pass\n" * FUNCTION_LINES
    assert list(long_functions(f"def f():\n{body}")) == ["line 1: f has 51 lines, 50 are allowed"]
    host, folder = "pypi" + ".org", "/" + "work/dev"
    assert foreign_names(f"see https://{host}/simple and {folder}") == [host, folder[:7]]
    assert foreign_names("layers/work/x ../shared/data 3/work ratio") == []
