"""Every head kind keeps to the contract and fits every backbone."""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import Any, ClassVar

import pytest
import torch
from torch.utils._pytree import tree_leaves

from accelzoo import get_arch
from accelzoo.arch import Arch
from accelzoo.blocks import block_kinds
from accelzoo.errors import ShapeError
from accelzoo.heads import ClassificationHead, Head, LrAsppHead, SegmentationFpnHead, head_kinds
from accelzoo.heads.base import check_at_least_one
from accelzoo.heads.conformance import HeadContract
from accelzoo.hwmodel.ir import GraphBuilder
from accelzoo.importer import from_module
from accelzoo.necks.levels import pick_level
from tests.accelzoo.fresh import fresh_python

KINDS = list(head_kinds())
DENSE = [kind for kind in KINDS if kind != "classification"]
BACKBONES = ("mobilenetv2_035", "mobilenetv3_small_050", "ibn_t")


class TestEveryHead(HeadContract):
    @pytest.fixture(params=KINDS)
    def head_kind(self, request: pytest.FixtureRequest) -> type[Head]:
        return head_kinds()[request.param]


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("backbone", BACKBONES)
def test_any_head_fits_any_backbone(backbone: str, kind: str) -> None:
    arch = get_arch(backbone, head=kind, num_classes=3, input_size=(96, 320))
    model = arch.build().eval()
    with torch.no_grad():
        outputs = tree_leaves(model(torch.zeros(2, *arch.input_size)))
    assert all(output.shape[0] == 2 and bool(output.isfinite().all()) for output in outputs)
    assert from_module(model, arch.input_size).ops == arch.lower().ops


@pytest.mark.parametrize("kind", DENSE)
def test_a_dense_heads_parameters_lie_under_head_and_the_trunk_stays_as_it_is(kind: str) -> None:
    with torch.device("meta"):
        plain, dense = get_arch("ibn_t").build(), get_arch("ibn_t", head=kind).build()
    names = {name for name in dense.state_dict() if not name.startswith("head.")}
    trunk = {name for name in plain.state_dict() if name.startswith(("conv_stem", "bn1", "blocks"))}
    assert names == trunk


@pytest.mark.parametrize("kind", DENSE)
def test_dense_heads_need_a_class(kind: str) -> None:
    for count in (0, -1):
        with pytest.raises(ValueError, match=rf"num_classes \(={count}\) must be at least 1"):
            head_kinds()[kind](num_classes=count)


def test_a_classifier_may_have_no_classes_but_not_fewer() -> None:
    assert ClassificationHead(num_classes=0).num_classes == 0
    with pytest.raises(ValueError, match=r"num_classes \(=-1\) must be 0 \(no classifier\) or more"):
        ClassificationHead(num_classes=-1)


@pytest.mark.parametrize("kind", KINDS)
def test_no_field_is_named_like_a_blocks_but_the_activation(kind: str) -> None:
    of_blocks = {field.name for block in block_kinds().values() for field in fields(block)}
    of_head = {field.name for field in fields(head_kinds()[kind])}
    assert of_head & of_blocks <= {"activation"}
    assert of_head & {field.name for field in fields(Arch)} == set()


def test_the_level_of_a_stride_is_found_or_named_with_those_there_are() -> None:
    assert pick_level({8: "a", 16: "b"}, 16, "x") == "b"
    said = "mine needs the feature level of stride 4; the network has levels of stride 8, 16$"
    with pytest.raises(ShapeError, match=said):
        pick_level({8: "a", 16: "b"}, 4, "mine")


def test_numbers_below_one_are_refused_by_name() -> None:
    check_at_least_one(first=1, second=None)
    with pytest.raises(ValueError, match=r"second \(=0\) must be at least 1"):
        check_at_least_one(first=1, second=0)


def test_kinds_are_found_without_torch_and_lower_without_it() -> None:
    code = (
        "import sys, accelzoo; from accelzoo.heads import head_kinds\n"
        "for kind in head_kinds(): accelzoo.get_arch('ibn_t', head=kind, input_size=320).lower()\n"
        "print('torch' in sys.modules)"
    )
    assert fresh_python(code) == "False"


@dataclass(frozen=True, slots=True, kw_only=True)
class Broken(LrAsppHead):
    """A head whose lowering forgets the gate."""

    kind: ClassVar[str] = "lraspp"

    def lower(self, graph: GraphBuilder, levels: Any) -> tuple[str, ...]:
        high = [*levels.values()][-1]
        return (graph.conv2d("head.high_classifier", high, self.num_classes + 1),)


@dataclass(frozen=True, slots=True, kw_only=True)
class Careless(SegmentationFpnHead):
    """A head that takes any number of classes and scales what is no width."""

    kind: ClassVar[str] = "segmentation_fpn"

    def __post_init__(self) -> None:
        pass

    def scaled(self, width_multiplier: float, channel_divisor: int) -> Careless:
        return Careless(num_classes=2 * self.num_classes)


@pytest.mark.parametrize(
    ("broken", "test"),
    [
        (Broken, "test_the_module_makes_what_lowering_says"),
        (Broken, "test_lowers_to_what_it_runs"),
        (Broken, "test_macs_and_weights_are_torchs"),
        (Careless, "test_scales_its_channels"),
        (Careless, "test_refuses_fewer_than_no_classes"),
    ],
)
def test_the_contract_finds_faults(broken: type[Head], test: str) -> None:
    with pytest.raises(AssertionError):
        getattr(HeadContract(), test)(broken)
