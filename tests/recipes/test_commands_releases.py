"""The verbs run, publish and pull."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from accelzoo.hubs.conformance import example_release
from accelzoo.recipes import list_recipes, recipe_path
from accelzoo.release import RELEASE_FILES, read_release, write_release
from tests.accelzoo.stand_in_hub import stand_in
from tests.recipes.calls import Capture, failure, run, run_json

pytestmark = pytest.mark.usefixtures("own_places")


class FakeOutcome:
    """What the pipeline would return."""

    folder = Path("runs/x")
    release = Path("runs/x/release")
    table = "| baseline | winner |\n"

    def to_json(self) -> dict[str, Any]:
        return {"release": str(self.release)}


def test_run_hands_everything_to_the_pipeline(capsys: Capture, monkeypatch: pytest.MonkeyPatch) -> None:
    from accelzoo.recipes import pipeline

    seen: list[tuple[Any, dict[str, Any]]] = []

    def run_recipe(recipe: str, **options: Any) -> FakeOutcome:
        seen.append((recipe, options))
        return FakeOutcome()

    monkeypatch.setattr(pipeline, "run_recipe", run_recipe)
    options = ["--out", "o", "--resume", "--workers", "2"]
    text = run(capsys, "run", "mine.yaml", "--profile", "smoke", "seeds=[0]", *options, "data=digits")
    assert text.splitlines() == ["| baseline | winner |", "", "run      runs/x", "release  runs/x/release"]
    assert run_json(capsys, "run", "mine", "--force") == {"release": "runs/x/release"}
    first = {"profile": "smoke", "overrides": ["seeds=[0]", "data=digits"], "out": Path("o"), "resume": True}
    second: dict[str, Any] = {"profile": None, "overrides": [], "out": None, "resume": False}
    assert seen == [
        ("mine.yaml", first | {"force": False, "workers": "2", "progress": None}),
        ("mine", second | {"force": True, "workers": "1", "progress": None}),
    ]


def test_run_tells_every_fault_of_a_recipe_with_its_place(capsys: Capture) -> None:
    text = recipe_path(list_recipes()[0]).read_text(encoding="utf-8")
    Path("mine.yaml").write_text(text + "bugdets: {}\n", encoding="utf-8")
    message = failure(capsys, "run", "mine.yaml", "search.evaluations=many")
    assert f"mine.yaml:{len(text.splitlines()) + 1}:1: " in message
    assert "did you mean 'budgets'?" in message
    assert "override 'search.evaluations=many'" in message


# publish and pull


def test_what_is_published_is_pulled(capsys: Capture, tmp_path: Path) -> None:
    first, second = (example_release(tmp_path / name, value=value) for name, value in (("a", 1.0), ("b", 2.0)))
    hub = (tmp_path / "other hub").as_uri()
    reference = run(capsys, "publish", str(first.folder), "zoo/tiny", "--hub", hub, "--expect", "").strip()
    assert reference == f"hub:zoo/tiny@{first.digest}"
    assert "nothing was changed" in failure(
        capsys, "publish", str(second.folder), "zoo/tiny", "--hub", hub, "--expect", second.digest
    )
    run(capsys, "publish", str(second.folder), "zoo/tiny", "--hub", hub, "--expect", first.digest)
    assert run(capsys, "pull", reference, "--hub", hub, "--into", "mine") == "mine\n"
    assert read_release("mine").digest == first.digest
    assert "already exists" in failure(capsys, "pull", "zoo/tiny", "--hub", hub, "--into", "mine")
    run(capsys, "pull", "zoo/tiny", "--hub", hub, "--into", "mine", "--force")
    assert read_release("mine").digest == second.digest
    cached = run(capsys, "pull", "hub:zoo/tiny", "--hub", hub).strip()
    assert Path(cached).is_relative_to(tmp_path / "cache")


def test_hugging_face_is_a_hub_like_others(
    capsys: Capture, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    far = stand_in(monkeypatch, tmp_path / "far")
    release = example_release(tmp_path / "a")
    published = run(capsys, "publish", str(release.folder), "zoo/tiny", "--hub", "hf:", "--private", "--tag", "v1")
    assert published == f"hf:zoo/tiny@{release.digest}\n"
    assert run(capsys, "pull", "hf:zoo/tiny@v1", "--into", "mine") == "mine\n"
    assert run(capsys, "pull", "zoo/tiny", "--into", "again") == "again\n"
    run(capsys, "pull", "zoo/tiny", "--hub", "https://hub.example", "--into", "third")
    assert {read_release(folder).digest for folder in ("mine", "again", "third")} == {release.digest}
    assert far.asked == [
        "publish zoo/tiny to None, private=True",
        "pull zoo/tiny@v1 from None",
        "pull zoo/tiny@None from None",
        "pull zoo/tiny@None from https://hub.example",
    ]


def test_a_directory_is_not_private(capsys: Capture, tmp_path: Path) -> None:
    release = example_release(tmp_path / "a")
    message = failure(capsys, "publish", str(release.folder), "zoo/tiny", "--private")
    assert "its permissions say who may read it" in message
    assert not (tmp_path / "hub").exists()


def test_no_verb_takes_a_token(capsys: Capture) -> None:
    for verb in ("publish", "pull"):
        assert "--token" not in run(capsys, verb, "--help")


def test_a_run_is_not_published_but_its_releases_are_named(capsys: Capture, tmp_path: Path) -> None:
    for name in ("V1", "baseline"):
        example_release(Path("runs/mine/release") / name)
    for folder in ("runs/mine", "runs/mine/release"):
        message = failure(capsys, "publish", folder, "zoo/tiny")
        assert "releases in it: runs/mine/release/V1, runs/mine/release/baseline" in message
    assert "it has no SHA256SUMS" in failure(capsys, "publish", "runs", "zoo/tiny")
    assert not (tmp_path / "hub").exists()


@pytest.mark.parametrize("stated", ["license: ''", "license: unknown", "license: other", "license: null"])
def test_a_release_without_a_licence_is_not_published(stated: str, capsys: Capture, tmp_path: Path) -> None:
    release = example_release(tmp_path / "a")
    bare = write_release(
        tmp_path / "bare",
        weights=release.load_weights(),
        config=release.config,
        recipe_yaml="a: b\n",
        lock={},
        trace_path=None,
        card=release.read_card().replace("license: apache-2.0", stated),
    )
    assert "licence" in failure(capsys, "publish", str(bare.folder), "zoo/tiny")
    assert not (tmp_path / "hub").exists()


@pytest.mark.parametrize("filename", RELEASE_FILES)
def test_a_damaged_release_is_neither_published_nor_pulled(filename: str, capsys: Capture, tmp_path: Path) -> None:
    release = example_release(tmp_path / "tiny")
    run(capsys, "publish", str(release.folder), "zoo/tiny")
    (stored,) = (tmp_path / "hub").rglob(filename)
    for path in (release.folder / filename, stored):
        path.write_bytes(path.read_bytes() + b"!")
    assert filename in failure(capsys, "publish", str(release.folder), "zoo/again")
    assert filename in failure(capsys, "pull", "zoo/tiny", "--into", "mine")
    assert not Path("mine").exists()
