"""Augmentation against numpy's own padding, slicing and flipping, image by image."""

from __future__ import annotations

from typing import Any, Literal

import numpy as np
import pytest
import torch

from accelzoo.tasks import Augment
from accelzoo.tasks.transforms import Draws, draw, erase_boxes, gather
from tests.accelzoo.tasks.written import pixels


def channels_last(images: np.ndarray[Any, Any]) -> torch.Tensor:
    return torch.from_numpy(images).permute(0, 2, 3, 1).reshape(-1, images.shape[1])


def expected(
    image: np.ndarray[Any, Any], shift: tuple[int, int], flip: bool, reach: int, padding: str
) -> np.ndarray[Any, Any]:
    _, height, width = image.shape
    mode: Any = "reflect" if padding == "reflect" else "constant"
    padded = np.pad(image, ((0, 0), (reach, reach), (reach, reach)), mode=mode)
    top, left = reach + shift[0], reach + shift[1]
    window = padded[:, top : top + height, left : left + width]
    return window[:, :, ::-1] if flip else window


@pytest.mark.parametrize("padding", ["reflect", "zero"])
@pytest.mark.parametrize("channels", [1, 3])
def test_crops_and_flips_are_those_of_numpy(padding: Literal["reflect", "zero"], channels: int) -> None:
    images = pixels(20, channels, 9, 12)
    augment = Augment(flip=True, crop_padding=3, padding=padding)
    draws = draw(augment, 64, 9, 12, torch.Generator().manual_seed(0))
    indices = torch.arange(64) % 20
    batch = gather(channels_last(images), (channels, 9, 12), indices, draws)
    assert batch.dtype == torch.uint8
    assert batch.is_contiguous(memory_format=torch.channels_last)
    for row in range(64):
        shift = (int(draws.shifts[row, 0]), int(draws.shifts[row, 1]))
        wanted = expected(images[row % 20], shift, bool(draws.flips[row]), 3, padding)
        assert (batch[row].numpy() == wanted).all()


def test_draws_cover_their_range_evenly() -> None:
    draws = draw(Augment(flip=True, crop_padding=2), 20_000, 16, 16, torch.Generator().manual_seed(1))
    counts = torch.bincount(draws.shifts[:, 0] + 2, minlength=5)
    assert len(counts) == 5
    assert (counts - 4000).abs().max() < 5 * (20_000 * 0.2 * 0.8) ** 0.5
    assert abs(int(draws.flips.sum()) - 10_000) < 5 * (20_000 * 0.25) ** 0.5
    assert draws.boxes is None


def test_nothing_is_changed_when_nothing_is_wanted() -> None:
    images = pixels(6, 3, 8, 8)
    draws = draw(Augment(flip=False, crop_padding=0), 6, 8, 8, torch.Generator().manual_seed(0))
    assert (gather(channels_last(images), (3, 8, 8), torch.arange(6), draws).numpy() == images).all()


def test_equal_generators_draw_equal_changes() -> None:
    augment = Augment(flip=True, crop_padding=4, erase=0.5)
    first, second, third = (draw(augment, 50, 32, 32, torch.Generator().manual_seed(seed)) for seed in (3, 3, 4))
    assert torch.equal(first.shifts, second.shifts)
    assert torch.equal(first.flips, second.flips)
    assert first.boxes is not None
    assert second.boxes is not None
    assert torch.equal(first.boxes, second.boxes)
    assert not torch.equal(first.shifts, third.shifts)


def test_boxes_have_the_area_and_shape_of_random_erasing() -> None:
    draws = draw(Augment(erase=0.7), 4000, 48, 64, torch.Generator().manual_seed(0))
    assert draws.boxes is not None
    top, bottom, left, right = draws.boxes.T
    erased = bottom > top
    assert abs(int(erased.sum()) - 2800) < 5 * (4000 * 0.7 * 0.3) ** 0.5
    assert bool(((top >= 0) & (bottom <= 48) & (left >= 0) & (right <= 64)).all())
    area = ((bottom - top) * (right - left))[erased] / (48 * 64)
    assert float(area.min()) > 0.015
    assert float(area.max()) < 0.35
    assert 0.12 < float(area.mean()) < 0.19  # uniform from 0.02 to 0.33, a little cut by the border


def test_erasing_sets_the_box_to_zero_and_nothing_else() -> None:
    images = torch.ones(3, 2, 6, 7)
    boxes = torch.tensor([[1, 3, 2, 5], [0, 0, 0, 0], [0, 6, 0, 7]])
    result = erase_boxes(images, boxes)
    wanted = np.ones((3, 2, 6, 7))
    wanted[0, :, 1:3, 2:5] = 0
    wanted[2] = 0
    assert (result.numpy() == wanted).all()


def test_rows_of_draws_follow_the_shard() -> None:
    draws = draw(Augment(flip=True, crop_padding=2, erase=1.0), 12, 8, 8, torch.Generator().manual_seed(0))
    part = draws.rows(5, 11, 2)
    assert torch.equal(part.shifts, draws.shifts[[5, 7, 9]])
    assert part.boxes is not None
    assert draws.boxes is not None
    assert torch.equal(part.boxes, draws.boxes[[5, 7, 9]])
    assert isinstance(part.to(torch.device("cpu")), Draws)


def test_defaults_follow_the_data() -> None:
    assert Augment().resolved(32, 40, mirror=True) == Augment(flip=True, crop_padding=4)
    assert Augment().resolved(8, 8, mirror=False) == Augment(flip=False, crop_padding=1)
    given = Augment(flip=True, crop_padding=0, erase=0.1)
    assert given.resolved(32, 32, mirror=False) == given


def test_impossible_settings_are_refused() -> None:
    with pytest.raises(ValueError, match="below the image's shorter side"):
        Augment(crop_padding=8).resolved(8, 20, mirror=True)
    with pytest.raises(ValueError, match="crop_padding"):
        Augment(crop_padding=-1)
    with pytest.raises(ValueError, match="erase"):
        Augment(erase=1.5)
    with pytest.raises(ValueError, match="padding"):
        Augment(padding="mirror")  # type: ignore[arg-type]
