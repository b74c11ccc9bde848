"""Pictures of segmentations: sizes, colours and what they refuse."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from accelzoo.errors import DataError
from accelzoo.tasks.segmentation import IGNORE, coloured, draw_segmentation
from tests.accelzoo.tasks.segmentation_sets import COLOURS, blocks, painted

NAMES = ("red", "green", "blue")


def test_panels_stand_side_by_side_in_the_colours_of_their_classes(tmp_path: Path) -> None:
    labels = np.zeros((40, 60), dtype=np.uint8)
    labels[:, 30:] = 1
    truth = labels.copy()
    truth[:10] = IGNORE
    white = np.full((40, 60, 3), 255, dtype=np.uint8)
    picture = draw_segmentation(white, labels, NAMES, COLOURS, truth=truth, path=tmp_path / "out.png")
    pixels = np.asarray(picture)
    assert pixels.shape[1] == 3 * 60 + 4 * 8
    np.testing.assert_array_equal(np.asarray(Image.open(tmp_path / "out.png")), pixels)
    top = pixels.shape[0] - 16 - 21 - 40
    panels = [pixels[top : top + 40, left : left + 60] for left in (8, 76, 144)]
    np.testing.assert_array_equal(panels[0], white)
    mixed = [np.round(0.4 * 255 + 0.6 * np.array(COLOURS[label])) for label in (0, 1)]
    np.testing.assert_array_equal(panels[2][20, 10], mixed[0])
    np.testing.assert_array_equal(panels[2][20, 50], mixed[1])
    np.testing.assert_array_equal(panels[2][20, 30], COLOURS[1])  # the outline
    assert (panels[1][:9] == 255).all()  # ignored pixels stay bare
    assert {tuple(colour) for colour in pixels[top + 40 :].reshape(-1, 3)} >= {COLOURS[0], COLOURS[1]}
    assert not (pixels == COLOURS[2]).all(-1).any()  # a class that does not occur is not in the legend


def test_a_long_legend_flows_on() -> None:
    labels = blocks(40, 60)
    few = draw_segmentation(painted(labels), labels, NAMES, COLOURS)
    many = draw_segmentation(painted(labels), labels, [name * 12 for name in NAMES], COLOURS)
    assert many.height == few.height + 2 * 21 - (few.height - 40 - 21 - 16 - 21)


def test_maps_that_do_not_fit_are_refused() -> None:
    image = painted(blocks())
    with pytest.raises(DataError, match=r"truth is \(10, 32\)"):
        draw_segmentation(image, blocks(), NAMES, COLOURS, truth=blocks(10, 32))
    with pytest.raises(DataError, match="class 2, there are 2 names"):
        draw_segmentation(image, blocks(), NAMES[:2], COLOURS)


def test_what_cannot_be_coloured_or_written_is_refused(tmp_path: Path) -> None:
    image = painted(blocks())
    with pytest.raises(DataError, match="class 2, there are 3 names and 2 colours"):
        draw_segmentation(image, blocks(), NAMES, COLOURS[:2])
    with pytest.raises(DataError, match=r"absent.*cannot write the picture"):
        draw_segmentation(image, blocks(), NAMES, COLOURS, path=tmp_path / "absent" / "out.png")


def test_classes_are_coloured_over_the_image() -> None:
    labels = np.array([[0, 0, 1, IGNORE, IGNORE]], dtype=np.uint8)
    shown = coloured(np.full((1, 5, 3), 100, dtype=np.uint8), labels, ((0, 0, 200), (50, 0, 0)))
    assert shown.tolist() == [[[40, 40, 160], [40, 40, 160], [50, 0, 0], [100] * 3, [100] * 3]]
