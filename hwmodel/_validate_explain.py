"""Where a target's error comes from: by class of operator, where measurements tell what each took."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple, Self

from accelzoo.errors import DataError
from accelzoo.hwmodel.estimate import estimate
from accelzoo.hwmodel.ir import Graph, Op
from accelzoo.hwmodel.measurement import Measurement
from accelzoo.hwmodel.target import Target, load_target

OUTSIDE = "outside of rows"
SHOWN = 3
_NEGLIGIBLE = 1e-9  # of a network's latency: what rounding leaves between a total and its rows


class OperatorError(NamedTuple):
    """What ran as one: in words, with its shapes, measured and predicted in seconds."""

    what: str
    measured_s: float
    predicted_s: float

    @property
    def miss_s(self) -> float:
        """Predicted less measured."""
        return self.predicted_s - self.measured_s


class ClassError(NamedTuple):
    """The operators of one class, over all networks.

    Attributes:
        label: Kind of the operator that the others of its subgraph are fused into, with what decides on its price.
        n: How many.
        share: Of the measured time of all networks.
        bias: Sum of predicted over sum of measured, less one; None where nothing was measured.
        error_share: Share in the sum of |predicted − measured| over everything that ran as one.
        worst: Those that miss most seconds.
    """

    label: str
    n: int
    share: float
    bias: float | None
    error_share: float
    worst: tuple[OperatorError, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Explanation:
    """The error of a target, by class of operator.

    Attributes:
        target: Its name.
        networks: How many measurements tell what their operators took.
        bias: Predicted over measured time of all of them, less one.
        miss: Sum of |predicted − measured| over everything that ran as one, over the measured time: what would be the
            error if nothing cancelled out.
        classes: The class with the largest share in the error first.
    """

    target: str
    networks: int
    bias: float
    miss: float
    classes: tuple[ClassError, ...]

    def to_json(self) -> dict[str, Any]:
        """Returns plain JSON data; `from_json` is the inverse."""
        classes = [
            entry._asdict() | {"worst": [operator._asdict() for operator in entry.worst]} for entry in self.classes
        ]
        return dataclasses.asdict(self) | {"classes": classes}

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Self:
        """Rebuilds an explanation from `to_json`'s data."""
        classes = [
            ClassError(**{**entry, "worst": tuple([OperatorError(**operator) for operator in entry["worst"]])})
            for entry in data["classes"]
        ]
        return cls(**{**data, "classes": tuple(classes)})

    def header(self) -> str:
        """Returns one line: by how much the target is off in all, and by how much without cancelling out."""
        return (
            f"{self.target} on the operators of {self.networks} samples: {100 * self.bias:+.1f} % in all, "
            f"{100 * self.miss:.1f} % if no errors cancelled out"
        )

    def table(self, shown: int = SHOWN) -> tuple[tuple[str, ...], list[tuple[str, ...]]]:
        """Returns headings and rows of text, with at most `shown` of the worst operators of each class."""
        headings = ("class", "n", "time", "bias", "error", "worst: measured → predicted")
        return headings, [
            (
                entry.label,
                str(entry.n),
                f"{100 * entry.share:.1f} %",
                "–" if entry.bias is None else f"{100 * entry.bias:+.1f} %",
                f"{100 * entry.error_share:.1f} %",
                "; ".join(map(_spelt, entry.worst[:shown])),
            )
            for entry in self.classes
        ]

    def to_markdown(self) -> str:
        """Returns the header and the table as Markdown."""
        headings, rows = self.table()
        lines = [headings, ["---", *["--:"] * (len(headings) - 2), "---"], *rows]
        text = "\n".join("| " + " | ".join(cells) + " |" for cells in lines)
        return (
            f"{self.header()}.\n\n{text}\n\n"
            "time: share of the measured time; error: share of the sum of |predicted − measured|; worst: those that "
            "miss most seconds.\n"
        )


def explain(target: Target | str | Path, measurements: Iterable[Measurement]) -> Explanation:
    """Says which operators a target's error comes from.

    What a tool ran as one is compared with the sum of what the target says of the same operators, and counted with the
    class of the operator that has most work. What a network took beyond its rows, and what the target says of operators
    in no row, is a class of its own. Networks that the target cannot run are left out.

    Args:
        target: Who is judged, or its name or file.
        measurements: Those without rows are left out.

    Raises:
        DataError: If no measurement with rows is left.
    """
    judged = target if isinstance(target, Target) else load_target(target)
    found: dict[str, list[OperatorError]] = {}
    networks = 0
    for sample in measurements:
        cost = estimate(sample.graph, judged)
        if not sample.rows or cost.unpriced:
            continue
        networks += 1
        latency_s = [row.latency_s for row in cost.by_op]
        total_s = 0.0
        for row in sample.rows:
            anchor = _anchor(sample.graph, row.ops)
            predicted_s = math.fsum(latency_s[index] for index in row.ops)
            total_s += predicted_s
            entry = OperatorError(_what(sample.graph, row.ops, anchor), row.latency_s, predicted_s)
            found.setdefault(class_of(anchor), []).append(entry)
        rest = OperatorError(
            sample.source or "network",
            sample.latency_s - math.fsum(row.latency_s for row in sample.rows),
            cost.latency_s - total_s,
        )
        if max(abs(rest.measured_s), abs(rest.predicted_s)) > _NEGLIGIBLE * sample.latency_s:
            found.setdefault(OUTSIDE, []).append(rest)
    if not networks:
        raise DataError(
            f"no measurement of networks that {judged.name} can run tells what their operators took: "
            "measure with an oracle that reports rows, such as ethos-u or zigzag"
        )
    return _explanation(judged.name, networks, found)


def class_of(op: Op) -> str:
    """Returns what an operator's error is counted with: `conv2d 3x3`, `pool:avg global`, `activation:silu`."""
    kernel = "x".join(map(str, op.kernel_size))
    if op.kind == "conv2d":
        return f"conv2d {'grouped ' if op.groups > 1 else ''}{kernel}"
    if op.kind == "depthwise_conv2d":
        return f"depthwise_conv2d {kernel}"
    if op.kind == "pool":
        return f"pool:{op.function} {'global' if op.out_shape[1:] == (1, 1) else 'window'}"
    return f"{op.kind}:{op.function}" if op.function else op.kind


def _explanation(target: str, networks: int, found: Mapping[str, Sequence[OperatorError]]) -> Explanation:
    everything = [entry for entries in found.values() for entry in entries]
    measured_s = math.fsum(entry.measured_s for entry in everything)
    missed_s = math.fsum(abs(entry.miss_s) for entry in everything)
    classes = []
    for label, entries in found.items():
        total_s = math.fsum(entry.measured_s for entry in entries)
        miss_s = math.fsum(entry.miss_s for entry in entries)
        classes.append(
            ClassError(
                label=label,
                n=len(entries),
                share=total_s / measured_s,
                bias=miss_s / total_s if total_s > 0 else None,
                error_share=math.fsum(abs(entry.miss_s) for entry in entries) / missed_s if missed_s else 0.0,
                worst=_worst(entries),
            )
        )
    return Explanation(
        target=target,
        networks=networks,
        bias=math.fsum(entry.miss_s for entry in everything) / measured_s,
        miss=missed_s / measured_s,
        classes=tuple(sorted(classes, key=lambda entry: -entry.error_share)),
    )


def _worst(entries: Sequence[OperatorError]) -> tuple[OperatorError, ...]:
    # Networks repeat operators: each is named once.
    different = {entry.what: entry for entry in sorted(entries, key=lambda entry: abs(entry.miss_s))}
    return tuple(sorted(different.values(), key=lambda entry: -abs(entry.miss_s))[:SHOWN])


def _anchor(graph: Graph, ops: Sequence[int]) -> Op:
    """Returns the operator of most work: MACs, and where there are none, the first that is no activation."""
    members = [graph.ops[index] for index in ops]
    return max(members, key=lambda op: (op.macs, op.kind != "activation"))


def _what(graph: Graph, ops: Sequence[int], anchor: Op) -> str:
    inputs = " · ".join("x".join(map(str, shape)) for shape in anchor.in_shapes)
    stride = "" if anchor.stride == (1, 1) else f" /{anchor.stride[0]}"
    window = "" if anchor.kind != "pool" else " " + "x".join(map(str, anchor.kernel_size))
    joined = [graph.ops[index] for index in ops if graph.ops[index] is not anchor]
    fused = "".join(f"+{op.function or op.kind}" for op in joined)
    output = "x".join(map(str, anchor.out_shape))
    return f"{class_of(anchor)}{window}{stride}{fused} {inputs} -> {output}"


def _spelt(entry: OperatorError) -> str:
    return f"{entry.what}: {_microseconds(entry.measured_s)} → {_microseconds(entry.predicted_s)} µs"


def _microseconds(value_s: float) -> str:
    return f"{value_s * 1e6:.4g}"
