"""Segmentation metrics: by hand, against torchmetrics' own mean, and the interval against a slow loop."""

from __future__ import annotations

import sys

import numpy as np
import pytest
import torch
from torchmetrics.functional.classification import multiclass_jaccard_index

from accelzoo.errors import DataError
from accelzoo.hwmodel.oracles.protocol import MissingToolError
from accelzoo.tasks.segmentation.masks import IGNORE
from accelzoo.tasks.segmentation.metrics import (
    confusion_matrix,
    mean_iou_interval,
    measure,
    resample_counts,
    resampled_mean_iou,
)


def drawn_matrices(images: int = 12, classes: int = 4) -> np.ndarray[tuple[int, ...], np.dtype[np.int64]]:
    rng = np.random.Generator(np.random.PCG64(3))
    matrices = rng.integers(0, 50, (images, classes, classes))
    matrices[: images - 1, 2] = 0  # class 2 is in the last image alone: some draws do not show it
    return matrices.astype(np.int64)


def test_confusion_by_hand() -> None:
    truth = torch.tensor([[0, 0, 1], [1, 2, IGNORE]], dtype=torch.uint8)
    predicted = torch.tensor([[0, 1, 1], [1, 0, 2]])
    matrix = confusion_matrix(predicted, truth, 4)
    assert matrix.tolist() == [[1, 1, 0, 0], [0, 2, 0, 0], [1, 0, 0, 0], [0, 0, 0, 0]]
    metrics = measure(matrix[None])
    assert list(metrics.class_iou) == [pytest.approx(1 / 3), pytest.approx(2 / 3), 0.0, None]
    assert metrics.mean_iou == pytest.approx(1 / 3)
    assert metrics.pixel_accuracy == pytest.approx(3 / 5)


def test_mean_is_torchmetrics_where_all_classes_are_shown() -> None:
    random = torch.Generator().manual_seed(0)
    truth = torch.randint(5, (6, 10, 12), generator=random)
    truth[:, 0] = IGNORE
    predicted = torch.randint(5, (6, 10, 12), generator=random)
    matrices = np.stack([confusion_matrix(one, other, 5) for one, other in zip(predicted, truth, strict=True)])
    theirs = multiclass_jaccard_index(predicted, truth, 5, ignore_index=IGNORE)
    assert measure(matrices).mean_iou == pytest.approx(float(theirs), abs=1e-6)


def test_nothing_to_score_is_refused() -> None:
    with pytest.raises(DataError, match="nothing to score"):
        measure(np.zeros((2, 3, 3), dtype=np.int64))


def test_interval_is_what_a_slow_loop_gives() -> None:
    matrices = drawn_matrices()
    counts = resample_counts(len(matrices), 200, seed=5)
    assert (counts.sum(1) == len(matrices)).all()
    slow = [measure(np.repeat(matrices, row, axis=0)).mean_iou for row in counts]
    np.testing.assert_allclose(resampled_mean_iou(matrices, counts), slow, rtol=1e-12)
    low, high = mean_iou_interval(matrices, draws=200, seed=5)
    np.testing.assert_allclose((low, high), np.quantile(slow, (0.025, 0.975)))
    assert low < measure(matrices).mean_iou < high


def test_images_are_drawn_evenly_and_by_seed() -> None:
    counts = resample_counts(10, 4000, seed=0)
    np.testing.assert_allclose(counts.mean(0), 1, atol=0.08)  # 5 standard errors
    np.testing.assert_allclose(counts.var(0), 0.9, atol=0.12)  # binomial: 10 · 0.1 · 0.9
    assert (resample_counts(10, 4, seed=0) != resample_counts(10, 4, seed=1)).any()


def test_without_torchmetrics_the_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "torchmetrics.functional.classification", None)
    nothing = torch.zeros(1, dtype=torch.int64)
    with pytest.raises(MissingToolError, match=r"pip install 'accelzoo\[seg\]'"):
        confusion_matrix(nothing, nothing, 2)
