"""Architectures as values: faults, scaling, digests and the way to a config and back."""

from __future__ import annotations

import json
from dataclasses import dataclass, make_dataclass, replace
from pathlib import Path
from typing import Any

import pytest

from accelzoo import config, get_arch, list_models
from accelzoo.arch import Arch, Stage
from accelzoo.blocks import IBN, ConvBnAct
from accelzoo.errors import ConfigError, ShapeError
from accelzoo.heads import ClassificationHead
from accelzoo.stem import Stem
from tests.accelzoo.fresh import fresh_python

SMALL = Arch(
    stem=Stem(out_channels=16),
    stages=(
        Stage(block=IBN(out_channels=24, stride=2, expansion_ratio=4), repeats=3),
        Stage(block=ConvBnAct(out_channels=40)),
    ),
    head=ClassificationHead(num_classes=10, hidden_channels=64),
    input_size=(3, 32, 32),
)


@pytest.mark.parametrize("name", list_models())
def test_configs_round_trip_through_files(name: str, tmp_path: Path) -> None:
    arch = get_arch(name)
    for suffix, text in (("yaml", config.dump_yaml(arch)), ("json", json.dumps(arch.to_config()))):
        path = tmp_path / f"arch.{suffix}"
        path.write_text(text, encoding="utf-8")
        again = Arch.from_config(path)
        assert again == arch
        assert hash(again) == hash(arch)
        assert again.digest() == arch.digest()


def test_faults_are_located_and_reported_together(tmp_path: Path) -> None:
    path = tmp_path / "bad.yaml"
    stages = "- {kind: ibm, out_channels: 8}\n- {kind: ibn, out_channels: x}\n"
    path.write_text(f"stem: {{out_channels: 16, strid: 2}}\nstages:\n{stages}")
    with pytest.raises(ConfigError) as caught:
        Arch.from_config(path)
    said = "\n".join(caught.value.faults)
    assert len(caught.value.faults) == 3
    assert f"{path}:1:26: stem.strid: unknown key" in said
    assert "did you mean 'ibn'?" in said
    assert f"{path}:4:29: stages[1].out_channels: expected an integer" in said


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"stages": ()}, "at least one stage"),
        ({"input_size": (3, 0, 32)}, r"input_size \(=\[3, 0, 32\]\) must be positive"),
    ],
)
def test_values_out_of_range_are_named(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        replace(SMALL, **changes)
    with pytest.raises(ValueError, match=r"repeats \(=0\)"):
        Stage(block=ConvBnAct(out_channels=8), repeats=0)


def test_only_the_first_repeat_strides() -> None:
    assert [block.stride for block in SMALL.stages[0].blocks()] == [2, 1, 1]
    names = [op.name for op in SMALL.lower().ops if op.kind == "add"]
    assert names == ["blocks.0.1.add", "blocks.0.2.add"]


def test_scaling_rounds_to_the_divisor() -> None:
    scaled = SMALL.scaled(1.5, 1.1, 16)
    assert scaled.stem.out_channels == 32  # 24 → 32 (halves round up)
    assert [stage.block.out_channels for stage in scaled.stages] == [48, 64]  # 36 → 32 would lose more than 10 %
    assert [stage.repeats for stage in scaled.stages] == [4, 2]
    assert scaled.head == ClassificationHead(num_classes=10, hidden_channels=96)
    assert scaled.input_size == SMALL.input_size
    assert SMALL.scaled(0.5).head == SMALL.head
    assert SMALL.scaled() is SMALL


@pytest.mark.parametrize("values", [(0, 1, 8), (1, -1, 8), (1, 1, 0)])
def test_scaling_refuses_what_is_not_positive(values: tuple[float, float, int]) -> None:
    with pytest.raises(ShapeError, match="must be positive"):
        SMALL.scaled(*values)


def test_digests_do_not_depend_on_the_hash_seed() -> None:
    code = "import accelzoo; print(*[accelzoo.get_arch(n).digest() for n in accelzoo.list_models()])"
    here = [get_arch(name).digest() for name in list_models()]
    assert fresh_python(code, PYTHONHASHSEED="12345").split() == here
    assert len(set(here)) == len(here)
    assert all(digest.startswith("sha256:") and len(digest) == 71 for digest in here)


def test_digests_tell_architectures_apart_but_not_how_they_were_written() -> None:
    assert replace(SMALL, input_size=(3, 32, 33)).digest() != SMALL.digest()
    spelt = Arch.from_config({**SMALL.to_config(), "stem": {"out_channels": 16}})
    assert spelt.digest() == SMALL.digest()


def test_a_new_field_with_a_default_leaves_digests_alone() -> None:
    @dataclass(frozen=True, slots=True, kw_only=True)
    class Old:
        width: int
        ratio: float = 1.0
        shape: tuple[int, ...] = ()

    new = make_dataclass("New", [("dilation", int, 1)], bases=(Old,), frozen=True, kw_only=True)
    plain = [config.to_config(cls(width=8, ratio=2), defaults=False) for cls in (Old, new)]
    assert plain == [{"width": 8, "ratio": 2.0}] * 2
    assert config.to_config(new(width=8, dilation=2), defaults=False) == {"width": 8, "dilation": 2}
    assert config.to_config([Old(width=1)], defaults=False) == [{"width": 1}]
    assert "drop_rate" not in json.dumps(config.to_config(SMALL, defaults=False))
