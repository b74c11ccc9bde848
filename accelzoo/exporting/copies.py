"""A written network loaded in its runtime: whether it computes what the network does, and how long it takes."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple

from accelzoo.errors import ExportError
from accelzoo.hwmodel.oracles.torch_device import torch_threads

if TYPE_CHECKING:
    from torch import Tensor

    from accelzoo._export_job import Job

RELATIVE_TOLERANCE = 1e-4
"""How far a copy's outputs may be from the network's, as a share of the largest value: what rounding explains."""
WARM_UP, LEAST_RUNS, MOST_RUNS = 3, 5, 30
ENOUGH_S = 3.0
"""Seconds after which no more than `LEAST_RUNS` are timed."""


class Copy(NamedTuple):
    """A written network in its runtime, with a job's inputs.

    Attributes:
        runtime: What runs it, with its version.
        run: Makes one inference.
        read: Turns what `run` returned into outputs in the network's order, shapes and layout.
    """

    runtime: str
    run: Callable[[], Any]
    read: Callable[[Any], Sequence[Tensor]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Latency:
    """How long one inference takes here, in a runtime and in PyTorch; medians of the wall's time, run in turn.

    Attributes:
        seconds: Of the runtime.
        torch_seconds: Of PyTorch, not compiled.
        threads: How many each may use.
        runs: How many of each were timed, after some that were not.
    """

    seconds: float
    torch_seconds: float
    threads: int
    runs: int


def compare(copy: Copy, job: Job) -> dict[str, float]:
    """Runs a copy once.

    Returns:
        For each output by name, the largest difference from the network's as a share of its largest value.

    Raises:
        ExportError: If a shape is another, or a difference is more than `RELATIVE_TOLERANCE`; names the output.
    """
    try:
        outputs = copy.read(copy.run())
    except (RuntimeError, ValueError) as error:
        raise ExportError(f"{copy.runtime} cannot run the {type(job.module).__name__}: {error}") from error
    errors = {}
    for name, value, other in zip(output_names(job), job.outputs, outputs, strict=True):
        if value.shape != other.shape:
            raise ExportError(f"{name}: {copy.runtime} makes {tuple(other.shape)}, the network {tuple(value.shape)}")
        errors[name] = relative_error(other, value)
        if not errors[name] <= RELATIVE_TOLERANCE:
            share = f"{errors[name]:.1e} of the largest value, more than {RELATIVE_TOLERANCE:g}"
            raise ExportError(f"{name}: what {copy.runtime} computes differs from the network by {share}")
    return errors


def output_names(job: Job) -> list[str]:
    """A name for every output, numbered where it has none of its own."""
    return job.output_names or [f"output {index}" for index in range(len(job.outputs))]


def relative_error(copy: Tensor, value: Tensor) -> float:
    """Largest difference between two tensors as a share of the second's largest value."""
    reference = value.detach().double().cpu()
    difference = (copy.detach().double().cpu() - reference).abs().amax()
    return float(difference / reference.abs().amax()) if difference else 0.0


def measure(copy: Copy, job: Job, threads: int) -> Latency:
    """Times a copy and its network in turn, so that what else the machine does is shared between them.

    Args:
        copy: Loaded for so many threads.
        job: The network with its inputs, on the CPU.
        threads: How many PyTorch may use.
    """
    runs: tuple[Callable[[], Any], ...] = (copy.run, lambda: job.module(*job.inputs))
    times: tuple[list[float], ...] = ([], [])
    with torch_threads(threads):
        for _ in range(WARM_UP):
            for run in runs:
                run()
        begun = time.perf_counter()
        while len(times[0]) < LEAST_RUNS or (len(times[0]) < MOST_RUNS and time.perf_counter() - begun < ENOUGH_S):
            for run, found in zip(runs, times, strict=True):
                start = time.perf_counter()
                run()
                found.append(time.perf_counter() - start)
    ours, theirs = map(statistics.median, times)
    return Latency(seconds=ours, torch_seconds=theirs, threads=threads, runs=len(times[0]))
