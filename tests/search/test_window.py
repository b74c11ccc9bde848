"""Several candidates at once: a trace depends on `pending`, never on the workers or on what is finished first."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from accelzoo.errors import ConfigError, TraceError
from accelzoo.search import CandidateError, Objective, Record, read_trace
from accelzoo.search.results import FILE_NAME as RESULTS
from accelzoo.search.space import Genome, SearchSpace
from accelzoo.search.trace import FILE_NAME
from tests.search.crews import Shuffled, ShuffledPool
from tests.search.toy import ToyArch, ToySpace, accuracy, costs, search

SPACE = ToySpace(sizes=(3, 3, 3, 3), alias=True)
SETTINGS: dict[str, Any] = {
    "space": SPACE,
    "costs": costs,
    "budgets": {"latency_s": 7e-3},
    "algorithm_options": {"population": 6, "sample_size": 3},
}


def signal(arch: ToyArch) -> float:
    match arch.choices[:2]:
        case (1, 1):
            return float("nan")
        case (2, 0):
            raise CandidateError("diverged")
    return accuracy(arch)


def go(folder: Path | None = None, evaluations: int = 25, **settings: Any) -> tuple[Record, ...]:
    return search(signal=signal, evaluations=evaluations, folder=folder, **{**SETTINGS, **settings}).trace


def lines(folder: Path) -> bytes:
    return (folder / FILE_NAME).read_bytes()


class Scripted:
    """An algorithm that notes what it was told when it was asked."""

    def __init__(self, sizes: tuple[int, ...], rng: Any) -> None:
        from accelzoo.search.algorithms.random import RandomSearch

        self._random = RandomSearch(sizes, rng)
        self.told: list[Genome] = []
        self.known_when_asked: list[int] = []
        _LAST.append(self)

    def ask(self, count: int) -> Any:
        self.known_when_asked.append(len(self.told))
        return self._random.ask(count)

    def tell(self, genomes: Any, values: Any) -> None:
        self.told += [tuple(row) for row in genomes.tolist()]


_LAST: list[Scripted] = []


@pytest.mark.parametrize("pending", [1, 2, 4])
def test_candidate_i_is_asked_for_when_those_up_to_i_less_pending_were_told(pending: int) -> None:
    workers = Shuffled(seed=3)
    records = go(
        algorithm=Scripted, algorithm_options=None, budgets=None, pending=pending, workers=workers, evaluations=20
    )
    algorithm = _LAST[-1]
    wanted = [max(0, index - pending + 1) for index in range(len(records))]
    assert algorithm.known_when_asked == wanted
    assert algorithm.told == [record.genome for record in records[: wanted[-1]]]
    assert workers.most == pending


@pytest.mark.parametrize("pending", [1, 3, 4])
def test_the_trace_is_the_same_whoever_evaluates_and_in_whatever_order(tmp_path: Path, pending: int) -> None:
    go(tmp_path / "serial", pending=pending)
    for seed in range(4):
        go(tmp_path / str(seed), pending=pending, workers=Shuffled(count=1 + seed, seed=seed))
        assert lines(tmp_path / str(seed)) == lines(tmp_path / "serial")
        assert [path.name for path in (tmp_path / str(seed)).iterdir()] == [FILE_NAME]
    trace = read_trace(tmp_path / "serial")
    assert trace.header["pending"] == pending
    assert {record.status for record in trace.records} >= {"ok", "infeasible", "failed"}
    assert sum(record.evaluated for record in trace.records) == 25


def test_pending_decides_what_is_proposed() -> None:
    assert len({tuple(record.genome for record in go(pending=pending)) for pending in (1, 2, 4)}) == 3


def test_pending_is_the_number_of_workers_unless_it_is_said(tmp_path: Path) -> None:
    go(tmp_path / "3", workers=Shuffled(count=3))
    assert read_trace(tmp_path / "3").header["pending"] == 3
    go(tmp_path / "5", workers=Shuffled(count=3), pending=5)
    assert read_trace(tmp_path / "5").header["pending"] == 5


@pytest.mark.parametrize("pending", [1, 4])
@pytest.mark.parametrize("algorithm", ["evolution", "nsga2"])
def test_more_evaluations_go_on_as_if_there_had_been_no_end(tmp_path: Path, pending: int, algorithm: str) -> None:
    settings: dict[str, Any] = {"algorithm": algorithm, "pending": pending, "algorithm_options": {"population": 6}}
    if algorithm == "nsga2":
        settings["objective"] = Objective(minimise=("latency_s",))
    else:
        settings["algorithm_options"]["sample_size"] = 3
    go(tmp_path / "whole", **settings)
    for evaluations in (1, 2, 9, 10, 24, 25):
        go(tmp_path / "parts", evaluations, resume=True, **settings)
        assert lines(tmp_path / "whole").startswith(lines(tmp_path / "parts"))
    assert lines(tmp_path / "parts") == lines(tmp_path / "whole")


def test_a_duplicate_of_a_candidate_that_is_not_finished_waits_for_it() -> None:
    class Twice(Scripted):
        """Proposes every genome with an active last position, then its copy at once."""

        def ask(self, count: int) -> Any:
            import numpy as np

            number = len(self.known_when_asked)
            self.known_when_asked.append(len(self.told))
            return np.array([[0, number // 6 % 3, number // 2 % 3, number % 2]])

    workers = Shuffled(seed=1)
    space = ToySpace(sizes=(3, 3, 3, 2), alias=True)
    found = search(space, evaluations=9, algorithm=Twice, workers=workers, pending=4).trace
    assert len(workers.seen) == len(set(workers.seen)) == 9
    assert [record.status for record in found] == ["ok", "duplicate"] * 8 + ["ok"]
    assert all(record.accuracy == found[record.index - 1].accuracy for record in found[1::2])


@pytest.mark.parametrize("seed", range(4))
def test_what_was_finished_before_its_turn_is_not_evaluated_again(tmp_path: Path, seed: int) -> None:
    go(tmp_path / "whole", pending=4)
    workers = [Shuffled(seed=seed + dies, dies_after=dies) for dies in (0, 3, 5, 2, 7, 100)]
    kept = 0
    for crew in workers:
        if crew is workers[-1]:
            go(tmp_path / "cut", workers=crew, resume=True)
            continue
        with pytest.raises(KeyboardInterrupt):
            go(tmp_path / "cut", workers=crew, resume=True)
        path = tmp_path / "cut" / RESULTS
        kept += path.exists() and path.stat().st_size > 0
        assert lines(tmp_path / "whole").startswith(lines(tmp_path / "cut"))
    assert kept > 0
    seen = [genome for crew in workers for genome in crew.seen]
    assert len(seen) == len(set(seen)) == 25
    assert lines(tmp_path / "cut") == lines(tmp_path / "whole")
    assert not (tmp_path / "cut" / RESULTS).exists()


def cut(folder: Path) -> Path:
    """Leaves a search with results that came before their turn, one of them still to come, and returns their file."""
    with pytest.raises(KeyboardInterrupt):
        go(folder, workers=Shuffled(seed=7, dies_after=9))
    path = folder / RESULTS
    indices = [json.loads(line)["index"] for line in path.read_text().splitlines()]
    assert len(indices) >= 2
    assert max(indices) > len(read_trace(folder).records)
    return path


def test_a_result_that_was_edited_is_found_out(tmp_path: Path) -> None:
    path = cut(tmp_path)
    whole = path.read_text().splitlines()
    content = json.loads(whole[1])
    edited = {**content, "accuracy": 0.99}
    path.write_text("\n".join([whole[0], json.dumps(edited, sort_keys=True, separators=(",", ":")), ""]))
    said = rf"{RESULTS}:2: expected hash \w+, found {content['hash']}: the line was edited"
    with pytest.raises(TraceError, match=said):
        go(tmp_path, workers=Shuffled(), resume=True)
    path.write_text(f"{whole[0]}\nnonsense\n")
    with pytest.raises(TraceError, match=rf"{RESULTS}:2: expected a result as JSON"):
        go(tmp_path, workers=Shuffled(), resume=True)


def test_a_result_of_another_search_is_found_out(tmp_path: Path) -> None:
    path = cut(tmp_path)
    (tmp_path / "other").mkdir()
    path.rename(tmp_path / "other" / RESULTS)
    with pytest.raises(TraceError, match="or is of a search that was begun otherwise; without it candidate"):
        go(tmp_path / "other", workers=Shuffled(), seed=1)


def test_a_result_that_was_half_written_is_dropped(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    path = cut(tmp_path)
    whole = path.read_bytes()
    path.write_bytes(whole[:-10])
    count = whole.count(b"\n")
    go(tmp_path, workers=Shuffled(), resume=True)
    assert f"{path}:{count}: dropped the last line, which was never finished" in caplog.text
    go(tmp_path / "whole", pending=4)
    assert lines(tmp_path) == lines(tmp_path / "whole")


def test_results_of_candidates_beyond_the_end_are_kept(tmp_path: Path) -> None:
    path = cut(tmp_path)
    done = sum(record.evaluated for record in read_trace(tmp_path).records)
    go(tmp_path, evaluations=done, workers=Shuffled(), resume=True)
    assert path.exists()
    crew = Shuffled()
    go(tmp_path, workers=crew, resume=True)
    assert not path.exists()


def test_an_interrupted_search_says_what_is_unfinished(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    cut(tmp_path)
    assert re.search(r"failed, and [2-4] unfinished; they are in", caplog.text)


def test_pending_of_a_trace_cannot_be_changed(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    go(tmp_path, pending=2, evaluations=5)
    with pytest.raises(TraceError, match="pending: recorded 2, given 3"):
        go(tmp_path, pending=3, resume=True)
    go(tmp_path, workers=Shuffled(count=4), resume=True)
    assert read_trace(tmp_path).header["pending"] == 2
    assert "pending (=2) is below the number of workers (=4): 2 of them stay idle" in caplog.text


def test_no_workers_start_where_nothing_is_left_to_evaluate(tmp_path: Path) -> None:
    class Never(Shuffled):
        def start(self, space: SearchSpace, signal: Callable[[Any], float]) -> ShuffledPool:
            raise AssertionError

    before = go(tmp_path)
    assert go(tmp_path, workers=Never(), resume=True) == before


def test_pending_is_a_positive_number() -> None:
    with pytest.raises(ConfigError, match=r"pending \(=0\) must be at least 1, and whole"):
        go(pending=0)
