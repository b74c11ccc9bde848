"""The inside of a worker process: it reads candidates from its driver, evaluates them, and dies with it.

Messages are lines of JSON. The driver sends a head, the pickled space and signal once, and then
`{"index": …, "genome": […]}` lines; back come `{"kind": …}` lines: `beat` (now and then, whatever the signal does),
`hello` (ready), `outcome`, `memory` (ran out of it), and `error` (what the signal raised).
"""

from __future__ import annotations

import contextlib
import json
import os
import pickle
import queue
import signal
import threading
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any, BinaryIO

from accelzoo.search.workers._message import described, message_of

# Runs before anything else is imported: what the driver can import, its workers can.
BOOTSTRAP = (
    "import json, sys; sys.path[:] = json.loads(sys.argv.pop(1)); "
    "from accelzoo.search.workers._worker import main; main()"
)


def main() -> None:
    """Works until the driver closes its end of the pipe, or is gone."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the driver, which stops its workers
    with contextlib.suppress(OSError):  # when memory runs out, the kernel shall end a worker and not the driver
        Path("/proc/self/oom_score_adj").write_text("500", encoding="ascii")
    channel = _Channel()
    jobs: queue.SimpleQueue[Any] = queue.SimpleQueue()
    head = json.loads(channel.jobs.readline() or b"null")
    if head is None:
        return
    for work in (lambda: _read(channel, jobs, head["bytes"]), lambda: _beat(channel, head["beat_s"], head["driver"])):
        threading.Thread(target=work, daemon=True).start()
    try:
        space, accuracy = pickle.loads(jobs.get())
    except BaseException as error:
        channel.send(described(error))
        return
    channel.send({"kind": "hello"})
    while True:
        job = jobs.get()
        channel.send({"index": job["index"], **message_of(space, accuracy, tuple(job["genome"]))})


class _Channel:
    """The pipes from and to the driver, taken from standard input and output so that no signal touches them.

    Standard input is empty then, and what is printed goes to standard error.

    Attributes:
        jobs: What the driver sends.
    """

    def __init__(self) -> None:
        self.jobs: BinaryIO = os.fdopen(os.dup(0), "rb")
        self._file = os.dup(1)
        nothing = os.open(os.devnull, os.O_RDONLY)
        os.dup2(nothing, 0)
        os.close(nothing)
        os.dup2(2, 1)
        self._lock = threading.Lock()

    def send(self, message: Mapping[str, Any]) -> None:
        """Writes one line; a process whose driver is gone ends here."""
        rest = memoryview(f"{json.dumps(message)}\n".encode())
        with self._lock:
            try:
                while rest:
                    rest = rest[os.write(self._file, rest) :]
            except OSError:
                _end()


def _read(channel: _Channel, jobs: queue.SimpleQueue[Any], size: int) -> None:
    """Passes on what the driver sends; the end of it is the end of this process, whatever the signal is doing."""
    try:
        jobs.put(channel.jobs.read(size))
        for line in channel.jobs:
            jobs.put(json.loads(line))
    finally:
        _end()


def _beat(channel: _Channel, interval_s: float, driver: int) -> None:
    """Renews this worker's lease, and looks whether the driver still lives: its pipe may have been inherited."""
    while True:
        channel.send({"kind": "beat"})
        time.sleep(interval_s)
        if hasattr(os, "getppid") and os.name == "posix" and os.getppid() != driver:
            _end()


def _end() -> None:
    """Ends this process at once, and with it whatever the signal has started."""
    if os.name == "posix" and os.getpgid(0) == os.getpid():
        os.killpg(0, signal.SIGKILL)
    os._exit(1)

