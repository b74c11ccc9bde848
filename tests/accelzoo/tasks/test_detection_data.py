"""Detection data: formats read to the same boxes, and every fault named with its file and id."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from accelzoo.errors import AccelzooError, DataError, UnknownNameError
from accelzoo.tasks.detection import DetectionData, DetectionSplit, ImageRecord, load_detection, voc_to_coco
from accelzoo.tasks.shapes import CLASS_NAMES, draw_shapes
from tests.accelzoo.tasks.written import write_png
from tests.checkout import ROOT

SHARED = ROOT / "../shared/data"
WIDTH, HEIGHT = 40, 30


def image_entry(number: int) -> dict[str, Any]:
    return {"id": number, "file_name": f"{number}.png", "width": WIDTH, "height": HEIGHT}


def box(number: int, image: int, category: int, bbox: object, crowd: int = 0) -> dict[str, Any]:
    return {"id": number, "image_id": image, "category_id": category, "bbox": bbox, "iscrowd": crowd}


def small() -> dict[str, Any]:
    return {
        "images": [image_entry(number) for number in (1, 2, 3)],
        "annotations": [
            box(1, 1, 7, [2, 3, 10, 12]),
            box(2, 1, 90, [20, 5, 8.5, 4]),
            box(3, 3, 90, [0, 0, 40, 30], 1),
        ],
        "categories": [{"id": 90, "name": "dog"}, {"id": 7, "name": "cat"}],
    }


def write_coco(folder: Path, train: dict[str, Any], validation: dict[str, Any] | None = None) -> str:
    for number in range(1, 5):
        pixels = np.full((HEIGHT, WIDTH, 3), 20 * number, dtype=np.uint8)
        write_png(folder / "images" / f"{number}.png", pixels)
    (folder / "train.json").write_text(json.dumps(train), encoding="utf-8")
    (folder / "val.json").write_text(json.dumps(validation or small()), encoding="utf-8")
    return f"coco:{folder}"


def test_coco_boxes_become_corners_and_gaps_between_ids_close(tmp_path: Path) -> None:
    data = load_detection(write_coco(tmp_path, small()), strict=True)
    assert data.class_names == ("cat", "dog")
    assert data.train.boxes[0].tolist() == [[2, 3, 12, 15], [20, 5, 28.5, 9]]
    assert data.train.labels[0].tolist() == [0, 1]
    assert [len(boxes) for boxes in data.train.boxes] == [2, 0, 1]
    assert data.train.crowd[2].tolist() == [True]
    assert data.train.object_count == 2
    assert (data.skipped, data.notes) == ((), ())


def test_one_class_leaves_negatives_and_says_nothing_of_the_others(tmp_path: Path) -> None:
    data = load_detection(write_coco(tmp_path, small()), classes=["dog"])
    assert data.class_names == ("dog",)
    assert len(data.train) == 3
    assert [labels.tolist() for labels in data.train.labels] == [[0], [], [0]]
    assert data.skipped == ()


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        (box(9, 1, 5, [1, 1, 5, 5]), "annotation 9: category id 5 is unknown"),
        (box(9, 8, 7, [1, 1, 5, 5]), "annotation 9: image id 8 is unknown"),
        (box(9, 1, 7, [1, 1, 0, 5]), "annotation 9: bbox (=[1, 1, 0, 5]) has no area"),
        (box(9, 1, 7, [1, 1, 5, -2]), "has no area"),
        (box(9, 1, 7, [1, math.nan, 5, 5]), "must be four finite numbers"),
        (box(9, 1, 7, [1, 1, 5]), "must be four finite numbers"),
        (box(9, 1, 7, None), "must be four finite numbers"),
        (box(9, 1, 7, [41, 1, 5, 5]), "lies outside of its image 1"),
        (box(1, 1, 7, [2, 3, 10, 12]), "annotation 1 occurs twice"),
    ],
)
def test_a_faulty_box_is_left_out_and_named_or_refused(tmp_path: Path, changed: dict[str, Any], said: str) -> None:
    train = small()
    train["annotations"].append(changed)
    source = write_coco(tmp_path, train)
    data = load_detection(source)
    assert data.train.object_count == 2
    assert len(data.skipped) == 1
    assert said in data.skipped[0]
    assert str(tmp_path / "train.json") in data.skipped[0]
    with pytest.raises(DataError, match=r"train\.json: annotation"):
        load_detection(source, strict=True)


def test_two_boxes_under_one_id_are_both_kept_and_said(tmp_path: Path) -> None:
    train = small()
    train["annotations"].append(box(1, 2, 7, [1, 1, 5, 5]))
    data = load_detection(write_coco(tmp_path, train))
    assert data.train.object_count == 3
    assert "annotation 1: two boxes have this id" in data.skipped[0]


def test_boxes_beyond_the_image_are_clipped_and_counted(tmp_path: Path) -> None:
    train = small()
    train["annotations"] += [box(8, 2, 7, [-5, 10, 20, 50]), box(9, 2, 7, [30, 20, 10.6, 10])]
    data = load_detection(write_coco(tmp_path, train), strict=True)
    assert data.train.boxes[1].tolist() == [[0, 10, 15, 30], [30, 20, 40, 30]]
    assert data.skipped == (f"{tmp_path / 'train.json'}: 1 boxes reached beyond their image and were clipped to it",)


def test_unusable_images_are_left_out_with_their_boxes(tmp_path: Path) -> None:
    train = small()
    train["images"] += [image_entry(4), image_entry(5), image_entry(2)]
    train["annotations"] += [box(8, 4, 7, [1, 1, 4, 4]), box(9, 5, 7, [1, 1, 4, 4])]
    source = write_coco(tmp_path, train)
    whole = (tmp_path / "images" / "4.png").read_bytes()
    noise = np.random.Generator(np.random.PCG64(0)).integers(0, 256, (HEIGHT, WIDTH, 3), dtype=np.uint8)
    whole = write_png(tmp_path / "images" / "4.png", noise).read_bytes()
    (tmp_path / "images" / "4.png").write_bytes(whole[: len(whole) // 2])
    data = load_detection(source)
    assert [record.id for record in data.train.images] == [1, 2, 3]
    faults = "\n".join(data.skipped)
    assert len(data.skipped) == 3
    assert "image 5: no file 5.png" in faults
    assert "image id 2 occurs twice" in faults
    assert f"{tmp_path / 'images' / '4.png'}: image 4: not a readable image" in faults
    with pytest.raises(DataError, match="image 5"):
        load_detection(source, strict=True)


def test_an_image_of_another_size_than_annotated_is_left_out(tmp_path: Path) -> None:
    train = small()
    train["images"][1]["width"] = 41
    data = load_detection(write_coco(tmp_path, train))
    assert "the file is 40×30 pixels, annotated are 41×30" in data.skipped[0]


def test_a_photograph_is_turned_where_the_annotation_gives_the_turned_size(tmp_path: Path) -> None:
    from accelzoo.tasks.detection.pictures import decode

    exif = Image.Exif()
    exif[0x0112] = 6
    path = tmp_path / "turned.jpg"
    Image.new("RGB", (40, 30)).save(path, exif=exif)
    assert decode(ImageRecord(id=1, width=30, height=40, path=path)).shape == (40, 30, 3)
    assert decode(ImageRecord(id=1, width=40, height=30, path=path)).shape == (30, 40, 3)


@pytest.mark.parametrize(
    ("train", "said"),
    [
        ({"images": [], "annotations": [], "categories": [{"id": 1, "name": "a"}]}, "no image is left"),
        ({"images": [], "annotations": []}, "need a list 'categories'"),
        (small() | {"categories": []}, "there are no categories"),
        (small() | {"categories": [{"id": 1, "name": "a"}] * 2}, "occurs twice"),
        (small() | {"annotations": []}, "train has no object"),
        (small() | {"annotations": ["x"]}, "every entry of 'annotations' must be an object"),
    ],
)
def test_annotations_that_nothing_can_be_learnt_from_are_refused(
    tmp_path: Path, train: dict[str, Any], said: str
) -> None:
    with pytest.raises(DataError, match=said):
        load_detection(write_coco(tmp_path, train))


def test_broken_json_and_missing_files_are_located(tmp_path: Path) -> None:
    source = write_coco(tmp_path, small())
    with pytest.raises(DataError, match=r"other\.json: no such annotation file"):
        load_detection(f"{source}?train=other.json")
    (tmp_path / "train.json").write_text("{", encoding="utf-8")
    with pytest.raises(DataError, match=r"train\.json: not readable as JSON"):
        load_detection(source)


@pytest.mark.parametrize(
    ("source", "said"),
    [
        ("coca:x", "did you mean 'coco'"),
        ("coco:no/such/folder", "is not a folder"),
        ("coco", "is not a folder"),
        ("shapes?cuont=4", "did you mean 'count'"),
        ("shapes?count=four", "whole numbers"),
        ("shapes?count=0", "count"),
    ],
)
def test_a_wrong_source_is_explained(source: str, said: str) -> None:
    with pytest.raises(AccelzooError, match=said):
        load_detection(source)


def test_an_unknown_class_is_explained() -> None:
    with pytest.raises(UnknownNameError, match="did you mean 'disc'"):
        load_detection("shapes?count=4&size=32", classes=["dics"])
    with pytest.raises(DataError, match="different names"):
        load_detection("shapes?count=4&size=32", classes=["disc", "disc"])


def test_a_class_missing_from_validation_is_noted(tmp_path: Path) -> None:
    validation = small()
    validation["annotations"] = validation["annotations"][:1]
    assert load_detection(write_coco(tmp_path, small(), validation)).notes == ("no object in validation: dog",)


def test_a_missing_validation_split_is_drawn_seeded_and_disjoint(tmp_path: Path) -> None:
    train = small()
    train["images"].append(image_entry(4))
    source = write_coco(tmp_path, train)
    (tmp_path / "val.json").unlink()
    data = load_detection(source, validation_fraction=0.5)
    ids = [{record.id for record in split.images} for split in (data.train, data.validation)]
    assert ids[0] | ids[1] == {1, 2, 3, 4}
    assert not ids[0] & ids[1]
    again = load_detection(source, validation_fraction=0.5)
    assert {record.id for record in again.validation.images} == ids[1]


def test_a_source_without_a_test_split_can_give_its_validation_split_for_it(tmp_path: Path) -> None:
    source = write_coco(tmp_path, small(), small())
    plain, required = load_detection(source), load_detection(source, require_test=True, validation_fraction=0.5)
    assert plain.test is None
    assert required.test is not None
    assert required.test.digest() == plain.validation.digest()
    drawn = [record.id for part in (required.train, required.validation) for record in part.images]
    assert sorted(drawn) == sorted(record.id for record in plain.train.images)


def write_voc(folder: Path) -> Path:
    for part in ("Annotations", "JPEGImages", "ImageSets/Main"):
        (folder / part).mkdir(parents=True)
    objects = {"a": (("dog", 1, 1, 10, 20, 0), ("cat", 5, 6, 40, 30, 1)), "b": (("cat", 2, 3, 4, 5, 0),), "c": ()}
    for name, found in objects.items():
        Image.new("RGB", (WIDTH, HEIGHT)).save(folder / "JPEGImages" / f"{name}.jpg")
        parts = [
            f"<object><name>{label}</name><difficult>{hard}</difficult><bndbox><xmin>{left}</xmin><ymin>{top}</ymin>"
            f"<xmax>{right}</xmax><ymax>{bottom}</ymax></bndbox></object>"
            for label, left, top, right, bottom, hard in found
        ]
        size = f"<size><width>{WIDTH}</width><height>{HEIGHT}</height><depth>3</depth></size>"
        text = f"<annotation><filename>{name}.jpg</filename>{size}{''.join(parts)}</annotation>"
        (folder / "Annotations" / f"{name}.xml").write_text(text, encoding="utf-8")
    (folder / "ImageSets/Main/train.txt").write_text("a\nc\n", encoding="utf-8")
    (folder / "ImageSets/Main/val.txt").write_text("b\n", encoding="utf-8")
    return folder


def test_voc_counts_pixels_from_one_and_difficult_objects_are_ignored(tmp_path: Path) -> None:
    data = load_detection(f"voc:{write_voc(tmp_path)}", strict=True)
    assert data.class_names == ("cat", "dog")
    assert data.train.boxes[0].tolist() == [[0, 0, 10, 20], [4, 5, 40, 30]]
    assert data.train.labels[0].tolist() == [1, 0]
    assert data.train.crowd[0].tolist() == [False, True]
    assert data.validation.boxes[0].tolist() == [[1, 2, 4, 5]]


def test_a_broken_voc_annotation_is_located(tmp_path: Path) -> None:
    folder = write_voc(tmp_path)
    path = folder / "Annotations" / "a.xml"
    path.write_text(path.read_text(encoding="utf-8").replace("<xmin>5</xmin>", ""), encoding="utf-8")
    with pytest.raises(DataError, match=r"a\.xml: object 2 \(cat\) has no four numbers"):
        voc_to_coco(folder, "train")
    data = load_detection(f"voc:{folder}")
    assert len(data.skipped) == 1
    path.write_text("<annotation>", encoding="utf-8")
    with pytest.raises(DataError, match=r"a\.xml: image 'a': not a readable annotation"):
        voc_to_coco(folder, "train")
    with pytest.raises(DataError, match=r"test\.txt"):
        voc_to_coco(folder, "test")


def test_digests_follow_pixels_boxes_and_labels() -> None:
    split = load_detection("shapes?count=6&size=32").train
    assert split.digest() == load_detection("shapes?count=6&size=32").train.digest()
    moved = (split.boxes[0] + 1, *split.boxes[1:])
    named = (split.labels[0] + 1, *split.labels[1:])
    others = [
        DetectionSplit(images=split.images, boxes=moved, labels=split.labels, crowd=split.crowd),
        DetectionSplit(images=split.images, boxes=split.boxes, labels=named, crowd=split.crowd),
        DetectionSplit(images=split.images[::-1], boxes=split.boxes, labels=split.labels, crowd=split.crowd),
    ]
    assert len({split.digest(), *(other.digest() for other in others)}) == 4


def test_a_split_refuses_arrays_that_do_not_fit() -> None:
    record = ImageRecord(id=1, width=2, height=2, pixels=np.zeros((2, 2, 3), np.uint8))
    fine = {"boxes": np.zeros((1, 4), np.float32), "labels": np.zeros(1, np.int64), "crowd": np.zeros(1, np.bool_)}
    for name, value in (("boxes", np.zeros((1, 4))), ("labels", np.zeros(2, np.int64)), ("crowd", np.zeros(1))):
        arrays: Any = {key: (array,) for key, array in (fine | {name: value}).items()}
        with pytest.raises(DataError, match="image 1"):
            DetectionSplit(images=(record,), **arrays)
    with pytest.raises(DataError, match="either a path or pixels"):
        ImageRecord(id=1, width=2, height=2)


def test_the_manifest_is_plain_and_counts(tmp_path: Path) -> None:
    data = load_detection(write_coco(tmp_path, small()))
    manifest = json.loads(json.dumps(data.manifest()))
    assert manifest["splits"]["train"]["objects_per_class"] == {"cat": 1, "dog": 1}
    assert set(manifest["splits"]) == {"train", "validation"}


def test_shapes_have_tight_boxes_around_their_masks() -> None:
    for drawn in draw_shapes(count=12, size=48)["train"]:
        total = 0
        for (left, top, right, bottom), label in zip(drawn.boxes.astype(int), drawn.labels, strict=True):
            part = drawn.mask[top:bottom, left:right] == label + 1
            assert part.any(axis=1).all()
            assert part.any(axis=0).all()
            total += int(part.sum())
        assert total == int((drawn.mask > 0).sum())
    assert len(CLASS_NAMES) == 3


def shared(name: str) -> DetectionData:
    if not (SHARED / name).is_dir():
        pytest.skip(f"no ../shared/data/{name} beside the checkout")
    options = "?train=person_train.json&validation=person_val.json" if name == "people_mini" else ""
    return load_detection(f"coco:{SHARED / name}{options}", strict=True)


@pytest.mark.parametrize(
    ("name", "images", "objects"), [("people_mini", (264, 162), (591, 436)), ("bccd", (205, 87), (2804, None))]
)
def test_real_data_are_read_without_a_fault(
    name: str, images: tuple[int, int], objects: tuple[int, int | None]
) -> None:
    data = shared(name)
    assert (len(data.train), len(data.validation)) == images
    assert data.train.object_count == objects[0]
    assert objects[1] in (None, data.validation.object_count)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"image_id": [1]}, r"annotation 1: image id \[1\] is unknown"),
        ({"category_id": {}}, r"annotation 1: category id {} is unknown"),
        ({"id": [1]}, r"annotation \[1\]: its id is neither a number nor a text"),
        ({"bbox": [0, 0, 10**400, 5]}, r"annotation 1: bbox .* must be four finite numbers"),
    ],
)
def test_ids_and_numbers_of_no_use_are_located(change: dict[str, Any], message: str, tmp_path: Path) -> None:
    content = small()
    content["annotations"][0] |= change
    source = write_coco(tmp_path, content)
    with pytest.raises(DataError, match=rf"train\.json: {message}"):
        load_detection(source, strict=True)
    assert load_detection(source).train.object_count == 1


def test_an_image_whose_id_is_a_list_is_located(tmp_path: Path) -> None:
    content = small()
    content["images"].append({"id": [4], "file_name": "4.png"})
    (line,) = load_detection(write_coco(tmp_path, content)).skipped
    assert "train.json: image {'id': [4], 'file_name': '4.png'} needs an 'id'" in line


def test_a_voc_image_that_is_listed_twice_has_its_boxes_once(tmp_path: Path) -> None:
    folder = write_voc(tmp_path)
    (folder / "ImageSets/Main/train.txt").write_text("a\nc\na\n", encoding="utf-8")
    data = load_detection(f"voc:{folder}")
    assert [len(boxes) for boxes in data.train.boxes] == [2, 0]
    assert data.skipped == (f"{folder / 'ImageSets/Main/train.txt'}: image 'a' is listed 2 times; it is read once",)


def test_a_voc_split_without_objects_is_one_of_negatives(tmp_path: Path) -> None:
    folder = write_voc(tmp_path)
    (folder / "ImageSets/Main/train.txt").write_text("a\nb\n", encoding="utf-8")
    (folder / "ImageSets/Main/val.txt").write_text("c\n", encoding="utf-8")
    data = load_detection(f"voc:{folder}", strict=True)
    assert (len(data.validation), data.validation.object_count) == (1, 0)
    assert data.notes == ("no object in validation: cat, dog",)
    (folder / "ImageSets/Main/train.txt").write_text("c\n", encoding="utf-8")
    with pytest.raises(DataError, match=r"train\.txt, .*val\.txt: there are no categories"):
        load_detection(f"voc:{folder}")
