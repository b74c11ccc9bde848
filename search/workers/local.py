"""Supervised worker processes of this machine: one that dies or hangs is replaced, and its candidate asked again."""

from __future__ import annotations

import math
import queue
import signal as signals
import threading
import time
from collections import deque
from collections.abc import Callable
from dataclasses import KW_ONLY, dataclass
from typing import Any, Self

from accelzoo.errors import ConfigError
from accelzoo.search.space import Genome, SearchSpace
from accelzoo.search.workers._candidate import MAX_ATTEMPTS, Candidate, Fate
from accelzoo.search.workers._memory import oom_kills
from accelzoo.search.workers._payload import packed
from accelzoo.search.workers._process import WorkerProcess
from accelzoo.search.workers.errors import WorkerError, raised_in_worker
from accelzoo.search.workers.protocol import Outcome

STARTUP_S = 60.0
"""A worker has this long for its first sign of life, or its lease where that is longer."""
KILL_S = 10.0
"""A killed process that is still there after this (in a driver call that cannot be interrupted) is given up."""
LOST_AT_START = 2
KILLED_AT_START = 10
"""So many workers in a row that end before they are ready, on their own or by SIGKILL, stop the search."""


@dataclass(frozen=True, slots=True)
class LocalWorkers:
    """Worker processes of this machine.

    Space and signal travel to each of them once, by cloudpickle, so that lambdas and functions of a notebook or script
    work; the script itself is not run again. A worker sends a sign of life several times per lease from a thread of its
    own; the lease of one that has died, hangs in native code or is stopped expires.

    Attributes:
        count: How many.
        gpus: Values of CUDA_VISIBLE_DEVICES; worker k sees `gpus[k % len(gpus)]` alone. Empty: as this process.
        lease_s: How long a worker may be silent while the search waits for it.
        timeout_s: How long one candidate may take; it then fails and is not tried again. None: any time.
        max_attempts: How often a candidate whose worker is lost is begun before it fails.

    Raises:
        ConfigError: All faults: counts below 1, times that are not positive, a GPU that is no text or number.
    """

    count: int
    _: KW_ONLY
    gpus: tuple[str | int, ...] = ()
    lease_s: float = 60.0
    timeout_s: float | None = None
    max_attempts: int = MAX_ATTEMPTS

    def __post_init__(self) -> None:
        faults = [
            f"workers.{name} (={value!r}) must be at least 1"
            for name, value in (("count", self.count), ("max_attempts", self.max_attempts))
            if isinstance(value, bool) or not isinstance(value, int) or value < 1
        ]
        faults += [
            f"workers.{name} (={value!r}) must be a positive number of seconds"
            for name, value in (("lease_s", self.lease_s), ("timeout_s", self.timeout_s))
            if not (0 < value < math.inf if value is not None else name == "timeout_s")
        ]
        if isinstance(self.gpus, str) or not all(isinstance(gpu, (str, int)) and str(gpu) for gpu in self.gpus):
            faults.append(f'workers.gpus (={self.gpus!r}) must be values of CUDA_VISIBLE_DEVICES, such as ("0", "1")')
        if faults:
            raise ConfigError(faults)

    def start(self, space: SearchSpace, signal: Callable[[Any], float]) -> LocalPool:
        """Returns a pool; a process starts when there is a candidate for it.

        Raises:
            ConfigError: If space or signal cannot be pickled.
        """
        return LocalPool(self, packed(space, signal))


@dataclass(slots=True)
class _Seat:
    """A place that a worker process fills.

    Times are those of the pool's own clock.
    """

    process: WorkerProcess
    heard_at: float
    heard: bool = False
    ready: bool = False
    candidate: Candidate | None = None
    fate: Fate | None = None
    killed_at: float = 0.0


class LocalPool:
    """The pool of `LocalWorkers`.

    Args:
        workers: How many, and how long anything may take.
        payload: The pickled space and signal.
    """

    def __init__(self, workers: LocalWorkers, payload: bytes) -> None:
        self._workers = workers
        self._payload = payload
        # Guards all below: messages arrive in the threads of the processes.
        self._lock = threading.RLock()
        self._queue: deque[Candidate] = deque()
        self._seats: dict[int, _Seat] = {}
        self._done: queue.SimpleQueue[tuple[int, Outcome] | None] = queue.SimpleQueue()
        self._failure: BaseException | None = None
        self._unfinished = 0
        self._ended_at_start: list[int | None] = []
        self._closed = False
        # The pool's clock stands still while the search does something else, or is stopped by Ctrl-Z: signs of life
        # that are not read yet must not look like silence.
        self._tick_s = min(0.5, workers.lease_s / 4, (workers.timeout_s or math.inf) / 4)
        self._clock_s = 0.0
        self._looked_at = time.monotonic()

    def submit(self, index: int, genome: Genome) -> None:
        """Takes one more candidate."""
        with self._lock:
            if self._closed:
                raise RuntimeError("the workers are closed")
            self._unfinished += 1
            self._queue.append(Candidate(index, genome))
            self._hand_out()

    def wait(self) -> tuple[int, Outcome]:
        """Returns the index and the outcome of the next candidate that is finished.

        Raises:
            RuntimeError: If nothing is left to wait for.
            WorkerError: If the signal raised what is not about one candidate, or workers cannot start.
        """
        if not self._unfinished:
            raise RuntimeError("no candidate was submitted that is not finished")
        while True:
            try:
                finished = self._done.get(timeout=self._tick_s)
            except queue.Empty:
                finished = None
            with self._lock:
                if finished is None and self._failure is not None:
                    raise self._failure
                self._supervise()  # also while others finish
                if finished is not None:
                    self._unfinished -= 1
                    return finished

    def close(self) -> None:
        """Kills every worker and waits until they are gone."""
        with self._lock:
            self._closed = True
            processes = [seat.process for seat in self._seats.values()]
            self._seats.clear()
        for process in processes:
            process.kill()
        for process in processes:
            process.join()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exception: object) -> None:
        self.close()

    def _hand_out(self) -> None:
        """Gives waiting candidates to idle workers, and starts workers for those that are left."""
        idle = [seat for seat in self._seats.values() if seat.candidate is None and seat.fate is None]
        for seat in [seat for seat in idle if seat.ready]:
            if self._queue:
                seat.candidate = candidate = self._queue.popleft()
                candidate.attempts += 1
                candidate.given_at = self._clock_s
                candidate.oom_kills = oom_kills()
                seat.process.give(candidate.index, candidate.genome)
        starting = sum(not seat.ready for seat in idle)
        free = (slot for slot in range(self._workers.count) if slot not in self._seats)
        for _, slot in zip(range(len(self._queue) - starting), free, strict=False):
            self._seats[slot] = _Seat(self._started(slot), heard_at=self._clock_s)

    def _started(self, slot: int) -> WorkerProcess:
        gpus = self._workers.gpus
        environment = {"CUDA_VISIBLE_DEVICES": str(gpus[slot % len(gpus)])} if gpus else {}
        beat_s = min(self._workers.lease_s / 10, 5.0)
        return WorkerProcess(slot, self._payload, beat_s, environment, self._heard)

    def _heard(self, process: WorkerProcess, message: dict[str, Any] | None) -> None:
        """Takes one message, or None when the process has ended; called in the process's thread."""
        with self._lock:
            seat = self._seats.get(process.slot)
            if self._closed or seat is None or seat.process is not process:
                return
            seat.heard_at, seat.heard = self._clock_s, True
            try:
                self._act(seat, message)
            except BaseException as error:  # no process can be started, say
                self._fail(error)

    def _act(self, seat: _Seat, message: dict[str, Any] | None) -> None:
        match message:
            case None:
                self._ended(seat)
            case {"kind": "hello"}:
                seat.ready = True
                self._ended_at_start.clear()
                self._hand_out()
            case {"kind": "outcome", "accuracy": accuracy, "reason": reason}:
                candidate, seat.candidate = seat.candidate, None
                if candidate is not None:  # of a worker that is being killed too: it had finished before
                    self._finish(candidate, Outcome(accuracy=accuracy, reason=reason, attempts=candidate.attempts))
                self._hand_out()
            case {"kind": "memory"}:
                if seat.fate is None:
                    self._kill(seat, "memory")  # the second attempt begins with nothing left over from the first
            case {"kind": "error"}:
                self._fail(raised_in_worker(message, seat.candidate is None))

    def _supervise(self) -> None:
        now = time.monotonic()
        self._clock_s += min(now - self._looked_at, 2 * self._tick_s)
        self._looked_at = now
        timeout_s = self._workers.timeout_s or math.inf
        for seat in list(self._seats.values()):
            lease_s = self._workers.lease_s if seat.heard else max(self._workers.lease_s, STARTUP_S)
            if seat.fate is not None:
                if self._clock_s - seat.killed_at > KILL_S:
                    self._ended(seat)
            elif self._clock_s - seat.heard_at > lease_s:
                self._kill(seat, "lost")
            elif seat.candidate is not None and self._clock_s - seat.candidate.given_at > timeout_s:
                self._kill(seat, "timeout")

    def _kill(self, seat: _Seat, fate: Fate) -> None:
        seat.fate, seat.killed_at = fate, self._clock_s
        seat.process.kill()

    def _ended(self, seat: _Seat) -> None:
        """Clears the place of a process that is gone and decides what becomes of its candidate."""
        del self._seats[seat.process.slot]
        if not seat.ready:
            self._count_ended_at_start(seat.process)
        candidate = seat.candidate
        if candidate is not None:
            fate = seat.fate or ("memory" if self._killed_for_memory(seat.process, candidate) else "lost")
            outcome = candidate.after(fate, self._workers.max_attempts, self._workers.timeout_s)
            if outcome is None:
                self._queue.appendleft(candidate)
            else:
                self._finish(candidate, outcome)
        if self._failure is None:
            self._hand_out()

    @staticmethod
    def _killed_for_memory(process: WorkerProcess, candidate: Candidate) -> bool:
        count = oom_kills()
        killed = process.exitcode == -getattr(signals, "SIGKILL", 9)
        return killed and count is not None and candidate.oom_kills is not None and count > candidate.oom_kills

    def _count_ended_at_start(self, process: WorkerProcess) -> None:
        self._ended_at_start.append(process.exitcode)
        on_their_own = [code for code in self._ended_at_start if code != -getattr(signals, "SIGKILL", 9)]
        if len(on_their_own) < LOST_AT_START and len(self._ended_at_start) < KILLED_AT_START:
            return
        codes = ", ".join(str(code) for code in self._ended_at_start)
        self._fail(
            WorkerError(
                f"worker processes end before they are ready (exit codes {codes}); what the last one wrote:\n"
                f"{process.tail or '(nothing)'}\n"
                "A worker imports the modules that define the space and the signal: does importing them, "
                "or `python -c 'import accelzoo'`, end the process?"
            )
        )

    def _finish(self, candidate: Candidate, outcome: Outcome) -> None:
        self._done.put((candidate.index, outcome))

    def _fail(self, error: BaseException) -> None:
        self._failure = self._failure or error
        self._done.put(None)  # whoever waits looks at once
