"""Where a trace is kept: begun once, gone on with under the same settings only, and to the same bytes."""

from __future__ import annotations

import logging
import math
from pathlib import Path
from typing import Any

import numpy.typing as npt
import pytest

from accelzoo.errors import TraceError
from accelzoo.search import Named, Objective, read_trace
from accelzoo.search.algorithms.random import RandomSearch
from accelzoo.search.space import GenomeMatrix
from accelzoo.search.trace import FILE_NAME
from tests.checkout import ROOT
from tests.search.toy import ToyArch, ToySpace, accuracy, costs, search


def test_more_evaluations_go_on_with_a_finished_search(tmp_path: Path) -> None:
    settings: dict[str, Any] = {"costs": costs, "budgets": {"latency_s": 6e-3}}
    short = search(evaluations=10, folder=tmp_path / "a", **settings)
    again = search(evaluations=10, folder=tmp_path / "a", resume=True, **settings)
    assert again == short
    long = search(evaluations=30, folder=tmp_path / "a", resume=True, **settings)
    at_once = search(evaluations=30, folder=tmp_path / "b", **settings)
    assert (tmp_path / "a" / FILE_NAME).read_bytes() == (tmp_path / "b" / FILE_NAME).read_bytes()
    assert long.trace == at_once.trace == read_trace(tmp_path / "a").records
    assert long.header == at_once.header
    fewer = search(evaluations=5, folder=tmp_path / "a", resume=True, **settings)
    assert (fewer.trace, fewer.stopped) == (long.trace, "evaluations")


def test_resuming_neither_prices_nor_evaluates_again(tmp_path: Path) -> None:
    search(
        evaluations=10,
        costs=Named(costs, "c"),
        budgets={"latency_s": 6e-3},
        folder=tmp_path,
        signal=Named(accuracy, "s"),
    )

    def never(arch: ToyArch) -> Any:
        raise AssertionError

    settings: dict[str, Any] = {"costs": Named(never, "c"), "budgets": {"latency_s": 6e-3}, "signal": Named(never, "s")}
    assert search(evaluations=10, folder=tmp_path, resume=True, **settings).best.score > 0


def test_a_trace_in_the_folder_is_never_overwritten(tmp_path: Path) -> None:
    search(folder=tmp_path)
    before = (tmp_path / FILE_NAME).read_bytes()
    with pytest.raises(TraceError, match="never overwritten: go on with it"):
        search(folder=tmp_path, seed=1)
    assert (tmp_path / FILE_NAME).read_bytes() == before


def test_other_settings_are_refused_field_by_field(tmp_path: Path) -> None:
    settings: dict[str, Any] = {"costs": costs, "budgets": {"latency_s": 6e-3}, "folder": tmp_path}
    search(**settings)
    before = (tmp_path / FILE_NAME).read_bytes()
    settings |= {"budgets": {"energy_j": 1.0}, "seed": 2, "algorithm_options": {"population": 30}, "resume": True}
    with pytest.raises(TraceError) as caught:
        search(ToySpace(sizes=(3, 3, 3)), math.cos, objective=Objective(exponent=-1.0, reference=1.0), **settings)  # type: ignore[arg-type]
    assert str(caught.value).splitlines() == [
        f"{tmp_path / FILE_NAME}:1: this trace was begun with other settings:",
        "  algorithm.options.population: recorded 25, given 30",
        "  budgets.energy_j: recorded nothing, given 1.0",
        "  budgets.latency_s: recorded 0.006, given nothing",
        "  objective.exponent: recorded 0.0, given -1.0",
        "  objective.reference: recorded None, given 1.0",
        "  seed: recorded 0, given 2",
        "  signal: recorded 'tests.search.toy.accuracy', given 'math.cos'",
        "  sizes: recorded [3, 3, 3, 3], given [3, 3, 3]",
        "  space: recorded 'toy:(3, 3, 3, 3):False', given 'toy:(3, 3, 3):False'",
    ]
    assert (tmp_path / FILE_NAME).read_bytes() == before


def test_the_trace_that_is_shipped_can_be_read() -> None:
    trace = read_trace(ROOT / "accelzoo" / "zoo" / "camera_accel")
    assert trace.header["pending"] == 1
    assert sum(record.evaluated for record in trace.records) == 32


class Fickle(RandomSearch):
    """An algorithm whose next version draws differently."""

    version = 1

    def ask(self, count: int) -> GenomeMatrix:
        asked = super().ask(count)
        asked[:] = (asked + self.version) % 3
        return asked

    def tell(self, genomes: npt.ArrayLike, values: npt.ArrayLike) -> None:
        """Learns nothing."""


def test_an_algorithm_that_changed_is_found_out(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    search(algorithm=Fickle, folder=tmp_path)
    assert read_trace(tmp_path).header["algorithm"] == {"name": f"{__name__}.Fickle", "options": {}}
    monkeypatch.setattr(Fickle, "version", 2)
    with pytest.raises(
        TraceError, match=r"trace.jsonl:2: the trace has genome \(.*\) where the algorithm now proposes"
    ):
        search(algorithm=Fickle, folder=tmp_path, resume=True)


def test_a_resumed_search_says_what_was_dropped(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    search(folder=tmp_path)
    path = tmp_path / FILE_NAME
    whole = path.read_bytes()
    path.write_bytes(whole[:-3])
    with caplog.at_level(logging.WARNING):
        search(folder=tmp_path, resume=True)
    assert f"{path}:21: dropped the last line, which was never finished" in caplog.text
    assert path.read_bytes() == whole


def test_control_c_says_how_to_resume(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    calls = []

    def signal(arch: ToyArch) -> float:
        calls.append(arch)
        if len(calls) == 7:
            raise KeyboardInterrupt
        return accuracy(arch)

    with pytest.raises(KeyboardInterrupt):
        search(signal=signal, folder=tmp_path)
    assert "stopped after 6 candidates: 6 evaluated" in caplog.text
    assert f"they are in {tmp_path / FILE_NAME}; the same call with resume=True goes on" in caplog.text
    assert len(search(signal=signal, folder=tmp_path, resume=True).trace) == 20
