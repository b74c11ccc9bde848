"""Running jobs in worker processes; each leaves its result in the run's folder, and is not done twice."""

from __future__ import annotations

import re
import shutil
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Generic, Protocol, TypeVar

from accelzoo.errors import AccelzooError, DataError
from accelzoo.recipes.job_records import JobRecords
from accelzoo.search.evaluator import CandidateError
from accelzoo.search.space import Genome
from accelzoo.search.workers import Workers

_FILE_SAFE = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")
_REFUSED = f"{CandidateError.__name__}: "


Context = TypeVar("Context", bound=JobRecords)
_Given = TypeVar("_Given", bound=JobRecords, contravariant=True)


class Job(Protocol[_Given]):
    """Something that takes minutes; its result is JSON, with its seconds as `wall_s`."""

    @property
    def name(self) -> str:
        """What its files are called."""

    def digest(self, context: _Given) -> str:
        """`sha256:…` of all that decides its result.

        Raises:
            AccelzooError: If it needs the result of a job that is not finished.
        """

    def run(self, context: _Given, progress: bool | None) -> dict[str, Any]:
        """Does it, from where an earlier attempt was interrupted; `progress` as for `accelzoo.train.fit`."""

    def checkpoints(self, context: _Given) -> Path | None:
        """The folder that is of no use once the job is finished."""

    def describe(self, result: Mapping[str, Any]) -> str:
        """Says in a few words what was done."""


def run_jobs(
    jobs: Sequence[Job[Context]],
    context: Context,
    workers: Workers,
    say: Callable[[str], None],
    progress: bool | None = None,
) -> dict[str, dict[str, Any]]:
    """Does what is not done yet, in the order given, and returns all results.

    A job that needs the result of another goes into a later call.

    Args:
        jobs: What to do; of equal names, the first alone is done.
        context: What they work on.
        workers: Where.
        say: Called with a line after each job.
        progress: Show each job; with more than one worker, nothing is shown.

    Returns:
        Name → result.

    Raises:
        AccelzooError: If a job fails; it names the job and says why. Others that were running then are interrupted.
        DataError: If the folder holds the result of another job under one of the names.
    """
    digests = _digests(jobs, context)
    wanted = {job.name: job for job in reversed(jobs)}
    ordered = [wanted[name] for name in digests]
    results: dict[str, dict[str, Any]] = {}
    for name, digest in digests.items():
        found = _finished(context, name, digest)
        if found is not None:
            results[name] = found
    left = [job for job in ordered if job.name not in results]
    shown = progress if workers.count == 1 else False
    if left:
        with workers.start(_Jobs(jobs=tuple(left)), _Work(context=context, digests=digests, progress=shown)) as pool:
            for index in range(len(left)):
                pool.submit(index, (index,))
            for _ in left:
                index, outcome = pool.wait()
                job = left[index]
                if outcome.accuracy is None:
                    reason = str(outcome.reason).removeprefix(_REFUSED)
                    raise AccelzooError(f"{job.name}: {reason}")
                results[job.name] = context.result_of(job.name)
                say(f"{job.describe(results[job.name])}; {_outlook(results, len(ordered), workers.count)}")
    return {name: results[name] for name in digests}


@dataclass(frozen=True, slots=True, kw_only=True)
class _Jobs(Generic[Context]):
    """Jobs as a space of one position: which; what workers decode."""

    jobs: tuple[Job[Context], ...]

    @property
    def sizes(self) -> tuple[int, ...]:
        return (len(self.jobs),)

    def decode(self, genome: Genome) -> Job[Context]:
        return self.jobs[genome[0]]

    def canonical(self, genome: Genome) -> Genome:
        return genome

    def digest(self) -> str:
        return "jobs"


@dataclass(frozen=True, slots=True, kw_only=True)
class _Work(Generic[Context]):
    """Does a job where it is called, and leaves the result in the run's folder; returns its seconds."""

    context: Context
    digests: Mapping[str, str]
    progress: bool | None

    def __call__(self, job: Job[Context]) -> float:
        context, digest = self.context, self.digests[job.name]
        try:
            result = _finished(context, job.name, digest)  # a worker that was lost may have got as far as that
            if result is None:
                result = job.run(context, self.progress)
                context.record(job.name, digest, result)
        except AccelzooError as error:
            raise CandidateError(str(error)) from error
        except Exception as error:
            error.add_note(f"in the job {job.name}")
            raise
        folder = job.checkpoints(context)
        if folder is not None:
            shutil.rmtree(folder, ignore_errors=True)
        return float(result["wall_s"])


def _digests(jobs: Sequence[Job[Context]], context: Context) -> dict[str, str]:
    """Returns what decides the result of each job.

    Raises:
        DataError: If two different jobs have one name, or a name is unfit for a file.
    """
    found: dict[str, str] = {}
    for job in jobs:
        if not _FILE_SAFE.fullmatch(job.name):
            raise DataError(f"job {job.name!r}: a name has letters, digits, dots, dashes and underscores")
        digest = job.digest(context)
        if found.setdefault(job.name, digest) != digest:
            raise DataError(f"two different jobs are called {job.name}")
    return found


def _finished(context: JobRecords, name: str, digest: str) -> dict[str, Any] | None:
    """Returns the result that the folder holds, None if there is none; that of another job is refused."""
    recorded = context.recorded(name)
    if recorded is None:
        return None
    if recorded["digest"] != digest:
        raise DataError(
            f"{context.record_path(name)}: the result of another job of this name (recorded {recorded['digest']}, "
            f"asked for {digest}): weights, prices or budgets have changed since; remove the file to do the job anew"
        )
    result: dict[str, Any] = recorded["result"]
    return result


def _outlook(results: Mapping[str, Mapping[str, Any]], total: int, workers: int) -> str:
    """Says how many jobs are done, and how long the others may take if they are like those."""
    said, left = f"{len(results)} of {total}", total - len(results)
    if not left:
        return said
    mean_s = sum(float(result["wall_s"]) for result in results.values()) / len(results)
    return f"{said}, about {_rough(mean_s * left / min(left, workers))} left"


def _rough(seconds: float) -> str:
    if seconds < 100:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 100 * 60 else f"{seconds / 3600:.1f} h"
