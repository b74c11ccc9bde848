"""Worker processes: what dies or hangs is replaced, what is stopped is gone, what cannot work is said."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from accelzoo.errors import ConfigError, DataError
from accelzoo.search.space import Genome
from accelzoo.search.workers import LocalWorkers, Outcome, WorkerError
from accelzoo.search.workers.conformance import Numbers, outcomes
from accelzoo.search.workers.local import LocalPool
from tests.checkout import ROOT
from tests.search.workers.processes import all_gone, eventually, numbers_in

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="Windows has no SIGKILL")


def note(path: Path) -> int:
    """Adds this process's number to a file and returns how many are there."""
    with path.open("a", encoding="ascii") as file:
        file.write(f"{os.getpid()}\n")
    return len(numbers_in(path))


def kill_itself(genome: Genome) -> float:
    os.kill(os.getpid(), signal.SIGKILL)
    return 0.0


@pytest.mark.parametrize("killer", [signal.SIGKILL, signal.SIGSEGV])
def test_a_worker_that_dies_loses_nothing(tmp_path: Path, killer: signal.Signals) -> None:
    def accuracy(genome: Genome) -> float:
        if genome == (3,) and note(tmp_path / "pids") == 1:
            os.kill(os.getpid(), killer)
        return genome[0] / 10

    found = outcomes(LocalWorkers(2), accuracy, [(number,) for number in range(6)])
    assert found == {10 + i: Outcome(accuracy=i / 10, attempts=2 if i == 3 else 1) for i in range(6)}
    assert len(set(numbers_in(tmp_path / "pids"))) == 2


@pytest.mark.parametrize("stop", [signal.SIGSTOP, None])
def test_a_worker_that_hangs_is_replaced_when_its_lease_expires(tmp_path: Path, stop: signal.Signals | None) -> None:
    def accuracy(genome: Genome) -> float:
        if note(tmp_path / "pids") == 1:
            if stop is not None:
                os.kill(os.getpid(), stop)
            sys.setswitchinterval(1000)  # as native code that holds the interpreter's lock
            while True:
                pass
        return 0.5

    assert outcomes(LocalWorkers(1, lease_s=0.5), accuracy, [(0,)]) == {10: Outcome(accuracy=0.5, attempts=2)}
    assert all_gone(numbers_in(tmp_path / "pids"))


def test_a_slow_candidate_keeps_its_lease() -> None:
    def accuracy(genome: Genome) -> float:
        until = time.monotonic() + 1.1
        while time.monotonic() < until:  # busy, as training is, but in Python
            pass
        return 0.5

    assert outcomes(LocalWorkers(1, lease_s=0.8), accuracy, [(0,)]) == {10: Outcome(accuracy=0.5)}


def test_a_candidate_that_takes_too_long_fails_at_once() -> None:
    def accuracy(genome: Genome) -> float:
        time.sleep(60 if genome == (1,) else 0)
        return 0.5

    found = outcomes(LocalWorkers(2, timeout_s=0.5), accuracy, [(0,), (1,), (2,)])
    late = Outcome(reason="not finished within timeout_s (=0.5)")
    assert found == {10: Outcome(accuracy=0.5), 11: late, 12: Outcome(accuracy=0.5)}


def test_a_candidate_that_takes_too_long_fails_also_while_others_finish() -> None:
    def accuracy(genome: Genome) -> float:
        time.sleep(60 if genome == (0,) else 0.02)
        return 0.5

    with LocalWorkers(2, timeout_s=0.5).start(Numbers(), accuracy) as pool:
        for index in range(500):  # ten seconds of them
            pool.submit(index, (min(index, 1),))
        found = dict(pool.wait() for _ in range(60))
    assert found[0] == Outcome(reason="not finished within timeout_s (=0.5)")


def test_an_outcome_that_comes_as_its_worker_is_killed_counts(tmp_path: Path) -> None:
    """The message is on its way while the worker's time is up: nothing is lost, and nothing waited for in vain."""

    def accuracy(genome: Genome) -> float:
        note(tmp_path / "pids")
        while not (tmp_path / "go").exists():
            time.sleep(0.001)
        return 0.5

    with LocalWorkers(1, timeout_s=5.0).start(Numbers(), accuracy) as pool:
        assert isinstance(pool, LocalPool)
        with pool._lock:
            pool.submit(0, (0,))
        while not any(seat.candidate for seat in pool._seats.values()):
            time.sleep(0.001)
        with pool._lock:  # as `wait` has it while it looks at the clock; the outcome has to stay outside
            assert eventually(lambda: bool(numbers_in(tmp_path / "pids")))
            (tmp_path / "go").touch()
            time.sleep(0.2)
            waiting = any(seat.candidate for seat in pool._seats.values())
            pool._clock_s += 10.0
            pool._supervise()
        assert waiting
        assert pool.wait() == (0, Outcome(accuracy=0.5))
    assert len(numbers_in(tmp_path / "pids")) == 1


def test_a_candidate_that_always_ends_its_worker_fails() -> None:
    found = outcomes(LocalWorkers(1, max_attempts=2), lambda genome: os._exit(7), [(0,)])
    assert found == {10: Outcome(reason="its worker was lost in each of 2 attempts", attempts=2)}


def test_what_the_kernel_ends_for_memory_is_out_of_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    counts = iter(range(100))  # the count has risen whenever it is looked at
    monkeypatch.setattr("accelzoo.search.workers.local.oom_kills", lambda: next(counts))
    found = outcomes(LocalWorkers(1), kill_itself, [(0,)])
    assert found == {10: Outcome(reason="out of memory in each of 2 attempts", attempts=2)}


def test_memory_is_tried_again_in_another_process(tmp_path: Path) -> None:
    def accuracy(genome: Genome) -> float:
        note(tmp_path / "pids")
        raise MemoryError

    outcomes(LocalWorkers(1), accuracy, [(0,)])
    assert len(set(numbers_in(tmp_path / "pids"))) == 2


def test_torchs_own_error_is_out_of_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    import torch

    from accelzoo.search.workers import Serial

    def accuracy(genome: Genome) -> float:
        raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 20.00 GiB")

    assert outcomes(Serial(), accuracy, [(0,)])[10].reason == "out of memory in each of 2 attempts"
    assert outcomes(Serial(), lambda genome: torch.empty(1 << 58), [(0,)])[10].attempts == 2  # type: ignore[arg-type,return-value]


def test_each_worker_sees_its_gpu() -> None:
    def accuracy(genome: Genome) -> float:
        time.sleep(0.05)  # so that every worker gets some
        return float(os.environ["CUDA_VISIBLE_DEVICES"])

    found = outcomes(LocalWorkers(3, gpus=("4", 6)), accuracy, [(0,)] * 9)
    assert {outcome.accuracy for outcome in found.values()} == {4.0, 6.0}


def test_an_error_of_the_signal_comes_with_the_workers_traceback() -> None:
    def deep_in_the_signal(genome: Genome) -> float:
        raise KeyError(genome)

    with pytest.raises(WorkerError, match=r"^the signal raised, in a worker: KeyError: \(3,\)\n") as caught:
        outcomes(LocalWorkers(1), deep_in_the_signal, [(3,)])
    (text,) = caught.value.__notes__
    assert "in deep_in_the_signal" in text


def test_an_error_that_bad_input_causes_needs_no_traceback() -> None:
    def accuracy(genome: Genome) -> float:
        raise DataError("no images")

    with pytest.raises(WorkerError, match="in a worker: DataError: no images") as caught:
        outcomes(LocalWorkers(1), accuracy, [(3,)])
    assert not hasattr(caught.value, "__notes__")


def test_what_cannot_be_pickled_is_refused_before_anything_starts() -> None:
    lock = threading.Lock()
    with pytest.raises(ConfigError, match=r"^workers: the signal .*cannot be sent.*'_thread.lock' object; open files"):
        LocalWorkers(2).start(Numbers(), lambda genome: float(lock.locked()))
    space = Numbers()
    space.lock = lock  # type: ignore[attr-defined]
    with pytest.raises(ConfigError, match=r"workers: the space .*cannot be sent"):
        LocalWorkers(2).start(space, lambda genome: 0.0)


class Unreadable:
    """Can be pickled, but whoever reads it meets the end."""

    def __init__(self, end: str) -> None:
        self.end = end

    def __reduce__(self) -> tuple[object, tuple[str]]:
        return exec, (self.end,)

    def __call__(self, genome: Genome) -> float:
        return 0.0


def test_workers_that_end_before_they_are_ready_stop_the_search() -> None:
    end = "import os, sys; sys.stderr.write('no such licence'); sys.stderr.flush(); os._exit(9)"
    with pytest.raises(WorkerError, match=r"(?s)before they are ready \(exit codes 9, 9\).*no such licence.*importing"):
        outcomes(LocalWorkers(1), Unreadable(end), [(0,)])


def test_a_signal_that_cannot_be_loaded_stops_the_search() -> None:
    with pytest.raises(WorkerError, match=r"loading the space and the signal raised, in a worker: .*nowhere"):
        outcomes(LocalWorkers(1), Unreadable("import nowhere"), [(0,)])


def test_a_script_without_a_guard_works_and_runs_once(tmp_path: Path) -> None:
    script = tmp_path / "script.py"
    script.write_text(
        "from accelzoo.search.workers import LocalWorkers\n"
        "from accelzoo.search.workers.conformance import outcomes\n"
        "print('once')\n"
        "def accuracy(genome):\n    print('printed')\n    return 0.25\n"
        "print(outcomes(LocalWorkers(2), accuracy, [(0,), (1,)])[11].accuracy)\n"
    )
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    done = subprocess.run([sys.executable, script], capture_output=True, text=True, env=environment, check=True)
    assert done.stdout == "once\n0.25\n"
    assert done.stderr.splitlines().count("printed") == 2


def test_closing_leaves_no_process_of_the_workers_or_of_their_signals(tmp_path: Path) -> None:
    def accuracy(genome: Genome) -> float:
        child = subprocess.Popen(["sleep", "60"])
        with (tmp_path / "pids").open("a", encoding="ascii") as file:
            file.write(f"{os.getpid()}\n{child.pid}\n")
        return float(child.wait())

    with LocalWorkers(2).start(Numbers(), accuracy) as pool:
        pool.submit(0, (0,))
        pool.submit(1, (1,))
        assert eventually(lambda: len(numbers_in(tmp_path / "pids")) == 4)
    assert all_gone(numbers_in(tmp_path / "pids"))


@pytest.mark.parametrize("blow", [signal.SIGKILL, signal.SIGINT])
def test_workers_end_with_their_driver(tmp_path: Path, blow: signal.Signals) -> None:
    script = (
        "import os, sys, time\n"
        "from accelzoo.search.workers import LocalWorkers\n"
        "from accelzoo.search.workers.conformance import outcomes\n"
        "def accuracy(genome):\n"
        "    with open(sys.argv_of_the_test[1], 'a') as file:\n        print(os.getpid(), file=file)\n"
        "    while genome[0]:\n        pass\n"
        "    time.sleep(60)\n"
        "outcomes(LocalWorkers(2), accuracy, [(0,), (1,)])\n"
    ).replace("sys.argv_of_the_test[1]", repr(str(tmp_path / "pids")))
    driver = subprocess.Popen([sys.executable, "-c", script], cwd=ROOT, stderr=subprocess.DEVNULL)
    assert eventually(lambda: len(numbers_in(tmp_path / "pids")) == 2)
    driver.send_signal(blow)
    driver.wait()
    assert all_gone(numbers_in(tmp_path / "pids"))


def test_a_driver_that_was_stopped_for_longer_than_a_lease_loses_nothing(tmp_path: Path) -> None:
    def accuracy(genome: Genome) -> float:
        note(tmp_path / "pids")
        until = time.monotonic() + 1.0
        while time.monotonic() < until:
            time.sleep(0.01)
        return 0.5

    with LocalWorkers(1, lease_s=0.6).start(Numbers(), accuracy) as pool:
        pool.submit(0, (0,))
        assert eventually(lambda: bool(numbers_in(tmp_path / "pids")))
        time.sleep(0.8)  # the search thinks about its next candidate
        assert pool.wait() == (0, Outcome(accuracy=0.5))
    assert len(numbers_in(tmp_path / "pids")) == 1


@pytest.mark.parametrize(
    ("given", "fault"),
    [
        ({"count": 0}, r"workers.count \(=0\)"),
        ({"count": 2, "max_attempts": 0}, "max_attempts"),
        ({"count": 2, "lease_s": 0}, "lease_s"),
        ({"count": 2, "lease_s": None}, "lease_s"),
        ({"count": 2, "timeout_s": float("nan")}, "timeout_s"),
        ({"count": 2, "gpus": "01"}, "gpus"),
    ],
)
def test_settings_that_make_no_sense_are_refused(given: dict[str, object], fault: str) -> None:
    with pytest.raises(ConfigError, match=fault):
        LocalWorkers(**given)  # type: ignore[arg-type]
