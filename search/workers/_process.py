"""The driver's side of one worker process: starting it, hearing from it, ending it."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Mapping
from typing import Any

from accelzoo.search.space import Genome
from accelzoo.search.workers._worker import BOOTSTRAP

TAIL_LINES, TAIL_CHARACTERS = 20, 8_000


class WorkerProcess:
    """A worker process with a thread that listens to it.

    It is started as a program of its own (never forked: torch's threads and CUDA do not survive that), so the user's
    script is not run again in it, whether or not its `__main__` is guarded. It leads a process group, so that Ctrl-C
    reaches the driver alone and that what a signal starts ends with its worker.

    Attributes:
        slot: Which of the pool's places it fills.
        exitcode: Minus the number of the signal that ended it, once it has ended.

    Args:
        slot: Which of the pool's places it fills.
        payload: The pickled space and signal.
        beat_s: Seconds between two signs of life.
        environment: Variables it has beside those of the driver.
        heard: Called from the thread with each message, and with None when the process has ended.
    """

    def __init__(
        self,
        slot: int,
        payload: bytes,
        beat_s: float,
        environment: Mapping[str, str],
        heard: Callable[[WorkerProcess, dict[str, Any] | None], None],
    ) -> None:
        self.slot = slot
        self.exitcode: int | None = None
        self._heard = heard
        self._tail = ""
        self._process = subprocess.Popen(
            [sys.executable, "-c", BOOTSTRAP, json.dumps([entry for entry in sys.path if isinstance(entry, str)])],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            env={**os.environ, **environment},
            start_new_session=True,
        )
        head = {"bytes": len(payload), "beat_s": beat_s, "driver": os.getpid()}
        first = json.dumps(head).encode() + b"\n"
        self._threads = (
            threading.Thread(target=self._listen, args=(first, payload), daemon=True),
            threading.Thread(target=self._forward, daemon=True),
        )
        for thread in self._threads:
            thread.start()

    @property
    def tail(self) -> str:
        """The last lines it wrote to standard error."""
        return "\n".join(self._tail.splitlines()[-TAIL_LINES:])

    def give(self, index: int, genome: Genome) -> None:
        """Sends a candidate; a process that has ended takes it and is heard of."""
        self._write(json.dumps({"index": index, "genome": [int(choice) for choice in genome]}).encode() + b"\n")

    def kill(self) -> None:
        """Ends it and what it started at once; it is heard of when it is gone."""
        if self.exitcode is None:  # until then its number cannot have become another process's
            if os.name == "posix":
                with contextlib.suppress(ProcessLookupError, PermissionError):
                    os.killpg(self._process.pid, signal.SIGKILL)
            self._process.kill()

    def join(self, timeout_s: float = 5.0) -> None:
        """Waits until it has ended and all it said is heard."""
        for thread in self._threads:
            thread.join(timeout_s)

    def _write(self, data: bytes) -> None:
        pipe = self._process.stdin
        assert pipe is not None
        with contextlib.suppress(OSError, ValueError):
            pipe.write(data)
            pipe.flush()

    def _listen(self, *first: bytes) -> None:
        for part in first:
            self._write(part)
        pipe = self._process.stdout
        assert pipe is not None
        for line in pipe:
            try:
                message = json.loads(line)
                kind = message["kind"]
            except (ValueError, TypeError, KeyError):
                self._say(line)  # something printed before standard output was taken away from it
            else:
                assert isinstance(kind, str)
                self._heard(self, message)
        self.kill()  # what it started, if that is still there
        self.exitcode = self._process.wait()
        self._threads[1].join(1.0)
        for end in (self._process.stdin, pipe):
            with contextlib.suppress(OSError):
                if end is not None:
                    end.close()
        self._heard(self, None)

    def _forward(self) -> None:
        """Shows what it writes to standard error as it comes, also where that is no file (in a notebook)."""
        pipe = self._process.stderr
        assert pipe is not None
        with pipe:
            while data := os.read(pipe.fileno(), 1 << 16):
                self._say(data)

    def _say(self, data: bytes) -> None:
        text = data.decode(errors="replace")
        self._tail = (self._tail + text)[-TAIL_CHARACTERS:]
        with contextlib.suppress(OSError, ValueError):
            sys.stderr.write(text)
            sys.stderr.flush()
