"""What a data source hands over, before images are resized and missing splits are drawn."""

from __future__ import annotations

import hashlib
from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from accelzoo.errors import DataError


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class RawSplit:
    """One split as the source has it.

    Args:
        images: A uint8 array (n, height, width[, channels]), or one path per image.
        labels: int64 (n,).
        groups: One key per image that must stay on one side of a drawn split (a scene, a speaker), or None.
    """

    images: NDArray[np.uint8] | Sequence[Path]
    labels: NDArray[np.int64]
    groups: Sequence[Hashable] | None = None

    def __post_init__(self) -> None:
        if len(self.images) != len(self.labels):
            raise DataError(f"{len(self.images)} images but {len(self.labels)} labels")

    def take(self, indices: NDArray[np.int64]) -> RawSplit:
        """Returns the images at `indices`."""
        images = self.images[indices] if isinstance(self.images, np.ndarray) else [self.images[i] for i in indices]
        groups = None if self.groups is None else [self.groups[i] for i in indices]
        return RawSplit(images=images, labels=self.labels[indices], groups=groups)

    def carve_groups(self) -> Sequence[Hashable]:
        """Returns the key that keeps related images together: the group given, else a hash of the image itself."""
        if self.groups is not None:
            return self.groups
        if isinstance(self.images, np.ndarray):
            return [hashlib.sha256(image.tobytes()).digest() for image in self.images]
        return [_file_digest(path) for path in self.images]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class RawData:
    """A data set as its source has it; splits that are None are drawn from `train`."""

    train: RawSplit
    validation: RawSplit | None = None
    test: RawSplit | None = None
    class_names: tuple[str, ...]
    mirror: bool = True


class Source(Protocol):
    """A way to read data sets: a module of `accelzoo.tasks.sources`, or any object with these names.

    `NAME` selects it (`NAME` or `NAME:path`), `SUMMARY` is one line for listings, `OPTIONS` are the keys allowed after
    a `?` (`index.csv?label=person`).
    """

    NAME: str
    SUMMARY: str
    OPTIONS: tuple[str, ...]

    def detect(self, path: Path) -> bool:
        """Says whether `path` looks like this source's data; looks at names only, opens nothing large."""
        ...

    def read(self, path: Path | None, options: Mapping[str, str]) -> RawData:
        """Reads the data at `path` (None: the usual place).

        Raises:
            DataError: If it is missing or broken; the message says what to install or where to put it.
        """
        ...


def _file_digest(path: Path) -> bytes:
    try:
        return hashlib.sha256(path.read_bytes()).digest()
    except OSError as error:
        raise DataError(f"{path}: cannot be read ({error.strerror})") from error
