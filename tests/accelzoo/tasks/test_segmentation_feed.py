"""Segmentation feed: image and mask move together, batches can be made again, and a network learns from them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from accelzoo.errors import DataError
from accelzoo.tasks.data import Normalization
from accelzoo.tasks.score import DenseScore
from accelzoo.tasks.segmentation import (
    IGNORE,
    SegmentationAugment,
    SegmentationData,
    evaluate_segmentation,
    load_segmentation,
    segment,
)
from accelzoo.tasks.segmentation.placing import Placement
from accelzoo.tasks.segmentation.samples import Samples
from accelzoo.tasks.segmentation.transforms import SampleDraw, apply, draw_sample
from accelzoo.training.config import TrainConfig
from accelzoo.training.loop import fit
from tests.accelzoo.tasks.segmentation_sets import COLOURS, blocks, painted, write_folder

CPU = torch.device("cpu")
STILL = SampleDraw(flip=False, scale=1.0, row=0.5, column=0.5, brightness=1.0, contrast=1.0, saturation=1.0)
GREY = torch.tensor([7, 8, 9], dtype=torch.uint8)


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> SegmentationData:
    return load_segmentation(f"folder:{write_folder(tmp_path_factory.mktemp('set'), train=10, validation=3)}")


class ByColour(nn.Module):
    """Knows the classes of `painted` images: the nearer a pixel's colour, the higher the logit."""

    def __init__(self, normalization: Normalization) -> None:
        super().__init__()
        mean, std = torch.tensor(normalization.mean), torch.tensor(normalization.std)
        self.colours = ((torch.tensor(COLOURS) / 255 - mean) / std)[None, :, :, None, None]

    def forward(self, images: Tensor) -> Tensor:
        return -(images[:, None] - self.colours).square().sum(2)


def sample(height: int = 24, width: int = 32, seed: int = 0) -> tuple[Tensor, Tensor]:
    labels = blocks(height, width, seed)
    return torch.from_numpy(painted(labels)).permute(2, 0, 1), torch.from_numpy(labels)[None]


def test_images_lie_centred_with_their_aspect_ratio() -> None:
    assert Placement.of(24, 32, (48, 64)) == Placement(top=0, left=0, height=48, width=64)
    assert Placement.of(24, 32, (48, 48)) == Placement(top=6, left=0, height=36, width=48)
    assert Placement.of(32, 24, (48, 64)) == Placement(top=0, left=14, height=48, width=36)
    assert Placement.of(32, 24, (48, 64), stretch=True) == Placement(top=0, left=0, height=48, width=64)


def test_without_changes_an_image_only_gets_its_padding() -> None:
    image, labels = apply(sample(), STILL, (40, 32), GREY)
    expected = sample()
    assert torch.equal(image[:, 8:32], expected[0])
    assert torch.equal(labels[:, 8:32], expected[1])
    for rows in (slice(0, 8), slice(32, 40)):
        assert (image[:, rows] == GREY[:, None, None]).all()
        assert (labels[:, rows] == IGNORE).all()


@pytest.mark.parametrize("stretch", [False, True])
def test_image_and_mask_move_together(stretch: bool) -> None:
    augment = SegmentationAugment(photometric=0.0, scale=(0.5, 3.0))
    colours = torch.tensor(COLOURS).float()
    generator, wrong, seen = torch.Generator().manual_seed(0), 0, 0
    for seed in range(30):
        image, labels = apply(sample(seed=seed), draw_sample(augment, generator), (36, 44), GREY, stretch=stretch)
        nearest = (image.float()[None] - colours[:, :, None, None]).square().sum(1).argmin(0)
        labelled = labels[0] != IGNORE
        assert (image[:, ~labelled] == GREY[:, None]).all()
        wrong += int((nearest != labels[0])[labelled].sum())
        seen += int(labelled.sum())
    assert wrong < 0.05 * seen  # pixels on the edges of blocks are mixtures


def test_flip_mirrors_and_light_changes_the_image_alone() -> None:
    image, labels = sample()
    draw = SampleDraw(flip=True, scale=1.0, row=0.5, column=0.5, brightness=0.5, contrast=1.0, saturation=1.0)
    changed, moved = apply((image, labels), draw, (24, 32), GREY)
    assert torch.equal(moved, labels.flip(2))
    torch.testing.assert_close(changed.float(), image.flip(2).float() / 2, atol=1.0, rtol=0)


def test_draws_keep_to_their_bounds() -> None:
    generator = torch.Generator().manual_seed(0)
    drawn = [draw_sample(SegmentationAugment(photometric=0.5), generator) for _ in range(500)]
    assert 0.5 <= min(one.scale for one in drawn) < 0.53
    assert 1.9 < max(one.scale for one in drawn) <= 2
    assert 0.6 <= min(one.contrast for one in drawn) < max(one.contrast for one in drawn) <= 1.4
    assert 200 < sum(one.flip for one in drawn) < 300
    for wrong in ({"flip": 2.0}, {"scale": (2.0, 1.0)}, {"scale": (0.0, 1.0)}, {"photometric": -1.0}):
        with pytest.raises(ValueError, match=next(iter(wrong))):
            SegmentationAugment(**wrong)


def test_any_batch_can_be_made_again(data: SegmentationData) -> None:
    config = TrainConfig(batch_size=4, seed=3)
    feed = data.view((3, 24, 32)).feed(nn.Identity(), config, CPU)
    assert (feed.images, feed.batch_size, feed.steps_per_epoch) == (10, 4, 2)
    batches = [feed.batch(step) for step in range(5)]
    again = data.view((3, 24, 32)).feed(nn.Identity(), config, CPU)
    for step in (4, 1, 0, 3):
        for first, second in zip(batches[step], again.batch(step), strict=True):
            assert torch.equal(first, second)
    images, labels = batches[0]
    assert images.shape == (4, 3, 24, 32)
    assert images.is_contiguous(memory_format=torch.channels_last)
    assert (labels.shape, labels.dtype) == ((4, 24, 32), torch.uint8)
    assert not torch.equal(batches[0][0], batches[2][0])


def test_what_is_remembered_does_not_change_what_is_served(data: SegmentationData) -> None:
    roomy, tight = Samples(data.train, 20), Samples(data.train, 20, limit_bytes=0)
    for index in (0, 1, 0):
        image, labels = roomy.get(index)
        assert (tuple(image.shape), tuple(labels.shape)) == ((3, 15, 20), (1, 15, 20))
        assert torch.equal(image, tight.get(index)[0])
        assert torch.equal(labels, tight.get(index)[1])


def test_fewer_training_images_on_request(data: SegmentationData) -> None:
    view = data.view((3, 24, 32))
    assert view.feed(nn.Identity(), TrainConfig(train_fraction=0.45), CPU).images == 5
    assert view.feed(nn.Identity(), TrainConfig(max_train_images=3), CPU).images == 3


@pytest.mark.parametrize("input_size", [(24, 32), (48, 64), (40, 40)])
@pytest.mark.parametrize("stretch", [False, True])
def test_a_network_that_knows_the_colours_scores_almost_one(
    data: SegmentationData, input_size: tuple[int, int], stretch: bool
) -> None:
    score = evaluate_segmentation(
        ByColour(data.normalization), data.validation, input_size, data.normalization, stretch=stretch, batch_size=2
    )
    assert (score.metric, score.count) == ("mIoU", 3)
    if input_size == (24, 32):
        assert (score.value, score.low, score.high) == (1, 1, 1)
    assert score.value > 0.8
    assert set(score.parts) == {"pixel_accuracy", "IoU red", "IoU green", "IoU blue"}
    assert DenseScore.from_json(score.to_json()) == score


def test_a_coarse_network_and_a_mere_function_are_scored_alike(data: SegmentationData) -> None:
    network = nn.Sequential(ByColour(data.normalization), nn.AvgPool2d(4)).train()
    first = evaluate_segmentation(network, data.validation, (24, 32), data.normalization)
    second = evaluate_segmentation(lambda x: network(x), data.validation, (24, 32), data.normalization, batch_size=2)
    assert first == second
    assert network.training
    assert 0.5 < first.value < 1


def test_segment_returns_a_class_for_every_pixel(data: SegmentationData) -> None:
    images = [data.validation.image(0), painted(blocks(40, 20))]
    first, second = segment(ByColour(data.normalization), images, (40, 32), data.normalization)
    np.testing.assert_array_equal(first, data.validation.mask(0))
    assert second.dtype == np.uint8
    assert second.shape == (40, 20)


def test_a_network_of_other_classes_is_refused(data: SegmentationData) -> None:
    feed = data.view((3, 24, 32)).feed(nn.Identity(), TrainConfig(batch_size=2), CPU)
    with pytest.raises(DataError, match="3 classes"):
        feed.loss(torch.zeros(2, 4, 6, 8), torch.zeros(2, 24, 32, dtype=torch.uint8))
    with pytest.raises(DataError, match="3 classes"):
        evaluate_segmentation(nn.Conv2d(3, 5, 1), data.validation, (24, 32), data.normalization)
    with pytest.raises(DataError, match="empty split"):
        evaluate_segmentation(nn.Conv2d(3, 3, 1), data.validation.take([]), (24, 32), data.normalization)


def test_a_network_learns_and_takes_up_its_training_again(data: SegmentationData, tmp_path: Path) -> None:
    view = data.view((3, 24, 32))
    config = TrainConfig(batch_size=5, steps=40, learning_rate=0.05, threads=1, weight_decay=0.0, evaluate="end")

    def network() -> nn.Module:
        torch.manual_seed(0)
        return nn.Conv2d(3, 3, 1)

    trained = network()
    result = fit(trained, view, config, device="cpu", progress=False, folder=tmp_path)
    score = result.history[-1].validation
    assert isinstance(score, DenseScore)
    assert score.value > 0.95
    resumed = network()
    assert fit(resumed, view, config, device="cpu", progress=False, folder=tmp_path, resume="required").history
    for first, second in zip(trained.parameters(), resumed.parameters(), strict=True):
        assert torch.equal(first, second)
