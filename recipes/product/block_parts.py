"""A network's price block by block: stem, every block, head."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

from accelzoo.arch import Arch
from accelzoo.hwmodel import Cost, OpCost

_BLOCK = re.compile(r"blocks\.(\d+)\.(\d+)\.")


@dataclass(frozen=True, slots=True, kw_only=True)
class BlockPart:
    """A part of a network that is one box of a picture.

    Attributes:
        name: `stem`, `blocks.2.0` …, `head`.
        kind: The block's kind; `stem` and `head` of those.
        place: (stage, repeat), from 0 on; the stem's stage is −1, the head's is the number of stages.
        out_channels: Channels that it gives; None for the head.
        latency_s: Seconds of its operators.
    """

    name: str
    kind: str
    place: tuple[int, int]
    out_channels: int | None
    latency_s: float

    @property
    def family(self) -> Literal["ibn", "fused_ibn", "other"]:
        """The kind, of which only the two that a fusion is about are told apart."""
        return "ibn" if self.kind == "ibn" else "fused_ibn" if self.kind == "fused_ibn" else "other"


def block_parts(arch: Arch, cost: Cost) -> tuple[BlockPart, ...]:
    """Splits a network's price into stem, blocks and head, in the order in which they run.

    Args:
        arch: The network.
        cost: Its price, with a row per operator.

    Raises:
        ValueError: If the price has no rows.
    """
    if not cost.by_op:
        raise ValueError("the cost has no rows: it cannot be split into blocks")
    groups = arch.groups()
    seconds = latency_by_place(cost.by_op, len(groups))
    stem = BlockPart(name="stem", kind="stem", place=(-1, 0), out_channels=arch.stem.out_channels,
                     latency_s=seconds.get((-1, 0), 0.0))  # fmt: skip
    blocks = [
        BlockPart(
            name=f"blocks.{group}.{repeat}",
            kind=block.kind,
            place=(group, repeat),
            out_channels=block.out_channels,
            latency_s=seconds.get((group, repeat), 0.0),
        )
        for group, stage in enumerate(groups)
        for repeat, block in enumerate(stage)
    ]
    place = len(groups), 0
    head = BlockPart(name="head", kind="head", place=place, out_channels=None, latency_s=seconds.get(place, 0.0))
    return stem, *blocks, head


def latency_by_place(rows: Iterable[OpCost], stages: int) -> dict[tuple[int, int], float]:
    """Adds operators' seconds up by block; what comes before all blocks is the stem's, what comes after the head's."""
    found: dict[tuple[int, int], list[float]] = {}
    is_behind = False
    for row in rows:
        match = _BLOCK.match(row.name)
        is_behind = is_behind or match is not None
        outside = (stages, 0) if is_behind else (-1, 0)
        place = outside if match is None else (int(match[1]), int(match[2]))
        found.setdefault(place, []).append(row.latency_s)
    return {place: math.fsum(seconds) for place, seconds in found.items()}
