"""The config.json of a release: its keys, and what it refuses."""

from __future__ import annotations

from typing import Any

import pytest

from accelzoo.errors import ReleaseError
from accelzoo.release_config import Preprocessing, check_config, make_config

ARGUMENTS: dict[str, Any] = {
    "arch": {"stem": {"kind": "conv"}},
    "arch_digest": "sha256:" + "a" * 64,
    "class_names": ("cat", "dog"),
    "num_features": 64,
    "preprocessing": Preprocessing(
        input_size=(3, 96, 128), mean=(0.5, 0.4, 0.3), std=(0.1, 0.2, 0.3), crop_pct=0.875, interpolation="bicubic"
    ),
    "first_conv": "stem.conv",
    "classifier": "head.classifier",
    "metrics": {"accuracy": 0.75},
    "target": "edge",
    "cost": {"latency_s": 0.001},
    "model_args": {"num_classes": 2, "drop_rate": 0.1},
}


def test_the_keys_are_those_timm_reads_and_our_own() -> None:
    shape, mean, std = [3, 96, 128], [0.5, 0.4, 0.3], [0.1, 0.2, 0.3]
    assert make_config(**ARGUMENTS) == {
        "architecture": "accelzoo_arch",
        "num_classes": 2,
        "num_features": 64,
        "pretrained_cfg": {
            "input_size": shape, "mean": mean, "std": std, "crop_pct": 0.875, "interpolation": "bicubic",
            "first_conv": "stem.conv", "classifier": "head.classifier", "num_classes": 2,
        },
        "model_args": {"arch": {"stem": {"kind": "conv"}}, "drop_rate": 0.1},
        "accelzoo": {
            "arch": {"stem": {"kind": "conv"}}, "arch_digest": "sha256:" + "a" * 64, "class_names": ["cat", "dog"],
            "input_size": shape, "mean": mean, "std": std, "metrics": {"accuracy": 0.75}, "target": "edge",
            "cost": {"latency_s": 0.001},
        },
    }  # fmt: skip


def test_checking_changes_nothing_but_the_model_arguments() -> None:
    config = make_config(**ARGUMENTS)
    given = {**config, "model_args": {"num_classes": 2, **config["model_args"]}, "label_names": ["cat", "dog"]}
    assert check_config(given) == {**config, "label_names": ["cat", "dog"]}
    assert given["model_args"]["num_classes"] == 2


def test_a_release_from_before_the_entry_for_any_architecture_is_still_one() -> None:
    config = make_config(**ARGUMENTS) | {"architecture": "accelzoo_tiny", "model_args": {}}
    assert check_config(config) == config


@pytest.mark.parametrize(
    ("path", "value", "message"),
    [
        ("num_classes", 3, r"num_classes \(=3\), pretrained_cfg.num_classes \(=2\) .*class_names \(=2\)"),
        ("pretrained_cfg.num_classes", 1000, r"pretrained_cfg.num_classes \(=1000\)"),
        ("accelzoo.class_names", "ab", "accelzoo.class_names: expected a list"),
        ("accelzoo.input_size", [3, 96, 96], "accelzoo.input_size"),
        ("accelzoo.mean", None, "accelzoo.mean"),
        ("accelzoo.arch_digest", "sha256:12", "accelzoo.arch_digest"),
        ("architecture", "", "architecture: expected a name"),
        ("pretrained_cfg", [], "pretrained_cfg: expected a mapping, found list"),
        ("model_args.arch", {}, "model_args.arch and accelzoo.arch must be equal"),
        ("model_args", None, "model_args: expected a mapping, found NoneType"),
    ],
)
def test_a_contradiction_is_named(path: str, value: object, message: str) -> None:
    config = make_config(**ARGUMENTS)
    *outer, key = path.split(".")
    (config[outer[0]] if outer else config)[key] = value
    with pytest.raises(ReleaseError, match=message):
        check_config(config)


def test_every_missing_key_is_named_at_once() -> None:
    config = make_config(**ARGUMENTS)
    del config["num_features"], config["pretrained_cfg"]["std"], config["accelzoo"]["cost"]
    with pytest.raises(ReleaseError) as caught:
        check_config(config)
    for path in ("num_features", "pretrained_cfg.std", "accelzoo.cost"):
        assert f"  {path}: missing" in str(caught.value)
