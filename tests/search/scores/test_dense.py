"""The scores of detectors and segmenters: formulas worked out by hand, and what they are given as targets."""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch
from torch import nn
from torch.nn import functional as F

from accelzoo import Arch
from accelzoo.arch import Stage
from accelzoo.blocks import IBN, ConvBnAct
from accelzoo.detection import detection_loss
from accelzoo.errors import ShapeError
from accelzoo.heads.fcos import FCOSHead
from accelzoo.heads.lraspp import LrAsppHead
from accelzoo.heads.retina import RetinaHead
from accelzoo.heads.ssdlite import SSDLiteHead
from accelzoo.hwmodel.ir import GraphBuilder
from accelzoo.necks.fpn import FPN
from accelzoo.search import scores
from accelzoo.search.scores._flow import flow_of
from accelzoo.search.scores._loss import drawn_targets
from accelzoo.search.signals import ScoreSignal
from accelzoo.stem import Stem

STAGES = (
    Stage(block=IBN(out_channels=8, expansion_ratio=2, stride=2), repeats=2),
    Stage(block=IBN(out_channels=16, expansion_ratio=2, stride=2), repeats=1),
    Stage(block=IBN(out_channels=24, expansion_ratio=2, stride=2), repeats=2),
)


def dense(head: Any) -> Arch:
    """Levels at strides 4, 8 and 16 of an image of 64 × 64."""
    return Arch(stem=Stem(out_channels=8), stages=STAGES, head=head, input_size=(3, 64, 64))


SSD = dense(SSDLiteHead(num_classes=2, feature_levels=(8, 16), extra_channels=(16,)))
NECK = FPN(channels=8, feature_levels=(4, 8, 16), extra_levels=0)
ARCHS = {
    "ssdlite": SSD,
    "retina": dense(RetinaHead(num_classes=2, neck=NECK)),
    "fcos": dense(FCOSHead(num_classes=2, neck=NECK)),
    "lraspp": dense(LrAsppHead(num_classes=5, hidden_channels=8, low_stride=4)),
}
OBJECTS = [
    {"boxes": torch.tensor([[4.0, 8.0, 40.0, 56.0]]), "labels": torch.tensor([1])},
    {"boxes": torch.zeros(0, 4), "labels": torch.zeros(0, dtype=torch.int64)},
    {"boxes": torch.tensor([[0.0, 0.0, 16.0, 16.0], [8.0, 8.0, 64.0, 32.0]]), "labels": torch.tensor([0, 1])},
    {"boxes": torch.tensor([[20.0, 20.0, 30.0, 40.0]]), "labels": torch.tensor([0])},
]


def normal(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed))


@pytest.mark.parametrize("kind", ARCHS)
@pytest.mark.parametrize("name", scores.score_names())
def test_every_score_takes_every_dense_network(name: str, kind: str) -> None:
    score, batch = scores.get_score(name), normal(4, 3, 64, 64)
    first = score(ARCHS[kind], batch, seed=5)
    assert math.isfinite(first)
    torch.manual_seed(12)
    assert score(ARCHS[kind], batch, seed=5) == first


def test_gradients_of_a_segmenter_are_of_the_cross_entropy_of_its_pixels() -> None:
    torch.manual_seed(0)
    module, images = nn.Conv2d(3, 4, 1, bias=False), normal(2, 3, 5, 6)
    masks = torch.randint(4, (2, 5, 6))
    masks[0, :2] = 255  # no class
    rows, wanted = images.permute(0, 2, 3, 1).reshape(-1, 3), masks.flatten()
    rows, wanted = rows[wanted != 255], wanted[wanted != 255]
    weight = module.weight.detach()[:, :, 0, 0]
    by_logits = ((rows @ weight.T).softmax(1) - F.one_hot(wanted, 4)) / len(wanted)
    gradient = by_logits.T @ rows
    assert scores.grad_norm(module, (images, masks)) == pytest.approx(gradient.norm().item(), rel=1e-5)
    assert scores.snip(module, (images, masks)) == pytest.approx((weight * gradient).abs().sum().item(), rel=1e-5)


def test_gradients_of_a_detector_are_of_the_loss_that_it_is_trained_by() -> None:
    images = normal(4, 3, 64, 64)
    for kind in ("ssdlite", "retina", "fcos"):
        module = ARCHS[kind].build()
        module.train()
        torch.stack(list(detection_loss(module(images), OBJECTS, ARCHS[kind]).values())).sum().backward()
        weights = [child.weight for child in module.modules() if isinstance(child, nn.Conv2d)]
        wanted = sum(weight.grad.norm().item() for weight in weights if weight.grad is not None)
        assert scores.grad_norm(module, (images, OBJECTS)) == pytest.approx(wanted, rel=1e-4)


def test_targets_that_are_missing_are_drawn_within_the_image() -> None:
    outputs = SSD.build()(normal(2, 3, 64, 64))
    targets: Any = drawn_targets(outputs, SSD, 500, torch.Generator().manual_seed(3))
    boxes = torch.cat([target["boxes"] for target in targets])
    labels = torch.cat([target["labels"] for target in targets])
    assert boxes.shape == (2000, 4)
    assert 0 <= boxes.min() < boxes.max() <= 64
    sides = (boxes[:, 2:] - boxes[:, :2]) / 64
    assert 1 / 16 <= sides.min() < 0.07
    # The logarithm is uniform: half of all sides lie below the geometric mean of its ends.
    assert (sides < 0.25).float().mean().item() == pytest.approx(0.5, abs=0.03)
    assert labels.float().mean().item() == pytest.approx(0.5, abs=0.05)
    masks: Any = drawn_targets(torch.zeros(1, 5, 3, 4), None, 500, torch.Generator().manual_seed(3))
    assert masks.shape == (500, 3, 4)
    assert masks.float().mean().item() == pytest.approx(2, abs=0.1)


class Levels(nn.Module):
    """Two levels, behind one and behind two linear maps, each with two outputs."""

    def __init__(self) -> None:
        super().__init__()
        for index, shape in enumerate(((4, 3), (5, 4), (1, 4), (2, 4), (1, 5), (2, 5))):
            layer = nn.Conv2d(shape[1], shape[0], 1, bias=False)
            layer.weight.data = normal(*shape, 1, 1, seed=index)
            self.add_module(f"w{index}", layer)

    def forward(self, x: torch.Tensor) -> list[tuple[torch.Tensor, ...]]:
        w = [self.get_submodule(f"w{index}") for index in range(6)]
        fine = w[0](x)
        coarse = w[1](fine)
        return [(w[2](fine), w[3](fine)), (w[4](coarse), w[5](coarse))]


def test_synflow_of_levels_is_the_mean_of_their_logarithms() -> None:
    module = Levels()
    w = [weight.detach().double()[:, :, 0, 0].abs() for weight in module.parameters()]
    fine = torch.cat([w[2], w[3]]) @ w[0] @ torch.ones(3, dtype=torch.float64)
    coarse = torch.cat([w[4], w[5]]) @ w[1] @ w[0] @ torch.ones(3, dtype=torch.float64)
    # Of a chain of n linear maps the sum is n times its strength, here on four pixels.
    wanted = (math.log(4 * 2 * fine.sum().item()) + math.log(4 * 3 * coarse.sum().item())) / 2
    assert scores.synflow(module, normal(1, 3, 2, 2)) == pytest.approx(wanted, rel=1e-6)


def test_zen_of_a_detector_is_the_mean_over_the_maps_that_its_head_reads() -> None:
    stages = tuple([Stage(block=ConvBnAct(out_channels=8, stride=2, kernel_size=3))] * 3)
    head = SSDLiteHead(num_classes=2, feature_levels=(8, 16), extra_channels=())
    module = Arch(stem=Stem(out_channels=8), stages=stages, head=head, input_size=(3, 64, 64)).build()
    got = scores.zen(module, normal(4, 3, 64, 64), seed=7)
    generator = torch.Generator().manual_seed(7)
    for child in module.modules():
        if isinstance(child, nn.Conv2d):
            child.weight.data = torch.randn(child.weight.shape, generator=generator)
    x = torch.randn(4, 3, 64, 64, generator=generator)
    moved = x + 0.01 * torch.randn(x.shape, generator=generator)
    module.train()
    layers = [child for child in module.modules() if isinstance(child, nn.Conv2d | nn.BatchNorm2d)][:8]
    compensation, values = 0.0, []
    for conv, norm in zip(layers[::2], layers[1::2], strict=True):
        x, moved = conv(x), conv(moved)
        compensation += 0.5 * math.log(x.var((0, 2, 3), unbiased=False).mean().item())
        x, moved = norm(x), norm(moved)
        values.append(compensation + math.log((moved - x).double().flatten(1).norm(dim=1).mean().item()))
    assert got == pytest.approx((values[2] + values[3]) / 2, rel=1e-5)  # strides 8 and 16, of 2, 4, 8 and 16


def test_closed_forms_of_two_outputs() -> None:
    graph = GraphBuilder((4, 8, 8))
    fine = graph.conv2d("fine", graph.input, 8, 3)
    coarse = graph.conv2d("coarse", fine, 16, 3, 2)
    graph.conv2d("a", fine, 2)
    graph.conv2d("b", coarse, 2)
    whole = graph.graph()
    constant = 0.5 * math.log(2 * math.pi * math.e)
    # Fan-ins: 36 of fine, 72 of coarse, 8 and 16 of the outputs.
    wanted = constant + 0.5 * (0.5 * math.log(36 * 8) + 0.5 * math.log(36 * 72 * 16))
    assert scores.entropy(whole) == pytest.approx(wanted, rel=1e-12)
    assert flow_of(whole.ops).shares["coarse"] == 0.5
    assert scores.macs(whole) == 64 * (8 * 36 + 2 * 8) + 16 * (16 * 72 + 2 * 16)


@pytest.mark.parametrize("kind", ARCHS)
def test_the_baselines_count_the_whole_network(kind: str) -> None:
    module = ARCHS[kind].build()
    counted = sum(parameter.numel() for parameter in module.parameters())
    assert scores.params(ARCHS[kind]) == scores.params(module) == counted
    assert scores.macs(ARCHS[kind]) == sum(op.macs for op in ARCHS[kind].lower().ops)


@pytest.mark.parametrize(
    ("module", "targets", "message"),
    [
        (SSD, OBJECTS[:2], "must be 4 mappings with boxes and labels"),
        (SSD, [{"boxes": torch.zeros(0, 4)}] * 4, "must be 4 mappings with boxes and labels"),
        (SSD, torch.zeros(4, dtype=torch.int64), "a detector's targets are boxes and labels"),
        (ARCHS["lraspp"], OBJECTS, "targets do not fit a network whose output is"),
        (ARCHS["lraspp"], torch.zeros(4, dtype=torch.int64), "targets do not fit a network whose output is"),
        (ARCHS["lraspp"], torch.zeros(3, 64, 64, dtype=torch.int64), r"labels of shape \(3, 64, 64\) must have"),
        (Levels(), None, "needs a classifier.*a segmenter.*a detector built from an Arch, got list"),
    ],
)
def test_targets_of_another_task_are_refused(module: Any, targets: Any, message: str) -> None:
    with pytest.raises(ShapeError, match=message):
        scores.grad_norm(module, (normal(4, 3, 64, 64), targets))


def test_a_signal_names_a_detectors_targets() -> None:
    images = normal(4, 3, 64, 64)
    signal, again = ScoreSignal("snip", (images, OBJECTS)), ScoreSignal("snip", (images.clone(), list(OBJECTS)))
    other = ScoreSignal("snip", (images, [*OBJECTS[:3], OBJECTS[0]]))
    assert signal.digest() == again.digest() != other.digest()
    assert signal(SSD) == again(SSD) != other(SSD)
