"""Measuring many samples with one oracle: what `accelzoo measure` does between its arguments and its summary."""

from __future__ import annotations

import os
import signal
import threading
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ProcessPoolExecutor
from contextlib import contextmanager
from dataclasses import replace
from multiprocessing import get_context

from accelzoo.errors import DataError
from accelzoo.hwmodel.measurement import Measurement
from accelzoo.hwmodel.measurement_log import MeasurementLog
from accelzoo.hwmodel.measurements import Sampling, Skip
from accelzoo.hwmodel.oracles.protocol import BatchOracle, Oracle, OracleError, UnsupportedByToolError
from accelzoo.hwmodel.sampling import SPACE_VERSION, draw_sample

MakeOracle = Callable[[], Oracle]
Outcome = Measurement | Skip
PARENT_CHECK_S = 1.0


def collect(
    make_oracle: MakeOracle,
    log: MeasurementLog,
    sampling: Sampling,
    count: int,
    *,
    workers: int = 1,
    on_outcome: Callable[[int, Outcome], None] | None = None,
) -> None:
    """Measures the samples 0 … count − 1 that a log does not hold yet, and appends them in order.

    Stopped at any moment, it goes on where it was when called again: a sample is measured, skipped, or not there.

    Args:
        make_oracle: Makes the oracle; with several workers it must be importable (a `functools.partial` of
            `oracles.load` is).
        log: Where to.
        sampling: Which samples.
        count: How many.
        workers: Processes that measure; more than one only for oracles that calculate.
        on_outcome: Called with each index and what came of it, after it is on the disk.

    Raises:
        DataError: If the samples are of another version of the space, or several workers were to share a machine whose
            time they measure.
    """
    if sampling.space_version != SPACE_VERSION:
        raise DataError(f"space_version (={sampling.space_version}): this version draws {SPACE_VERSION} alone")
    indices = [index for index in range(count) if index not in log.done]
    if not indices:
        return
    outcomes = _in_turn if workers == 1 else _in_parallel
    for index, outcome in outcomes(make_oracle, log, sampling, indices, workers):
        if isinstance(outcome, Skip):
            log.skip(outcome)
        elif not log.append(outcome, index):
            outcome = Skip(index, "duplicate")
        if on_outcome is not None:
            on_outcome(index, outcome)


def measure_sample(oracle: Oracle, sampling: Sampling, index: int) -> Outcome:
    """Draws one sample and measures it; what the tool cannot do becomes a `Skip` with the reason."""
    sample = draw_sample(sampling.kind, sampling.seed, index)
    try:
        return replace(oracle.measure(sample.graph), source=sample.source)
    except (OracleError, DataError) as error:  # DataError: the tool gave numbers that are none
        return _skipped(index, error)


def _skipped(index: int, error: Exception) -> Skip:
    if not isinstance(error, UnsupportedByToolError):
        return Skip(index, "failed", str(error))
    kinds = sorted({operator[operator.rfind("(") + 1 :].rstrip(")") for operator in error.operators})
    return Skip(index, "unsupported", ", ".join(kinds) + (f": {error.reason}" if error.reason else ""))


def _in_turn(
    make_oracle: MakeOracle, log: MeasurementLog, sampling: Sampling, indices: Iterable[int], workers: int
) -> Iterator[tuple[int, Outcome]]:
    oracle = make_oracle()
    batch_size = oracle.batch_size if isinstance(oracle, BatchOracle) else 1
    batch: list[int] = []
    for index in indices:
        if log.holds(draw_sample(sampling.kind, sampling.seed, index).graph):
            yield index, Skip(index, "duplicate")
            continue
        batch.append(index)
        if len(batch) == batch_size:
            yield from _measure_batch(oracle, sampling, batch)
            batch = []
    yield from _measure_batch(oracle, sampling, batch)


def _measure_batch(oracle: Oracle, sampling: Sampling, indices: Sequence[int]) -> Iterator[tuple[int, Outcome]]:
    if len(indices) < 2 or not isinstance(oracle, BatchOracle):
        for index in indices:
            yield index, measure_sample(oracle, sampling, index)
        return
    samples = [draw_sample(sampling.kind, sampling.seed, index) for index in indices]
    found = oracle.measure_many([sample.graph for sample in samples])
    for index, sample, outcome in zip(indices, samples, found, strict=True):
        if isinstance(outcome, Measurement):
            yield index, replace(outcome, source=sample.source)
        else:
            yield index, _skipped(index, outcome)


def _in_parallel(
    make_oracle: MakeOracle, log: MeasurementLog, sampling: Sampling, indices: Iterable[int], workers: int
) -> Iterator[tuple[int, Outcome]]:
    """Yields in the order of the indices, so that the file is the same as that of one worker."""
    if make_oracle().provenance.host:
        raise DataError(
            f"workers (={workers}): this oracle measures time, which several processes would disturb; use 1"
        )
    waiting: deque[tuple[int, Future[Outcome] | Skip]] = deque()
    with _pool(make_oracle, workers) as pool:
        for index in indices:
            if log.holds(draw_sample(sampling.kind, sampling.seed, index).graph):
                waiting.append((index, Skip(index, "duplicate")))
            else:
                waiting.append((index, pool.submit(_work, sampling, index)))
            if len(waiting) >= 4 * workers:
                yield _settled(*waiting.popleft())
        while waiting:
            yield _settled(*waiting.popleft())


def _settled(index: int, outcome: Future[Outcome] | Skip) -> tuple[int, Outcome]:
    return index, outcome if isinstance(outcome, Skip) else outcome.result()


@contextmanager
def _pool(make_oracle: MakeOracle, workers: int) -> Iterator[ProcessPoolExecutor]:
    arguments = (make_oracle, os.getpid())
    pool = ProcessPoolExecutor(workers, get_context("spawn"), initializer=_begin_work, initargs=arguments)
    try:
        yield pool
    finally:
        pool.shutdown(wait=True, cancel_futures=True)


_ORACLE: list[Oracle] = []  # of a worker's process; holds one


def _begin_work(make_oracle: MakeOracle, parent: int) -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C goes to every process of the terminal; the parent answers it
    threading.Thread(target=_end_with, args=(parent,), daemon=True).start()
    _ORACLE.append(make_oracle())


def _end_with(parent: int) -> None:
    """Ends this process when its parent was killed: nobody else would tell it."""
    while os.getppid() == parent:
        time.sleep(PARENT_CHECK_S)
    os._exit(1)


def _work(sampling: Sampling, index: int) -> Outcome:
    return measure_sample(_ORACLE[0], sampling, index)
