"""Lowering never drifts from the module: op for op against what torch runs, and in total against its FLOP counter."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import fields, replace
from functools import cache
from typing import Any

import pytest
import torch
from torch.utils.flop_counter import FlopCounterMode

from accelzoo import get_arch, get_space, list_models, list_spaces
from accelzoo.arch import Arch, Stage
from accelzoo.blocks import Block, ConvBnAct, MobileAttention, block_kinds
from accelzoo.build import AccelNet, DenseNet, Trunk
from accelzoo.draw import generator
from accelzoo.heads import ClassificationHead
from accelzoo.hwmodel.ir import ACTIVATIONS, GraphBuilder, Op
from accelzoo.importer import from_module
from accelzoo.stem import Stem
from tests.accelzoo.block_settings import SETTINGS, setting_id
from tests.accelzoo.fresh import fresh_python
from tests.accelzoo.tracing import Call, drift, matrix_weights, norm_names, trace

POINTS = [(name, index) for name in list_spaces() for index in range(3)]


@cache
def point(space: str, index: int) -> Arch:
    return get_space(space).sample(generator(2024, index))


def on_meta(arch: Arch) -> Trunk:
    with torch.device("meta"):
        return AccelNet(arch) if isinstance(arch.head, ClassificationHead) else DenseNet(arch)


def check(arch: Arch) -> None:
    graph, model = arch.lower(), on_meta(arch)
    with FlopCounterMode(display=False) as counter:
        calls = trace(model, arch.input_size)
    if arch.head.task in ("segmentation", "sequence"):  # the trace does not tell their resizes and partial means
        assert graph == from_module(model, arch.input_size, strict=True)
    else:
        assert drift(graph.ops, calls) == []
    norms = norm_names(model)  # torch counts no work for one, though where it cannot fold it is an operator
    counted = [op for op in graph.ops if op.name not in norms]
    assert 2 * sum(op.macs for op in counted) == counter.get_total_flops()
    assert sum(op.weight_count for op in counted) == matrix_weights(model)


@pytest.mark.parametrize("name", list_models())
def test_registered_models_lower_to_what_they_run(name: str) -> None:
    check(get_arch(name))


@pytest.mark.parametrize(("space", "index"), POINTS)
def test_points_of_spaces_lower_to_what_they_run(space: str, index: int) -> None:
    check(point(space, index))


def around(blocks: list[Block], activation: str = "relu", repeats: int = 2) -> Arch:
    """A small network of the blocks, each twice unless told otherwise, on odd maps."""
    return Arch(
        stem=Stem(out_channels=8, stride=1, activation=activation),
        stages=tuple(Stage(block=block, repeats=repeats) for block in blocks),
        head=ClassificationHead(num_classes=5, hidden_channels=None, activation=activation),
        input_size=(2, 15, 9),
    )


@pytest.mark.parametrize("activation", ACTIVATIONS)
@pytest.mark.parametrize("kind", block_kinds().values(), ids=list(block_kinds()))
def test_every_block_with_a_gate_and_any_activation_lowers_to_what_it_runs(kind: type[Block], activation: str) -> None:
    gate: dict[str, Any] = {"se_ratio": 0.25} if "se_ratio" in {field.name for field in fields(kind)} else {}
    blocks = [
        kind(out_channels=out, kernel_size=5, stride=stride, activation=activation, **gate)
        for out, stride in ((16, 1), (16, 1), (24, 2))
        if stride in kind.strides
    ]
    check(around(blocks, activation))


@pytest.mark.parametrize(("kind", "settings"), SETTINGS, ids=setting_id)
def test_every_setting_of_a_block_lowers_to_what_it_runs(kind: str, settings: dict[str, Any]) -> None:
    widen = ConvBnAct(out_channels=16)
    check(around([widen, block_kinds()[kind](**settings), ConvBnAct(out_channels=16)]))


@pytest.mark.parametrize(("kind", "settings"), SETTINGS, ids=setting_id)
def test_every_setting_of_a_block_is_what_the_importer_finds(kind: str, settings: dict[str, Any]) -> None:
    block = block_kinds()[kind](**settings)
    graph = GraphBuilder((16, 15, 9))
    block.lower_body(graph, graph.input)
    with torch.device("meta"):
        module = block.build(16)
    assert graph.ops == from_module(module, (16, 15, 9), strict=True).ops


@pytest.mark.parametrize("values", [{}, {"kv_stride": 2}, {"residual": False}])
def test_attention_with_averaged_queries_is_what_the_importer_finds(values: dict[str, Any]) -> None:
    block = MobileAttention(out_channels=16, query_stride=2, **values)
    check(replace(around([ConvBnAct(out_channels=16), block], repeats=1), input_size=(2, 16, 10)))
    graph = GraphBuilder((16, 16, 10))
    block.lower_body(graph, graph.input)
    assert graph.ops == from_module(block.build(16), (16, 16, 10), strict=True).ops


@pytest.mark.parametrize("stem", [{"space_to_depth": 2}, {"max_pool": True}, {"padding": "same", "kernel_size": 7}])
def test_every_stem_lowers_to_what_it_runs(stem: dict[str, Any]) -> None:
    arch = around([ConvBnAct(out_channels=16)])
    check(replace(arch, stem=Stem(out_channels=8, **stem), input_size=(2, 18, 10)))


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
    "dilation": lambda ops: [ops[0]._replace(dilation=(2, 2)), *ops[1:]],
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


BROKEN_ATTENTION: dict[str, Callable[[Op], Op | None]] = {
    "forgotten norm": lambda op: None if op.name.endswith("0.norm") else op,
    "forgotten softmax": lambda op: None if op.kind == "softmax" else op,
    "forgotten product": lambda op: None if op.name.endswith("matmul_1") else op,
    "all keys": lambda op: op._replace(stride=(1, 1)) if op.name.endswith("key.down_conv") else op,
    "heads apart": lambda op: op._replace(out_shape=(4, 135, 40)) if op.name.endswith("matmul") else op,
}


@pytest.mark.parametrize("broken", BROKEN_ATTENTION)
def test_a_broken_lowering_of_attention_is_found(broken: str) -> None:
    arch = around([ConvBnAct(out_channels=16), MobileAttention(out_channels=16, kv_stride=2, layer_scale=0.5)])
    calls, ops = trace(on_meta(arch), arch.input_size), arch.lower().ops
    assert drift(ops, calls) == []
    found = [BROKEN_ATTENTION[broken](op) for op in ops]
    assert drift(tuple(op for op in found if op is not None), calls) != []


def test_lowering_needs_no_torch() -> None:
    code = "import sys, accelzoo; accelzoo.get_arch('ibn_s').lower(); print('torch' in sys.modules)"
    assert fresh_python(code) == "False"
