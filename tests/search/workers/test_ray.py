"""Ray tasks: the same contract, the same trace, and nothing lost with a process. Skipped where Ray is not installed."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from accelzoo.errors import ConfigError, DataError
from accelzoo.search.space import Genome
from accelzoo.search.workers import LocalWorkers, Outcome, RayWorkers, Serial, WorkerError, Workers, as_workers
from accelzoo.search.workers.conformance import Numbers, WorkersContract, outcomes
from tests.search import toy
from tests.search.workers.processes import numbers_in

ray = pytest.importorskip("ray", reason="needs Ray: pip install accelzoo[ray]")
pytestmark = pytest.mark.filterwarnings("ignore")  # of Ray's own


@pytest.fixture(scope="module", autouse=True)
def cluster() -> Iterator[None]:
    ray.init(num_cpus=2, include_dashboard=False, log_to_driver=False)
    yield
    ray.shutdown()


@pytest.fixture(scope="module")
def workers() -> RayWorkers:
    return RayWorkers(count=2)


class TestRay(WorkersContract):
    workers = RayWorkers(count=2)


def test_the_trace_is_that_of_one_process_and_of_local_workers(tmp_path: Path) -> None:
    ways: dict[str, Workers] = {"serial": Serial(), "local": LocalWorkers(2), "ray": RayWorkers(count=2)}
    traces = []
    for name, way in ways.items():
        toy.search(
            algorithm="evolution", evaluations=30, workers=way, pending=3, folder=tmp_path / name, costs=toy.costs
        )
        traces.append((tmp_path / name / "trace.jsonl").read_bytes())
    assert traces[0] == traces[1] == traces[2]


def test_a_killed_process_loses_nothing(tmp_path: Path, workers: RayWorkers) -> None:
    def accuracy(genome: Genome) -> float:
        with (tmp_path / "pids").open("a", encoding="ascii") as file:
            file.write(f"{os.getpid()}\n")
        if genome == (3,) and not (tmp_path / "killed").exists():
            (tmp_path / "killed").touch()
            os.kill(os.getpid(), signal.SIGKILL)
        return genome[0] / 10

    found = outcomes(workers, accuracy, [(number,) for number in range(6)])
    assert found == {10 + i: Outcome(accuracy=i / 10, attempts=2 if i == 3 else 1) for i in range(6)}
    assert len(numbers_in(tmp_path / "pids")) == 7


def test_memory_is_tried_again_in_another_process(tmp_path: Path, workers: RayWorkers) -> None:
    def accuracy(genome: Genome) -> float:
        with (tmp_path / "pids").open("a", encoding="ascii") as file:
            file.write(f"{os.getpid()}\n")
        raise MemoryError

    outcomes(workers, accuracy, [(0,)])
    assert len(set(numbers_in(tmp_path / "pids"))) == 2


def test_a_candidate_that_always_ends_its_process_fails(workers: RayWorkers) -> None:
    found = outcomes(workers, lambda genome: os._exit(1), [(0,)])
    assert found == {10: Outcome(reason="its worker was lost in each of 5 attempts", attempts=5)}


def test_an_error_that_bad_input_causes_needs_no_traceback(workers: RayWorkers) -> None:
    def accuracy(genome: Genome) -> float:
        raise DataError("no images")

    with pytest.raises(WorkerError, match="in a worker: DataError: no images"):
        outcomes(workers, accuracy, [(3,)])


def test_closing_ends_what_runs(workers: RayWorkers, tmp_path: Path) -> None:
    with workers.start(Numbers(), lambda genome: 1 / 0) as pool:
        pool.submit(0, (1,))
    with workers.start(Numbers(), lambda genome: 0.5) as pool:  # and the cluster is as good as before
        pool.submit(0, (1,))
        assert pool.wait() == (0, Outcome(accuracy=0.5))


def test_the_cluster_says_how_many() -> None:
    assert as_workers("ray").count == 2
    assert as_workers("ray?workers=7").count == 7
    assert as_workers("ray://head:10001?workers=16").count == 16


@pytest.mark.parametrize("given", [{"count": 0}, {"gpus_per_worker": -1.0}, {"gpus_per_worker": float("nan")}])
def test_settings_that_make_no_sense_are_refused(given: dict[str, float]) -> None:
    with pytest.raises(ConfigError, match="workers"):
        RayWorkers(**given)  # type: ignore[arg-type]
