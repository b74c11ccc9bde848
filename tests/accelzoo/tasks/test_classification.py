"""Loss, top-1 and its interval against closed forms, published numbers and plain loops."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from torch import nn

from accelzoo.errors import DataError
from accelzoo.tasks import Metrics, Normalization, Split, classification_loss, evaluate, wilson_interval
from tests.accelzoo.tasks.written import pixels

NORMALIZATION = Normalization(mean=(0.4, 0.5, 0.6), std=(0.2, 0.25, 0.3))


def make_split(count: int = 23) -> Split:
    labels = np.arange(count, dtype=np.int64) % 4
    return Split(images=pixels(count, 3, 5, 5), labels=labels, normalization=NORMALIZATION)


def make_network() -> nn.Module:
    torch.manual_seed(0)
    return nn.Sequential(nn.Conv2d(3, 6, 3), nn.BatchNorm2d(6), nn.Flatten(), nn.Dropout(0.5), nn.Linear(54, 4))


@pytest.mark.parametrize(
    ("correct", "count", "low", "high"),
    [
        (8, 10, 0.4902, 0.9433),  # Newcombe 1998's method 3, as scipy and R's prop.test(correct=FALSE) print it
        (81, 263, 0.2553, 0.3662),  # Newcombe 1998, table I
        (15, 148, 0.0624, 0.1605),
        (0, 20, 0.0, 0.1611),
        (1, 29, 0.0061, 0.1718),
    ],
)
def test_wilson_intervals_are_the_published_ones(correct: int, count: int, low: float, high: float) -> None:
    assert wilson_interval(correct, count) == pytest.approx((low, high), abs=6e-5)


def test_wilson_bounds_solve_their_equation() -> None:
    for correct, count in ((3, 7), (950, 1000), (1, 1), (0, 1)):
        for bound in wilson_interval(correct, count):
            distance = abs(correct / count - bound)
            assert distance == pytest.approx(1.959963984540054 * math.sqrt(bound * (1 - bound) / count), abs=1e-12)


@pytest.mark.parametrize(("correct", "count"), [(-1, 3), (4, 3), (0, 0)])
def test_impossible_counts_are_refused(correct: int, count: int) -> None:
    with pytest.raises(ValueError, match="correct"):
        wilson_interval(correct, count)


def test_metrics_say_n_and_interval() -> None:
    metrics = Metrics(correct=8, count=10, loss=0.5)
    assert metrics.to_json()["top1"] == 0.8
    assert (metrics.to_json()["top1_low"], metrics.to_json()["top1_high"]) == metrics.interval
    assert str(metrics) == "top-1 80.00% (95 % 49.02% … 94.33%, n = 10), loss 0.5000"


@pytest.mark.parametrize("smoothing", [0.0, 0.1])
def test_loss_is_the_smoothed_cross_entropy(smoothing: float) -> None:
    logits = torch.tensor([[1.0, 2.0, -1.0], [0.0, 0.0, 3.0]])
    labels = torch.tensor([1, 0])
    total = 0.0
    for row, label in zip(logits.tolist(), labels.tolist(), strict=True):
        log_sum = math.log(sum(math.exp(value) for value in row))
        for index, value in enumerate(row):
            target = smoothing / 3 + (1 - smoothing) * (index == label)
            total -= target * (value - log_sum)
    assert float(classification_loss(logits, labels, smoothing)) == pytest.approx(total / 2, rel=1e-6)
    assert classification_loss(logits.bfloat16(), labels).dtype == torch.float32


@pytest.mark.parametrize("batch_size", [1, 7, 64])
def test_evaluation_equals_a_plain_loop(batch_size: int) -> None:
    split, model = make_split(), make_network()
    mean, std = np.array(NORMALIZATION.mean), np.array(NORMALIZATION.std)
    correct, loss = 0, 0.0
    model.eval()
    for image, label in zip(split.images, split.labels, strict=True):
        fed = (image / 255 - mean[:, None, None]) / std[:, None, None]
        logits = model(torch.tensor(fed[None], dtype=torch.float32))[0].detach().double()
        correct += int(logits.argmax()) == label
        loss += float(torch.logsumexp(logits, 0) - logits[label])
    metrics = evaluate(model, split, batch_size=batch_size)
    assert (metrics.correct, metrics.count) == (correct, 23)
    assert metrics.loss == pytest.approx(loss / 23, rel=1e-5)


@pytest.mark.parametrize("training", [True, False])
def test_evaluation_leaves_the_network_as_it_was(training: bool) -> None:
    model = make_network().train(training)
    before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    evaluate(model, make_split())
    assert model.training is training
    assert all(torch.equal(before[name], tensor) for name, tensor in model.state_dict().items())


def test_impossible_evaluations_are_refused() -> None:
    split = make_split()
    with pytest.raises(DataError, match="empty split"):
        evaluate(make_network(), split.take(np.arange(0)))
    model = nn.Sequential(nn.Flatten(), nn.Linear(75, 3)).train()
    with pytest.raises(DataError, match="labels go up to 3, the network has 3 classes"):
        evaluate(model, split)
    assert model.training
