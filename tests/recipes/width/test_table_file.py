"""The latency table of a run: fitted once and kept, and fitted again where something else was timed."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from accelzoo import get_arch
from accelzoo.errors import DataError
from accelzoo.recipes.width import table_file
from accelzoo.recipes.width.table_file import TABLE_FILE, kept_table
from accelzoo.search.width import LatencyGrid, Timings, WidthSpace, covering_genomes, time_genomes


@pytest.fixture(scope="module")
def made() -> tuple[LatencyGrid, Timings, Any]:
    arch = get_arch("mobilenetv1_100", width_multiplier=0.25, num_classes=10, input_size=(3, 32, 32))
    space = WidthSpace.from_arch(arch, (0.5, 1.0))
    grid = LatencyGrid.of(space)
    genomes = covering_genomes(space, 12, seed=0)

    def seconds(arch: Any) -> float:
        return 1e-4 + 1e-11 * float(arch.lower().macs)

    timings = Timings(genomes=genomes, latency_s=time_genomes(space, genomes, seconds))
    return grid, timings, grid.priced("edge-npu")


def test_a_table_is_fitted_once(made: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    grid, timings, prior = made
    first = kept_table(tmp_path, grid, timings, prior)
    monkeypatch.setattr(table_file, "fit_latency_table", lambda *_: pytest.fail("fitted again"))
    again = kept_table(tmp_path, grid, timings, prior * (1 + 1e-13))  # prices summed in another order
    assert np.array_equal(again.entries, first.entries)
    assert again.report == first.report


def test_other_timings_and_prices_are_fitted_anew(made: Any, tmp_path: Path) -> None:
    grid, timings, prior = made
    first = kept_table(tmp_path, grid, timings, prior)
    slower = Timings(genomes=timings.genomes, latency_s=2 * timings.latency_s)
    assert kept_table(tmp_path, grid, slower, prior).entries.sum() > 1.5 * first.entries.sum()
    kept = (tmp_path / TABLE_FILE).read_text("utf-8")
    kept_table(tmp_path, grid, slower, 1.1 * prior)
    assert (tmp_path / TABLE_FILE).read_text("utf-8") != kept


@pytest.mark.parametrize("damage", ["{", "[]", "{}", "entries"])
def test_a_damaged_table_is_refused(made: Any, tmp_path: Path, damage: str) -> None:
    grid, timings, prior = made
    kept_table(tmp_path, grid, timings, prior)
    path = tmp_path / TABLE_FILE
    content = json.loads(path.read_text("utf-8"))
    path.write_text(json.dumps({**content, "entries": content["entries"][1:]}) if damage == "entries" else damage)
    with pytest.raises(DataError, match=r"latency_table\.json: no latency table: .*; remove the file to fit it again"):
        kept_table(tmp_path, grid, timings, prior)
