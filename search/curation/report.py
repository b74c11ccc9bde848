"""What curation did to a space, as a value: what was removed and why, sizes, ruggedness, certificate."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

from accelzoo import config
from accelzoo.search.curation.certificate import Certificate
from accelzoo.search.curation.ruggedness import Ruggedness

Why = Literal["pinned", "forbidden", "cannot run", "dominated", "off the front"]
_WORDS = {"off the front": "the exact front can do without", "cannot run": "the target cannot run it"}
_UNITS = {"latency_s": ("ms", 1e3), "energy_j": ("µJ", 1e6), "dram_bytes": ("KiB", 2**-10), "macs": ("M", 1e-6)}


@dataclass(frozen=True, slots=True, kw_only=True)
class Removal:
    """One value that was removed.

    Attributes:
        knob: The knob's name.
        value: The value.
        why: `pinned` (to others), `forbidden`, `cannot run` (on the target, in any context met), `dominated`, or `off
            the front`: the exact front can do without it.
        by: The better value that makes it needless, of a dominated one.
        cost: Its mean cost in the contexts in which it costs no less, in the cost field's unit.
        by_cost: Mean cost of the better one there.
        agreeing: In how many contexts that is so.
        contexts: Of how many.
    """

    knob: str
    value: Any
    why: Why
    by: Any = None
    cost: float = 0.0
    by_cost: float = 0.0
    agreeing: int = 0
    contexts: int = 0

    def to_json(self) -> dict[str, Any]:
        """Plain data."""
        data = {"knob": self.knob, "value": config.to_config(self.value), "why": self.why}
        if self.why != "dominated":
            return data
        figures = {"cost": self.cost, "by_cost": self.by_cost, "agreeing": self.agreeing, "contexts": self.contexts}
        return data | {"by": config.to_config(self.by)} | figures

    def reason(self, field: str) -> str:
        """In words, with numbers."""
        if self.why != "dominated":
            return _WORDS.get(self.why, self.why)
        shown, other = amount(self.cost, field), amount(self.by_cost, field)
        everywhere = "all" if self.agreeing == self.contexts else f"{self.agreeing} of"
        where = f"in {everywhere} {self.contexts} contexts"
        return f"costs {shown}, {config.canonical_json(self.by)} costs {other} {where}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """A knob before and after."""

    knob: str
    before: tuple[Any, ...]
    after: tuple[Any, ...]

    def to_json(self) -> dict[str, Any]:
        """Plain data."""
        return {"knob": self.knob, "before": config.to_config(self.before), "after": config.to_config(self.after)}


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """Everything that curation found.

    Attributes:
        space: Name of the space.
        target: Name of the target.
        field: The cost field.
        tolerance: The share of a genome's cost up to which a difference counts as none.
        agreement: The share of contexts in which one value must be needless.
        changes: The knobs that changed, in order.
        removals: Every value that was removed, in the order of knobs.
        size_before: Genomes before.
        size_wished: Genomes that pins and forbids leave: what steps and front before are counted in.
        size_after: Genomes after.
        rugged_before: Single steps before, pins and forbids applied.
        rugged_after: Single steps after.
        certificate: What it did to the front.
    """

    space: str
    target: str
    field: str
    tolerance: float
    agreement: float
    changes: tuple[Change, ...]
    removals: tuple[Removal, ...]
    size_before: int
    size_wished: int
    size_after: int
    rugged_before: Ruggedness
    rugged_after: Ruggedness
    certificate: Certificate

    def to_json(self) -> dict[str, Any]:
        """Plain data."""
        plain = ("space", "target", "field", "tolerance", "agreement", "size_before", "size_wished", "size_after")
        return {name: getattr(self, name) for name in plain} | {
            "changes": [change.to_json() for change in self.changes],
            "removals": [removal.to_json() for removal in self.removals],
            "ruggedness": {"before": self.rugged_before.to_json(), "after": self.rugged_after.to_json()},
            "certificate": self.certificate.to_json(),
        }

    def facts(self) -> list[tuple[str, str]]:
        """Sizes, ruggedness and certificate as pairs of a name and a text."""
        wished = "" if self.size_wished == self.size_before else f"{self.size_wished:.3g} as pinned, "
        return [
            ("genomes", f"{self.size_before:.3g} before, {wished}{self.size_after:.3g} after"),
            ("steps before", str(self.rugged_before)),
            ("steps after", str(self.rugged_after)),
            ("front", str(self.certificate)),
        ]

    def text(self) -> str:
        """For a terminal: knob by knob, value by value, then the facts."""
        lines: list[str] = []
        for change in self.changes:
            lines.append(f"{change.knob}: {_listed(change.before)} -> {_listed(change.after)}")
            lines += self._reasons([removal for removal in self.removals if removal.knob == change.knob])
        lines += [] if self.changes else ["nothing to remove"]
        width = max(len(name) for name, _ in self.facts())
        indent = "\n" + " " * (width + 2)
        facts = [f"{name:<{width}}  {text.replace(chr(10), indent)}" for name, text in self.facts()]
        return "\n".join([f"{self.space} on {self.target}", "", *lines, "", *facts])

    def _reasons(self, removals: Sequence[Removal]) -> list[str]:
        """A line for each reason, with the values that it holds for."""
        values: dict[str, list[Any]] = {}
        for removal in removals:
            values.setdefault(removal.reason(self.field), []).append(removal.value)
        return [f"  - {_listed(given)}: {reason}" for reason, given in values.items()]

    def markdown(self) -> str:
        """For a page: a table of the knobs that changed, then the facts."""
        rows = ["| knob | before | after |", "| --- | --- | --- |"]
        rows += [f"| `{x.knob}` | {_listed(x.before)} | {_listed(x.after)} |" for x in self.changes]
        facts = [f"- {name}: {' '.join(text.split())}" for name, text in self.facts()]
        return "\n".join([f"## {self.space} on {self.target}", "", *rows, "", *facts, ""])


def amount(value: float, field: str) -> str:
    """A cost with its unit: `1.310 ms`."""
    unit, scale = _UNITS.get(field, (field, 1.0))
    return f"{value * scale:#.4g} {unit}"


def _listed(values: Sequence[Any]) -> str:
    return ", ".join(config.canonical_json(value) for value in values)
