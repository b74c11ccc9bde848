"""A corpus of tampered releases and hubs: everything is refused, and the file that was touched is named."""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Callable, Iterator
from itertools import chain
from pathlib import Path

import pytest

from accelzoo._files import remove_any
from accelzoo.errors import AccelzooError, ReleaseError
from accelzoo.hub import LocalHub
from accelzoo.hubs.conformance import NAME, example_release
from accelzoo.pretrained import ZOO, find_release, list_packaged
from accelzoo.release import Release, verify_folder
from tests.accelzoo.tampering import SUMS, Tampering, forgeries, reseal, tamperings

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="makes links and pipes, and publishes")
DRAWN = "a drawn release"


def release_of(name: str, tmp_path: Path) -> Path:
    return example_release(tmp_path / "drawn", value=1.5, size=300).folder if name == DRAWN else ZOO / name


def tampered(
    release: Path, tmp_path: Path, corpus: Callable[[Path], Iterator[Tampering]]
) -> Iterator[tuple[Tampering, Path]]:
    """Yields each tampering of a corpus with one folder, tampered with so and no otherwise."""
    folder = tmp_path / "tampered"
    folder.mkdir()
    for tampering in corpus(release):
        restore(folder, release)
        tampering.apply(folder)
        yield tampering, folder
    restore(folder, release)
    assert verify_folder(folder) == verify_folder(release)


def restore(folder: Path, release: Path) -> None:
    """Makes a folder the copy of a release again; what has the time 0 is untouched since the last call."""
    for path in folder.iterdir():
        if not path.is_file() or path.is_symlink() or path.stat().st_mtime_ns or not (release / path.name).exists():
            remove_any(path)
    for path in release.iterdir():
        if not (folder / path.name).exists():
            shutil.copyfile(path, folder / path.name)
            os.utime(folder / path.name, (0, 0))


def copy_any(source: str, target: str) -> None:
    """Copies a file; makes another pipe of a pipe."""
    if Path(source).is_fifo():
        os.mkfifo(target)
    else:
        shutil.copyfile(source, target)


def refusal(ask: Callable[[], object]) -> str:
    """Returns the error's text; empty if there was none."""
    try:
        ask()
    except AccelzooError as error:
        return str(error)
    return ""


def names(message: str, file: str) -> bool:
    """Tells whether a refusal has a line about the file."""
    return any(line.startswith(f"  {file}: ") for line in message.splitlines())


@pytest.mark.parametrize("name", [*list_packaged(), DRAWN])
def test_every_tampering_is_refused_and_its_file_named(name: str, tmp_path: Path) -> None:
    release = release_of(name, tmp_path)
    digest = verify_folder(release)
    missed, count = [], 0
    for tampering, folder in tampered(release, tmp_path, tamperings):
        count += 1
        found = refusal(lambda: verify_folder(folder))  # noqa: B023
        if found and tampering.file == SUMS:  # else an edited hash shows as the damage of the file that it is of
            found = refusal(lambda: verify_folder(folder, expect=digest))  # noqa: B023
        if not names(found, tampering.file):
            missed.append(f"{tampering.name}: {found or 'not refused'}")
    assert missed == []
    assert count > 100
    assert verify_folder(release) == digest


@pytest.mark.parametrize("name", [*list_packaged(), DRAWN])
def test_every_forgery_is_another_release_and_refused_by_a_pin(name: str, tmp_path: Path) -> None:
    release = release_of(name, tmp_path)
    digest = verify_folder(release)
    missed, count = [], 0
    for tampering, folder in tampered(release, tmp_path, forgeries):
        count += 1
        forged = verify_folder(folder)
        assert forged != digest
        found = refusal(lambda: verify_folder(folder, expect=digest))  # noqa: B023
        opened = refusal(lambda: find_release(f"{folder}@{digest}"))  # noqa: B023
        if f"  {SUMS}: damaged: expected {digest}, found {forged}" not in found or forged not in opened:
            missed.append(f"{tampering.name}: {found or 'not refused'}; opened: {opened or 'not refused'}")
    assert missed == []
    assert count >= 6


@pytest.fixture
def hub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> LocalHub:
    monkeypatch.setenv("ACCELZOO_HUB", str(tmp_path / "hub"))
    monkeypatch.setattr(os, "fsync", lambda descriptor: None)  # nobody pulls the plug here
    return LocalHub(tmp_path / "hub", cache_dir=tmp_path / "cache")


@pytest.fixture
def first(tmp_path: Path) -> Release:
    return example_release(tmp_path / "first", value=1.0, size=300)


@pytest.fixture
def second(tmp_path: Path) -> Release:
    return example_release(tmp_path / "second", value=2.0, size=300)


@pytest.mark.parametrize("corpus", [tamperings, forgeries])
def test_no_tampered_hub_gives_anything_but_what_was_published(
    hub: LocalHub, first: Release, tmp_path: Path, corpus: Callable[[Path], Iterator[Tampering]]
) -> None:
    hub.publish(first.folder, NAME)
    stored = hub.root / NAME / "releases" / first.digest.removeprefix("sha256:")
    missed, count = [], 0
    for tampering, folder in tampered(first.folder, tmp_path, corpus):
        count += 1
        shutil.rmtree(stored)
        shutil.copytree(folder, stored, symlinks=True, copy_function=copy_any)
        into = tmp_path / "into"
        found = refusal(lambda: hub.pull(NAME, into=into))  # noqa: B023
        if tampering.adds and not found:  # only a release's own files are copied: what was added stays behind
            assert verify_folder(into) == first.digest, tampering.name
            shutil.rmtree(into)
        elif not names(found, SUMS if corpus is forgeries else tampering.file) or into.exists():
            missed.append(f"{tampering.name}: {found or 'not refused'}")
    assert missed == []
    assert count >= 6


def test_no_tampered_cache_is_used(hub: LocalHub, first: Release, tmp_path: Path) -> None:
    hub.publish(first.folder, NAME)
    cached = hub.pull(NAME)
    for _, folder in tampered(first.folder, tmp_path, lambda release: chain(tamperings(release), forgeries(release))):
        shutil.rmtree(cached)
        shutil.copytree(folder, cached, symlinks=True, copy_function=copy_any)
        assert verify_folder(hub.pull(NAME), expect=first.digest) == first.digest


def wrong_refs(hub: LocalHub, first: Release, second: Release) -> Iterator[tuple[str, str, str]]:
    """Yields a ref, what it is changed to, and why that is wrong; the head is `second`, v1 is `first`."""
    refs = hub.root / NAME / "refs"
    head, tag = ((refs / ref).read_text(encoding="ascii") for ref in ("head", "tags/v1"))
    other = (hub.root / "zoo/other/refs/head").read_text(encoding="ascii")
    yield "head", head.replace(second.digest, first.digest), "an older release, by hand"
    yield "head", tag, "a tag's file"
    yield "head", other, "the head of another name"
    yield "head", f"{first.digest}\n", "no seal"
    yield "head", head.upper(), "another spelling"
    yield "head", head + "\n", "more than one"
    yield "tags/v1", tag.replace(first.digest, second.digest), "another release, by hand"
    yield "tags/v1", head, "the head's file"
    yield "tags/v1", (refs / "tags/v2").read_text(encoding="ascii"), "another tag's file"


def test_wrong_refs_are_refused_and_named(hub: LocalHub, first: Release, second: Release) -> None:
    hub.publish(first.folder, "zoo/other")
    hub.publish(first.folder, NAME, tags=("v1",))
    hub.publish(second.folder, NAME, tags=("v2",))
    missed = []
    for ref, content, why in wrong_refs(hub, first, second):
        path = hub.root / NAME / "refs" / ref
        before = path.read_bytes()
        path.write_text(content, encoding="ascii")
        revision = None if ref == "head" else "v1"
        for ask in (hub.resolve, hub.pull):
            if f"{path}: damaged" not in refusal(lambda: ask(NAME, revision)):  # noqa: B023
                missed.append(f"{ref}: {why}")
        assert "damaged" in refusal(lambda: hub.publish(first.folder, NAME, tags=("v1",)))
        path.write_bytes(before)
    assert missed == []
    assert hub.tags(NAME) == {"v1": first.digest, "v2": second.digest}


@pytest.mark.parametrize("ref", ["head", "tags/v1"])
def test_a_flipped_bit_in_each_byte_of_a_ref_is_refused(hub: LocalHub, first: Release, ref: str) -> None:
    hub.publish(first.folder, NAME, tags=("v1",))
    path = hub.root / NAME / "refs" / ref
    data = path.read_bytes()
    for index, byte in enumerate(data):
        path.write_bytes(data[:index] + bytes([byte ^ 1 << index % 8]) + data[index + 1 :])
        with pytest.raises(ReleaseError, match="refs/"):
            hub.resolve(NAME, None if ref == "head" else "v1")


def test_a_pin_holds_even_where_the_hub_was_forged_as_a_whole(hub: LocalHub, first: Release, second: Release) -> None:
    hub.publish(first.folder, NAME, tags=("v1",))
    shelf = hub.root / NAME
    forger = LocalHub(hub.root.with_name("forged"))
    forger.publish(second.folder, NAME, tags=("v1",))
    shutil.rmtree(shelf)
    shutil.copytree(forger.root / NAME, shelf)
    assert hub.resolve(NAME, "v1") == second.digest  # whoever owns the hub may do that; hence pins
    assert "no such revision" in refusal(lambda: find_release(f"hub:{NAME}@{first.digest}"))
    stored = shelf / "releases" / first.digest.removeprefix("sha256:")
    shutil.copytree(second.folder, stored)  # the forged content under the pinned digest
    assert names(refusal(lambda: find_release(f"hub:{NAME}@{first.digest}")), SUMS)


def test_a_packaged_release_can_be_pinned(tmp_path: Path) -> None:
    name = list_packaged()[0]
    release = find_release(name)
    assert find_release(f"{name}@{release.digest}").digest == release.digest
    folder = shutil.copytree(release.folder, tmp_path / "copy")
    (folder / "recipe.yaml").write_text("model: other\n", encoding="utf-8")
    reseal(folder)
    message = refusal(lambda: find_release(f"{folder}@{release.digest}"))
    assert str(folder) in message
    assert release.digest in message
    assert verify_folder(folder) in message
