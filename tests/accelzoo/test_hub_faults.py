"""A local hub on a bad day: full disks, read-only folders, links and pipes in odd places, names twice but for case."""

from __future__ import annotations

import errno
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from accelzoo.errors import ReleaseError, UnknownNameError
from accelzoo.hub import LocalHub
from accelzoo.hubs.conformance import NAME, example_release
from accelzoo.hubs.local_refs import write_ref
from accelzoo.release import Release, verify_folder
from tests.forks import in_child, wait

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="publishing needs a POSIX system")
NOBODY = 65534


@pytest.fixture
def hub(tmp_path: Path) -> LocalHub:
    return LocalHub(tmp_path / "hub", cache_dir=tmp_path / "cache")


@pytest.fixture
def first(tmp_path: Path) -> Release:
    return example_release(tmp_path / "first", value=1.0)


@pytest.fixture
def second(tmp_path: Path) -> Release:
    return example_release(tmp_path / "second", value=2.0)


def files_of(folder: Path) -> dict[str, bytes]:
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


@pytest.mark.parametrize("twin", ["zoo/Tiny-Net", "Zoo/tiny-net", "ZOO/other"])
def test_a_name_that_differs_only_in_case_is_refused(hub: LocalHub, first: Release, second: Release, twin: str) -> None:
    hub.publish(first.folder, NAME)
    with pytest.raises(ReleaseError, match="differs only in case"):
        hub.publish(second.folder, twin)
    for ask in (hub.resolve, hub.pull, hub.tags):
        with pytest.raises(UnknownNameError):
            ask(twin)
    assert hub.list() == (NAME,)
    assert hub.publish(second.folder, NAME) == second.digest


def test_a_tag_that_differs_only_in_case_is_refused(hub: LocalHub, first: Release, second: Release) -> None:
    hub.publish(first.folder, NAME, tags=("v1",))
    for tags in (("V1",), ("new", "NEW")):
        with pytest.raises(ReleaseError, match="differs only in case"):
            hub.publish(second.folder, NAME, tags=tags)
    with pytest.raises(ReleaseError, match="no such revision"):
        hub.resolve(NAME, "V1")
    assert hub.tags(NAME) == {"v1": first.digest}
    assert hub.resolve(NAME) == first.digest


def test_a_hub_moved_without_its_empty_folders_goes_on(hub: LocalHub, first: Release, second: Release) -> None:
    hub.publish(first.folder, NAME)
    for part in ("refs/tags", "staging"):
        (hub.root / NAME / part).rmdir()
    (hub.root / ".lock").unlink()
    assert hub.tags(NAME) == {}
    assert verify_folder(hub.pull(NAME)) == first.digest
    assert hub.publish(second.folder, NAME, tags=("v2",)) == second.digest
    (hub.root / NAME / "refs/tags/.DS_Store").write_bytes(b"a file system's own")
    assert hub.tags(NAME) == {"v2": second.digest}


@pytest.mark.parametrize("part", ["..", ".", "releases", "refs", "refs/tags", "staging"])
def test_a_link_in_place_of_a_folder_is_refused(hub: LocalHub, first: Release, tmp_path: Path, part: str) -> None:
    hub.publish(first.folder, NAME)
    folder, elsewhere = Path(os.path.normpath(hub.root / NAME / part)), tmp_path / "elsewhere"
    folder.rename(elsewhere)
    folder.symlink_to(elsewhere)
    before = files_of(elsewhere)
    for ask in (lambda: hub.publish(first.folder, NAME, tags=("v1",)), lambda: hub.pull(NAME)):
        with pytest.raises(ReleaseError, match=f"{folder}: the hub is damaged: expected a folder, found a link"):
            ask()
    assert files_of(elsewhere) == before


def test_nothing_is_made_through_a_link_of_an_owner(hub: LocalHub, first: Release, tmp_path: Path) -> None:
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    hub.root.mkdir()
    (hub.root / "zoo").symlink_to(elsewhere)
    with pytest.raises(ReleaseError, match="found a link"):
        hub.publish(first.folder, NAME)
    assert list(elsewhere.iterdir()) == []


def test_a_lock_that_is_a_link_is_refused(hub: LocalHub, first: Release, tmp_path: Path) -> None:
    hub.publish(first.folder, NAME)
    (hub.root / NAME / "lock").unlink()
    (hub.root / NAME / "lock").symlink_to(tmp_path / "made-by-mistake")
    with pytest.raises(ReleaseError, match="cannot publish"):
        hub.publish(first.folder, NAME)
    assert not (tmp_path / "made-by-mistake").exists()


@pytest.mark.parametrize("ref", ["head", "tags/v1"])
@pytest.mark.parametrize("kind", ["link", "pipe", "folder", "huge"])
def test_a_ref_that_is_no_small_file_is_named(
    hub: LocalHub, first: Release, tmp_path: Path, ref: str, kind: str
) -> None:
    hub.publish(first.folder, NAME, tags=("v1",))
    path = hub.root / NAME / "refs" / ref
    path.rename(tmp_path / "ref")
    match kind:
        case "link":
            path.symlink_to(tmp_path / "ref")
        case "pipe":
            os.mkfifo(path)
        case "folder":
            path.mkdir()
        case _:
            path.touch()
            os.truncate(path, 1 << 40)
    with pytest.raises(ReleaseError, match=f"{path}: damaged: expected a plain file|longer than .*{path}"):
        hub.resolve(NAME, None if ref == "head" else "v1")


def test_a_ref_called_as_a_digest_diverts_no_pin(
    hub: LocalHub, first: Release, second: Release, tmp_path: Path
) -> None:
    for release in (first, second):
        hub.publish(release.folder, NAME)
    digits = first.digest.removeprefix("sha256:")
    for pin in (first.digest, digits, digits[:12]):
        write_ref(hub.root / NAME, NAME, f"tags/{pin}", second.digest)  # sealed as it should be
        assert verify_folder(hub.pull(NAME, pin, tmp_path / "into", force=True)) == first.digest
    assert hub.tags(NAME) == {}


def test_a_release_that_is_a_link_is_named_and_mended(hub: LocalHub, first: Release) -> None:
    hub.publish(first.folder, NAME)
    stored = hub.root / NAME / "releases" / first.digest.removeprefix("sha256:")
    shutil.rmtree(stored)
    stored.symlink_to(first.folder)
    with pytest.raises(ReleaseError, match=r"expected the release .* found a link"):
        hub.pull(NAME)
    hub.publish(first.folder, NAME)
    assert not stored.is_symlink()
    assert verify_folder(hub.pull(NAME)) == verify_folder(first.folder) == first.digest


def test_pulling_never_follows_or_loses_a_link(hub: LocalHub, first: Release, second: Release, tmp_path: Path) -> None:
    hub.publish(first.folder, NAME)
    dangling, linked, inside = (tmp_path / name for name in ("dangling", "linked", "inside"))
    dangling.symlink_to(tmp_path / "nowhere")
    linked.symlink_to(second.folder)
    for into in (dangling, linked):
        with pytest.raises(ReleaseError, match="exists and is not a folder"):
            hub.pull(NAME, into=into, force=True)
    assert not (tmp_path / "nowhere").exists()
    assert verify_folder(second.folder) == second.digest
    inside.mkdir()
    for path in second.folder.iterdir():
        (inside / path.name).symlink_to(path)
    with pytest.raises(ReleaseError, match="already exists"):
        hub.pull(NAME, into=inside)
    hub.pull(NAME, into=inside, force=True)
    assert verify_folder(inside) == first.digest
    assert verify_folder(second.folder) == second.digest


def make_full(allowed: int) -> None:
    """Makes every creation of a file or folder fail, after so many; what is open may still be written."""
    left = allowed

    def refuse(event: str, arguments: tuple[object, ...]) -> None:
        nonlocal left
        flags = arguments[2] if event == "open" else 0
        if event == "os.mkdir" or (isinstance(flags, int) and flags & os.O_CREAT):
            left -= 1
            if left < 0:
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(arguments[0]))

    sys.addaudithook(refuse)


def publish_on_a_full_disk(hub: LocalHub, release: Release, prepare: Callable[[], None]) -> int:
    """Publishes in a child; 3: refused with the reason, 0: published."""

    def work() -> None:
        prepare()
        try:
            hub.publish(release.folder, NAME, tags=(f"v{release.digest[-6:]}",))
        except ReleaseError as error:
            os._exit(3 if "cannot publish" in str(error) else 4)

    return wait(in_child(work))


def check_after_a_full_disk(hub: LocalHub, allowed: set[str]) -> str:
    """Checks that the hub is whole and holds no leftovers, and returns its head."""
    head = hub.resolve(NAME)
    assert head in allowed
    for folder in (hub.root / NAME / "releases").iterdir():
        assert verify_folder(folder) == f"sha256:{folder.name}"
    assert list((hub.root / NAME / "staging").iterdir()) == []
    return head


def test_a_disk_that_is_full_at_any_step(hub: LocalHub, first: Release, second: Release) -> None:
    hub.publish(first.folder, NAME)
    statuses: list[int] = []
    while 0 not in statuses:
        statuses.append(publish_on_a_full_disk(hub, second, lambda: make_full(len(statuses))))
        head = check_after_a_full_disk(hub, {first.digest, second.digest})
        assert head == (second.digest if statuses[-1] == 0 else first.digest)
    assert len(statuses) > 8  # a folder, seven files and the refs
    assert set(statuses[:-1]) == {3}


@pytest.mark.parametrize("limit", [0, 20, 300])
def test_files_that_the_system_cuts_off(hub: LocalHub, first: Release, second: Release, limit: int) -> None:
    import resource  # where there is fork

    hub.publish(first.folder, NAME)
    status = publish_on_a_full_disk(hub, second, lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit)))
    assert status == 3
    assert check_after_a_full_disk(hub, {first.digest}) == first.digest
    assert hub.publish(second.folder, NAME) == second.digest


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of a megabyte."""
    folder = tmp_path / "disk"
    folder.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", "size=1m", "none", str(folder)]
    if shutil.which("mount") is None or subprocess.run(command, capture_output=True, check=False).returncode:
        pytest.skip("this user may not mount a file system")
    yield folder
    subprocess.run(["umount", str(folder)], check=True)


def test_a_real_full_disk(small_disk: Path, first: Release, tmp_path: Path) -> None:
    hub = LocalHub(small_disk / "hub", cache_dir=small_disk / "cache")
    hub.publish(first.folder, NAME)
    big = example_release(tmp_path / "big", value=3.0, size=300_000)  # 1.2 MB
    half = example_release(tmp_path / "half", value=3.0, size=150_000)
    for name in (NAME, "zoo/other"):
        with pytest.raises(ReleaseError, match=r"cannot publish.*No space left"):
            hub.publish(big.folder, name)
    assert hub.publish(half.folder, NAME) == half.digest  # nothing of the big one is left to take its place
    with pytest.raises(ReleaseError, match=r"cannot pull.*No space left"):
        hub.pull(NAME)
    assert [path for path in (small_disk / "cache").rglob("*") if path.is_file()] == []
    assert check_after_a_full_disk(hub, {half.digest}) == half.digest
    assert verify_folder(hub.pull(NAME, first.digest)) == first.digest


def test_folders_that_may_only_be_read(first: Release) -> None:
    with tempfile.TemporaryDirectory() as name:  # every user may enter it, unlike pytest's own
        place = Path(name)
        hub = LocalHub(place / "hub", cache_dir=place / "cache")
        mine = shutil.copytree(first.folder, place / "mine")
        hub.publish(mine, NAME, tags=("v1",))
        for path in (place, *place.rglob("*")):
            path.chmod(0o555 if path.is_dir() else 0o444)
        (place / "hub" / NAME / "lock").chmod(0o666)
        try:
            assert wait(in_child(lambda: use_what_may_only_be_read(hub, mine, first.digest))) == 0
        finally:
            for path in (place, *(path for path in place.rglob("*") if path.is_dir())):
                path.chmod(0o755)
        assert hub.resolve(NAME) == first.digest


def use_what_may_only_be_read(hub: LocalHub, release: Path, digest: str) -> None:
    if os.geteuid() == 0:
        os.setgroups([])
        os.setresgid(NOBODY, NOBODY, NOBODY)
        os.setresuid(NOBODY, NOBODY, NOBODY)
    assert hub.list() == (NAME,)
    assert hub.resolve(NAME, "v1") == digest
    for name in (NAME, "zoo/other", "other/net"):
        with pytest.raises(ReleaseError, match=r"cannot publish.*Permission denied"):
            hub.publish(release, name, tags=("v2",))
    for into in (None, hub.root / "into"):
        with pytest.raises(ReleaseError, match=r"cannot pull.*Permission denied"):
            hub.pull(NAME, into=into)
    with tempfile.TemporaryDirectory() as own:
        assert verify_folder(hub.pull(NAME, into=Path(own) / "here")) == digest
