"""What the verb measure writes, prints and refuses."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from accelzoo.hwmodel.measurements import Measurements
from accelzoo.recipes import cli
from tests.checkout import ROOT
from tests.recipes.calls import Capture, failure, run, run_json

SYSTOLIC = ("measure", "--oracle", "systolic", "--target", "systolic-16x16")


def arguments(out: Path, samples: int, *more: str) -> list[str]:
    return [*SYSTOLIC, "--samples", str(samples), "--out", str(out), *more]


def test_it_measures_and_says_so(capsys: Capture, tmp_path: Path) -> None:
    out = tmp_path / "s.jsonl"
    text = run(capsys, *arguments(out, 5))
    assert f"{out}: 5 of 5 samples of kind network, seed 0, by closed-form-1/systolic-16x16\n" in text
    assert "measured     5    5 now, in " in text
    found = Measurements.read(out)
    assert found.indices == (0, 1, 2, 3, 4)
    assert {sample.source for sample in found} == {"network:random"}


def test_more_samples_go_on_and_enough_is_enough(capsys: Capture, tmp_path: Path) -> None:
    out = tmp_path / "s.jsonl"
    run(capsys, *arguments(out, 20, "--kind", "op"))
    before = out.read_bytes()
    summary = run_json(capsys, *arguments(out, 30, "--kind", "op"))
    assert (summary["measured"], summary["now"]) == (30, 10)
    assert out.read_bytes().startswith(before)
    after = out.read_bytes()
    assert "30   all of them before" in run(capsys, *arguments(out, 30, "--kind", "op"))
    assert out.read_bytes() == after


def test_compressed_files_are_written_at_the_end(capsys: Capture, tmp_path: Path) -> None:
    plain, packed = tmp_path / "plain.jsonl", tmp_path / "packed.jsonl.xz"
    run(capsys, *arguments(plain, 12, "--kind", "block"))
    run(capsys, *arguments(packed, 8, "--kind", "block"))
    summary = run_json(capsys, *arguments(packed, 12, "--kind", "block"))
    assert (summary["measured"], summary["now"]) == (12, 4)
    assert Measurements.read(packed) == Measurements.read(plain)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["packed.jsonl.xz", "plain.jsonl"]


def test_workers_write_the_same_file(capsys: Capture, tmp_path: Path) -> None:
    run(capsys, *arguments(tmp_path / "1.jsonl", 12, "--kind", "op"))
    run(capsys, *arguments(tmp_path / "2.jsonl", 12, "--kind", "op", "--workers", "2"))
    assert (tmp_path / "1.jsonl").read_bytes() == (tmp_path / "2.jsonl").read_bytes()


def test_foreign_files_are_refused(capsys: Capture, tmp_path: Path) -> None:
    out = tmp_path / "s.jsonl"
    run(capsys, *arguments(out, 3))
    before = out.read_bytes()
    said = failure(capsys, *arguments(out, 3, "--seed", "1"))
    assert "sampling.seed: recorded 0, given 1" in said
    said = failure(
        capsys, "measure", "--oracle", "systolic", "--target", "systolic-8x8", "--samples", "3", "--out", str(out)
    )
    assert "provenance.target: recorded 'systolic-16x16', given 'systolic-8x8'" in said
    assert out.read_bytes() == before
    notes = tmp_path / "notes.jsonl"
    notes.write_text("my notes\n")
    assert "notes.jsonl:1: expected a line of JSON" in failure(capsys, *arguments(notes, 3))
    assert notes.read_text() == "my notes\n"


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (("--oracle", "systolik"), "unknown oracle 'systolik'; did you mean 'systolic'?"),
        (("--target", "systolic-16"), "did you mean 'systolic-16x16'?"),
        (("--kind", "blocks"), "unknown kind of sample 'blocks'; did you mean 'block'?"),
        (("--samples", "0"), "must be a whole number, at least 1, got '0'"),
        (("--seed", "-1"), "must be a whole number, at least 0, got '-1'"),
        (("--out", "s.csv"), "ends in .jsonl or .jsonl.xz"),
    ],
)
def test_bad_arguments_are_refused(change: tuple[str, str], said: str, capsys: Capture, tmp_path: Path) -> None:
    given = arguments(tmp_path / "s.jsonl", 3, "--kind", "op", "--seed", "0")
    given[given.index(change[0]) + 1] = change[1]
    assert said in failure(capsys, *given)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.skipif(sys.platform == "win32", reason="no POSIX signals")
@pytest.mark.parametrize("sent", [signal.SIGKILL, signal.SIGINT])
def test_stopped_and_called_again_is_the_same_as_unbroken(
    sent: signal.Signals, capsys: Capture, tmp_path: Path
) -> None:
    out = tmp_path / "stopped.jsonl"
    command = [sys.executable, "-m", "accelzoo", *arguments(out, 400, "--kind", "block")]
    process = subprocess.Popen(command, cwd=ROOT, stderr=subprocess.PIPE, stdout=subprocess.DEVNULL, text=True)
    until = time.monotonic() + 60
    while (not out.exists() or out.stat().st_size < 4000) and time.monotonic() < until:
        time.sleep(0.002)
    os.kill(process.pid, sent)
    _, said = process.communicate(timeout=60)
    if sent == signal.SIGINT:
        assert process.returncode == cli.INTERRUPTED
        assert f"of 400 samples are in {out}; the same command goes on" in said
    held = Measurements.read(out)
    assert 0 < len(held) < 400
    run(capsys, *arguments(out, 60, "--kind", "block"))
    run(capsys, *arguments(tmp_path / "unbroken.jsonl", 400, "--kind", "block"))
    assert (tmp_path / "unbroken.jsonl").read_bytes().startswith(out.read_bytes())


def test_the_json_summary_counts_reasons(capsys: Capture, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from accelzoo.hwmodel import oracles
    from tests.hwmodel.test_campaign import Fake

    monkeypatch.setattr(oracles, "load", lambda name, target: Fake())
    summary = run_json(capsys, *arguments(tmp_path / "f.jsonl", 150, "--kind", "op"))
    entries = {(entry["skipped"], entry["reason"]): entry["samples"] for entry in summary["without_measurement"]}
    assert entries[("unsupported", "resize:nearest: not today")] >= 1
    assert entries[("failed", "out of paper")] >= 2
    assert summary["measured"] + summary["duplicates"] + sum(entries.values()) == 150
    text = run(capsys, *arguments(tmp_path / "f.jsonl", 150, "--kind", "op"))
    assert "unsupported  " in text
    assert "out of paper" in text
    assert json.loads(json.dumps(summary)) == summary
