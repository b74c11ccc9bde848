"""How right a target is: its predictions against measurements of networks that it was not fitted on."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from pathlib import Path
from typing import TypeVar

import numpy.typing as npt

from accelzoo.errors import DataError
from accelzoo.hwmodel._calibrate_checks import checked_rows
from accelzoo.hwmodel._validate_explain import OUTSIDE, ClassError, Explanation, OperatorError, class_of, explain
from accelzoo.hwmodel._validate_report import Prediction, Report, Scores
from accelzoo.hwmodel.estimate import estimate
from accelzoo.hwmodel.ir import Graph
from accelzoo.hwmodel.learned import learned_part
from accelzoo.hwmodel.measurement import Measurement, graph_digest
from accelzoo.hwmodel.target import TARGETS_FOLDER, Target, load_target

__all__ = [
    "OUTSIDE",
    "ClassError",
    "Explanation",
    "OperatorError",
    "Prediction",
    "Report",
    "Scores",
    "class_of",
    "explain",
    "fitted_rows",
    "held_out_file",
    "validate",
    "validate_measurements",
]

HELD_OUT_FOLDER = TARGETS_FOLDER / "measurements"
"""Where the measurements lie that built-in targets are validated on."""

IMPLAUSIBLE = 30.0
"""Measured over predicted, or its inverse, beyond which a row is taken for another unit."""

_T = TypeVar("_T")
_Number = TypeVar("_Number", int, float)
_DIGITS = 16  # of a digest, enough to recognise a graph


def validate(
    target: Target | str | Path,
    graphs: Sequence[Graph],
    latency_s: npt.ArrayLike,
    *,
    families: Sequence[str] | None = None,
    peak_bytes: Sequence[int | None] | None = None,
    names: Sequence[str] | None = None,
    spread: Sequence[float | None] | None = None,
    against: str = "",
) -> Report:
    """Compares a target with measurements of whole networks.

    Networks with operators that the target cannot run are listed and counted, and are in no figure.

    Args:
        target: Who is judged, or its name or file.
        graphs: The networks.
        latency_s: (networks,) measured seconds of one inference at batch 1.
        families: (networks,) what to group them by; by default all are one family, `network`.
        peak_bytes: (networks,) measured peak activation bytes; None where there is no such measurement.
        names: (networks,) what to call them; by default their number, from 0.
        spread: (networks,) relative error of repeating each measurement, where it is known.
        against: What measured, for the reader.

    Raises:
        DataError: If there are no networks, numbers of rows differ, a number is not finite or not positive, or most
            latencies are so far from the prediction that their unit must be wrong; the message names the rows.
        UnknownNameError: If there is no such target.
    """
    judged = target if isinstance(target, Target) else load_target(target)
    if not len(graphs):
        raise DataError("no networks to validate on")
    measured = checked_rows(graphs, latency_s).tolist()
    labels = _column("names", names, [str(row) for row in range(len(measured))])
    groups = _column("families", families, ["network"] * len(measured))
    peaks = _optional_column("peak_bytes", peak_bytes, len(measured), least=1)
    spreads = _optional_column("spread", spread, len(measured), least=0)
    rows = zip(graphs, labels, groups, measured, peaks, spreads, strict=True)
    found = tuple([_predicted(judged, *row) for row in rows])
    _check_unit(found, judged)
    fitted = fitted_rows(judged, graphs)
    return Report(
        target=judged.name,
        target_digest=judged.digest(),
        against=against,
        networks=found,
        fitted=None if fitted is None else len(fitted),
    )


def validate_measurements(target: Target | str | Path, samples: Iterable[Measurement], *, against: str = "") -> Report:
    """Compares a target with measurements; a sample's `source` is its kind, family and, if it has one, name.

    `network:resnet:resnet18@224` is the network `resnet18@224` of the family `resnet`; without a name it is called
    after its family and its number among them all, from 0.

    Args:
        target: Who is judged, or its name or file.
        samples: The measurements.
        against: What measured, such as `Provenance.label`.

    Raises:
        DataError: As `validate` does.
    """
    kept = list(samples)
    families, names = [], []
    for row, sample in enumerate(kept):
        _, _, rest = sample.source.partition(":")
        family, _, name = rest.replace("/", ":", 1).partition(":")  # either separates a family from a name
        families.append(family or "network")
        names.append(name or f"{family or 'network'} {row}")
    return validate(
        target,
        [sample.graph for sample in kept],
        [sample.latency_s for sample in kept],
        families=families,
        peak_bytes=[sample.peak_activation_bytes or None for sample in kept],
        names=names,
        spread=[sample.spread for sample in kept],
        against=against,
    )


def fitted_rows(target: Target, graphs: Sequence[Graph]) -> list[int] | None:
    """Returns which of the graphs the target was fitted on, by number; None if the target does not tell."""
    digests = _fitted_on(target)
    if digests is None:
        return None
    fitted = {_shortened(digest) for digest in digests}
    return [row for row, graph in enumerate(graphs) if fitted and _shortened(graph_digest(graph)) in fitted]


def _fitted_on(target: Target) -> Collection[str] | None:
    """Returns the digests, whole or shortened, of the graphs that a target was fitted on; none for one on paper."""
    if target.learned is None:
        return ()
    told: Collection[str] | None = getattr(target, "fitted_on", None)
    if told is None:
        told = getattr(learned_part(target), "facts", {}).get("graphs")
    return told


def held_out_file(name: str) -> Path | None:
    """Returns the measurements that come with a built-in target to validate it on; None if it has none."""
    path = HELD_OUT_FOLDER / f"{name}.held-out.jsonl.xz"
    return path if path.is_file() else None


def _predicted(
    target: Target,
    graph: Graph,
    name: str,
    family: str,
    measured_s: float,
    peak_bytes: int | None,
    spread: float | None,
) -> Prediction:
    cost = estimate(graph, target)
    priced = not cost.unpriced
    return Prediction(
        name=name,
        family=family,
        measured_s=measured_s,
        predicted_s=cost.latency_s if priced else None,
        measured_peak_bytes=peak_bytes,
        predicted_peak_bytes=cost.peak_activation_bytes if priced else None,
        spread=spread,
        unpriced=cost.unpriced,
        extrapolated=cost.extrapolated,
    )


def _shortened(digest: str) -> str:
    return digest.removeprefix("sha256:")[:_DIGITS]


def _column(name: str, values: Sequence[_T] | None, default: Sequence[_T]) -> Sequence[_T]:
    if values is None:
        return default
    if len(values) != len(default):
        raise DataError(f"{len(default)} graphs but {len(values)} {name}; there must be one per graph")
    return values


def _optional_column(
    name: str, values: Sequence[_Number | None] | None, count: int, *, least: int
) -> Sequence[_Number | None]:
    nothing: list[_Number | None] = [None] * count
    column = _column(name, values, nothing)
    faults = [
        f"row {row}: {name} {value!r}; it must be a finite number of at least {least}, or None"
        for row, value in enumerate(column)
        if value is not None and not least <= value < float("inf")
    ]
    if faults:
        raise DataError("\n".join(faults))
    return column


def _check_unit(found: Sequence[Prediction], target: Target) -> None:
    """Raises a DataError if most measurements are implausible."""
    ratios = [(row, entry.measured_s / entry.predicted_s) for row, entry in enumerate(found) if entry.predicted_s]
    odd = [(row, ratio) for row, ratio in ratios if not 1 / IMPLAUSIBLE <= ratio <= IMPLAUSIBLE]
    if 2 * len(odd) <= len(ratios):
        return
    row, ratio = odd[0]
    slower = ratio > 1
    factor = f"{ratio if slower else 1 / ratio:,.0f} times {'slower' if slower else 'faster'}"
    raise DataError(
        f"{len(odd)} of {len(found)} latencies are more than {IMPLAUSIBLE:g} times off what {target.name} expects; "
        f"row {row} ({found[row].name}): {found[row].measured_s:.4g} s, expected {found[row].predicted_s:.4g} s, "
        f"{factor}. Wrong unit? latency_s are seconds; or is {target.name} not what was measured?"
    )
