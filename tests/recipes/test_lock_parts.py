"""What locks gained with schema 2: how trainings were made, tolerances, figures, effort, energy, and their reader."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass, field, replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch

from accelzoo import config
from accelzoo.errors import DataError
from accelzoo.hwmodel import estimate, load_target
from accelzoo.recipes import FOLDER, energy
from accelzoo.recipes.asked import Asked
from accelzoo.recipes.energy import EnergyMeter, find_counters
from accelzoo.recipes.folder import RunFolder
from accelzoo.recipes.lock import hwmodel_digest
from accelzoo.recipes.lock_reader import load_lock
from accelzoo.recipes.lock_results import funnel_figures
from accelzoo.recipes.lock_trainings import tolerance, training_facts
from accelzoo.recipes.report import Comparison, Scored
from accelzoo.recipes.schema import load_funnel
from accelzoo.recipes.spent import Metered, spent
from accelzoo.registry import get_arch
from accelzoo.tasks.metrics import Metrics
from accelzoo.tasks.score import DenseScore
from accelzoo.train import TrainConfig
from accelzoo.weights_digest import network_arrays, weights_digest
from tests.checkout import ROOT
from tests.recipes.calls import Capture, run

TARGET = load_target("camera-npu")


def test_training_facts_are_those_of_the_plan_and_the_result() -> None:
    setup = {"device": "cpu x86_64", "world_size": 1}
    result = {"steps": 30, "images": 100, "wall_s": 2.0, "notes": (), "setup": setup}
    facts = training_facts(TrainConfig(seed=7, batch_size=16, threads=3, epochs=99), result)
    # 100 images make 6 whole batches of 16: 30 steps are 5 epochs, whatever `epochs` says beside `steps`.
    assert facts == {
        "steps": 30, "images": 100, "wall_s": 2.0, "seed": 7, "epochs": 5.0, "batch_size": 16, "threads": 3,
        "device": "cpu x86_64", "world_size": 1,
    }  # fmt: skip
    older = training_facts(TrainConfig(batch_size=500), {"steps": 4, "images": 100, "wall_s": 1.0, "notes": ["moved"]})
    assert (older["batch_size"], older["epochs"], older["notes"]) == (100, 4.0, ["moved"])
    assert "device" not in older


def test_a_tolerance_is_three_differences_of_two_seeds_or_half_the_interval() -> None:
    def dense(value: float, half: float | None) -> DenseScore:
        ends = (None, None) if half is None else (value - half, value + half)
        return DenseScore(metric="AP50", value=value, count=9, low=ends[0], high=ends[1])

    # The deviation of 0.70 and 0.72 is 0.01 √2; 3 √2 times that is 0.06.
    assert tolerance([[dense(0.70, None), dense(0.72, None)]]) == pytest.approx(0.06)
    assert tolerance([[dense(0.70, 0.05), dense(0.72, 0.08)]]) == pytest.approx(0.08)
    assert tolerance([[dense(0.5, 0.01)], [dense(0.70, None), dense(0.72, None)]]) == pytest.approx(0.06)
    # Wilson's interval of 50 in 100 is 40.38 % … 59.62 %.
    assert tolerance([[Metrics(correct=50, count=100, loss=1.0)]]) == pytest.approx(0.0962, abs=1e-4)


@pytest.mark.usefixtures("own_places")
def test_figures_carry_the_command_that_prints_them(capsys: Capture) -> None:
    recipe = load_funnel("camera_classification", "smoke")
    size = max(recipe.resolutions)
    arch = get_arch(recipe.baseline, num_classes=10, input_size=(3, size, size))
    scores = tuple(Metrics(correct=correct, count=100, loss=1.0) for correct in (40, 60))
    scored = Scored(cost=estimate(arch.lower(), TARGET), validation=scores, test=scores)
    comparison = Comparison(target=TARGET.name, data="digits", baseline=scored, winner=scored)
    asked = Asked(recipe="camera_classification", profile="smoke", overrides=("search.seed=3", "data=my photos"))
    figures = funnel_figures(recipe, comparison, asked, num_classes=10)
    top1 = next(one for one in figures if one["what"] == "winner" and one["metric"] == "test_top1")
    assert top1 == {
        "what": "winner", "metric": "test_top1", "split": "test", "value": 0.5, "unit": "share",
        "command": "accelzoo run camera_classification --profile smoke search.seed=3 'data=my photos'",
    }  # fmt: skip
    latency = next(one for one in figures if one["what"] == "baseline" and one["metric"] == "latency_s")
    assert (latency["unit"], latency["value"]) == ("s", scored.cost.latency_s)
    program, *arguments = latency["command"].split()
    assert program == "accelzoo"
    assert json.loads(run(capsys, *arguments, "--json"))["cost"]["latency_s"] == latency["value"]
    released = [one["command"] for one in figures if one["what"] == "winner" and one["metric"] == "macs"]
    assert released == [f"accelzoo cost runs/camera_classification-smoke/release --target {recipe.target}"]


def test_effort_is_estimated_unless_counters_saw_it_all() -> None:
    estimated = spent(core_s=7200, gpu_s=0, wall_s=3600)
    assert estimated == {
        "core_hours": 2.0, "gpu_hours": 0.0, "energy_j": 72000.0, "energy_from": "estimated: 10 W per busy core",
    }  # fmt: skip
    assert spent(core_s=0, gpu_s=1800, wall_s=1800)["energy_j"] == 400 * 1800
    metered = Metered(joules=5000.04, seconds=3500.0, counters=("package-0 (RAPL)",))
    measured = spent(core_s=7200, gpu_s=0, wall_s=3600, metered=metered)
    assert (measured["energy_j"], measured["energy_from"]) == (5000.0, "measured: package-0 (RAPL)")
    assert spent(core_s=7200, gpu_s=0, wall_s=3600, metered=replace(metered, seconds=1800.0)) == estimated


def test_counters_of_packages_are_found_and_their_parts_left_out(tmp_path: Path) -> None:
    for name, joules in (("intel-rapl:0", "2500000"), ("intel-rapl:0:0", "1"), ("intel-rapl:1", "no number")):
        folder = tmp_path / name
        folder.mkdir()
        for file, text in (("name", "package-0"), ("energy_uj", joules), ("max_energy_range_uj", "262143328850")):
            (folder / file).write_text(f"{text}\n", encoding="ascii")
    packages = [counter for counter in find_counters(tmp_path) if "RAPL" in counter.name]
    assert [(one.name, one.joules(), one.range_j) for one in packages] == [("package-0 (RAPL)", 2.5, 262143.32885)]


class NoDriverError(Exception):
    """What NVML raises."""


def test_gpus_are_read_where_nvml_answers(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    readings = {"first": 7_500, "second": 2_000}  # millijoules

    def init() -> None:
        if not readings:
            raise NoDriverError

    nvml = SimpleNamespace(
        NVMLError=NoDriverError,
        nvmlInit=init,
        nvmlDeviceGetCount=lambda: len(readings),
        nvmlDeviceGetHandleByIndex=lambda number: list(readings)[number],
        nvmlDeviceGetTotalEnergyConsumption=lambda handle: readings[handle],
    )
    monkeypatch.setattr(energy, "find_spec", lambda name: name)
    monkeypatch.setattr(energy, "_nvml", lambda: nvml)
    found = [(one.name, one.joules()) for one in find_counters(tmp_path)]
    assert found == [("GPU 0 (NVML)", 7.5), ("GPU 1 (NVML)", 2.0)]
    readings.clear()
    assert find_counters(tmp_path) == []


class Failing:
    """A counter that cannot be read any more."""

    name = "fake"
    range_j = None

    def joules(self) -> float:
        raise OSError("gone")


@dataclass
class Readings:
    """A counter that says what it is told to."""

    values: list[float]
    name: str = "fake"
    range_j: float | None = 100.0
    asked: int = field(default=0)

    def joules(self) -> float:
        self.asked += 1
        return self.values[self.asked - 1]


def test_a_meter_adds_up_across_processes_and_when_a_counter_begins_anew(tmp_path: Path) -> None:
    folder = RunFolder(tmp_path)
    with EnergyMeter(folder, [Readings([90.0, 95.0, 15.0])]) as meter:
        assert meter.read() is not None
        found = meter.read()
    assert found is not None
    assert found.joules == pytest.approx(5 + 20)  # 95 → 100, and 0 → 15
    with EnergyMeter(folder, [Readings([50.0, 57.0])]) as meter:
        found = meter.read()
    assert found is not None
    assert found.joules == pytest.approx(32)
    assert found.counters == ("fake",)
    with EnergyMeter(folder, [Readings([50.0])]) as meter:  # a counter that fails later on
        meter._counters = [Failing()]
        assert meter.read() is None
        assert meter.read() is None
    with EnergyMeter(RunFolder(tmp_path / "none"), []) as meter:
        assert meter.read() is None
    assert not (tmp_path / "none").exists()


def test_the_digest_of_weights_is_of_their_values_alone() -> None:
    table, number = np.arange(6, dtype=np.float32).reshape(2, 3), np.array(7, dtype=np.int64)
    arrays: dict[str, np.ndarray[Any, Any]] = {"b": table, "a": number}
    by_hand = b"a int64 ()\n" + (7).to_bytes(8, "little") + b"b float32 (2, 3)\n" + np.arange(6, dtype="<f4").tobytes()
    assert weights_digest(arrays) == hashlib.sha256(by_hand).hexdigest()
    assert weights_digest({"a": number, "b": np.asfortranarray(table)}) == weights_digest(arrays)
    changes: list[dict[str, np.ndarray[Any, Any]]] = [
        {"b": -table}, {"b": table.reshape(3, 2)}, {"a": number.astype(np.int32)}
    ]  # fmt: skip
    for changed in changes:
        assert weights_digest({**arrays, **changed}) != weights_digest(arrays)
    layer = torch.nn.BatchNorm2d(2)
    assert weights_digest(network_arrays(layer.to(memory_format=torch.channels_last))) == weights_digest(
        {name: value.numpy() for name, value in layer.state_dict().items()}
    )


def test_the_digest_of_the_cost_model_is_of_its_own_modules() -> None:
    hasher = hashlib.sha256()
    names = sorted(path.name for path in (ROOT / "hwmodel").iterdir() if path.suffix == ".py")
    assert {"estimate.py", "table.py"} <= set(names)
    for name in names:
        content = (ROOT / "hwmodel" / name).read_bytes()
        hasher.update(f"{name} {len(content)}\n".encode() + content)
    assert hwmodel_digest() == f"sha256:{hasher.hexdigest()}"


@pytest.mark.parametrize("path", sorted([*FOLDER.glob("*.lock.json"), *ROOT.glob("accelzoo/zoo/*/lock.json")]), ids=str)
def test_every_lock_that_ships_is_read(path: Path) -> None:
    lock, content = load_lock(path), json.loads(path.read_text("utf-8"))
    assert (lock.schema, lock.recipe_digest) == (content["schema"], content["recipe_digest"])
    if lock.schema == 1:
        assert (lock.plan, lock.overrides, lock.hwmodel_digest, lock.files) == (None, None, None, None)
    else:
        assert lock.plan is not None
        assert config.digest(lock.plan) == lock.recipe_digest


def _changed(**changes: Any) -> str:
    content = json.loads((FOLDER / "camera_classification.lock.json").read_text("utf-8"))
    return json.dumps({key: value for key, value in {**content, **changes}.items() if value is not None})


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("{", "mine: not JSON"),
        ("[]", "mine: expected a JSON object, found list"),
        (_changed(schema=3), r"mine: schema 3 is not known; this version reads 1 … 2"),
        (_changed(schema=True), "mine: schema True is not known"),
        (_changed(search=None), "mine: no lock of schema 2: search: missing"),
        (_changed(schema=1, data=[]), "mine: no lock of schema 1: data: expected dict, found list"),
        (_changed(files=3), "files: expected dict, found int"),
    ],
)
def test_what_is_no_lock_is_refused(text: str, said: str) -> None:
    with pytest.raises(DataError, match=said):
        load_lock(text, "mine")


def test_a_lock_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"cannot read .*none\.json"):
        load_lock(tmp_path / "none.json")
