"""What a race among candidates makes: its trials, who is ahead, and the file that holds them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from accelzoo.errors import AccelzooError, TraceError
from accelzoo.search.chain import verified_lines
from accelzoo.search.settled import SettledLog

RACE_FILE = "halving.jsonl"
SCHEMA = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class Trial:
    """One candidate's evaluation at one fidelity.

    Attributes:
        bracket: Which race, from 0; a successive halving is one.
        rung: Which of its fidelities, from 0.
        candidate: Index of the candidate, over all brackets.
        arch: The architecture's digest.
        fidelity: The share of the signal's effort.
        cost: What it took, in the race's unit; 0 if the same was known already.
        accuracy: What the signal returned; None if the candidate dropped out.
        reason: Why it did.
    """

    bracket: int
    rung: int
    candidate: int
    arch: str
    fidelity: float
    cost: float
    accuracy: float | None = None
    reason: str | None = None

    def to_json(self) -> dict[str, Any]:
        """Returns plain data without the fields that are None."""
        return {name: value for name, value in asdict(self).items() if value is not None}


@dataclass(frozen=True, slots=True, kw_only=True)
class Race:
    """The outcome of a successive halving or of Hyperband.

    Attributes:
        candidates: Everyone who took part, by index.
        trials: Every evaluation in order.
        unit: Of `cost` and `spent`: `s` where the signal declares its seconds, else `evaluations` at full effort.
        path: The file, if there is one.
    """

    candidates: tuple[Any, ...]
    trials: tuple[Trial, ...]
    unit: str
    path: Path | None = None

    @property
    def spent(self) -> float:
        """What all trials took, in `unit`."""
        total = 0.0
        for trial in self.trials:
            total += trial.cost
        return total

    @property
    def ranking(self) -> list[int]:
        """Candidates with an accuracy, best first: who got to a higher fidelity, then who was better there."""
        return [trial.candidate for trial in self._last_trials()]

    @property
    def best(self) -> int:
        """Index of the best candidate.

        Raises:
            AccelzooError: If none has an accuracy; it says why the first has none.
        """
        ranking = self.ranking
        if not ranking:
            reason = next((trial.reason for trial in self.trials if trial.reason), "there was no trial")
            raise AccelzooError(f"no candidate of the race has an accuracy; the first reason: {reason}")
        return ranking[0]

    def finals(self) -> list[Trial]:
        """Returns the trials with an accuracy at the highest fidelity that anyone reached, best first."""
        last = self._last_trials()
        return [trial for trial in last if trial.fidelity == last[0].fidelity]

    def _last_trials(self) -> list[Trial]:
        last = {trial.candidate: trial for trial in self.trials if trial.accuracy is not None}
        return sorted(last.values(), key=lambda trial: (-trial.fidelity, -(trial.accuracy or 0.0), trial.candidate))


class RaceLog(SettledLog):
    """The lines of a race: a header, then candidates and trials.

    Args:
        path: The file; its folder is made.
        header: What decides the race; a file with another is refused.
        resume: Whether lines that are there may be gone on with.

    Raises:
        TraceError: As of a `SettledLog`.
    """

    def __init__(self, path: Path, header: Mapping[str, Any], *, resume: bool) -> None:
        super().__init__(path, header, kind="race", resume=resume)

    def coming(self, count: int) -> list[dict[str, Any]]:
        """Returns the next trials that are there already, at most `count`, up to the next line of another sort."""
        lines = self.left[:count]
        other = next((index for index, line in enumerate(lines) if "candidate" not in line), len(lines))
        return lines[:other]


def read_race(path: str | Path) -> list[dict[str, Any]]:
    """Reads and verifies the lines of a race, also one that is still being run.

    Args:
        path: The file, or the folder it is in.

    Raises:
        TraceError: If there is none, or the chain breaks; the message says where.
    """
    path = Path(path)
    path = path / RACE_FILE if path.is_dir() else path
    try:
        data = path.read_bytes()
    except FileNotFoundError as error:
        raise TraceError(f"{path}: there is no race") from error
    return [content for _, _, content in verified_lines(path, data)]


def trials_of(lines: Sequence[Mapping[str, Any]]) -> list[Trial]:
    """Returns the trials among a race's lines."""
    return [Trial(**line) for line in lines if "candidate" in line]
