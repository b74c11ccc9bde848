"""The pictures of a product run."""

from __future__ import annotations

import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from PIL import Image

from accelzoo.errors import AccelzooError
from accelzoo.recipes.product.front_plot import draw_front
from accelzoo.recipes.product.pictures import GAP, HEIGHT, TEXT, draw_predictions, evenly_spaced
from accelzoo.recipes.product.report import ProductComparison
from accelzoo.recipes.product.strip_plot import draw_strips
from accelzoo.tasks.data import Normalization
from accelzoo.tasks.detection.data import DetectionData, DetectionSplit, ImageRecord
from accelzoo.tasks.detection.metrics import Detections
from tests.recipes.product.product_runs import comparison, fused, small_detector, trained

NORMALIZATION = Normalization(mean=(0.5, 0.5, 0.5), std=(0.25, 0.25, 0.25))
DRAW = {"strips": draw_strips, "front": draw_front}


def run(count: int) -> ProductComparison:
    early = fused(small_detector(), (1, 0), (2, 0))
    picks = [
        trained(f"pick{index}", 0.7 - 0.01 * index, 0.71, arch=early, title=f"freedom {index}", search=f"s{index}",
                compiled_s=(5 - 0.02 * index) * 1e-3)
        for index in range(count - 1)
    ]  # fmt: skip
    return comparison([trained("baseline", 0.7, 0.72), *picks])


@pytest.mark.parametrize("name", DRAW)
@pytest.mark.parametrize(("count", "suffix"), [(1, "png"), (2, "svg")])
def test_pictures_are_drawn_and_equal_files(tmp_path: Path, name: str, count: int, suffix: str) -> None:
    pytest.importorskip("matplotlib", reason="the picture needs the extra [plot]")
    paths = [tmp_path / f"one.{suffix}", tmp_path / f"two.{suffix}"]
    DRAW[name](run(count), paths[0])
    from matplotlib import pyplot

    with pyplot.rc_context({"axes.labelsize": 30}):  # as some other library in this process may have set it
        DRAW[name](run(count), paths[1])
    assert paths[0].read_bytes() == paths[1].read_bytes()
    assert paths[0].read_bytes()[:5] == {"png": b"\x89PNG\r", "svg": b"<?xml"}[suffix]
    DRAW[name](run(3), paths[0])  # over the one that is there
    assert paths[0].read_bytes() != paths[1].read_bytes()


def test_labels_of_crowded_networks_do_not_overlap(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("matplotlib", reason="the picture needs the extra [plot]")
    from accelzoo.recipes.product import front_plot

    places: list[Any] = []
    place = front_plot._place

    def spy(labels: Any, obstacles: Any) -> None:
        place(labels, obstacles)
        places.extend(label.get_window_extent() for label in labels)

    monkeypatch.setattr(front_plot, "_place", spy)
    draw_front(run(6), tmp_path / "front.png")
    assert len(places) == 6
    assert not any(one.overlaps(other) for index, one in enumerate(places) for other in places[:index])


def test_strips_without_rows_or_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("matplotlib", reason="the picture needs the extra [plot]")
    with pytest.raises(AccelzooError, match=r"missing/one\.png: cannot be written: No such file"):
        draw_front(run(1), tmp_path / "missing" / "one.png")
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    with pytest.raises(AccelzooError, match=r"accelzoo\[plot\]"):
        draw_strips(run(1), tmp_path / "one.png")


@pytest.mark.parametrize(
    ("total", "count", "expected"),
    [(10, 2, [2, 7]), (3, 3, [0, 1, 2]), (2, 5, [0, 1]), (9, 1, [4]), (0, 4, [])],
)
def test_images_are_evenly_spaced(total: int, count: int, expected: list[int]) -> None:
    assert evenly_spaced(total, count) == expected


def detection_data() -> DetectionData:
    """Three grey images of 40×80 pixels; the one in the middle is empty."""
    pixels = np.full((40, 80, 3), 128, dtype=np.uint8)
    boxes = [np.array([[10, 10, 30, 30]], dtype=np.float32)[:count] for count in (1, 0, 1)]
    split = DetectionSplit(
        images=tuple(ImageRecord(id=index, width=80, height=40, pixels=pixels) for index in range(3)),
        boxes=tuple(boxes),
        labels=tuple(np.zeros(len(each), dtype=np.int64) for each in boxes),
        crowd=tuple(np.zeros(len(each), dtype=np.bool_) for each in boxes),
    )
    return DetectionData(train=split, validation=split, test=None, class_names=("person",), name="grey")


def test_sheet_of_detections(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from accelzoo.tasks.detection import evaluate

    def detect(model: str, images: list[Any], normalization: Normalization) -> list[Detections]:
        box = np.array([[40, 10, 60, 30]], dtype=np.float32)
        found = Detections(boxes=box, scores=np.ones(1, dtype=np.float32), labels=np.zeros(1, dtype=np.int64))
        return [found for _ in images]

    monkeypatch.setattr(evaluate, "detect", detect)
    models: dict[str, Any] = {"baseline": "one", "fast": "two"}
    draw_predictions(models, detection_data(), NORMALIZATION, tmp_path / "sheet.png", count=4)
    with Image.open(tmp_path / "sheet.png") as sheet:
        line = TEXT + GAP
        # Two images with objects, twice as wide as high; two rows with a title each; a line below.
        assert sheet.size == (3 * GAP + 2 * 2 * HEIGHT, 2 * (line + HEIGHT + GAP) + line + GAP)
        orange = (230, 159, 0)  # the first class's colour, around the box at twice times 2.8 pixels
        row = [sheet.getpixel((x, line + HEIGHT // 2)) for x in range(GAP, GAP + 2 * HEIGHT)]
    sides = [x for x, colour in enumerate(row) if colour == orange]
    scale = HEIGHT / 40
    assert (sides[0], sides[-1]) == pytest.approx((40 * scale, 60 * scale), abs=3)


def test_sheet_of_segmentations(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from accelzoo.tasks.segmentation import evaluate
    from accelzoo.tasks.segmentation.data import SegmentationData

    class Split:
        """Two black images of 20×20 pixels, of class 1 on the left and without a class on the right."""

        def __len__(self) -> int:
            return 2

        def take(self, indices: list[int]) -> Split:
            return self

        def image(self, index: int) -> Any:
            return np.zeros((20, 20, 3), dtype=np.uint8)

        def mask(self, index: int) -> Any:
            mask = np.full((20, 20), 255, dtype=np.uint8)
            mask[:, :10] = 1
            return mask

    split: Any = Split()
    data = SegmentationData(train=split, validation=split, test=None, class_names=("road", "car"), name="black",
                            palette=((0, 0, 255), (200, 100, 0)), normalization=NORMALIZATION)  # fmt: skip

    def segment(model: Any, images: list[Any], size: Any, normalization: Normalization) -> list[Any]:
        assert size == (32, 48)
        return [np.zeros((20, 20), dtype=np.uint8) for _ in images]

    monkeypatch.setattr(evaluate, "segment", segment)
    model: Any = SimpleNamespace(arch=SimpleNamespace(input_size=(3, 32, 48)))
    draw_predictions({"fast": model}, data, NORMALIZATION, tmp_path / "sheet.png")
    with Image.open(tmp_path / "sheet.png") as sheet:
        line, top = TEXT + GAP, TEXT + GAP + HEIGHT // 2
        pixels = [sheet.getpixel(place) for place in ((GAP + 20, top), (GAP + 200, top))]
        assert pixels == [(120, 60, 0), (0, 0, 0)]  # 0.6 of the colour over black; no class stays bare
        assert sheet.getpixel((GAP + 20, top + line + HEIGHT + GAP)) == (0, 0, 153)


def test_what_cannot_be_drawn(tmp_path: Path) -> None:
    data = detection_data()
    with pytest.raises(ValueError, match="must be at least 1"):
        draw_predictions({}, data, NORMALIZATION, tmp_path / "sheet.png")
    empty = DetectionData(train=data.train, validation=data.validation.take([1]), test=None, class_names=("person",),
                          name="grey")  # fmt: skip
    with pytest.raises(AccelzooError, match="grey: no validation image has an object"):
        draw_predictions({"one": lambda images: images}, empty, NORMALIZATION, tmp_path / "sheet.png")
