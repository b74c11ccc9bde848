"""The pictures and the page of a run, as the verbs write them."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from accelzoo.recipes.run_front import Front
from accelzoo.recipes.run_view import read_run
from tests.recipes.calls import Capture, failure, run
from tests.recipes.run_folders import write_run, write_search

pytest.importorskip("altair", reason="the pictures need the extra [plot]")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    place = tmp_path_factory.mktemp("runs") / "recipe"
    write_run(place, done=12)
    return place


def test_a_folder_gets_a_picture_of_each_chart(folder: Path, capsys: Capture, tmp_path: Path) -> None:
    out = tmp_path / "new" / "pictures"
    lines = run(capsys, "plot", str(folder), "-o", str(out)).splitlines()
    names = ("pareto.png", "progress.png", "knobs.png")
    assert lines[:3] == [f"wrote {out / name}" for name in names]
    assert [line.split(":")[0] for line in lines[3:]] == ["no networks", "no blocks", "no predicted", "no curves"]
    assert all((out / name).read_bytes().startswith(b"\x89PNG") for name in names)
    assert "pareto.png: exists already" in failure(capsys, "plot", str(folder), "-o", str(out))
    assert f"wrote {out / 'pareto.svg'}" in run(capsys, "plot", str(folder), "-o", str(out), "--svg")


def test_a_picture_says_what_it_shows(folder: Path, capsys: Capture, tmp_path: Path) -> None:
    one, two = tmp_path / "one.svg", tmp_path / "two.svg"
    for path in (one, two):
        assert run(capsys, "plot", str(folder), "-o", str(path), "--minimise", "latency_s").startswith(f"wrote {path}")
    assert one.read_bytes() == two.read_bytes()
    text = one.read_text("utf-8")
    for part in (
        "latency (µs)",
        "accuracy in the search (%)",
        "price of the baseline",
        "budget",
        "evaluations",
        "hypervolume within",
        "the same candidates in random order",
        "what decides latency",  # of all that have a price; accuracies are too few
        "width_multiplier",
        "share of the variance (%)",
    ):
        assert part in text
    view, records = read_run(folder)
    front = Front(("latency_s",), view.header)
    front.update(records)
    scored = sum(record.status == "ok" for record in records)
    # Each point tells its candidate to whoever listens: as many as have a score, the front's once.
    assert text.count('aria-roledescription="circle"') == scored


def test_without_costs_there_are_scores(capsys: Capture, tmp_path: Path) -> None:
    write_search(tmp_path / "free", costs=None, evaluations=5)
    lines = run(capsys, "plot", str(tmp_path / "free"), "-o", str(tmp_path)).splitlines()
    assert [Path(line).name for line in lines if line.startswith("wrote")] == ["progress.png"]
    assert "wrote" in run(capsys, "plot", str(tmp_path / "free"), "-o", str(tmp_path / "all.png"))


def test_mistakes_are_told(folder: Path, capsys: Capture, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert "must end in .png or .svg" in failure(capsys, "plot", str(folder), "-o", str(tmp_path / "a.jpeg"))
    assert "did you mean 'macs'" in failure(capsys, "plot", str(folder), "-o", "x.png", "--minimise", "mac")
    (tmp_path / "taken.png").write_bytes(b"mine")
    assert "exists already" in failure(capsys, "plot", str(folder), "-o", str(tmp_path / "taken.png"))
    assert (tmp_path / "taken.png").read_bytes() == b"mine"
    assert "cannot be written" in failure(capsys, "plot", str(folder), "-o", str(tmp_path / "no" / "a.png"))
    monkeypatch.setitem(sys.modules, "altair", None)
    for verb, name in (("plot", "b.png"), ("report", "b.html")):
        assert "accelzoo[plot]" in failure(capsys, verb, str(folder), "-o", str(tmp_path / name))


def test_nothing_is_drawn_of_nothing(capsys: Capture, tmp_path: Path) -> None:
    write_run(tmp_path / "failed", signal=lambda arch: float("nan"), done=2)
    message = failure(capsys, "plot", str(tmp_path / "failed"), "-o", str(tmp_path / "x.png"))
    assert "nothing to draw" in message
    assert "No candidate has an accuracy and a price yet" in message
    assert not (tmp_path / "x.png").exists()


def test_a_page_is_written_once_unless_forced(folder: Path, capsys: Capture, tmp_path: Path) -> None:
    path = tmp_path / "page.html"
    assert run(capsys, "report", str(folder), "-o", str(path)) == f"wrote {path}\n"
    first = path.read_bytes()
    assert "exists already" in failure(capsys, "report", str(folder), "-o", str(path))
    run(capsys, "report", str(folder), "-o", str(path), "--force")
    assert path.read_bytes() == first  # equal pages are equal files
    assert len(first) < 2_000_000
    assert b"http-equiv" in first
    assert "must end in .html" in failure(capsys, "report", str(folder), "-o", str(tmp_path / "page.pdf"))
    assert "cannot be written" in failure(capsys, "report", str(folder), "-o", str(tmp_path / "no" / "page.html"))
    assert "neither a run nor a release" in failure(capsys, "report", str(tmp_path), "-o", str(tmp_path / "x.html"))
    message = failure(capsys, "report", "camera_acel", "-o", str(tmp_path / "x.html"))
    assert "camera_accel" in message
    bad = tmp_path / "bad"
    bad.mkdir()
    (bad / "lock.json").write_text("{", encoding="utf-8")
    assert "lock.json: not JSON" in failure(capsys, "report", str(bad), "-o", str(tmp_path / "x.html"))
    (bad / "lock.json").write_text("{}", encoding="utf-8")
    assert "not the lock of a run" in failure(capsys, "report", str(bad), "-o", str(tmp_path / "x.html"))
