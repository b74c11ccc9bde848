"""What the verb ls prints."""

from __future__ import annotations

import csv
import io
import json
import math
import shutil
from pathlib import Path
from typing import Any

import pytest

from accelzoo.hubs.conformance import example_release
from accelzoo.hwmodel import estimate, list_targets, load_target, target
from accelzoo.recipes import list_recipes
from accelzoo.registry import get_arch, get_space, list_models, list_spaces
from accelzoo.release import write_release
from tests.accelzoo.fresh import fresh_python
from tests.recipes.calls import Capture, failure, run, run_json

pytestmark = pytest.mark.usefixtures("own_places")
TARGET = "edge-npu"


def test_ls_lists_every_kind(capsys: Capture) -> None:
    listing = run_json(capsys, "ls")
    names = {kind: [entry["name"] for entry in entries] for kind, entries in listing.items()}
    assert list(names) == ["models", "spaces", "targets", "recipes", "releases"]
    assert names["models"] == list_models()
    assert names["spaces"] == list_spaces()
    assert names["targets"] == list_targets()
    assert names["recipes"] == list_recipes()
    text = run(capsys, "ls")
    assert all(name in text for found in names.values() for name in found)


def test_ls_models_has_published_numbers(capsys: Capture) -> None:
    (entry,) = run_json(capsys, "ls", "models", "mobilenetv2_100")["models"]
    # MobileNetV2 1.0 at 224: 300.774272 M MACs and 3 504 872 parameters, of which 17 056 pairs are batch norm's.
    assert (entry["macs"], entry["family"], entry["input_size"]) == (300_774_272, "mobilenetv2", [3, 224, 224])
    assert entry["weight_bytes"] == (3_504_872 - 2 * 17_056 - 1000) + 4 * (17_056 + 1000)
    assert (entry["parameters"], entry["task"]) == (3_504_872, "classification")
    # The first strided depthwise convolution, a byte per element.
    assert entry["peak_activation_bytes"] == 96 * 112 * 112 + 96 * 56 * 56


def test_ls_models_shows_published_accuracy(capsys: Capture) -> None:
    # Google's page of EfficientNet-EdgeTPU: 77.23 % (S, float).
    (entry,) = run_json(capsys, "ls", "models", "efficientnet_es")["models"]
    assert (entry["top1_percent"], entry["map_percent"]) == (77.23, None)
    assert "77.2" in run(capsys, "ls", "models", "efficientnet_es")


def test_ls_takes_a_pattern_alone(capsys: Capture) -> None:
    listing = run_json(capsys, "ls", "camera*")
    assert [entry["name"] for entry in listing["targets"]] == ["camera-npu"]
    assert "camera_ibn" in [entry["name"] for entry in listing["models"]]
    assert run(capsys, "ls", "recipes", "none*") == "no recipes\n"
    assert run(capsys, "ls", "models", "none*", "--target", TARGET) == "no models\n"


def test_ls_models_of_one_task(capsys: Capture) -> None:
    found = run_json(capsys, "ls", "models", "--task", "detection")["models"]
    assert found
    assert [entry["name"] for entry in found] == [
        name for name in list_models() if get_arch(name).head.task == "detection"
    ]


def test_ls_models_prices_on_a_target(capsys: Capture) -> None:
    for entry in run_json(capsys, "ls", "models", "ibn_*", "--target", "ethos-u55-256")["models"]:
        cost = estimate(get_arch(entry["name"]).lower(), load_target("ethos-u55-256"))
        assert (entry["target"], entry["latency_s"]) == ("ethos-u55-256", cost.latency_s)
        assert (entry["energy_j"], entry["peak_activation_bytes"]) == (cost.energy_j, cost.peak_activation_bytes)


def test_ls_models_marks_lower_bounds_and_puts_them_last(capsys: Capture) -> None:
    # edge-npu has no hard-swish, which MobileNetV3 has (Howard et al. 2019, tables 1 and 2) and MobileNetV2 has not.
    arguments = ("ls", "models", "mobilenetv[23]_*100", "--target", TARGET, "--sort", "latency")
    found = run_json(capsys, *arguments)["models"]
    unpriced = [bool(entry["unpriced_operators"]) for entry in found]
    assert unpriced == sorted(unpriced)
    assert len(set(unpriced)) == 2
    assert all(sum(entry["unpriced_kinds"].values()) == entry["unpriced_operators"] for entry in found)
    for reverse in (run(capsys, *arguments), run(capsys, *arguments, "--reverse")):
        *rows, note = reverse.splitlines()[1:]
        assert [">=" in row for row in rows] == unpriced
        assert note.startswith(f">=: without operators that have no price on {TARGET} (activation:hard_s")


@pytest.mark.parametrize(
    ("key", "field"),
    [
        ("macs", "macs"),
        ("params", "parameters"),
        ("weights", "weight_bytes"),
        ("peak", "peak_activation_bytes"),
        ("energy", "energy_j"),
        ("latency", "latency_s"),
        ("name", "name"),
        ("top1", "top1_percent"),
        ("map", "map_percent"),
    ],
)
def test_ls_models_sorts(key: str, field: str, capsys: Capture) -> None:
    arguments = ("ls", "models", "--target", "mobile-cpu", "--sort", key)
    up, down = (
        [entry[field] for entry in run_json(capsys, *arguments, *more)["models"]] for more in ((), ("--reverse",))
    )
    known = [value for value in up if value is not None]
    assert known == sorted(known)
    assert up == known + [None] * (len(up) - len(known))
    assert down == known[::-1] + [None] * (len(up) - len(known))


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("models", "--sort", "latency"), "add --target T"),
        (("models", "--sort", "energy"), "add --target T"),
        (("models", "--sort", "latancy"), "unknown sort 'latancy'; did you mean 'latency'? (allowed: name, latency"),
        (("models", "--task", "detecton"), "unknown task 'detecton'; did you mean 'detection'? (allowed: class"),
        (("models", "--target", "edge_npu"), "unknown target 'edge_npu'; did you mean 'edge-npu'?"),
        (("targets", "--sort", "macs"), "--sort is for models only: accelzoo ls models --sort"),
        (("--target", TARGET), "--target is for models only"),
        (("--csv",), "--csv writes one table: name a kind (models, spaces, targets"),
        (("models", "--csv", "--json"), "not allowed with argument"),
    ],
)
def test_ls_tells_mistakes(arguments: tuple[str, ...], message: str, capsys: Capture) -> None:
    assert message in failure(capsys, "ls", *arguments)


def test_ls_csv_has_units_and_crlf(capsys: Capture) -> None:
    text = run(capsys, "ls", "models", "ibn_*", "--target", TARGET, "--csv")
    assert text.endswith("\r\n")
    assert text.count("\n") == text.count("\r\n") == 5
    rows = list(csv.DictReader(io.StringIO(text, newline=""), strict=True))
    listed = run_json(capsys, "ls", "models", "ibn_*", "--target", TARGET)["models"]
    assert [list(row) for row in rows] == [list(entry) for entry in listed]
    for row, entry in zip(rows, listed, strict=True):
        assert row["input_size"] == "3x224x224"
        assert float(row["latency_s"]) == entry["latency_s"]
        assert (int(row["macs"]), row["top1_percent"]) == (entry["macs"], "")


def test_ls_csv_quotes_what_needs_it(capsys: Capture) -> None:
    rows = list(csv.DictReader(io.StringIO(run(capsys, "ls", "targets", "--csv"), newline=""), strict=True))
    assert [row["description"] for row in rows] == [load_target(name).description for name in list_targets()]
    assert any("," in row["description"] for row in rows)
    bounded = run(capsys, "ls", "models", "mobilenetv3_large_100", "--target", TARGET, "--csv")
    (row,) = csv.DictReader(io.StringIO(bounded, newline=""), strict=True)
    assert sum(int(part.split()[0]) for part in row["unpriced_kinds"].split("; ")) == int(row["unpriced_operators"])
    assert run(capsys, "ls", "models", "none*", "--csv") == ""


def test_ls_spaces(capsys: Capture) -> None:
    entries = {entry["name"]: entry for entry in run_json(capsys, "ls", "spaces")["spaces"]}
    for name in list_spaces():
        knobs = get_space(name).knobs
        assert entries[name]["knobs"] == len(knobs)
        assert entries[name]["size"] == math.prod(len(knob.values) for knob in knobs)
    assert entries["camera"]["baselines"] == ["camera_ibn"]  # what the recipe camera_classification says


def test_one_damaged_target_hides_no_other(
    capsys: Capture, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "targets"
    folder.mkdir()
    for name in ("edge-npu.yaml", "ethos-u55-128.yaml"):
        shutil.copy(target.TARGETS_FOLDER / name, folder)
    (folder / "ethos-u55-128.learned.npz").write_bytes(b"not a zip file")
    monkeypatch.setattr(target, "TARGETS_FOLDER", folder)
    monkeypatch.setattr("accelzoo.hwmodel.learned._known", {})
    target._built_in.cache_clear()
    try:
        whole, damaged = run_json(capsys, "ls", "targets")["targets"]
        text = run(capsys, "ls", "targets")
    finally:
        target._built_in.cache_clear()
    assert (whole["name"], whole["error"]) == ("edge-npu", None)
    assert (damaged["name"], damaged["clock_hz"]) == ("ethos-u55-128", None)
    assert "ethos-u55-128.learned.npz: not a learned part" in damaged["error"]
    assert "cannot be loaded: " in text.splitlines()[2]


def test_ls_releases_finds_hub_and_cache(capsys: Capture, tmp_path: Path) -> None:
    release = example_release(tmp_path / "tiny")
    run(capsys, "publish", str(release.folder), "zoo/tiny", "--tag", "v1", "--tag", "paper")
    folder = run(capsys, "pull", "hub:zoo/tiny").strip()
    stored, pulled = run_json(capsys, "ls", "releases", "zoo/*")["releases"]
    assert (stored["name"], stored["where"], stored["tags"]) == ("hub:zoo/tiny", "hub", ["paper", "v1"])
    assert Path(stored["folder"]).is_relative_to(tmp_path / "hub")
    expected: dict[str, Any] = {
        "name": f"zoo/tiny@{release.digest}",
        "where": "cache",
        "folder": folder,
        "digest": release.digest,
        "tags": [],
        "architecture": "sha256:" + "a" * 64,
        "task": None,  # of an architecture that is none
        "size_bytes": sum(path.stat().st_size for path in release.folder.iterdir()),
        "target": None,
        "metrics": {"accuracy": 0.5},
        "error": None,
    }
    assert pulled == expected
    assert release.digest[:19] in run(capsys, "ls", "releases")


def test_ls_releases_shows_what_is_damaged_and_prints_nothing_raw(capsys: Capture, tmp_path: Path) -> None:
    release = example_release(tmp_path / "tiny")
    config = json.loads((release.folder / "config.json").read_text(encoding="utf-8"))
    config["accelzoo"]["metrics"] = {"\x1b[31mred": 0.5}
    hostile = write_release(
        tmp_path / "hostile",
        weights=release.load_weights(),
        config=config,
        recipe_yaml="a: b\n",
        lock={},
        trace_path=None,
        card=release.read_card(),
    )
    for one, name in ((release, "zoo/tiny"), (hostile, "zoo/hostile")):
        run(capsys, "publish", str(one.folder), name)
        run(capsys, "pull", f"hub:{name}")
    (cached,) = (tmp_path / "cache/releases/zoo/tiny").iterdir()
    (cached / "lock.json").unlink()
    text = run(capsys, "ls", "releases", "zoo/*")
    assert "\x1b" not in text
    assert text.count("\\u001b[31mred 0.5") == 2
    (line,) = (line for line in text.splitlines() if "damaged: " in line)
    assert line.split()[:3] == ["zoo/tiny", "cache", release.digest[:19]]
    assert "lock.json: missing" in text


def test_listing_and_pricing_models_needs_no_torch() -> None:
    code = (
        "import sys; from accelzoo.recipes import cli; "
        "cli.main(['ls', 'models', '--target', 'ethos-u55-256', '--sort', 'latency']); "
        "print({'torch', 'timm'} & set(sys.modules))"
    )
    assert fresh_python(code).splitlines()[-1] == "set()"


def test_the_table_is_not_wide(capsys: Capture) -> None:
    assert max(map(len, run(capsys, "ls", "models").splitlines())) <= 160
