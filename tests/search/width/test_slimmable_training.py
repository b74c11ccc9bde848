"""Slimmable training: which widths are drawn, what steps learn, resuming, scores with statistics of their own."""

from __future__ import annotations

import itertools
from collections.abc import Mapping
from dataclasses import replace
from functools import cache
from pathlib import Path

import numpy as np
import pytest
import torch
from timm.layers import BatchNormAct2d

from accelzoo import draw
from accelzoo.arch import Arch, Stage
from accelzoo.blocks import DepthwiseSeparable
from accelzoo.build import build_classifier
from accelzoo.errors import ConfigError, DataError
from accelzoo.heads import ClassificationHead
from accelzoo.search.width import Narrowing, TemperatureSchedule, WidthCosts, WidthSpace
from accelzoo.search.width.slimmable import (
    AdditiveErrors,
    NarrowedWidths,
    OneLayerWidths,
    SlimmableNet,
    SlimmableObjective,
    SlimmablePlan,
    UniformWidths,
    WidthSampler,
    hold_out,
    recalibrate,
    score_widths,
    train_slimmable,
)
from accelzoo.stem import Stem
from accelzoo.tasks.classification import normalize
from accelzoo.tasks.data import SearchView, overlap
from accelzoo.tasks.load import load_classification
from accelzoo.train import CheckpointError, TrainConfig, TrainError, weights_digest
from accelzoo.training.progress import Silent

CONFIG = TrainConfig(steps=6, batch_size=64, threads=1, checkpoint_every_steps=2, learning_rate=5e-2)


@cache
def digits() -> SearchView:
    return load_classification("digits", (1, 8, 8)).search_view()


@cache
def space() -> WidthSpace:
    stages = [
        Stage(block=DepthwiseSeparable(out_channels=c, stride=s, activate_output=True, residual=False))
        for c, s in ((12, 1), (16, 2))
    ]
    arch = Arch(stem=Stem(out_channels=8, stride=1), stages=tuple(stages), input_size=(1, 8, 8),
                head=ClassificationHead(hidden_channels=None, num_classes=10))  # fmt: skip
    return WidthSpace.from_arch(arch, (0.25, 0.5, 1.0, 1.5), divisor=4)


def fresh() -> SlimmableNet:
    return SlimmableNet(space(), torch.Generator().manual_seed(0))


def errors() -> AdditiveErrors:
    return AdditiveErrors(space().sizes)


def totals(costs: WidthCosts, name: str) -> dict[tuple[int, ...], float]:
    every = list(itertools.product(*map(range, costs.sizes)))
    column = list(costs.columns).index(name)
    return dict(zip(every, costs.totals(every)[:, column].tolist(), strict=True))


def priced() -> WidthCosts:
    seconds: dict[tuple[int, ...], list[float]] = {
        (index,): [float(width) for width in group.widths] for index, group in enumerate(space().groups)
    }
    return WidthCosts.of(space().widths, {"latency_s": seconds}, names=[group.name for group in space().groups])


def test_uniform_draws_see_every_width_equally_often() -> None:
    drawn = UniformWidths(space()).draw(0.0, 6_000, draw.generator(1), errors())
    for group, size in enumerate(space().sizes):
        counts = np.bincount(drawn[:, group], minlength=size)
        assert counts.sum() == 6_000
        assert np.abs(counts - 6_000 / size).max() <= 4 * np.sqrt(6_000 / size)
    pairs = np.bincount(drawn[:, 0] * space().sizes[1] + drawn[:, 1])
    assert np.abs(pairs - 6_000 / len(pairs)).max() <= 4 * np.sqrt(6_000 / len(pairs))


def test_one_layer_draws_change_one_group() -> None:
    largest = np.array(space().sizes) - 1
    drawn = OneLayerWidths(space()).draw(0.0, 2_000, draw.generator(1), errors())
    changed = drawn != largest
    assert changed.sum(axis=1).max() == 1
    for group, size in enumerate(space().sizes):
        assert set(drawn[changed[:, group], group]) == set(range(size - 1))


def test_narrowed_draws_come_down_to_the_best_network_within_the_budget() -> None:
    costs = priced()
    seconds = totals(costs, "latency_s")
    budget = float(np.median(list(seconds.values())))
    known = errors()
    rng = np.random.default_rng(0)
    tables = [np.sort(rng.uniform(0, 1, size))[::-1] for size in space().sizes]
    genomes = list(seconds)
    every = np.array(genomes)
    known.update(every, sum([table[every[:, group]] for group, table in enumerate(tables)]))
    schedule = TemperatureSchedule(points=((0.5, 1.0), (0.9, 1e-4)))
    sampler = NarrowedWidths(Narrowing(budgets={"latency_s": budget}, schedule=schedule, hold="expectation"), costs,
                             turns=10)  # fmt: skip
    first = sampler.draw(0.0, 3_000, draw.generator(1), known)
    assert all(np.unique(first[:, group]).size == size for group, size in enumerate(space().sizes))
    before = [seconds[tuple(row)] for row in first.tolist()]
    last = sampler.draw(0.95, 200, draw.generator(2), known)
    after = [seconds[tuple(row)] for row in last.tolist()]
    assert np.mean(after) <= budget < np.mean(before)
    error = totals(costs.with_errors(known.tables()), "error")
    for genome in {tuple(row) for row in last.tolist()}:  # no network is better at its latency
        assert error[genome] <= min([error[x] for x in genomes if seconds[x] <= seconds[genome]]) + 1e-2


def test_narrowed_draws_look_at_the_errors_once_a_turn_and_go_on_from_their_state() -> None:
    narrowing = Narrowing(budgets={"latency_s": 50.0}, schedule=TemperatureSchedule(points=((0.0, 0.01),)))
    one, other = (NarrowedWidths(narrowing, priced(), turns=2) for _ in range(2))
    known = errors()
    rng = np.random.default_rng(0)
    start = one.draw(0.0, 50, draw.generator(7), known)
    known.update(UniformWidths(space()).draw(0, 500, draw.generator(1), known), rng.standard_normal(500))
    assert np.array_equal(one.draw(0.3, 50, draw.generator(7), known), start)
    other.load_state(one.state())
    assert np.array_equal(other.draw(0.4, 50, draw.generator(7), known), start)
    assert not np.array_equal(one.draw(0.5, 50, draw.generator(7), known), start)
    with pytest.raises(ConfigError, match="turns"):
        NarrowedWidths(narrowing, priced(), turns=0)
    dearer = priced().with_column("energy_j", {(0,): [1.0] * len(space().widths[0])})
    assert NarrowedWidths(narrowing, dearer).to_config() != NarrowedWidths(narrowing, priced()).to_config()


def plans() -> Mapping[str, tuple[SlimmablePlan, WidthSampler]]:
    uniform = UniformWidths(space())
    return {
        "sandwich": (SlimmablePlan(distill=False), uniform),
        "article, one layer": (SlimmablePlan(sandwich=False), OneLayerWidths(space())),
        "article, one vector": (SlimmablePlan(sandwich=False, per_image=False), uniform),
    }


@pytest.mark.parametrize("name", ["sandwich", "article, one layer", "article, one vector"])
def test_steps_bring_the_loss_down(name: str) -> None:
    plan, sampler = plans()[name]
    net = fresh()
    config = replace(CONFIG, steps=40, label_smoothing=0.0)
    result = train_slimmable(net, digits(), config, plan=plan, sampler=sampler)
    assert result.training.steps == 40
    assert result.training.history[-1].loss < 0.95 * result.training.history[0].loss
    assert not net.training
    seen = 40 * 64 * plan.random_passes
    assert 0 < result.errors.weight <= seen
    assert any(np.abs(table).max() > 0 for table in result.errors.tables())


def test_a_sandwich_is_the_mean_of_its_passes() -> None:
    net = fresh().train()
    known = errors()
    objective = SlimmableObjective(net, UniformWidths(space()), known, SlimmablePlan(), seed=4)
    images = torch.randn(16, 1, 8, 8, generator=torch.Generator().manual_seed(0))
    labels = torch.arange(16) % 10
    loss = float(objective(images, labels, 2, 10).detach())
    drawn = UniformWidths(space()).draw(0.2, 16, draw.generator(4, 0x51D7, 2), known)
    with torch.no_grad():
        whole = net.network(images)
        target = whole.softmax(1)
        least = net(images, torch.tensor([net.smallest] * 16)).log_softmax(1)
        random = net(images, torch.from_numpy(drawn)).log_softmax(1)
    given = -whole.log_softmax(1)[torch.arange(16), labels]
    soft = [-(target * logits).sum(1).mean() for logits in (least, random)]
    assert loss == pytest.approx(float((given.mean() + soft[0] + soft[1]) / 3), rel=1e-5)
    beyond = (-random[torch.arange(16), labels] - given).numpy()
    wanted = AdditiveErrors(space().sizes)
    wanted.update(drawn, beyond)
    for ours, theirs in zip(known.tables(), wanted.tables(), strict=True):
        assert ours == pytest.approx(theirs, abs=1e-4)


class KilledError(Exception):
    """Stands for the end of a process."""


class Killer(Silent):
    def __init__(self, at: int) -> None:
        self.at = at

    def step(self, step: int, loss: float | None, images: int) -> None:
        if step == self.at:
            raise KilledError


def narrowed() -> NarrowedWidths:
    schedule = TemperatureSchedule(points=((0.1, 1.0), (1.0, 0.01)))
    return NarrowedWidths(Narrowing(budgets={"latency_s": 40.0}, schedule=schedule), priced(), turns=2)


def test_a_killed_training_goes_on_to_the_same_weights_and_errors(tmp_path: Path) -> None:
    config = replace(CONFIG, steps=7, ema_decay=0.9, ema_every_steps=1)
    whole = fresh()
    wanted = train_slimmable(whole, digits(), config, sampler=narrowed())
    with pytest.raises(KilledError):
        train_slimmable(fresh(), digits(), config, sampler=narrowed(), folder=tmp_path, progress=Killer(5))
    net = fresh()
    found = train_slimmable(net, digits(), config, sampler=narrowed(), folder=tmp_path)
    assert found.training.resumed_at_step == 4
    assert found.training == wanted.training
    assert weights_digest(net) == weights_digest(whole)
    for ours, theirs in zip(found.errors.tables(), wanted.errors.tables(), strict=True):
        assert ours.tolist() == theirs.tolist()
    with pytest.raises(CheckpointError, match=r"objective\.sampler\.kind"):
        train_slimmable(fresh(), digits(), config, folder=tmp_path)


def test_faults_of_a_training() -> None:
    with pytest.raises(TrainError, match="loss is"):
        train_slimmable(fresh(), digits(), replace(CONFIG, learning_rate=1e18, warmup_fraction=0.0, steps=20))
    with pytest.raises(ValueError, match="random_passes"):
        SlimmablePlan(random_passes=0)


def test_held_out_images_are_training_images_kept_apart() -> None:
    view = hold_out(digits(), 0.2, seed=1)
    assert len(view.train) + len(view.validation) == len(digits().train)
    assert overlap(view.validation, view.train) == 0
    assert overlap(digits().train, view.validation) == len(view.validation)
    assert overlap(digits().validation, view.validation) == 0
    shares = np.bincount(view.validation.labels) / np.bincount(digits().train.labels)
    assert np.abs(shares - 0.2).max() < 0.01
    assert hold_out(digits(), 0.2, seed=1).digest() == view.digest()
    assert hold_out(digits(), 0.2, seed=2).digest() != view.digest()
    with pytest.raises(DataError, match="fraction"):
        hold_out(digits(), 1.0)


def test_statistics_are_the_averages_over_batches() -> None:
    model = build_classifier(space().decode(space().base), torch.Generator().manual_seed(0))
    split = digits().train.subset(300, seed=2)
    recalibrate(model, split, images=300, batch_size=len(split))
    assert not model.training
    stem, norm = model.get_submodule("conv_stem"), model.get_submodule("bn1")
    assert isinstance(norm, BatchNormAct2d)
    with torch.no_grad():
        maps = stem(normalize(torch.from_numpy(split.images), split.normalization))
    assert norm.running_mean == pytest.approx(maps.mean((0, 2, 3)).numpy(), abs=1e-5)
    assert norm.running_var == pytest.approx(maps.var((0, 2, 3)).numpy(), rel=1e-4)
    assert norm.momentum == 0.1
    recalibrate(model, split, images=300, batch_size=len(split) // 3)
    assert norm.num_batches_tracked == 3
    assert norm.running_mean == pytest.approx(maps.mean((0, 2, 3)).numpy(), abs=0.02)
    with pytest.raises(DataError, match="at least 2"):
        recalibrate(model, split.take(np.array([0])))


def test_scores_are_those_of_networks_with_their_own_statistics() -> None:
    net = fresh()
    view = hold_out(digits(), 0.2)
    train_slimmable(net, view, replace(CONFIG, steps=60))
    before = weights_digest(net)
    genomes = [net.smallest, net.space.base, net.largest]
    scores = score_widths(net, genomes, view, images=512)
    assert weights_digest(net) == before
    assert scores.accuracies.tolist() == [metrics.top1 for metrics in scores.metrics]
    assert scores.errors == pytest.approx(1 - scores.accuracies)
    assert scores.accuracies[2] > 0.4
    assert scores.losses[2] < scores.losses[0]
    recalibrate(net, view.train, images=512)  # of the largest network, in the slimmable one's place
    logits = []
    for start in range(0, len(view.validation), 256):
        images = torch.from_numpy(view.validation.images[start : start + 256])
        with torch.no_grad():
            logits.append(net(normalize(images, view.validation.normalization)))
    labels = torch.from_numpy(view.validation.labels)
    assert int((torch.cat(logits).argmax(1) == labels).sum()) == scores.metrics[2].correct
