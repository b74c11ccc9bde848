"""The result of a run: baseline against winner, as values, as text and as Markdown."""

from __future__ import annotations

import math
import statistics
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from accelzoo.hwmodel import Cost
from accelzoo.tasks.metrics import Metrics

# Cost field, what a reader calls it, unit, and how many of the field's units make one.
COST_ROWS = (
    ("weight_bytes", "weights", "KiB", 1024.0),
    ("peak_activation_bytes", "peak activations", "KiB", 1024.0),
    ("latency_s", "latency", "ms", 1e-3),
    ("energy_j", "energy", "µJ", 1e-6),
    ("macs", "MACs", "M", 1e6),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Scored:
    """One network's price and its scores on the test split, one per seed."""

    cost: Cost
    validation: tuple[Metrics, ...]
    test: tuple[Metrics, ...]

    @property
    def top1(self) -> tuple[float, ...]:
        """Test accuracies, 0 … 1, in the order of the seeds."""
        return tuple(metrics.top1 for metrics in self.test)

    def to_json(self) -> dict[str, Any]:
        """Plain data: price, accuracies per seed, their mean and standard deviation."""
        cost = {name: getattr(self.cost, name) for name in Cost.fields()}
        return {
            "cost": cost,
            "validation_top1": [metrics.top1 for metrics in self.validation],
            "test_top1": list(self.top1),
            "test_top1_mean": statistics.fmean(self.top1),
            "test_top1_std": deviation(self.top1),
            "test_images": self.test[0].count,
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class Comparison:
    """Baseline against winner on one target and one data set."""

    target: str
    data: str
    baseline: Scored
    winner: Scored

    def reductions(self) -> dict[str, float]:
        """Cost field → 1 − winner / baseline; positive is a saving. Absent where the baseline's cost is 0."""
        pairs = {name: (getattr(self.winner.cost, name), getattr(self.baseline.cost, name)) for name, *_ in COST_ROWS}
        return {name: 1 - ours / theirs for name, (ours, theirs) in pairs.items() if theirs}

    def accuracy_gain(self) -> tuple[float, float]:
        """Winner's mean test accuracy minus the baseline's, and the standard error of that difference over seeds."""
        ours, theirs = self.winner.top1, self.baseline.top1
        error = math.sqrt(sum(deviation(values) ** 2 / len(values) for values in (ours, theirs)))
        return statistics.fmean(ours) - statistics.fmean(theirs), error

    def to_json(self) -> dict[str, Any]:
        """Plain data of the whole comparison."""
        gain, error = self.accuracy_gain()
        return {
            "target": self.target,
            "data": self.data,
            "baseline": self.baseline.to_json(),
            "winner": self.winner.to_json(),
            "reductions": self.reductions(),
            "accuracy_gain": gain,
            "accuracy_gain_standard_error": error,
        }

    def rows(self) -> list[tuple[str, str, str, str]]:
        """Measure, baseline, winner, change, as text."""
        rows: list[tuple[str, str, str, str]] = []
        reductions = self.reductions()
        for name, label, unit, scale in COST_ROWS:
            values = [getattr(scored.cost, name) / scale for scored in (self.baseline, self.winner)]
            change = f"{0 - reductions[name]:+.1%}" if name in reductions else "n/a"
            rows.append((f"{label} ({unit})", number_text(values[0]), number_text(values[1]), change))
        gain, error = self.accuracy_gain()
        accuracies = [spread_text(scored.top1) for scored in (self.baseline, self.winner)]
        change = f"{gain * 100:+.2f}" + (f" ± {error * 100:.2f}" if len(self.winner.test) > 1 else "") + " points"
        seeds = len(self.winner.test)
        label = f"test top-1 (%; {seeds} seed{'s' if seeds > 1 else ''}, n = {self.winner.test[0].count:,})"
        rows.append((label, accuracies[0], accuracies[1], change))
        return rows

    def markdown(self) -> str:
        """The table as Markdown."""
        return markdown_table(("", "baseline", "winner", "change"), self.rows())


def markdown_table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A Markdown table whose columns line up, the first to the left and the others to the right."""
    lines = [header, *rows]
    widths = [max(3, *(len(line[column]) for line in lines)) for column in range(len(header))]
    rule = ["-" * widths[0], *("-" * (width - 1) + ":" for width in widths[1:])]

    def text(cells: Sequence[str]) -> str:
        numbers = [cell.rjust(width) for cell, width in zip(cells[1:], widths[1:], strict=True)]
        return "| " + " | ".join([cells[0].ljust(widths[0]), *numbers]) + " |"

    return "\n".join(text(cells) for cells in (header, rule, *rows)) + "\n"


def number_text(value: float) -> str:
    """Four significant digits, large numbers written out: `0.1234`, `12.34`, `1,234,567`."""
    text = f"{value:,.4g}"
    return f"{value:,.0f}" if "e+" in text else text


def spread_text(values: Sequence[float]) -> str:
    """Mean and standard deviation of shares in per cent: `82.00 ± 2.00`; of one share itself."""
    mean = f"{statistics.fmean(values) * 100:.2f}"
    return f"{mean} ± {deviation(values) * 100:.2f}" if len(values) > 1 else mean


def deviation(values: Sequence[float]) -> float:
    """The standard deviation, with n − 1; 0 for one value."""
    return statistics.stdev(values) if len(values) > 1 else 0.0
