"""The parts of the training loop, each against a closed form or a plain loop."""

from __future__ import annotations

import math
from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest
import torch
from torch import nn

from accelzoo.config import read, to_config
from accelzoo.tasks import Augment
from accelzoo.train import TrainConfig, TrainError, learning_rate, weights_digest
from accelzoo.training.average import WeightAverage
from accelzoo.training.batches import Batches, derive_seed
from accelzoo.training.identity import structure_digest
from accelzoo.training.optimizer import load_state_tensors, make_optimizer, state_tensors
from accelzoo.training.precision import Precision
from tests.accelzoo.train_toy import BASE, CONFIGS, make_data, make_network

CPU = torch.device("cpu")


def make_batches(seed: int = 0, batch_size: int = 8, shard: tuple[int, int] = (0, 1), erase: float = 0.0) -> Batches:
    augment = Augment(flip=True, crop_padding=2, erase=erase)
    return Batches(make_data().train, augment, batch_size, seed, CPU, shard)


def plain_batches(batch_size: int = 8) -> Batches:
    return Batches(make_data().train, Augment(flip=False, crop_padding=0), batch_size, 0, CPU)


def test_learning_rate_rises_and_falls_as_it_should() -> None:
    rates = [learning_rate(step, 100, 0.5, 0.1) for step in range(100)]
    assert rates[:10] == pytest.approx([0.05 * (step + 1) for step in range(10)])
    assert rates[10] == 0.5
    assert rates[55] == pytest.approx(0.25)
    assert rates[99] == pytest.approx(0.25 * (1 + math.cos(math.pi * 89 / 90)))
    assert all(first > second for first, second in pairwise(rates[10:]))


@pytest.mark.parametrize(("total", "warmup"), [(1, 0.0), (1, 0.9), (2, 0.5), (3, 0.99)])
def test_learning_rate_of_very_short_trainings_is_positive(total: int, warmup: float) -> None:
    rates = [learning_rate(step, total, 1.0, warmup) for step in range(total)]
    assert all(0 < rate <= 1 for rate in rates)


@pytest.mark.parametrize("name", ["adamw", "sgd"])
def test_weight_decay_spares_vectors(name: str) -> None:
    model = nn.Sequential(nn.Conv2d(2, 3, 3), nn.BatchNorm2d(3), nn.Flatten(), nn.Linear(3, 2))
    before = {key: value.detach().clone() for key, value in model.named_parameters()}
    config = replace(BASE, optimizer="sgd" if name == "sgd" else "adamw", weight_decay=0.5, learning_rate=0.1)
    optimizer = make_optimizer(model, config)
    for parameter in model.parameters():
        parameter.grad = torch.zeros_like(parameter)
    optimizer.step()
    decayed = {"0.weight", "3.weight"}
    # with Nesterov momentum 0.9 the first step is (1 + 0.9) times the gradient, here weight_decay · weight
    factor = 1 - 0.1 * 0.5 * (1.9 if name == "sgd" else 1.0)
    for key, value in model.named_parameters():
        expected = before[key] * (factor if key in decayed else 1.0)
        torch.testing.assert_close(value.detach(), expected)


def test_frozen_parameters_are_left_out() -> None:
    model = make_network()
    model[0].weight.requires_grad_(False)
    optimizer = make_optimizer(model, BASE)
    assert all(parameter is not model[0].weight for group in optimizer.param_groups for parameter in group["params"])
    model.requires_grad_(False)
    with pytest.raises(TrainError, match="no trainable parameters"):
        make_optimizer(model, BASE)


@pytest.mark.parametrize("layout", [torch.contiguous_format, torch.channels_last])
def test_optimizer_state_survives_being_stored(layout: torch.memory_format) -> None:
    images = torch.randn(4, 3, 8, 8, generator=torch.Generator().manual_seed(0))

    def step(model: nn.Module, optimizer: torch.optim.Optimizer) -> None:
        optimizer.zero_grad()
        model(images).square().sum().backward()
        optimizer.step()

    first, second = make_network().eval().to(memory_format=layout), make_network().eval().to(memory_format=layout)
    one = make_optimizer(first, BASE)
    step(first, one)
    stored = {name: tensor.clone().contiguous() for name, tensor in state_tensors(one).items()}
    second.load_state_dict(first.state_dict())
    other = make_optimizer(second, BASE)
    load_state_tensors(other, stored)
    step(first, one)
    step(second, other)
    assert weights_digest(first) == weights_digest(second)


def test_average_follows_its_formula() -> None:
    model = nn.BatchNorm1d(2)
    average = WeightAverage(model, decay=0.9, every_steps=2)
    expected = model.weight.detach().numpy().astype(np.float64)
    for step in range(1, 41):
        with torch.no_grad():
            model.weight.copy_(torch.tensor([float(step), -float(step)]))
            assert model.num_batches_tracked is not None
            model.num_batches_tracked.fill_(step)
        average.update(step)
        if step % 2 == 0:
            decay = min(0.9**2, (1 + step / 2) / (10 + step / 2))
            expected = decay * expected + (1 - decay) * np.array([step, -step])
    np.testing.assert_allclose(average.tensors["weight"].numpy(), expected, rtol=1e-5)
    assert int(average.tensors["num_batches_tracked"]) == 40


def test_average_can_be_worn_and_taken_off() -> None:
    model = make_network()
    average = WeightAverage(model, 0.9, 1)
    initial = weights_digest(model)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(1)
    trained = weights_digest(model)
    with average.worn():
        assert weights_digest(model) == initial
    assert weights_digest(model) == trained
    average.install()
    assert weights_digest(model) == initial


def test_an_epoch_shows_each_image_once() -> None:
    data, batches = make_data(), plain_batches(batch_size=10)
    seen = []
    for step in range(3):
        images, labels = batches.batch(step)
        pixels = (images * 0.25 + 0.5) * 255
        seen += [(int(label), pixel.round().to(torch.uint8).numpy().tobytes()) for label, pixel in
                 zip(labels, pixels.contiguous(), strict=True)]  # fmt: skip
    assert sorted(seen) == sorted(
        (int(label), image.tobytes()) for label, image in zip(data.train.labels, data.train.images, strict=True)
    )


def test_batches_are_functions_of_seed_and_step() -> None:
    first, second, third = make_batches(), make_batches(), make_batches(seed=1)
    assert first.steps_per_epoch == 3  # 30 images, the last 6 of each order are left out
    forward = [first.batch(step) for step in range(7)]
    for step in (6, 0, 3, 2):  # asked for in any order
        assert torch.equal(second.batch(step)[0], forward[step][0])
        assert torch.equal(second.batch(step)[1], forward[step][1])
        assert not torch.equal(third.batch(step)[0], forward[step][0])
    assert not torch.equal(forward[0][0], forward[3][0])  # another order in the next epoch


@pytest.mark.parametrize("erase", [0.0, 0.6])
def test_shards_make_up_the_whole_batch(erase: float) -> None:
    whole, label = make_batches(erase=erase).batch(4)
    for rank in range(4):
        part, part_label = make_batches(shard=(rank, 4), erase=erase).batch(4)
        assert torch.equal(part, whole[rank::4])
        assert torch.equal(part_label, label[rank::4])


def test_batches_are_float_and_channels_last() -> None:
    images, labels = make_batches().batch(0)
    assert (images.dtype, images.shape, labels.dtype) == (torch.float32, (8, 3, 8, 8), torch.int64)
    assert images.is_contiguous(memory_format=torch.channels_last)


def test_a_batch_larger_than_the_set_is_the_set() -> None:
    batches = make_batches(batch_size=100)
    assert (batches.batch_size, batches.steps_per_epoch) == (30, 1)


def test_derived_seeds_differ_by_every_part() -> None:
    seeds = {derive_seed(seed, stream, step) for seed in range(3) for stream in range(3) for step in range(50)}
    assert len(seeds) == 450
    assert all(0 <= seed < 2**63 for seed in seeds)


def test_precision_follows_the_device() -> None:
    assert Precision("auto", CPU).kind == "no"
    model = nn.Linear(3, 2)
    with Precision("bf16", CPU).autocast():
        assert model(torch.ones(1, 3)).dtype == torch.bfloat16
    with Precision("no", CPU).autocast():
        assert model(torch.ones(1, 3)).dtype == torch.float32
    with pytest.raises(TrainError, match="fp16 needs a CUDA GPU, the device is cpu"):
        Precision("fp16", CPU)
    assert Precision("no", CPU).state() == {}


def test_digests_tell_structure_and_weights_apart() -> None:
    first, second, other = make_network(), make_network(seed=1), make_network()
    other[2] = nn.ReLU6()
    assert structure_digest(first) == structure_digest(second) != structure_digest(other)
    assert weights_digest(first) == weights_digest(other) != weights_digest(second)
    assert weights_digest(make_network().to(memory_format=torch.channels_last)) == weights_digest(first)


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("optimizer", "adam"), ("learning_rate", 0), ("learning_rate", math.nan), ("epochs", math.inf), ("steps", 0),
        ("batch_size", 0), ("warmup_fraction", 1.0), ("label_smoothing", 1), ("ema_decay", -0.1), ("momentum", 1.0),
        ("mixed_precision", "fp8"), ("threads", 0), ("seed", -1), ("gradient_clip", -1), ("train_fraction", 0),
        ("checkpoint_every_steps", 0), ("checkpoint_every_s", 0), ("max_train_images", 0), ("evaluate", "always"),
        ("ema_every_steps", 0), ("weight_decay", -1),
    ],
)  # fmt: skip
def test_impossible_settings_are_refused(field: str, value: object) -> None:
    with pytest.raises(ValueError, match=field):
        replace(BASE, **{field: value})  # type: ignore[arg-type]


@pytest.mark.parametrize("name", CONFIGS)
def test_settings_survive_the_strict_reader(name: str) -> None:
    assert read(TrainConfig, to_config(CONFIGS[name])) == CONFIGS[name]
