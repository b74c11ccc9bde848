"""Forests as arrays: the sums that scikit-learn computes, bit for bit the same wherever a row stands."""

from __future__ import annotations

import functools
import io
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

from accelzoo.hwmodel.forest import Forest, flatten

TREES = (7, 30, 1)
ROWS, COLUMNS = 600, 9
SINGLE = 2.0**-24
"""Largest relative error of rounding to single precision."""


def data(seed: int, rows: int = ROWS) -> npt.NDArray[np.float64]:
    """Multiples of 1/8, so that thresholds between them are exact in single precision."""
    return np.random.default_rng(seed).integers(-400, 400, (rows, COLUMNS)) / 8


@functools.cache
def models() -> tuple[Any, ...]:
    ensemble = pytest.importorskip("sklearn.ensemble", reason="the reference is scikit-learn's")
    found = []
    for seed, trees in enumerate(TREES):
        rows = data(seed)
        target = np.sin(rows[:, 0]) + rows[:, 1] * rows[:, 2] / 500 + 3 * seed
        model = ensemble.HistGradientBoostingRegressor(max_iter=trees, max_leaf_nodes=15, early_stopping=False)
        found.append(model.fit(rows, target))
    return (found[0], None, *found[1:])


@functools.cache
def forest() -> Forest:
    return flatten(models())


def reference(rows: npt.NDArray[np.float64], chosen: npt.NDArray[np.int64]) -> npt.NDArray[np.float64]:
    outputs = [np.zeros(len(rows)) if model is None else model.predict(rows) for model in models()]
    return np.array([outputs[model][index] for index, model in enumerate(chosen)])


def test_sums_are_those_of_scikit_learn() -> None:
    rows = data(99)
    for model in range(len(models())):
        chosen = np.full(len(rows), model)
        # Leaves are rounded to single precision: at most so much for each of the trees.
        bound = max(TREES) * float(np.abs(forest().value).max()) * SINGLE + 1e-12
        assert np.abs(forest().predict(rows, chosen) - reference(rows, chosen)).max() <= bound
    assert bound < 1e-5


def test_every_row_can_ask_another_model() -> None:
    rows = data(98)
    chosen = np.arange(len(rows)) % len(models())
    assert forest().predict(rows, chosen) == pytest.approx(reference(rows, chosen), abs=1e-5)


def test_no_model_is_the_zero_model() -> None:
    assert not forest().predict(data(97), np.full(ROWS, 1)).any()


def test_a_row_gets_the_same_bits_wherever_it_stands() -> None:
    rows = data(96)
    chosen = np.arange(len(rows)) % len(models())
    whole = forest().predict(rows, chosen)
    order = np.random.default_rng(0).permutation(len(rows))
    assert (forest().predict(rows[order], chosen[order]) == whole[order]).all()
    for size in (1, 2, 3, 7, 64):
        assert (forest().predict(rows[:size], chosen[:size]) == whole[:size]).all()
    assert (forest().predict(np.repeat(rows, 20, axis=0), np.repeat(chosen, 20)) == np.repeat(whole, 20)).all()


def test_a_value_on_the_threshold_goes_left() -> None:
    stump = Forest(
        feature=np.array([1, 0, 0], np.uint8),
        threshold=np.array([2.5, np.inf, np.inf]),
        left=np.array([1, 1, 2], np.int32),
        value=np.array([0.0, 10.0, 20.0]),
        roots=np.array([[0]], np.int32),
        base=np.array([0.5]),
        depth=1,
    )
    rows = np.array([[9.0, 2.5], [9.0, np.nextafter(2.5, 3)], [0.0, -1e300]])
    assert stump.predict(rows, np.zeros(3, np.int64)).tolist() == [10.5, 20.5, 10.5]


def test_arrays_survive_a_file_without_pickle() -> None:
    buffer = io.BytesIO()
    np.savez(buffer, allow_pickle=False, **forest().arrays())
    buffer.seek(0)
    with np.load(buffer, allow_pickle=False) as file:
        restored = Forest.from_arrays(dict(file))
    for name, array in forest().arrays().items():
        again = restored.arrays()[name]
        assert (again == array).all()
        assert again.dtype == array.dtype
        assert array.dtype != object
    rows, chosen = data(95), np.arange(ROWS) % len(models())
    assert (restored.predict(rows, chosen) == forest().predict(rows, chosen)).all()


def test_thresholds_and_leaves_are_single_precision_already() -> None:
    for array in (forest().threshold, forest().value):
        assert (array.astype(np.float32).astype(np.float64) == array).all()


def test_models_of_nothing() -> None:
    empty = flatten([None, None])
    assert empty.predict(data(0, 5), np.array([0, 1, 0, 1, 1])).tolist() == [0.0] * 5
    assert flatten([]).roots.shape == (0, 0)
