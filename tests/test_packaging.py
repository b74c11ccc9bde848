"""The distribution: one import name, every file once, and a wheel that works without the checkout."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import tarfile
import tomllib
import zipfile
from collections import Counter
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from tests.checkout import ROOT, TREES, files_under, packages

PYPROJECT: dict[str, Any] = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
PROJECT = PYPROJECT["project"]
SETUPTOOLS = PYPROJECT["tool"]["setuptools"]
METADATA = f"accelzoo-{PROJECT['version']}.dist-info"
IMPORTS = "import accelzoo, accelzoo.hwmodel, accelzoo.recipes, accelzoo.recipes.cli, accelzoo.search"
WHERE = "import sys; print(*(module.__file__ for name, module in sys.modules.items() if name.startswith('accelzoo')))"
TARGETS = "assert accelzoo.list_targets()"


def run(*command: str | Path, folder: Path, environment: Mapping[str, str] | None = None) -> str:
    done = subprocess.run(
        command, cwd=folder, env={**os.environ, **(environment or {})}, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr[-2000:]
    return done.stdout


def build(kind: str, source: Path, target: Path) -> Path:
    """Calls the build backend's hook `build_<kind>` as an installer would, and returns what it made."""
    target.mkdir()
    code = f"import sys; from setuptools import build_meta; build_meta.build_{kind}(sys.argv[1])"
    run(sys.executable, "-c", code, target, folder=source)
    (made,) = target.iterdir()
    return made


@pytest.fixture(scope="module")
def checkout(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of the checkout to build in: a build leaves files behind."""
    copy = tmp_path_factory.mktemp("checkout") / "accelzoo"
    copy.mkdir()
    for folder in TREES:
        shutil.copytree(ROOT / folder, copy / folder, symlinks=True, ignore=shutil.ignore_patterns("__pycache__"))
    for path in ROOT.iterdir():
        if path.is_file():
            shutil.copy(path, copy)
    return copy


@pytest.fixture(scope="module")
def wheel(checkout: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build("wheel", checkout, tmp_path_factory.mktemp("wheel") / "dist")


def names_in(wheel: Path) -> list[str]:
    with zipfile.ZipFile(wheel) as archive:
        return archive.namelist()


def expected_files() -> set[str]:
    """Every file of the four trees, as a path below site-packages."""
    return {
        (Path(*package.split(".")) / path.relative_to(ROOT / folder)).as_posix()
        for folder, package in TREES.items()
        for path in files_under(ROOT / folder)
    }


def test_the_links_are_relative_and_lead_to_the_folders() -> None:
    links = {path.name: os.readlink(path) for path in (ROOT / "accelzoo").iterdir() if path.is_symlink()}
    assert links == {folder: f"../{folder}" for folder in TREES if folder != "accelzoo"}


def test_every_package_is_listed() -> None:
    assert sorted(SETUPTOOLS["packages"]) == sorted(packages())
    assert SETUPTOOLS["package-dir"] == {package: folder for folder, package in TREES.items() if package != folder}


@pytest.mark.parametrize("folder", TREES)
def test_every_folder_with_code_is_a_package(folder: str) -> None:
    with_code = {path.parent for path in files_under(ROOT / folder) if path.suffix == ".py"}
    assert {path.name for path in with_code if not (path / "__init__.py").exists()} == set()


def test_wheel_has_one_import_name_and_every_file_once(wheel: Path) -> None:
    names = names_in(wheel)
    assert {name.split("/")[0] for name in names} == {"accelzoo", METADATA}
    assert [name for name, count in Counter(names).items() if count > 1] == []
    assert {name for name in names if name.startswith("accelzoo/")} == expected_files()
    assert f"{METADATA}/licenses/LICENSE" in names


def test_sdist_makes_the_same_wheel(checkout: Path, wheel: Path, tmp_path: Path) -> None:
    sdist = build("sdist", checkout, tmp_path / "sdist")
    with tarfile.open(sdist) as archive:
        archive.extractall(tmp_path, filter="data")
    again = build("wheel", tmp_path / f"accelzoo-{PROJECT['version']}", tmp_path / "dist")
    assert sorted(names_in(again)) == sorted(names_in(wheel))


def test_wheel_works_without_the_checkout(wheel: Path, tmp_path: Path) -> None:
    installed, elsewhere = tmp_path / "installed", tmp_path / "elsewhere"
    elsewhere.mkdir()
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(installed)
    code = f"{IMPORTS}; {TARGETS}; {WHERE}"
    environment = {"PYTHONPATH": str(installed)}
    output = run(sys.executable, "-c", code, folder=elsewhere, environment=environment)
    assert all(Path(path).is_relative_to(installed) for path in output.split())
    assert "accelzoo" in run(sys.executable, "-m", "accelzoo", "--help", folder=elsewhere, environment=environment)


def test_editable_install_finds_every_folder(checkout: Path, tmp_path: Path) -> None:
    made = build("editable", checkout, tmp_path / "dist")
    installed, elsewhere = tmp_path / "installed", tmp_path / "elsewhere"
    elsewhere.mkdir()
    with zipfile.ZipFile(made) as archive:
        archive.extractall(installed)
    # -S, and the parent's paths as plain ones behind ours: an editable install of this very project is not in the way.
    libraries = [path for path in sys.path if path and Path(path).resolve() != ROOT]
    code = f"import site; site.addsitedir({str(installed)!r}); {IMPORTS}; {TARGETS}; {WHERE}"
    environment = {"PYTHONPATH": os.pathsep.join((str(installed), *libraries))}
    output = run(sys.executable, "-S", "-c", code, folder=elsewhere, environment=environment)
    assert all(Path(path).resolve().is_relative_to(checkout) for path in output.split())


def test_command_is_installed(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        entries = archive.read(f"{METADATA}/entry_points.txt").decode()
    assert re.findall(r"^\w+ = .*$", entries, re.MULTILINE) == ["accelzoo = accelzoo.recipes.cli:main"]


def requirements() -> Iterable[Requirement]:
    lists = [PROJECT["dependencies"], *PROJECT["optional-dependencies"].values()]
    return [Requirement(text) for texts in lists for text in texts]


def test_constraints_pin_every_requirement() -> None:
    lines = (ROOT / "constraints.txt").read_text(encoding="utf-8").splitlines()
    pins = dict(line.split("==") for line in lines if not line.startswith("#"))
    for requirement in requirements():
        name = canonicalize_name(requirement.name)
        if name != PROJECT["name"]:
            assert requirement.specifier.contains(pins[name]), requirement
