"""The page of what every model costs on every target."""

from __future__ import annotations

import re
from functools import cache
from pathlib import Path

import pytest

from accelzoo.hwmodel import estimate, list_targets, load_target
from accelzoo.recipes import model_table
from accelzoo.registry import get_arch, list_models, models
from tests.checkout import ROOT
from tests.recipes.calls import Capture

PAGE = ROOT / "docs" / "models.md"


@cache
def page() -> str:
    return model_table.page()


def rows(text: str, heading: str) -> dict[str, dict[str, str]]:
    """The rows of the table below a heading: model → column → cell."""
    section = text.split(f"## {heading}")[1].split("\n## ")[0]
    header, _, *lines = [
        [cell.strip() for cell in line.strip("|").split("|")] for line in section.splitlines() if line.startswith("|")
    ]
    return {cells[0]: dict(zip(header, cells, strict=True)) for cells in lines}


def test_the_committed_page_is_the_generated_one() -> None:
    command = "python -m accelzoo.recipes.model_table docs/models.md"
    committed = PAGE.read_text(encoding="utf-8")
    assert command in committed
    changed = [line for line in page().splitlines() if line not in set(committed.splitlines())]
    assert committed == page(), f"{len(changed)} lines changed; make it again: {command}\n" + "\n".join(changed[:3])


def test_every_model_stands_on_the_page_with_every_target() -> None:
    for heading in ("Latency (ms)", "Peak activation memory (KiB)"):
        table = rows(page(), heading)
        assert sorted(table) == list_models()
        assert all(set(list_targets()) <= set(cells) and all(cells.values()) for cells in table.values())


def test_models_stand_by_family_and_size() -> None:
    order = list(rows(page(), "Latency (ms)"))
    sizes = [(models()[name].name, get_arch(name).lower().macs) for name in order]
    assert sizes == sorted(sizes)


@pytest.mark.parametrize("target", ["edge-npu", "ethos-u55-256"])
@pytest.mark.parametrize("name", ["camera_ibn", "mobilenetv2_100", "mobilenetv3_large_100", "efficientnet_el"])
def test_cells_are_prices_and_lower_bounds_are_missing_with_a_reason(name: str, target: str) -> None:
    cost = estimate(get_arch(name).lower(), load_target(target))
    cell = rows(page(), "Latency (ms)")[name][target]
    if cost.unpriced:
        mark = re.fullmatch(r"–(\[\^\d+\])", cell)
        assert mark
        (note,) = [line for line in page().splitlines() if line.startswith(f"{mark[1]}: ")]
        assert all(entry.split("(")[1][:-1] in note for entry in cost.unpriced)
    else:
        assert float(cell.lstrip("~").replace(",", "")) == pytest.approx(cost.latency_s * 1e3, abs=5e-4)
        assert cell.startswith("~") == bool(cost.extrapolated)
    peak = rows(page(), "Peak activation memory (KiB)")[name][target]
    assert abs(float(peak) - cost.peak_activation_bytes / 1024) <= 0.5


def test_page_is_written(tmp_path: Path, capsys: Capture, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(model_table, "page", lambda: "text – text\n")
    assert model_table.main([str(tmp_path / "models.md")]) == 0
    assert (tmp_path / "models.md").read_text(encoding="utf-8") == "text – text\n"
    assert model_table.main([str(tmp_path / "missing" / "models.md")]) == 2
    assert "missing" in capsys.readouterr().err
