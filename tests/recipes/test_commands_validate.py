"""What the verb validate prints and writes."""

from __future__ import annotations

import shlex
import sys
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest

from accelzoo.hwmodel import Graph, estimate, list_targets, load_target, oracles
from accelzoo.hwmodel.campaign import collect
from accelzoo.hwmodel.measurement import Measurement, Provenance
from accelzoo.hwmodel.measurement_log import MeasurementLog, compress
from accelzoo.hwmodel.measurements import Measurements, Sampling
from accelzoo.hwmodel.sampling import SPACE_VERSION
from accelzoo.hwmodel.validate import Explanation, Report, validate_measurements
from accelzoo.recipes import cli
from accelzoo.recipes.commands import validate as command
from tests.hwmodel.fitted import fitted_on
from tests.hwmodel.networks import bottleneck
from tests.recipes.calls import Capture, failure, run, run_json

pytestmark = pytest.mark.usefixtures("own_places")
MADE_UP = Provenance(oracle="made-up", target="thing", tool="made-up-1")
NETWORKS = [bottleneck(8 * width, 14, 4, fused=fused) for width in (1, 2, 3) for fused in (False, True)]


def write(path: Path, graphs: list[Graph], factor: float = 1.0, **fields: Any) -> Path:
    """Writes measurements that are the camera's prices times a factor."""
    camera = load_target("camera-npu")
    fields = {"source": "network:ibn"} | fields
    with MeasurementLog(path, MADE_UP) as log:
        for graph in graphs:
            log.append(Measurement(graph=graph, latency_s=factor * estimate(graph, camera).latency_s, **fields))
    return path


def systolic(path: Path, count: int, seed: int = 0, kind: str = "network") -> Path:
    sampling = Sampling(kind, seed, SPACE_VERSION)
    oracle = oracles.load("systolic", "systolic-16x16")
    with MeasurementLog(path, oracle.provenance, sampling) as log:
        collect(lambda: oracle, log, sampling, count)
    return path


# the report


def test_validate_against_files_is_the_whole_report(capsys: Capture) -> None:
    write(Path("one.jsonl"), NETWORKS[:4], 1.25)
    write(Path("two.jsonl"), NETWORKS[4:], 1.0, source="network:ibn/named")
    data = run_json(capsys, "validate", "camera-npu", "--against", "one.jsonl", "two.jsonl")
    report = Report.from_json(data)
    samples = [*Measurements.read("one.jsonl"), *Measurements.read("two.jsonl")]
    assert report == validate_measurements("camera-npu", samples, against="made-up-1/thing")
    assert report.whole.within_10_percent == pytest.approx(2 / 6)
    text = run(capsys, "validate", "camera-npu", "--against", "one.jsonl", "two.jsonl")
    assert text.splitlines()[0] == "camera-npu against made-up-1/thing: 6 samples, none of them used in fitting"
    assert "-20.0 %" in text  # 1 / 1.25 − 1


def test_validate_by_op_says_where_the_error_comes_from(capsys: Capture) -> None:
    path = systolic(Path("measured.jsonl"), 3)
    data = run_json(capsys, "validate", "mobile-cpu", "--against", str(path), "--by-op")
    found = Explanation.from_json(data.pop("by_op"))
    assert Report.from_json(data).whole.n == found.networks == 3
    assert sum(entry.error_share for entry in found.classes) == pytest.approx(1)
    text = run(capsys, "validate", "mobile-cpu", "--against", str(path), "--by-op")
    assert found.header() in text
    assert found.classes[0].label in text


def test_validate_measures_now(capsys: Capture) -> None:
    arguments = (
        "validate",
        "mobile-cpu",
        "--oracle",
        "systolic",
        "--oracle-target",
        "systolic-16x16",
        "--samples",
        "3",
    )
    report = Report.from_json(run_json(capsys, *arguments, "--seed", "7"))
    expected = Measurements.read(systolic(Path("measured.jsonl"), 3, seed=7))
    assert report == validate_measurements("mobile-cpu", expected, against="closed-form-1/systolic-16x16")
    blocks = Report.from_json(run_json(capsys, *arguments, "--kind", "block"))
    assert {entry.family for entry in blocks.networks} != {"random"}


def test_validate_tells_samples_that_have_no_measurement(capsys: Capture, monkeypatch: pytest.MonkeyPatch) -> None:
    module = import_module("accelzoo.hwmodel.oracles.systolic")
    monkeypatch.setattr(module, "STREAMED_KINDS", tuple(kind for kind in module.STREAMED_KINDS if kind != "concat"))
    arguments = ["validate", "mobile-cpu", "--oracle", "systolic", "--oracle-target", "systolic-16x16"]
    assert cli.main([*arguments, "--samples", "6"]) == 0
    shown = capsys.readouterr()
    assert "5 samples, none" in shown.out
    assert "accelzoo: warning: sample 0 has no measurement: unsupported: concat" in shown.err
    assert "systolic measured none of 1 samples\nsample 0" in failure(capsys, *arguments, "--samples", "1")


def test_validate_takes_the_measurements_that_come_with_a_target(
    capsys: Capture, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(import_module("accelzoo.hwmodel.validate"), "HELD_OUT_FOLDER", tmp_path)
    message = failure(capsys, "validate", "camera-npu")
    assert "camera-npu comes with no measurements to validate it on: pass --against FILE" in message
    measured = Measurements.read(write(Path("one.jsonl"), NETWORKS))
    compress(measured, tmp_path / "camera-npu.held-out.jsonl.xz")
    assert "6 samples" in run(capsys, "validate", "camera-npu")


@pytest.mark.parametrize("name", list_targets())
def test_targets_with_measurements_can_run_them(name: str, capsys: Capture) -> None:
    path = import_module("accelzoo.hwmodel.validate").held_out_file(name)
    if path is None:
        pytest.skip("a target on paper, which comes without measurements")
    report = Report.from_json(run_json(capsys, "validate", name))
    assert (report.fitted, report.whole.not_predicted) == (0, 0)
    assert report.whole.n >= 8
    assert "random" in report.families


# files


def test_validate_draws_and_writes_and_never_writes_over(capsys: Capture) -> None:
    pytest.importorskip("matplotlib", reason="the picture needs the extra [plot]")
    write(Path("my file.jsonl"), NETWORKS)
    arguments = ("validate", "camera-npu", "--against", "my file.jsonl", "--plot", "one.png", "--out", "one.md")
    text = run(capsys, *arguments)
    assert text.endswith("wrote one.png\nwrote one.md\n")
    assert Path("one.png").read_bytes().startswith(b"\x89PNG")
    written = Path("one.md").read_text(encoding="utf-8")
    made_by, report = written.split("\n\n", 1)
    assert shlex.split(made_by.split("`")[1]) == ["accelzoo", *arguments]
    assert report == Report.from_json(run_json(capsys, *arguments[:4])).to_markdown()
    for given in (arguments[:6], (*arguments[:4], *arguments[6:])):
        assert f"{given[5]} exists already; give another name" in failure(capsys, *given)
    assert Path("one.md").read_text(encoding="utf-8") == written
    assert "no folder missing" in failure(capsys, *arguments[:4], "--out", "missing/one.md")


def test_the_written_command_holds_every_choice(capsys: Capture) -> None:
    words = (
        "validate mobile-cpu --oracle systolic --oracle-target systolic-16x16 --samples 2 --seed 5 --kind block --by-op"
    )
    arguments = [*words.split(), "--out", "one.md"]
    run(capsys, *arguments)
    assert Path("one.md").read_text(encoding="utf-8").startswith(f"Made by `accelzoo {shlex.join(arguments)}`.\n")


def test_validate_without_matplotlib_says_so_before_measuring(capsys: Capture, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    message = failure(capsys, "validate", "camera-npu", "--against", "missing.jsonl", "--plot", "one.png")
    assert "accelzoo[plot]" in message


# mistakes


def test_validate_refuses_what_the_target_was_fitted_on(capsys: Capture, monkeypatch: pytest.MonkeyPatch) -> None:
    from accelzoo import hwmodel

    fitted = fitted_on(load_target("camera-npu"), NETWORKS[1:3])
    monkeypatch.setattr(hwmodel, "load_target", lambda name: fitted)
    write(Path("one.jsonl"), NETWORKS)
    message = failure(capsys, "validate", "fitted", "--against", "one.jsonl", "--out", "one.md")
    assert "fitted was fitted on 2 of these 6 measurements" in message
    assert "rows 1 (network:ibn), 2 (network:ibn)" in message
    assert not Path("one.md").exists()


def test_validate_suspects_another_unit(capsys: Capture) -> None:
    write(Path("milliseconds.jsonl"), NETWORKS, 1e3)
    message = failure(capsys, "validate", "camera-npu", "--against", "milliseconds.jsonl")
    assert "row 0 (ibn 0): " in message
    assert "1,000 times slower. Wrong unit?" in message


def test_validate_counts_one_kind_of_sample(capsys: Capture) -> None:
    path = str(systolic(Path("blocks.jsonl"), 4, kind="block"))
    message = failure(capsys, "validate", "mobile-cpu", "--against", path)
    assert "blocks.jsonl: no measurement of kind network; there are: block (choose with --kind)" in message
    assert "4 samples" in run(capsys, "validate", "mobile-cpu", "--against", path, "--kind", "block")
    write(Path("unlabelled.jsonl"), NETWORKS, source="")
    assert "6 samples" in run(capsys, "validate", "camera-npu", "--against", "unlabelled.jsonl")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["edge-npv"], "unknown target 'edge-npv'; did you mean 'edge-npu'?"),
        (["edge-npu", "--oracle", "sistolic"], "unknown oracle 'sistolic'; did you mean 'systolic'?"),
        (["edge-npu", "--oracle", "systolic"], "cannot measure on edge-npu: pass --oracle-target, one of systolic-8x8"),
        (["edge-npu", "--oracle", "systolic", "--oracle-target", "systolic-33x33"], "did you mean 'systolic-32x32'?"),
        (["edge-npu", "--oracle", "systolic", "--against", "x"], "not allowed with"),
        (["edge-npu", "--oracle", "systolic", "--samples", "0"], "must be a whole number, at least 1, got '0'"),
        (["edge-npu", "--against", "missing.jsonl"], "missing.jsonl: there is no file of measurements"),
    ],
)
def test_mistakes_are_told(arguments: list[str], message: str, capsys: Capture) -> None:
    assert message in failure(capsys, "validate", *arguments)


def test_verb_is_listed() -> None:
    from accelzoo.recipes.commands import VERBS, load_command

    assert load_command("validate") is command
    assert "validate" in VERBS
