"""The one loop: ask, price, evaluate, record, tell; and the same again when a trace is resumed."""

from __future__ import annotations

from typing import Any

import numpy as np

from accelzoo.errors import ShapeError, TraceError
from accelzoo.search.algorithms import Algorithm
from accelzoo.search.evaluator import Evaluator
from accelzoo.search.genomes import checked_matrix, genome_count, to_matrix
from accelzoo.search.objective import value
from accelzoo.search.progress import ProgressLine
from accelzoo.search.record import Record
from accelzoo.search.result import Stopped
from accelzoo.search.space import Genome
from accelzoo.search.store import Store


class Loop:
    """A running search: its records so far, and the algorithm that has been told of them.

    Args:
        evaluator: Genome → record.
        algorithm: Proposes genomes.
        store: Holds the records that are there already, and takes the new ones.
    """

    def __init__(self, evaluator: Evaluator, algorithm: Algorithm, store: Store) -> None:
        self.space = evaluator.space
        self.store = store
        self._sizes = evaluator.sizes
        self._evaluator = evaluator
        self._algorithm = algorithm
        # Canonical genome or digest of the architecture -> its first record.
        self._first: dict[Genome | str | None, int] = {}
        self._asked: set[Genome] = set()
        self.records: list[Record] = []
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
            self._settle(record)

    def go(self, line: ProgressLine, evaluations: int, max_candidates: int) -> Stopped:
        """Goes on until that many evaluations or candidates are done, or the space is exhausted."""
        while self.evaluated < evaluations and len(self.records) < max_candidates:  # each turn adds one record
            genome = self._propose()
            if genome is None:
                self._show(line, final=True)
                return "exhausted"
            record = self._judge(genome)
            self.store.append(record)
            self._settle(record)
            self._show(line)
        self._show(line, final=True)
        return "evaluations" if self.evaluated >= evaluations else "candidates"

    def summary(self) -> str:
        """Says in words how many candidates there were and what became of them."""
        counts: dict[str, Any] = dict.fromkeys(("infeasible", "failed", "duplicate"), 0)
        for record in self.records:
            counts[record.status] = counts.get(record.status, 0) + 1
        return (
            f"{len(self.records):,} candidates: {self.evaluated:,} evaluated, {counts['infeasible']:,} over budget, "
            f"{counts['duplicate']:,} duplicates, {counts['failed']:,} failed"
        )

    def _propose(self) -> Genome | None:
        if len(self.records) < len(self.store.start):
            return self.store.start[len(self.records)]
        if len(self._asked) >= genome_count(self._sizes):
            return None
        rows = checked_matrix(self._algorithm.ask(1), self._sizes)
        if len(rows) > 1:
            raise ShapeError(f"{type(self._algorithm).__name__}.ask(1) returned {len(rows)} genomes")
        return rows[0] if rows else None

    def _judge(self, genome: Genome) -> Record:
        first = self._first.get(self._canonical(genome))
        if first is None:
            quote = self._evaluator.quote(genome)
            first = self._first.get(quote.digest)  # rounding makes one architecture of several canonical genomes
            if first is None:
                return self._evaluator.judge(len(self.records), genome, quote)
        return self._repeated(first, genome)

    def _repeated(self, first: int, genome: Genome) -> Record:
        known = self.records[first]
        return Record(
            index=len(self.records),
            genome=genome,
            status="duplicate",
            arch=known.arch,
            cost=known.cost,
            accuracy=known.accuracy,
            score=known.score,
            violation=known.violation,
            reason=known.reason,
            duplicate_of=first,
        )

    def _settle(self, record: Record) -> None:
        self.records.append(record)
        self._asked.add(record.genome)
        first = record.index if record.duplicate_of is None else record.duplicate_of
        self._first.setdefault(self._canonical(record.genome), first)
        if record.arch is not None:
            self._first.setdefault(record.arch, first)
        self.evaluated += record.evaluated
        self.infeasible += record.violation is not None
        if record.score is not None and (self.best is None or record.score > self.best):
            self.best = record.score
        told = np.array([value(record, self.records)], dtype=np.float64)
        self._algorithm.tell(to_matrix([record.genome], len(self._sizes)), told)

    def _canonical(self, genome: Genome) -> Genome:
        return tuple(int(choice) for choice in self.space.canonical(genome))

    def _show(self, line: ProgressLine, final: bool = False) -> None:
        line.update(
            done=self.evaluated,
            candidates=len(self.records),
            infeasible=self.infeasible,
            best=self.best,
            final=final,
        )
