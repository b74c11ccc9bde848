"""What a target predicted of networks that were measured, and how far off it was."""

from __future__ import annotations

import dataclasses
import math
import statistics
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple, Self

from accelzoo.errors import DataError, suggestion
from accelzoo.hwmodel._validate_rank import kendall, spearman

FORMAT = "accelzoo-validation"
VERSION = 1
NOT_TOLD = "–"
LISTED = 12


class Prediction(NamedTuple):
    """One network: measured beside predicted, in seconds and bytes.

    `predicted_s` is None where the target cannot run every operator: `unpriced` then names those it cannot.
    `extrapolated` names operators that are far from anything the target was fitted on. `spread` is the relative error
    of repeating the measurement. Peaks are None where they were not measured.
    """

    name: str
    family: str
    measured_s: float
    predicted_s: float | None
    measured_peak_bytes: int | None = None
    predicted_peak_bytes: int | None = None
    spread: float | None = None
    unpriced: tuple[str, ...] = ()
    extrapolated: tuple[str, ...] = ()

    @property
    def error(self) -> float | None:
        """Relative error, predicted over measured less one."""
        return None if self.predicted_s is None else self.predicted_s / self.measured_s - 1

    @property
    def peak_error(self) -> float | None:
        """Relative error of the peak activation memory."""
        if not self.measured_peak_bytes or self.predicted_peak_bytes is None:
            return None
        return self.predicted_peak_bytes / self.measured_peak_bytes - 1


@dataclass(frozen=True, slots=True, kw_only=True)
class Scores:
    """How far predictions are off, over the networks that were predicted; None where there are none.

    With `e = predicted / measured − 1` for each network:

    Attributes:
        n: Networks that were predicted.
        not_predicted: Networks with operators that the target cannot run; in no other figure.
        within_5_percent: Share with |e| ≤ 0.05.
        within_10_percent: Share with |e| ≤ 0.10.
        rmspe: √mean(e²).
        mape: mean(|e|).
        bias: mean(e); negative where the target promises too much.
        worst: Name of the network with the largest |e|.
        worst_error: Its e.
        spearman: Correlation of ranks, predicted with measured; None for fewer than two networks.
        kendall: Tau-b likewise.
        spread: Median relative error of repeating the measurements, where it was told: no estimate can be better.
        peak_n: Networks whose peak activation memory was measured too.
        peak_within_5_percent: Share of those within 5 % of it.
        peak_mape: Mean absolute relative error of it.
        peak_worst_error: The largest relative error of it.
    """

    n: int
    not_predicted: int
    within_5_percent: float | None
    within_10_percent: float | None
    rmspe: float | None
    mape: float | None
    bias: float | None
    worst: str | None
    worst_error: float | None
    spearman: float | None
    kendall: float | None
    spread: float | None
    peak_n: int
    peak_within_5_percent: float | None
    peak_mape: float | None
    peak_worst_error: float | None

    @classmethod
    def of(cls, predictions: Sequence[Prediction]) -> Self:
        """Works the figures out."""
        found = [(entry, entry.error) for entry in predictions]
        priced = [(entry, error) for entry, error in found if error is not None]
        errors = [error for _, error in priced]
        measured = [entry.measured_s for entry, _ in priced]
        predicted = [entry.predicted_s or 0.0 for entry, _ in priced]
        peaks = [error for entry, _ in priced if (error := entry.peak_error) is not None]
        worst = max(priced, key=lambda pair: abs(pair[1]), default=None)
        spreads = [entry.spread for entry, _ in priced if entry.spread is not None]
        return cls(
            n=len(priced),
            not_predicted=len(predictions) - len(priced),
            within_5_percent=_share(errors, 0.05),
            within_10_percent=_share(errors, 0.10),
            rmspe=math.sqrt(_mean([error**2 for error in errors]) or 0.0) if errors else None,
            mape=_mean(list(map(abs, errors))),
            bias=_mean(errors),
            worst=worst[0].name if worst else None,
            worst_error=worst[1] if worst else None,
            spearman=spearman(predicted, measured),
            kendall=kendall(predicted, measured),
            spread=statistics.median(spreads) if spreads else None,
            peak_n=len(peaks),
            peak_within_5_percent=_share(peaks, 0.05),
            peak_mape=_mean(list(map(abs, peaks))),
            peak_worst_error=max(peaks, key=abs, default=None),
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """A target judged on networks that were measured.

    Attributes:
        target: The target's name.
        target_digest: Its digest: another target of this name is not meant.
        against: What measured, such as `vela-5.2.0/ethos-u55-256`; empty if it was not told.
        networks: Every network, in the order given.
        fitted: How many of them the target was fitted on, whose errors say nothing about other networks; None if the
            target does not tell what it was fitted on.
    """

    target: str
    target_digest: str
    against: str
    networks: tuple[Prediction, ...]
    fitted: int | None = 0

    @property
    def whole(self) -> Scores:
        """The scores over all networks."""
        return Scores.of(self.networks)

    @property
    def families(self) -> dict[str, Scores]:
        """The scores by family, in the order in which the families come first."""
        members: dict[str, list[Prediction]] = {}
        for entry in self.networks:
            members.setdefault(entry.family, []).append(entry)
        return {family: Scores.of(entries) for family, entries in members.items()}

    @property
    def not_predicted(self) -> tuple[Prediction, ...]:
        """The networks with operators that the target cannot run."""
        return tuple([entry for entry in self.networks if entry.predicted_s is None])

    def to_json(self) -> dict[str, Any]:
        """Returns networks and scores as plain JSON data; `from_json` is the inverse."""
        families = {family: dataclasses.asdict(scores) for family, scores in self.families.items()}
        return {
            "format": FORMAT,
            "version": VERSION,
            "target": self.target,
            "target_digest": self.target_digest,
            "against": self.against,
            "fitted": self.fitted,
            "scores": {"whole": dataclasses.asdict(self.whole), "families": families},
            "networks": [
                entry._asdict() | {"unpriced": list(entry.unpriced), "extrapolated": list(entry.extrapolated)}
                for entry in self.networks
            ],
        }

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Self:
        """Rebuilds a report from `to_json`'s data; the scores are worked out anew from its networks.

        Raises:
            DataError: If it is none, or a field is missing or unknown.
        """
        fields = [entry.name for entry in dataclasses.fields(cls)]
        _check_keys("validation report", data, ("format", "version", "scores", *fields))
        if (data["format"], data["version"]) != (FORMAT, VERSION):
            given = f"{data['format']!r}, version {data['version']!r}"
            raise DataError(f"validation report: expected {FORMAT!r}, version {VERSION}, got {given}")
        networks = []
        for number, row in enumerate(data["networks"]):
            _check_keys(f"validation report: network {number}", row, Prediction._fields)
            lists = {key: tuple(row[key]) for key in ("unpriced", "extrapolated")}
            networks.append(Prediction(**{**row, **lists}))
        return cls(**{name: data[name] for name in fields} | {"networks": tuple(networks)})

    def header(self) -> str:
        """Returns one line: who was judged, by what, on how many networks."""
        by = f" against {self.against}" if self.against else ""
        fitted = f"{self.fitted} of them USED IN FITTING" if self.fitted else "none of them used in fitting"
        if self.fitted is None:
            fitted = "maybe used in fitting (the target does not tell)"
        count = len(self.networks)
        return f"{self.target}{by}: {count} sample{'s' if count != 1 else ''}, {fitted}"

    def table(self) -> tuple[tuple[str, ...], list[tuple[str, ...]]]:
        """Returns headings and rows of text, a row per family and one of all; None is spelt `–`."""
        by_family = self.families
        groups = [*by_family.items()] if len(by_family) > 1 else []
        groups.append(("all" if groups else next(iter(by_family), "all"), self.whole))
        peaks = any(scores.peak_n for _, scores in groups)
        spreads = any(scores.spread is not None for _, scores in groups)
        headings = ["family", "n", "±5 %", "±10 %", "RMSPE", "MAPE", "bias", "Spearman", "Kendall"]
        headings += ["repeat error"] if spreads else []
        headings += ["peak ±5 %", "peak MAPE"] if peaks else []
        rows = [_cells(family, scores, peaks=peaks, spreads=spreads) for family, scores in groups]
        return (*headings, "worst"), rows

    def remarks(self) -> list[str]:
        """Returns a line for each network that was not predicted, and one about extrapolation."""
        missing = self.not_predicted
        lines = [f"not predicted: {entry.name} ({_listing(entry.unpriced)})" for entry in missing[:LISTED]]
        if len(missing) > LISTED:
            lines.append(f"not predicted: {len(missing) - LISTED} more")
        far = [entry for entry in self.networks if entry.extrapolated]
        if far:
            lines.append(
                f"extrapolated: {len(far)} networks hold operators far from any that was fitted, such as "
                f"{far[0].extrapolated[0]} of {far[0].name}"
            )
        return lines

    def to_markdown(self) -> str:
        """Returns the header, the table and the remarks as Markdown."""
        headings, rows = self.table()
        lines = [headings, ["-" * 3, *["--:"] * (len(headings) - 2), "---"], *rows]
        text = "\n".join("| " + " | ".join(cells) + " |" for cells in lines)
        remarks = "".join(f"- {line}\n" for line in self.remarks())
        return f"{self.header()}.\n\n{text}\n" + (f"\n{remarks}" if remarks else "")


def percent(share: float | None, *, signed: bool = False) -> str:
    """Returns `12.3 %`, or `–` for None."""
    if share is None:
        return NOT_TOLD
    return f"{100 * share:{'+' if signed else ''}.1f} %"


def _cells(family: str, scores: Scores, *, peaks: bool, spreads: bool) -> tuple[str, ...]:
    skipped = f" (+{scores.not_predicted} not predicted)" if scores.not_predicted else ""
    cells = [family, f"{scores.n}{skipped}", percent(scores.within_5_percent), percent(scores.within_10_percent)]
    cells += [percent(scores.rmspe), percent(scores.mape), percent(scores.bias, signed=True)]
    cells += [NOT_TOLD if value is None else f"{value:.3f}" for value in (scores.spearman, scores.kendall)]
    cells += [percent(scores.spread)] if spreads else []
    cells += [percent(scores.peak_within_5_percent), percent(scores.peak_mape)] if peaks else []
    worst = NOT_TOLD if scores.worst is None else f"{scores.worst} {percent(scores.worst_error, signed=True)}"
    return (*cells, worst)


def _listing(unpriced: Sequence[str]) -> str:
    """Returns the kinds of operators with their numbers: `2 opaque:aten.roll, 22 activation:hard_swish`."""
    kinds = Counter(entry[entry.rfind("(") + 1 :].rstrip(")") for entry in unpriced)
    return ", ".join(f"{count} {kind}" for kind, count in sorted(kinds.items()))


def _share(errors: Sequence[float], limit: float) -> float | None:
    return sum(abs(error) <= limit for error in errors) / len(errors) if errors else None


def _mean(values: Sequence[float]) -> float | None:
    # Exactly rounded sums: equal networks give equal figures on every machine.
    return math.fsum(values) / len(values) if values else None


def _check_keys(what: str, data: Any, allowed: Iterable[str]) -> None:
    known = list(allowed)
    if not isinstance(data, Mapping):
        raise DataError(f"{what}: expected a mapping, got {data!r}")
    for name in data:
        if name not in known:
            raise DataError(f"{what}: unknown field {name!r}{suggestion(name, known)}; allowed: {', '.join(known)}")
    if missing := [name for name in known if name not in data]:
        raise DataError(f"{what}: missing {', '.join(missing)}")
