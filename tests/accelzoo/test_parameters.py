"""Parameters counted without torch equal those of the module."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

import pytest
import torch
from torch import nn

from accelzoo import get_arch, get_space, list_models, list_spaces
from accelzoo.arch import Arch, Stage
from accelzoo.blocks import Block, block_kinds
from accelzoo.draw import generator
from accelzoo.errors import AccelzooError
from accelzoo.heads import ClassificationHead, head_kinds
from accelzoo.heads.base import Head
from accelzoo.parameters import count_parameters
from accelzoo.stem import Stem
from tests.accelzoo.fresh import fresh_python


def built(arch: Arch) -> int:
    """The count that torch gives."""
    with torch.device("meta"):
        return sum(parameter.numel() for parameter in arch.build().parameters())


@pytest.mark.parametrize("name", list_models())
def test_registered_models(name: str) -> None:
    assert count_parameters(get_arch(name)) == built(get_arch(name))


@pytest.mark.parametrize("space", list_spaces())
def test_points_of_spaces(space: str) -> None:
    for index in range(3):
        arch = get_space(space).sample(generator(7, index))
        assert count_parameters(arch) == built(arch)


@pytest.mark.parametrize("kind", block_kinds())
def test_block_kinds(kind: str) -> None:
    fields = {"se_ratio": 0.25, "layer_scale": 1e-5, "kv_stride": 2, "query_stride": 2}
    names = block_kinds()[kind].__dataclass_fields__
    known: dict[str, Any] = {name: value for name, value in fields.items() if name in names}
    every: tuple[dict[str, Any], ...] = ({}, known)
    for changes in every:
        blocks = [block_kinds()[kind](out_channels=out, **changes) for out in (16, 16, 32)]
        stages = tuple(Stage(block=block) for block in blocks)
        arch = Arch(stem=Stem(out_channels=16), stages=stages, input_size=(3, 32, 32))
        assert count_parameters(arch) == built(arch)


HEADS: list[Any] = [
    *head_kinds(),
    {"kind": "classification", "pool_first": True},
    {"kind": "classification", "pool_first": True, "hidden_norm": False},
    {"kind": "classification", "hidden_channels": None, "num_classes": 0},
    {"kind": "retina", "neck": {"kind": "bifpn", "fusion": "fast"}},
    {"kind": "fcos", "neck": {"kind": "fpn", "separable": False}, "tower_depth": 0},
    {"kind": "sequence", "hidden_channels": 24},
]


@pytest.mark.parametrize("head", HEADS, ids=str)
def test_head_kinds(head: Any) -> None:
    arch = get_arch("ibn_t", head=head, input_size=320)
    assert count_parameters(arch) == built(arch)


def test_count_of_mobilenetv2_is_the_published_one() -> None:
    # Sandler et al. 2018, table 4: 3.4 M; torchvision and timm count 3 504 872.
    assert count_parameters(get_arch("mobilenetv2_100")) == 3_504_872


@dataclass(frozen=True, slots=True, kw_only=True)
class Odd(Block):
    """A block that builds more than it lists."""

    kind: ClassVar[str] = "odd"

    def build(self, in_channels: int) -> nn.Module:
        return nn.Conv2d(in_channels, self.out_channels, 1)


@dataclass(frozen=True, slots=True, kw_only=True)
class OddHead(Head):
    kind: ClassVar[str] = "odd"
    task: ClassVar[str] = "classification"

    lower = ClassificationHead.lower
    pool_first: bool = False
    hidden_layers = staticmethod(lambda: ())


def test_what_does_not_tell_its_parameters_is_refused() -> None:
    odd = Arch(stem=Stem(out_channels=8), stages=(Stage(block=Odd(out_channels=8)),))
    with pytest.raises(AccelzooError, match="blocks of kind 'odd'"):
        count_parameters(odd)
    stage = Stage(block=block_kinds()["ibn"](out_channels=8))
    with pytest.raises(AccelzooError, match="heads of kind 'odd'"):
        count_parameters(Arch(stem=Stem(out_channels=8), stages=(stage,), head=OddHead()))


def test_counting_needs_no_torch() -> None:
    code = (
        "import sys, accelzoo; from accelzoo.parameters import count_parameters; "
        "count_parameters(accelzoo.get_arch('ibn_s')); print('torch' in sys.modules)"
    )
    assert fresh_python(code) == "False"
