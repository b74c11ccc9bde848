"""Every source keeps the contract, whatever form its data set comes in; so does a plug-in."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from accelzoo.errors import DataError
from accelzoo.tasks import RawData, RawSplit, list_sources, register_source, sources
from accelzoo.tasks.conformance import SourceContract
from tests.accelzoo.tasks.written import (
    grouped_rows,
    pixels,
    write_cifar_binary,
    write_cifar_python,
    write_class_folders,
    write_csv,
    write_idx_folder,
    write_npz,
)


def split_folders(root: Path) -> Path:
    for name in ("train", "validation", "test"):
        write_class_folders(root / name)
    return root


def split_rows() -> list[str]:
    names = ("train",) * 4 + ("val", "test")
    return [f"{index}.png,{'no' if index % 2 else 'yes'},{names[index // 2 % 6]}" for index in range(36)]


WRITERS: dict[str, Callable[[Path], str]] = {
    "digits": lambda folder: "digits",
    "npz": lambda folder: str(write_npz(folder / "set.npz")),
    "cifar10_npz": lambda folder: f"cifar10:{write_npz(folder / 'set.npz')}",
    "cifar10_python": lambda folder: str(write_cifar_python(folder / "cifar-10-batches-py")),
    "cifar10_binary": lambda folder: f"cifar10:{write_cifar_binary(folder / 'bin')}",
    "idx": lambda folder: str(write_idx_folder(folder / "fashion")),
    "idx_gzipped": lambda folder: f"fashion_mnist:{write_idx_folder(folder / 'other', '.gz')}",
    "folder": lambda folder: str(write_class_folders(folder / "pets")),
    "folder_split": lambda folder: str(split_folders(folder / "pets")),
    "csv": lambda folder: str(write_csv(folder / "set", split_rows())),
    "csv_groups": lambda folder: f"{write_csv(folder / 'set', grouped_rows(), 'file,person,scene')}?label=person",
}


@pytest.fixture(scope="module", params=WRITERS)
def source(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> str:
    return WRITERS[request.param](tmp_path_factory.mktemp("data"))


class TestContract(SourceContract):
    """All sources, each through the suite that plug-ins use."""


class TestOwnSource(SourceContract):
    """A plug-in is an object with three names and two methods."""

    @pytest.fixture
    def source(self, monkeypatch: pytest.MonkeyPatch) -> str:
        class Stripes:
            NAME = "stripes"
            SUMMARY = "two classes of noise"
            OPTIONS: tuple[str, ...] = ()

            def detect(self, path: Path) -> bool:
                return False

            def read(self, path: Path | None, options: object) -> RawData:
                if path is not None:
                    raise DataError(f"stripes: takes no path, got {path}")
                labels = np.arange(30, dtype=np.int64) % 2
                return RawData(train=RawSplit(images=pixels(30, 8, 8), labels=labels), class_names=("a", "b"))

        list_sources()  # fills the registry
        monkeypatch.setattr(sources, "_registry", dict(sources._registry))
        register_source(Stripes())
        return "stripes"
