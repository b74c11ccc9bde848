"""The scores of real networks against formulas worked out by hand, and what they must leave as it was."""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch
from torch import nn

from accelzoo import Arch
from accelzoo.arch import Stage
from accelzoo.blocks import IBN
from accelzoo.errors import ShapeError
from accelzoo.heads import ClassificationHead
from accelzoo.search import run, scores
from accelzoo.search.scores import ScoreError
from accelzoo.stem import Stem

ARCH = Arch(
    stem=Stem(out_channels=8),
    stages=(Stage(block=IBN(out_channels=8, expansion_ratio=2, se_ratio=0.25), repeats=2),),
    head=ClassificationHead(hidden_channels=16, num_classes=4, drop_rate=0.2),
    input_size=(3, 16, 16),
)
NAMES = [name for name in scores.score_names() if scores.get_score(name).cost.network]


def normal(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed))


def linear(*weights: torch.Tensor) -> nn.Sequential:
    layers = []
    for weight in weights:
        layer = nn.Linear(weight.shape[1], weight.shape[0], bias=False)
        layer.weight.data = weight.clone()
        layers.append(layer)
    return nn.Sequential(nn.Flatten(), *layers)


def test_synflow_of_a_linear_chain_is_the_product_of_its_weights() -> None:
    weights = normal(5, 12), normal(7, 5, seed=1), normal(2, 7, seed=2)
    product = torch.ones(12, 1, dtype=torch.float64)
    for weight in weights:
        product = weight.double().abs() @ product
    got = scores.synflow(linear(*weights), normal(1, 3, 2, 2))
    assert got == pytest.approx(math.log(3 * product.sum().item()), rel=1e-6)


def test_synflow_leaves_normalisation_out() -> None:
    convolution = nn.Conv2d(3, 4, 1, bias=False)
    norm = nn.BatchNorm2d(4)
    norm.weight.data.fill_(-3.0)
    norm.running_var.fill_(9.0)  # type: ignore[union-attr]
    got = scores.synflow(nn.Sequential(convolution, norm, nn.ReLU()), normal(2, 3, 5, 5))
    assert got == pytest.approx(math.log(25 * convolution.weight.abs().sum().item()), rel=1e-6)


def logit_gradients(logits: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
    """Of the mean cross-entropy: softmax minus one-hot, over the batch."""
    return (logits.softmax(1) - nn.functional.one_hot(labels, logits.shape[1])) / len(labels)


def test_grad_norm_and_snip_of_one_linear_layer() -> None:
    weight, images, labels = normal(4, 12), normal(6, 3, 2, 2, seed=1), torch.tensor([0, 1, 2, 3, 0, 1])
    gradient = logit_gradients(images.flatten(1) @ weight.T, labels).T @ images.flatten(1)
    batch = images, labels
    assert scores.grad_norm(linear(weight), batch) == pytest.approx(gradient.norm().item(), rel=1e-5)
    assert scores.snip(linear(weight), batch) == pytest.approx((weight * gradient).abs().sum().item(), rel=1e-5)


def test_zico_of_one_linear_layer() -> None:
    weight, images, labels = normal(4, 12), normal(6, 3, 2, 2, seed=1), torch.tensor([0, 1, 2, 3, 0, 1])
    gradients = []
    for part in (slice(0, 3), slice(3, 6)):
        flat = images[part].flatten(1).double()
        gradients.append((logit_gradients(flat @ weight.double().T, labels[part]).T @ flat).abs())
    both = torch.stack(gradients)
    wanted = (both.mean(0) / both.var(0, unbiased=False).sqrt()).sum().log().item()
    assert scores.zico(linear(weight), (images, labels)) == pytest.approx(wanted, rel=1e-3)


def test_naswot_of_codes_made_by_hand() -> None:
    layer = nn.Linear(3, 3, bias=False)
    layer.weight.data = torch.eye(3)
    codes = torch.tensor([[1.0, 1.0, 0.0], [0.0, 1.0, 1.0], [0.0, 0.0, 1.0]])
    images = (2 * codes - 1).reshape(3, 3, 1, 1)
    # Units in which two images agree: of the 1st and 2nd one, of the 1st and 3rd none, of the 2nd and 3rd two.
    kernel = torch.tensor([[3.0, 1.0, 0.0], [1.0, 3.0, 2.0], [0.0, 2.0, 3.0]])
    assert torch.det(kernel).item() == pytest.approx(12.0)
    got = scores.naswot(nn.Sequential(nn.Flatten(), layer, nn.ReLU()), images)
    assert got == pytest.approx(math.log(12), rel=1e-9)


def test_zen_of_a_linear_network_is_the_change_times_the_weights() -> None:
    module = nn.Conv2d(3, 4, 1, bias=False)
    generator = torch.Generator().manual_seed(7)
    weight = torch.randn(4, 3, 1, 1, generator=generator)
    torch.randn(5, 3, 2, 2, generator=generator)  # the images, which a linear map's change does not depend on
    change = 0.01 * torch.randn(5, 3, 2, 2, generator=generator)
    moved = torch.einsum("oc,nchw->nohw", weight[:, :, 0, 0], change).flatten(1).norm(dim=1).mean()
    assert scores.zen(module, normal(5, 3, 2, 2), seed=7) == pytest.approx(math.log(moved.item()), rel=1e-4)


def test_zen_puts_back_what_normalising_takes_out() -> None:
    module = nn.Sequential(nn.Conv2d(3, 4, 1, bias=False), nn.BatchNorm2d(4, eps=1e-9))
    generator = torch.Generator().manual_seed(7)
    weight = torch.randn(4, 3, 1, 1, generator=generator)
    images = torch.randn(64, 3, 4, 4, generator=generator)
    moved = images + 0.01 * torch.randn(images.shape, generator=generator)
    maps = [torch.einsum("oc,nchw->nohw", weight[:, :, 0, 0], each).double() for each in (images, moved)]
    variances = [each.var((0, 2, 3), keepdim=True, unbiased=False) for each in maps]
    before, after = ((e - e.mean((0, 2, 3), keepdim=True)) / v.sqrt() for e, v in zip(maps, variances, strict=True))
    wanted = (after - before).flatten(1).norm(dim=1).mean().log() + 0.5 * variances[0].mean().log()
    assert scores.zen(module, normal(64, 3, 4, 4), seed=7) == pytest.approx(wanted.item(), rel=1e-4)


def test_zen_takes_residual_links_out() -> None:
    stages = {
        residual: (Stage(block=IBN(out_channels=8, expansion_ratio=2, residual=residual), repeats=2),)
        for residual in (True, False)
    }
    with_links, without = (
        scores.zen(Arch(stem=Stem(out_channels=8), stages=stages[residual], input_size=(3, 16, 16)), seed=3)
        for residual in (True, False)
    )
    assert with_links == without


@pytest.mark.parametrize("name", NAMES)
def test_the_same_seed_gives_the_same_score_and_touches_no_random_state(name: str) -> None:
    score = scores.get_score(name)
    torch.manual_seed(11)
    first = score(ARCH, seed=5)
    state = torch.get_rng_state()
    torch.manual_seed(12)
    assert score(ARCH, seed=5) == first
    torch.manual_seed(11)
    assert torch.equal(torch.get_rng_state(), state)
    assert score(ARCH, seed=6) != first


@pytest.mark.parametrize("name", NAMES)
def test_a_module_is_left_as_it_was(name: str) -> None:
    module = ARCH.build()
    module.train()
    module.get_submodule("blocks").eval()
    for parameter in module.parameters():
        parameter.grad = torch.ones_like(parameter)
    parameter.requires_grad_(False)
    modes = [child.training for child in module.modules()]
    hooks = [len(child._forward_hooks) + len(child._forward_pre_hooks) for child in module.modules()]
    state = {key: value.clone() for key, value in module.state_dict().items()}
    batch = normal(4, 3, 16, 16), torch.tensor([0, 1, 2, 3])
    images, labels = batch[0].clone(), batch[1].clone()
    scores.get_score(name)(module, batch)
    assert all(torch.equal(value, state[key]) for key, value in module.state_dict().items())
    assert all(torch.equal(each.grad, torch.ones_like(each)) for each in module.parameters() if each.grad is not None)
    assert all(each.grad is not None for each in module.parameters())
    assert not parameter.requires_grad
    assert [child.training for child in module.modules()] == modes
    assert [len(child._forward_hooks) + len(child._forward_pre_hooks) for child in module.modules()] == hooks
    assert torch.equal(batch[0], images)
    assert torch.equal(batch[1], labels)


@pytest.mark.parametrize(
    ("name", "images"),
    [
        ("naswot", normal(1, 3, 4, 4).expand(3, 3, 4, 4)),  # equal images: a singular kernel
        ("grad_norm", torch.full((2, 3, 4, 4), math.nan)),
        ("snip", torch.full((2, 3, 4, 4), math.inf)),
    ],
)
def test_no_finite_score_is_an_error(name: str, images: torch.Tensor) -> None:
    module = nn.Sequential(nn.Conv2d(3, 8, 3), nn.ReLU(), nn.Flatten(), nn.Linear(32, 2))
    with pytest.raises(ScoreError, match=f"the score '{name}' of this network is (nan|-?inf): it must be a finite"):
        scores.get_score(name)(module, images)


def test_a_network_without_weights_that_matter_has_no_score() -> None:
    with pytest.raises(ScoreError, match="synflow"):
        scores.synflow(linear(torch.zeros(2, 12)), normal(1, 3, 2, 2))
    with pytest.raises(ScoreError, match="rectified units"):
        scores.naswot(linear(normal(2, 12)), normal(2, 3, 2, 2))


@pytest.mark.parametrize(
    ("score", "batch", "message"),
    [
        ("snip", None, "needs a batch of images"),
        ("trainability", None, "needs a batch of images, which says what it reads"),
        ("snip", normal(2, 12), r"got of shape \(2, 12\)"),
        ("snip", "cats", "got a str"),
        ("snip", (normal(2, 3, 2, 2), torch.tensor([1])), r"labels of shape \(1,\) must have shape \(2,\)"),
        ("zico", normal(1, 3, 2, 2), "at least 2 images"),
    ],
)
def test_bad_batches_are_refused(score: str, batch: Any, message: str) -> None:
    with pytest.raises(ShapeError, match=message):
        scores.get_score(score)(linear(normal(4, 12)), batch)


def test_scores_that_need_a_task_that_they_know_say_so() -> None:
    with pytest.raises(ShapeError, match=r"needs a classifier.*got \(2, 4, 4\)"):
        scores.grad_norm(nn.Sequential(nn.Conv2d(3, 4, 1), nn.Flatten(2)), normal(2, 3, 2, 2))


def test_a_score_is_a_signal_and_its_failures_are_recorded() -> None:
    class Two:
        sizes = (2,)

        def decode(self, genome: tuple[int, ...]) -> Arch:
            return ARCH if genome[0] else Arch(stem=Stem(out_channels=4), stages=ARCH.stages)

        def canonical(self, genome: tuple[int, ...]) -> tuple[int, ...]:
            return genome

        def digest(self) -> str:
            return "two"

    def signal(arch: Arch) -> float:
        if arch == ARCH:
            raise ScoreError("the score 'made up' of this network is nan: it must be a finite number")
        return scores.trainability(arch)

    result = run(Two(), signal, evaluations=2, algorithm="random", progress=False)
    assert sorted(record.status for record in result.trace) == ["failed", "ok"]
