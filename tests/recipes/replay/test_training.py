"""Trainings made again: bit for bit, or as near as claimed; and other data are refused."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from accelzoo.errors import DataError
from accelzoo.recipes.replay.again import replay
from accelzoo.recipes.replay.judging import Trained, judge
from accelzoo.recipes.replay.material import find_material
from tests.recipes.replay.finished_runs import Json, change_lock, read
from tests.recipes.tiny import write_data


def repeated(folder: Path, **changes: object) -> Trained:
    """The recorded training of the released weights, as if it had been made again."""
    lock = read(folder / "lock.json")
    scores = lock["comparison"]["winner"]["validation_top1"]
    label = f"winner-seed{lock['plan']['seeds'][scores.index(max(scores))]}"
    facts = lock["trainings"][label]
    values: Json = {
        "label": label,
        "arch_digest": lock["winner_digest"],
        "weights_sha256": facts["weights_sha256"],
        "metric": "test_top1",
        "value": facts["test"]["top1"],
        "recorded": facts["test"]["top1"],
        "threads": facts["threads"],
        "setup": {name: facts[name] for name in ("world_size", "device", "dtype", "deterministic")},
    }
    return Trained(**{**values, **changes})


def judged(folder: Path, **changes: object) -> tuple[str, str]:
    found = judge(find_material(str(folder)), repeated(folder, **changes))
    return found.status, found.said


def test_equal_weights_are_identical_wherever_they_were_made(funnel_run: Path) -> None:
    assert judged(funnel_run)[0] == "identical"
    change_lock(funnel_run, lambda lock: lock["versions"].update(torch="0.1"))
    assert judged(funnel_run)[0] == "identical"


def test_other_weights_on_an_equal_setup_diverge(funnel_run: Path) -> None:
    status, said = judged(funnel_run, weights_sha256="0" * 64)
    assert status == "diverged"
    assert "on an equal set-up" in said


def test_elsewhere_the_score_counts(funnel_run: Path) -> None:
    def elsewhere(lock: Json) -> None:
        lock["versions"]["torch"] = "0.1"
        lock["tolerances"]["test_top1"] = 0.125

    change_lock(funnel_run, elsewhere)
    recorded = repeated(funnel_run).recorded
    other: Json = {"weights_sha256": "0" * 64}
    status, said = judged(funnel_run, value=recorded - 0.125, **other)
    assert status == "within"
    assert "another set-up (torch 0.1)" in said
    assert judged(funnel_run, value=recorded - 0.126, **other)[0] == "diverged"
    change_lock(funnel_run, lambda lock: lock["tolerances"].clear())
    status, said = judged(funnel_run, value=recorded, **other)
    assert status == "skipped"
    assert "the lock claims no tolerance" in said


@pytest.mark.parametrize(("name", "value"), [("device", "cuda Other"), ("world_size", 2), ("dtype", "bfloat16")])
def test_another_device_is_another_setup(funnel_run: Path, name: str, value: object) -> None:
    setup = {**repeated(funnel_run).setup, name: value}
    status, said = judged(funnel_run, weights_sha256="0" * 64, setup=setup)
    assert status == "within"
    assert f"another set-up ({name} " in said


def test_the_released_weights_stand_for_a_digest_that_the_lock_lacks(funnel_run: Path) -> None:
    before = repeated(funnel_run)
    change_lock(funnel_run, lambda lock: lock["trainings"][before.label].pop("weights_sha256"))
    material = find_material(str(funnel_run))
    assert judge(material, before).status == "identical"
    assert judge(material, replace(before, weights_sha256="0" * 64)).status == "diverged"
    assert judge(replace(material, releases={}), before).status == "within"


def test_a_training_is_repeated_and_gone_on_with(funnel_run: Path, tmp_path: Path) -> None:
    out = tmp_path / "again"
    for _ in range(2):
        found = replay(str(funnel_run / "release"), train=True, out=out, progress=False)
        assert found.parts[-1].name == "training winner-seed" + repeated(funnel_run).label[-1]
        assert found.parts[-1].status == "identical"
    assert [path.name for path in (out / "trainings").iterdir()] == [repeated(funnel_run).label]


def test_data_elsewhere_are_taken_and_other_data_refused(funnel_run: Path, tmp_path: Path) -> None:
    write_data(tmp_path / "moved.npz", shuffle_test=False)
    found = replay(str(funnel_run), train=True, places=[f"data={tmp_path / 'moved.npz'}"], progress=False)
    assert found.parts[-1].status == "identical"
    write_data(tmp_path / "other.npz", shuffle_test=True)
    with pytest.raises(DataError, match=r"other data than those of the lock: data\.winner\.splits\.test\.digest"):
        replay(str(funnel_run), train=True, places=[f"data={tmp_path / 'other.npz'}"], progress=False)
