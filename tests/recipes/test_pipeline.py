"""A tiny recipe from end to end: what it releases, what it never looks at, and how it refuses."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from hashlib import sha256
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from accelzoo.errors import AccelzooError, BudgetError, ConfigError, DataError
from accelzoo.pretrained import load_release
from accelzoo.recipes import pipeline, trainings
from accelzoo.recipes.funnel import choose
from accelzoo.recipes.outcome import Outcome
from accelzoo.recipes.pipeline import run_recipe
from accelzoo.release import read_release, verify_folder
from accelzoo.search import read_trace
from accelzoo.search.race import read_race, trials_of
from accelzoo.search.shortlist import Shortlist
from accelzoo.tasks.classification import evaluate
from accelzoo.tasks.load import load_classification
from accelzoo.train import TrainError
from tests.recipes.run_locks import assert_tied
from tests.recipes.tiny import RECIPE, made, run_tiny, write_all


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Outcome:
    place = tmp_path_factory.mktemp("finished")
    write_all(place)
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(place)
        return run_tiny(place / "run")


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    write_all(tmp_path)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_the_release_verifies_and_holds_the_run(finished: Outcome) -> None:
    assert verify_folder(finished.release) == finished.digest
    release = read_release(finished.release)
    assert_tied(release, finished.folder)
    assert release.read_recipe() == (finished.folder / "recipe.yaml").read_text("utf-8")
    assert release.trace_path.read_bytes() == (finished.folder / "search" / "trace.jsonl").read_bytes()
    assert (finished.folder / "table.md").read_text("utf-8") == finished.table
    assert finished.table in release.read_card()
    assert sum(record.evaluated for record in read_trace(release.trace_path).records) == 3


def test_the_released_weights_reach_what_the_lock_says(finished: Outcome) -> None:
    release = read_release(finished.release)
    model = load_release(release)
    assert model.class_names == ("left", "middle", "right")
    data = load_classification(str(finished.folder.parent / "data.npz"), model.arch.input_size)
    winner = release.read_lock()["comparison"]["winner"]
    validation = winner["validation_top1"]
    best = validation.index(max(validation))
    assert (
        evaluate(model, data.test).top1
        == winner["test_top1"][best]
        == release.config["accelzoo"]["metrics"]["test_top1"]
    )
    assert evaluate(model, data.validation).top1 == validation[best]
    trainings = release.read_lock()["trainings"]
    assert [trainings[f"winner-seed{seed}"]["test"]["top1"] for seed in RECIPE["seeds"]] == winner["test_top1"]
    assert all(facts["steps"] == 30 for facts in trainings.values())


def test_every_part_of_the_funnel_is_in_folder_and_lock(finished: Outcome) -> None:
    search = json.loads((finished.folder / "lock.json").read_text("utf-8"))["search"]
    shortlist = Shortlist.from_json(json.loads((finished.folder / "shortlist.json").read_text("utf-8")))
    assert search["shortlist"] == {
        "draw": 1000,
        "keep": 12,
        "minimise": ["latency_s"],
        "scores": ["trainability", "linear_regions"],
        "seed": 0,
        "seen": 144,  # the whole space: 2 input sizes × 2 kinds × 3 ratios × 3 widths × 2 repeats × 2 heads
        "feasible": shortlist.feasible,
        "kept": 12,
        "digest": shortlist.digest(),
    }
    asked = {record.genome for record in read_trace(finished.folder / "search").records}
    assert asked <= set(map(tuple, shortlist.genomes.tolist()))
    race = finished.folder / "finalists" / "halving.jsonl"
    trials = trials_of(read_race(race))
    # Two for half of the training, the better one for all of it.
    assert [(trial.rung, trial.fidelity) for trial in trials] == [(0, 0.5), (0, 0.5), (1, 1.0)]
    records = read_trace(finished.folder / "search").records
    assert [records[one["candidate"]].arch for one in search["finalists"]["trials"]] == [one.arch for one in trials]
    assert [one["accuracy"] for one in search["finalists"]["trials"]] == [one.accuracy for one in trials]
    assert {key: search["finalists"][key] for key in ("spent", "unit", "trace_sha256")} == {
        "spent": 2.0,
        "unit": "evaluations",
        "trace_sha256": sha256(race.read_bytes()).hexdigest(),
    }
    seconds = json.loads((finished.folder / "seconds.json").read_text("utf-8"))
    assert {"shortlist", "search", "finalists"} <= set(seconds)


@pytest.mark.usefixtures("never_trains")
def test_a_shortlist_that_was_changed_is_refused(finished: Outcome, place: Path) -> None:
    shutil.copytree(finished.folder, place / "run")
    path = place / "run" / "shortlist.json"
    changed = json.loads(path.read_text("utf-8"))
    changed["genomes"].reverse()
    path.write_text(json.dumps(changed), encoding="utf-8")
    with pytest.raises(DataError, match=r"shortlist\.json: the shortlist was changed: .*; remove the file"):
        run_tiny(place / "run", resume=True)


@pytest.mark.slow
def test_how_many_workers_there_are_decides_nothing(finished: Outcome, place: Path) -> None:
    assert made(run_tiny(place / "two", workers=2).folder) == made(finished.folder)


def test_without_a_funnel_it_is_a_search_and_one_round_of_finalists(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As recipes were before there was one."""
    search = {**RECIPE["search"], "algorithm": "evolution", "options": {"population": 2, "sample_size": 2}}
    write_all(tmp_path, search={**search, "shortlist": None}, finalists={**RECIPE["finalists"], "fidelities": [1.0]})
    monkeypatch.chdir(tmp_path)
    outcome = run_tiny(tmp_path / "run")
    assert not (outcome.folder / "shortlist.json").exists()
    assert "shortlist" not in json.loads((outcome.folder / "lock.json").read_text("utf-8"))["search"]
    trials = trials_of(read_race(outcome.folder / "finalists"))
    assert [(trial.candidate, trial.fidelity) for trial in trials] == [(0, 1.0), (1, 1.0)]


def test_the_winner_meets_the_budgets(finished: Outcome) -> None:
    comparison = finished.to_json()
    ours, theirs = comparison["winner"]["cost"], comparison["baseline"]["cost"]
    assert ours["weight_bytes"] <= 0.9 * theirs["weight_bytes"]
    assert ours["latency_s"] <= theirs["latency_s"]
    assert comparison["release_digest"] == finished.digest


def test_the_same_recipe_twice_makes_the_same(finished: Outcome, place: Path) -> None:
    again = run_tiny(place / "elsewhere")
    assert made(again.folder) == made(finished.folder)


def test_the_test_split_decides_nothing(finished: Outcome, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_all(tmp_path, shuffle_test=True)
    monkeypatch.chdir(tmp_path)
    shuffled = run_tiny(tmp_path / "run")
    before, after = made(finished.folder), made(shuffled.folder)
    same = ("search/trace.jsonl", "release/model.safetensors", "recipe.yaml")
    assert [after[name] for name in same] == [before[name] for name in same]
    locks = [json.loads((outcome.folder / "lock.json").read_text("utf-8")) for outcome in (finished, shuffled)]
    assert locks[0]["winner_digest"] == locks[1]["winner_digest"]
    assert locks[0]["comparison"]["winner"]["test_top1"] != locks[1]["comparison"]["winner"]["test_top1"]


def test_the_test_split_is_scored_after_the_winner_is_chosen(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    events: list[str] = []

    def watched(module: Any, name: str) -> Callable[..., Any]:
        real = getattr(module, name)

        def call(*arguments: Any, **settings: Any) -> Any:
            events.append(name)
            return real(*arguments, **settings)

        return call

    for name in ("search_space", "choose", "train", "evaluate"):
        monkeypatch.setattr(pipeline, name, watched(pipeline, name))
    monkeypatch.setattr(trainings, "train", watched(trainings, "train"))
    run_tiny(place / "run")
    # The search's three; the baseline, two finalists for half of the training and one for all of it; two seeds of
    # baseline and winner.
    assert events == ["search_space", *["train"] * 3, *["train"] * 4, "choose", *["train", "evaluate"] * 4]


def test_resuming_a_finished_run_makes_the_release_that_it_made(place: Path) -> None:
    first = run_tiny(place / "run")
    assert run_tiny(place / "run", resume=True).digest == first.digest


def test_no_folder_of_this_machine_is_recorded(finished: Outcome) -> None:
    files = [path for path in finished.folder.rglob("*") if path.suffix in {".json", ".yaml", ".md", ".jsonl"}]
    assert {"lock.json", "recipe.yaml", "README.md", "trace.jsonl", "config.json"} <= {path.name for path in files}
    for path in files:
        assert str(finished.folder.parent) not in path.read_text("utf-8"), path


def everything_in(folder: Path) -> dict[str, bytes]:
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


@pytest.fixture
def never_trains(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: Any, **__: Any) -> None:
        raise AssertionError("trained")

    monkeypatch.setattr("accelzoo.recipes.trainings.fit", fail)


INFEASIBLE = "budgets.latency_s=1e-9"


@pytest.mark.usefixtures("never_trains")
def test_infeasible_budgets_are_refused_before_anything_is_written(place: Path) -> None:
    with pytest.raises(BudgetError, match=r"latency_s: budget 1e-09, smallest \d\.\d+e-06"):
        run_tiny(place / "run", overrides=[INFEASIBLE])
    assert not (place / "run").exists()


@pytest.mark.usefixtures("never_trains")
@pytest.mark.parametrize(
    ("override", "error"),
    [
        (INFEASIBLE, BudgetError),
        ("search.options.populaton=3", ConfigError),
        ("search.options.sample_size=9", ConfigError),
        ("search.algorithm=evolutoin", AccelzooError),
        ("search.algorithm=evolution", ConfigError),  # it cannot be kept to a shortlist
        ("search.shortlist.scores=[synflow]", ConfigError),
        ("relative_budgets.latency=1", ConfigError),
        ("data=nowhere.npz", AccelzooError),
        ("space=nowhere.json", AccelzooError),
    ],
)
def test_what_cannot_run_costs_no_finished_run(
    finished: Outcome, place: Path, override: str, error: type[Exception]
) -> None:
    shutil.copytree(finished.folder, place / "run")
    before = everything_in(place / "run")
    with pytest.raises(error):
        run_tiny(place / "run", force=True, overrides=[override])
    assert everything_in(place / "run") == before


def test_a_changed_recipe_is_not_resumed(finished: Outcome, place: Path) -> None:
    shutil.copytree(finished.folder, place / "run")
    with pytest.raises(ConfigError, match=r"another recipe: search\.evaluations: 3 became 4"):
        run_tiny(place / "run", resume=True, overrides=["search.evaluations=4"])


def test_the_folder_is_named_after_recipe_and_profile(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    taken: list[str] = []

    def go(run: Any, **_: Any) -> None:
        taken.append(run.folder.path.as_posix())

    monkeypatch.setattr(pipeline._Run, "go", go)
    run_recipe(Path("recipe.yaml"))
    run_recipe("camera_classification")
    run_recipe("camera_classification", profile="full")
    assert taken == ["runs/tiny-default", "runs/camera_classification-smoke", "runs/camera_classification-full"]


def failing(monkeypatch: pytest.MonkeyPatch, part: str) -> None:
    """Makes the trainings diverge whose folder's name has `part`."""
    real = trainings.train

    def train(*arguments: Any) -> Any:
        if arguments[4] is not None and part in arguments[4].name:
            raise TrainError("the loss is nan")
        return real(*arguments)

    monkeypatch.setattr(trainings, "train", train)


def test_a_finalist_that_diverges_does_not_stop_the_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_all(tmp_path)
    monkeypatch.chdir(tmp_path)
    first = read_trace(run_tiny(tmp_path / "one").folder / "search")
    scored = sorted((r for r in first.records if r.score is not None), key=lambda r: -(r.score or 0))
    failing(monkeypatch, f"finalist-candidate{scored[0].index}")
    outcome = run_tiny(tmp_path / "two")
    assert read_release(outcome.release).read_lock()["search"]["winner_index"] == scored[1].index


def test_when_every_finalist_diverges_there_is_no_winner(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    failing(monkeypatch, "finalist-candidate")
    with pytest.raises(AccelzooError, match=r"every finalist's training failed; change `finalists\.training`"):
        run_tiny(place / "run")


def candidate(index: int, latency_s: float | None) -> Any:
    return SimpleNamespace(index=index, cost=None if latency_s is None else SimpleNamespace(latency_s=latency_s))


@pytest.mark.parametrize(
    ("latencies", "accuracies", "required", "chosen"),
    [
        ((3.0, 2.0, 1.0), (0.9, 0.8, 0.7), 0.8, 1),  # the fastest of those that reach it
        ((3.0, 2.0, 1.0), (0.9, 0.8, 0.7), 0.9, 0),  # reaching it exactly is enough
        ((3.0, 2.0, 1.0), (0.5, 0.7, 0.6), 0.9, 1),  # none does: the most accurate
        ((3.0, 2.0, 1.0), (0.7, 0.7, 0.6), 0.9, 0),  # of equals the first that the search found
        ((2.0, 2.0, 3.0), (0.9, 0.9, 0.9), 0.8, 0),
        ((None, 2.0, 3.0), (0.9, 0.9, 0.9), 0.8, 1),  # without a price it counts as the slowest
    ],
)
def test_choose(
    latencies: tuple[float | None, ...], accuracies: tuple[float, ...], required: float, chosen: int
) -> None:
    candidates = [candidate(index, latency_s) for index, latency_s in enumerate(latencies)]
    assert choose(candidates, accuracies, required).index == chosen
    # The order in which finalists come does not matter.
    assert choose(candidates[::-1], accuracies[::-1], required).index == chosen


def test_choose_needs_an_accuracy_for_each() -> None:
    with pytest.raises(ValueError, match="shorter"):
        choose([candidate(0, 1.0), candidate(1, 1.0)], [0.5], 0.1)
