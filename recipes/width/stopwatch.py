"""Seconds of a space's networks as a tool measures them, each measured once and kept in a file."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Self

import numpy as np
import numpy.typing as npt

from accelzoo.errors import TraceError
from accelzoo.hwmodel.oracles import BatchOracle, Oracle, OracleError
from accelzoo.search.chain import GENESIS, ChainedFile, finished_bytes, verified_lines
from accelzoo.search.genomes import checked_matrix
from accelzoo.search.settled import changed_fields
from accelzoo.search.space import Genome
from accelzoo.search.width import WidthSpace, time_genomes

Floats = npt.NDArray[np.float64]
Progress = Callable[[int, int], None]
"""Told how many of the networks that are being timed are done, and how many there are."""


class Stopwatch:
    """Times networks and remembers them: no network is measured twice, in whatever order, after any interruption.

    The file holds a hash-chained line for what measures, then one for every network. A stopwatch is a `GenomeTimer`.

    Args:
        space: The networks.
        oracle: What measures.
        path: The file, one JSON object to a line.
        repeats: How often each network is timed; the median counts.
        progress: See `Progress`.

    Raises:
        TraceError: If the file is of another space, tool or number of repeats, its chain breaks, or another process
            writes it.
    """

    def __init__(
        self, space: WidthSpace, oracle: Oracle, path: Path, *, repeats: int = 1, progress: Progress | None = None
    ) -> None:
        self.space, self.oracle, self.path = space, oracle, path
        self._repeats, self._progress = repeats, progress
        self._known: dict[Genome, float] = {}
        self._checked: dict[Genome, float] = {}
        path.parent.mkdir(parents=True, exist_ok=True)
        self._file = ChainedFile(path, "file of timings")
        try:
            self._recover({"oracle": oracle.provenance.to_json(), "space": space.digest(), "repeats": repeats})
        except BaseException:
            self._file.close()
            raise

    @property
    def known(self) -> Mapping[Genome, float]:
        """The seconds of all networks measured so far."""
        return self._known

    def measured_s(self, genomes: npt.ArrayLike) -> Floats:
        """Returns the seconds of one inference of each network, `(n,)`; what is not known is measured and kept.

        Raises:
            OracleError: If the tool fails on a network; the batches before it are kept.
            ShapeError: If the genomes have the wrong shape or a choice is out of range.
        """
        return self._of(genomes, self._known, {})

    def checked_s(self, genomes: npt.ArrayLike) -> Floats:
        """Returns the seconds of networks from timings of their own, `(n,)`; errors as for `measured_s`.

        What was chosen because it was once timed within a budget was more often timed too fast than too slow: it is to
        be judged by another timing. That is taken once and kept, too.
        """
        return self._of(genomes, self._checked, {"check": True})

    def _of(self, genomes: npt.ArrayLike, known: dict[Genome, float], marks: Mapping[str, bool]) -> Floats:
        rows = [tuple(row) for row in checked_matrix(genomes, self.space.sizes)]
        missing = [row for row in dict.fromkeys(rows) if row not in known]
        size = max(1, self.oracle.batch_size) if isinstance(self.oracle, BatchOracle) else 1
        for start in range(0, len(missing), size):
            batch = missing[start : start + size]
            for genome, latency_s in zip(batch, self._time(batch), strict=True):
                widths = list(self.space.widths_of(genome))
                self._file.append({"genome": list(genome), "widths": widths, "latency_s": latency_s, **marks})
                known[genome] = latency_s
            if self._progress is not None:
                self._progress(start + len(batch), len(missing))
        return np.array([known[row] for row in rows])

    def _time(self, batch: Sequence[Genome]) -> list[float]:
        """Times a batch as often as asked, all of it each time, so that a slow moment does not meet one alone."""
        try:
            taken = [time_genomes(self.space, batch, self.oracle) for _ in range(self._repeats)]
        except OracleError as error:
            which = "; ".join(" ".join(map(str, self.space.widths_of(genome))) for genome in batch)
            raise OracleError(f"timing networks of widths {which}: {error}") from error
        medians: list[float] = np.median(taken, axis=0).tolist()
        return medians

    def _recover(self, header: Mapping[str, Any]) -> None:
        data = self.path.read_bytes()
        last, lines = GENESIS, []
        for _, last, content in verified_lines(self.path, data):  # noqa: B007 (the last hash is what the next line follows)
            lines.append(content)
        if lines and lines[0] != header:
            said = f"{self.path}:1: the timings were begun otherwise:"
            raise TraceError("\n  ".join([said, *changed_fields(lines[0], header)]))
        self._file.go_on(last, finished_bytes(data))
        if not lines:
            self._file.append(header)
        for line in lines[1:]:
            known = self._checked if line.get("check") else self._known
            known[tuple(line["genome"])] = float(line["latency_s"])

    def close(self) -> None:
        """Lets other processes write; what is known can still be asked."""
        self._file.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exception: object) -> None:
        self.close()
