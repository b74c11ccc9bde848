"""`curate`: from a space and a target to a space without what never pays there.

A value is dominated if a better one of the same knob costs no more, in the same place, in the contexts met: other knobs
drawn at random. Of channels, kernels, expansions, repeats, squeeze-excite ratios, multipliers and input sizes more is
better (`_order.ORDERED`): no rule of the hardware is asked for, multiples of its tiles fall out. Of other knobs, such
as kinds of blocks, the quality of the whole genome decides.

The exact fronts of quality against cost before and after say what that lost. Values without which the front would lose
more than `regret` are put back, so by default nothing of it is lost where prices are sums over parts; where they are
not, or there are too many, the report says "not certified" and gives the loss among sampled genomes.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from accelzoo import draw
from accelzoo.errors import AccelzooError, ConfigError, ShapeError, check_one_of
from accelzoo.hwmodel import Cost, Target, load_target
from accelzoo.hwmodel.table import CostTable
from accelzoo.knobs import Space
from accelzoo.search.curation._contexts import Drawer, Floats
from accelzoo.search.curation._dominance import Dominated, dominated
from accelzoo.search.curation._eliminate import eliminated
from accelzoo.search.curation._order import ascending
from accelzoo.search.curation._prices import MACS, Prices
from accelzoo.search.curation._quality import DEFAULT, Judge, Quality, judge, with_quality
from accelzoo.search.curation._wishes import Kept, wished
from accelzoo.search.curation.certificate import Certificate, Loss, among, exact_front, sampled_loss
from accelzoo.search.curation.report import Change, Removal, Report, Why
from accelzoo.search.curation.ruggedness import ruggedness
from accelzoo.search.curation.space import CuratedSpace, restricted
from accelzoo.search.exact import Front
from accelzoo.search.space import GenomeMatrix

ROUNDS = 4
SAMPLED = 256
STEPS = 1024
KEEP = ("undominated", "front")


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """How strictly `curate` looks; see there."""

    field: str
    tolerance: float
    agreement: float
    contexts: int
    keep: str
    regret: float
    max_entries: int
    max_labels: int
    seed: int

    def __post_init__(self) -> None:
        faults = []
        if self.field not in Cost.fields() or self.field == "peak_activation_bytes":
            allowed = [name for name in Cost.fields() if name != "peak_activation_bytes"]
            faults.append(f"field: {self.field!r} is no cost that adds up; allowed: {', '.join(allowed)}")
        if not 0 <= self.tolerance < 1:
            faults.append(f"tolerance (={self.tolerance}) must be from 0 to 1")
        if not 0 < self.agreement <= 1:
            faults.append(f"agreement (={self.agreement}) must be above 0, at most 1")
        if not self.regret >= 0:
            faults.append(f"regret (={self.regret}) must not be negative")
        for name in ("contexts", "max_labels"):
            if getattr(self, name) < 1:
                faults.append(f"{name} (={getattr(self, name)}) must be at least 1")
        if self.max_entries < 0 or self.seed < 0:
            faults.append("max_entries and seed must not be negative")
        if faults:
            raise ConfigError(faults)
        check_one_of("keep", self.keep, KEEP)


def curate(
    space: Space,
    target: Target | str | CostTable,
    *,
    quality: Quality | None = None,
    pins: Mapping[str, Any] | None = None,
    forbids: Mapping[str, Any] | None = None,
    field: str = "latency_s",
    tolerance: float = 0.0,
    agreement: float = 1.0,
    keep: str = "undominated",
    regret: float = 0.0,
    contexts: int = 64,
    max_entries: int = 60_000,
    max_labels: int = 20_000_000,
    seed: int = 0,
) -> CuratedSpace:
    """Drops the values of a space's knobs that never pay on a target; the module's docstring says how.

    Args:
        space: What to curate.
        target: The accelerator; or a `CostTable` of this space, for estimators of one's own.
        quality: The name of a closed-form score, or genomes `(n, positions)` of `space` → `(n,)`, higher is better. By
            default `trainability`, or MACs where networks are no classifiers.
        pins: Knob → the value or values to keep; `*` stands for anything (`stages[*].kernel_size`).
        forbids: Knob → the value or values to drop.
        field: The cost: a field of `Cost` that adds up.
        tolerance: How much dearer, as a share of the whole genome's cost, still counts as costing no more.
        agreement: In what share of the contexts a value must be dominated; near 0, the landscape climbs afterwards.
        keep: `undominated`; or `front`, which also drops, one by one, the values that the exact front can do without.
        regret: The most that any quality on the exact front may cost more afterwards, as a share; inf: any.
        contexts: How many to try for every knob.
        max_entries: The most entries of a cost table to learn for the exact front; 0 asks for none.
        max_labels: The most labels of an exact front.
        seed: Draws the contexts.

    Raises:
        ConfigError: All faults among pins, forbids and settings, located; or nothing is left.
        AccelzooError: If a cost table is of another space.
    """
    settings = Settings(field=field, tolerance=tolerance, agreement=agreement, contexts=contexts, keep=keep,
                        regret=regret, max_entries=max_entries, max_labels=max_labels, seed=seed)  # fmt: skip
    return _curated(space, target, quality, pins or {}, forbids or {}, settings)


def _curated(
    space: Space,
    target: Target | str | CostTable,
    quality: Quality | None,
    pins: Mapping[str, Any],
    forbids: Mapping[str, Any],
    settings: Settings,
) -> CuratedSpace:
    wishes = wished(space, pins, forbids)
    if isinstance(target, CostTable) and target.space is not space:
        raise AccelzooError("the cost table is of another space than the one to curate")
    on = load_target(target) if isinstance(target, str) else target
    curation = _Curation(space, on, wishes, quality, settings)
    curation.drop_dominated()
    certificate = curation.certified()
    report = curation.report(certificate, wished(space, pins, {}))
    return CuratedSpace(space, curation.kept, report)


class _Curation:
    """One call; everything is counted in genomes of the space as it was given."""

    def __init__(
        self, space: Space, target: Target | CostTable, wishes: Kept, quality: Quality | None, settings: Settings
    ) -> None:
        self.space = space
        self.wishes = wishes
        self.kept = wishes
        self.settings = settings
        self._target = target.target if isinstance(target, CostTable) else target
        self._judge, self._judged_by = self._judged(quality)  # first: an unknown name costs no table
        self._prices = Prices.of(space, target, wishes, settings.field, settings.max_entries)
        self._dominated: dict[tuple[int, int], Dominated] = {}
        self._cannot_run: set[tuple[int, int]] = set()

    def _price(self, genomes: GenomeMatrix) -> Floats:
        return self._prices.column(genomes, self.settings.field)

    def _judged(self, quality: Quality | None) -> tuple[Judge, str]:
        if quality is not None:
            return judge(self.space, quality), quality if isinstance(quality, str) else "the given quality"
        try:
            return judge(self.space, DEFAULT), DEFAULT
        except (ShapeError, ConfigError):
            return lambda genomes: self._prices.column(genomes, MACS), "MACs"

    def drop_dominated(self) -> None:
        """Drops dominated values knob by knob, those of the whole network first, until none is left to drop."""
        knobs = self.space.knobs
        order = sorted(range(len(knobs)), key=lambda position: len(knobs[position].path) > 1)
        drawer = Drawer(self.space, draw.generator(self.settings.seed))
        for _ in range(ROUNDS):
            before = self.kept
            for position in order:
                if len(self.kept[position]) > 1:
                    self._drop_from(position, drawer)
            if self.kept == before:
                break

    def _drop_from(self, position: int, drawer: Drawer) -> None:
        left = self.kept[position]
        met = drawer.contexts(self.kept, position, left, self.settings.contexts, self._price)
        if not len(met.costs):
            return
        ascending_values = ascending(self.space.knobs[position])
        better = None
        if ascending_values is not None:
            ranked = [left.index(value) for value in ascending_values if value in left]
        else:
            quality = self._judge(met.genomes.reshape(-1, len(self.kept))).reshape(met.costs.shape)
            better = quality[:, None, :] >= quality[:, :, None]
            ranked = np.argsort(quality.mean(axis=0), kind="stable").tolist()
        runs = [bool(np.isfinite(column).any()) for column in met.costs.T]
        self._cannot_run |= {(position, value) for place, value in enumerate(left) if not runs[place]}
        ranked = [place for place in ranked if runs[place]]
        found = dominated(met.costs, ranked, better, self.settings.tolerance, self.settings.agreement)
        for fact in found:
            value, by = left[fact.value], left[fact.by]
            self._dominated[position, value] = replace(fact, value=value, by=by)
        dropped = {left[fact.value] for fact in found} | {value for p, value in self._cannot_run if p == position}
        self._keep(position, set(left) - dropped)

    def _keep(self, position: int, values: set[int]) -> None:
        self.kept = (*self.kept[:position], tuple(sorted(values)), *self.kept[position + 1 :])

    def certified(self) -> Certificate:
        """Compares the exact fronts before and after, puts back what was lost or drops what they do not need."""
        additive = self._prices.additive
        if additive is None:
            unused = "; keep='front' has dropped nothing" if self.settings.keep == "front" else ""
            return self._sampled(self._prices.reason + unused)
        try:
            drawer = Drawer(self.space, draw.generator(self.settings.seed, 2))
            fitted = with_quality(additive, self._judge, drawer, self.wishes)

            def front_of(kept: Kept) -> Front:
                return exact_front(among(fitted.table, kept), self.settings.field, self.settings.max_labels)

            before = front_of(self.wishes)
            restored = self._restore(before, front_of)
            if self.settings.keep == "front":
                self._eliminate(before, front_of)
            after = front_of(self.kept)
        except AccelzooError as error:
            return self._sampled(str(error))
        loss = Loss.between(before, after)
        return Certificate(certified=True, quality=self._judged_by, explained=fitted.explained, before=len(before),
                           after=len(after), lost=len(loss.beyond(0.0)), extra_cost=float(loss.extra_cost.max()),
                           lost_quality=float(loss.lost_quality.max()), restored=restored)  # fmt: skip

    def _restore(self, before: Front, front_of: Callable[[Kept], Front]) -> int:
        """Puts back the values of genomes whose points would be lost; returns how many."""
        lost = Loss.between(before, front_of(self.kept)).beyond(self.settings.regret)
        if math.isinf(self.settings.regret) or not len(lost):
            return 0
        left = {(position, value) for position, values in enumerate(self.kept) for value in values}
        missing = set(self._used(before.genomes[lost].tolist())) - left
        for position, value in missing:
            self._keep(position, {*self.kept[position], value})
            self._dominated.pop((position, value), None)
        return len(missing)

    def _eliminate(self, before: Front, front_of: Callable[[Kept], Front]) -> None:
        self.kept = eliminated(self.kept, front_of, before, self._used, self.settings.regret)

    def _used(self, genomes: list[list[int]]) -> Counter[tuple[int, int]]:
        """How many genomes have each value, of the knobs that make a difference in them."""
        used: Counter[tuple[int, int]] = Counter()
        for genome in genomes:
            active = self.space.values(genome)
            used.update((p, genome[p]) for p, knob in enumerate(self.space.knobs) if knob.name in active)
        return used

    def _sampled(self, reason: str) -> Certificate:
        """Puts the better values into random genomes, in the order in which the others were dropped."""
        drawer = Drawer(self.space, draw.generator(self.settings.seed, 1))
        before = np.array(drawer.genomes(self.wishes, SAMPLED), np.int64)
        after = before.copy()
        for (position, value), fact in self._dominated.items():
            after[after[:, position] == value, position] = fact.by
        lost, extra_cost, lost_quality = sampled_loss(
            (self._price(before), self._price(after)), (self._judge(before), self._judge(after))
        )
        return Certificate(certified=False, reason=reason, quality=self._judged_by, explained=math.nan,
                           before=len(before), after=len(after), lost=lost, extra_cost=extra_cost,
                           lost_quality=lost_quality)  # fmt: skip

    def report(self, certificate: Certificate, pinned: Kept) -> Report:
        """Puts together what was found."""
        settings = self.settings
        steps: dict[str, Any] = {"tolerance": settings.tolerance, "seed": settings.seed, "steps": STEPS}
        pairs = list(zip(self.space.knobs, self.kept, strict=True))
        changes = [
            Change(knob=knob.name, before=knob.values, after=tuple(knob.values[index] for index in left))
            for knob, left in pairs
            if len(left) < len(knob.values)
        ]
        return Report(
            space=self.space.name,
            target=self._target.name,
            field=settings.field,
            tolerance=settings.tolerance,
            agreement=settings.agreement,
            changes=tuple(changes),
            removals=tuple(self._removals(pinned)),
            size_before=self.space.size(),
            size_wished=Space(self.space.name, restricted(self.space, self.wishes)).size(),
            size_after=Space(self.space.name, restricted(self.space, self.kept)).size(),
            rugged_before=ruggedness(self.space, self._price, self.wishes, **steps),
            rugged_after=ruggedness(self.space, self._price, self.kept, **steps),
            certificate=certificate,
        )

    def _removals(self, pinned: Kept) -> list[Removal]:
        found = []
        for position, knob in enumerate(self.space.knobs):
            for index, value in enumerate(knob.values):
                if index in self.kept[position]:
                    continue
                fact = self._dominated.get((position, index))
                if index not in self.wishes[position]:
                    why: Why = "forbidden" if index in pinned[position] else "pinned"
                    found.append(Removal(knob=knob.name, value=value, why=why))
                elif (position, index) in self._cannot_run:
                    found.append(Removal(knob=knob.name, value=value, why="cannot run"))
                elif fact is None:
                    found.append(Removal(knob=knob.name, value=value, why="off the front"))
                else:
                    found.append(Removal(knob=knob.name, value=value, why="dominated", by=knob.values[fact.by],
                                         cost=fact.cost, by_cost=fact.by_cost, agreeing=fact.agreeing,
                                         contexts=fact.contexts))  # fmt: skip
        return found
