"""Choices of widths made again from what the trainings learnt."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from accelzoo.hwmodel.oracles import MissingToolError
from accelzoo.recipes.replay.again import replay
from accelzoo.recipes.replay.material import find_material
from accelzoo.recipes.replay.width import replay_width
from accelzoo.recipes.width.latency import DeviceLatency
from accelzoo.recipes.width.schema import MeasurePlan, WidthRecipe
from tests.recipes.calls import Capture, failure
from tests.recipes.replay.finished_runs import Json, change_line, change_lock
from tests.recipes.replay.test_funnel import part, replayed
from tests.recipes.width.tiny_width import lines_of


def edit_trace(folder: Path, kind: str, number: int, **values: object) -> None:
    """Edits the `number`-th line of a kind so that neither chain nor lock betray it."""
    path = folder / "width.jsonl"
    lines = path.read_bytes().split(b"\n")
    at = [place for place, line in enumerate(lines) if f'"{kind}":'.encode() in line][number]

    def change(line: Json) -> None:
        line[kind].update(values)

    sha256 = change_line(path, at, change)
    change_lock(folder, lambda lock: lock["search"].update(trace_sha256=sha256))


def test_a_run_and_its_release_are_identical(width_run: Path) -> None:
    for folder in (width_run, width_run / "release"):
        found = replayed(folder)
        assert [one.name for one in found.parts] == ["recipe", "target", "space", "choices", "winner"]
        assert {one.status for one in found.parts} == {"identical"}


@pytest.mark.parametrize(("values", "field"), [({"genome": [0] * 6}, "genome["), ({"budget_s": 1.0}, "budget_s")])
def test_the_first_other_choice_is_named(width_run: Path, values: Json, field: str) -> None:
    edit_trace(width_run, "choice", 1, **values)
    divergence = part(replayed(width_run), "choices").divergence
    assert divergence is not None
    assert divergence.index == 1
    assert f"seed1.{field}" in divergence.field


def test_last_digits_of_a_fit_do_not_count(width_run: Path) -> None:
    seconds = next(line["choice"] for line in lines_of(width_run / "width.jsonl") if "choice" in line)["predicted_s"]
    edit_trace(width_run, "choice", 0, predicted_s=seconds * (1 + 1e-9))
    assert part(replayed(width_run), "choices").status == "identical"
    edit_trace(width_run, "choice", 0, predicted_s=seconds * (1 + 1e-5))
    assert part(replayed(width_run), "choices").status == "diverged"


def test_another_winner_is_named(width_run: Path) -> None:
    change_lock(width_run, lambda lock: lock["search"].update(winner="optimal-0.8-seed7"))
    divergence = part(replayed(width_run), "winner").divergence
    assert divergence is not None
    assert (divergence.field, divergence.expected) == ("winner", "optimal-0.8-seed7")


def test_without_the_trace_or_the_tool_choices_are_left_out(
    width_run: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def missing(*_: object, **__: object) -> None:
        raise MissingToolError("cannot import 'tool'")

    with monkeypatch.context() as patch:
        patch.setattr(DeviceLatency, "of", missing)
        assert part(replayed(width_run), "choices").said == "cannot import 'tool'"
    (width_run / "width.jsonl").unlink()
    found = replayed(width_run)
    assert part(found, "choices").status == "skipped"
    assert not found.diverged


def test_times_by_the_clock_are_not_taken_again(width_run: Path, tmp_path: Path) -> None:
    material = find_material(str(width_run))
    assert isinstance(material.recipe, WidthRecipe)
    timed = replace(material.recipe, measure=MeasurePlan(oracle="litert"))
    again = replay_width(material, timed, tmp_path)
    assert [one.status for one in again.parts] == ["identical", "skipped"]
    assert "litert takes times by the clock" in again.parts[1].said


def test_the_training_is_repeated_bit_for_bit(width_run: Path, tmp_path: Path) -> None:
    found = replay(str(width_run), train=True, out=tmp_path / "again", progress=False)
    assert found.parts[-1].status == "identical"
    assert "weights bit for bit; test_top1" in found.parts[-1].said


def test_only_funnels_train_candidates(width_run: Path, capsys: Capture) -> None:
    said = failure(capsys, "replay", str(width_run), "--signal", "train")
    assert "a recipe of kind width trains no candidates in its search" in said
