"""Every source reads what its format says, and explains what is wrong with a broken data set."""

from __future__ import annotations

import io
import os
import pickle
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from accelzoo.errors import DataError, UnknownNameError
from accelzoo.tasks import list_sources, load_classification, overlap, register_source
from accelzoo.tasks.sources import parse_source, read_source
from accelzoo.tasks.sources.cifar10 import CLASS_NAMES as CIFAR_NAMES
from accelzoo.tasks.sources.fashion_mnist import read_idx
from tests.accelzoo.tasks.written import (
    grouped_rows,
    pixels,
    write_cifar_binary,
    write_cifar_python,
    write_class_folders,
    write_csv,
    write_idx,
    write_idx_folder,
    write_npz,
    write_png,
)

FASHION = Path("/usr/share/datasets/fashion-mnist")
PRESENCE = Path(__file__).resolve().parents[4] / "shared" / "data" / "human_presence_cctv"


def test_a_second_source_of_a_name_is_refused() -> None:
    source, _, _ = parse_source("digits")
    register_source(source)  # the very same one is no conflict

    class Other:
        NAME = "digits"
        SUMMARY = ""
        OPTIONS: tuple[str, ...] = ()
        detect = source.detect
        read = source.read

    with pytest.raises(ValueError, match="exists already"):
        register_source(Other())


def test_every_source_is_listed() -> None:
    assert set(list_sources()) == {"cifar10", "csv", "digits", "fashion_mnist", "folder", "npz"}


def test_digits_are_scikit_learns() -> None:
    from sklearn.datasets import load_digits

    raw = read_source("digits")
    np.testing.assert_allclose(np.asarray(raw.train.images) / 255 * 16, load_digits().images, atol=0.04)
    assert raw.train.labels.tolist() == load_digits().target.tolist()
    assert not raw.mirror


@pytest.mark.parametrize("suffix", ["", ".gz"])
def test_idx_files_are_read_as_written(tmp_path: Path, suffix: str) -> None:
    array = pixels(5, 4, 3)
    assert (read_idx(write_idx(tmp_path / f"a-idx3-ubyte{suffix}", array)) == array).all()


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "not an IDX file"),
        (b"\0\0\x0d\x01\0\0\0\x01\0\0\0\0", "not an IDX file of unsigned bytes"),
        (b"\0\0\x08\x03\0\0", "cut short in its header"),
        (b"\0\0\x08\x01\0\0\0\x05abc", "3 bytes follow"),
        (b"\0\0\x08\x01\0\0\0\x02abc", "3 bytes follow"),
    ],
)
def test_broken_idx_files_are_refused(tmp_path: Path, content: bytes, message: str) -> None:
    path = tmp_path / "broken-ubyte"
    path.write_bytes(content)
    with pytest.raises(DataError, match=message):
        read_idx(path)


def test_a_cut_gzip_file_is_refused(tmp_path: Path) -> None:
    path = write_idx(tmp_path / "a.gz", pixels(50, 4, 3))
    path.write_bytes(path.read_bytes()[:-40])
    with pytest.raises(DataError, match="cannot be read"):
        read_idx(path)


def test_other_sets_in_idx_files_keep_their_numbers(tmp_path: Path) -> None:
    assert read_source(str(write_idx_folder(tmp_path / "fashion"))).class_names[0] == "t-shirt/top"
    plain = read_source(str(write_idx_folder(tmp_path / "digits-of-somebody")))
    # pytest puts this test's own name into the path, so only the digits' case can be told by the classes
    assert plain.class_names == tuple("0123456789")
    assert not plain.mirror


def test_an_incomplete_idx_folder_is_named(tmp_path: Path) -> None:
    folder = write_idx_folder(tmp_path / "set")
    (folder / "t10k-labels-idx1-ubyte").unlink()
    with pytest.raises(DataError, match="has no t10k-labels-idx1-ubyte"):
        read_source(str(folder))


def test_fashion_mnist_as_debian_ships_it() -> None:
    if not FASHION.is_dir():
        pytest.skip("needs the Debian package dataset-fashion-mnist")
    raw = read_source("fashion_mnist")
    assert raw.test is not None
    assert (len(raw.train.labels), len(raw.test.labels)) == (60_000, 10_000)
    assert np.bincount(raw.train.labels).tolist() == [6_000] * 10
    assert np.bincount(raw.test.labels).tolist() == [1_000] * 10
    assert (raw.class_names[9], raw.train.labels[0]) == ("ankle boot", 9)


def test_missing_sets_say_how_to_get_them(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("ACCELZOO_DATA", str(tmp_path))
    monkeypatch.setattr("accelzoo.tasks.sources.fashion_mnist._PLACES", ())
    with pytest.raises(DataError, match="apt-get install dataset-fashion-mnist"):
        read_source("fashion_mnist")
    with pytest.raises(DataError, match="torchvision"):
        read_source("cifar10")
    write_npz(tmp_path / "cifar10.npz")
    assert read_source("cifar10").class_names == CIFAR_NAMES


def test_both_versions_of_cifar10_give_equal_images(tmp_path: Path) -> None:
    pickled = read_source(str(write_cifar_python(tmp_path / "py")))
    binary = read_source(str(write_cifar_binary(tmp_path / "bin")))
    assert pickled.test is not None
    assert binary.test is not None
    for first, second in ((pickled.train, binary.train), (pickled.test, binary.test)):
        assert (np.asarray(first.images) == np.asarray(second.images)).all()
        assert (first.labels == second.labels).all()
    # a record holds the red plane first, row by row
    assert np.asarray(pickled.train.images)[0, 1, 2, 0] == pixels(10, 3072, seed=0)[0, 32 + 2]
    assert np.asarray(pickled.train.images)[0, 1, 2, 2] == pixels(10, 3072, seed=0)[0, 2048 + 32 + 2]


@pytest.mark.parametrize("protocol", [0, 2, 5])
def test_every_pickle_protocol_of_cifar10_is_read(tmp_path: Path, protocol: int) -> None:
    write_cifar_python(tmp_path, protocol=protocol)
    assert len(read_source(str(tmp_path)).train.labels) == 50


class Hostile:
    def __reduce__(self) -> tuple[Callable[[str], int], tuple[str]]:
        return os.system, ("touch harmed",)


def test_a_pickle_that_runs_code_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    write_cifar_python(tmp_path)
    (tmp_path / "data_batch_3").write_bytes(pickle.dumps({b"data": Hostile(), b"labels": []}))
    with pytest.raises(DataError, match=r"data_batch_3.*refused to load \w+\.system"):
        read_source(str(tmp_path))
    assert not (tmp_path / "harmed").exists()


def test_broken_cifar10_batches_are_named(tmp_path: Path) -> None:
    write_cifar_binary(tmp_path)
    (tmp_path / "data_batch_2.bin").write_bytes(b"x" * 100)
    with pytest.raises(DataError, match=r"data_batch_2\.bin.*3073-byte records"):
        read_source(str(tmp_path))
    (tmp_path / "data_batch_2.bin").unlink()
    with pytest.raises(DataError, match="has neither data_batch_2 nor"):
        read_source(str(tmp_path))
    (tmp_path / "data_batch_2").write_bytes(pickle.dumps({b"data": pixels(3, 7), b"labels": [0, 1, 2]}))
    with pytest.raises(DataError, match=r"uint8 \(n, 3072\)"):
        read_source(str(tmp_path))


@pytest.mark.parametrize(
    ("arrays", "message"),
    [
        ({"x_train": pixels(4, 8, 8)}, "needs arrays x_train and y_train; it has x_train"),
        ({"x_train": pixels(4, 8, 8).astype(float), "y_train": np.zeros(4, int)}, "x_train must be uint8, got float64"),
        ({"x_train": pixels(4, 8, 8), "y_train": np.zeros(4)}, "y_train must be integers"),
        ({"x_train": pixels(4, 8, 8), "y_train": np.zeros(3, int)}, "4 images but 3 labels"),
        ({"x_train": pixels(4, 8, 8), "y_train": np.zeros(4, int), "x_test": pixels(1, 8, 8)}, "no y_test"),
        ({"x_train": np.array([{}], dtype=object), "y_train": np.zeros(1, int)}, "plain arrays"),
    ],
)
def test_broken_npz_files_are_named(tmp_path: Path, arrays: dict[str, Any], message: str) -> None:
    np.savez(tmp_path / "bad.npz", **arrays)
    with pytest.raises(DataError, match=message) as caught:
        read_source(str(tmp_path / "bad.npz"))
    assert "bad.npz" in str(caught.value) or "labels" in message


def test_an_npz_may_name_its_classes_and_validation(tmp_path: Path) -> None:
    write_npz(tmp_path / "a.npz", classes=2)
    arrays: dict[str, Any] = dict(np.load(tmp_path / "a.npz"))
    extra: dict[str, Any] = {
        "x_val": pixels(4, 8, 8, 3),
        "y_val": np.array([0, 1, 0, 1]),
        "class_names": np.array(["no", "yes"]),
    }
    np.savez(tmp_path / "b.npz", **arrays, **extra)
    data = load_classification(str(tmp_path / "b.npz"), (3, 8, 8))
    assert data.class_names == ("no", "yes")
    assert (data.validation.images == extra["x_val"].transpose(0, 3, 1, 2)).all()
    assert len(data.train) == 40
    extra["class_names"] = np.array(["no"])
    np.savez(tmp_path / "c.npz", **arrays, **extra)
    with pytest.raises(DataError, match=r"labels 0 … 1, but there are 1 class names"):
        load_classification(str(tmp_path / "c.npz"), (3, 8, 8))


def test_an_npz_cut_short_is_named(tmp_path: Path) -> None:
    path = write_npz(tmp_path / "cut.npz")
    path.write_bytes(path.read_bytes()[:200])
    with pytest.raises(DataError, match=r"cut\.npz: not a readable"):
        read_source(str(path))


def test_class_folders_are_sorted_and_nested_files_count(tmp_path: Path) -> None:
    write_class_folders(tmp_path, ("b", "a"), per_class=3)
    write_png(tmp_path / "a" / "deep" / "x.PNG", pixels(1, 4, 4)[0])
    (tmp_path / "a" / "notes.txt").write_text("no image")
    (tmp_path / "a" / ".hidden.png").write_bytes(b"")
    (tmp_path / ".cache").mkdir()
    raw = read_source(str(tmp_path))
    assert raw.class_names == ("a", "b")
    assert np.bincount(raw.train.labels).tolist() == [4, 3]


def test_class_folders_explain_themselves(tmp_path: Path) -> None:
    write_class_folders(tmp_path / "one", ("only",))
    with pytest.raises(DataError, match="at least two; it has 1"):
        read_source(str(tmp_path / "one"))
    write_class_folders(tmp_path / "set" / "val")
    with pytest.raises(DataError, match=r"has val/ but no train/"):
        read_source(str(tmp_path / "set"))
    write_class_folders(tmp_path / "set" / "train")
    write_class_folders(tmp_path / "set" / "test", ("cat", "dgo"))
    with pytest.raises(DataError, match="classes that train has not: dgo; train has cat, dog"):
        read_source(str(tmp_path / "set"))
    (tmp_path / "set" / "valid").mkdir()
    with pytest.raises(DataError, match="both val/ and valid/"):
        read_source(str(tmp_path / "set"))
    for name in ("x", "y"):
        (tmp_path / "empty" / name).mkdir(parents=True)
    with pytest.raises(DataError, match="no image files"):
        read_source(str(tmp_path / "empty"))


def test_csv_columns_are_found_by_their_names(tmp_path: Path) -> None:
    raw = read_source(str(write_csv(tmp_path, ["a.png,10,s,Training", "b.png,9,s,TEST"], "path,kind,scene,subset")))
    assert raw.class_names == ("9", "10")  # numbers in order of size
    assert raw.train.images == [tmp_path / "a.png"]
    assert raw.train.labels.tolist() == [1]
    assert raw.train.groups == ["s"]
    assert raw.test is not None
    assert raw.validation is None


def test_csv_columns_can_be_named(tmp_path: Path) -> None:
    index = write_csv(tmp_path, ["a.png,x,1,u", "b.png,y,2,v"], "img,colour,size,who")
    with pytest.raises(DataError, match=r"the file and the label; columns: img, colour.*index\.csv\?file=COLUMN&label"):
        read_source(str(index))
    raw = read_source(f"{index}?file=img&label=colour&group=who")
    assert raw.class_names == ("x", "y")
    assert raw.train.groups == ["u", "v"]
    with pytest.raises(DataError, match=r"no column 'color' \(asked for as label\); did you mean 'colour'\?"):
        read_source(f"{index}?file=img&label=color")


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        ([], "has no rows"),
        (["a.png,x"], r"index\.csv:2: expected 3 fields"),
        (["a.png,x,train,more"], r"index\.csv:2: expected 3 fields"),
        (["a.png,x,train", "b.png,,train"], r"index\.csv:3: empty label"),
        (["a.png,x,train", "./a.png,y,test"], r"index\.csv:3: a\.png is listed already in line 2"),
        (["a.png,x,train", "b.png,y,holdout"], r"index\.csv:3: unknown split 'holdout'; allowed: train"),
        (["a.png,x,test", "b.png,y,test"], "no row for train"),
        (["a.png,x,train", "b.png,x,train"], "only the value 'x'"),
    ],
)
def test_broken_csv_files_name_the_line(tmp_path: Path, rows: list[str], message: str) -> None:
    with pytest.raises(DataError, match=message):
        read_source(str(write_csv(tmp_path, rows)))


def test_a_missing_picture_is_named(tmp_path: Path) -> None:
    index = write_csv(tmp_path, [f"{index}.png,{index % 2},train" for index in range(8)])
    (tmp_path / "3.png").unlink()
    with pytest.raises(DataError, match=r"3\.png"):
        load_classification(str(index), (1, 8, 8))


def test_groups_are_never_torn_apart(tmp_path: Path) -> None:
    index = write_csv(tmp_path, grouped_rows(), "file,label,scene")
    scene_of = {tuple(image.ravel()): number // 3 for number, image in enumerate(_in_order(tmp_path, 48))}
    data = load_classification(str(index), (1, 10, 14), validation_fraction=0.25, test_fraction=0.25)
    scenes = [
        {scene_of[tuple(image.ravel())] for image in split.images} for split in (data.train, data.validation, data.test)
    ]
    assert len(scenes[0] | scenes[1] | scenes[2]) == 16 == sum(map(len, scenes))


def _in_order(folder: Path, count: int) -> list[NDArray[np.uint8]]:
    return [np.asarray(Image.open(folder / f"{index}.png")) for index in range(count)]


def test_the_presence_set_loads_whole() -> None:
    if not PRESENCE.is_dir():
        pytest.skip("needs ../shared/data/human_presence_cctv beside the checkout")
    data = load_classification(str(PRESENCE / "index.csv"), (3, 96, 96))
    assert len(data.train) + len(data.validation) + len(data.test) == 921
    assert len(data.test) == 187
    assert data.class_names == ("0", "1")
    assert overlap(data.train, data.validation) == overlap(data.train, data.test) == 0
    raw = read_source(str(PRESENCE))
    assert raw.train.groups is not None


def test_names_and_paths_are_told_apart(tmp_path: Path) -> None:
    with pytest.raises(UnknownNameError, match="did you mean 'digits'"):
        read_source("digit")
    with pytest.raises(DataError, match=r"gone\.npz: no such file or folder"):
        read_source(str(tmp_path / "gone.npz"))
    with pytest.raises(DataError, match="not recognised"):
        read_source(str(tmp_path))
    (tmp_path / "x.txt").write_text("")
    with pytest.raises(DataError, match="not recognised"):
        read_source(str(tmp_path / "x.txt"))
    with pytest.raises(DataError, match=r"written \?name=value"):
        read_source("digits?label")
    assert parse_source(f"npz:{tmp_path}/a.npz")[0].NAME == "npz"


def test_a_fresh_pickle_of_arrays_needs_no_other_name() -> None:
    """What the unpickler allows is what numpy writes today."""
    from accelzoo.tasks.sources.cifar10 import _ArrayUnpickler

    array = pixels(2, 3)
    for protocol in range(pickle.HIGHEST_PROTOCOL + 1):
        loaded = _ArrayUnpickler(io.BytesIO(pickle.dumps([array], protocol)), encoding="bytes").load()
        assert (loaded[0] == array).all()
