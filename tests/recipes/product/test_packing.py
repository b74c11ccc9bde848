"""Releases of detectors and segmentation networks: loaded back, kept whole on a hub, and what a card says."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

import accelzoo
from accelzoo.build import Trunk, build
from accelzoo.errors import ConfigError, DataError, ReleaseError
from accelzoo.hub import open_hub
from accelzoo.hwmodel import estimate, load_target
from accelzoo.model_card import read_card
from accelzoo.recipes.lock import make_lock
from accelzoo.recipes.product.packing import best_run, pack_network
from accelzoo.recipes.product.searching import fit_baseline
from accelzoo.recipes.product.tasks import product_data
from accelzoo.recipes.product.values import BASELINE, Network, Priced, SeedRun, Trained
from accelzoo.release import Release, read_release, verify_folder
from accelzoo.tasks.score import DenseScore
from tests.recipes.product.tiny_product import product_recipe

RANGES = {"method": "mse", "images": 4, "ranges": {"input": [-1.0, 1.0]}}


def score(metric: str, value: float) -> DenseScore:
    return DenseScore(metric=metric, value=value, count=9, low=value - 0.1, high=value + 0.1)


def runs(metric: str) -> tuple[SeedRun, ...]:
    values = ((3, 0.5, 0.45, 0.4), (7, 0.75, 0.25, 0.7), (8, 0.75, 0.9, 0.7))
    return tuple(
        SeedRun(seed=seed, validation=score(metric, known), test=score(metric, new), int8=score(metric, int8), wall_s=1)
        for seed, known, new, int8 in values
    )


def packed(folder: Path, task: str, search: str | None = "widths") -> tuple[Release, Trunk]:
    recipe = product_recipe(folder, task)
    data, target = product_data(recipe), load_target(recipe.target)
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        arch = fit_baseline(recipe, len(data.class_names))
    model = build(arch, torch.Generator().manual_seed(7)).eval()
    name = BASELINE if search is None else "fast"
    one = Trained(
        network=Network(name=name, title="widths", arch=arch, search=search),
        prices={target.name: Priced(target=target.name, cost=estimate(arch.lower(), target))},
        compiled=None,
        runs=runs({"detection": "AP50", "segmentation": "mIoU"}[task]),
    )
    lock = make_lock(
        recipe, target=target, winner_digest=arch.digest(), search={}, data={}, trainings={}, comparison={}, seconds={}
    )
    trace = folder / "trace.jsonl"
    trace.write_bytes(b"{}\n")
    release = pack_network(
        folder / "release", recipe, one=one, model=model, calibration=RANGES, data=data, table="| a |\n",
        target=target.name, lock=lock, trace_path=None if search is None else trace,
    )  # fmt: skip
    return release, model


@pytest.mark.parametrize("task", ["detection", "segmentation"])
@pytest.mark.parametrize("kind", [str, Path])
def test_a_release_loads_back(task: str, kind: type, tmp_path: Path) -> None:
    release, model = packed(tmp_path, task)
    verify_folder(release.folder)
    again = accelzoo.create_model(kind(release.folder))
    assert not again.training
    assert again.arch == model.arch
    assert again.class_names == product_data(product_recipe(tmp_path, task)).class_names
    assert again.pretrained_cfg["input_size"] == [3, 48, 48]
    images = torch.randn(2, 3, 48, 48, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        torch.testing.assert_close(again(images), model(images), rtol=0, atol=0)
    assert read_release(release.folder).read_quantization() == RANGES
    assert accelzoo.get_arch(kind(release.folder)) == model.arch  # what `accelzoo cost` prices


def test_a_folder_of_releases_is_none_and_names_them(tmp_path: Path) -> None:
    release, _ = packed(tmp_path, "detection")
    with pytest.raises(ReleaseError, match=f"a folder that is no release; releases in it: {release.folder}"):
        accelzoo.create_model(str(tmp_path))


def test_the_classes_of_a_released_detector_are_fixed(tmp_path: Path) -> None:
    release, _ = packed(tmp_path, "detection")
    assert accelzoo.create_model(release.folder, num_classes=3).num_classes == 3
    with pytest.raises(ConfigError, match="for detection keeps its 3 classes"):
        accelzoo.create_model(release.folder, num_classes=4)
    with pytest.raises(ConfigError, match="leave weights out"):
        accelzoo.create_model(release.folder, weights="timm")


def test_a_hub_keeps_the_ranges_and_notices_when_they_are_damaged(tmp_path: Path) -> None:
    release, _ = packed(tmp_path, "segmentation")
    hub = open_hub((tmp_path / "hub").as_uri())
    hub.publish(release.folder, "zoo/tiny")
    pulled = read_release(hub.pull("zoo/tiny", into=tmp_path / "pulled"))
    assert pulled.digest == release.digest
    assert pulled.read_quantization() == RANGES
    path = pulled.folder / "quantization.json"
    path.write_bytes(path.read_bytes() + b" ")
    with pytest.raises(ReleaseError, match=r"quantization\.json: damaged"):
        verify_folder(pulled.folder)
    path.unlink()
    with pytest.raises(ReleaseError, match=r"quantization\.json: missing"):
        verify_folder(pulled.folder)


def test_the_card_says_what_was_measured(tmp_path: Path) -> None:
    release, network = packed(tmp_path, "segmentation")
    card = release.read_card()
    meta = read_card(card)
    latency_s = estimate(network.arch.lower(), load_target("ethos-u55-128")).latency_s
    assert meta["tags"] == [
        "accelzoo", "image-segmentation", "target:ethos-u55-128", f"latency_ms:{latency_s * 1e3:.4g}",
        "baseline:baseline.json",
    ]  # fmt: skip
    assert meta["pipeline_tag"] == "image-segmentation"
    assert "accelzoo.create_model('OWNER/tiny_fast')" in card
    assert "import timm" not in card
    assert meta["datasets"] == ["shapes"]
    (model,) = meta["model-index"]
    assert model["name"] == "tiny_fast"
    found = [(one["dataset"]["split"], metric["type"], metric["name"], metric["value"])
             for one in model["results"] for metric in one["metrics"]]  # fmt: skip
    assert found == [
        ("test", "mean_iou", "mIoU, float32", 0.25),  # of seed 7: the first of the best on validation images
        ("test", "latency_s", "latency on ethos-u55-128 (s), batch 1", latency_s),
        ("validation", "mean_iou", "mIoU, float32", 0.75),
        ("validation", "mean_iou", "mIoU, int8", 0.7),
    ]
    assert "These are the weights of seed 7" in card
    assert "15.00% … 35.00%" in card
    assert "by the search `widths`" in card
    assert best_run(Trained(network=None, prices={}, compiled=None, runs=runs("mIoU"))).seed == 7  # type: ignore[arg-type]


def test_the_baseline_has_no_trace(tmp_path: Path) -> None:
    release, _ = packed(tmp_path, "detection", None)
    assert release.trace_path.read_bytes() == b""
    assert "The baseline, `baseline.json`, with the classes of the data" in release.read_card()
    assert not [tag for tag in read_card(release.read_card())["tags"] if tag.startswith("baseline:")]


def test_other_weights_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from accelzoo.recipes.product import packing

    monkeypatch.setattr(packing, "best_run", lambda one: one.runs[0])
    recipe = product_recipe(tmp_path)
    model = build(accelzoo.get_arch("mobilenetv2_035", num_classes=3, input_size=32))
    monkeypatch.chdir(tmp_path)
    one = Trained(network=Network(name="fast", title="", arch=fit_baseline(recipe, 3)), prices={}, compiled=None)
    with pytest.raises(DataError, match="fast: the weights are those of another network"):
        pack_network(
            tmp_path / "release", recipe, one=one, model=model, calibration={}, data=product_data(recipe), table="",
            target="", lock={}, trace_path=None,
        )  # fmt: skip
