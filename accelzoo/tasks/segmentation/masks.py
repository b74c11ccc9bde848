"""Mask files to class labels: which stored value or colour is which class, and what is none."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from accelzoo.errors import DataError

IGNORE = 255  # in memory, whatever the files use
_UNKNOWN = 254  # marks, while a mask is read, what the coding does not know
MAX_CLASSES = 254
_NAMED = 5

Colour = tuple[int, int, int]
_INDEXED_MODES = ("1", "L", "P", "I", "I;16")
_COLOUR_MODES = ("RGB", "RGBA")


@dataclass(frozen=True, slots=True, kw_only=True)
class MaskCoding:
    """What the pixels of mask files mean.

    Args:
        values: Stored value → label, for grey masks and for the indices of palette masks.
        colours: Colour (red, green, blue) → label, for masks in RGB. Labels are 0 … classes − 1, or `IGNORE`.
    """

    values: Mapping[int, int]
    colours: Mapping[Colour, int]

    @classmethod
    def plain(cls, classes: int, ignore: int | None, palette: Sequence[Colour] = ()) -> MaskCoding:
        """Returns the usual coding: value k is class k, `ignore` is ignored, colour k of the palette is class k."""
        values = {label: label for label in range(classes)}
        if ignore is not None:
            values[ignore] = IGNORE
        return cls(values=values, colours={colour: label for label, colour in enumerate(palette)})

    def labels(self, image: Image.Image, where: str) -> NDArray[np.uint8]:
        """Returns the labels of a mask, uint8 (height, width), `IGNORE` where a pixel counts for nothing.

        Raises:
            DataError: If the mask is of an unsupported kind, or holds values or colours that mean nothing; it names
                them with their numbers of pixels, and `where`.
        """
        if image.mode in _INDEXED_MODES:
            stored = np.asarray(image).astype(np.int64)
            keys, meanings = np.array(list(self.values), dtype=np.int64), list(self.values.values())
        elif image.mode in _COLOUR_MODES and self.colours:
            red, green, blue = np.moveaxis(np.asarray(image.convert("RGB")).astype(np.int64), 2, 0)
            stored = (red << 16) | (green << 8) | blue
            keys = np.array([(r << 16) | (g << 8) | b for r, g, b in self.colours], dtype=np.int64)
            meanings = list(self.colours.values())
        else:
            wanted = "grey, palette or RGB" if self.colours else "grey or palette (no colours are given)"
            raise DataError(f"{where}: a mask of mode {image.mode}; allowed: {wanted}")
        labels = _look_up(stored, keys, np.array(meanings, dtype=np.uint8))
        unknown = labels == _UNKNOWN
        if unknown.any():
            raise DataError(f"{where}: {_named(stored[unknown], image.mode in _COLOUR_MODES)} mean no class")
        return labels


def read_mask(path: Path, coding: MaskCoding) -> NDArray[np.uint8]:
    """Reads a mask file as labels, uint8 (height, width).

    Raises:
        DataError: Naming the file, if it is missing, broken, or holds what the coding does not know.
    """
    try:
        with Image.open(path) as image:
            image.load()
            return coding.labels(image, str(path))
    except FileNotFoundError as error:
        raise DataError(f"{path}: no such mask file") from error
    except (OSError, ValueError, SyntaxError, Image.DecompressionBombError) as error:
        raise DataError(f"{path}: not a readable mask ({error})") from error


def _look_up(stored: NDArray[np.int64], keys: NDArray[np.int64], meanings: NDArray[np.uint8]) -> NDArray[np.uint8]:
    if len(keys) and keys.max() < 256 and stored.max(initial=0) < 256:
        table = np.full(256, _UNKNOWN, dtype=np.uint8)
        table[keys] = meanings
        return table[stored]
    order = np.argsort(keys)
    keys, meanings = keys[order], meanings[order]
    places = np.minimum(np.searchsorted(keys, stored), len(keys) - 1)
    return np.where(keys[places] == stored, meanings[places], _UNKNOWN).astype(np.uint8)


def _named(stored: NDArray[np.int64], colours: bool) -> str:
    values, counts = np.unique(stored, return_counts=True)
    order = np.argsort(-counts, kind="stable")
    names = []
    for value, count in zip(values[order][:_NAMED], counts[order][:_NAMED], strict=True):
        shown = f"({value >> 16}, {value >> 8 & 255}, {value & 255})" if colours else str(value)
        names.append(f"{shown} ({count} pixels)")
    more = f" and {len(values) - _NAMED} more" if len(values) > _NAMED else ""
    return f"{'colours' if colours else 'values'} {', '.join(names)}{more}"


def voc_palette(count: int) -> tuple[Colour, ...]:
    """Returns the first colours of the PASCAL VOC palette (Everingham et al., VOC development kit, `VOClabelcolormap`).

    The bits of the class number, lowest first and in turn, become the highest bits of red, green and blue.
    """
    colours = []
    for label in range(count):
        red = green = blue = 0
        for place in range(8):
            bits = label >> (3 * place)
            red |= (bits & 1) << (7 - place)
            green |= (bits >> 1 & 1) << (7 - place)
            blue |= (bits >> 2 & 1) << (7 - place)
        colours.append((red, green, blue))
    return tuple(colours)
