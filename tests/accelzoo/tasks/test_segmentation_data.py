"""Segmentation data: every layout, what masks mean, and what broken input says."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from torchvision.datasets import VOCSegmentation

from accelzoo.errors import AccelzooError, DataError
from accelzoo.tasks.segmentation import IGNORE, SegmentationAugment, SegmentationData, load_segmentation
from accelzoo.tasks.segmentation.masks import voc_palette
from tests.accelzoo.fresh import fresh_python
from tests.accelzoo.tasks.segmentation_sets import (
    COLOURS,
    blocks,
    painted,
    save,
    write_classes,
    write_folder,
    write_pairs,
)
from tests.checkout import ROOT

SHARED = ROOT / "../shared/data"


def loaded(kind: str, root: Path, **options: Any) -> SegmentationData:
    return load_segmentation(f"{kind}:{root}", **options)


def test_folder_with_splits(tmp_path: Path) -> None:
    data = loaded("folder", write_folder(tmp_path))
    assert (len(data.train), len(data.validation), data.test) == (6, 3, None)
    assert data.class_names == ("red", "green", "blue")
    assert data.palette == COLOURS
    assert data.ignore_index == IGNORE == 255
    assert (data.skipped, data.notes) == ((), ())
    np.testing.assert_array_equal(data.train.mask(2), blocks(seed=2))
    np.testing.assert_array_equal(data.train.image(2), painted(blocks(seed=2)))
    assert data.train.class_pixels()[2].tolist() == np.bincount(blocks(seed=2).ravel(), minlength=3).tolist()


def test_normalization_is_that_of_the_train_images(tmp_path: Path) -> None:
    data = loaded("folder", write_folder(tmp_path))
    pixels = np.stack([data.train.image(index)[::4, ::4] for index in range(6)]) / 255
    np.testing.assert_allclose(data.normalization.mean, pixels.mean((0, 1, 2)), atol=1e-6)
    np.testing.assert_allclose(data.normalization.std, pixels.std((0, 1, 2)), atol=1e-6)


def test_validation_is_drawn_where_it_is_missing_and_twins_stay_together(tmp_path: Path) -> None:
    write_pairs(tmp_path / "images", tmp_path / "masks", 12)
    for name in ("images", "masks"):
        twin = painted(blocks()) if name == "images" else blocks()
        for index in range(20, 32):
            save(tmp_path / name / f"{index}.png", twin)
    write_classes(tmp_path)
    data = loaded("folder", tmp_path)
    train, validation = ({record.sha256 for record in split.records} for split in (data.train, data.validation))
    assert len(data.train) + len(data.validation) == 24
    assert len(data.validation) == 2
    assert not train & validation
    assert "2 images drawn from train" in data.notes[0]
    again = loaded("folder", tmp_path)
    assert again.digest() == data.digest()


def test_masks_in_colour_and_with_a_palette(tmp_path: Path) -> None:
    labels = blocks()
    labels[:4] = IGNORE
    shown = painted(labels)
    save(tmp_path / "train/images/a.jpg", shown)
    save(tmp_path / "train/masks/a.png", shown)
    save(tmp_path / "val/images/b.jpg", shown)
    save(tmp_path / "val/masks/b.png", labels, palette=[part for colour in voc_palette(256) for part in colour])
    write_classes(tmp_path, ignore_color=[0, 0, 0])
    data = loaded("folder", tmp_path)
    np.testing.assert_array_equal(data.train.mask(0), labels)
    np.testing.assert_array_equal(data.validation.mask(0), labels)


def test_camvid_as_segnets_authors_have_it(tmp_path: Path) -> None:
    for name in ("train", "val"):
        labels = blocks()
        labels[0] = 11
        save(tmp_path / name / "0.png", painted(labels))
        save(tmp_path / f"{name}annot" / "0.png", labels)
    data = loaded("camvid", tmp_path)
    assert len(data.class_names) == 11
    assert (data.train.mask(0)[0] == IGNORE).all()
    assert data.notes == (
        "validation never shows Road, Pavement, Tree, SignSymbol, Fence, Car, Pedestrian, Bicyclist: left out of the "
        "mean IoU",
    )


def test_pets_as_published(tmp_path: Path) -> None:
    trimap = blocks() + 1
    for name in ("Bombay_1", "Bombay_2", "Bombay_3"):
        save(tmp_path / "images" / f"{name}.jpg", painted(blocks()))
        save(tmp_path / "annotations/trimaps" / f"{name}.png", trimap)
        trimap = np.roll(trimap, 3, 1)
    (tmp_path / "annotations/trainval.txt").write_text("# name class\nBombay_1 1 1 1\nBombay_2 1 1 1\n")
    (tmp_path / "annotations/test.txt").write_text("Bombay_3 1 1 1\n")
    data = load_segmentation(f"pets:{tmp_path}", validation_fraction=0.5)
    assert data.test is not None
    assert (len(data.train), len(data.validation), len(data.test)) == (1, 1, 1)
    meaning = np.array([9, 1, 0, 2], dtype=np.uint8)  # 1 pet, 2 background, 3 border
    np.testing.assert_array_equal(data.test.mask(0), meaning[np.roll(blocks() + 1, 6, 1)])


def write_voc(root: Path) -> Path:
    for name in ("2007_000001", "2007_000002"):
        labels = blocks() * 7
        labels[:2] = IGNORE
        save(root / "JPEGImages" / f"{name}.jpg", painted(blocks()))
        save(root / "SegmentationClass" / f"{name}.png", labels, [part for c in voc_palette(256) for part in c])
    lists = root / "ImageSets/Segmentation"
    lists.mkdir(parents=True)
    (lists / "train.txt").write_text("2007_000001\n")
    (lists / "val.txt").write_text("2007_000002\n")
    return root


def test_voc_is_read_as_torchvision_reads_it(tmp_path: Path) -> None:
    root = write_voc(tmp_path / "VOCdevkit" / "VOC2012")
    data = loaded("voc", root)
    theirs = VOCSegmentation(str(tmp_path), year="2012", image_set="val")
    image, mask = theirs[0]
    np.testing.assert_array_equal(data.validation.image(0), np.asarray(image))
    np.testing.assert_array_equal(data.validation.mask(0), np.asarray(mask))
    assert data.class_names[7] == "car"
    path = root / "SegmentationClass/2007_000001.png"
    with Image.open(path) as indexed:
        coloured = np.asarray(indexed.convert("RGB"))
    save(path, coloured)
    assert tuple(coloured[0, 0]) == (224, 224, 192)
    np.testing.assert_array_equal(loaded("voc", root).train.mask(0), data.validation.mask(0))


def test_voc_palette_is_the_published_one() -> None:
    assert voc_palette(22)[:4] == ((0, 0, 0), (128, 0, 0), (0, 128, 0), (128, 128, 0))
    assert voc_palette(21)[15] == (192, 128, 128)  # person
    assert voc_palette(21)[20] == (0, 64, 128)  # tvmonitor


def test_ade20k_counts_from_one(tmp_path: Path) -> None:
    for folder in ("training", "validation"):
        labels = blocks()
        labels[0, 0] = 150
        save(tmp_path / "images" / folder / "ADE_1.jpg", painted(blocks()))
        save(tmp_path / "annotations" / folder / "ADE_1.png", labels)
    names = [f"{number}\t0.1\t1\t1\tname {number}, other" for number in range(1, 151)]
    (tmp_path / "objectInfo150.txt").write_text("\n".join(["Idx\tRatio\tTrain\tVal\tName", *names]) + "\n")
    data = loaded("ade20k", tmp_path)
    mask = data.train.mask(0)
    assert mask[0, 0] == 149
    assert data.class_names[149] == "name 150"
    np.testing.assert_array_equal(mask[1:] == IGNORE, blocks()[1:] == 0)


def test_drawn_shapes() -> None:
    data = load_segmentation("shapes?count=8&size=48")
    assert data.test is not None
    assert (len(data.train), len(data.validation), len(data.test)) == (8, 2, 2)
    assert data.train.image(0).shape == (48, 48, 3)
    assert data.digest() == load_segmentation("shapes?count=8&size=48").digest()
    assert data.digest() != load_segmentation("shapes?count=8&size=48&seed=1").digest()
    json.dumps(data.manifest())


def break_mask_size(root: Path) -> None:
    save(root / "train/masks/00.png", blocks(24, 30))


def break_mask_values(root: Path) -> None:
    labels = blocks()
    labels[0, :5] = 9
    labels[1, :2] = 7
    save(root / "train/masks/00.png", labels)


def break_mask_colours(root: Path) -> None:
    shown = painted(blocks())
    shown[0, :3] = (1, 2, 3)
    save(root / "train/masks/00.png", shown)


def remove_mask(root: Path) -> None:
    (root / "train/masks/00.png").unlink()


def cut_image(root: Path) -> None:
    path = root / "train/images/00.png"
    path.write_bytes(path.read_bytes()[:60])


def empty_mask(root: Path) -> None:
    save(root / "train/masks/00.png", np.full((24, 32), IGNORE, dtype=np.uint8))


def write_text_mask(root: Path) -> None:
    (root / "train/masks/00.png").write_text("no image")


FAULTS: dict[Callable[[Path], None], str] = {
    break_mask_size: "masks/00.png: the mask has 30 × 24 pixels, the image 32 × 24",
    break_mask_values: "masks/00.png: values 9 (5 pixels), 7 (2 pixels) mean no class",
    break_mask_colours: "masks/00.png: colours (1, 2, 3) (3 pixels) mean no class",
    remove_mask: "images/00.png: has no mask",
    cut_image: "images/00.png: not a readable image",
    empty_mask: "images/00.png: nothing is labelled",
    write_text_mask: "masks/00.png: not a readable mask",
}


@pytest.mark.parametrize("fault", FAULTS, ids=lambda fault: fault.__name__)
def test_a_broken_pair_is_left_out_and_named_or_refused(tmp_path: Path, fault: Callable[[Path], None]) -> None:
    root = write_folder(tmp_path)
    fault(root)
    data = loaded("folder", root)
    assert (len(data.train), len(data.skipped)) == (5, 1)
    assert data.skipped[0].startswith("train/00: ")
    assert FAULTS[fault] in data.skipped[0]
    with pytest.raises(DataError, match="1 images cannot be used") as refused:
        loaded("folder", root, strict=True)
    assert FAULTS[fault] in str(refused.value)


def test_what_is_missing_is_named(tmp_path: Path) -> None:
    cases = {
        f"folder:{tmp_path / 'no'}": "no such folder",
        f"folder:{tmp_path}": "it names the classes",
        f"voc:{tmp_path}": "JPEGImages: missing",
        f"pets:{tmp_path}": "neither index.json",
        f"camvid:{tmp_path}": "no CamVid",
        f"ade20k:{tmp_path}": "no such folder",
        "camvid": "Write camvid:PATH",
        "camvit:x": "did you mean 'camvid'",
        "shapes?side=3": "no option 'side'",
        "shapes?size=big": "must be a whole number",
    }
    for source, text in cases.items():
        with pytest.raises(AccelzooError) as error:
            load_segmentation(source)
        assert text in str(error.value), source


@pytest.mark.parametrize(
    ("content", "text"),
    [
        ("{", "no JSON"),
        ("{}", "`classes` must be a list"),
        ('{"classes": ["a", "a"]}', "must be different"),
        ('{"classes": ["a", "b"], "palette": [[0, 0, 0]]}', "each of the 2 classes"),
        ('{"classes": ["a", "b"], "palette": [[0, 0, 0], [0, 0, 300]]}', "is no colour"),
        ('{"classes": ["a", "b"], "palette": [[0, 0, 0], [0, 0, 0]]}', "one colour"),
        ('{"classes": ["a", "b"], "ignore_index": 1}', "ignore_index"),
    ],
)
def test_a_broken_classes_file_is_named(tmp_path: Path, content: str, text: str) -> None:
    root = write_folder(tmp_path)
    (root / "classes.json").write_text(content)
    with pytest.raises(DataError, match=r"classes\.json") as error:
        loaded("folder", root)
    assert text in str(error.value)


def test_two_images_of_one_name_are_refused(tmp_path: Path) -> None:
    root = write_folder(tmp_path)
    save(root / "train/images/00.jpg", painted(blocks()))
    with pytest.raises(DataError, match="same name"):
        loaded("folder", root)


def test_a_source_without_a_test_split_can_give_its_validation_split_for_it(tmp_path: Path) -> None:
    root = write_folder(tmp_path, train=8)
    plain, required = loaded("folder", root), loaded("folder", root, require_test=True, validation_fraction=0.25)
    assert plain.test is None
    assert required.test is not None
    assert required.test.digest() == plain.validation.digest()
    assert (len(required.train), len(required.validation)) == (6, 2)


def test_digests_tell_data_and_settings_apart(tmp_path: Path) -> None:
    data = loaded("folder", write_folder(tmp_path / "a"))
    other = loaded("folder", write_folder(tmp_path / "b", train=5))
    assert data.digest() != other.digest()
    views = [
        data.view((3, 24, 32)),
        data.view((3, 24, 40)),
        data.view((3, 24, 32), SegmentationAugment.none()),
        data.view((3, 24, 32), stretch=True),
        other.view((3, 24, 32)),
    ]
    assert len({view.digest() for view in views}) == len(views)
    with pytest.raises(DataError, match="height, width"):
        data.view((1, 24, 32))


@pytest.mark.parametrize(
    ("kind", "folder", "sizes"), [("camvid", "camvid", (367, 101, 233)), ("pets", "pets600", (480, 120, None))]
)
def test_shared_sets_are_read_whole(kind: str, folder: str, sizes: tuple[int, int, int | None]) -> None:
    root = SHARED / folder
    if not root.is_dir():
        pytest.skip(f"{folder} is not at ../shared/data/{folder}")
    data = loaded(kind, root, strict=True)
    assert (len(data.train), len(data.validation), data.test and len(data.test)) == sizes
    assert data.notes == ()


@pytest.mark.parametrize("page", ["accelzoo.tasks.segmentation", "accelzoo.recipes.schema"])
def test_importing_the_page_loads_neither_torch_nor_pil(page: str) -> None:
    found = fresh_python(f"import sys, {page}; print(sorted({{'torch', 'PIL'}} & sys.modules.keys()))")
    assert found.strip() == "[]"
