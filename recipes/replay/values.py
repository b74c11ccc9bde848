"""What a replay says: its parts, each with what became of it, and the first difference of those that diverged."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from accelzoo.arch import Arch

Status = Literal["identical", "within", "diverged", "skipped"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Divergence:
    """The first value of a part that came out otherwise.

    Attributes:
        field: Which value: `cost.latency_s`.
        expected: As recorded; None where there was nothing.
        got: As it came out now.
        index: Of the candidate, from 0; None where the value is no candidate's.
    """

    field: str
    expected: Any
    got: Any
    index: int | None = None

    def __str__(self) -> str:
        where = "" if self.index is None else f"candidate {self.index}: "
        return f"{where}{self.field}: expected {self.expected!r}, got {self.got!r}"

    def to_json(self) -> dict[str, Any]:
        """Returns plain data."""
        return {"index": self.index, "field": self.field, "expected": self.expected, "got": self.got}


@dataclass(frozen=True, slots=True, kw_only=True)
class Part:
    """One part of a run that was made again.

    Attributes:
        name: Which: `search front`, `choice`, `training winner-seed0`.
        status: `identical`; `within` (a figure within what the lock tolerates); `diverged`; `skipped`.
        said: What was compared, or why nothing was.
        divergence: Of a part that diverged.
    """

    name: str
    status: Status
    said: str
    divergence: Divergence | None = None

    @classmethod
    def of(cls, name: str, said: str, divergence: Divergence | None) -> Part:
        """Returns a part that was compared: identical, or diverged where there is a difference."""
        status: Status = "identical" if divergence is None else "diverged"
        return cls(name=name, status=status, said=said, divergence=divergence)

    def __str__(self) -> str:
        found = "" if self.divergence is None else f"\n    {self.divergence}"
        return f"{self.status:9}  {self.name}: {self.said}{found}"

    def to_json(self) -> dict[str, Any]:
        """Returns plain data."""
        found = None if self.divergence is None else self.divergence.to_json()
        return {"part": self.name, "status": self.status, "said": self.said, "divergence": found}


@dataclass(frozen=True, slots=True, kw_only=True)
class Again:
    """What repeating a search gave.

    Attributes:
        parts: What was compared, in order.
        networks: Name of a network → architecture, of those that the lock says were chosen.
    """

    parts: tuple[Part, ...]
    networks: Mapping[str, Arch] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Replay:
    """All that was made again of a run.

    Attributes:
        of: What was replayed, as it was named.
        recipe: The recipe's name.
        parts: What was compared, in order.
        notes: What else a reader should know: what the lock could not back.
    """

    of: str
    recipe: str
    parts: tuple[Part, ...]
    notes: tuple[str, ...] = ()

    @property
    def diverged(self) -> bool:
        """Whether any part came out otherwise."""
        return any(part.status == "diverged" for part in self.parts)

    @property
    def verdict(self) -> str:
        """One line: the result."""
        counts = {status: sum(part.status == status for part in self.parts) for status in ("identical", "within")}
        skipped = sum(part.status == "skipped" for part in self.parts)
        left = f", {skipped} skipped" if skipped else ""
        if self.diverged:
            first = next(part for part in self.parts if part.status == "diverged")
            return f"diverged: {first.name}: {first.divergence or first.said}"
        if not any(counts.values()):
            return "nothing could be compared"
        near = f", {counts['within']} within tolerance" if counts["within"] else ""
        return f"identical: {counts['identical']} of {len(self.parts)} parts{near}{left}"

    def text(self) -> str:
        """Returns a line for each part, the notes, and the verdict."""
        lines = [f"replay of {self.of} (recipe {self.recipe})", *map(str, self.parts)]
        lines += [f"note: {note}" for note in self.notes]
        return "\n".join([*lines, self.verdict])

    def to_json(self) -> dict[str, Any]:
        """Returns plain data."""
        return {
            "of": self.of,
            "recipe": self.recipe,
            "diverged": self.diverged,
            "verdict": self.verdict,
            "parts": [part.to_json() for part in self.parts],
            "notes": list(self.notes),
        }
