"""The result of a width run: what each method's networks cost and score at each budget, and who gains over whom."""

from __future__ import annotations

import statistics
from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from accelzoo.hwmodel import Cost
from accelzoo.recipes.report import deviation, markdown_table, number_text, spread_text
from accelzoo.recipes.units import latency_unit
from accelzoo.recipes.width.gain import MEASURES, Gain, Measure, paired_gain
from accelzoo.recipes.width.schema import METHODS, Method
from accelzoo.recipes.width.values import Trained

Row = tuple[Trained, ...]
ROUNDING = 1e-9
"""Relative, of sums of seconds: two orders of adding up must not decide about a budget."""
CONTESTS: tuple[tuple[Method, Method], ...] = (
    ("optimal", "greedy"),
    ("narrowed", "greedy"),
    ("narrowed", "optimal"),
    ("optimal", "uniform"),
    ("narrowed", "uniform"),
)
"""Who is compared with whom over all budgets: method and reference."""
REFERENCES: tuple[Method, ...] = ("greedy", "uniform")
"""With whom each network is compared at its own budget: the first of them that the run has."""
_CHECKED: dict[str, tuple[Method, ...]] = {"optimised": ("optimal", "narrowed"), "other": ("uniform", "greedy")}


@dataclass(frozen=True, slots=True, kw_only=True)
class LatencyCheck:
    """How well latencies were predicted and budgets used, over all chosen networks.

    Attributes:
        choices: How many.
        largest_error: Largest |predicted / measured − 1|.
        mean_error: Its mean.
        least_slack: Smallest 1 − measured / budget; negative: a network over its budget.
        mean_slack: Its mean.
        largest_slack: Its largest.
        over_budget: Networks over their budget.
    """

    choices: int
    largest_error: float
    mean_error: float
    least_slack: float
    mean_slack: float
    largest_slack: float
    over_budget: int


@dataclass(frozen=True, slots=True, kw_only=True)
class WidthComparison:
    """Everything that a width run chose and trained.

    Args:
        target: The target's name.
        measured_by: The oracle that timed the networks; None: latencies are the target's estimates.
        data: The data set as a reader should see it.
        groups: Names of the groups of channels, in the order of every `Choice.widths`.
        trained: The original with each seed, and the networks of each method, budget and seed.

    Raises:
        ValueError: If there is no original, a network is there twice, or its widths are not those of the groups.
    """

    target: str
    measured_by: str | None
    data: str
    groups: tuple[str, ...]
    trained: tuple[Trained, ...]

    def __post_init__(self) -> None:
        names = [one.choice.name for one in self.trained]
        if not any(one.choice.method == "original" for one in self.trained):
            raise ValueError(f"trained (={names}) must have the original among them")
        for index, one in enumerate(self.trained):
            if names[index] in names[:index]:
                raise ValueError(f"trained has {names[index]} twice")
            if len(one.choice.widths) != len(self.groups):
                raise ValueError(f"{names[index]}: {len(one.choice.widths)} widths for {len(self.groups)} groups")

    @property
    def seeds(self) -> tuple[int, ...]:
        """All seeds, ascending."""
        return tuple(sorted({one.choice.seed for one in self.trained}))

    @property
    def shares(self) -> tuple[float, ...]:
        """All latency budgets as shares of the original's latency, ascending."""
        return tuple(sorted({one.choice.share for one in self.trained if one.choice.method != "original"}))

    @property
    def methods(self) -> tuple[Method, ...]:
        """All methods, in the order of `METHODS`."""
        there = {one.choice.method for one in self.trained}
        return tuple(method for method in METHODS if method in there)

    @property
    def original(self) -> Row:
        """The network as it is, seed by seed."""
        return _by_seed(one for one in self.trained if one.choice.method == "original")

    def row(self, method: Method, share: float) -> Row:
        """Returns a method's networks at a budget, seed by seed; empty if there are none."""
        return _by_seed(one for one in self.trained if (one.choice.method, one.choice.share) == (method, share))

    def gain(self, method: Method, reference: Method, share: float | None = None, *,
             measure: Measure = "accuracy") -> Gain | None:  # fmt: skip
        """Returns how much more accurate a method's networks are on test images, paired by seed and budget.

        Args:
            method: Whose.
            reference: Than whose.
            share: At this budget; None: at all, averaged within each seed first.
            measure: See `accelzoo.recipes.width.gain.paired_gain`.

        Returns:
            None if there is no pair, or nothing to relate to.
        """
        pairs: dict[int, list[tuple[float, float]]] = {}
        for each in self.shares if share is None else (share,):
            theirs = {one.choice.seed: one.test.top1 for one in self.row(reference, each)}
            for one in self.row(method, each):
                if one.choice.seed in theirs:
                    pairs.setdefault(one.choice.seed, []).append((one.test.top1, theirs[one.choice.seed]))
        return paired_gain(pairs, measure)

    def latency_check(self, methods: Sequence[Method] = METHODS) -> LatencyCheck | None:
        """Returns how predicted and measured latencies and budgets agree, over the networks that methods chose.

        The optimised ones are predicted by tables that were refitted until they agreed, the others by the first table.

        Args:
            methods: Which; None is returned if they chose nothing.
        """
        choices = [one.choice for one in self.trained if one.choice.method in methods]
        if not choices:
            return None
        errors = [abs(one.predicted_s / one.measured_s - 1) for one in choices]
        slacks = [1 - one.measured_s / one.budget_s for one in choices]
        return LatencyCheck(
            choices=len(choices),
            largest_error=max(errors),
            mean_error=statistics.fmean(errors),
            least_slack=min(slacks),
            mean_slack=statistics.fmean(slacks),
            largest_slack=max(slacks),
            over_budget=sum(slack < -ROUNDING for slack in slacks),
        )

    def markdown(self) -> str:
        """The tables and what to know about them, as Markdown."""
        count = len(self.seeds)
        seeds = f"{count} seed{'s' if count > 1 else ''}"
        latencies = f"measured by {self.measured_by}" if self.measured_by else "estimated"
        images = f"{self.original[0].test.count:,} test images"
        parts = [f"{self.data}, {images}, {seeds}; latencies {latencies} for {self.target}.\n", self._networks_table()]
        if contests := self._contests_table():
            parts.append(contests)
        parts.append(self._notes())
        return "\n".join(parts)

    def to_json(self) -> dict[str, Any]:
        """Plain data of the whole comparison."""
        return {
            "target": self.target,
            "measured_by": self.measured_by,
            "data": self.data,
            "groups": list(self.groups),
            "seeds": list(self.seeds),
            "networks": [_row_json(row) for row in self._rows],
            "gains": self._gains_json(),
            "latency": {
                name: asdict(check)
                for name, methods in _CHECKED.items()
                if (check := self.latency_check(methods)) is not None
            },
            "trained": [_trained_json(one) for one in self.trained],
        }

    @property
    def _rows(self) -> list[Row]:
        """Each method's networks budget by budget, the original before them."""
        rows = [self.row(method, share) for share in self.shares for method in self.methods]
        return [self.original, *filter(None, rows)]

    @property
    def _reference(self) -> Method | None:
        """What the rows of the table are compared with."""
        return next((method for method in REFERENCES if method in self.methods), None)

    def _networks_table(self) -> str:
        unit_s, unit = latency_unit(max(map(_latency, self.trained)))
        latency = f"{'latency' if self.measured_by else 'estimated latency'} ({unit})"
        header = ["budget, widths", latency, "weights (KiB)", "MACs (M)", "test top-1 (%)", "held-out loss"]
        if self._reference:
            header += [f"accuracy gain on {self._reference} (%)", f"error reduction on {self._reference} (%)"]
        return markdown_table(header, [[*_cells(row, unit_s), *self._gain_cells(row)] for row in self._rows])

    def _gain_cells(self, row: Row) -> tuple[str, ...]:
        method, share, reference = row[0].choice.method, row[0].choice.share, self._reference
        if reference is None:
            return ()
        if method == "original" or method == reference:
            return "", ""
        gains = (self.gain(method, reference, share, measure=measure) for measure in ("accuracy", "error"))
        return tuple("n/a" if gain is None else str(gain) for gain in gains)

    def _contests_table(self) -> str:
        header = ("over all budgets", "top-1 (points)", "accuracy gain (%)", "error reduction (%)", "more accurate in")
        rows = []
        for method, reference in CONTESTS:
            gains = [self.gain(method, reference, measure=measure) for measure in MEASURES]
            if gains[0] is not None:
                texts = ["n/a" if gain is None else str(gain) for gain in gains]
                rows.append((f"{method} vs {reference}", *texts, gains[0].wins_text))
        return markdown_table(header, rows) if rows else ""

    def _notes(self) -> str:
        lines = [note for name in _CHECKED if (note := self._latency_note(name))]
        lines.append("- Gains and reductions are relative; networks are paired by seed and budget.")
        if len(self.seeds) > 1:
            lines.append(
                f"- In brackets: 95 % intervals (Student's t over {len(self.seeds)} seeds; budgets are averaged within "
                "a seed first). After ±: the standard deviation over seeds."
            )
        else:
            lines.append("- One seed: there are no intervals, and small differences may be chance.")
        return "\n".join(lines) + "\n"

    def _latency_note(self, name: str) -> str:
        check = self.latency_check(_CHECKED[name])
        if check is None:
            return ""
        measured = "measured" if self.measured_by else "estimated"
        over = f"{check.over_budget} over it" if check.over_budget else "none over it"
        return (
            f"- {check.choices} {name} networks: predicted latency off the {measured} one by "
            f"{_percent(check.mean_error)} on average and {_percent(check.largest_error)} at most; {measured} latency "
            f"below the budget by {_percent(check.mean_slack)} ({_percent(check.least_slack)} … "
            f"{_percent(check.largest_slack)}), {over}."
        )

    def _gains_json(self) -> list[dict[str, Any]]:
        gains: list[dict[str, Any]] = []
        for method, reference in CONTESTS:
            for share in (None, *self.shares):
                found = {measure: self.gain(method, reference, share, measure=measure) for measure in MEASURES}
                if found["points"] is not None:
                    who = {"method": method, "reference": reference, "latency_share": share}
                    gains.append(who | {name: gain.to_json() if gain else None for name, gain in found.items()})
        return gains


def _by_seed(trained: Iterable[Trained]) -> Row:
    return tuple(sorted(trained, key=lambda one: one.choice.seed))


def _cells(row: Row, unit_s: float) -> tuple[str, ...]:
    first, scores = row[0].choice, _scores(row)
    return (
        "original" if first.method == "original" else f"{100 * first.share:g} %, {first.method}",
        number_text(_mean(row, _latency) / unit_s),
        number_text(_mean(row, lambda one: one.cost.weight_bytes / 1024)),
        number_text(_mean(row, lambda one: one.cost.macs / 1e6)),
        spread_text([one.test.top1 for one in row]),
        f"{statistics.fmean(scores):.4f}" if scores else "",
    )


def _row_json(row: Row) -> dict[str, Any]:
    accuracies = [one.test.top1 for one in row]
    scores = _scores(row)
    return {
        "method": row[0].choice.method,
        "latency_share": row[0].choice.share,
        "seeds": [one.choice.seed for one in row],
        "measured_s": _mean(row, _latency),
        "predicted_s": _mean(row, lambda one: one.choice.predicted_s),
        "budget_s": _mean(row, lambda one: one.choice.budget_s),
        "weight_bytes": _mean(row, lambda one: one.cost.weight_bytes),
        "macs": _mean(row, lambda one: one.cost.macs),
        "validation_top1": [one.validation.top1 for one in row],
        "test_top1": accuracies,
        "test_top1_mean": statistics.fmean(accuracies),
        "test_top1_std": deviation(accuracies),
        "test_images": row[0].test.count,
        "score": statistics.fmean(scores) if scores else None,
    }


def _trained_json(one: Trained) -> dict[str, Any]:
    cost = {name: getattr(one.cost, name) for name in Cost.fields()}
    metrics = {"validation": one.validation.to_json(), "test": one.test.to_json()}
    return {"name": one.choice.name, "choice": one.choice.to_json(), "cost": cost, **metrics}


def _scores(row: Row) -> list[float]:
    return [one.choice.score for one in row if one.choice.score is not None]


def _latency(one: Trained) -> float:
    return one.choice.measured_s


def _mean(row: Sequence[Trained], value: Callable[[Trained], float]) -> float:
    return statistics.fmean(value(one) for one in row)


def _percent(share: float) -> str:
    return f"{100 * share:.2f} %"
