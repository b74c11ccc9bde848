"""Fills a cost table ahead of its use, part by part."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from accelzoo import draw
from accelzoo.errors import ShapeError
from accelzoo.hwmodel._table_cut import UncutError
from accelzoo.hwmodel._table_lookup import Lookup
from accelzoo.hwmodel._table_part import UNKNOWN, Part
from accelzoo.hwmodel._table_probe import Genome, random_genome

TRIES = 3

Progress = Callable[[int, int], None]


def build(lookup: Lookup, sizes: Sequence[int], around: bool, progress: Progress) -> None:
    """Learns every own choice of every part under every context that can enter it, then before every next part.

    Positions behind the part are drawn at random, so that networks learnt for one part tell of later ones too.

    Raises:
        CostTableError: If there are too many entries.
    """
    _Builder(lookup, sizes, progress).run(around)


class _Builder:
    def __init__(self, lookup: Lookup, sizes: Sequence[int], progress: Progress) -> None:
        self._lookup = lookup
        self._sizes = tuple(sizes)
        self._progress = progress
        self._rng = draw.generator(len(sizes))
        self._done = self._known = 0

    def run(self, around: bool) -> None:
        previous: dict[int, Genome] = {}
        heads = self._inputs()  # entering context of a part → a genome that leads to it
        for index, part in enumerate(self._lookup.parts):
            self._known += len(heads) * part.choices
            following: dict[int, Genome] = {}
            for context, head in heads.items():
                for code in range(part.choices):
                    genome = self._with(head, index, code)
                    variant = self._variant(index, context, code, genome)
                    if variant != UNKNOWN:
                        following.setdefault(int(part.next_context[variant]), genome)
                    self._step()
            if around and index:
                self._learn_entries(index - 1, previous)
            previous, heads = heads, following

    def _inputs(self) -> dict[int, Genome]:
        """Returns, for every input that the knobs of the whole network make, a genome that has it."""
        shared, roots = self._lookup.shared, self._lookup.roots
        heads: dict[int, Genome] = {}
        self._known += len(roots)
        for number in range(len(roots)):
            values = dict(
                zip([position for position, _ in shared], _digits(number, [x for _, x in shared]), strict=True)
            )
            for _ in range(TRIES):
                drawn = random_genome(self._sizes, self._rng)
                genome = tuple([values.get(position, choice) for position, choice in enumerate(drawn)])
                if roots[number] != UNKNOWN or self._learn(genome):
                    heads.setdefault(int(roots[number]), genome)
                    break
            self._step()
        return heads

    def _variant(self, index: int, context: int, code: int, genome: Genome) -> int:
        part = self._lookup.parts[index]
        for _ in range(TRIES):
            variant = int(part.variant_of[context, code])
            if variant != UNKNOWN or self._learn(genome):
                return int(part.variant_of[context, code])
            genome = self._with(genome, index, code)  # what stands behind is drawn anew
        return UNKNOWN

    def _learn_entries(self, index: int, heads: Mapping[int, Genome]) -> None:
        """Learns every variant of a part in front of everything that the next part can begin with."""
        part, behind = self._lookup.parts[index], self._lookup.parts[index + 1]
        beginnings: dict[int, dict[int, int]] = {}  # context behind → what it begins with → own choices that do so
        for context, head in heads.items():
            for code in range(part.choices):
                variant = int(part.variant_of[context, code])
                if variant == UNKNOWN:
                    continue
                context_behind = int(part.next_context[variant])
                if context_behind not in beginnings:
                    beginnings[context_behind] = _beginnings(behind, context_behind)
                self._known += len(beginnings[context_behind])
                for leading, code_behind in beginnings[context_behind].items():
                    if part.entry_of[variant, leading] == UNKNOWN:
                        genome = self._with(self._with(head, index, code), index + 1, code_behind)
                        self._learn(genome)
                    self._step()

    def _with(self, genome: Genome, index: int, code: int) -> Genome:
        """Returns the genome with other choices in one part and random ones in the parts behind it."""
        changed = list(genome)
        for part in self._lookup.parts[index + 1 :]:
            for position in part.positions:
                changed[position] = draw.below(self._rng, self._sizes[position])
        part = self._lookup.parts[index]
        for position, choice in zip(part.positions, _digits(code, part.sizes), strict=True):
            changed[position] = choice
        return tuple(changed)

    def _learn(self, genome: Genome) -> bool:
        try:
            self._lookup.learn(genome)
        except (ShapeError, UncutError):
            return False  # no network, or one that is priced as a whole
        return True

    def _step(self) -> None:
        self._done += 1
        self._progress(self._done, self._known)


def _beginnings(part: Part, context: int) -> dict[int, int]:
    found: dict[int, int] = {}
    for code, variant in enumerate(part.variant_of[context].tolist()):
        if variant != UNKNOWN:
            for entry in part.entry_of[variant].tolist():
                if entry != UNKNOWN:
                    found.setdefault(int(part.leading_of[entry]), code)
    return found


def _digits(code: int, sizes: Sequence[int]) -> list[int]:
    digits = []
    for size in reversed(sizes):
        code, digit = divmod(code, size)
        digits.append(digit)
    return digits[::-1]
