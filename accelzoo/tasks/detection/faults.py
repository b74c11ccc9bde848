"""What is wrong with a data set: refused at the first fault, or noted line by line."""

from __future__ import annotations

from dataclasses import dataclass, field

from accelzoo.errors import DataError

_SHOWN = 20


@dataclass(slots=True)
class Faults:
    """Collects what was left out of a data set.

    Args:
        strict: Raise at the first fault instead.
    """

    strict: bool
    _lines: list[str] = field(default_factory=list)

    def leave_out(self, text: str) -> None:
        """Notes one image or box that is left out.

        Args:
            text: File, id and what is wrong.

        Raises:
            DataError: If `strict`.
        """
        if self.strict:
            raise DataError(text)
        self._lines.append(text)

    def change(self, text: str) -> None:
        """Notes a harmless repair, which `strict` allows as well."""
        self._lines.append(text)

    def summary(self) -> str:
        """Returns all lines, or the first ones and the number of the others: for an error that they explain."""
        more = len(self._lines) - _SHOWN
        shown = self._lines[:_SHOWN] + ([f"… and {more} more"] if more > 0 else [])
        return "\n".join(shown)

    def lines(self) -> tuple[str, ...]:
        """Returns every line, in the order of finding."""
        return tuple(self._lines)
