"""The contract of a hub as a test class: subclass it to run any hub through the same suite."""

from __future__ import annotations

import threading
from abc import ABC, abstractmethod
from hashlib import sha256
from pathlib import Path

import numpy as np
import pytest

from accelzoo.errors import ReleaseError, UnknownNameError
from accelzoo.hubs.protocol import ABSENT, ConflictError, Hub
from accelzoo.model_card import Evaluation, Metric, model_card
from accelzoo.release import HASHED_FILES, RELEASE_FILES, Release, read_release, verify_folder, write_release
from accelzoo.release_config import Preprocessing, make_config

NAME = "zoo/tiny-net"
UNKNOWN_DIGEST = "sha256:" + "0" * 64


def example_release(folder: Path, *, value: float = 0.0, size: int = 6) -> Release:
    """Writes a small, complete release.

    Args:
        folder: Where.
        value: Makes releases differ.
        size: Number of float32 weights.
    """
    trace = folder.with_name(f"{folder.name}.trace.jsonl")
    trace.parent.mkdir(parents=True, exist_ok=True)
    trace.write_text('{"candidate": 0}\n', encoding="utf-8")
    evaluation = Evaluation(
        task="image-classification",
        dataset="cifar10",
        dataset_name="CIFAR-10",
        metrics=(Metric(kind="accuracy", value=0.5, name="top-1"),),
    )
    config = make_config(
        arch={"stem": {"kind": "conv"}},
        arch_digest="sha256:" + "a" * 64,
        class_names=("cat", "dog"),
        num_features=3,
        preprocessing=Preprocessing(input_size=(3, 32, 32), mean=(0.5, 0.5, 0.5), std=(0.25, 0.25, 0.25)),
        first_conv="stem.conv",
        classifier="head.classifier",
        metrics={"accuracy": 0.5},
    )
    return write_release(
        folder,
        weights={"head.weight": np.full(size, value, np.float32), "steps": np.array(7)},
        config=config,
        recipe_yaml="model: accelzoo_tiny\n",
        lock={"seed": 1},
        trace_path=trace,
        card=model_card(name="tiny", license="apache-2.0", datasets=("cifar10",), evaluations=(evaluation,)),
    )


class HubContract(ABC):
    """What every hub must do. Name the subclass `Test…` and implement the two abstract methods."""

    @pytest.fixture
    @abstractmethod
    def hub(self, tmp_path: Path) -> Hub:
        """A new, empty hub whose cache of pulled releases is below `tmp_path`."""

    @abstractmethod
    def reopen(self, hub: Hub) -> Hub:
        """Returns another client of the same hub."""

    def stored_file(self, hub: Hub, name: str, digest: str, filename: str) -> Path | None:
        """Returns the hub's own copy of a file so that a test can damage it; None where that cannot be done."""
        return None

    @pytest.fixture
    def first(self, tmp_path: Path) -> Release:
        """A release."""
        return example_release(tmp_path / "first", value=1.0)

    @pytest.fixture
    def second(self, tmp_path: Path) -> Release:
        """Another release."""
        return example_release(tmp_path / "second", value=2.0)

    def test_a_published_release_is_the_head(self, hub: Hub, first: Release, second: Release) -> None:
        """The digest is that of the folder, and the last publisher sets the head."""
        assert hub.publish(first.folder, NAME) == first.digest
        assert hub.resolve(NAME) == first.digest
        assert hub.publish(second.folder, NAME) == second.digest
        assert self.reopen(hub).resolve(NAME) == second.digest

    def test_an_empty_hub_lists_nothing_and_says_so(self, hub: Hub, tmp_path: Path) -> None:
        """Unknown names are errors that show the nearest known one."""
        assert hub.list() == ()
        for ask in (hub.resolve, hub.tags, hub.pull):
            with pytest.raises(UnknownNameError, match="zoo/tiny-net"):
                ask(NAME)

    def test_a_misspelled_name_gets_a_suggestion(self, hub: Hub, first: Release) -> None:
        """The nearest published name is named."""
        hub.publish(first.folder, NAME)
        with pytest.raises(UnknownNameError, match=f"did you mean '{NAME}'"):
            hub.resolve("zoo/tiny-nett")

    def test_names_are_listed_sorted(self, hub: Hub, first: Release) -> None:
        """Every published name appears once."""
        for name in ("zoo/b", "ant/z", "zoo/a", "zoo/b"):
            hub.publish(first.folder, name)
        assert hub.list() == ("ant/z", "zoo/a", "zoo/b")

    def test_revisions_are_digests_prefixes_and_tags(self, hub: Hub, first: Release, second: Release) -> None:
        """Each way to name an old release finds it after the head has moved."""
        hub.publish(first.folder, NAME, tags=("v1", "paper"))
        hub.publish(second.folder, NAME, tags=("v2",))
        digits = first.digest.removeprefix("sha256:")
        for revision in (first.digest, digits, digits[:8], f"sha256:{digits[:12]}", "v1", "paper"):
            assert hub.resolve(NAME, revision) == first.digest
        assert hub.tags(NAME) == {"paper": first.digest, "v1": first.digest, "v2": second.digest}
        assert list(hub.tags(NAME)) == ["paper", "v1", "v2"]

    @pytest.mark.parametrize("revision", ["v9", UNKNOWN_DIGEST, "00000000", "../head", ""])
    def test_an_unknown_revision_is_refused(self, hub: Hub, first: Release, revision: str) -> None:
        """The error shows what was asked for and the tags there are."""
        hub.publish(first.folder, NAME, tags=("v1",))
        with pytest.raises(ReleaseError, match="no such revision") as caught:
            hub.resolve(NAME, revision)
        assert f"{NAME}@{revision}" in str(caught.value)
        assert "Tags: v1" in str(caught.value)

    def test_seven_digits_are_too_few(self, hub: Hub, first: Release) -> None:
        """A prefix needs eight digits."""
        hub.publish(first.folder, NAME)
        with pytest.raises(ReleaseError, match="8 or more"):
            hub.resolve(NAME, first.digest.removeprefix("sha256:")[:7])

    def test_a_tag_never_moves(self, hub: Hub, first: Release, second: Release) -> None:
        """A conflicting tag stops the whole publication."""
        hub.publish(first.folder, NAME, tags=("v1",))
        with pytest.raises(ConflictError, match="'v1'") as caught:
            hub.publish(second.folder, NAME, tags=("v2", "v1"))
        assert first.digest in str(caught.value)
        assert hub.resolve(NAME) == first.digest
        assert hub.tags(NAME) == {"v1": first.digest}

    def test_publishing_the_head_again_changes_nothing(self, hub: Hub, first: Release) -> None:
        """Same content, same tags: no error; further tags are added."""
        hub.publish(first.folder, NAME, tags=("v1",))
        assert hub.publish(first.folder, NAME, expect=first.digest, tags=("v1", "v1-again")) == first.digest
        assert hub.tags(NAME) == {"v1": first.digest, "v1-again": first.digest}

    def test_publishing_an_older_release_moves_the_head_back(self, hub: Hub, first: Release, second: Release) -> None:
        """The head is what was published last, whatever was stored first."""
        for release in (first, second, first):
            hub.publish(release.folder, NAME)
        assert hub.resolve(NAME) == first.digest
        assert hub.resolve(NAME, second.digest) == second.digest

    def test_expect_is_compared_with_the_head(self, hub: Hub, first: Release, second: Release) -> None:
        """Only the head that was expected is replaced; also when the content is there already."""
        with pytest.raises(ConflictError, match="nothing published yet"):
            hub.publish(first.folder, NAME, expect=second.digest)
        assert hub.list() == ()
        hub.publish(first.folder, NAME, expect=ABSENT)
        for folder in (first.folder, second.folder):
            for expect in (ABSENT, second.digest):
                with pytest.raises(ConflictError, match=first.digest):
                    hub.publish(folder, NAME, expect=expect)
        assert hub.resolve(NAME) == first.digest
        hub.publish(second.folder, NAME, expect=first.digest)
        assert hub.resolve(NAME) == second.digest

    @pytest.mark.parametrize("expect", ["v1", "sha256:12", "0" * 64])
    def test_expect_must_be_a_whole_digest(self, hub: Hub, first: Release, expect: str) -> None:
        """A tag or a prefix is refused before anything happens."""
        with pytest.raises(ReleaseError, match="64 hex digits"):
            hub.publish(first.folder, NAME, expect=expect)
        assert hub.list() == ()

    def test_one_of_many_publishers_with_the_same_expectation_wins(
        self, hub: Hub, first: Release, tmp_path: Path
    ) -> None:
        """Compare-and-swap under contention: the others learn who won."""
        hub.publish(first.folder, NAME)
        releases = [example_release(tmp_path / f"rival{index}", value=10.0 + index) for index in range(4)]
        won: list[str] = []
        lost: list[str] = []
        start = threading.Barrier(len(releases))

        def publish(release: Release) -> None:
            client = self.reopen(hub)
            start.wait()
            try:
                won.append(client.publish(release.folder, NAME, expect=first.digest))
            except ConflictError as error:
                lost.append(str(error))

        threads = [threading.Thread(target=publish, args=(release,)) for release in releases]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert (len(won), len(lost)) == (1, 3)
        assert hub.resolve(NAME) == won[0]
        assert all(won[0] in message for message in lost)

    @pytest.mark.parametrize("filename", RELEASE_FILES)
    def test_a_damaged_folder_is_not_published(self, hub: Hub, first: Release, filename: str) -> None:
        """The fault is named and the name stays unpublished."""
        (first.folder / filename).unlink()
        with pytest.raises(ReleaseError, match=filename):
            hub.publish(first.folder, NAME)
        assert hub.list() == ()

    @pytest.mark.parametrize(
        "name",
        ["", "tiny", "a/b/c", "/b", "a/", "../b", "a/..", "a/.b", "a b/c", "a/b\n", "a\\b/c", "a--b/c", "a/b..c",
         "a/b.", "a/b.git", "a/b.lock", "nul/b", "a/COM1.x", "é/b", "a/" + "b" * 95],
    )  # fmt: skip
    def test_a_bad_name_is_refused(self, hub: Hub, first: Release, name: str) -> None:
        """Nothing that could leave the hub, clash with its own files, or fail on another hub."""
        for ask in (hub.resolve, hub.pull, hub.tags, lambda name: hub.publish(first.folder, name)):
            with pytest.raises(ReleaseError, match="release name"):
                ask(name)
        assert hub.list() == ()

    @pytest.mark.parametrize(
        "tag",
        ["", "a/b", "..", ".x", "latest", "HEAD", "main", "deadbeef", "0" * 64, "sha256-1", "x.lock"],
    )
    def test_a_bad_tag_is_refused(self, hub: Hub, first: Release, tag: str) -> None:
        """A tag is a plain name that neither moves nor looks like a digest."""
        with pytest.raises(ReleaseError, match="tag"):
            hub.publish(first.folder, NAME, tags=(tag,))
        assert hub.list() == ()

    def test_tags_are_no_text(self, hub: Hub, first: Release) -> None:
        """`tags="v1"` would otherwise become the tags v and 1."""
        with pytest.raises(ReleaseError, match="expected a list of tags"):
            hub.publish(first.folder, NAME, tags="v1")

    def test_pull_brings_the_same_bytes(self, hub: Hub, first: Release, second: Release, tmp_path: Path) -> None:
        """Every file equals the source's, and the digest is the same."""
        hub.publish(first.folder, NAME, tags=("v1",))
        hub.publish(second.folder, NAME)
        for revision, release in ((None, second), ("v1", first), (first.digest, first)):
            pulled = hub.pull(NAME, revision, tmp_path / "new" / f"{revision}")
            assert pulled == tmp_path / "new" / f"{revision}"
            assert {path.name: path.read_bytes() for path in pulled.iterdir()} == {
                path.name: path.read_bytes() for path in release.folder.iterdir()
            }
            assert read_release(pulled).digest == release.digest

    def test_a_pinned_pull_is_found_in_the_cache(self, hub: Hub, first: Release, second: Release) -> None:
        """A digest names one content: another client of the same cache finds it, whatever the head is by now."""
        hub.publish(first.folder, NAME)
        folder = hub.pull(NAME)
        hub.publish(second.folder, NAME)
        for revision in (first.digest, first.digest.removeprefix("sha256:")):
            assert self.reopen(hub).pull(NAME, revision) == folder
        assert hub.pull(NAME) != folder

    def test_pull_uses_the_cache_and_mends_it(self, hub: Hub, first: Release) -> None:
        """A second pull finds the first one's folder; a damaged copy is fetched again."""
        hub.publish(first.folder, NAME)
        folder = hub.pull(NAME)
        written_ns = (folder / "config.json").stat().st_mtime_ns
        assert hub.pull(NAME) == folder
        assert (folder / "config.json").stat().st_mtime_ns == written_ns
        (folder / "config.json").write_bytes(b"{}")
        (folder / "extra").mkdir()
        assert hub.pull(NAME) == folder
        assert verify_folder(folder) == first.digest

    def test_pull_never_overwrites_unasked(self, hub: Hub, first: Release, second: Release, tmp_path: Path) -> None:
        """The same release is fine, an empty folder is filled, another release needs force."""
        hub.publish(first.folder, NAME)
        into = tmp_path / "into"
        into.mkdir()
        assert hub.pull(NAME, into=into) == into
        assert hub.pull(NAME, into=into) == into
        hub.publish(second.folder, NAME)
        with pytest.raises(ReleaseError, match="already exists"):
            hub.pull(NAME, into=into)
        assert verify_folder(into) == first.digest
        hub.pull(NAME, into=into, force=True)
        assert verify_folder(into) == second.digest

    def test_pull_never_replaces_a_foreign_folder(self, hub: Hub, first: Release, tmp_path: Path) -> None:
        """Not even with force."""
        hub.publish(first.folder, NAME)
        into = tmp_path / "home"
        into.mkdir()
        (into / "thesis.tex").write_text("years of work", encoding="utf-8")
        with pytest.raises(ReleaseError, match=r"thesis\.tex"):
            hub.pull(NAME, into=into, force=True)
        assert [path.name for path in into.iterdir()] == ["thesis.tex"]

    @pytest.mark.parametrize("filename", HASHED_FILES)
    def test_a_release_damaged_in_the_hub_is_not_installed(
        self, hub: Hub, first: Release, tmp_path: Path, filename: str
    ) -> None:
        """The error names the file and both hashes; nothing appears, and publishing again mends the hub."""
        hub.publish(first.folder, NAME)
        stored = self.stored_file(hub, NAME, first.digest, filename)
        if stored is None:
            pytest.skip("this hub gives no access to its own copy")
        data = stored.read_bytes()
        stored.write_bytes(data + b"\n")
        folder = tmp_path / "pulled" / "here"
        with pytest.raises(ReleaseError, match=f"{filename}: damaged") as caught:
            hub.pull(NAME, into=folder)
        assert sha256(data).hexdigest() in str(caught.value)
        assert sha256(data + b"\n").hexdigest() in str(caught.value)
        assert list(folder.parent.iterdir()) == []
        hub.publish(first.folder, NAME)
        assert verify_folder(hub.pull(NAME, into=folder)) == first.digest
