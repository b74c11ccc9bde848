"""Errors corrected by scores near a budget, against worlds whose true losses are known."""

from __future__ import annotations

import itertools
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

from accelzoo.errors import BudgetError, ConfigError, DataError
from accelzoo.search.width import WidthCosts, solve_width
from accelzoo.search.width.slimmable import AdditiveErrors, refine_errors

SIZES = (4, 5, 3, 4, 5)
BUDGETS = {"latency_s": 13.0}


class World:
    """Losses that fall with width, with a term between neighbours that no additive model has."""

    def __init__(self, seed: int, noise: float) -> None:
        rng = np.random.default_rng(seed)
        self.alone = [np.sort(rng.uniform(0, 0.3, size))[::-1] for size in SIZES]
        self.pairs = [0.05 * rng.standard_normal((a, b)) for a, b in itertools.pairwise(SIZES)]
        self.learnt = [table - table[-1] + noise * rng.standard_normal(len(table)) for table in self.alone]
        widths = [tuple(range(1, size + 1)) for size in SIZES]
        latency: dict[tuple[int, ...], Any] = {(index,): np.array(row, float) for index, row in enumerate(widths)}
        self.costs = WidthCosts.of(widths, {"latency_s": latency})
        self.asked = 0

    def losses(self, genomes: npt.NDArray[np.int64]) -> npt.NDArray[np.float64]:
        self.asked += len(genomes)
        alone = sum(table[genomes[:, group]] for group, table in enumerate(self.alone))
        pairs = sum(table[genomes[:, group], genomes[:, group + 1]] for group, table in enumerate(self.pairs))
        return np.asarray(1.5 + alone + pairs)

    def chosen_loss(self, tables: Any) -> float:
        genome = solve_width(self.costs.with_errors(tables), BUDGETS).best.genome
        return float(self.losses(np.array([genome]))[0])

    def least(self) -> float:
        every = np.array(list(itertools.product(*map(range, SIZES))))
        return float(self.losses(every[(every + 1).sum(axis=1) <= BUDGETS["latency_s"]]).min())


def test_refined_errors_choose_better_networks() -> None:
    before, after = [], []
    for seed in range(30):
        world = World(seed, noise=0.05)
        refined = refine_errors(world.costs, BUDGETS, world.learnt, world.losses, temperature=0.05, seed=seed)
        assert world.asked == len(refined.genomes) <= 80
        assert len({tuple(row) for row in refined.genomes.tolist()}) == len(refined.genomes)
        before.append(world.chosen_loss(world.learnt) - world.least())
        after.append(world.chosen_loss(refined.tables) - world.least())
    assert np.mean(after) < 0.5 * np.mean(before)


def test_errors_that_are_right_stay_what_they_are() -> None:
    world = World(3, noise=0.0)
    world.pairs = [0 * table for table in world.pairs]
    refined = refine_errors(world.costs, BUDGETS, world.learnt, world.losses)
    for table, known in zip(refined.tables, world.learnt, strict=True):
        np.testing.assert_allclose(table, known, atol=1e-9)


def test_the_correction_is_the_regression_of_the_residuals() -> None:
    world = World(5, noise=0.1)
    refined = refine_errors(world.costs, BUDGETS, world.learnt, world.losses, networks=20, rounds=1)
    np.testing.assert_array_equal(refined.losses, world.losses(refined.genomes))
    said = sum(table[refined.genomes[:, group]] for group, table in enumerate(world.learnt))
    regression = AdditiveErrors(SIZES, memory=np.inf)
    regression.update(refined.genomes, refined.losses - said)
    for table, known, more in zip(refined.tables, world.learnt, regression.tables(), strict=True):
        np.testing.assert_allclose(table, known + more, atol=1e-9)


def test_equal_seeds_ask_about_equal_networks() -> None:
    found = [refine_errors(World(7, 0.1).costs, BUDGETS, World(7, 0.1).learnt, World(7, 0.1).losses, seed=seed)
             for seed in (0, 0, 1)]  # fmt: skip
    assert np.array_equal(found[0].genomes, found[1].genomes)
    assert not np.array_equal(found[0].genomes, found[2].genomes)


def test_what_cannot_be_is_refused() -> None:
    world = World(0, noise=0.1)
    with pytest.raises(ConfigError, match=r"networks \(=0\) must be a positive integer"):
        refine_errors(world.costs, BUDGETS, world.learnt, world.losses, networks=0)
    with pytest.raises(BudgetError, match="least achievable 5"):
        refine_errors(world.costs, {"latency_s": 4.0}, world.learnt, world.losses)
    with pytest.raises(DataError, match="one finite number for each"):
        refine_errors(world.costs, BUDGETS, world.learnt, lambda genomes: [np.nan] * len(genomes))
