"""Segmentation heads against torchvision and closed forms, and their post-processing as module, graph and price."""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch
from torch import nn
from torchvision.models.segmentation.lraspp import LRASPPHead

from accelzoo import estimate, from_module, get_arch
from accelzoo.arch import Arch
from accelzoo.errors import ConfigError, ShapeError
from accelzoo.heads import DeepLabHead, LrAsppHead, SegmentationFpnHead, head_kinds
from accelzoo.heads._segmentation_modules import resize
from accelzoo.hwmodel.ir import Graph
from accelzoo.segmentation import Postprocessor, postprocessing_graph
from tests.accelzoo.fresh import fresh_python

HEADS = [name for name, kind in head_kinds().items() if kind.task == "segmentation"]
CHANNELS = {2: 8, 4: 12, 8: 16, 16: 24, 32: 40}


def maps(height: int = 64, width: int = 96, seed: int = 0) -> dict[int, torch.Tensor]:
    drawn = torch.Generator().manual_seed(seed)
    sizes = {stride: (math.ceil(height / stride), math.ceil(width / stride)) for stride in CHANNELS}
    return {stride: torch.randn(2, CHANNELS[stride], *sizes[stride], generator=drawn) for stride in CHANNELS}


def parameters(module: nn.Module) -> int:
    return sum(value.numel() for value in module.parameters())


def pointwise(inputs: int, outputs: int) -> int:
    return inputs * outputs + 2 * outputs


def separable(inputs: int, outputs: int) -> int:
    return 9 * inputs + 2 * inputs + pointwise(inputs, outputs)


@pytest.mark.parametrize("high_stride", [None, 16])
def test_lraspp_is_torchvisions(high_stride: int | None) -> None:
    high = high_stride or 32
    ours = LrAsppHead(num_classes=7, hidden_channels=20, high_stride=high_stride).build(CHANNELS)
    theirs = LRASPPHead(CHANNELS[8], CHANNELS[high], num_classes=7, inter_channels=20)
    names = {
        "cbr.0": "project.conv",
        "cbr.1": "project.bn1",
        "scale.1": "gate.conv",
        "low_classifier": "low_classifier",
        "high_classifier": "high_classifier",
    }
    renamed = {}
    for name, value in theirs.state_dict().items():
        path, _, tensor = name.rpartition(".")
        renamed[f"{names[path]}.{tensor}"] = value
    ours.load_state_dict(renamed)
    levels = maps()
    with torch.no_grad():
        wanted = theirs.eval()({"low": levels[8], "high": levels[high]})
        assert torch.equal(ours.eval()(levels), wanted)


def test_a_deeplab_head_has_the_parameters_of_its_formula() -> None:
    head = DeepLabHead(num_classes=5, hidden_channels=32, low_channels=6, atrous_rates=(2, 3, 4, 5), decoder_repeats=3)
    pyramid = 2 * pointwise(40, 32) + 4 * separable(40, 32) + pointwise(6 * 32, 32)
    decoder = pointwise(12, 6) + separable(38, 32) + 2 * separable(32, 32)
    assert parameters(head.build(CHANNELS)) == pyramid + decoder + 32 * 5 + 5


@pytest.mark.parametrize(
    ("given", "stride", "rates"),
    [(None, 16, (6, 12, 18)), (None, 8, (12, 24, 36)), (None, 32, (3, 6, 9)), ((1, 4), 16, (1, 4)), ((), 8, ())],
)
def test_atrous_rates_see_equally_far_at_every_stride(given: Any, stride: int, rates: tuple[int, ...]) -> None:
    head = DeepLabHead(atrous_rates=given)
    assert head.rates(stride) == rates
    module: Any = head.build({4: 12, stride: 16})
    assert [block.conv_dw.dilation for block in module.pyramid.atrous] == [(rate, rate) for rate in rates]


def test_the_image_average_reaches_every_pixel_of_a_deeplab_pyramid() -> None:
    module: Any = DeepLabHead(hidden_channels=8, atrous_rates=()).build(CHANNELS).eval()
    pyramid = module.pyramid
    x = torch.zeros(1, 40, 9, 9)
    with torch.no_grad():
        before = pyramid(x)
        x[:, :, 0, 0] = 50.0
        changed = (pyramid(x) != before).any(1)
    assert bool(changed.all())


def test_a_pyramid_of_maps_is_the_sum_of_maps_enlarged_one_by_one() -> None:
    head: Any = SegmentationFpnHead(num_classes=4, hidden_channels=8, finest_stride=4).build(CHANNELS).eval()
    levels = maps()
    with torch.no_grad():
        coarser, total = None, torch.zeros(2, 8, 16, 24)
        for stride in (32, 16, 8, 4):
            x = head.lateral[str(stride)].conv(levels[stride])
            coarser = x if coarser is None else x + coarser.repeat_interleave(2, 2).repeat_interleave(2, 3)
            smooth = head.merge[str(stride)].conv(coarser)
            while smooth.shape[2] < 16:
                smooth = nn.functional.interpolate(smooth, scale_factor=2, mode="bilinear")
            total += smooth
        torch.testing.assert_close(head(levels), head.classifier(total))


@pytest.mark.parametrize("kind", HEADS)
@pytest.mark.parametrize("size", [(64, 64), (33, 65), (5, 3), (1, 1)])
def test_maps_of_any_size_give_logits_at_the_stated_stride(kind: str, size: tuple[int, int]) -> None:
    arch = get_arch("ibn_t", head=kind, num_classes=3, input_size=size)
    stride = {"lraspp": 8}.get(kind, 4)
    wanted = (3, math.ceil(size[0] / stride), math.ceil(size[1] / stride))
    model = arch.build().eval()
    with torch.no_grad():
        assert model(torch.zeros(2, 3, *size)).shape == (2, *wanted)
    assert arch.lower().ops[-1].out_shape == wanted
    if size > (32, 32):  # the importer leaves out averages of single pixels
        assert from_module(model, (3, *size)).ops == arch.lower().ops


@pytest.mark.parametrize("output_stride", [8, 16])
@pytest.mark.parametrize("kind", HEADS)
def test_dilated_trunks_carry_segmentation_heads(kind: str, output_stride: int) -> None:
    arch = get_arch("mobilenetv2_035", head=kind, num_classes=3, input_size=64, output_stride=output_stride)
    assert arch.feature_levels()[-1].stride == output_stride
    assert from_module(arch.build(), arch.input_size).ops == arch.lower().ops


@pytest.mark.parametrize(
    ("kind", "fields", "said"),
    [
        ("lraspp", {"low_stride": 64}, "lraspp needs the feature level of stride 64; .* of stride 2, 4, 8, 16, 32$"),
        ("lraspp", {"high_stride": 5}, "lraspp needs the feature level of stride 5; .* of stride 2, 4, 8, 16, 32$"),
        ("lraspp", {"low_stride": 16, "high_stride": 8}, r"low_stride \(=16\) must not be above .* stride, 8$"),
        ("deeplab", {"low_stride": 1}, "deeplab needs the feature level of stride 1; .* of stride 2, 4, 8, 16, 32$"),
        ("segmentation_fpn", {"finest_stride": 3}, "segmentation_fpn needs the feature level of stride 3; .* 2, 4, 8,"),
    ],
)
def test_levels_that_are_not_there_are_named_with_those_that_are(kind: str, fields: dict[str, int], said: str) -> None:
    head = head_kinds()[kind](**fields)
    arch = get_arch("mobilenetv2_035", head=head)
    for fails in (arch.lower, arch.build):
        with pytest.raises(ShapeError, match=said):
            fails()


@pytest.mark.parametrize(
    ("kind", "fields", "said"),
    [
        ("lraspp", {"hidden_channels": 0}, r"hidden_channels \(=0\) must be at least 1"),
        ("lraspp", {"activation": "rely"}, "unknown activation 'rely'; did you mean 'relu'"),
        ("deeplab", {"low_channels": -1}, r"low_channels \(=-1\) must be at least 1"),
        ("deeplab", {"atrous_rates": (6, 0)}, r"atrous_rates \(=\[6, 0\]\) must all be at least 1"),
        ("segmentation_fpn", {"finest_stride": 0}, r"finest_stride \(=0\) must be at least 1"),
    ],
)
def test_values_out_of_range_are_refused(kind: str, fields: dict[str, Any], said: str) -> None:
    with pytest.raises(ValueError, match=said):
        head_kinds()[kind](**fields)
    with pytest.raises(ConfigError, match=said):
        get_arch("ibn_t", head=kind, **fields)


def camera(**overrides: Any) -> Arch:
    return get_arch("ibn_t", head="lraspp", num_classes=2, **overrides)


LOGITS = torch.tensor([[[[0.0, 0.0]], [[-1.0, 4.0]]]])  # class 1 leads by -1 left and by 4 right


def test_enlarging_before_the_choice_interpolates_and_after_it_does_not() -> None:
    arch = camera(input_size=(1, 4))
    assert Postprocessor(arch)(LOGITS).tolist() == [[[0, 1, 1, 1]]]  # leads -1, 0.25, 2.75, 4
    assert Postprocessor(arch, argmax_first=True)(LOGITS).tolist() == [[[0, 0, 1, 1]]]


def test_class_maps_are_whole_numbers_of_the_inputs_size() -> None:
    arch = camera(input_size=(30, 50))
    for argmax_first in (False, True):
        classes = Postprocessor(arch, argmax_first)(torch.randn(3, 300, 4, 7))
        assert classes.shape == (3, 30, 50)
        assert classes.dtype == torch.int64
        assert 100 < int(classes.max()) < 300


@pytest.mark.parametrize("argmax_first", [False, True])
def test_network_and_post_processing_export_apart(argmax_first: bool) -> None:
    arch = camera(input_size=32)
    model, after = arch.build().eval(), Postprocessor(arch, argmax_first)
    image = torch.randn(1, *arch.input_size)
    with torch.no_grad():
        logits = model(image)
        assert torch.equal(torch.export.export(after, (logits,)).module()(logits), after(logits))
        if not argmax_first:
            torch.testing.assert_close(torch.export.export(model, (image,)).module()(image), logits)


def outline(graph: Graph) -> list[tuple[str, str, tuple[int, ...], int]]:
    return [(op.kind, op.function, op.in_shape, math.prod(op.out_shape)) for op in graph.ops]


@pytest.mark.parametrize("argmax_first", [False, True])
def test_the_graph_of_the_post_processing_is_what_it_runs(argmax_first: bool) -> None:
    arch = get_arch("ibn_t", head="lraspp", num_classes=5, input_size=(64, 96))
    graph = postprocessing_graph(arch, argmax_first)
    assert graph.input_shape == (5, 8, 12)
    assert outline(graph) == outline(from_module(Postprocessor(arch, argmax_first), (5, 8, 12)))


def test_the_argmax_is_named_and_not_free() -> None:
    arch = get_arch("ibn_t", head="lraspp", num_classes=5, input_size=(64, 96))
    late, early = (estimate(postprocessing_graph(arch, first), "camera-npu") for first in (False, True))
    for cost in (late, early):
        assert any("argmax" in str(entry) for entry in cost.unpriced)
    assert late.latency_s > early.latency_s
    assert not any("argmax" in str(entry) for entry in estimate(arch, "camera-npu").unpriced)


def test_maps_of_the_inputs_size_need_no_resizing() -> None:
    head = SegmentationFpnHead(num_classes=3, finest_stride=2)
    arch = get_arch("ibn_t", head=head, input_size=(1, 1))
    for argmax_first in (False, True):
        assert [op.name for op in postprocessing_graph(arch, argmax_first).ops] == ["argmax"]
    x = torch.randn(1, 2, 3, 4)
    assert resize(x, (3, 4)) is x


def test_other_heads_make_no_map_of_classes() -> None:
    for fails in (Postprocessor, postprocessing_graph):
        with pytest.raises(ValueError, match=r"'classification' makes no map .*deeplab, lraspp, segmentation_fpn\)"):
            fails(get_arch("ibn_t"))


def test_the_price_of_post_processing_needs_no_torch() -> None:
    code = (
        "import sys, accelzoo; from accelzoo.segmentation import postprocessing_graph\n"
        "postprocessing_graph(accelzoo.get_arch('ibn_t', head='lraspp')); print('torch' in sys.modules)"
    )
    assert fresh_python(code) == "False"


def test_an_unknown_name_of_the_module_is_an_error() -> None:
    import accelzoo.segmentation

    with pytest.raises(AttributeError, match="has no attribute 'Preprocessor'"):
        _ = accelzoo.segmentation.Preprocessor
