"""Batches of a detector: equal however they are asked for, taught nothing in regions to ignore."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch

from accelzoo import get_arch
from accelzoo.arch import Arch
from accelzoo.detection import detection_loss
from accelzoo.detection.boxes import anchor_boxes, box_strides, flat
from accelzoo.detection.geometry import detection_head, levels_of
from accelzoo.detection.matching import BACKGROUND, IGNORED, ignore, match
from accelzoo.errors import DataError
from accelzoo.heads._detection import DetectionHead
from accelzoo.heads.fcos import FCOSHead
from accelzoo.heads.retina import RetinaHead
from accelzoo.heads.ssdlite import SSDLiteHead
from accelzoo.necks import FPN, BiFPN
from accelzoo.tasks.data import Normalization
from accelzoo.tasks.detection import (
    DetectionAugment,
    DetectionData,
    DetectionFeed,
    DetectionView,
    evaluate_detection,
    load_detection,
)
from accelzoo.training.config import TrainConfig

SIDE = 64
CPU = torch.device("cpu")
HEADS: tuple[DetectionHead, ...] = (
    SSDLiteHead(num_classes=3, extra_channels=(16,)),
    RetinaHead(num_classes=3, neck=BiFPN(channels=16, fusion="fast", repeats=1), tower_depth=1),
    FCOSHead(num_classes=3, neck=FPN(channels=16), tower_depth=1),
)


def kind_of(head: DetectionHead) -> str:
    return head.kind


def detector(head: DetectionHead = HEADS[0], side: int = SIDE) -> Arch:
    return get_arch("ibn_t", head=head, input_size=side)


@pytest.fixture(scope="module")
def shapes() -> DetectionData:
    return load_detection("shapes?count=10&size=48")


@pytest.fixture(scope="module")
def model() -> torch.nn.Module:
    return detector().build()


def view(data: DetectionData, augment: DetectionAugment | None = None) -> DetectionView:
    return data.view((3, SIDE, SIDE), augment)


def feed(data: DetectionData, model: torch.nn.Module, **config: int) -> DetectionFeed:
    return view(data).feed(model, TrainConfig(**{"batch_size": 4, **config}), CPU)  # type: ignore[arg-type]


def test_batches_are_what_training_needs(shapes: DetectionData, model: torch.nn.Module) -> None:
    made = feed(shapes, model)
    assert (made.batch_size, made.steps_per_epoch, made.images) == (4, 2, 10)
    images, targets = made.batch(0)
    assert images.shape == (4, 3, SIDE, SIDE)
    assert images.dtype == torch.float32
    assert images.is_contiguous(memory_format=torch.channels_last)
    assert float(images.abs().mean()) < 2
    for target in targets:
        assert target["boxes"].shape == (len(target["labels"]), 4)
        assert target["boxes"].dtype == torch.float32
        assert target["labels"].dtype == torch.int64
        assert target["ignored"].shape[1] == 4
        assert bool((target["boxes"][:, 2:] > target["boxes"][:, :2]).all())
        assert bool((target["boxes"] <= SIDE).all())


def test_a_step_gives_the_same_batch_in_any_order(shapes: DetectionData, model: torch.nn.Module) -> None:
    forward, backward = feed(shapes, model), feed(shapes, model)
    ahead = {step: forward.batch(step) for step in (0, 1, 2, 5, 5)}
    behind = {step: backward.batch(step) for step in (5, 2, 0, 1)}
    for step, (images, targets) in ahead.items():
        assert torch.equal(images, behind[step][0])
        for one, other in zip(targets, behind[step][1], strict=True):
            assert all(torch.equal(one[key], other[key]) for key in ("boxes", "labels", "ignored"))
    assert not torch.equal(ahead[0][0], ahead[2][0])
    assert not torch.equal(feed(shapes, model, seed=1).batch(0)[0], ahead[0][0])


def test_an_epoch_shows_each_image_once(shapes: DetectionData, model: torch.nn.Module) -> None:
    plain = view(shapes, DetectionAugment.none())
    made = plain.feed(model, TrainConfig(batch_size=5), CPU)
    for epoch in (0, 1):
        seen = torch.cat([made.batch(2 * epoch + step)[0] for step in (0, 1)])
        assert len({image.numpy().tobytes() for image in seen}) == 10


def test_part_of_the_images_can_be_chosen(shapes: DetectionData, model: torch.nn.Module) -> None:
    assert feed(shapes, model, max_train_images=5).images == 5
    assert feed(shapes, model, max_train_images=3).batch_size == 3


def test_the_digest_covers_what_training_depends_on(shapes: DetectionData) -> None:
    first = view(shapes)
    others = [
        view(shapes, DetectionAugment(mosaic=0.1)),
        shapes.view((3, 32, 64)),
        shapes.view((3, SIDE, SIDE), normalization=Normalization(mean=(0.5,) * 3, std=(0.5,) * 3)),
        replace(shapes, train=shapes.validation).view((3, SIDE, SIDE)),
    ]
    assert first.digest() == view(shapes).digest()
    assert len({first.digest(), *(other.digest() for other in others)}) == 5


def test_a_network_that_does_not_fit_the_data_is_refused(shapes: DetectionData, model: torch.nn.Module) -> None:
    config = TrainConfig()
    with pytest.raises(DataError, match=r"takes images of \(3, 64, 64\), the data are viewed at \(3, 96, 96\)"):
        shapes.view((3, 96, 96)).feed(model, config, CPU)
    with pytest.raises(DataError, match="3 classes, the data 1"):
        load_detection("shapes?count=6&size=32", classes=["disc"]).view((3, SIDE, SIDE)).feed(model, config, CPU)
    with pytest.raises(TypeError, match="predicts no boxes"):
        view(shapes).feed(get_arch("ibn_t", input_size=SIDE).build(), config, CPU)
    with pytest.raises(TypeError, match="has no `arch`"):
        view(shapes).feed(torch.nn.Identity(), config, CPU)
    with pytest.raises(DataError, match="input_size"):
        shapes.view((1, SIDE, SIDE))


def test_the_loss_is_the_sum_of_the_detection_losses(shapes: DetectionData, model: torch.nn.Module) -> None:
    made = feed(shapes, model)
    images, targets = made.batch(0)
    with torch.no_grad():
        outputs = model.eval()(images)
    expected = sum(float(part) for part in detection_loss(outputs, targets, detector()).values())
    assert float(made.loss(outputs, targets)) == pytest.approx(expected, rel=1e-6)


def test_anchors_in_a_region_to_ignore_are_no_background() -> None:
    anchors = torch.tensor([[0.0, 0, 10, 10], [5, 0, 15, 10], [6, 0, 16, 10], [0, 0, 40, 40], [50, 50, 60, 60]])
    matched = torch.tensor([0, BACKGROUND, BACKGROUND, BACKGROUND, BACKGROUND])
    region = torch.tensor([[0.0, 0, 10, 30]])
    expected = [0, IGNORED, BACKGROUND, BACKGROUND, BACKGROUND]  # halves count, a large anchor around it does not
    assert ignore(matched, region, anchors).tolist() == expected
    assert torch.equal(ignore(matched, torch.zeros(0, 4), anchors), matched)


@pytest.mark.parametrize("head", HEADS, ids=kind_of)
def test_outputs_in_a_region_to_ignore_get_no_gradient(head: DetectionHead) -> None:
    arch = detector(head, 128)
    levels = levels_of(arch)
    anchors, strides = anchor_boxes(levels, (128, 128)), box_strides(levels)
    region = torch.tensor([[64.0, 0.0, 128.0, 128.0]])
    boxes = torch.tensor([[4.0, 10.0, 60.0, 100.0]])
    torch.manual_seed(0)
    # Every box is sure of an object: as background, each would be a hard negative.
    outputs = [
        tuple(value.detach() + (index == 0) * 3 for index, value in enumerate(level))
        for level in arch.build().eval()(torch.randn(1, 3, 128, 128))
    ]
    logits = [level[0].requires_grad_() for level in outputs]
    target = {"boxes": boxes, "labels": torch.tensor([1]), "ignored": region}
    detection_loss(outputs, [target], arch)["classes"].backward()
    objects = ignore(match(detection_head(arch), boxes, anchors, strides), region, anchors)
    gradients = flat([value.grad for value in logits if value.grad is not None], head.class_logits)[0]
    assert int((objects == IGNORED).sum()) > 0
    assert float(gradients[:, objects == IGNORED].abs().max()) == 0
    assert float(gradients[:, objects >= 0].abs().min()) > 0


def test_a_few_steps_on_shapes_lower_the_loss(shapes: DetectionData) -> None:
    torch.manual_seed(0)
    network = detector().build().train()
    made = view(shapes, DetectionAugment.none()).feed(network, TrainConfig(batch_size=10), CPU)
    optimizer = torch.optim.AdamW(network.parameters(), lr=2e-3)
    losses = []
    for step in range(12):
        images, targets = made.batch(step)
        loss = made.loss(network(images), targets)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(float(loss.detach()))
    assert np.mean(losses[-3:]) < 0.8 * losses[0]


@pytest.mark.parametrize("side", [SIDE, [3, SIDE, 2 * SIDE]])
def test_validation_images_are_decoded_once_and_score_the_same(side: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    data = load_detection("shapes?count=12&size=80")
    arch = get_arch("ibn_t", head=HEADS[0], input_size=side)
    network = arch.build()
    torch.manual_seed(0)
    for parameter in network.parameters():
        torch.nn.init.normal_(parameter, 0, 0.1)
    seen = data.view(arch.input_size)
    wanted = evaluate_detection(network, seen.validation, seen.input_size, seen.normalization)
    batches = seen.feed(network, TrainConfig(batch_size=4), CPU)
    assert batches.evaluate(network) == wanted
    decoded: list[object] = []
    monkeypatch.setattr("accelzoo.tasks.detection.store.decode", decoded.append)
    assert seen.feed(network, TrainConfig(batch_size=4), CPU).evaluate(network) == wanted
    assert not decoded
