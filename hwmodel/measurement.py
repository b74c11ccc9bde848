"""What an oracle says about one graph: seconds, joules and bytes, in total and by the operators that ran together."""

from __future__ import annotations

import dataclasses
import hashlib
import json
import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from accelzoo.errors import DataError, ShapeError, suggestion
from accelzoo.hwmodel.graph_codec import decode, encode
from accelzoo.hwmodel.ir import INPUT, Graph

KINDS_OF_SAMPLE = ("op", "block", "network")


class OpMeasurement(NamedTuple):
    """The operators that ran as one: a fused subgraph, or a single operator.

    `ops` holds indices into `graph.ops`. `engine` names what ran it where a tool has several (`npu`, `cpu`). `extra`
    holds further numbers of the tool as pairs of name and value, the unit in the name.
    """

    ops: tuple[int, ...]
    latency_s: float
    energy_j: float | None = None
    engine: str = ""
    extra: tuple[tuple[str, float], ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Provenance:
    """Where measurements come from; every measurement of a file shares one.

    Attributes:
        oracle: The way to measure, as `accelzoo measure --oracle` names it.
        target: What was measured, as the oracle names it.
        tool: The measuring tool with its version, as in `vela-5.2.0`.
        settings: Everything that changes the numbers: plain data (text, numbers, booleans, None, lists, mappings).
        host: The machine, if the numbers are its own; empty if the tool calculates them.
    """

    oracle: str
    target: str
    tool: str
    settings: Mapping[str, Any] = field(default_factory=dict)
    host: str = ""

    def __post_init__(self) -> None:
        for name in ("oracle", "target", "tool"):
            if not getattr(self, name):
                raise DataError(f"provenance: {name} must not be empty")
        # A copy through JSON: what is compared later is what a file gives back.
        object.__setattr__(self, "settings", json.loads(json.dumps(dict(self.settings), allow_nan=False)))

    @property
    def label(self) -> str:
        """What to call the numbers: `vela-5.2.0/ethos-u55-256`."""
        return f"{self.tool}/{self.target}"

    def __hash__(self) -> int:
        return hash((self.oracle, self.target, self.tool, self.host))

    def to_json(self) -> dict[str, Any]:
        """Returns the provenance as plain JSON data; `from_json` is the inverse."""
        return dataclasses.asdict(self)

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Provenance:
        """Rebuilds a provenance from `to_json`'s data.

        Raises:
            DataError: If a field is missing, unknown or of another type.
        """
        _check_keys("provenance", data, [entry.name for entry in dataclasses.fields(cls)])
        for name in ("oracle", "target", "tool", "host"):
            if not isinstance(data[name], str):
                raise DataError(f"provenance: {name} must be text, got {data[name]!r}")
        if not isinstance(data["settings"], Mapping):
            raise DataError(f"provenance: settings must be a mapping, got {data['settings']!r}")
        return cls(**data)


@dataclass(frozen=True, slots=True, kw_only=True)
class Measurement:
    """One graph, run or calculated once at batch 1. None stands for what the oracle does not tell.

    Attributes:
        graph: What ran.
        latency_s: Seconds of one inference.
        rows: What ran together, in the order in which it ran; no operator is in two rows. Rows need not cover the
            graph, nor add up to the total: what they leave out is the tool's own start, transfers or waiting.
        energy_j: Joules of one inference.
        peak_activation_bytes: Largest number of activation bytes alive at once, as the tool places them.
        weight_bytes: Bytes of the weights as stored, after the tool's encoding or compression.
        dram_bytes: Bytes moved to and from off-chip memory.
        spread: Relative error of repeating the measurement; None where repeating changes nothing.
        source: Where the graph comes from: `op`, `block` or `network`, a colon, and a family (`network:random`).
    """

    graph: Graph
    latency_s: float
    rows: tuple[OpMeasurement, ...] = ()
    energy_j: float | None = None
    peak_activation_bytes: int | None = None
    weight_bytes: int | None = None
    dram_bytes: int | None = None
    spread: float | None = None
    source: str = ""

    def __post_init__(self) -> None:
        if fault := _fault(self):
            raise DataError(f"measurement of {self.source or 'a graph'} ({self.graph!r}): {fault}")

    def to_json(self) -> dict[str, Any]:
        """Returns the measurement as plain JSON data, without what is None or empty; `from_json` is the inverse."""
        data: dict[str, Any] = {name: getattr(self, name) for name in _FIELDS}
        data["graph"] = encode(self.graph)
        data["rows"] = [_row_to_json(row) for row in self.rows]
        return {name: value for name, value in data.items() if value is not None and value not in ("", [])}

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Measurement:
        """Rebuilds a measurement from `to_json`'s data.

        Raises:
            DataError: If a field is missing or unknown, or a number is not finite, zero or negative where it must not.
        """
        _check_keys("measurement", data, _FIELDS, optional=_FIELDS[2:])
        try:
            graph = decode(data["graph"])
        except ShapeError as error:
            raise DataError(f"measurement: {error}") from error
        rows = tuple([_row_from_json(index, row) for index, row in enumerate(data.get("rows", ()))])
        return cls(**{**data, "graph": graph, "rows": rows})


_FIELDS = tuple(entry.name for entry in dataclasses.fields(Measurement))


def graph_digest(graph: Graph) -> str:
    """Returns `sha256:…` over a graph's content; graphs that differ only in the names of operators are equal."""
    places = {INPUT: -1} | {op.name: index for index, op in enumerate(graph.ops)}
    ops = [(op.kind, [places[name] for name in op.inputs], *op[3:]) for op in graph.ops]
    text = json.dumps([graph.input_shape, graph.activation_bits, ops], separators=(",", ":"), allow_nan=False)
    return "sha256:" + hashlib.sha256(text.encode()).hexdigest()


def _fault(sample: Measurement) -> str:
    """Says what is wrong with a measurement; an empty string if nothing is."""
    for name in ("latency_s", "energy_j"):
        if fault := _positive(name, getattr(sample, name), optional=name != "latency_s"):
            return fault
    for name in ("peak_activation_bytes", "weight_bytes", "dram_bytes"):
        count = getattr(sample, name)
        if count is not None and (type(count) is not int or count < 0):
            return f"{name} must be a whole number, at least 0, got {count!r}"
    spread = sample.spread
    if spread is not None and not (_is_number(spread) and math.isfinite(spread) and spread >= 0):
        return f"spread must be a finite number, at least 0, got {spread!r}"
    if sample.source and sample.source.split(":")[0] not in KINDS_OF_SAMPLE:
        return f"source {sample.source!r} must begin with one of {', '.join(KINDS_OF_SAMPLE)}"
    return _rows_fault(sample)


def _rows_fault(sample: Measurement) -> str:
    count = len(sample.graph.ops)
    seen: set[int] = set()
    for number, row in enumerate(sample.rows):
        ops = row.ops
        if not ops:
            return f"row {number} covers no operator"
        for index in ops:
            if type(index) is not int or not 0 <= index < count:
                return f"row {number} covers operator {index!r}, but the graph has operators 0 to {count - 1}"
            if index in seen:
                return f"row {number} covers operator {index} ({sample.graph.ops[index].name}) a second time"
            seen.add(index)
        fault = _positive("latency_s", row.latency_s) or _positive("energy_j", row.energy_j, optional=True)
        fault = fault or next((_finite(name, value) for name, value in row.extra if _finite(name, value)), "")
        if fault:
            return f"row {number} ({', '.join(sample.graph.ops[index].name for index in ops)}): {fault}"
    return ""


def _positive(name: str, value: object, *, optional: bool = False) -> str:
    if value is None and optional:
        return ""
    if not _is_number(value) or not math.isfinite(value) or value <= 0:  # type: ignore[arg-type, operator]
        return f"{name} must be a finite number greater than 0, got {value!r}"
    return ""


def _finite(name: str, value: object) -> str:
    if _is_number(value) and math.isfinite(value):  # type: ignore[arg-type]
        return ""
    return f"{name} must be a finite number, got {value!r}"


def _is_number(value: object) -> bool:
    return type(value) in (int, float) or (isinstance(value, (int, float)) and not isinstance(value, bool))


def _row_to_json(row: OpMeasurement) -> list[Any]:
    """Returns a row's values in order, without those at the end that are not told."""
    data = [list(row.ops), row.latency_s, row.energy_j, row.engine, dict(row.extra)]
    while data[-1] in (None, "", {}):
        data.pop()
    return data


def _row_from_json(number: int, data: Any) -> OpMeasurement:
    try:
        ops, latency_s, *rest = data
        not_told: list[Any] = [None, "", {}]
        energy_j, engine, extra = rest + not_told[len(rest) :]
        return OpMeasurement(tuple(ops), latency_s, energy_j, engine, tuple(extra.items()))
    except (TypeError, ValueError, AttributeError):
        fields = ", ".join(OpMeasurement._fields)
        raise DataError(f"measurement: row {number}: expected a list of {fields}, got {data!r}") from None


def _check_keys(what: str, data: object, allowed: tuple[str, ...] | list[str], optional: tuple[str, ...] = ()) -> None:
    if not isinstance(data, Mapping):
        raise DataError(f"{what}: expected a mapping, got {data!r}")
    for name in data:
        if name not in allowed:
            raise DataError(f"{what}: unknown field {name!r}{suggestion(name, allowed)}; allowed: {', '.join(allowed)}")
    missing = [name for name in allowed if name not in data and name not in optional]
    if missing:
        raise DataError(f"{what}: missing {', '.join(missing)}")
