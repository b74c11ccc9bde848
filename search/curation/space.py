"""CuratedSpace: a space again, with where it came from and why it is smaller."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import fields
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from accelzoo import config
from accelzoo.blocks import block_kinds
from accelzoo.knobs import Choice, Space
from accelzoo.search.curation._wishes import Kept
from accelzoo.search.genomes import checked_matrix, to_matrix
from accelzoo.search.space import GenomeMatrix
from accelzoo.templates import KeyPath

if TYPE_CHECKING:
    from accelzoo.search.curation.report import Report


class CuratedSpace(Space):
    """What is left of a space; a knob with a single value left is written as that value and no knob any more.

    Args:
        source: The space that it was made of.
        kept: For each of its knobs the indices of the values that are left.
        report: What was removed and why, and what that did.
    """

    __slots__ = ("_kept", "report", "source")

    def __init__(self, source: Space, kept: Kept, report: Report) -> None:
        super().__init__(source.name, restricted(source, kept))
        self.source = source
        self.report = report
        self._kept = kept

    @classmethod
    def from_config(cls, source: Any, name: str | None = None) -> Space:
        """Reads a plain space: a file does not hold what was removed and why."""
        return Space.from_config(source, name)

    def in_source(self, genomes: npt.ArrayLike) -> GenomeMatrix:
        """Returns the genomes of the source space that make the same networks.

        Args:
            genomes: Integers `(n, positions)`.

        Returns:
            int64 `(n, positions of the source)`.

        Raises:
            ShapeError: If the shape is wrong or a choice is out of range.
        """
        rows = to_matrix(checked_matrix(genomes, self.sizes), len(self.sizes))
        found = np.empty((len(rows), len(self._kept)), np.int64)
        own = {knob.path: position for position, knob in enumerate(self.knobs)}
        for position, (knob, left) in enumerate(zip(self.source.knobs, self._kept, strict=True)):
            place = own.get(knob.path)
            found[:, position] = left[0] if place is None else np.array(left)[rows[:, place]]
        return found


def restricted(space: Space, kept: Kept) -> dict[str, Any]:
    """Returns a space's template with only some values of its knobs."""
    left = {
        knob.path: tuple(knob.values[index] for index in indices)
        for knob, indices in zip(space.knobs, kept, strict=True)
    }
    made: dict[str, Any] = _restrict(space.template, (), left)
    return made


def _restrict(node: Any, path: KeyPath, left: Mapping[KeyPath, tuple[Any, ...]]) -> Any:
    if isinstance(node, Choice):
        values = left[path]
        return values[0] if len(values) == 1 else Choice(values)
    if isinstance(node, Mapping):
        gone = _orphans(node, left.get((*path, "kind"), ()))
        absent = left.get((*path, "repeats")) == (0,)
        entries = {key: value for key, value in node.items() if key not in gone}
        if absent:  # nothing else of the stage makes a difference
            left = {**left, **{at: values[:1] for at, values in left.items() if at[: len(path)] == path}}
        return {key: _restrict(value, (*path, key), left) for key, value in entries.items()}
    if isinstance(node, list | tuple):
        return [_restrict(value, (*path, index), left) for index, value in enumerate(node)]
    return node


def _orphans(node: Mapping[str, Any], kinds: Sequence[Any]) -> set[str]:
    """Keys that only kinds had which are no longer among the choices."""
    if not isinstance(node.get("kind"), Choice) or not kinds:
        return set()
    known = block_kinds()
    had = {field.name for kind in node["kind"].values if kind in known for field in fields(known[kind])}
    have = {field.name for kind in kinds if kind in known for field in fields(known[kind])}
    return had - have


def as_yaml(space: Space) -> str:
    """A space as YAML that `Space.from_config` reads back."""
    return config.dump_yaml(space.to_config())
