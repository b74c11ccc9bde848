"""Segmentation loss: class weights by hand, cross-entropy and dice against plain torch."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from accelzoo.tasks.segmentation import IGNORE, LossSettings, class_weights, segmentation_loss
from accelzoo.tasks.segmentation.loss import dice_loss
from accelzoo.tasks.segmentation.resizing import bilinear_matrix, resize_maps

# 2 images of 100 labelled pixels; class 2 is in the second alone, class 3 nowhere
PIXELS = np.array([[80, 20, 0, 0], [60, 30, 10, 0]])


def drawn(*shape: int) -> torch.Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(0))


def labels(height: int, width: int, classes: int = 4) -> torch.Tensor:
    made = torch.randint(classes, (2, height, width), generator=torch.Generator().manual_seed(1))
    made[:, :3] = IGNORE
    return made


def test_weights_by_hand() -> None:
    share = np.array([0.7, 0.25, 0.05])
    log = np.array([1 / math.log(1.02 + value) for value in share])
    median = 0.25 / np.array([140 / 200, 50 / 200, 10 / 100])
    for weighting, raw in (("log", log), ("median", median)):
        weights = class_weights(PIXELS, weighting)  # type: ignore[arg-type]
        np.testing.assert_allclose(weights[:3], raw / (raw @ share), rtol=1e-5)
        assert weights[3] == 0
    assert class_weights(PIXELS, "none").tolist() == [1, 1, 1, 1]
    with pytest.raises(ValueError, match="weighting"):
        LossSettings(weighting="cubic")  # type: ignore[arg-type]


@pytest.mark.parametrize("channels_last", [False, True])
def test_loss_is_cross_entropy_plus_dice_of_what_is_labelled(channels_last: bool) -> None:
    logits, truth, weights = drawn(2, 4, 5, 6), labels(15, 20), torch.tensor([1.0, 2.0, 0.5, 3.0])
    if channels_last:
        logits = logits.contiguous(memory_format=torch.channels_last)
    large = F.interpolate(logits, (15, 20), mode="bilinear")
    entropy = F.cross_entropy(large, truth, weights, ignore_index=IGNORE, reduction="sum") / (truth != IGNORE).sum()
    shares = large.softmax(1).movedim(1, 3)[truth != IGNORE]
    one_hot = F.one_hot(truth[truth != IGNORE], 4)
    dice = 1 - (2 * (shares * one_hot).sum(0) / (shares.square().sum(0) + one_hot.sum(0))).mean()
    torch.testing.assert_close(segmentation_loss(logits, truth.to(torch.uint8), weights, 0.5), entropy + 0.5 * dice)
    torch.testing.assert_close(segmentation_loss(logits, truth, weights, 0.0), entropy)
    torch.testing.assert_close(dice_loss(large.softmax(1), truth), dice)


def test_dice_of_a_perfect_and_of_a_wrong_map() -> None:
    truth = torch.tensor([[[0, 1], [1, 0]]])
    perfect = F.one_hot(truth, 3).movedim(3, 1).float()
    assert float(dice_loss(perfect, truth)) == 0  # class 2 is not there and does not count
    assert float(dice_loss(perfect.flip(3), truth)) == 1


def test_ignored_pixels_have_no_gradient_and_no_label_no_loss() -> None:
    logits = drawn(2, 4, 6, 8).requires_grad_()
    truth = labels(6, 8)
    segmentation_loss(logits, truth).backward()
    assert logits.grad is not None
    assert not logits.grad[:, :, :3].any()
    assert logits.grad[:, :, 3:].abs().amin() > 0
    nothing = torch.full((2, 6, 8), IGNORE, dtype=torch.uint8)
    loss = segmentation_loss(logits, nothing)
    (gradient,) = torch.autograd.grad(loss, logits)
    assert float(loss.detach()) == 0
    assert not gradient.any()


@pytest.mark.parametrize("size", [(7, 5), (3, 4), (16, 9)])
def test_resizing_is_interpolate(size: tuple[int, int]) -> None:
    maps = drawn(2, 3, 5, 6)
    ours = resize_maps(maps, bilinear_matrix(5, size[0]), bilinear_matrix(6, size[1]))
    torch.testing.assert_close(ours, F.interpolate(maps, size, mode="bilinear"))
