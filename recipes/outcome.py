"""What a run of any kind of recipe hands back."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol


class ComparisonLike(Protocol):
    """The result of a run: what was compared, with what outcome."""

    def markdown(self) -> str:
        """Returns it as Markdown."""
        ...

    def to_json(self) -> dict[str, Any]:
        """Returns it as plain data."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """What a run made.

    Attributes:
        folder: The run's folder.
        release: The release's folder in it.
        digest: Names the release by its content.
        comparison: The result.
    """

    folder: Path
    release: Path
    digest: str
    comparison: ComparisonLike

    @property
    def table(self) -> str:
        """The comparison as Markdown."""
        return self.comparison.markdown()

    def to_json(self) -> dict[str, Any]:
        """Returns plain data."""
        paths = {"folder": str(self.folder), "release": str(self.release), "release_digest": self.digest}
        return {**paths, **self.comparison.to_json()}
