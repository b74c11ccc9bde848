"""Targets: built-in and own files, every fault reported at once, digests of what is priced."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest

from accelzoo import config
from accelzoo.errors import AccelzooError, ConfigError, DataError, UnknownNameError
from accelzoo.hwmodel import Target, estimate, list_targets, load_target
from accelzoo.hwmodel.target import TARGETS_FOLDER
from tests.checkout import ROOT
from tests.hwmodel.networks import TOY, bottleneck

MINIMAL = """\
name: mine
description: My own accelerator.
source: Its data sheet.
clock_hz: 1e9
macs_per_cycle: 64
input_channels_per_tile: 8
output_channels_per_tile: 8
elementwise_per_cycle: 4
sram_bytes: 1048576
sram_bytes_per_s: 8e9
dram_bytes_per_s: 1e9
weights_in: dram
op_overhead_s: 0
energy_per_mac_j: 1e-12
energy_per_sram_byte_j: 1e-12
energy_per_dram_byte_j: 1e-10
static_power_w: 0
"""


def write(folder: Path, text: str) -> Path:
    path = folder / "mine.yaml"
    path.write_text(text, encoding="utf-8")
    return path


def faults_of(folder: Path, text: str) -> list[str]:
    path = write(folder, text)
    with pytest.raises(ConfigError) as caught:
        load_target(path)
    return [fault.replace(f"{path}:", "") for fault in caught.value.faults]


def test_built_in_targets_are_files() -> None:
    assert list_targets() == sorted(path.stem for path in TARGETS_FOLDER.iterdir() if path.suffix == ".yaml")
    assert {"camera-npu", "edge-npu", "mobile-cpu"} <= set(list_targets())


@pytest.mark.parametrize("name", list_targets())
def test_built_in_targets_say_where_their_numbers_come_from(name: str) -> None:
    target = load_target(name)
    assert target.name == name
    assert "facts" in target.source or "figures" in target.source
    assert "our assumption" in target.source.lower()
    assert len(target.description) <= 120


def test_a_file_of_ones_own_loads_by_path(tmp_path: Path) -> None:
    path = write(tmp_path, MINIMAL)
    target = load_target(path)
    assert target == load_target(str(path))
    assert (target.name, target.clock_hz, target.pixels_per_tile, target.rows_hold) == ("mine", 1e9, 1, "channels")
    assert target.depthwise_rate == 64 / 8
    assert estimate(bottleneck(16, 14, 4, fused=False), target).latency_s > 0


def test_a_target_survives_being_written(tmp_path: Path) -> None:
    for name in list_targets():
        assert load_target(write(tmp_path, config.dump_yaml(load_target(name)))) == load_target(name)


@pytest.mark.parametrize("name", ["edge-npv", "edge_npu"])
def test_an_unknown_name_is_answered_with_the_nearest(name: str) -> None:
    with pytest.raises(UnknownNameError, match=f"unknown target '{name}'; did you mean 'edge-npu'"):
        load_target(name)


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"none\.yaml"):
        load_target(tmp_path / "none.yaml")


def test_all_faults_of_a_file_are_reported_with_their_places(tmp_path: Path) -> None:
    text = MINIMAL.replace("clock_hz: 1e9", "clock_hz: fast").replace("macs_per_cycle: 64", "macs_per_cycles: 64")
    text = text.replace("weights_in: dram", "weights_in: flash") + "name: again\n"
    faults = faults_of(tmp_path, text)
    found = {
        "clock_hz": "4:11: ",
        "macs_per_cycles": "5:1: ",
        "did you mean 'macs_per_cycle'": "5:1: ",
        "flash": "12:13: ",
        "duplicate": "18:1: ",
    }
    for part, place in found.items():
        assert any(part in fault and fault.startswith(place) for fault in faults), (part, faults)
    assert any("missing" in fault and "macs_per_cycle" in fault for fault in faults)


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("clock_hz: 1e9", "clock_hz: 0", "clock_hz: must be a finite number greater than 0, got 0"),
        ("sram_bytes: 1048576", "sram_bytes: -1", "sram_bytes: must be a finite number greater than 0, got -1"),
        ("static_power_w: 0", "static_power_w: -2", "static_power_w: must be a finite number at least 0, got -2"),
        ("source: Its data sheet.", "source: ' '", "source: must not be empty"),
        ("weights_in: dram", "weights_in: sram", "weight_sram_bytes: needed with weights_in: sram"),
        ("weights_in: dram", "weights_in: dram\nweight_sram_bytes: 3", "weight_sram_bytes: has no meaning"),
        ("op_overhead_s: 0", "op_overhead_s: 0\nunsupported: [activation:sillu]", "did you mean 'activation:silu'"),
        ("op_overhead_s: 0", "op_overhead_s: 0\nfused_activations: [relu7]", "unknown operator 'relu7'"),
        (
            "op_overhead_s: 0",
            "op_overhead_s: 0\nfused_activations: [relu]\nunsupported: [activation]",
            "fused_activations: 'relu' is in unsupported as well",
        ),
    ],
)
def test_values_that_make_no_sense_are_refused(tmp_path: Path, old: str, new: str, message: str) -> None:
    (fault,) = faults_of(tmp_path, MINIMAL.replace(old, new))
    assert message in fault
    assert fault[0].isdigit()  # line and column


def test_several_such_values_are_reported_together(tmp_path: Path) -> None:
    text = MINIMAL.replace("clock_hz: 1e9", "clock_hz: 0").replace("macs_per_cycle: 64", "macs_per_cycle: -1")
    assert len(faults_of(tmp_path, text)) == 2


@pytest.mark.parametrize("value", [float("nan"), float("inf"), 0.0, -1.0])
def test_a_target_made_in_python_is_checked_too(value: float) -> None:
    with pytest.raises(ConfigError, match="clock_hz"):
        replace(TOY, clock_hz=value)


def test_equal_digests_price_alike() -> None:
    assert TOY.digest() == replace(TOY, description="Other words.", source="The same numbers.").digest()
    assert TOY.digest() == replace(TOY, clock_hz=1000000000).digest()
    changed = [replace(TOY, clock_hz=2e9), replace(TOY, unsupported=("mul",)), replace(TOY, rows_hold="window")]
    digests = {target.digest() for target in (TOY, *changed)}
    assert len(digests) == 4
    assert all(digest.startswith("sha256:") and len(digest) == 71 for digest in digests)


def test_built_in_targets_differ() -> None:
    targets = [load_target(name) for name in list_targets()]
    assert len({target.digest() for target in targets}) == len(targets)
    assert all(isinstance(target, Target) for target in targets)


def test_a_learned_part_changes_the_digest_and_its_absence_does_not() -> None:
    with_part = [replace(TOY, learned=f"sha256:{digit * 64}") for digit in "01"]
    assert len({target.digest() for target in (TOY, *with_part)}) == 3
    # Recorded by a run that knew of no learned parts.
    lock = json.loads((ROOT / "recipes" / "camera_classification.lock.json").read_text())["target"]
    assert load_target(lock["name"]).digest() == lock["digest"]
    assert lock["digest"] == "sha256:8872c67fff610617c648fc8267fb31411e91fa7681432dcf073f6e6f9fe7ced7"


def test_only_a_learned_part_looks_at_neighbours() -> None:
    assert TOY.context_radius == 0
    with pytest.raises(AccelzooError, match="'toy' has a learned part, sha256:0, which is not loaded"):
        _ = replace(TOY, learned="sha256:0").context_radius


def test_a_file_that_names_a_learned_part_needs_it_beside_it(tmp_path: Path) -> None:
    path = write(tmp_path, MINIMAL + "learned: sha256:0\n")
    with pytest.raises(DataError, match=r"mine\.learned\.npz: the target's learned part is missing; it belongs beside"):
        load_target(path)
