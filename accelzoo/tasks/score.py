"""What a detector or a segmentation network scores on a split: one figure to compare by, with its interval."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any


@dataclass(frozen=True, slots=True, kw_only=True)
class DenseScore:
    """A score with its interval and its parts.

    Args:
        metric: What `value` is: `AP50`, `mIoU`.
        value: The figure that networks are compared by, 0 … 1.
        count: Images.
        low: Lower end of the 95 % interval of `value`, from resampled images; None: not computed.
        high: Its upper end.
        parts: Further figures by name, 0 … 1; None where one is not defined (no object of that size).
    """

    metric: str
    value: float
    count: int
    low: float | None = None
    high: float | None = None
    parts: Mapping[str, float | None] = field(default_factory=dict)

    def to_json(self) -> dict[str, Any]:
        """Returns plain values that `from_json` reads."""
        return asdict(self)

    @classmethod
    def from_json(cls, values: Mapping[str, Any]) -> DenseScore:
        """Reads what `to_json` returned."""
        return cls(**values)

    def __str__(self) -> str:
        interval = "" if self.low is None or self.high is None else f"95 % {self.low:.2%} … {self.high:.2%}, "
        return f"{self.metric} {self.value:.2%} ({interval}n = {self.count})"
