"""Public pages: names load on first use, and a function keeps its name where a module has it too."""

from __future__ import annotations

import subprocess
import sys
from importlib import import_module
from pathlib import Path
from types import ModuleType

import pytest

import accelzoo
import accelzoo.hwmodel
from accelzoo import lazy
from tests.checkout import ROOT

CLASHING = ("calibrate", "fit", "validate")
LAZY = (*CLASHING, "CostTable", "Measurement", "Measurements", "Report")


@pytest.fixture
def page(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """A package with a function `fit` in a module `fit`."""
    folder = tmp_path / "lazy_page"
    folder.mkdir()
    (folder / "fit.py").write_text("TREES = 80\ndef fit(): return 'fitted'\n")
    homes = {"fit": "fit", "trees": "missing"}
    (folder / "__init__.py").write_text(f"from accelzoo import lazy\nlazy.bind(__name__, {homes})\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    for name in ("lazy_page", "lazy_page.fit"):
        monkeypatch.delitem(sys.modules, name, raising=False)
    return import_module("lazy_page")


def test_a_bound_name_loads_its_module_on_first_use(page: ModuleType) -> None:
    assert "lazy_page.fit" not in sys.modules
    assert page.fit() == "fitted"
    assert "lazy_page.fit" in sys.modules


def test_a_bound_name_stays_when_the_module_of_that_name_is_imported(page: ModuleType) -> None:
    module = import_module("lazy_page.fit")
    assert isinstance(module, ModuleType)
    assert module.TREES == 80
    assert page.fit is module.fit


def test_a_bound_name_cannot_be_set_on_the_page(page: ModuleType) -> None:
    with pytest.raises(AttributeError, match=r"lazy_page\.fit is defined in lazy_page\.fit: set it there"):
        page.__setattr__("fit", 1)


def test_what_is_not_there_is_an_error(page: ModuleType) -> None:
    with pytest.raises(AttributeError):
        _ = page.absent
    with pytest.raises(ModuleNotFoundError, match=r"lazy_page\.missing"):
        _ = page.trees
    with pytest.raises(AttributeError, match="module 'accelzoo' has no attribute 'absent'"):
        lazy.loader("accelzoo", {})("absent")


@pytest.mark.parametrize("package", ["accelzoo", "accelzoo.hwmodel"])
def test_every_public_name_is_there(package: str) -> None:
    module = import_module(package)
    assert set(module.__all__) <= set(dir(module))
    for name in module.__all__:
        assert not isinstance(getattr(module, name), ModuleType), name


@pytest.mark.parametrize("name", CLASHING)
def test_functions_of_the_hardware_model_keep_the_names_of_their_modules(name: str) -> None:
    module = import_module(f"accelzoo.hwmodel.{name}")
    assert isinstance(module, ModuleType)
    assert getattr(accelzoo.hwmodel, name) is getattr(module, name)


def test_pricing_loads_nothing_of_fitting() -> None:
    homes = sorted({getattr(accelzoo.hwmodel, name).__module__ for name in LAZY})
    code = f"import sys, accelzoo.hwmodel; print([name for name in {homes} if name in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"
