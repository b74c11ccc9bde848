"""A tiny width recipe from end to end: what it leaves, what it releases, how it goes on, and how it refuses."""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Callable
from dataclasses import dataclass, replace
from hashlib import sha256
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from accelzoo import config, get_arch
from accelzoo.errors import AccelzooError, BudgetError, ConfigError, UnknownNameError
from accelzoo.hwmodel import estimate, oracles
from accelzoo.pretrained import load_release
from accelzoo.recipes import trainings
from accelzoo.recipes.bank import DataBank
from accelzoo.recipes.outcome import Outcome
from accelzoo.recipes.width.jobs import FinalJob
from accelzoo.recipes.width.score_jobs import PruneJob
from accelzoo.release import Release, read_release, verify_folder
from accelzoo.search.width import WidthSpace, slimmable
from accelzoo.tasks.data import ClassificationData, Split
from accelzoo.tasks.load import load_classification
from tests.recipes.run_locks import assert_checked, assert_tied
from tests.recipes.width.tiny_width import (
    CAMERA,
    FIXED,
    OPEN,
    RECIPE,
    Device,
    Killed,
    everything_in,
    killing,
    lines_of,
    made,
    read,
    run_tiny,
    without_times,
)

METHODS = ("uniform", "greedy", "optimal", "narrowed")
OURS = ("optimal", "narrowed")
SHARES, SEEDS = RECIPE["latency_shares"], RECIPE["seeds"]
SMALL = {"methods": ["uniform", "optimal"], "latency_shares": [0.8], "seeds": [0],
         "slimmable": {**RECIPE["slimmable"], "refine": None}}  # fmt: skip
ON_DEVICE = {"target": "edge-npu", "measure": {"oracle": "device", "timings": 10, "tolerance": 0.02},
             "latency_shares": [0.8], "seeds": [0]}  # fmt: skip


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Outcome:
    return run_tiny(tmp_path_factory.mktemp("finished") / "run")


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory) -> Outcome:
    """Two of the methods at one budget with one seed; learnt errors are taken as they are."""
    return run_tiny(tmp_path_factory.mktemp("small") / "run", SMALL)


@dataclass(frozen=True)
class Measured:
    """A finished run, and the device that timed its networks."""

    outcome: Outcome
    device: Device


@pytest.fixture(scope="module")
def measured(tmp_path_factory: pytest.TempPathFactory) -> Measured:
    """All methods at one budget with one seed, on a device."""
    device = Device()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(oracles, "load", lambda name, target: device)
        return Measured(run_tiny(tmp_path_factory.mktemp("measured") / "run", ON_DEVICE), device)


@pytest.fixture(scope="module")
def space() -> WidthSpace:
    arch = get_arch("mobilenetv1_025", num_classes=10, input_size=(3, 16, 16))
    return WidthSpace.from_arch(arch, (0.5, 1.0), fixed=FIXED)


@pytest.fixture
def never_trains(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: Any, **__: Any) -> None:
        raise AssertionError("trained")

    monkeypatch.setattr(slimmable, "train_slimmable", fail)
    monkeypatch.setattr(slimmable, "score_widths", fail)
    monkeypatch.setattr(trainings, "train", fail)


def test_every_part_of_the_run_is_in_its_folder(finished: Outcome) -> None:
    folder = finished.folder
    there = {path.name for path in folder.iterdir()}
    left = {"recipe.yaml", "jobs", "slimmable", "trainings", "width.jsonl", "choices.json", "seconds.json", "lock.json",
            "table.md", "release"}  # fmt: skip
    drawn = find_spec("matplotlib") is not None
    assert there == (left | {"widths.png"} if drawn else left)
    assert not drawn or (folder / "widths.png").read_bytes().startswith(b"\x89PNG")
    assert list((folder / "trainings").iterdir()) == []  # checkpoints
    assert (folder / "table.md").read_text("utf-8") == finished.table
    assert list(read(folder / "seconds.json")) == ["slimmable", "greedy", "refining", "choosing", "scoring", "training"]
    networks = {(*one["genome"], one["seed"]) for one in read(folder / "choices.json")}
    names = {path.stem for path in (folder / "jobs").glob("*.json")}
    assert len([name for name in names if name.startswith("final-")]) == len(networks)
    uniform = [f"uniform-seed{seed}" for seed in SEEDS]
    narrowed = [f"narrowed-{share}-seed{seed}" for seed in SEEDS for share in SHARES]
    assert {name for name in names if not name.startswith("final-")} == {
        *uniform,
        *narrowed,
        *[f"greedy-{rule}-seed{seed}" for rule in RECIPE["greedy"]["rules"] for seed in SEEDS],
        *[f"refined-{name}-at-{share}" for name in uniform for share in SHARES],
        *[f"refined-{name}-at-{name.split('-')[1]}" for name in narrowed],
        *[f"score-{name}" for name in (*uniform, *narrowed)],
    }


def test_the_release_verifies_and_holds_the_run(finished: Outcome) -> None:
    assert verify_folder(finished.release) == finished.digest
    release = read_release(finished.release)
    assert_tied(release, finished.folder)
    assert_checked(release)
    assert release.read_recipe() == (finished.folder / "recipe.yaml").read_text("utf-8")
    assert release.trace_path.read_bytes() == (finished.folder / "width.jsonl").read_bytes()
    assert finished.table in release.read_card()
    assert "estimates of the target's model" in release.read_card()


def test_the_trace_tells_every_job_and_choice(finished: Outcome) -> None:
    path = finished.folder / "width.jsonl"
    header, *lines = lines_of(path)
    lock = read(finished.folder / "lock.json")
    assert header["kind"] == "width"
    recipe = config.digest(config.load(path.with_name("recipe.yaml")).plain())
    assert header["recipe"] == lock["recipe_digest"] == recipe
    assert header["target"] == lock["target"]["digest"] == CAMERA.digest()
    assert lock["search"]["trace_sha256"] == sha256(path.read_bytes()).hexdigest()
    assert [line["choice"] for line in lines if "choice" in line] == read(finished.folder / "choices.json")
    results = {line["job"]: line["result"] for line in lines if "job" in line}
    records = map(read, (finished.folder / "jobs").glob("*.json"))
    found = {record["job"]: without_times(record["result"]) for record in records}
    setups = {name: result.pop("setup") for name, result in found.items() if "setup" in result}
    assert results == {name: {key: one[key] for key in one if key != "history"} for name, one in found.items()}
    trained = {name for name in results if name.startswith(("uniform", "narrowed", "final"))}
    assert set(lock["trainings"]) == set(setups) == trained
    assert {lock["trainings"][name]["steps"] for name in trained if not name.startswith("final")} == {3}
    assert {lock["trainings"][name]["steps"] for name in trained if name.startswith("final")} == {8}


def test_every_method_chooses_within_the_budgets(finished: Outcome, space: WidthSpace) -> None:
    assert tuple(group.name for group in space.groups) == OPEN
    choices = read(finished.folder / "choices.json")
    asked = [(method, seed, share) for seed in SEEDS for share in SHARES for method in METHODS]
    found = [(one["method"], one["seed"], one["share"]) for one in choices]
    assert found == [*[("original", seed, 1.0) for seed in SEEDS], *asked]
    original_s = estimate(get_arch("mobilenetv1_025", num_classes=10, input_size=(3, 16, 16)).lower(), CAMERA).latency_s
    for one in choices:
        cost = estimate(space.decode(tuple(one["genome"])).normal().lower(), CAMERA)
        assert one["measured_s"] == pytest.approx(cost.latency_s, rel=1e-12)
        assert one["predicted_s"] == pytest.approx(cost.latency_s, rel=1e-9)
        assert one["budget_s"] == pytest.approx(one["share"] * original_s, rel=1e-12)
        widths = [group.widths[choice] for group, choice in zip(space.groups, one["genome"], strict=True)]
        assert one["widths"] == widths
        if one["method"] == "original":
            assert widths == [group.base for group in space.groups]
            assert one["score"] is None
        else:
            assert cost.latency_s <= one["share"] * original_s
            assert cost.weight_bytes <= RECIPE["budgets"]["weight_bytes"]
            assert one["score"] > 0
    facts = {one["method"]: one["facts"] for one in choices}
    assert facts["optimal"].keys() == facts["narrowed"].keys() == {"status", "rounds", "errors", "aim", "contenders"}
    assert {one["facts"]["contenders"] for one in choices if one["method"] == "greedy"} == {2}  # one for each rule
    assert {one["facts"]["rule"] for one in choices if one["method"] == "greedy"} <= {"netadapt", "mobilenetv3"}
    assert {one["facts"]["contenders"] for one in choices if one["method"] in OURS} == {3}


def test_table_lock_and_outcome_say_the_same(finished: Outcome) -> None:
    comparison = read(finished.folder / "lock.json")["comparison"]
    said = json.loads(json.dumps(finished.to_json()))
    assert {key: said[key] for key in comparison} == comparison
    assert said["release_digest"] == finished.digest
    assert [one["choice"] for one in comparison["trained"]] == read(finished.folder / "choices.json")
    records = {path.stem: read(path)["result"] for path in (finished.folder / "jobs").glob("final-*.json")}
    tested = sorted((result["test"]["correct"], result["validation"]["correct"]) for result in records.values())
    assert tested == sorted(
        {(*one["choice"]["genome"], one["choice"]["seed"]): (one["test"]["correct"], one["validation"]["correct"])
         for one in comparison["trained"]}.values()
    )  # fmt: skip
    cells = [[cell.strip() for cell in line.split("|")[1:-1]] for line in finished.table.splitlines()]
    rows = {row[0]: row for row in cells if row and (row[0] == "original" or row[0][:1].isdigit())}
    for network in comparison["networks"]:
        method, share = network["method"], network["latency_share"]
        alike = [one for one in comparison["trained"]
                 if (one["choice"]["method"], one["choice"]["share"]) == (method, share)]  # fmt: skip
        assert network["seeds"] == sorted(SEEDS) == sorted(one["choice"]["seed"] for one in alike)
        mean = np.mean([one["test"]["correct"] / one["test"]["count"] for one in alike])
        assert network["test_top1_mean"] == pytest.approx(mean)
        row = rows["original" if method == "original" else f"{100 * share:g} %, {method}"]
        assert row[4].split(" ")[0] == f"{100 * mean:.2f}"
        kib = np.mean([one["cost"]["weight_bytes"] for one in alike]) / 1024
        assert float(row[2]) == pytest.approx(kib, rel=1e-3)
        scores = [one["choice"]["score"] for one in alike]
        assert row[5] == ("" if method == "original" else f"{np.mean(scores):.4f}")
    assert len(rows) == len(comparison["networks"]) == 1 + len(SHARES) * len(METHODS)


def counted(release: Release, split: Split) -> int:
    """Correct predictions of a release's network, prepared as the release says."""
    facts = release.config["pretrained_cfg"]
    mean, std = (np.array(facts[name], np.float32).reshape(3, 1, 1) for name in ("mean", "std"))
    with torch.no_grad():
        logits = load_release(release)(torch.from_numpy((split.images.astype(np.float32) / 255 - mean) / std))
    return int((logits.argmax(1).numpy() == split.labels).sum())


def test_the_released_network_is_the_best_optimised_one_and_scores_what_the_lock_says(
    finished: Outcome, space: WidthSpace
) -> None:
    release = read_release(finished.release)
    lock = release.read_lock()
    share = RECIPE["release"]["latency_share"]
    trained = {one["name"]: one for one in lock["comparison"]["trained"]}
    eligible = {f"{method}-{share}-seed{seed}" for method in OURS for seed in SEEDS}
    best = max(trained[name]["validation"]["correct"] for name in eligible)
    winner = trained[lock["search"]["winner"]]
    assert winner["name"] in eligible
    assert winner["validation"]["correct"] == best
    arch = load_release(release).arch
    assert arch == space.decode(tuple(winner["choice"]["genome"])).normal()
    assert lock["winner_digest"] == arch.digest()
    data = load_classification("digits", (3, 16, 16))
    assert counted(release, data.test) == winner["test"]["correct"]
    assert counted(release, data.validation) == best
    assert winner["test"]["count"] == len(data.test)
    metrics = release.config["accelzoo"]["metrics"]
    assert metrics == {"test_top1": winner["test"]["top1"], "validation_top1": winner["validation"]["top1"]}
    assert release.config["accelzoo"]["cost"]["latency_s"] == winner["cost"]["latency_s"]


def test_no_folder_of_this_machine_is_recorded(finished: Outcome) -> None:
    files = [path for path in finished.folder.rglob("*") if path.suffix in {".json", ".yaml", ".md", ".jsonl"}]
    for path in files:
        assert str(finished.folder.parent) not in path.read_text("utf-8"), path


@pytest.mark.usefixtures("never_trains")
def test_resuming_a_finished_run_makes_the_release_that_it_made(finished: Outcome, tmp_path: Path) -> None:
    shutil.copytree(finished.folder, tmp_path / "run")
    again = run_tiny(tmp_path / "run", resume=True)
    assert again.digest == finished.digest
    before, after = everything_in(finished.folder), everything_in(tmp_path / "run")
    assert {name for name in before | after if before.get(name) != after.get(name)} <= {"seconds.json", "widths.png"}


def test_a_run_that_was_interrupted_ends_as_an_unbroken_one_and_does_nothing_twice(
    measured: Measured, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    begun: list[str] = []

    def watched(real: Callable[..., Any], name: str) -> Callable[..., Any]:
        def call(*arguments: Any, **settings: Any) -> Any:
            begun.append(name)
            return real(*arguments, **settings)

        return call

    device, folder = Device(), tmp_path / "run"
    monkeypatch.setattr(oracles, "load", lambda name, target: device)
    monkeypatch.setattr(slimmable, "train_slimmable", watched(slimmable.train_slimmable, "slimmable"))
    monkeypatch.setattr(trainings, "train", watched(trainings.train, "final"))
    widths = ["slimmable"] * 2  # all alike; narrowed to the budget
    for job, number, so_far in ((PruneJob, 2, widths), (FinalJob, 3, [*widths, *["final"] * 2])):
        killing(monkeypatch, job, number)
        with pytest.raises(Killed):
            run_tiny(folder, ON_DEVICE, resume=True)
        assert begun == so_far
        assert not (folder / "lock.json").exists()
    resumed = run_tiny(folder, ON_DEVICE, resume=True)
    final = len(list((measured.outcome.folder / "jobs").glob("final-*.json")))
    assert final > 3
    assert begun == [*widths, *["final"] * final]
    assert device.asked == measured.device.asked  # in the same order, each once
    assert made(resumed.folder) == made(measured.outcome.folder)


def test_two_methods_alone_and_errors_as_learnt(small: Outcome) -> None:
    choices = read(small.folder / "choices.json")
    assert [one["method"] for one in choices] == ["original", "uniform", "optimal"]
    names = {path.stem.split("-")[0] for path in (small.folder / "jobs").glob("*.json")}
    assert names == {"uniform", "score", "final"}
    assert "| optimal vs uniform |" in small.table
    assert "greedy" not in small.table
    assert "narrowed" not in small.table
    lock = read(small.folder / "lock.json")
    assert lock["search"]["winner"] == "optimal-0.8-seed0"
    assert verify_folder(small.release) == small.digest


def test_the_test_split_decides_nothing(small: Outcome, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    real = DataBank.at

    def at(bank: DataBank, size: tuple[int, int, int]) -> ClassificationData:
        data = real(bank, size)
        return replace(data, test=replace(data.test, labels=(data.test.labels + 1) % 10))

    monkeypatch.setattr(DataBank, "at", at)
    other = run_tiny(tmp_path / "run", SMALL)
    before, after = made(small.folder), made(other.folder)
    for name in ("choices.json", "release/model.safetensors"):
        assert after[name] == before[name]
    locks = [found["lock"] for found in (before, after)]
    assert locks[0]["search"]["winner"] == locks[1]["search"]["winner"]
    tests = [[one["test"]["correct"] for one in lock["comparison"]["trained"]] for lock in locks]
    assert tests[0] != tests[1]


def test_with_a_device_every_chosen_network_is_measured_and_checked_and_keeps_its_budget(
    measured: Measured, space: WidthSpace
) -> None:
    outcome, device = measured.outcome, measured.device
    original_s = device.seconds(space.arch.lower())
    choices = read(outcome.folder / "choices.json")
    assert [one["method"] for one in choices] == ["original", *METHODS]
    header, *timed = lines_of(outcome.folder / "timings.jsonl")
    assert header["oracle"]["tool"] == "device-1"
    assert len(timed) == len(device.asked)
    first = [tuple(one["genome"]) for one in timed if "check" not in one]
    checks = [tuple(one["genome"]) for one in timed if "check" in one]
    assert len(first) == len(set(first))
    assert sorted(checks) == sorted({tuple(one["genome"]) for one in choices})
    seconds = {tuple(one["genome"]): one["latency_s"] for one in timed}
    for one in choices:
        truth = device.seconds(space.decode(tuple(one["genome"])).lower())
        assert one["measured_s"] == seconds[tuple(one["genome"])] == pytest.approx(truth, rel=1e-12)
        if one["method"] != "original":
            assert one["measured_s"] <= 0.8 * original_s * (1 + 1e-9)
        assert one["budget_s"] == pytest.approx(one["share"] * original_s, rel=1e-12)
    assert {one["facts"]["status"] for one in choices if one["method"] in OURS} == {"settled"}
    assert read(outcome.folder / "lock.json")["search"]["measured_by"] == "device-1/edge-npu"
    assert "latencies measured by device-1/edge-npu for edge-npu" in outcome.table
    assert "measured by device-1/edge-npu" in read_release(outcome.release).read_card()


REFUSED: list[tuple[dict[str, Any], type[Exception], str]] = [
    ({"budgets": {"weight_byte": 1}}, ConfigError,
     r"budgets\.weight_byte: unknown cost field; did you mean 'weight_bytes'\? \(allowed: "),
    ({"latency_shares": [0.8, 0.01]}, BudgetError,
     r"latency_shares: 0\.01 of the original's latency: nothing meets the .*\n  latency_s: .*, least achievable 0\."),
    ({"budgets": {"weight_bytes": 1000}}, BudgetError, r"weight_bytes: at most 1000.*, least achievable \d{5}"),
    ({"budgets": {"peak_activation_bytes": 10}}, BudgetError, "peak_activation_bytes: at most 10"),
    ({"options": {"num_classes": 10}}, ConfigError, r"options\.num_classes: follows from data and resolution"),
    ({"options": {"input_size": [3, 8, 8]}}, ConfigError, r"options\.input_size: follows from data and resolution"),
    ({"target": "camera-npi"}, UnknownNameError, "'camera-npi'; did you mean 'camera-npu'"),
    ({"network": "mobilenetv1_52"}, UnknownNameError, "mobilenetv1_52"),
    ({"data": "digit"}, AccelzooError, "digit"),
    ({"fixed": ["stemm"]}, ConfigError, "fixed: no group is called 'stemm'"),
    ({"measure": {"oracle": "sistolic"}}, ConfigError, r"measure\.oracle: unknown oracle 'sistolic'; did you mean"),
    ({"network": "mobilenetv4_hybrid_medium", "fixed": [], "resolution": 32}, ConfigError, "attention has its heads"),
    ({"ratios": [1.0]}, ConfigError, "no width of .* can change"),
]  # fmt: skip


@pytest.mark.usefixtures("never_trains")
@pytest.mark.parametrize(("changes", "error", "said"), REFUSED)
def test_what_cannot_run_writes_nothing_and_costs_no_finished_run(
    small: Outcome, tmp_path: Path, changes: dict[str, Any], error: type[Exception], said: str
) -> None:
    with pytest.raises(error) as caught:
        run_tiny(tmp_path / "new", changes)
    assert re.search(said, str(caught.value)), caught.value
    assert not (tmp_path / "new").exists()
    before = everything_in(small.folder)
    with pytest.raises(error):
        run_tiny(small.folder, changes, force=True)
    assert everything_in(small.folder) == before


@pytest.mark.usefixtures("never_trains")
def test_a_run_that_is_there_is_neither_overwritten_nor_gone_on_with_otherwise(small: Outcome, tmp_path: Path) -> None:
    before = everything_in(small.folder)
    with pytest.raises(AccelzooError, match=r"a run is there already; --resume goes on with it"):
        run_tiny(small.folder, SMALL)
    with pytest.raises(ConfigError, match=r"another recipe: seeds: \[0\] became \[1\]"):
        run_tiny(small.folder, {**SMALL, "seeds": [1]}, resume=True)
    assert everything_in(small.folder) == before
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "letter.txt").write_text("dear")
    with pytest.raises(AccelzooError, match="holds something that is no accelzoo run"):
        run_tiny(tmp_path / "mine", force=True)
