"""Additive regression of losses on widths: tables recovered, old losses forgotten, gaps filled."""

from __future__ import annotations

import math

import numpy as np
import pytest

from accelzoo.errors import ConfigError, ShapeError
from accelzoo.search.width.slimmable import AdditiveErrors

SIZES = (3, 6, 4, 1, 5)


def truth(seed: int) -> list[np.ndarray]:
    rng = np.random.default_rng(seed)
    return [np.sort(rng.uniform(0, 0.4, size))[::-1] for size in SIZES]


def drawn(rng: np.random.Generator, count: int) -> np.ndarray:
    return np.column_stack([rng.integers(0, size, count) for size in SIZES])


def losses_of(tables: list[np.ndarray], genomes: np.ndarray, constant: float = 0.0) -> np.ndarray:
    return constant + sum([table[genomes[:, group]] for group, table in enumerate(tables)])


def relative(tables: list[np.ndarray]) -> list[np.ndarray]:
    return [table - table[-1] for table in tables]


def test_sums_without_noise_are_recovered_up_to_constants() -> None:
    rng = np.random.default_rng(1)
    tables, errors = truth(0), AdditiveErrors(SIZES, memory=math.inf, smoothness=1e-9)
    for _ in range(20):
        genomes = drawn(rng, 32)
        errors.update(genomes, losses_of(tables, genomes, constant=1.7))
    for found, wanted in zip(errors.tables(), relative(tables), strict=True):
        assert found == pytest.approx(wanted, abs=1e-9)
    genomes = drawn(rng, 50)
    assert errors.predict(genomes) == pytest.approx(losses_of(tables, genomes, constant=1.7), abs=1e-9)
    assert errors.weight == pytest.approx(20 * 32)


def test_noise_averages_out_as_least_squares_says() -> None:
    rng = np.random.default_rng(2)
    tables, errors = truth(0), AdditiveErrors(SIZES, memory=math.inf, smoothness=1.0)
    rows, sigma = 60_000, 0.5
    for _ in range(rows // 200):
        genomes = drawn(rng, 200)
        errors.update(genomes, losses_of(tables, genomes) + sigma * rng.standard_normal(200))
    for found, wanted in zip(errors.tables(), relative(tables), strict=True):
        # The difference of two cell means, each of rows / widths losses; four standard errors.
        assert np.abs(found - wanted).max() <= 4 * sigma * math.sqrt(2 * len(wanted) / rows)


def test_weights_fall_with_age_as_in_a_direct_solution() -> None:
    rng = np.random.default_rng(3)
    memory, batches = 90.0, [drawn(rng, n) for n in (40, 25, 60, 33)]
    values = [rng.standard_normal(len(genomes)) for genomes in batches]
    errors = AdditiveErrors(SIZES, memory=memory, smoothness=1e-10)
    for genomes, losses in zip(batches, values, strict=True):
        errors.update(genomes, losses)
    later = np.array([sum(map(len, batches[index + 1 :])) for index in range(len(batches))])
    weights = np.exp(-np.repeat(later, [len(genomes) for genomes in batches]) / memory)
    genomes, losses = np.concatenate(batches), np.concatenate(values)
    columns = [np.ones(len(genomes))]
    columns += [genomes[:, group] == choice for group, size in enumerate(SIZES) for choice in range(size - 1)]
    design = np.column_stack(columns) * np.sqrt(weights)[:, None]
    wanted, *_ = np.linalg.lstsq(design, losses * np.sqrt(weights), rcond=None)
    found = np.concatenate([table[:-1] for table in errors.tables()])
    assert found == pytest.approx(wanted[1:], abs=1e-7)


def test_a_mean_over_images_is_one_observation_that_takes_their_time() -> None:
    rng = np.random.default_rng(11)
    errors = AdditiveErrors(SIZES, memory=100.0)
    errors.update(drawn(rng, 1), [0.5], images_each=64)
    errors.update(drawn(rng, 1), [0.7], images_each=64)
    assert errors.weight == pytest.approx(1 + math.exp(-0.64))
    tables, few, many = truth(3), AdditiveErrors(SIZES, memory=math.inf), AdditiveErrors(SIZES, memory=math.inf)
    for _ in range(150):  # noise of a step, not of its images: 64 equal copies would be taken for sure
        genomes = drawn(rng, 1)
        loss = losses_of(tables, genomes) + 0.3 * rng.standard_normal(1)
        few.update(genomes, loss, images_each=64)
        many.update(np.repeat(genomes, 64, axis=0), np.repeat(loss, 64))
    every = np.array(list(np.ndindex(*SIZES)))
    wanted = losses_of(tables, every)
    off = [float(np.std(losses_of(list(found.tables()), every) - wanted)) for found in (few, many)]
    assert off[0] < 0.75 * off[1]


def test_forgetting_follows_a_drift() -> None:
    rng = np.random.default_rng(4)
    old, new = truth(0), truth(9)
    forgetful, faithful = AdditiveErrors(SIZES, memory=2_000), AdditiveErrors(SIZES, memory=math.inf)
    for tables in (old, new):
        for _ in range(100):
            genomes = drawn(rng, 100)
            losses = losses_of(tables, genomes) + 0.05 * rng.standard_normal(100)
            forgetful.update(genomes, losses)
            faithful.update(genomes, losses)
    wanted = relative(new)
    worst = [max([np.abs(a - b).max() for a, b in zip(errors.tables(), wanted, strict=True)])
             for errors in (forgetful, faithful)]  # fmt: skip
    assert worst[0] < 0.03
    assert worst[1] > 0.1
    assert forgetful.weight == pytest.approx(100 / (1 - math.exp(-100 / 2_000)), rel=1e-3)


def test_a_width_that_was_never_seen_is_taken_for_its_neighbour() -> None:
    rng = np.random.default_rng(5)
    tables, errors = truth(0), AdditiveErrors(SIZES, memory=math.inf, smoothness=0.1)
    genomes = drawn(rng, 4_000)
    genomes[:, 1] = np.maximum(genomes[:, 1], 2)
    errors.update(genomes, losses_of(tables, genomes))
    found = errors.tables()[1]
    assert found[0] == pytest.approx(found[2])
    assert found[2] == pytest.approx(relative(tables)[1][2], abs=1e-3)


def test_few_noisy_losses_are_smoothed_and_many_are_believed() -> None:
    sizes = (14,) * 5
    shape = np.linspace(0.3, 0.0, 14) ** 2 / 0.3
    jagged = np.where(np.arange(14) % 2, 0.3, 0.0)

    def mean_fault(wanted: np.ndarray, rows: int, smoothness: float | None) -> float:
        found = []
        for seed in range(3):
            rng = np.random.default_rng(seed)
            genomes = rng.integers(0, 14, (rows, 5))
            errors = AdditiveErrors(sizes, memory=math.inf, smoothness=smoothness)
            errors.update(genomes, wanted[genomes].sum(axis=1) + 0.5 * rng.standard_normal(rows))
            found += [(table - table.mean() - wanted + wanted.mean()) for table in errors.tables()]
        return float(np.sqrt(np.mean(np.square(found))))

    assert mean_fault(shape, 1_000, None) < 0.6 * mean_fault(shape, 1_000, 1e-6)
    assert mean_fault(jagged, 3_000, None) < 1.1 * mean_fault(jagged, 3_000, 1e-6)


def test_nothing_is_known_before_the_first_loss() -> None:
    errors = AdditiveErrors(SIZES)
    assert [table.tolist() for table in errors.tables()] == [[0.0] * size for size in SIZES]


def test_the_state_continues() -> None:
    rng = np.random.default_rng(6)
    one, other = AdditiveErrors(SIZES, memory=500), AdditiveErrors(SIZES, memory=500)
    first, second = drawn(rng, 100), drawn(rng, 100)
    one.update(first, rng.standard_normal(100))
    other.load_state(one.state())
    values = rng.standard_normal(100)
    for errors in (one, other):
        errors.update(second, values)
    assert [table.tolist() for table in one.tables()] == [table.tolist() for table in other.tables()]
    with pytest.raises(ShapeError, match="moments"):
        AdditiveErrors((2, 2)).load_state(one.state())


def test_faults() -> None:
    with pytest.raises(ConfigError) as found:
        AdditiveErrors(SIZES, memory=0, smoothness=-1)
    assert len(found.value.faults) == 2
    errors = AdditiveErrors(SIZES)
    with pytest.raises(ShapeError, match=r"\(n, 5\)"):
        errors.update(np.zeros((2, 4), np.int64), [1.0, 2.0])
    with pytest.raises(ShapeError, match="choices"):
        errors.update([[0, 6, 0, 0, 0]], [1.0])
    with pytest.raises(ValueError, match="nan"):
        errors.update([[0, 0, 0, 0, 0]], [math.nan])
