"""Funnels made again: identical, or the first candidate, trial or choice that is not."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from accelzoo.errors import AccelzooError, ConfigError, DataError
from accelzoo.recipes.replay import material
from accelzoo.recipes.replay.again import replay
from accelzoo.recipes.replay.recorded import RecordedAccuracies, begin_as_recorded
from accelzoo.recipes.replay.values import Part, Replay
from accelzoo.search import CandidateError
from accelzoo.search.chain import GENESIS, chained
from tests.recipes.replay.finished_runs import Json, change_line, change_lock, pack, read


def replayed(folder: Path, *, train_candidates: bool = False) -> Replay:
    return replay(str(folder), progress=False, train_candidates=train_candidates)


def part(found: Replay, name: str) -> Part:
    return next(one for one in found.parts if one.name == name)


def edit_trace(folder: Path, number: int, **values: object) -> None:
    """Edits a candidate so that neither chain nor lock betray it."""
    sha256 = change_line(folder / "search/trace.jsonl", number + 1, lambda line: line.update(values))
    change_lock(folder, lambda lock: lock["search"].update(trace_sha256=sha256))


def test_a_run_is_identical(funnel_run: Path) -> None:
    found = replayed(funnel_run)
    assert not found.diverged
    assert [one.name for one in found.parts] == ["recipe", "target", "shortlist", "search", "winner"]
    assert {one.status for one in found.parts} == {"identical"}
    assert found.notes == ()
    assert found.verdict == "identical: 5 of 5 parts"


def test_its_release_is_identical(funnel_run: Path) -> None:
    assert not replayed(funnel_run / "release").diverged


def test_candidates_trained_again_are_identical(funnel_run: Path) -> None:
    found = replayed(funnel_run, train_candidates=True)
    assert part(found, "search").status == "identical"
    assert "trained again" in part(found, "search").said


@pytest.mark.parametrize(
    ("values", "field"),
    [({"accuracy": 0.9}, "score"), ({"arch": "sha256:0"}, "arch"), ({"score": 2.0}, "score")],
)
def test_the_first_other_candidate_is_named(funnel_run: Path, values: Json, field: str) -> None:
    edit_trace(funnel_run, 1, **values)
    found = replayed(funnel_run)
    divergence = part(found, "search").divergence
    assert divergence is not None
    assert (divergence.index, divergence.field) == (1, field)
    assert f"candidate 1: {field}: expected" in found.verdict


def test_another_front_in_the_lock_is_named(funnel_run: Path) -> None:
    change_lock(funnel_run, lambda lock: lock["search"].update(front=[1, 2, 0, 9]))
    divergence = part(replayed(funnel_run), "search").divergence
    assert divergence is not None
    assert divergence.field.startswith("front[")


def test_another_shortlist_is_named(funnel_run: Path) -> None:
    change_lock(funnel_run, lambda lock: lock["search"]["shortlist"].update(digest="sha256:0"))
    divergence = part(replayed(funnel_run), "shortlist").divergence
    assert divergence is not None
    assert (divergence.field, divergence.expected) == ("digest", "sha256:0")


def test_another_winner_is_named(funnel_run: Path) -> None:
    winner = read(funnel_run / "lock.json")["search"]["winner_index"]
    other = (winner + 1) % 3
    change_lock(funnel_run, lambda lock: lock["search"].update(winner_index=other))
    divergence = part(replayed(funnel_run), "winner").divergence
    assert divergence is not None
    assert (divergence.field, divergence.expected, divergence.got) == ("winner_index", other, winner)


def test_trials_by_which_another_finalist_goes_on_are_told(funnel_run: Path) -> None:
    trials = read(funnel_run / "lock.json")["search"]["finalists"]["trials"]
    assert [trial["fidelity"] for trial in trials] == [0.5, 0.5, 1.0]
    kept = trials[2]["candidate"]

    def turn(lock: Json) -> None:
        for trial in lock["search"]["finalists"]["trials"][:2]:
            trial["accuracy"] = 0.0 if trial["candidate"] == kept else 1.0

    change_lock(funnel_run, turn)
    divergence = part(replayed(funnel_run), "winner").divergence
    assert divergence is not None
    assert (divergence.field, divergence.expected) == ("finalists.trials[2].candidate", kept)


def test_a_finalist_that_the_search_does_not_give_is_told(funnel_run: Path) -> None:
    change_lock(funnel_run, lambda lock: lock["search"]["finalists"]["trials"][0].update(candidate=77))
    divergence = part(replayed(funnel_run), "winner").divergence
    assert divergence is not None
    assert (divergence.field, divergence.expected) == ("finalists", [77])


def test_another_plan_or_target_is_told(funnel_run: Path) -> None:
    change_lock(funnel_run, lambda lock: lock["plan"]["finalists"].update(accuracy_margin=0.01))
    change_lock(funnel_run, lambda lock: lock["target"].update(digest="sha256:1"))
    found = replayed(funnel_run)
    assert [one.name for one in found.parts if one.status == "diverged"][:2] == ["recipe", "target"]


def test_without_a_trace_what_is_left_is_compared(funnel_run: Path) -> None:
    (funnel_run / "search/trace.jsonl").unlink()
    found = replayed(funnel_run)
    assert part(found, "search").status == "skipped"
    assert part(found, "shortlist").status == "identical"
    assert not found.diverged


def test_a_lock_of_schema_1_is_replayed_as_far_as_it_goes(funnel_run: Path) -> None:
    def older(lock: Json) -> None:
        lock["schema"] = 1
        for name in ("plan", "profile", "overrides", "tolerances", "results", "spent", "hwmodel_digest"):
            lock.pop(name)
        lock["search"]["finalists"] = {"trials": 3, "spent": 1.0, "unit": "evaluations"}

    change_lock(funnel_run, older)
    found = replayed(funnel_run)
    assert not found.diverged
    assert "the lock does not hold the trials" in part(found, "winner").said
    assert found.notes == ("lock of schema 1: it holds no recipe; that beside it was read",)


def test_a_recipe_with_lock_and_trace_beside_it(funnel_run: Path, tmp_path: Path) -> None:
    recipe = tmp_path / "mine.yaml"
    recipe.write_bytes((funnel_run / "recipe.yaml").read_bytes())
    with pytest.raises(AccelzooError, match=r"mine\.lock\.json is not beside mine\.yaml"):
        replayed(recipe)
    recipe.with_suffix(".lock.json").write_bytes((funnel_run / "lock.json").read_bytes())
    assert part(replayed(recipe), "search").status == "skipped"
    pack(funnel_run / "search/trace.jsonl", tmp_path / "traces/tiny.jsonl.gz")
    assert part(replayed(recipe), "search").status == "identical"
    (tmp_path / "traces/tiny.jsonl.gz").write_bytes(b"no trace")
    with pytest.raises(DataError, match=r"tiny\.jsonl\.gz: not a packed trace"):
        replayed(recipe)


def test_shipped_traces_are_found_by_their_hash(
    funnel_run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pack(funnel_run / "search/trace.jsonl", tmp_path / "shipped/tiny.any.jsonl.gz")
    (funnel_run / "search/trace.jsonl").unlink()
    monkeypatch.setattr(material, "TRACES", tmp_path / "shipped")
    assert part(replayed(funnel_run), "search").status == "identical"


def test_what_is_not_there_or_not_whole_is_told(funnel_run: Path, tmp_path: Path) -> None:
    with pytest.raises(AccelzooError, match="nothing: no recipe, release or run"):
        replay("nothing")
    with pytest.raises(AccelzooError, match=r"holds no lock\.json"):
        replay(str(tmp_path))
    with pytest.raises(ConfigError, match="a replay changes nothing but where data are"):
        replay(str(funnel_run), places=["seeds=[1]"])
    change_lock(funnel_run, lambda lock: lock["search"].pop("winner_index"))
    with pytest.raises(DataError, match="lock: search: missing: winner_index"):
        replayed(funnel_run)


def test_recorded_accuracies_say_what_the_trace_says(funnel_run: Path) -> None:
    from accelzoo import get_arch

    arch = get_arch("camera_ibn")
    with pytest.raises(CandidateError, match="was not trained in the recorded search"):
        RecordedAccuracies(accuracies={}, reasons={})(arch)
    with pytest.raises(CandidateError, match="the loss is not finite"):
        RecordedAccuracies(accuracies={}, reasons={arch.digest(): "the loss is not finite"})(arch)
    assert RecordedAccuracies(accuracies={arch.digest(): 0.25}, reasons={})(arch) == 0.25


def test_an_old_trace_is_begun_with_its_own_first_line(tmp_path: Path) -> None:
    for name, header in (("old", {"seed": 0}), ("new", {"seed": 0, "features": None})):
        _, line = chained(GENESIS, header)
        (tmp_path / name).write_text(f"{line}\n{json.dumps({'index': 0})}\n", encoding="utf-8")
        begin_as_recorded(tmp_path / name, tmp_path / f"again-{name}")
        begun = tmp_path / f"again-{name}" / "trace.jsonl"
        assert begun.exists() == (name == "old")
        if name == "old":
            assert begun.read_text("utf-8") == f"{line}\n"


def test_a_published_release_is_replayed_from_its_hub(
    funnel_run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from accelzoo.hub import open_hub

    monkeypatch.setenv("ACCELZOO_HUB", str(tmp_path / "hub"))
    monkeypatch.setenv("ACCELZOO_CACHE", str(tmp_path / "cache"))
    open_hub().publish(funnel_run / "release", "zoo/tiny")
    found = replay("hub:zoo/tiny", progress=False)
    assert found.of == "hub:zoo/tiny"
    assert part(found, "winner").status == "identical"
