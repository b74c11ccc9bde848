"""Packing a width run's network: the weights, the metrics and the card are those of the seed that was chosen."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import huggingface_hub
import torch

from accelzoo import config
from accelzoo.build import build_classifier
from accelzoo.hwmodel import estimate, load_target
from accelzoo.pretrained import load_release
from accelzoo.recipes.bank import DataBank
from accelzoo.recipes.lock import make_lock
from accelzoo.recipes.packing import ESTIMATED, pack
from accelzoo.recipes.report import Scored
from accelzoo.recipes.schema import read_recipe
from accelzoo.registry import get_arch
from accelzoo.release import Release, read_release, verify_folder
from accelzoo.tasks.metrics import Metrics
from tests.recipes.width_recipe import width_recipe

RECIPE = replace(width_recipe(), seeds=(7, 3), description="Narrower.")
TARGET = load_target("camera-npu")
ARCH = get_arch("mobilenetv1_100", width_multiplier=0.25, num_classes=10, input_size=(3, 16, 16))
SCORED = Scored(
    cost=estimate(ARCH.lower(), TARGET),
    validation=tuple(Metrics(correct=correct, count=50, loss=1.0) for correct in (20, 30)),
    test=tuple(Metrics(correct=correct, count=100, loss=1.0) for correct in (40, 50)),
)


def packed(folder: Path, **settings: Any) -> Release:
    lock = make_lock(
        RECIPE,
        target=TARGET,
        winner_digest=ARCH.digest(),
        search={"methods": ["optimal"]},
        data={"all": {"name": "digits"}},
        trainings={},
        comparison={"gain": 0.5},
        seconds={"slimmable": 12.34},
    )
    (folder / "width.jsonl").write_bytes(b"{}\n")
    return pack(
        folder / "release",
        RECIPE,
        model=build_classifier(ARCH, torch.Generator().manual_seed(3)),
        data=DataBank("digits", 3).of(ARCH),
        scored=SCORED,
        index=1,
        seed=3,
        table="| optimal | 0.5 |\n",
        target=TARGET.name,
        lock=lock,
        trace_path=folder / "width.jsonl",
        found_by="every width that was chosen in `trace.jsonl`",
        **settings,
    )


def test_a_width_recipe_is_released(tmp_path: Path) -> None:
    release = packed(tmp_path)
    assert verify_folder(release.folder) == release.digest
    release = read_release(release.folder)
    assert read_recipe(config.Text(release.read_recipe())) == RECIPE
    assert release.trace_path.read_bytes() == b"{}\n"
    lock = release.read_lock()
    assert (lock["recipe"], lock["winner_digest"], lock["wall_s"]) == ("narrow", ARCH.digest(), {"slimmable": 12.3})
    assert lock["recipe_digest"] == config.digest(RECIPE)
    model = load_release(release)
    expected = build_classifier(ARCH, torch.Generator().manual_seed(3)).state_dict()
    assert all(torch.equal(value, expected[name]) for name, value in model.state_dict().items())


def test_the_card_tells_how_it_was_found(tmp_path: Path) -> None:
    card = read_release(packed(tmp_path).folder).read_card()
    for line in (
        "Narrower.",
        "Found for `camera-npu` by the recipe `narrow` (`recipe.yaml`; the run is in `lock.json`, "
        "every width that was chosen in `trace.jsonl`).",
        # Wilson's interval of 50 in 100, as any table of it has.
        "These are the weights of seed 3, which has the best validation accuracy; their 95 % interval on the test "
        "split is 40.38% … 59.62% (Wilson).",
        ESTIMATED,
        "| optimal | 0.5 |",
        "| image-classification | digits (test) | top-1 accuracy, float32 | 0.5 |",
    ):
        assert line in card.splitlines()


def test_a_hub_can_index_the_card(tmp_path: Path) -> None:
    data: Any = huggingface_hub.ModelCard(read_release(packed(tmp_path).folder).read_card()).data
    latency_s = SCORED.cost.latency_s
    assert (data.library_name, data.pipeline_tag) == ("accelzoo", "image-classification")
    assert data.tags == [
        "accelzoo", "image-classification", "target:camera-npu", f"latency_ms:{latency_s * 1e3:.4g}",
        f"baseline:{RECIPE.network}",
    ]  # fmt: skip
    assert [(one.metric_type, one.metric_value, one.dataset_split) for one in data.eval_results] == [
        ("accuracy", 0.5, "test"),
        ("latency_s", latency_s, "test"),
    ]


def test_the_card_says_what_its_numbers_are(tmp_path: Path) -> None:
    card = read_release(packed(tmp_path, numbers="Latencies are measured.").folder).read_card()
    assert "\nLatencies are measured.\n" in card
    assert ESTIMATED not in card


def test_the_metrics_are_those_of_the_seed(tmp_path: Path) -> None:
    own = read_release(packed(tmp_path).folder).config["accelzoo"]
    assert own["metrics"] == {"test_top1": 0.5, "validation_top1": 0.6}
    assert (own["target"], own["cost"]["macs"]) == ("camera-npu", ARCH.lower().macs)
