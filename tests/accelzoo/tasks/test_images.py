"""Image files and arrays of any size and kind become uint8 of one size; broken files are named."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from accelzoo.errors import DataError
from accelzoo.tasks.images import check_input_size, decode_files, fit_arrays
from tests.accelzoo.tasks.written import pixels, write_png


def test_equal_sizes_are_copied_as_they_are() -> None:
    images = pixels(3, 5, 4, 3)
    assert (fit_arrays(images, (3, 5, 4)) == images.transpose(0, 3, 1, 2)).all()
    assert (fit_arrays(images[..., 0], (1, 5, 4))[:, 0] == images[..., 0]).all()


def test_grey_and_colour_turn_into_each_other() -> None:
    red = np.zeros((1, 4, 4, 3), np.uint8)
    red[..., 0] = 255
    assert fit_arrays(red, (1, 4, 4)).ravel().tolist() == [76] * 16  # 0.299 · 255, ITU-R 601-2
    grey = pixels(1, 4, 4)
    assert (fit_arrays(grey, (3, 4, 4)) == grey[:, np.newaxis]).all()
    assert (fit_arrays(grey[..., np.newaxis], (3, 4, 4)) == grey[:, np.newaxis]).all()


def test_the_crop_is_about_the_centre_and_keeps_the_aspect_ratio() -> None:
    wide = np.zeros((1, 10, 40), np.uint8)
    wide[:, :, 15:25] = 200  # exactly the centre square
    assert fit_arrays(wide, (1, 10, 10)).ravel().tolist() == [200] * 100
    assert fit_arrays(wide.transpose(0, 2, 1), (1, 10, 10)).ravel().tolist() == [200] * 100
    half = fit_arrays(wide, (1, 5, 5))[0, 0]
    assert (half[:, 1:4] == 200).all()  # at the border the filter reaches into the dark
    assert (half == half[:, ::-1]).all()


def test_shrinking_averages_instead_of_skipping() -> None:
    board = (np.indices((64, 64)).sum(axis=0) % 2 * 255).astype(np.uint8)[np.newaxis]
    small = fit_arrays(board, (1, 8, 8)).astype(int)
    assert abs(small - 127.5).max() < 4  # nearest or bilinear without antialiasing would give 0 or 255


def test_files_of_every_kind_are_read(tmp_path: Path) -> None:
    image = pixels(1, 6, 8, 3)[0]
    paths = []
    for suffix in ("png", "bmp", "tiff", "webp"):
        paths.append(tmp_path / f"a.{suffix}")
        Image.fromarray(image).save(paths[-1], lossless=True)  # only webp knows a lossy form; the others ignore this
    for decoded in decode_files(paths, (3, 6, 8)):
        assert (decoded == image.transpose(2, 0, 1)).all()


def test_palette_alpha_and_sixteen_bits_are_read(tmp_path: Path) -> None:
    alpha = tmp_path / "alpha.png"
    Image.fromarray(np.full((4, 4, 4), 100, np.uint8)).save(alpha)
    palette = tmp_path / "palette.png"
    indexed = Image.fromarray(np.full((4, 4, 3), 100, np.uint8)).quantize(4)
    indexed.save(palette, transparency=b"\x00\x80")
    deep = tmp_path / "deep.png"
    Image.fromarray(np.full((4, 4), 100 * 257, np.uint16)).save(deep)
    assert (decode_files([alpha, palette, deep], (3, 4, 4)) == 100).all()


def test_photographs_are_turned_upright(tmp_path: Path) -> None:
    image = pixels(1, 6, 8)[0]
    tags = Image.Exif()
    tags[0x0112] = 6  # the camera was turned: show rotated by 90° clockwise
    path = tmp_path / "turned.png"
    Image.fromarray(image).save(path, exif=tags)
    assert (decode_files([path], (1, 8, 6))[0, 0] == np.rot90(image, -1)).all()


@pytest.mark.parametrize("damage", ["cut", "text", "empty", "folder", "gone"])
def test_broken_files_are_named(tmp_path: Path, damage: str) -> None:
    good = write_png(tmp_path / "good.png", pixels(1, 64, 64)[0])
    bad = tmp_path / "bad.png"
    if damage == "cut":
        bad.write_bytes(good.read_bytes()[:2000])
    elif damage == "folder":
        bad.mkdir()
    elif damage != "gone":
        bad.write_text("no image" if damage == "text" else "")
    with pytest.raises(DataError, match=r"bad\.png: (not a readable image|no such image file)"):
        decode_files([good, bad], (1, 8, 8))


@pytest.mark.parametrize("size", [(3, 8), (2, 8, 8), (3, 0, 8), (8, 8, 3)])
def test_impossible_sizes_are_refused(size: tuple[int, ...]) -> None:
    with pytest.raises(DataError, match="must be \\(channels, height, width\\)"):
        check_input_size(size)


@pytest.mark.parametrize("shape", [(2, 4), (2, 4, 4, 2), (2, 4, 4, 4)])
def test_impossible_arrays_are_refused(shape: tuple[int, ...]) -> None:
    with pytest.raises(DataError, match="image arrays must be uint8"):
        fit_arrays(np.zeros(shape, np.uint8), (1, 4, 4))
