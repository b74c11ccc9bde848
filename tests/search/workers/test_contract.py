"""Every way to evaluate candidates passes one contract."""

from __future__ import annotations

from accelzoo.search.workers import LocalWorkers, Serial
from accelzoo.search.workers.conformance import WorkersContract


class TestSerial(WorkersContract):
    workers = Serial()


class TestLocal(WorkersContract):
    workers = LocalWorkers(2)
