"""Networks with their weights: packaged ones, published ones, and damaged ones."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from accelzoo import create_model, pretrained
from accelzoo.arch import Arch
from accelzoo.build import AccelNet, Trunk, build_classifier
from accelzoo.errors import AccelzooError, ConfigError, ReleaseError
from accelzoo.hub import open_hub
from accelzoo.model_card import Evaluation, Metric, model_card
from accelzoo.pretrained import find_release, list_packaged, load_release, names_release
from accelzoo.registry import get_arch
from accelzoo.release import Release, write_release
from accelzoo.release_config import Preprocessing, make_config

ARCH = get_arch("camera_ibn", num_classes=3, input_size=16)
IMAGES = torch.rand(2, 3, 16, 16, generator=torch.Generator().manual_seed(0))


def network() -> AccelNet:
    return build_classifier(ARCH, torch.Generator().manual_seed(7)).eval()


def write(
    folder: Path,
    *,
    arch: dict[str, Any] | None = None,
    drop: str = "",
    extra: str = "",
    names: tuple[str, ...] = ("a", "b", "c"),
    **changes: Any,
) -> Release:
    """Writes a release of `network()`, or of something that does not fit together."""
    plain = arch or ARCH.to_config()
    evaluation = Evaluation(
        task="image-classification", dataset="x", dataset_name="x", metrics=(Metric(kind="accuracy", value=0.5),)
    )
    described = make_config(
        arch=plain,
        arch_digest=changes.get("arch_digest", ARCH.digest()),
        class_names=names,
        num_features=320,
        preprocessing=Preprocessing(input_size=(3, 16, 16), mean=(0.4, 0.5, 0.6), std=(0.2, 0.2, 0.2)),
        first_conv="conv_stem",
        classifier="classifier",
        metrics={"test_top1": 0.5},
    )
    weights = {name: value.numpy() for name, value in network().state_dict().items() if name != drop}
    if extra:
        weights[extra] = np.zeros(3, np.float32)
    card = model_card(name="tiny", license="mit", datasets=["x"], evaluations=[evaluation])
    return write_release(
        folder, weights=weights, config=described, recipe_yaml="recipe: x\n", lock={}, trace_path=None, card=card
    )


@pytest.fixture
def zoo(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(pretrained, "ZOO", tmp_path / "zoo")
    return tmp_path / "zoo"


@pytest.fixture
def hub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """The address of a published release, in a hub and a cache of this test alone."""
    monkeypatch.setenv("ACCELZOO_HUB", str(tmp_path / "hub"))
    monkeypatch.setenv("ACCELZOO_CACHE", str(tmp_path / "cache"))
    open_hub().publish(write(tmp_path / "release").folder, "me/tiny", tags=["v1"])
    return "hub:me/tiny"


def check_network(model: Trunk) -> None:
    assert not model.training
    with torch.inference_mode():
        assert torch.equal(model(IMAGES), network()(IMAGES))
    assert model.arch == ARCH
    assert model.class_names == ("a", "b", "c")
    assert model.pretrained_cfg["mean"] == [0.4, 0.5, 0.6]


def test_packaged_releases_are_listed(zoo: Path) -> None:
    assert list_packaged() == []
    with pytest.raises(ReleaseError, match=r"no weights ship for 'camera_ibn' \(packaged releases: none\)"):
        create_model("camera_ibn", pretrained=True)
    for name in ("tiny_b", "tiny_a"):
        write(zoo / name)
    (zoo / "leftover").mkdir()
    assert list_packaged() == ["tiny_a", "tiny_b"]
    with pytest.raises(ReleaseError, match=r"'tinya'; did you mean 'tiny_a'.*tiny_a, tiny_b"):
        create_model("tinya", pretrained=True)


def test_what_ships_can_be_loaded() -> None:
    for name in list_packaged():
        model = load_release(find_release(name))
        with torch.inference_mode():
            outputs = model(torch.zeros(1, *model.arch.input_size))
        if model.arch.head.task == "classification":
            assert outputs.shape == (1, model.num_classes)


def test_a_packaged_release_comes_with_its_weights(zoo: Path) -> None:
    write(zoo / "tiny")
    check_network(create_model("tiny", pretrained=True))
    with pytest.raises(ReleaseError):
        create_model("../zoo/tiny", pretrained=True)


def test_a_digest_pins_what_is_here_already(zoo: Path, tmp_path: Path) -> None:
    digest = write(zoo / "tiny").digest
    folder = str(write(tmp_path / "mine", names=("x", "y", "z")).folder)
    other = find_release(folder).digest
    for name, known in (("tiny", digest), (folder, other)):
        for pin in (known, known.removeprefix("sha256:"), known[:15]):
            assert find_release(f"{name}@{pin}").digest == known
            assert find_release(name, revision=pin).digest == known
        wrong = other if known == digest else digest
        with pytest.raises(ReleaseError, match=f"expected the digest {wrong}, found {known}"):
            create_model(f"{name}@{wrong}")
        with pytest.raises(ReleaseError, match=f"revision 'v1': only hubs have tags; its digest is {known}"):
            create_model(name, pretrained=True, revision="v1")
        with pytest.raises(ConfigError, match="contradicts"):
            find_release(f"{name}@{known}", revision=wrong)
    check_network(create_model(f"tiny@{digest}"))
    check_network(create_model("tiny", pretrained=True, revision=digest))


def test_a_rewritten_release_does_not_pass_for_the_pinned_one(zoo: Path) -> None:
    digest = write(zoo / "tiny").digest
    (zoo / "tiny").rename(zoo / "away")
    swapped = write(zoo / "tiny", names=("c", "b", "a"))
    assert find_release("tiny").digest == swapped.digest
    with pytest.raises(ReleaseError, match=f"expected the digest {digest}, found {swapped.digest}"):
        create_model("tiny", pretrained=True, revision=digest)


@pytest.mark.parametrize("option", [{"revision": "v1"}, {"cache_dir": "cache"}])
def test_only_a_release_has_a_revision(option: dict[str, Any]) -> None:
    with pytest.raises(ConfigError, match=f"{next(iter(option))} is for releases"):
        create_model("camera_ibn", **option)


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("hub:me/tiny", True),
        ("hf:me/tiny@v1", True),
        ("me/tiny", True),
        ("tiny@sha256:0123456789ab", True),
        ("tiny", False),
        ("tiny@v1", False),
        ("other@sha256:0123456789ab", False),
        ("me/tiny.yaml", False),
        ("here/folder", False),
        (Path("me/tiny"), False),
    ],
)
def test_names_that_are_only_of_releases(
    name: str | Path, expected: bool, zoo: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write(zoo / "tiny")
    (zoo / "here" / "folder").mkdir(parents=True)
    monkeypatch.chdir(zoo)
    (zoo / "tiny").rename(zoo / "apart")  # a folder of that name would be one
    monkeypatch.setattr(pretrained, "list_packaged", lambda: ["tiny"])
    assert names_release(name) is expected


def test_a_folder_that_is_no_release_is_said_to_be_none(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    release = write(tmp_path / "run" / "release" / "a")
    monkeypatch.chdir(tmp_path)
    for name in ("run", "run/release", Path("run")):
        with pytest.raises(ReleaseError, match=r"no release; releases in it: run/release/a$"):
            find_release(name)
    (release.folder / "SHA256SUMS").unlink()
    with pytest.raises(ReleaseError, match="it has no SHA256SUMS"):
        find_release(release.folder)
    with pytest.raises(ReleaseError, match="no such release folder"):
        find_release(Path("missing"))


def test_a_pulled_network_is_kept_where_it_is_asked_for(hub: str, tmp_path: Path) -> None:
    check_network(create_model(hub, revision="v1", cache_dir=tmp_path / "mine"))
    assert list((tmp_path / "mine").rglob("model.safetensors"))
    assert not (tmp_path / "cache").exists()


@pytest.mark.parametrize("prefix", ["hub:", ""])
@pytest.mark.parametrize("revision", ["", "@v1"])
def test_a_published_release_comes_with_its_weights(hub: str, prefix: str, revision: str) -> None:
    hub = prefix + hub.removeprefix("hub:")
    check_network(create_model(hub + revision))
    check_network(create_model(hub + revision, pretrained=True))


def test_unknown_references_are_refused(hub: str) -> None:
    for name in (f"{hub}@v2", "hub:me/other", "hub:tiny"):
        with pytest.raises(AccelzooError):
            create_model(name)


def test_another_number_of_classes_gets_a_fresh_classifier(hub: str) -> None:
    torch.manual_seed(0)
    model = create_model(hub, num_classes=5)
    ours, released = model.state_dict(), network().state_dict()
    assert model(IMAGES).shape == (2, 5)
    assert (model.num_classes, model.class_names) == (5, ())
    assert model.arch.to_config()["head"]["num_classes"] == 5
    assert all(torch.equal(ours[name], released[name]) for name in released if not name.startswith("classifier"))
    assert create_model(hub, num_classes=0)(IMAGES).shape == (2, 320)
    check_network(create_model(hub, num_classes=3))


@pytest.mark.parametrize(
    ("overrides", "said"),
    [
        ({"width_multiplier": 0.5}, "not width_multiplier"),
        ({"num_classes": 5, "se_ratio": 0.25}, "not se_ratio"),
        ({"num_classes": -1}, r"num_classes \(=-1\)"),
        ({"num_classes": "5"}, r"num_classes \(='5'\)"),
        ({"num_classes": True}, r"num_classes \(=True\)"),
    ],
)
def test_other_changes_are_refused(hub: str, overrides: dict[str, Any], said: str) -> None:
    with pytest.raises(ConfigError, match=said):
        create_model(hub, **overrides)


def test_a_damaged_release_is_refused(zoo: Path) -> None:
    release = write(zoo / "tiny")
    data = bytearray(release.weights_path.read_bytes())
    data[-1] ^= 1
    release.weights_path.write_bytes(data)
    with pytest.raises(ReleaseError, match=r"model\.safetensors"):
        create_model("tiny", pretrained=True)


def test_a_release_that_contradicts_itself_is_refused(tmp_path: Path) -> None:
    broken = json.loads(json.dumps(ARCH.to_config()))
    broken["stages"][0]["kind"] = "ibm"
    other = get_arch("camera_ibn", num_classes=3, input_size=16, hidden_channels=64)
    releases = {
        "config.json holds no readable architecture": write(tmp_path / "a", arch=broken),
        "is not the architecture's": write(tmp_path / "b", arch_digest="sha256:" + "0" * 64),
        "the weights do not fit": write(tmp_path / "c", arch=other.to_config(), arch_digest=other.digest()),
        "(?s)the weights do not fit.*bn1.weight": write(tmp_path / "d", drop="bn1.weight"),
        "(?s)the weights do not fit.*conv_new.weight": write(tmp_path / "f", extra="conv_new.weight"),
        "3 outputs, but 2 class names": write(tmp_path / "e", names=("a", "b")),
    }
    for said, release in releases.items():
        with pytest.raises(ReleaseError, match=said):
            load_release(release)


def test_the_architecture_of_a_release_is_plain_data(tmp_path: Path) -> None:
    release = write(tmp_path / "a")
    assert Arch.from_config(release.config["accelzoo"]["arch"]) == ARCH
    assert all(isinstance(array, np.ndarray) for array in release.load_weights().values())
