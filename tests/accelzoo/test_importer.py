"""Importing modules: ours equal their lowering, timm's equal torch's counts, and small ones are worked out by hand."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import timm
import torch
from torch import nn
from torch.nn import functional as F
from torch.utils.flop_counter import FlopCounterMode

from accelzoo import get_arch, get_space, list_models, list_spaces
from accelzoo.arch import Arch
from accelzoo.build import AccelNet, DenseNet
from accelzoo.draw import generator
from accelzoo.errors import AccelzooError, ShapeError
from accelzoo.heads import ClassificationHead
from accelzoo.hwmodel import Graph, Op
from accelzoo.importer import UnmappedOperatorError, from_module, opaque_operators
from tests.accelzoo.fresh import fresh_python
from tests.accelzoo.tracing import matrix_weights


def differences(arch: Arch) -> list[tuple[Op, Op]]:
    with torch.device("meta"):
        model = AccelNet(arch) if isinstance(arch.head, ClassificationHead) else DenseNet(arch)
    imported, lowered = from_module(model, arch.input_size, strict=True), arch.lower()
    found = [(ours, theirs) for ours, theirs in zip(imported.ops, lowered.ops, strict=False) if ours != theirs]
    return found or ([] if imported == lowered else [(imported.ops[-1], lowered.ops[-1])])


@pytest.mark.parametrize("name", list_models())
def test_registered_models_import_as_they_lower(name: str) -> None:
    assert differences(get_arch(name)) == []


@pytest.mark.parametrize("space", list_spaces())
def test_points_of_spaces_import_as_they_lower(space: str) -> None:
    assert differences(get_space(space).sample(generator(77))) == []


TIMM = (
    "mobilenetv3_large_100",
    "mobilenetv4_conv_small",
    "resnet18",
    "efficientnet_lite0",
    "repvgg_a0",
    "mobilenetv4_hybrid_medium",
    "mobilenetv2_100",
    "efficientnet_es",
    "resnet50",
    "regnety_002",
    "ghostnet_100",
    "efficientnetv2_rw_t",
    "tf_efficientnetv2_b0",
    "hardcorenas_a",
    "fbnetc_100",
    "mixnet_s",
)


def on_meta(name: str) -> Any:
    with torch.device("meta"):
        return timm.create_model(name).eval().requires_grad_(False)


@pytest.mark.parametrize("name", [*TIMM[:6], *(pytest.param(name, marks=pytest.mark.slow) for name in TIMM[6:])])
def test_convolutional_networks_of_timm_import_whole(name: str) -> None:
    model = on_meta(name)
    shape = model.pretrained_cfg["input_size"]
    graph = from_module(model, shape, strict=True)
    # A normalisation that nothing before or after it can take is a convolution that torch does not count.
    norms = [op for op in graph.ops if isinstance(dict(model.named_modules()).get(op.name), nn.BatchNorm2d)]
    assert bool(norms) == (name in ("repvgg_a0", "mobilenetv4_hybrid_medium"))
    with FlopCounterMode(display=False) as counter, torch.no_grad():
        model(torch.empty((1, *shape), device="meta"))
    assert graph.macs - sum(op.macs for op in norms) == counter.get_total_flops() // 2
    assert graph.weight_count - sum(op.weight_count for op in norms) == matrix_weights(model)


@pytest.mark.parametrize(
    ("name", "opaque"),
    [
        ("convnext_atto", {"aten.native_layer_norm": 17}),
        ("vit_tiny_patch16_224", {"aten.cat": 1, "aten.add[constant]": 1, "aten.native_layer_norm": 25}),
    ],
)
def test_what_cannot_be_mapped_is_listed_and_the_rest_is_counted(name: str, opaque: dict[str, int]) -> None:
    model = on_meta(name)
    graph = from_module(model, (3, 224, 224))
    assert {function: len(names) for function, names in opaque_operators(graph).items()} == opaque
    with FlopCounterMode(display=False) as counter, torch.no_grad():
        model(torch.empty((1, 3, 224, 224), device="meta"))
    assert graph.macs == counter.get_total_flops() // 2
    with pytest.raises(UnmappedOperatorError) as error:
        from_module(model, (3, 224, 224), strict=True)
    message = str(error.value)
    assert all(f"\n  {count} {function}: " in message for function, count in opaque.items())
    assert all(path in message for paths in opaque_operators(graph).values() for path in paths)


class Net(nn.Module):
    """A module made of layers by name and a function of them and the input."""

    def __init__(self, run: Callable[..., Any], **layers: nn.Module) -> None:
        super().__init__()
        for name, layer in layers.items():
            self.add_module(name, layer)
        self.run = run

    def forward(self, x: torch.Tensor) -> Any:
        return self.run(self, x)


def imported(run: Callable[..., Any], shape: tuple[int, int, int] = (8, 12, 12), **layers: nn.Module) -> Graph:
    return from_module(Net(run, **layers), shape)


def summary(graph: Graph) -> list[str]:
    return [f"{op.name}={op.kind}" + (f":{op.function}" if op.function else "") for op in graph.ops]


@pytest.mark.parametrize(
    ("run", "function"),
    [
        (lambda m, x: x * torch.sigmoid(x), "silu"),
        (lambda m, x: torch.sigmoid(1.702 * x) * x, "silu"),
        (lambda m, x: F.relu6(x + 3) / 6, "hard_sigmoid"),
        (lambda m, x: x * F.relu6(x + 3.0) / 6.0, "hard_swish"),
        (lambda m, x: x * (F.relu6(x + 3.0) * (1 / 6)), "hard_swish"),
        (lambda m, x: x * F.hardsigmoid(x), "hard_swish"),
        (lambda m, x: (x + 3).clamp(0, 6).div(6).mul(x), "hard_swish"),
        (lambda m, x: x.clamp(0, 6), "relu6"),
        (lambda m, x: x.clamp(min=0), "relu"),
        (lambda m, x: F.gelu(x, approximate="tanh"), "gelu"),
        (lambda m, x: 0.5 * x * (1 + torch.tanh(0.79788456 * (x + 0.044715 * x**3))), "gelu"),
        (lambda m, x: x * 0.5 * (1.0 + torch.erf(x / 1.41421356)), "gelu"),
        (lambda m, x: x * (0.5 * (1.0 + torch.erf(x / 1.41421356))), "gelu"),
        (lambda m, x: torch.tanh(x), "tanh"),
    ],
)
def test_activations_that_are_spelled_out(run: Callable[..., Any], function: str) -> None:
    graph = imported(run)
    assert summary(graph) == [f"{function}=activation:{function}"]
    assert graph.ops[0].in_shapes == ((8, 12, 12),)


def test_a_gate_over_another_tensor_is_no_activation() -> None:
    graph = imported(lambda m, x: m.a(x) * torch.sigmoid(x), a=nn.Conv2d(8, 8, 1))
    assert summary(graph) == ["a=conv2d", "sigmoid=activation:sigmoid", "mul=mul"]
    graph = imported(lambda m, x: (g := torch.sigmoid(x), x * g, g + x)[1:])  # the gate is read again
    assert summary(graph) == ["sigmoid=activation:sigmoid", "silu=activation:silu", "add=add"]


def conv(kernel_size: int = 1, bias: bool = False, **options: Any) -> nn.Conv2d:
    return nn.Conv2d(8, 8, kernel_size, bias=bias, **options)


def test_normalisation_folds_wherever_it_can() -> None:
    norm = nn.BatchNorm2d(8)
    before = imported(lambda m, x: m.b(m.a(x)), a=conv(3), b=norm)
    assert [(op.name, op.bias) for op in before.ops] == [("a", True)]
    after = imported(lambda m, x: m.a(m.b(x)), a=conv(1), b=norm)
    assert [(op.name, op.bias) for op in after.ops] == [("a", True)]
    both = imported(
        lambda m, x: m.n(torch.cat([m.a(x), m.b(x)], 1)), a=conv(3, padding=1), b=conv(), n=nn.BatchNorm2d(16)
    )
    assert summary(both) == ["a=conv2d", "b=conv2d", "concat=concat"]
    assert both.ops[0].bias
    padded = imported(lambda m, x: m.a(m.b(x)), a=conv(3, padding=1), b=norm)
    assert summary(padded) == ["b=depthwise_conv2d", "a=conv2d"]
    assert (padded.ops[0].weight_count, padded.ops[0].macs, padded.ops[0].bias) == (8, 8 * 144, True)
    read_twice = imported(lambda m, x: (y := m.a(x), m.b(y) + y)[1], a=conv(), b=norm)
    assert summary(read_twice) == ["a=conv2d", "b=depthwise_conv2d", "add=add"]


def test_constant_factors_and_terms_fold() -> None:
    graph = imported(lambda m, x: 0.5 * m.a(x) + 1, a=conv())
    assert [(op.name, op.bias) for op in graph.ops] == [("a", True)]
    graph = imported(lambda m, x: m.a(F.relu(x) * 1.7), a=conv(3, padding=1))
    assert [(op.name, op.bias) for op in graph.ops] == [("relu", False), ("a", False)]
    scale = nn.Parameter(torch.ones(8, 1, 1))
    graph = imported(lambda m, x: m.a(x) * scale + x, a=conv())
    assert summary(graph) == ["a=conv2d", "add=add"]
    graph = imported(lambda m, x: F.relu(x) * scale + x)
    assert summary(graph) == ["relu=activation:relu", "mul=depthwise_conv2d", "add=add"]
    graph = imported(lambda m, x: x + torch.ones(8, 12, 12))
    assert summary(graph) == ["add=opaque:aten.add[constant]"]


def test_padding_folds_into_windows_only() -> None:
    graph = imported(lambda m, x: m.a(F.pad(x, (0, 1, 0, 1))), a=conv(3, stride=2))
    (op,) = graph.ops
    assert (op.name, op.in_shapes, op.out_shape) == ("a", ((8, 12, 12),), (8, 6, 6))
    graph = imported(lambda m, x: F.relu(F.pad(x, (0, 1, 0, 1))))
    assert summary(graph) == ["pad=opaque:aten.constant_pad_nd", "relu=activation:relu"]
    graph = imported(lambda m, x: m.a(F.pad(x, (5, 5, 5, 5))), a=conv(3))  # more than the window: a larger map
    assert summary(graph) == ["pad=opaque:aten.constant_pad_nd", "a=conv2d"]


def test_convolutions_of_every_sort() -> None:
    graph = imported(
        lambda m, x: m.d(m.c(m.b(m.a(x)))),
        a=nn.Conv2d(8, 16, 4, stride=4),
        b=nn.Conv2d(16, 16, 3, padding=2, dilation=2, groups=4),
        c=nn.Conv2d(16, 16, (1, 3), groups=16),
        d=nn.ConvTranspose2d(16, 8, 2, stride=2),
    )
    assert summary(graph) == ["a=conv2d", "b=conv2d", "c=depthwise_conv2d", "d=opaque:aten.convolution"]
    assert [op.out_shape for op in graph.ops] == [(16, 3, 3), (16, 3, 3), (16, 3, 1), (8, 6, 2)]
    assert [op.macs for op in graph.ops] == [16 * 8 * 16 * 9, 16 * 4 * 9 * 9, 16 * 3 * 3, 0]
    along = imported(lambda m, x: m.a(x.mean((2, 3)).unsqueeze(1)), a=nn.Conv1d(1, 1, 3, padding=1))
    assert (along.ops[-1].kernel_size, along.ops[-1].macs) == ((3, 1), 8 * 3)


def test_maps() -> None:
    def run(m: Any, x: torch.Tensor) -> torch.Tensor:
        y = torch.cat([m.pool(x), F.avg_pool2d(x, 2)], 1)
        y = F.interpolate(F.interpolate(y, scale_factor=2), size=(12, 9), mode="bilinear")
        y = y[:, :8] * x.mean((2, 3), keepdim=True).expand(-1, -1, 12, 9)
        return F.adaptive_avg_pool2d(y.roll(1, 2), (3, 3)).flatten(1)

    graph = imported(run, pool=nn.MaxPool2d(3, 2, 1))
    assert summary(graph) == [
        "pool=pool:max",
        "pool_1=pool:avg",
        "concat=concat",
        "resize=resize:nearest",
        "resize_1=resize:bilinear",
        "pool_2=pool:avg",
        "mul=mul",
        "roll=concat",
        "pool_3=pool:avg",
    ]
    assert graph.ops[6].in_shapes == ((8, 12, 9), (8, 1, 1))
    assert (graph.ops[8].kernel_size, graph.ops[8].out_shape) == ((4, 3), (8, 3, 3))


@pytest.mark.parametrize("heads", [1, 4])
def test_attention(heads: int) -> None:
    class Attention(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.qkv, self.proj = nn.Linear(8, 8 + 16 // heads), nn.Linear(8, 8)

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            x = x.flatten(2).transpose(1, 2)
            q, k, v = self.qkv(x).split([8, 8 // heads, 8 // heads], -1)
            q = q.unflatten(-1, (heads, -1)).transpose(1, 2)
            x = F.scaled_dot_product_attention(q, *(y.unsqueeze(1).expand(-1, heads, -1, -1) for y in (k, v)))
            return self.proj(x.transpose(1, 2).flatten(2))

    graph = from_module(Net(lambda m, x: m.attn(x), attn=Attention()), (8, 6, 4), strict=True)
    kinds = [
        "attn.qkv=conv2d",
        "attn.matmul=matmul",
        "attn.softmax=softmax",
        "attn.matmul_1=matmul",
        "attn.proj=conv2d",
    ]
    assert summary(graph) == kinds
    scores, weights, mixed = graph.ops[1:4]
    # queries of all heads meet one head of keys and values
    assert scores.in_shapes == ((1, heads * 24, 8 // heads), (1, 8 // heads, 24))
    assert weights.out_shape == (1, heads * 24, 24)
    assert scores.macs == mixed.macs == 24 * 24 * 8


def test_attention_written_out_and_of_torch() -> None:
    def run(m: Any, x: torch.Tensor) -> torch.Tensor:
        x = x.flatten(2).transpose(1, 2)
        scores = (x * 0.35) @ x.transpose(1, 2)
        return m.mha(*[scores.softmax(-1) @ x] * 3, need_weights=False)[0]

    graph = imported(run, (8, 6, 4), mha=nn.MultiheadAttention(8, 2, batch_first=True))
    assert [op.kind for op in graph.ops[:3]] == ["matmul", "softmax", "matmul"]
    assert [op.kind for op in graph.ops[3:]].count("matmul") == 2
    assert opaque_operators(graph) == {}
    assert graph.macs == 2 * 24 * 24 * 8 + 24 * 8 * 8 * 4 + 2 * 24 * 24 * 8


@pytest.mark.parametrize("trained", [True, False])
def test_products_with_constants_have_weights(trained: bool) -> None:
    shared, own = (nn.Parameter(torch.ones(*shape), requires_grad=trained) for shape in ((12, 5), (8, 12, 5)))
    graph = imported(lambda m, x: x @ shared)  # torch splits it in two ways, depending on `requires_grad`
    assert [(op.kind, op.weight_count, op.macs) for op in graph.ops] == [("conv2d", 60, 60 * 96)]
    graph = imported(lambda m, x: x @ own)
    assert [(op.kind, op.groups, op.weight_count, op.macs) for op in graph.ops] == [("conv2d", 8, 480, 480 * 12)]


def test_writes_through_views_are_followed() -> None:
    def run(m: Any, x: torch.Tensor) -> torch.Tensor:
        out = torch.zeros(1, 16, 12, 12)
        out[:, :8] = m.a(x)
        y = m.b(out)
        y.view(1, 8, 144).relu_()
        return m.c(y)

    graph = imported(run, a=conv(), b=nn.Conv2d(16, 8, 1), c=conv())
    assert summary(graph) == ["a=conv2d", "copy=opaque:aten.copy", "b=conv2d", "relu=activation:relu", "c=conv2d"]
    assert [op.inputs for op in graph.ops[1:]] == [("a",), ("copy",), ("b",), ("relu",)]


def test_a_module_that_runs_twice_makes_two_operators() -> None:
    graph = imported(lambda m, x: m.a(m.a(x)), a=conv())
    assert [(op.name, op.inputs) for op in graph.ops] == [("a", ("input",)), ("a_1", ("a",))]


def test_the_module_stays_as_it_is() -> None:
    model = nn.Sequential(conv(), nn.BatchNorm2d(8), nn.Dropout(0.5), nn.Sequential(nn.ReLU()))
    model[3].eval()
    modes = [module.training for module in model.modules()]
    before = {key: value.clone() for key, value in model.state_dict().items()}
    assert summary(from_module(model, (8, 5, 5))) == ["0=conv2d", "3.0=activation:relu"]
    assert [module.training for module in model.modules()] == modes
    assert all(torch.equal(value, before[key]) for key, value in model.state_dict().items())
    assert all(not module._forward_hooks and not module._forward_pre_hooks for module in model.modules())


def test_what_depends_on_weights_alone_is_not_counted() -> None:
    graph = imported(lambda m, x: F.conv2d(x, m.a.weight - m.a.weight.mean()), a=conv())
    assert summary(graph) == ["conv=conv2d"]


def test_a_module_that_does_not_run_says_where() -> None:
    inner = nn.Sequential(conv(), nn.Conv2d(9, 4, 1))
    with pytest.raises(AccelzooError, match=r"Net does not run on an input of 8x12x12, in its module 'inner\.1': "):
        imported(lambda m, x: m.inner(x), inner=inner)
    with pytest.raises(AccelzooError, match="Net does not run on an input of 8x12x12"):
        imported(lambda m, x: x if x.sum() > 0 else -x)  # depends on values, of which there are none


@pytest.mark.parametrize("shape", [(3, 4), (1, 3, 4, 4), (3, 0, 4), (3, 4.5, 4)])
def test_an_input_shape_must_be_three_positive_numbers(shape: tuple[Any, ...]) -> None:
    with pytest.raises(ShapeError, match="three positive numbers"):
        from_module(nn.Identity(), shape)


def test_a_module_without_operators_is_refused() -> None:
    with pytest.raises(ShapeError, match="at least one operator"):
        from_module(nn.Identity(), (3, 4, 4))


def test_importing_the_importer_needs_no_torch() -> None:
    assert fresh_python("import sys, accelzoo.importer; print('torch' in sys.modules)") == "False"
