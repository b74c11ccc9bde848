"""Scores of networks that are written as they come: a pruning that was killed does not score them again."""

from __future__ import annotations

from pathlib import Path
from typing import Self

from accelzoo.errors import TraceError
from accelzoo.search.chain import GENESIS, ChainedFile, finished_bytes, verified_lines
from accelzoo.search.space import Genome

_SYNC_INTERVAL_S = 10.0


class ScoreCache:
    """Genome → score, in a chained file that one process writes.

    Args:
        path: The file; made if it is not there.
        digest: What decides the scores: a file of another digest is refused.

    Attributes:
        seconds: What all its scores took.

    Raises:
        TraceError: If the file is broken, in use, or of another digest.
    """

    def __init__(self, path: Path, digest: str) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        self.seconds = 0.0
        self._scores: dict[Genome, float] = {}
        self._file = ChainedFile(path, "list of scores", _SYNC_INTERVAL_S)
        try:
            self._take_up(path, digest)
        except BaseException:
            self._file.close()
            raise

    def _take_up(self, path: Path, digest: str) -> None:
        data, last = path.read_bytes(), GENESIS
        for number, line, content in verified_lines(path, data):
            last = line
            if number == 1:
                if content.get("digest") != digest:
                    raise TraceError(f"{path}: scores for another job; remove the file to score anew")
                continue
            self._keep(tuple(content["genome"]), content["score"], content["seconds"])
        self._file.go_on(last, finished_bytes(data))
        if last == GENESIS:
            self._file.append({"digest": digest})

    def __len__(self) -> int:
        return len(self._scores)

    def get(self, genome: Genome) -> float | None:
        """Returns the score of a network, None if it has none."""
        return self._scores.get(genome)

    def add(self, genome: Genome, score: float, seconds: float) -> None:
        """Keeps a score and the time that it took."""
        self._file.append({"genome": list(genome), "score": score, "seconds": seconds})
        self._keep(genome, score, seconds)

    def _keep(self, genome: Genome, score: float, seconds: float) -> None:
        self._scores[genome] = score
        self.seconds += seconds

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exception: object) -> None:
        self._file.close()
