"""Finished runs, made once; a test that changes one takes a copy."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from tests.recipes.replay import finished_runs


@pytest.fixture(scope="package")
def kept_product(tmp_path_factory: pytest.TempPathFactory) -> Path:
    for tool in ("faster_coco_eval", "ai_edge_litert"):
        pytest.importorskip(tool)
    return finished_runs.product_run(tmp_path_factory.mktemp("product"))


@pytest.fixture(scope="package")
def kept_funnel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return finished_runs.funnel_run(tmp_path_factory.mktemp("funnel"))


@pytest.fixture(scope="package")
def kept_width(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return finished_runs.width_run(tmp_path_factory.mktemp("width"))


@pytest.fixture
def product_run(kept_product: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(kept_product, tmp_path / "run"))


@pytest.fixture
def funnel_run(kept_funnel: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(kept_funnel, tmp_path / "run"))


@pytest.fixture
def width_run(kept_width: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(kept_width, tmp_path / "run"))
