"""Seeded, stratified splits that never tear a group of related images apart."""

from __future__ import annotations

from collections.abc import Hashable, Sequence

import numpy as np
from numpy.typing import NDArray

from accelzoo import draw

Indices = NDArray[np.int64]

# What folders and index files call their splits, and what each is here.
SPLIT_NAMES = {
    "train": "train",
    "training": "train",
    "val": "validation",
    "valid": "validation",
    "validation": "validation",
    "dev": "validation",
    "test": "test",
    "testing": "test",
}


def carve(
    labels: Indices,
    fraction: float,
    rng: np.random.Generator,
    groups: Sequence[Hashable] | None = None,
) -> tuple[Indices, Indices]:
    """Splits indices in two, class by class, so that no group has members on both sides.

    Groups are visited in random order; one is taken when no class would exceed its quota, round(fraction × images).
    A class whose every group is larger than its quota then gets its smallest group, unless nothing would remain.

    Args:
        labels: (images,) class of each image.
        fraction: Share to take, 0 … 1.
        rng: Source of the order.
        groups: One key per image (a scene, a person, a hash of the pixels); None: every image stands alone.

    Returns:
        The indices kept and the indices taken, each ascending.
    """
    totals = np.bincount(labels)
    quota = np.array([_quota(int(total), fraction) for total in totals], dtype=np.int64)
    chosen = np.zeros(len(labels), dtype=bool)
    if groups is None:
        chosen[_take_singles(labels, quota, rng)] = True
        return np.flatnonzero(~chosen), np.flatnonzero(chosen)
    units = _units(groups)
    taken = _take_within(units, labels, quota, draw.permutation(rng, len(units)))
    _rescue_empty_classes(units, labels, quota, totals, taken)
    for unit in taken:
        chosen[units[unit]] = True
    return np.flatnonzero(~chosen), np.flatnonzero(chosen)


def _quota(total: int, fraction: float) -> int:
    if fraction <= 0 or total < 2:
        return 0
    return min(total - 1, max(1, round(fraction * total))) if fraction < 1 else total


def _take_singles(labels: Indices, quota: Indices, rng: np.random.Generator) -> Indices:
    # raw words, as everywhere: equal on every numpy version (a tie of two 64-bit words is not worth a thought)
    order = np.argsort(rng.bit_generator.random_raw(len(labels)), kind="stable")
    by_class = order[np.argsort(labels[order], kind="stable")]
    totals = np.bincount(labels, minlength=len(quota))
    rank_in_class = np.arange(len(labels)) - np.repeat(np.cumsum(totals) - totals, totals)
    return by_class[rank_in_class < np.repeat(quota, totals)]


def _units(groups: Sequence[Hashable]) -> list[list[int]]:
    members: dict[Hashable, list[int]] = {}
    for index, key in enumerate(groups):
        members.setdefault(key, []).append(index)
    return list(members.values())


def _take_within(units: list[list[int]], labels: Indices, quota: Indices, order: list[int]) -> set[int]:
    label_of = labels.tolist()
    left = quota.tolist()
    taken: set[int] = set()
    for unit in order:
        needs: dict[int, int] = {}
        for index in units[unit]:
            needs[label_of[index]] = needs.get(label_of[index], 0) + 1
        if all(left[label] >= count for label, count in needs.items()):
            taken.add(unit)
            for label, count in needs.items():
                left[label] -= count
    return taken


def _rescue_empty_classes(
    units: list[list[int]], labels: Indices, quota: Indices, totals: Indices, taken: set[int]
) -> None:
    have = np.zeros_like(quota)
    for unit in taken:
        have += np.bincount(labels[units[unit]], minlength=len(quota))
    for label in np.flatnonzero((quota > 0) & (have == 0)):
        candidates = sorted((len(unit), index) for index, unit in enumerate(units) if label in labels[unit])
        for _, index in candidates:
            after = have + np.bincount(labels[units[index]], minlength=len(quota))
            if index not in taken and bool(np.all(after[after > 0] < totals[after > 0])):
                taken.add(index)
                have = after
                break
