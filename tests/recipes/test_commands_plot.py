"""The pictures of a run."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pytest

from accelzoo.recipes.run_front import Front
from accelzoo.recipes.run_view import read_run
from tests.recipes.calls import Capture, failure, run
from tests.recipes.run_folders import write_run, write_search

pytest.importorskip("matplotlib", reason="the pictures need the extra [plot]")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    place = tmp_path_factory.mktemp("runs") / "recipe"
    write_run(place, done=12)
    return place


def test_a_folder_gets_three_pictures(folder: Path, capsys: Capture, tmp_path: Path) -> None:
    out = tmp_path / "new" / "pictures"
    lines = run(capsys, "plot", str(folder), "-o", str(out)).splitlines()
    assert lines == [f"wrote {out / name}" for name in ("pareto.png", "progress.png", "knobs.png")]
    assert all((out / name).read_bytes().startswith(b"\x89PNG") for name in ("pareto.png", "progress.png", "knobs.png"))
    assert "pareto.png: exists already" in failure(capsys, "plot", str(folder), "-o", str(out))


def test_a_picture_says_what_it_shows(
    folder: Path, capsys: Capture, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from matplotlib import rcParams

    monkeypatch.setitem(rcParams, "svg.fonttype", "none")  # text as text
    one, two = tmp_path / "one.svg", tmp_path / "two.svg"
    for path in (one, two):
        assert run(capsys, "plot", str(folder), "-o", str(path), "--minimise", "latency_s") == f"wrote {path}\n"
    assert one.read_bytes() == two.read_bytes()
    text = one.read_text("utf-8")
    view, records = read_run(folder)
    front = Front(("latency_s",), view.header)
    front.update(records)
    scored, over = (sum(record.status == status for record in records) for status in ("ok", "infeasible"))
    assert f"{scored} candidates, {len(front.members)} on the front; {over} over budget" in text
    for part in (
        "latency (µs)",
        "accuracy in the search (%)",
        "over a budget, not evaluated",
        "price of camera_ibn",
        "budget",
        "evaluations",
        "Hypervolume within",
        "too few to tell",  # what decides accuracy: of 12 candidates
        "What decides latency",  # of all that have a price
        "width_multiplier",
        "share of the variance (%)",
    ):
        assert part in text


def test_without_costs_there_are_scores_and_knobs(capsys: Capture, tmp_path: Path) -> None:
    write_search(tmp_path / "free", costs=None, evaluations=5)
    names = [Path(line).name for line in run(capsys, "plot", str(tmp_path / "free"), "-o", str(tmp_path)).splitlines()]
    assert names == ["progress.png", "knobs.png"]
    assert "wrote" in run(capsys, "plot", str(tmp_path / "free"), "-o", str(tmp_path / "all.png"))


def test_mistakes_are_told(folder: Path, capsys: Capture, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert "must end in .png or .svg" in failure(capsys, "plot", str(folder), "-o", str(tmp_path / "a.jpeg"))
    assert "did you mean 'macs'" in failure(capsys, "plot", str(folder), "-o", "x.png", "--minimise", "mac")
    (tmp_path / "taken.png").write_bytes(b"mine")
    assert "exists already" in failure(capsys, "plot", str(folder), "-o", str(tmp_path / "taken.png"))
    assert (tmp_path / "taken.png").read_bytes() == b"mine"
    assert "cannot be written" in failure(capsys, "plot", str(folder), "-o", str(tmp_path / "no" / "a.png"))
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    assert "accelzoo[plot]" in failure(capsys, "plot", str(folder), "-o", str(tmp_path / "b.png"))


def test_nothing_is_drawn_of_nothing(capsys: Capture, tmp_path: Path) -> None:
    write_run(tmp_path / "failed", signal=lambda arch: float("nan"), done=2)
    assert "no candidate has an accuracy yet" in failure(
        capsys, "plot", str(tmp_path / "failed"), "-o", str(tmp_path / "x.png")
    )
    assert not (tmp_path / "x.png").exists()


def test_stairs_are_the_most_accurate_up_to_each_cost() -> None:
    from accelzoo.recipes.run_plot import _stairs

    rng = np.random.default_rng(0)
    points = [(float(cost), float(accuracy)) for cost, accuracy in rng.integers(0, 12, (40, 2))]
    found = dict(_stairs(points))
    for cost in range(12):
        best = max((accuracy for other, accuracy in points if other <= cost), default=None)
        reached = [accuracy for other, accuracy in found.items() if other <= cost]
        assert (max(reached) if reached else None) == best
