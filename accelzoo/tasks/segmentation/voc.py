"""PASCAL VOC segmentation (Everingham et al. 2010): 20 classes and background, borders ignored."""

from __future__ import annotations

from pathlib import Path

from accelzoo.errors import DataError
from accelzoo.tasks.segmentation.masks import IGNORE, MaskCoding, voc_palette
from accelzoo.tasks.segmentation.raw import RawSegmentation, listed

VOC_CLASSES = (
    "background",
    "aeroplane",
    "bicycle",
    "bird",
    "boat",
    "bottle",
    "bus",
    "car",
    "cat",
    "chair",
    "cow",
    "diningtable",
    "dog",
    "horse",
    "motorbike",
    "person",
    "pottedplant",
    "sheep",
    "sofa",
    "train",
    "tvmonitor",
)
_BORDER_COLOUR = (224, 224, 192)


def read_voc(root: Path) -> RawSegmentation:
    """Reads `JPEGImages`, `SegmentationClass` and `ImageSets/Segmentation/{train,val,test}.txt`.

    Masks may be indexed (255 is the border) or in the colours of the VOC palette.

    Raises:
        DataError: If a folder or the list of training images is missing.
    """
    lists = root / "ImageSets" / "Segmentation"
    for needed in (root / "JPEGImages", root / "SegmentationClass", lists / "train.txt"):
        if not needed.exists():
            raise DataError(f"{needed}: missing; voc:PATH wants the folder of one year, as VOCdevkit/VOC2012")
    splits = {}
    for file, split in (("train", "train"), ("val", "validation"), ("test", "test")):
        path = lists / f"{file}.txt"
        if path.is_file():
            names = path.read_text(encoding="utf-8").split()
            splits[split] = listed(names, root / "JPEGImages", root / "SegmentationClass")
    palette = voc_palette(len(VOC_CLASSES))
    plain = MaskCoding.plain(len(VOC_CLASSES), IGNORE, palette)
    coding = MaskCoding(values=plain.values, colours={**plain.colours, _BORDER_COLOUR: IGNORE})
    return RawSegmentation(splits=splits, coding=coding, class_names=VOC_CLASSES, palette=palette)
