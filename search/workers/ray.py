"""Tasks of a Ray cluster: a search on many machines.

Every machine needs accelzoo and the modules that the signal imports; what a script or a notebook defines travels by
value. Ray decides where a candidate is evaluated, and asks its autoscaler for machines; a task that is lost with its
process or its machine is asked again.
"""

from __future__ import annotations

import hashlib
from collections import deque
from collections.abc import Callable
from types import ModuleType
from typing import Any, Self
from urllib.parse import parse_qsl, urlsplit

from accelzoo.errors import ConfigError
from accelzoo.search.space import Genome, SearchSpace
from accelzoo.search.workers._candidate import MAX_ATTEMPTS, Candidate, Fate
from accelzoo.search.workers._message import described, message_of
from accelzoo.search.workers._payload import packed
from accelzoo.search.workers.errors import WorkerError, raised_in_worker
from accelzoo.search.workers.protocol import Outcome

WAIT_S = 1.0
"""How long Ray is waited for at once, so that Ctrl-C is noticed."""


class RayWorkers:
    """Ray tasks.

    Args:
        address: `ray://host:port` of a cluster's client server, `host:port` of a cluster that this machine belongs to,
            or None: the cluster that Ray is connected to, that of RAY_ADDRESS, or a new one on this machine.
        count: How many candidates at once; None: as many as the cluster has CPUs, or shares of its GPUs, for.
        gpus_per_worker: GPUs that a task holds; 0.5 lets two share one. With 0, Ray may hide them all from it.

    Raises:
        ConfigError: If Ray is not installed, or a number is out of range.
    """

    def __init__(self, address: str | None = None, count: int | None = None, *, gpus_per_worker: float = 0.0) -> None:
        faults = []
        if count is not None and (isinstance(count, bool) or not isinstance(count, int) or count < 1):
            faults.append(f"workers.count (={count!r}) must be at least 1")
        if not 0 <= gpus_per_worker < float("inf"):
            faults.append(f"workers.gpus_per_worker (={gpus_per_worker!r}) must be a finite number, not below 0")
        if faults:
            raise ConfigError(faults)
        self._ray = _import_ray()
        self._address = address
        self._count = count
        self._gpus = gpus_per_worker

    @classmethod
    def of(cls, text: str) -> RayWorkers:
        """Reads `ray`, `ray?workers=16`, `ray://host:port` or `ray://host:port?workers=16`.

        Raises:
            ConfigError: If it is none of these.
        """
        parts = urlsplit(text)
        options = dict(parse_qsl(parts.query, keep_blank_values=True))
        count = options.pop("workers", None)
        bad_address = parts.scheme == "ray" and (not parts.netloc or parts.path not in ("", "/"))
        if options or bad_address or (count is not None and not (count.isdecimal() and int(count))):
            raise ConfigError(
                [f'workers (={text!r}) must be "ray", "ray?workers=16", "ray://host:port" or "ray://host:port?workers=16"']
            )
        address = f"ray://{parts.netloc}" if parts.scheme == "ray" else None
        return cls(address, None if count is None else int(count))

    def __repr__(self) -> str:
        return f"RayWorkers({self._address!r}, {self._count!r}, gpus_per_worker={self._gpus!r})"

    @property
    def count(self) -> int:
        """How many candidates at once; asks the cluster if it was not given."""
        if self._count is None:
            self._connect()
            has = self._ray.cluster_resources()
            self._count = max(1, int(has.get("GPU", 0.0) / self._gpus if self._gpus else has.get("CPU", 1.0)))
        return self._count

    def start(self, space: SearchSpace, signal: Callable[[Any], float]) -> RayPool:
        """Returns a pool, connected to the cluster.

        Raises:
            ConfigError: If space or signal cannot be pickled, or the cluster cannot be reached.
        """
        payload = packed(space, signal)
        self._connect()
        return RayPool(self._ray, payload, self.count, self._gpus)

    def _connect(self) -> None:
        if self._ray.is_initialized():
            return
        try:
            self._ray.init(address=self._address)
        except (ConnectionError, ValueError, RuntimeError, TimeoutError) as error:
            where = self._address or "of this machine"
            hint = "; does it run, with this port, and ask for a token (RAY_AUTH_MODE=token, RAY_AUTH_TOKEN)?"
            raise ConfigError([f"workers: the Ray cluster {where} cannot be reached: {error}{hint}"]) from error


class RayPool:
    """The pool of `RayWorkers`; Ray itself stays connected when it is closed, for the next search.

    Args:
        ray: The module.
        payload: The pickled space and signal.
        count: How many tasks at once.
        gpus: GPUs of a task.
    """

    def __init__(self, ray: ModuleType, payload: bytes, count: int, gpus: float) -> None:
        self._ray: Any = ray
        self._count = count
        # The task's own max_retries is 0: attempts are counted here.
        self._task = self._ray.remote(num_cpus=1, num_gpus=gpus, max_retries=0)(_evaluate)
        self._payload = (hashlib.sha256(payload).hexdigest(), [self._ray.put(payload)])
        self._queue: deque[Candidate] = deque()
        self._running: dict[Any, Candidate] = {}

    def submit(self, index: int, genome: Genome) -> None:
        """Takes one more candidate."""
        self._queue.append(Candidate(index, genome))
        self._hand_out()

    def wait(self) -> tuple[int, Outcome]:
        """Returns the index and the outcome of the next candidate that is finished.

        Raises:
            RuntimeError: If nothing is left to wait for.
            WorkerError: If the signal raised what is not about one candidate, or Ray cannot run it at all.
        """
        while self._running:
            ready, _ = self._ray.wait(list(self._running), num_returns=1, timeout=WAIT_S)
            for task in ready:
                candidate = self._running.pop(task)
                outcome = self._outcome(candidate, task)
                if outcome is None:
                    self._queue.appendleft(candidate)
                self._hand_out()
                if outcome is not None:
                    return candidate.index, outcome
        raise RuntimeError("no candidate was submitted that is not finished")

    def close(self) -> None:
        """Cancels what is unfinished."""
        for task in self._running:
            self._ray.cancel(task, force=True)
        self._running.clear()
        self._queue.clear()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exception: object) -> None:
        self.close()

    def _hand_out(self) -> None:
        while self._queue and len(self._running) < self._count:
            candidate = self._queue.popleft()
            candidate.attempts += 1
            task = self._task
            if candidate.out_of_memory:  # other variables make another process: nothing is left from the first attempt
                task = task.options(runtime_env={"env_vars": {"ACCELZOO_ATTEMPT": str(candidate.attempts)}})
            self._running[task.remote(*self._payload, list(candidate.genome))] = candidate

    def _outcome(self, candidate: Candidate, task: Any) -> Outcome | None:
        """Returns the outcome of a finished task, or None if the candidate is to be asked again."""
        errors = self._ray.exceptions
        fate: Fate
        try:
            message = self._ray.get(task)
        except errors.OutOfMemoryError:  # Ray's memory monitor ended it
            fate = "memory"
        except (errors.RayTaskError, errors.RuntimeEnvSetupError, errors.TaskUnschedulableError) as error:
            raise WorkerError(f"Ray cannot evaluate candidates: {error}") from error
        except errors.RayError:  # its process or its machine is gone
            fate = "lost"
        else:
            if message["kind"] == "outcome":
                return Outcome(accuracy=message["accuracy"], reason=message["reason"], attempts=candidate.attempts)
            if message["kind"] == "error":
                raise raised_in_worker(message, loading=message["loading"])
            fate = "memory"
        return candidate.after(fate, MAX_ATTEMPTS)


# Digest of the payload -> the space and the signal that this worker process has read from it.
_LOADED: dict[str, tuple[SearchSpace, Callable[[Any], float]]] = {}


def _evaluate(digest: str, payload: list[Any], genome: list[int]) -> dict[str, Any]:
    """The task; the payload comes as a reference in a list, which Ray does not resolve before it is needed."""
    import pickle

    import ray

    if digest not in _LOADED:
        _LOADED.clear()
        try:
            _LOADED[digest] = pickle.loads(ray.get(payload[0]))
        except Exception as error:
            return {**described(error), "loading": True}
    return {**message_of(*_LOADED[digest], tuple(genome)), "loading": False}


def _import_ray() -> ModuleType:
    try:
        import ray
    except ImportError as error:
        raise ConfigError(['workers: Ray is not installed: pip install "accelzoo[ray]"']) from error
    return ray
