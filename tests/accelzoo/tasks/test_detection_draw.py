"""Drawn detections: where the ink is."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from accelzoo.errors import DataError
from accelzoo.tasks.detection.draw import COLOURS, Colour, draw_detections, label_places
from accelzoo.tasks.detection.metrics import Detections

GREY = np.full((120, 200, 3), 128, dtype=np.uint8)
NAMES = ("car", "person")


def found(boxes: Sequence[Sequence[float]], labels: Sequence[int], scores: Sequence[float]) -> Detections:
    return Detections(
        np.array(boxes, dtype=np.float32).reshape(-1, 4),
        np.array(scores, dtype=np.float32),
        np.array(labels, dtype=np.int64),
    )


def painted(picture: Image.Image, colour: Colour) -> NDArray[np.bool_]:
    """Which pixels have a colour, (height, width)."""
    return (np.asarray(picture) == np.array(colour)).all(axis=2)


def test_frame_and_label_are_where_the_box_is() -> None:
    picture = draw_detections(GREY, found([[60, 50, 150, 110]], [1], [0.87]), NAMES)
    assert (picture.mode, picture.size) == ("RGB", (200, 120))
    ink = painted(picture, COLOURS[1])
    assert ink[50, 60:151].all()
    assert ink[50:111, 60].all()
    assert ink[110, 60:151].all()
    assert ink[50:111, 150].all()
    assert ink[30:50].any()  # the label stands above
    assert not ink[60:100, 70:140].any()  # and what the box holds can be seen
    assert not (np.asarray(picture)[:25] != 128).any()
    assert (GREY == 128).all()


@pytest.mark.parametrize(
    "box", [(0, 0, 199, 119), (0, 0, 30, 20), (180, 100, 200, 120), (-20, -20, 230, 140), (150, 0, 260, 10)]
)
def test_a_label_is_never_cut_off(box: tuple[float, float, float, float]) -> None:
    places = list(label_places(box, 60, 15, (200, 120)))
    assert places
    for left, top, right, bottom in places:
        assert (right - left, bottom - top) == (60, 15)
        assert 0 <= left < right < 200
        assert 0 <= top < bottom < 120


def test_labels_of_one_box_do_not_cover_each_other() -> None:
    box = [40, 40, 160, 110]
    both = draw_detections(GREY, found([box, box], [0, 1], [0.9, 0.4]), NAMES)
    alone = [draw_detections(GREY, found([box], [label], [score]), NAMES) for label, score in ((0, 0.9), (1, 0.4))]
    first = painted(both, COLOURS[0])[:38].sum()
    assert first == painted(alone[0], COLOURS[0])[:38].sum()
    assert painted(both, COLOURS[1]).any()


def test_with_one_class_only_the_score_is_written() -> None:
    detections = found([[60, 50, 150, 110]], [0], [0.87])
    short, long = (draw_detections(GREY, detections, names) for names in (("person",), NAMES))
    assert painted(short, COLOURS[0]).sum() < painted(long, COLOURS[0]).sum()


def test_objects_are_dashed_in_white() -> None:
    picture = draw_detections(GREY, found([], [], []), NAMES, truth=np.array([[20, 20, 180, 100]]))
    white = painted(picture, (255, 255, 255))
    share = white[20, 20:181].mean()
    assert 0.3 < share < 0.7
    assert not white[40:80, 40:160].any()


def test_the_picture_is_written_and_files_are_read(tmp_path: Path) -> None:
    Image.fromarray(GREY).save(tmp_path / "street.png")
    target = tmp_path / "found.png"
    picture = draw_detections(tmp_path / "street.png", found([[60, 50, 150, 110]], [1], [0.5]), NAMES, target)
    with Image.open(target) as written:
        assert np.array_equal(np.asarray(written), np.asarray(picture))


def test_what_cannot_be_drawn_is_refused(tmp_path: Path) -> None:
    detections = found([[60, 50, 150, 110]], [2], [0.5])
    with pytest.raises(DataError, match="2 class names"):
        draw_detections(GREY, detections, NAMES)
    with pytest.raises(DataError, match="cannot write"):
        draw_detections(GREY, detections, (*NAMES, "dog"), tmp_path / "found.nothing")
    with pytest.raises(DataError, match="no such image file"):
        draw_detections(tmp_path / "absent.png", detections, (*NAMES, "dog"))


def test_a_box_with_exchanged_sides_is_drawn_the_right_way_round() -> None:
    right, exchanged = ([60, 50, 150, 110], [150, 110, 60, 50])
    pictures = [draw_detections(GREY, found([box], [1], [0.87]), NAMES) for box in (right, exchanged)]
    assert pictures[0].tobytes() == pictures[1].tobytes()
    truths = [draw_detections(GREY, found([], [], []), NAMES, truth=np.array([box])) for box in (right, exchanged)]
    assert truths[0].tobytes() == truths[1].tobytes()


def test_what_has_no_place_or_no_name_is_refused() -> None:
    with pytest.raises(DataError, match=r"detection 1: the box .*nan.* must be four finite numbers"):
        draw_detections(GREY, found([[1, 1, 9, 9], [1, 1, np.nan, 9]], [0, 0], [0.9, 0.8]), NAMES)
    with pytest.raises(DataError, match=r"object 0: the box .*inf"):
        draw_detections(GREY, found([], [], []), NAMES, truth=np.array([[1, 1, np.inf, 9]]))
    with pytest.raises(DataError, match=r"labels \(=\[-1\]\) must lie in 0 … 1"):
        draw_detections(GREY, found([[1, 1, 9, 9]], [-1], [0.9]), NAMES)
