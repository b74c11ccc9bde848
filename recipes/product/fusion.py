"""Whether fusing an inverted bottleneck pays: block by block on the baseline, and where the searches did it.

A fused block has one k×k convolution where the plain one has a 1×1 and a depthwise k×k convolution (Gupta & Akin 2020,
§3.1): many more MACs, on which an array of multipliers is better used. Early blocks, with few channels and large maps,
are said to gain and late ones to lose.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields, replace
from typing import Literal

from accelzoo.arch import Arch, Stage
from accelzoo.blocks import IBN, Block, FusedIBN
from accelzoo.hwmodel import Target, estimate
from accelzoo.recipes.product.block_parts import latency_by_place
from accelzoo.recipes.product.report import ProductComparison
from accelzoo.recipes.product.values import Trained

Place = tuple[int, int]
CLEAR = 0.5
"""Rank correlation of depth and latency ratio from which on depth decides."""
_SHARED = {one.name for one in fields(IBN)} & {one.name for one in fields(FusedIBN)}


@dataclass(frozen=True, slots=True, kw_only=True)
class FusionEffect:
    """A block of a network as a plain and as a fused inverted bottleneck.

    Attributes:
        place: (stage, repeat).
        ibn_s: Estimated seconds of the plain one.
        fused_s: Estimated seconds of the fused one.
    """

    place: Place
    ibn_s: float
    fused_s: float

    @property
    def name(self) -> str:
        """`blocks.2.0`."""
        return f"blocks.{self.place[0]}.{self.place[1]}"

    @property
    def ratio(self) -> float:
        """The fused block's latency over the plain one's: above 1, fusing costs time."""
        return self.fused_s / self.ibn_s


def fusion_effects(arch: Arch, target: Target) -> tuple[FusionEffect, ...]:
    """Prices every block that can be fused both ways, in its place and with all others as they are.

    Left out are blocks of other kinds, those that expand nothing, fused ones in groups, and those that the target
    cannot run one way or the other.

    Args:
        arch: The network.
        target: Whose latency.
    """
    effects = []
    in_channels = arch.stem.out_channels
    for stage, blocks in enumerate(arch.groups()):
        for repeat, block in enumerate(blocks):
            pair = _both_ways(block, in_channels)
            in_channels = block.out_channels
            if pair is None:
                continue
            place = stage, repeat
            plain, fused = (_latency_s(_with_block(arch, place, one), place, target) for one in pair)
            if plain and fused:
                effects.append(FusionEffect(place=place, ibn_s=plain, fused_s=fused))
    return tuple(effects)


def later_fusions_hurt(effects: Sequence[FusionEffect]) -> Literal["supported", "refuted", "undecided"]:
    """Judges the rule that fusing costs more the deeper the block is, and loses at the end.

    Supported: depth and ratio are rank-correlated (Spearman) by at least `CLEAR`, and the last block is slower fused.
    Refuted: the correlation is not positive, or no block is slower fused. Else, or below three blocks: undecided.
    """
    if len(effects) < 3:
        return "undecided"
    ratios = [effect.ratio for effect in effects]
    correlation = _depth_correlation(effects)
    if correlation >= CLEAR and ratios[-1] > 1:
        return "supported"
    return "refuted" if correlation <= 0 or max(ratios) <= 1 else "undecided"


def fusion_sentence(comparison: ProductComparison, target: Target) -> str:
    """Says where fusing pays on the baseline, where each search fused, and whether "later fusions hurt" holds.

    Args:
        comparison: The run; only its networks are used.
        target: The recipe's target.

    Returns:
        Plain text, several sentences.
    """
    effects = fusion_effects(comparison.baseline.network.arch, target)
    if not effects:
        return f"No block of the baseline can be fused on {target.name}."
    sides = [f"{text} {word}" for word in ("faster", "slower") if (text := _listed(effects, word == "faster"))]
    sentences = [f"By the estimate for {target.name}, fusing one of the baseline's blocks makes {' and '.join(sides)}."]
    sentences += [_choice(one, effects) for one in comparison.picks]
    verdict = later_fusions_hurt(effects)
    if len(effects) > 2:
        words = {"supported": "holds", "refuted": "does not hold", "undecided": "neither holds nor fails clearly"}
        sentences.append(
            f'"Later fusions hurt" {words[verdict]} here: rank correlation of depth and the ratio of latencies '
            f"{_depth_correlation(effects):+.2f}, {effects[0].ratio:.2f} at the first block and "
            f"{effects[-1].ratio:.2f} at the last."
        )
    return " ".join(sentences)


def _choice(one: Trained, effects: Sequence[FusionEffect]) -> str:
    """Where a network is fused, and what fusing costs at these places of the baseline."""
    ratios = {effect.place: effect.ratio for effect in effects}
    blocks = [(stage, repeat, block) for stage, group in enumerate(one.network.arch.groups())
              for repeat, block in enumerate(group)]  # fmt: skip
    fused = [(stage, repeat) for stage, repeat, block in blocks if isinstance(block, FusedIBN)]
    name = f"`{one.network.name}`"
    if not fused:
        return f"{name} fuses none of its {len(blocks)} blocks."
    listed = ", ".join(f"{stage}.{repeat}" for stage, repeat in fused)
    known = [ratios[place] for place in fused if place in ratios]
    text = f"{name} fuses {len(fused)} of its {len(blocks)} blocks ({listed})"
    if not known:
        return f"{text}."
    wins = sum(ratio < 1 for ratio in known)
    return f"{text}; of these places, {wins} of the {len(known)} that the baseline can fuse too are faster fused."


def _listed(effects: Sequence[FusionEffect], is_faster: bool) -> str:
    """`3 blocks (1.0, 2.2 … 2.3; 0.50 … 0.71 of its latency)`: the blocks of one side, neighbours as ranges."""
    runs: list[list[FusionEffect]] = [[]]
    for effect in effects:
        if (effect.ratio < 1) == is_faster:
            runs[-1].append(effect)
        elif runs[-1]:
            runs.append([])
    found = [effect for run in runs for effect in run]
    if not found:
        return ""
    ends = [dict.fromkeys(f"{one.place[0]}.{one.place[1]}" for one in (run[0], run[-1])) for run in runs if run]
    names = ", ".join(" … ".join(pair) for pair in ends)
    ratios = dict.fromkeys(f"{bound(effect.ratio for effect in found):.2f}" for bound in (min, max))
    return f"{len(found)} ({names}; to {' … '.join(ratios)} of its latency)"


def _both_ways(block: Block, in_channels: int) -> tuple[IBN, FusedIBN] | None:
    """The block as a plain and as a fused one; None if it is neither, expands nothing, or is fused in groups."""
    if not isinstance(block, IBN | FusedIBN) or block.expanded(in_channels) <= in_channels:
        return None
    if isinstance(block, FusedIBN) and block.group_size is not None:
        return None
    shared = {name: getattr(block, name) for name in _SHARED}
    return IBN(**shared), FusedIBN(**shared)


def _with_block(arch: Arch, place: Place, block: Block) -> Arch:
    """The network with another block at a place."""
    stages = [
        Stage(block=block if (stage, repeat) == place else old, continued=repeat > 0)
        for stage, group in enumerate(arch.groups())
        for repeat, old in enumerate(group)
    ]
    return replace(arch, stages=tuple(stages))


def _latency_s(arch: Arch, place: Place, target: Target) -> float | None:
    """Seconds of one block; None if the target cannot run all of it."""
    start = f"blocks.{place[0]}.{place[1]}."
    rows = [row for row in estimate(arch.lower(), target).by_op if row.name.startswith(start)]
    if any(row.bound == "unpriced" for row in rows):
        return None
    return latency_by_place(rows, len(arch.groups())).get(place)


def _depth_correlation(effects: Sequence[FusionEffect]) -> float:
    """Spearman's rank correlation of depth and ratio; 0 where all ratios are equal."""
    ratios = [effect.ratio for effect in effects]
    if len(set(ratios)) < 2:
        return 0.0
    from scipy.stats import spearmanr

    return float(spearmanr(range(len(ratios)), ratios).statistic)
