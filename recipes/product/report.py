"""The result of a product run: every network against the baseline, on the target, on others, and what it took."""

from __future__ import annotations

import math
import statistics
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any, Literal

from accelzoo.hwmodel import Cost
from accelzoo.recipes.product.values import BASELINE, Priced, SeedRun, Trained
from accelzoo.recipes.report import deviation, markdown_table, number_text, spread_text
from accelzoo.recipes.units import latency_unit

Interval = tuple[float, float]
_COSTS = ("latency_s", "energy_j", "weight_bytes", "peak_activation_bytes", "macs")


@dataclass(frozen=True, slots=True, kw_only=True)
class ScoreGain:
    """How a network's test score relates to the baseline's.

    Attributes:
        difference: Mean over the seeds minus the baseline's; 0.01 is a point.
        standard_error: Of that difference, from the spread over the seeds; 0 with one seed.
        place: Where the mean lies: `within` the baseline's 95 % interval over images, `below` or `above` it; None where
            the baseline has no interval.
    """

    difference: float
    standard_error: float
    place: Literal["within", "below", "above"] | None


@dataclass(frozen=True, slots=True, kw_only=True)
class ProductComparison:
    """Everything that a product run trained and priced.

    Args:
        target: Name of the recipe's target: every network has a price there.
        task: What the networks are for.
        data: The data set as a reader should see it.
        trained: The baseline and the picks, in the order of the report.
        wall_s: Name of a part of the run → seconds that its jobs took in sum. Where `pretraining` or `training` is not
            there, it is the sum over `trained`, in which a job that two networks share counts twice.
        threads: Cores that one job uses.
        not_compiled: Name of a network that the target's compiler did not compile → why.
        notes: Further sentences for the reader.

    Raises:
        ValueError: If there is no baseline, a network is there twice or has no training, or is not priced on `target`.
    """

    target: str
    task: Literal["detection", "segmentation"]
    data: str
    trained: tuple[Trained, ...]
    wall_s: Mapping[str, float] = field(default_factory=dict)
    threads: int = 1
    not_compiled: Mapping[str, str] = field(default_factory=dict)
    notes: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        names = [one.network.name for one in self.trained]
        if BASELINE not in names:
            raise ValueError(f"trained (={names}) must have the {BASELINE} among them")
        for index, one in enumerate(self.trained):
            if names[index] in names[:index]:
                raise ValueError(f"trained has {names[index]} twice")
            if not one.runs:
                raise ValueError(f"{names[index]} has no training")
            if self.target not in one.prices:
                raise ValueError(f"{names[index]} has prices on {list(one.prices)}, none on {self.target}")
        if self.threads < 1:
            raise ValueError(f"threads (={self.threads}) must be at least 1")

    @property
    def baseline(self) -> Trained:
        """The network to beat."""
        return next(one for one in self.trained if one.network.name == BASELINE)

    @property
    def picks(self) -> tuple[Trained, ...]:
        """All networks but the baseline."""
        return tuple(one for one in self.trained if one.network.name != BASELINE)

    @property
    def metric(self) -> str:
        """What a score is: `AP50`, `mIoU`."""
        return self.baseline.runs[0].test.metric

    @property
    def is_compiled(self) -> bool:
        """Whether the referee compiled every network, so that its latencies are the ones to compare."""
        return all(one.compiled is not None for one in self.trained)

    def cost(self, one: Trained) -> Cost:
        """Returns a network's estimated price on the recipe's target."""
        return one.prices[self.target].cost

    def latency_s(self, one: Trained) -> float:
        """Returns a network's latency by the referee, or by the estimator where not every network was compiled."""
        return one.compiled.latency_s if one.compiled is not None and self.is_compiled else self.cost(one).latency_s

    def fastest(self) -> Trained:
        """Returns the network of the least latency; of equally fast ones the first."""
        return min(self.trained, key=self.latency_s)

    def reductions(self, one: Trained) -> dict[str, float]:
        """Returns measure → 1 − network / baseline; positive is a saving.

        Measures are the fields of the estimated cost, and `compiled_latency_s` where both were compiled; one is absent
        where the baseline has 0 of it.
        """
        pairs = {name: (getattr(self.cost(one), name), getattr(self.cost(self.baseline), name)) for name in _COSTS}
        if one.compiled is not None and self.baseline.compiled is not None:
            pairs["compiled_latency_s"] = one.compiled.latency_s, self.baseline.compiled.latency_s
        return {name: 1 - ours / theirs for name, (ours, theirs) in pairs.items() if theirs}

    def gain(self, one: Trained) -> ScoreGain:
        """Returns how a network's test score relates to the baseline's."""
        ours, theirs = scores_of(one), scores_of(self.baseline)
        error = math.sqrt(sum(deviation(values) ** 2 / len(values) for values in (ours, theirs)))
        mean, interval = statistics.fmean(ours), interval_of(self.baseline)
        place: Literal["within", "below", "above"] | None = None
        if interval is not None:
            place = "below" if mean < interval[0] else "above" if mean > interval[1] else "within"
        return ScoreGain(difference=mean - statistics.fmean(theirs), standard_error=error, place=place)

    def seconds(self) -> dict[str, float]:
        """Returns part of the run → seconds that its jobs took in sum; parts that took none are left out."""
        trainings = {
            "pretraining": sum(one.wall_s for one in self.trained),
            "training": sum(run.wall_s for one in self.trained for run in one.runs),
        }
        parts = {**self.wall_s, **{part: taken for part, taken in trainings.items() if part not in self.wall_s}}
        return {part: seconds for part, seconds in parts.items() if seconds}

    def markdown(self) -> str:
        """The tables and what to know about them, as Markdown."""
        seeds = max(len(one.runs) for one in self.trained)
        images = f"{self.baseline.runs[0].test.count:,} test images"
        parts = [f"{self.data}, {images}, {seeds} seed{'s' if seeds > 1 else ''}; target {self.target}.\n"]
        parts += [self._networks_table(), _lines([*map(self._verdict, self.picks), *self._reading(seeds), *self.notes])]
        if others := self._others_table():
            parts += [others, *([_lines(reasons)] if (reasons := self._reasons()) else [])]
        if spent := self._spent_table():
            parts.append(spent)
        return "\n".join(parts)

    def to_json(self) -> dict[str, Any]:
        """Plain data of the whole comparison."""
        return {
            "target": self.target,
            "task": self.task,
            "data": self.data,
            "metric": self.metric,
            "networks": [self._network_json(one) for one in self.trained],
            "wall_s": self.seconds(),
            "threads": self.threads,
            "not_compiled": dict(self.not_compiled),
            "notes": list(self.notes),
        }

    def _networks_table(self) -> str:
        compiled = [one.compiled for one in self.trained if one.compiled is not None]
        unit_s, unit = latency_unit(max(map(self.latency_s, self.trained)))
        header = ["network", f"estimate ({unit})"]
        header += [f"compiled ({unit})", "estimate off"] if compiled else []
        header += ["change", "weights (KiB)", "peak activations (KiB)"]
        header += ["SRAM, compiled (KiB)"] if any(one.sram_bytes is not None for one in compiled) else []
        header += ["MACs (M)", f"test {self.metric} (%)", "95 % interval", "int8 − float (points)"]
        return markdown_table(header, [self._cells(one, header, unit_s) for one in self.trained])

    def _cells(self, one: Trained, header: Sequence[str], unit_s: float) -> list[str]:
        cost, cells = self.cost(one), [one.network.name]
        estimated, compiled, interval = cost.latency_s, one.compiled, interval_of(one)
        cells.append(number_text(estimated / unit_s))
        if "estimate off" in header:
            known = 0.0 if compiled is None else compiled.latency_s
            cells += [number_text(known / unit_s), f"{estimated / known - 1:+.1%}"] if known else ["n/a", "n/a"]
        cells.append("" if one is self.baseline else change_text(self.latency_s(one), self.latency_s(self.baseline)))
        cells += [number_text(cost.weight_bytes / 1024), number_text(cost.peak_activation_bytes / 1024)]
        if "SRAM, compiled (KiB)" in header:
            memory = None if compiled is None else compiled.sram_bytes
            cells.append("n/a" if memory is None else number_text(memory / 1024))
        cells += [number_text(cost.macs / 1e6), spread_text(scores_of(one)), interval_text(interval)]
        return [*cells, _int8_text(one.runs)]

    def _verdict(self, one: Trained) -> str:
        """One sentence: who, how much faster, and whether its score can be told from the baseline's."""
        gain, network = self.gain(one), one.network
        by = "compiler" if self.is_compiled else "estimate"
        speed = change_text(self.latency_s(one), self.latency_s(self.baseline))
        score = f"{gain.difference * 100:+.2f}" + (f" ± {gain.standard_error * 100:.2f}" if gain.standard_error else "")
        found = f" ({network.title})" if network.title else ""
        text = f"`{network.name}`{found}: latency {speed} by the {by}, test {self.metric} {score} points"
        if gain.place is None:
            return f"{text}."
        answer = "yes" if gain.place == "within" else f"no, {gain.place} it"
        return f"{text}; within the baseline's interval: {answer}."

    def _reading(self, seeds: int) -> list[str]:
        lines = ["Changes and errors of latency are relative; int8 against float is on the validation split."]
        if not self.is_compiled:
            lines.append("Not every network was compiled: changes are those of the estimate.")
            lines += self._refusals()
        if any(interval_of(one) for one in self.trained):
            lines.append("Intervals: resampled test images" + (", ends averaged over seeds." if seeds > 1 else "."))
        if seeds > 1:
            return [*lines, "After ±: the standard deviation over seeds (of a difference: its standard error)."]
        return [*lines, "One seed: small differences may be chance."]

    def _others_table(self) -> str:
        names = [name for name in self.baseline.prices if name != self.target]
        header = ("target, network", "estimate (ms)", "change", "referee (ms)", "change", "by")
        priced = [(name, one) for name in names for one in self.trained if name in one.prices]
        rows = [
            (f"{name}, {one.network.name}", *_price_cells(one.prices[name], self.baseline.prices[name]))
            for name, one in priced
        ]
        width = len(header) if any(one.prices[name].referee for name, one in priced) else 3
        return markdown_table(header[:width], [row[:width] for row in rows]) if rows else ""

    def _refusals(self) -> list[str]:
        """Why networks were not compiled; of equal reasons one."""
        found: dict[str, list[str]] = {}
        for name, reason in self.not_compiled.items():
            found.setdefault(reason, []).append(f"`{name}`")
        return [f"Not compiled: {', '.join(names)}: {reason}" for reason, names in found.items()]

    def _reasons(self) -> list[str]:
        """What estimates leave out, and why a network has no referee on a further target; of equal reasons one."""
        found: dict[tuple[str, str], list[str]] = {}
        left_out = [
            f"{name}, {one.network.name}: the estimate is a lower bound, without {', '.join(price.cost.unpriced)}"
            for one in self.trained
            for name, price in one.prices.items()
            if price.cost.unpriced
        ]
        for one in self.trained:
            for name, price in one.prices.items():
                if name != self.target and price.referee is None and price.why_not:
                    found.setdefault((name, price.why_not), []).append(one.network.name)
        return left_out + [
            f"{target}: no referee" + ("" if len(who) == len(self.trained) else f" of {', '.join(who)}") + f": {reason}"
            for (target, reason), who in found.items()
        ]

    def _spent_table(self) -> str:
        seconds = self.seconds()
        if not seconds:
            return ""
        parts = {**seconds, "all": sum(seconds.values())}
        rows = [
            (part, number_text(taken / 3600), number_text(taken * self.threads / 3600)) for part, taken in parts.items()
        ]
        return markdown_table(("cost of the run", "hours of jobs", "core-hours"), rows)

    def _network_json(self, one: Trained) -> dict[str, Any]:
        network, scores = one.network, scores_of(one)
        return {
            "name": network.name,
            "title": network.title,
            "search": network.search,
            "arch": network.arch.to_config(),
            "signal": network.signal,
            "trial": None if network.trial is None else network.trial.to_json(),
            "prices": {name: _price_json(price) for name, price in one.prices.items()},
            "compiled": None if one.compiled is None else asdict(one.compiled),
            "reductions": {} if one is self.baseline else self.reductions(one),
            "gain": None if one is self.baseline else asdict(self.gain(one)),
            "test_mean": statistics.fmean(scores),
            "test_std": deviation(scores),
            "test_interval": interval_of(one),
            "int8_difference": statistics.fmean(run.int8.value - run.validation.value for run in one.runs),
            "runs": [_run_json(run) for run in one.runs],
            "wall_s": one.wall_s,
        }


def scores_of(one: Trained) -> tuple[float, ...]:
    """Returns the test scores of a network's trainings, 0 … 1, in the order of its runs."""
    return tuple(run.test.value for run in one.runs)


def interval_of(one: Trained) -> Interval | None:
    """Returns the 95 % interval over test images, its ends averaged over the seeds; None where a run has none."""
    ends = [(run.test.low, run.test.high) for run in one.runs if run.test.low is not None and run.test.high is not None]
    if len(ends) < len(one.runs):
        return None
    low, high = (statistics.fmean(values) for values in zip(*ends, strict=True))
    return low, high


def change_text(ours: float, theirs: float) -> str:
    """Returns by how much ours is above theirs: `-12.3%`; `n/a` where theirs is 0."""
    return f"{ours / theirs - 1:+.1%}" if theirs else "n/a"


def interval_text(interval: Interval | None) -> str:
    """Returns an interval of shares in per cent: `71.20 … 75.90`."""
    return "n/a" if interval is None else f"{interval[0] * 100:.2f} … {interval[1] * 100:.2f}"


def _int8_text(runs: Sequence[SeedRun]) -> str:
    points = [100 * (run.int8.value - run.validation.value) for run in runs]
    mean = f"{statistics.fmean(points):+.2f}"
    return f"{mean} ± {deviation(points):.2f}" if len(points) > 1 else mean


def _price_cells(price: Priced, base: Priced) -> tuple[str, ...]:
    """Estimate in ms, its change, the referee's latency in ms, its change, and the referee's name."""
    is_base = price is base
    estimated, theirs = price.cost.latency_s, base.cost.latency_s
    cells = number_text(estimated * 1e3), "" if is_base else change_text(estimated, theirs)
    if price.referee is None:
        return *cells, "n/a", "" if is_base else "n/a", ""
    referee = price.referee
    change = "n/a" if base.referee is None else change_text(referee.latency_s, base.referee.latency_s)
    return *cells, number_text(referee.latency_s * 1e3), "" if is_base else change, referee.tool


def _price_json(price: Priced) -> dict[str, Any]:
    return {
        "cost": {name: getattr(price.cost, name) for name in Cost.fields()},
        "unpriced": list(price.cost.unpriced),
        "referee": None if price.referee is None else asdict(price.referee),
        "why_not": price.why_not,
    }


def _run_json(run: SeedRun) -> dict[str, Any]:
    scores = {"validation": run.validation, "test": run.test, "int8": run.int8}
    return {"seed": run.seed, "wall_s": run.wall_s} | {name: score.to_json() for name, score in scores.items()}


def _lines(sentences: Sequence[str]) -> str:
    return "".join(f"- {sentence}\n" for sentence in sentences)
