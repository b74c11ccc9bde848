"""Lowering never drifts from the module: op for op against what torch runs, and in total against its FLOP counter."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from typing import Any

import pytest
import torch
from torch.utils.flop_counter import FlopCounterMode

from accelzoo import get_arch, get_space, list_models, list_spaces
from accelzoo.arch import Arch, Stage
from accelzoo.blocks import block_kinds
from accelzoo.build import AccelNet
from accelzoo.draw import generator
from accelzoo.heads import ClassificationHead
from accelzoo.hwmodel.ir import ACTIVATIONS, Op
from accelzoo.stem import Stem
from tests.accelzoo.fresh import fresh_python
from tests.accelzoo.tracing import Call, drift, matrix_weights, trace

POINTS = [(name, index) for name in list_spaces() for index in range(8)]


@cache
def point(space: str, index: int) -> Arch:
    return get_space(space).sample(generator(2024, index))


def on_meta(arch: Arch) -> AccelNet:
    with torch.device("meta"):
        return AccelNet(arch)


def check(arch: Arch) -> None:
    graph, model = arch.lower(), on_meta(arch)
    assert drift(graph.ops, trace(model, arch.input_size)) == []
    with FlopCounterMode(display=False) as counter, torch.no_grad():
        model(torch.empty((1, *arch.input_size), device="meta"))
    assert 2 * graph.macs == counter.get_total_flops()
    assert graph.weight_count == matrix_weights(model)


@pytest.mark.parametrize("name", list_models())
def test_registered_models_lower_to_what_they_run(name: str) -> None:
    check(get_arch(name))


@pytest.mark.parametrize(("space", "index"), POINTS)
def test_points_of_spaces_lower_to_what_they_run(space: str, index: int) -> None:
    check(point(space, index))


@pytest.mark.parametrize("activation", ACTIVATIONS)
@pytest.mark.parametrize("kind", block_kinds())
def test_every_block_with_a_gate_and_any_activation_lowers_to_what_it_runs(kind: str, activation: str) -> None:
    blocks = [
        block_kinds()[kind](out_channels=out, kernel_size=5, stride=stride, se_ratio=0.25, activation=activation)
        for out, stride in ((16, 1), (16, 1), (24, 2))
    ]
    check(
        Arch(
            stem=Stem(out_channels=8, stride=1, activation=activation),
            stages=tuple(Stage(block=block, repeats=2) for block in blocks),
            head=ClassificationHead(num_classes=5, hidden_channels=None, activation=activation),
            input_size=(2, 15, 9),
        )
    )


@pytest.mark.parametrize(
    "overrides", [{"num_classes": 0}, {"in_chans": 1}, {"input_size": (65, 31)}, {"se_ratio": 0.5}]
)
def test_overridden_models_lower_to_what_they_run(overrides: dict[str, Any]) -> None:
    check(get_arch("ibn_t", **overrides))


BROKEN: dict[str, Callable[[list[Op]], list[Op]]] = {
    "name": lambda ops: [ops[0]._replace(name="stem"), *ops[1:]],
    "kind": lambda ops: [op._replace(kind="conv2d") if op.kind == "depthwise_conv2d" else op for op in ops],
    "input shape": lambda ops: [*ops[:-1], ops[-1]._replace(in_shapes=((1, 1, 1),))],
    "output shape": lambda ops: [*ops[:-1], ops[-1]._replace(out_shape=(11, 1, 1))],
    "kernel": lambda ops: [ops[0]._replace(kernel_size=(1, 1)), *ops[1:]],
    "stride": lambda ops: [ops[0]._replace(stride=(1, 1)), *ops[1:]],
    "groups": lambda ops: [op._replace(groups=1) if op.groups > 1 else op for op in ops],
    "activation": lambda ops: [op._replace(function="gelu") if op.function == "relu" else op for op in ops],
    "forgotten residual": lambda ops: [op for op in ops if op.kind != "add"],
    "forgotten last": lambda ops: ops[:-1],
    "one too many": lambda ops: [*ops, ops[-1]],
    "order": lambda ops: [ops[1], ops[0], *ops[2:]],
}


@cache
def camera_calls() -> list[Call]:
    arch = get_arch("camera_ibn")
    return trace(on_meta(arch), arch.input_size)


@pytest.mark.parametrize("broken", BROKEN)
def test_a_broken_lowering_is_found(broken: str) -> None:
    ops = get_arch("camera_ibn").lower().ops
    assert drift(ops, camera_calls()) == []
    assert drift(tuple(BROKEN[broken](list(ops))), camera_calls()) != []


def test_lowering_needs_no_torch() -> None:
    code = "import sys, accelzoo; accelzoo.get_arch('ibn_s').lower(); print('torch' in sys.modules)"
    assert fresh_python(code) == "False"
