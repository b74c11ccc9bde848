"""The verb recipes: what is listed, a copy of one's own, and every fault of a recipe with its place."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from accelzoo import config
from accelzoo.recipes import list_recipes, recipe_path
from accelzoo.recipes.headers import read_header
from accelzoo.recipes.recipe_check import check_recipe
from accelzoo.recipes.schema import load_recipe, profile_names
from tests.checkout import ROOT
from tests.recipes.calls import Capture, failure, run, run_json

pytestmark = pytest.mark.usefixtures("own_places")
PRODUCT = "presence_detection"


def edited(name: str, *changes: tuple[str, str]) -> str:
    """Writes a shipped recipe with changes, and returns the file's name."""
    text = recipe_path(name).read_text("utf-8")
    for old, new in changes:
        assert old in text
        text = text.replace(old, new, 1)
    Path("mine.yaml").write_text(text, encoding="utf-8")
    return "mine.yaml"


def place(text: str, fragment: str) -> str:
    """Returns `line:column` of the first time that a fragment stands in a text."""
    before = text[: text.index(fragment)]
    return f"{before.count(chr(10)) + 1}:{len(before) - before.rfind(chr(10))}"


def test_every_recipe_and_profile_is_listed_with_what_its_header_says(capsys: Capture) -> None:
    entries = run_json(capsys, "recipes")
    assert [entry["name"] for entry in entries] == list_recipes()
    kinds = {entry["name"]: entry["kind"] for entry in entries}
    assert (kinds["camera_classification"], kinds["mobilenet_v1_width"], kinds[PRODUCT]) == (
        "funnel", "width", "product",
    )  # fmt: skip
    for entry in entries:
        assert list(entry["profiles"]) == profile_names(entry["name"])
        for profile, said in entry["profiles"].items():
            assert said["target"] == load_recipe(entry["name"], profile).target
    text = run(capsys, "recipes", "ls", "mobile*", "room*")
    assert text.count("\n\n") == 1
    stated = read_header(recipe_path("mobilenet_v1_width")).profiles["full"]
    row = next(line for line in text.splitlines() if line.startswith("full "))
    assert row.split("  ")[0] == "full"
    assert re.split(" {2,}", row)[-2:] == [stated.time_text, stated.expect_text[0]]
    assert all(line in text for line in stated.expect_text)
    assert run(capsys, "recipes", "ls", "nothing*") == "no recipes\n"


@pytest.mark.parametrize("name", list_recipes())
def test_a_copy_is_the_same_recipe_under_ones_own_name(name: str, capsys: Capture) -> None:
    Path("deeper").mkdir()
    said = run(capsys, "recipes", "cp", name, "deeper/mine.yaml")
    assert said == "wrote deeper/mine.yaml; edit it, then: accelzoo run deeper/mine.yaml\n"
    assert profile_names("deeper/mine.yaml") == profile_names(name)
    for profile in profile_names(name):
        ours, theirs = (config.to_config(load_recipe(one, profile)) for one in ("deeper/mine.yaml", name))
        assert ours == {**theirs, "recipe": "mine"}
    header = read_header(Path("deeper/mine.yaml"))
    assert all(said.run.startswith("accelzoo run deeper/mine.yaml --profile ") for said in header.profiles.values())


def test_paths_in_a_copy_mean_what_they_meant(capsys: Capture) -> None:
    npu = (ROOT / "hwmodel" / "targets" / "camera-npu.yaml").read_text("utf-8")
    Path("npu.yaml").write_text(npu, encoding="utf-8")
    source = edited("camera_classification", ("target: camera-npu", "target: npu.yaml"))
    Path("deeper").mkdir()
    run(capsys, "recipes", "cp", source, "deeper/ours.yaml")
    assert check_recipe("deeper/ours.yaml").faults == ()


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["camera_clasification", "x.yaml"], "unknown recipe 'camera_clasification'; did you mean"),
        (["camera_classification"], "cp takes a recipe and the file to write"),
        (["camera_classification", "x"], "x: name a file such as mine.yaml"),
        (["camera_classification", "null.yaml"], "null.yaml: name a file such as mine.yaml"),
        (["camera_classification", "3: x.yaml"], "3: x.yaml: name a file such as mine.yaml"),
        (["camera_classification", "nowhere/x.yaml"], "nowhere/x.yaml: cannot be written: No such file"),
        (["nowhere.yaml", "x.yaml"], "nowhere.yaml: cannot be read: No such file"),
    ],
)
def test_a_copy_that_cannot_be_made_is_refused(arguments: list[str], said: str, capsys: Capture) -> None:
    assert said in failure(capsys, "recipes", "cp", *arguments)
    assert list(Path().iterdir()) == []


def test_a_copy_is_never_written_over_a_file(capsys: Capture) -> None:
    Path("mine.yaml").write_text("mine", encoding="utf-8")
    assert "mine.yaml exists already" in failure(capsys, "recipes", "cp", "camera_classification", "mine.yaml")
    assert Path("mine.yaml").read_text("utf-8") == "mine"


def test_an_unknown_action_is_refused(capsys: Capture) -> None:
    assert "unknown action 'validat'; did you mean 'validate'?" in failure(capsys, "recipes", "validat")


FAULTS = {
    "camera_classification": [
        ("target: camera-npu", "target: camera_npu", "target", "did you mean 'camera-npu'?"),
        ("baseline: camera_ibn", "baseline: camera_inb", "baseline", "did you mean 'camera_ibn'?"),
        ("baseline: camera_ibn", "baseline: presence_ibn", "baseline", "is for detection"),
        ("space: camera", "space: presence", "space", "is for detection"),
        ("algorithm: default", "algorithm: defualt", "search.algorithm", "did you mean 'default'?"),
        ("draw: 100000,", "scores: [entrpoy],", "search.shortlist.scores", "did you mean 'entropy'?"),
        ("draw: 100000,", "scores: [synflow],", "search.shortlist", "is no sum over operators"),
        ("weight_bytes: 0.5", "wieght_bytes: 0.5", "relative_budgets.wieght_bytes", "did you mean 'weight_bytes'"),
        ("weight_bytes: 0.5", "weight_bytes: 0.0", "relative_budgets.weight_bytes", "must be positive"),
        ("data: digits", "data: digitz", "data", "did you mean 'digits'?"),
    ],
    PRODUCT: [
        ("ethos-u65-512,", "ethos-u65-513,", "also_on[1]", "did you mean 'ethos-u65-512'?"),
        ("baseline: presence_ibn", "baseline: room_cpu", "baseline", "is for segmentation"),
        ("space: presence_fusion", "space: room", "searches.fusion.space", "is for segmentation"),
        ("[entropy, macs, params]", "[entropy, mac]", "search.signal.scores", "did you mean 'macs'?"),
        ("evaluations: 2000", "evaluations: 2000\n  algorithm: evolution", "searches.width", "takes one objective"),
        ("evaluations: 2000", "evaluations: 2000\n  options: {populat: 4}", "search.options.populat", "'population'"),
    ],
    "mobilenet_v1_width": [
        ("network: mobilenetv1_025", "network: mobilenetv1_026", "network", "did you mean 'mobilenetv1_025'?"),
        ("measure: {oracle: ethos-u}", "measure: {oracle: ethos}", "measure.oracle", "did you mean 'ethos-u'?"),
        ("target: x86-int8", "target: camera-npu", "measure.oracle", "cannot measure on 'camera-npu'"),
        ("resolution: 32", "resolution: 32\nbudgets: {latency: 3}", "budgets.latency", "unknown cost field"),
        ("resolution: 32", "resolution: 32\noptions: {num_classes: 3}", "options.num_classes", "follows from data"),
        ("resolution: 32", "resolution: 32\noptions: {stem_strid: 1}", "options", "did you mean 'stem_stride'"),
        ("latency_shares: [0.25]", "latency_shares: [0.25, 0.001]", "latency_shares", "0.001 of the original's"),
    ],
}  # fmt: skip


@pytest.mark.parametrize(
    ("name", "old", "new", "entry", "said"), [(name, *case) for name, cases in FAULTS.items() for case in cases]
)
def test_a_fault_is_told_with_its_place(name: str, old: str, new: str, entry: str, said: str) -> None:
    faults = check_recipe(edited(name, (old, new))).faults
    assert faults
    matching = [fault for fault in faults if f": {entry}: " in fault and said in fault]
    assert matching, faults
    assert all(fault.startswith("mine.yaml:") and fault.split(":")[1] != "0" for fault in matching)


def test_all_faults_are_told_at_once_each_where_it_stands(capsys: Capture) -> None:
    name = edited(
        "camera_classification",
        ("space: camera", "space: camra"),
        ("algorithm: default", "algorithm: defualt"),
        ("full:\n    data: cifar10", "full:\n    data: cifar11"),
    )
    text = Path(name).read_text("utf-8")
    said = failure(capsys, "recipes", "validate", name)
    assert f"mine.yaml:{place(text, 'camra')}: space: unknown space 'camra'; did you mean 'camera'?" in said
    assert f"mine.yaml:{place(text, 'defualt')}: search.algorithm: unknown search algorithm 'defualt'" in said
    assert f"mine.yaml:{place(text, 'cifar11')}: data: unknown data source 'cifar11'" in said
    assert said.rstrip().endswith("(profile full)")
    assert len(said.splitlines()) == 3


def test_overrides_are_validated_too(capsys: Capture) -> None:
    name = edited("camera_classification")
    said = failure(capsys, "recipes", "validate", name, "search.algorithm=evolutoin", "search.evaluation=3")
    assert "override 'search.evaluation=3': search.evaluation: unknown key" in said
    said = failure(capsys, "recipes", "validate", name, "search.algorithm=evolutoin")
    assert "override 'search.algorithm=evolutoin': search.algorithm: unknown" in said
    assert "no fault" in run(capsys, "recipes", "validate", name, "search.evaluations=20")


def test_a_folder_is_validated_with_all_below_it(capsys: Capture) -> None:
    Path("all/deeper").mkdir(parents=True)
    for number, folder in enumerate(("all", "all/deeper")):
        run(capsys, "recipes", "cp", PRODUCT, f"{folder}/mine{number}.yaml")
    Path("all/npu.yaml").write_text("name: npu\n", encoding="utf-8")  # no recipe
    found = run_json(capsys, "recipes", "validate", "all")
    assert [entry["recipe"] for entry in found] == ["all/deeper/mine1.yaml", "all/mine0.yaml"]
    assert found[0] == {"recipe": "all/deeper/mine1.yaml", "kind": "product", "profiles": ["smoke", "full", "cells"]}
    Path("none").mkdir()
    assert "none: no recipe in this folder" in failure(capsys, "recipes", "validate", "none")


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("recipe: [\n", "mine.yaml:2:1: not valid YAML"),
        ("recipe: x\nkind: widht\n", "mine.yaml:2:7: kind: unknown kind of recipe 'widht'; did you mean 'width'?"),
        ("recipe: x\nprofiles: [a]\n", "mine.yaml:2:11: profiles: expected a mapping"),
        ("# profile a\nrecipe: x\n", "mine.yaml:1:1: profile a does not say 'run'"),
    ],
)
def test_a_file_that_is_no_recipe_is_refused_where_it_is_wrong(text: str, said: str, capsys: Capture) -> None:
    Path("mine.yaml").write_text(text, encoding="utf-8")
    assert said in failure(capsys, "recipes", "validate", "mine.yaml")


def test_a_header_of_ones_own_may_be_missing_but_not_wrong(capsys: Capture) -> None:
    text = recipe_path(PRODUCT).read_text("utf-8")
    bare = "\n".join(line for line in text.splitlines() if not line.startswith("#"))
    Path("mine.yaml").write_text(bare, encoding="utf-8")
    assert "no fault" in run(capsys, "recipes", "validate", "mine.yaml")
    edited(PRODUCT, ("# profile cells", "# profile cels"))
    assert "there is no profile 'cels'" in failure(capsys, "recipes", "validate", "mine.yaml")
