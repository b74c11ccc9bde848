"""Without the packages: the algorithms are known, nothing is imported before one is made, and the error says how."""

from __future__ import annotations

import subprocess
import sys

import pytest

from accelzoo import draw
from accelzoo.errors import AccelzooError
from accelzoo.search import algorithm_names, get_algorithm
from accelzoo.search.algorithms import complete_options
from accelzoo.search.algorithms._foreign import import_extra
from tests.checkout import ROOT

NAMES = ("optuna", "pymoo")


@pytest.mark.parametrize("name", NAMES)
def test_a_missing_package_is_named_when_the_algorithm_is_made(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, name, None)
    assert name in algorithm_names()
    algorithm = get_algorithm(name)
    with pytest.raises(AccelzooError, match=rf"the package {name} is not installed: pip install 'accelzoo\[{name}\]'"):
        algorithm((2, 3), draw.generator(0))


def test_a_package_that_is_broken_is_not_called_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "xml.sax", None)
    with pytest.raises(ModuleNotFoundError, match=r"xml\.sax"):
        import_extra("optuna", "xml.sax")


def test_options_are_known_without_the_packages() -> None:
    assert complete_options(get_algorithm("optuna"), {"sampler": "QMCSampler"}) == {
        "sampler": "QMCSampler",
        "options": None,
        "ordered": True,
    }
    assert complete_options(get_algorithm("pymoo"), None) == {
        "algorithm": "NSGA2",
        "population": 25,
        "offspring": None,
    }


def test_finding_an_algorithm_imports_no_package() -> None:
    script = (
        "import sys; from accelzoo.search import get_algorithm; get_algorithm('optuna'); get_algorithm('pymoo');"
        "print([name for name in ('optuna', 'pymoo') if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", script], cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
