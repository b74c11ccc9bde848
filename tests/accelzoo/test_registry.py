"""Names to architectures, spaces and modules, with values changed by keyword."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from accelzoo import config, create_model, get_arch, get_space, list_models, list_spaces
from accelzoo.errors import ConfigError, UnknownNameError

NET = get_arch("mobilenetv2_100")
HEAD: Any = NET.head


def test_lists_by_pattern() -> None:
    assert list_models() == sorted(list_models())
    assert list_models("mobilenetv2_1?0") == ["mobilenetv2_100", "mobilenetv2_140"]
    assert list_models("nothing*") == []
    assert set(list_spaces("c*")) == {"camera"}


@pytest.mark.parametrize("make", [get_arch, create_model])
def test_unknown_models_are_suggested(make: Any) -> None:
    with pytest.raises(UnknownNameError, match="unknown model 'mobilenet_v2_100'; did you mean 'mobilenetv2_100'"):
        make("mobilenet_v2_100")


def test_unknown_spaces_are_suggested() -> None:
    with pytest.raises(UnknownNameError, match="unknown space 'camra'; did you mean 'camera'"):
        get_space("camra")


def test_a_file_stands_in_for_a_name(tmp_path: Path) -> None:
    path = tmp_path / "mine.yaml"
    path.write_text(config.dump_yaml(NET), encoding="utf-8")
    assert get_arch(path) == get_arch(str(path)) == NET
    assert get_arch(path, num_classes=3).head == replace(HEAD, num_classes=3)
    with pytest.raises(ConfigError, match=r"mine.yam1l: no such file; did you mean .mine.yaml."):
        get_arch(tmp_path / "mine.yam1l")


@pytest.mark.parametrize(
    ("size", "read"),
    [(96, (3, 96, 96)), ((64, 96), (3, 64, 96)), ([1, 64, 96], (1, 64, 96))],
)
def test_input_sizes(size: Any, read: tuple[int, int, int]) -> None:
    assert get_arch("mobilenetv2_100", input_size=size) == replace(NET, input_size=read)


def test_overrides_change_what_they_name() -> None:
    assert get_arch("mobilenetv2_100", in_chans=1).input_size == (1, 224, 224)
    assert get_arch("mobilenetv2_100", in_chans=4, input_size=64).input_size == (4, 64, 64)
    assert get_arch("mobilenetv2_100", hidden_channels=None).head == replace(HEAD, hidden_channels=None)
    assert get_arch("mobilenetv2_100", width_multiplier=0.5, channel_divisor=16) == NET.scaled(0.5, 1, 16)
    arch = get_arch("mobilenetv2_100", activation="silu", kernel_size=5, expansion_ratio=3)
    assert {arch.stem.activation, arch.head.activation, *(s.block.activation for s in arch.stages)} == {"silu"}  # type: ignore[attr-defined]
    assert {stage.block.kernel_size for stage in arch.stages} == {5}
    assert {getattr(stage.block, "expansion_ratio", 3) for stage in arch.stages} == {3}
    assert arch.stem.kernel_size == 3


def test_an_expansion_ratio_leaves_ratio_1_alone_and_replaces_published_widths() -> None:
    first = get_arch("ibn_s", expansion_ratio=4).stages[0].block
    assert first == get_arch("ibn_s").stages[0].block
    widened = get_arch("efficientnet_es", expansion_ratio=2).stages[0].block
    assert widened.expanded(32) == 64  # type: ignore[attr-defined]


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        ({"num_clases": 3}, "mobilenetv2_100: unknown override 'num_clases'; did you mean 'num_classes'"),
        ({"num_classes": "10"}, "num_classes: expected an integer, got the text '10'"),
        ({"num_classes": -1}, r"num_classes \(=-1\)"),
        ({"input_size": "224"}, "input_size: expected a side"),
        ({"input_size": (1, 2, 3, 4)}, "input_size: expected a side"),
        ({"input_size": 22.5}, "input_size: expected a side"),
        ({"input_size": (3, 32.5, 32)}, "expected an integer"),
        ({"input_size": (3, 32, 32), "in_chans": 1}, "contradicts"),
        ({"input_size": 0}, "must be positive"),
        ({"in_chans": True}, "in_chans: expected an integer"),
        ({"kernel_size": 4}, r"kernel_size \(=4\) must be odd"),
        ({"width_multiplier": 0}, "must be positive"),
        ({"activation": "rellu"}, "did you mean 'relu'"),
        ({"activate_output": 3}, "activate_output: expected true or false"),
        ({"out_channels": 3}, "unknown override 'out_channels'"),
    ],
)
def test_wrong_overrides_are_explained(overrides: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        get_arch("mobilenetv2_100", **overrides)


def test_all_wrong_overrides_are_reported_together() -> None:
    with pytest.raises(ConfigError) as caught:
        get_arch("mobilenetv2_100", num_clases=3, in_chans="x", drop_rate="y")
    assert len(caught.value.faults) == 3


def test_an_override_that_changes_nothing_is_an_error() -> None:
    with pytest.raises(ConfigError, match=r"no block here takes activate_output \(blocks: ibn\)"):
        get_arch("ibn_s", activate_output=True)


def test_create_model_takes_overrides() -> None:
    model: Any = create_model("camera_ibn", num_classes=3, in_chans=1)
    assert model.arch == get_arch("camera_ibn", num_classes=3, in_chans=1)
    assert model.conv_stem.weight.shape[1] == 1
    assert model.num_classes == 3
