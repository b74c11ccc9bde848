"""The one loop: ask, price, evaluate, record, tell; and the same again when a trace is resumed.

Candidate i is proposed when the candidates 0 … i − `pending` have been told, in that order, whichever of them were
finished first. So what is proposed depends on `pending` and on what was found, never on how long anything took: a trace
is the same for any number of workers. Whether a candidate will be evaluated (it makes a network, is within the budgets,
and is no duplicate) is known when it is proposed, so that the end of a search does not depend on time either.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Collection
from contextlib import ExitStack
from typing import Any

import numpy as np

from accelzoo.errors import ShapeError, TraceError
from accelzoo.search.algorithms import Algorithm
from accelzoo.search.evaluator import Decoded, Evaluator, Quote
from accelzoo.search.genomes import checked_matrix, genome_count, to_matrix
from accelzoo.search.growing_front import GrowingFront
from accelzoo.search.objective import value, values
from accelzoo.search.progress import ProgressLine
from accelzoo.search.record import Record
from accelzoo.search.result import Stopped
from accelzoo.search.results import plain
from accelzoo.search.space import Genome
from accelzoo.search.store import Store
from accelzoo.search.workers.protocol import Pool, Workers
from accelzoo.search.workers.serial import Serial


class _Open:
    """A candidate that was proposed and is not yet recorded: finished, a duplicate, or waiting for its outcome."""

    __slots__ = ("duplicate_of", "genome", "index", "quote", "record")

    def __init__(self, index: int, genome: Genome) -> None:
        self.index = index
        self.genome = genome
        self.quote = Quote()
        self.duplicate_of: int | None = None
        self.record: Record | None = None

    @property
    def waiting(self) -> bool:
        return self.record is None and self.duplicate_of is None


class Loop:
    """A running search: its records so far, and the algorithm that has been told of them.

    Args:
        evaluator: Genome → record.
        algorithm: Proposes genomes.
        store: Holds the records that are there already, and takes the new ones.
        workers: Evaluate candidates; started when the first has to be.
        allowed: The genomes that may be proposed; None: all of the space.
    """

    def __init__(
        self,
        evaluator: Evaluator,
        algorithm: Algorithm,
        store: Store,
        workers: Workers | None = None,
        allowed: Collection[Genome] | None = None,
    ) -> None:
        self.space = evaluator.space
        self.store = store
        self._sizes = evaluator.sizes
        self._evaluator = evaluator
        self._algorithm = algorithm
        self._workers = Serial() if workers is None else workers
        self._decoded = Decoded(evaluator.space) if isinstance(self._workers, Serial) else None
        self._allowed = allowed
        self._count = genome_count(self._sizes) if allowed is None else len(allowed)
        self._minimise = evaluator.objective.minimise
        self._pending = store.pending
        # Canonical genome or digest of the architecture -> its first candidate.
        self._first: dict[Genome | str, int] = {}
        self._asked: set[Genome] = set()
        self._opened: deque[_Open] = deque()
        self._waiting: dict[int, _Open] = {}
        self._stack = ExitStack()
        self._pool: Pool | None = None
        self._line: ProgressLine | None = None
        self._proposed = 0
        self._evaluating = 0  # of the proposed ones, how many were or will be evaluated
        self._told = 0
        self.records: list[Record] = []
        self.front = GrowingFront(evaluator.objective.minimise, evaluator.budgets)
        self.evaluated = 0
        self.infeasible = 0
        self.best: float | None = None

    def replay(self) -> None:
        """Leads the algorithm to where the stored trace ends, without pricing or evaluating anything.

        Raises:
            TraceError: If it proposes anything else than the trace has.
        """
        for record in self.store.recorded:
            genome = self._propose()
            if genome != record.genome:
                raise TraceError(
                    f"{self.store.path}:{record.index + 2}: the trace has genome {record.genome} where the algorithm "
                    f"now proposes {genome}: it was written by another version of the algorithm or of the space"
                )
            first = record.index if record.duplicate_of is None else record.duplicate_of
            self._enter(genome, self._canonical(genome), record.arch, first)
            self._evaluating += record.evaluated
            self._add(record)

    def go(self, line: ProgressLine, evaluations: int, max_candidates: int) -> Stopped:
        """Goes on until that many evaluations or candidates are done, or the space is exhausted."""
        self._line = line if line.shown else None
        with self._stack:
            stopped: Stopped | None = None
            while stopped is None:
                if self._evaluating >= evaluations:
                    stopped = "evaluations"
                elif self._proposed >= max_candidates:
                    stopped = "candidates"
                else:  # each turn proposes one candidate
                    genome = self._propose()
                    if genome is None:
                        stopped = "exhausted"
                    else:
                        self._open(genome)
            while self._opened:
                self._wait()
        self.store.finish(len(self.records))
        self._show(line, final=True)
        return stopped

    def summary(self) -> str:
        """Says in words how many candidates there were and what became of them."""
        counts: dict[str, Any] = dict.fromkeys(("infeasible", "failed", "duplicate"), 0)
        for record in self.records:
            counts[record.status] = counts.get(record.status, 0) + 1
        text = (
            f"{len(self.records):,} candidates: {self.evaluated:,} evaluated, {counts['infeasible']:,} over budget, "
            f"{counts['duplicate']:,} duplicates, {counts['failed']:,} failed"
        )
        return f"{text}, and {len(self._waiting):,} unfinished" if self._waiting else text

    def _propose(self) -> Genome | None:
        """Returns the next candidate, once those before it have been told that must have been; None if none is left."""
        while self._proposed - self._told >= self._pending:
            while self._told >= len(self.records):
                self._wait()
            self._tell(self.records[self._told])
        if self._proposed < len(self.store.start):
            return self.store.start[self._proposed]
        if len(self._asked) >= self._count:
            return None
        rows = checked_matrix(self._algorithm.ask(1), self._sizes)
        if len(rows) > 1:
            raise ShapeError(f"{type(self._algorithm).__name__}.ask(1) returned {len(rows)} genomes")
        if rows and self._allowed is not None and rows[0] not in self._allowed:
            raise ShapeError(f"{type(self._algorithm).__name__} asked for {rows[0]}, which is not in its pool")
        return rows[0] if rows else None

    def _open(self, genome: Genome) -> None:
        """Finds out what is to become of a candidate, and has it evaluated if that is it."""
        opened = _Open(self._proposed, genome)
        canonical = self._canonical(genome)
        first = self._first.get(canonical)
        if first is None:
            opened.quote = quote = self._evaluator.quote(genome)
            if quote.digest is not None:  # rounding makes one architecture of several canonical genomes
                first = self._first.get(quote.digest)
        self._enter(genome, canonical, opened.quote.digest, opened.index if first is None else first)
        self._opened.append(opened)
        opened.duplicate_of = first
        if first is None:
            opened.record = self._evaluator.decided(opened.index, genome, opened.quote)
            if opened.record is None:
                self._evaluating += 1
                outcome = self.store.take(opened.index, genome)
                if outcome is None:
                    self._submit(opened)
                else:
                    opened.record = self._evaluator.finished(opened.index, genome, opened.quote, outcome)
        self._settle()

    def _submit(self, opened: _Open) -> None:
        if self._pool is None:
            space = self.space if self._decoded is None else self._decoded
            self._pool = self._stack.enter_context(self._workers.start(space, self._evaluator.signal))
        if self._decoded is not None:
            self._decoded.keep(opened.genome, opened.quote.arch)
        self._waiting[opened.index] = opened
        self._pool.submit(opened.index, opened.genome)

    def _wait(self) -> None:
        """Waits for one outcome; it goes into the trace if it is its turn, else to where it is kept until then."""
        assert self._pool is not None
        index, outcome = self._pool.wait()
        outcome = plain(outcome)
        opened = self._waiting.pop(index)
        if index > self._opened[0].index:
            self.store.keep(index, opened.genome, outcome)
        opened.record = self._evaluator.finished(index, opened.genome, opened.quote, outcome)
        self._settle()

    def _settle(self) -> None:
        """Records the candidates whose turn it is: all up to the first that is waited for."""
        while self._opened and not self._opened[0].waiting:
            opened = self._opened.popleft()
            record = opened.record or self._repeated(opened)
            self.store.append(record)
            self._add(record)
            if self._line is not None:
                self._show(self._line)

    def _repeated(self, opened: _Open) -> Record:
        assert opened.duplicate_of is not None
        known = self.records[opened.duplicate_of]
        return Record(
            index=opened.index,
            genome=opened.genome,
            status="duplicate",
            arch=known.arch,
            cost=known.cost,
            accuracy=known.accuracy,
            score=known.score,
            violation=known.violation,
            reason=known.reason,
            duplicate_of=opened.duplicate_of,
        )

    def _enter(self, genome: Genome, canonical: Genome, digest: str | None, first: int) -> None:
        """Takes note that a candidate was proposed, and of the first one of its architecture."""
        self._proposed += 1
        self._asked.add(genome)
        self._first.setdefault(canonical, first)
        if digest is not None:
            self._first.setdefault(digest, first)

    def _add(self, record: Record) -> None:
        self.records.append(record)
        self.evaluated += record.evaluated
        self.infeasible += record.violation is not None
        if record.score is not None and (self.best is None or record.score > self.best):
            self.best = record.score

    def _tell(self, record: Record) -> None:
        self._told += 1
        if self._minimise:
            told = np.array([values(record, self.records, self._minimise)], dtype=np.float64)
        else:
            told = np.array([value(record, self.records)], dtype=np.float64)
        self._algorithm.tell(to_matrix([record.genome], len(self._sizes)), told)

    def _canonical(self, genome: Genome) -> Genome:
        return tuple(map(int, self.space.canonical(genome)))

    def _show(self, line: ProgressLine, final: bool = False) -> None:
        line.update(
            done=self.evaluated,
            candidates=len(self.records),
            infeasible=self.infeasible,
            best=self.best,
            front=self._front_now if self._minimise else None,
            final=final,
        )

    def _front_now(self) -> tuple[int, float | None]:
        return self.front.after(self.records)


