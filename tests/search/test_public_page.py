"""The public page: every name resolves, is listed, and is cheap to have."""

from __future__ import annotations

import os
import subprocess
import sys
from importlib import import_module
from pathlib import Path

import pytest

import accelzoo.search
from tests.checkout import ROOT


@pytest.mark.parametrize("name", accelzoo.search.__all__)
def test_every_public_name_resolves(name: str) -> None:
    home = import_module(f"accelzoo.search.{accelzoo.search._HOMES[name]}")
    assert getattr(accelzoo.search, name) is getattr(home, name)
    assert name in dir(accelzoo.search)


def test_a_module_never_hides_a_public_name() -> None:
    # Importing a module sets it as an attribute of its package.
    for name in {path.stem for path in (ROOT / "search").glob("*.py")} & set(accelzoo.search.__all__):
        import_module(f"accelzoo.search.{name}")
        assert callable(getattr(accelzoo.search, name)), name


def test_every_public_name_has_a_home() -> None:
    assert set(accelzoo.search.__all__) == set(accelzoo.search._HOMES)


def test_an_unknown_name_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="no attribute 'serach'"):
        _ = accelzoo.search.serach


def test_searching_loads_numpy_and_nothing_heavy(tmp_path: Path) -> None:
    code = (
        "import sys; from accelzoo.search import *; from tests.search import toy;"
        "run(toy.ToySpace(), toy.accuracy, evaluations=3, costs=toy.costs, budgets={'latency_s': 5e-3});"
        "assert not {'torch', 'timm', 'yaml', 'rich'} & set(sys.modules), sorted(sys.modules)"
    )
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=tmp_path, env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
