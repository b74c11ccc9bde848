"""Small segmentation sets written to a folder, in the layouts that are read."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

COLOURS = ((200, 40, 40), (40, 200, 40), (40, 40, 200))
"""What classes 0, 1 and 2 look like in images."""


def blocks(height: int = 24, width: int = 32, seed: int = 0, block: int = 8) -> NDArray[np.uint8]:
    """Labels 0 … 2 in square blocks."""
    drawn = np.random.Generator(np.random.PCG64(seed))
    coarse = drawn.integers(0, 3, (-(-height // block), -(-width // block)), dtype=np.uint8)
    return np.kron(coarse, np.ones((block, block), dtype=np.uint8))[:height, :width]


def painted(labels: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """An image in which every pixel has the colour of its label (ignored ones black)."""
    table = np.zeros((256, 3), dtype=np.uint8)
    table[:3] = COLOURS
    return table[labels]


def save(path: Path, array: NDArray[np.uint8], palette: Sequence[int] | None = None) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    image = Image.fromarray(array)
    if palette is not None:
        image.putpalette(list(palette))
    image.save(path)
    return path


def write_pairs(images: Path, masks: Path, count: int, suffix: str = ".png", seed: int = 0) -> None:
    for index in range(count):
        labels = blocks(seed=seed + index)
        save(images / f"{index:02d}{suffix}", painted(labels))
        save(masks / f"{index:02d}.png", labels)


def write_folder(root: Path, *, train: int = 6, validation: int = 3, **classes: object) -> Path:
    write_pairs(root / "train" / "images", root / "train" / "masks", train)
    if validation:
        write_pairs(root / "val" / "images", root / "val" / "masks", validation, seed=100)
    write_classes(root, **classes)
    return root


def write_classes(root: Path, **further: object) -> None:
    root.mkdir(parents=True, exist_ok=True)
    content = {"classes": ["red", "green", "blue"], "palette": [list(colour) for colour in COLOURS], **further}
    (root / "classes.json").write_text(json.dumps(content), encoding="utf-8")
