"""`accelzoo calibrate`, on models of the zoo timed on a made-up device."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from accelzoo.hwmodel import load_target
from accelzoo.recipes.timings import read_timings
from accelzoo.registry import get_arch
from tests.recipes.calls import Capture, failure, run, run_json
from tests.recipes.timing_table import MODELS, seconds, timing_rows, write_example, write_table

pytestmark = pytest.mark.usefixtures("own_places")


def calibrate(*more: str) -> tuple[str, ...]:
    return ("calibrate", "timings.csv", "--prior", "camera-npu", "--name", "mine", *more)


def test_writes_a_target_that_prices_what_was_timed(capsys: Capture) -> None:
    write_table(timing_rows())
    shown = run(capsys, *calibrate())
    for text in ("networks", "rank", "nullity", "within 10 %", "RMSPE", "known by", "wrote mine.yaml"):
        assert text in shown
    target = load_target("mine.yaml")
    assert target.name == "mine"
    for model in MODELS[:3]:
        name, *overrides = model.split()
        priced = run_json(capsys, "cost", name, "--target", "mine.yaml", *overrides)
        assert priced["cost"]["latency_s"] == pytest.approx(seconds(model), rel=0.05)


@pytest.mark.parametrize(("unit", "scale"), [("latency_s", 1.0), ("latency_us", 1e6)])
def test_the_unit_is_in_the_name_of_the_column(unit: str, scale: float) -> None:
    write_table(timing_rows(3, unit, scale))
    for timing, model in zip(read_timings(Path("timings.csv")), MODELS, strict=False):
        assert timing.latency_s == pytest.approx(seconds(model), rel=1e-12)


def test_architectures_may_be_json_or_files_beside_the_table(tmp_path: Path) -> None:
    arch = get_arch("camera_ibn")
    folder = tmp_path / "elsewhere"
    folder.mkdir()
    (folder / "net.json").write_text(json.dumps(arch.to_config()), encoding="utf-8")
    rows = [["arch", "latency_ms"], [json.dumps(arch.to_config(), indent=1), "1"], ["net.json", "2"]]
    path = write_table(rows, str(folder / "timings.csv"))
    first, second = read_timings(path)
    assert first.graph == second.graph == arch.lower()
    assert second.line > first.line + 5  # the JSON runs over several lines


def test_suggests_rows_without_a_latency(capsys: Capture) -> None:
    write_example()
    shown = run_json(capsys, *calibrate("--suggest", "2"))
    assert [pick["line"] in range(14, 18) for pick in shown["suggest"]] == [True, True]
    assert shown["report"]["networks"] == 12
    assert "timings.csv:1" in run(capsys, *calibrate("--suggest", "2", "--out", Path.cwd().parent.as_posix()))


def test_never_writes_over_a_file(capsys: Capture) -> None:
    write_table(timing_rows())
    Path("mine.yaml").write_text("precious", encoding="utf-8")
    assert "mine.yaml exists already" in failure(capsys, *calibrate())
    assert Path("mine.yaml").read_text(encoding="utf-8") == "precious"
    assert not Path("mine.learned.npz").exists()


def test_every_fault_is_told_with_its_line(capsys: Capture) -> None:
    rows = timing_rows()
    rows[2][1], rows[4][1], rows[5][0], rows[6][1] = "nan", "-3", "camera_ibnn", "fast"
    rows[8] = [*rows[8], "more"]
    write_table(rows)
    told = failure(capsys, *calibrate())
    for line, text in (
        (3, "latency_ms nan must be finite"),
        (5, "latency_ms -3 must be finite"),
        (6, "did you mean 'camera_ibn'"),
        (7, "'fast' is not a number"),
        (9, "3 cells under 2 columns"),
    ):
        assert any(f"timings.csv:{line}: " in part and text in part for part in told.splitlines())


def test_a_row_in_another_unit_is_told_with_its_line(capsys: Capture) -> None:
    rows = timing_rows()
    rows[4][1] = repr(1e3 * float(rows[4][1]))
    write_table(rows)
    told = failure(capsys, *calibrate())
    assert "timings.csv:5: " in told
    assert "another unit" in told


@pytest.mark.parametrize(
    ("header", "text"),
    [
        (["model", "latency"], "names no unit"),
        (["model", "latency_ms", "latency_s"], "exactly one column must be one of latency_s, latency_ms, latency_us"),
        (["network", "latency_ms"], "must be called model or arch"),
        (["model", "arch", "latency_ms"], "must be called model or arch"),
        (["model", "model", "latency_ms"], "appears twice"),
    ],
)
def test_columns_say_what_they_are(capsys: Capture, header: list[str], text: str) -> None:
    write_table([header, ["camera_ibn", "1", "1"][: len(header)]])
    told = failure(capsys, *calibrate())
    assert "timings.csv:1: " in told
    assert text in told


def test_other_mistakes(capsys: Capture) -> None:
    assert "cannot read timings.csv" in failure(capsys, *calibrate())
    write_table(timing_rows(4))
    assert "4 different networks; at least 10 are needed" in failure(capsys, *calibrate())
    assert "needs candidates" in failure(capsys, *calibrate("--suggest", "3"))
    assert "no such folder" in failure(capsys, *calibrate("--out", "nowhere"))
    assert "a target's name" in failure(capsys, "calibrate", "timings.csv", "--prior", "camera-npu", "--name", "../x")
    write_table([["model", "latency_ms"]])
    assert "no rows below the header" in failure(capsys, *calibrate())
    write_table([["arch", "latency_ms"], ["camera_ibn", "1"]])
    assert "neither JSON nor a .yaml or .json file" in failure(capsys, *calibrate())
