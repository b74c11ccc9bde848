"""Expected hypervolume improvement equals its definition, by sampling and by adding up small cells."""

from __future__ import annotations

import itertools

import numpy as np
import numpy.typing as npt
import pytest
from scipy.stats import norm

from accelzoo.search.improvement import HypervolumeImprovement, non_dominated_boxes, reference_point
from accelzoo.search.pareto import hypervolume

Array = npt.NDArray[np.float64]


def example(objectives: int, members: int = 8) -> tuple[Array, Array, Array, Array]:
    """Means and deviations of six candidates, one of them known, some in part; a front with rows that it dominates."""
    rng = np.random.default_rng(objectives)
    mean, std = 0.4 + rng.random((6, objectives)), 0.4 * rng.random((6, objectives))
    mean[0], std[0] = 1.05, 0
    std[1, -1] = 0
    std[2, 0] = 0
    return mean, std, rng.random((members, objectives)), np.full(objectives, -0.1)


@pytest.mark.parametrize("objectives", [1, 2, 3, 4])
def test_it_is_the_mean_of_the_hypervolume_that_samples_add(objectives: int) -> None:
    mean, std, front, reference = example(objectives)
    found = HypervolumeImprovement(front, reference).expected(mean, std)
    before = hypervolume(front, reference)
    rng = np.random.default_rng(0)
    for row in range(len(mean)):
        samples = mean[row] + std[row] * rng.standard_normal((1 if row == 0 else 800 // objectives**2, objectives))
        added = [hypervolume(np.vstack([front, sample]), reference) - before for sample in samples]
        assert found[row] == pytest.approx(np.mean(added), abs=1e-9 + 4 * np.std(added) / np.sqrt(len(added)))
    assert found[0] > 0


@pytest.mark.parametrize(("objectives", "steps"), [(2, 400), (3, 90)])
def test_it_is_the_chance_to_reach_each_cell_that_the_front_does_not(objectives: int, steps: int) -> None:
    mean, std, front, reference = example(objectives)
    std = np.maximum(std, 0.15)
    edges = np.linspace(-0.1, 3.4, steps + 1)  # five deviations beyond every mean
    middles = 0.5 * (edges[1:] + edges[:-1])
    grid = np.meshgrid(*[middles] * objectives, indexing="ij")
    free = np.ones(grid[0].shape, np.bool_)
    for member in front:
        free &= ~np.logical_and.reduce([axis <= value for axis, value in zip(grid, member, strict=True)])
    found = HypervolumeImprovement(front, reference).expected(mean, std)
    for row in range(len(mean)):
        chances = [norm.sf(middles, *pair) for pair in zip(mean[row], std[row], strict=True)]
        reached = chances[0]
        for chance in chances[1:]:
            reached = np.multiply.outer(reached, chance)
        assert found[row] == pytest.approx(reached[free].sum() * (edges[1] - edges[0]) ** objectives, rel=0.02)


def test_one_objective_is_expected_improvement() -> None:
    improvement = HypervolumeImprovement(np.array([[2.0]]), np.zeros(1))
    found = improvement.expected(np.array([[1.0], [3.0]]), np.array([[2.0], [0.0]]))
    np.testing.assert_allclose(found, [2 * norm.pdf(0.5) - norm.cdf(-0.5), 1.0], rtol=1e-12)


@pytest.mark.parametrize("objectives", [2, 3, 4])
def test_boxes_are_disjoint_and_cover_what_no_member_reaches(objectives: int) -> None:
    *_, front, reference = example(objectives, members=12)
    boxes = np.minimum(non_dominated_boxes(front, reference.tolist()), 2.0)
    for one, other in itertools.combinations(boxes, 2):
        assert (np.maximum(one[:, 0], other[:, 0]) >= np.minimum(one[:, 1], other[:, 1])).any()
    covered = np.prod(boxes[:, :, 1] - boxes[:, :, 0], axis=1).sum()
    assert covered == pytest.approx(2.1**objectives - hypervolume(front, reference))
    # Two objectives need a box for each gap of the front, three about two for each member (Yang et al. 2019).
    assert len(boxes) <= {2: 13, 3: 25}.get(objectives, 200)


def test_members_below_the_reference_and_an_empty_front_are_no_special_case() -> None:
    mean, std = np.array([[1.0, 2.0]]), np.zeros((1, 2))
    for front in (np.empty((0, 2)), np.array([[-1.0, 9.0]]), np.array([[0.0, 0.0]])):
        assert HypervolumeImprovement(front, np.zeros(2)).expected(mean, std).tolist() == [2.0]


def test_of_a_front_too_large_to_be_cut_the_loneliest_members_count() -> None:
    angles = np.linspace(0.01, np.pi / 2 - 0.01, 1200)
    front = np.stack([np.cos(angles), np.sin(angles)], axis=1)
    (found,) = HypervolumeImprovement(front, np.zeros(2)).expected(np.full((1, 2), 0.8), np.zeros((1, 2)))
    exact = hypervolume(np.vstack([front, [0.8, 0.8]]), np.zeros(2)) - hypervolume(front, np.zeros(2))
    assert found == pytest.approx(exact, rel=0.01)


def test_the_reference_lies_behind_the_worst() -> None:
    values = np.array([[0.0, 4.0], [1.0, 2.0], [0.5, 1.0], [-3.0, 3.0]])  # the first two are the front
    np.testing.assert_allclose(reference_point(values), [-3.1, 0.8])
    np.testing.assert_allclose(reference_point(np.array([[2.0, 5.0]])), [1.9, 4.9])
