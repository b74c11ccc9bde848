"""What the verb fit prints and writes."""

from __future__ import annotations

import dataclasses
import sys
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest

from accelzoo.hwmodel import Target, estimate, load_target, oracles
from accelzoo.hwmodel.campaign import collect
from accelzoo.hwmodel.measurement import graph_digest
from accelzoo.hwmodel.measurement_log import MeasurementLog
from accelzoo.hwmodel.measurements import Measurements, Sampling
from accelzoo.hwmodel.sampling import SPACE_VERSION, draw_sample
from accelzoo.recipes import cli
from tests.recipes.calls import Capture, failure, run, run_json

pytestmark = pytest.mark.usefixtures("own_places")
PRIOR = "mobile-cpu"


def measure(name: str, count: int, seed: int = 0, target: str = "systolic-8x8") -> str:
    oracle, sampling = oracles.load("systolic", target), Sampling("network", seed, SPACE_VERSION)
    with MeasurementLog(Path(name), oracle.provenance, sampling) as log:
        collect(lambda: oracle, log, sampling, count)
    return name


def files() -> list[str]:
    return sorted(str(path) for path in Path().rglob("*.*"))


@pytest.fixture
def quick_fit(monkeypatch: pytest.MonkeyPatch) -> list[dict[str, Any]]:
    """Puts a fit that learns nothing in the place of the real one; returns the arguments it was given."""
    given: list[dict[str, Any]] = []

    def fit(measurements: Measurements, prior: Target, *, name: str, seed: int, progress: Any) -> Target:
        given.append({"measurements": measurements, "prior": prior, "seed": seed})
        if progress:
            for done in range(3):
                progress("fitting", done, 3)
        return dataclasses.replace(prior, name=name)

    monkeypatch.setattr(import_module("accelzoo.hwmodel.fit"), "fit", fit)
    return given


def test_fit_makes_a_target_that_is_usable_everywhere(capsys: Capture) -> None:
    measure("measured.jsonl", 8)
    data = run_json(capsys, "fit", "measured.jsonl", "--prior", PRIOR, "--name", "mine", "--out", "targets")
    target = load_target("targets/mine.yaml")
    assert (data["name"], data["target_digest"]) == ("mine", target.digest())
    assert (data["prior"], data["measured_by"]) == (PRIOR, "closed-form-1/systolic-8x8")
    assert data["samples"] == {"network": 8}
    assert data["held_out_error"]["networks"] == 1  # a fifth
    assert {entry["file"] for entry in data["written"]} == set(files()) - {"measured.jsonl"}
    assert all(Path(entry["file"]).stat().st_size == entry["bytes"] for entry in data["written"])
    graph = draw_sample("network", 99, 0).graph
    assert estimate(graph, target).latency_s != estimate(graph, load_target(PRIOR)).latency_s
    assert "mine" in run(capsys, "cost", "camera_ibn", "--target", "targets/mine.yaml")
    message = failure(capsys, "validate", "targets/mine.yaml", "--against", "measured.jsonl")
    assert "mine was fitted on 8 of these 8 measurements" in message
    others = measure("others.jsonl", 3, seed=5)
    assert "3 samples, none of them used" in run(capsys, "validate", "targets/mine.yaml", "--against", others)


def test_fit_joins_files_of_one_tool(quick_fit: list[dict[str, Any]], capsys: Capture) -> None:
    one, two = measure("one.jsonl", 3), measure("two.jsonl", 4, seed=1)
    run(capsys, "fit", one, two, "--prior", PRIOR, "--name", "mine", "--seed", "3")
    (given,) = quick_fit
    expected = [sample.graph for path in (one, two) for sample in Measurements.read(path)]
    assert [graph_digest(sample.graph) for sample in given["measurements"]] == list(map(graph_digest, expected))
    assert (given["prior"], given["seed"]) == (load_target(PRIOR), 3)
    other = measure("other.jsonl", 2, target="systolic-16x16")
    message = failure(capsys, "fit", one, other, "--prior", PRIOR, "--name", "other")
    assert "cannot merge measurements of different provenance" in message
    assert "'systolic-8x8'" in message


def test_fit_says_what_it_did(quick_fit: list[dict[str, Any]], capsys: Capture) -> None:
    measure("one.jsonl", 2)
    lines = run(capsys, "fit", "one.jsonl", "--prior", PRIOR, "--name", "mine").splitlines()
    assert lines[0] == f"mine, fitted over {PRIOR}"
    assert lines[1].split() == ["measured", "by", "closed-form-1/systolic-8x8"]
    assert lines[-1].startswith("wrote mine.yaml (")


def test_the_stated_error_is_of_networks_that_were_held_out() -> None:
    from accelzoo.recipes.commands.fit import _error_rows

    facts = {"networks": 12, "mape": 0.0123, "bias": -0.004, "within_10_percent": 1.0}
    assert _error_rows(facts) == [
        ("error", "MAPE 1.2 %, bias -0.4 %, 100.0 % within ±10 %, on 12 networks that a first fit did not see")
    ]
    ((_, text),) = _error_rows({"networks": 0})
    assert text.startswith("unknown: there were no networks to hold out")


def test_fit_never_writes_over_and_says_so_before_it_fits(quick_fit: list[dict[str, Any]], capsys: Capture) -> None:
    measure("one.jsonl", 2)
    Path("there").mkdir()
    for taken in ("mine.yaml", "mine.learned.npz"):
        path = Path("there", taken)
        path.write_text("mine\n", encoding="utf-8")
        message = failure(capsys, "fit", "one.jsonl", "--prior", PRIOR, "--name", "mine", "--out", "there")
        assert f"{path} exists already; give another --name or --out" in message
        assert path.read_text(encoding="utf-8") == "mine\n"
        path.unlink()
    assert quick_fit == []


def test_fit_that_is_stopped_leaves_nothing(
    quick_fit: list[dict[str, Any]], capsys: Capture, monkeypatch: pytest.MonkeyPatch
) -> None:
    def stop(*_: object, **__: object) -> Target:
        raise KeyboardInterrupt

    measure("one.jsonl", 2)
    monkeypatch.setattr(import_module("accelzoo.hwmodel.fit"), "fit", stop)
    assert cli.main(["fit", "one.jsonl", "--prior", PRIOR, "--name", "mine"]) == 130
    assert capsys.readouterr().err == "accelzoo: interrupted\n"
    assert files() == ["one.jsonl"]


def test_fit_shows_how_far_it_is(
    quick_fit: list[dict[str, Any]], capsys: Capture, monkeypatch: pytest.MonkeyPatch
) -> None:

    measure("one.jsonl", 2)
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True)
    assert cli.main(["fit", "one.jsonl", "--prior", PRIOR, "--name", "mine"]) == 0
    shown = capsys.readouterr()
    assert "fitting" in shown.err
    assert "fitting" not in shown.out


def test_fit_tells_of_too_few_measurements_and_of_another_unit(capsys: Capture) -> None:
    few = measure("few.jsonl", 1)
    assert "too few to fit" in failure(capsys, "fit", few, "--prior", PRIOR, "--name", "mine")
    text = Path(measure("wrong.jsonl", 6)).read_text(encoding="utf-8")
    text = text.replace('"latency_s":', '"latency_s":1e6,"dram_bytes":0,"spread":', 1)
    Path("wrong.jsonl").write_text(text, encoding="utf-8")
    message = failure(capsys, "fit", "wrong.jsonl", "--prior", PRIOR, "--name", "mine")
    assert "1 of 6 measurements are implausible" in message
    assert "measurement 0 (network:random): 1e+06 s" in message
    assert not any(name.startswith("mine") for name in files())


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["missing.jsonl", "--prior", PRIOR, "--name", "mine"], "missing.jsonl: there is no file of measurements"),
        (["x.jsonl", "--prior", "mobile-gpu", "--name", "mine"], "unknown target 'mobile-gpu'"),
        (["x.jsonl", "--prior", PRIOR, "--name", "../mine"], "--name '../mine': a target's name has letters"),
        (["x.jsonl", "--prior", PRIOR], "the following arguments are required: --name"),
        (["--prior", PRIOR, "--name", "mine"], "the following arguments are required: FILE"),
        (
            ["x.jsonl", "--prior", PRIOR, "--name", "mine", "--seed", "-1"],
            "must be a whole number, at least 0, got '-1'",
        ),
        (["x.jsonl", "--prior", PRIOR, "--name", "mine", "--seed", "x"], "must be a whole number, at least 0, got 'x'"),
    ],
)
def test_mistakes_are_told(arguments: list[str], message: str, capsys: Capture) -> None:
    assert message in failure(capsys, "fit", *arguments)


def test_the_folder_must_not_be_a_file(capsys: Capture) -> None:
    Path("taken").write_text("", encoding="utf-8")
    message = failure(capsys, "fit", "x.jsonl", "--prior", PRIOR, "--name", "mine", "--out", "taken")
    assert "--out taken: is a file, not a folder" in message
