"""Slimmable networks: a masked network computes what the ordinary network of its widths does."""

from __future__ import annotations

import copy
from dataclasses import replace
from functools import cache

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from accelzoo import draw
from accelzoo.arch import Arch, Stage
from accelzoo.blocks import (
    IBN,
    Block,
    Bottleneck,
    ConvBnAct,
    DepthwiseSeparable,
    FusedIBN,
    MobileAttention,
    ShuffleIBN,
    Tucker,
)
from accelzoo.build import build_classifier
from accelzoo.errors import ConfigError, ShapeError
from accelzoo.heads import ClassificationHead
from accelzoo.search.space import Genome
from accelzoo.search.width import WidthSpace
from accelzoo.search.width.slimmable import SlimmableNet, extract_subnet
from accelzoo.stem import Stem

PLAIN = ClassificationHead(hidden_channels=None, num_classes=5)
CHAIN = [DepthwiseSeparable(out_channels=c, stride=s, activate_output=True, residual=False, activation="relu6")
         for c, s in ((16, 1), (24, 2), (24, 1), (32, 2))]  # fmt: skip


def small(*blocks: Block, head: ClassificationHead = PLAIN) -> Arch:
    return Arch(stem=Stem(out_channels=8), stages=tuple([Stage(block=block) for block in blocks]), head=head,
                input_size=(3, 32, 32))  # fmt: skip


def ibns(kind: type[IBN] | type[FusedIBN], **changes: object) -> list[Block]:
    first = kind(out_channels=16, stride=2, expansion_ratio=2.0, **changes)  # type: ignore[arg-type]
    same = kind(out_channels=16, expansion_ratio=3.0, **changes)  # type: ignore[arg-type]
    return [kind(out_channels=8, expansion_ratio=1.0, **changes), first, same, same]  # type: ignore[arg-type]


NETWORKS = {
    "chain": small(*CHAIN),
    "chain, gates, no norm": small(
        replace(CHAIN[0], se_ratio=0.25), replace(CHAIN[1], depthwise_norm=False), replace(CHAIN[2], se_ratio=0.5)
    ),
    "residual IBN": small(*ibns(IBN), head=ClassificationHead(hidden_channels=32, num_classes=5)),
    "residual IBN, gates": small(*ibns(IBN, se_ratio=0.25, se_gate="hard_sigmoid", activation="hard_swish")),
    "residual IBN, gates of the gated": small(*ibns(IBN, se_ratio=0.25, se_base="gated", se_divisor=4)),
    "fused IBN": small(*ibns(FusedIBN)),
    "fused IBN, gates": small(*ibns(FusedIBN, se_ratio=0.25, activation="silu")),
    "head behind the pool": small(
        *ibns(IBN),
        head=ClassificationHead(hidden_channels=24, num_classes=5, pool_first=True, hidden_norm=False,
                                activation="sigmoid"),
    ),
    "bottlenecks": small(
        Bottleneck(out_channels=32, stride=2, se_ratio=0.25), Bottleneck(out_channels=32, se_ratio=0.25)
    ),
    "groups and ranks": small(
        Bottleneck(out_channels=16, inner_ratio=1.0, group_size=4), Tucker(out_channels=24, se_ratio=0.25)
    ),
}  # fmt: skip


@cache
def made(name: str) -> SlimmableNet:
    """Builds the network with every term, factor and statistic drawn: nothing is zero or one by its initial value."""
    torch.manual_seed(3)
    space = WidthSpace.from_arch(NETWORKS[name], (0.5, 1.0, 1.5, 2.0), divisor=4)
    net = SlimmableNet(space)
    with torch.no_grad():
        for tensor in net.parameters():
            if tensor.ndim == 1:
                tensor.uniform_(-0.7, 0.7)
        for key, buffer in net.named_buffers():
            if key.endswith("running_mean"):
                buffer.uniform_(-0.3, 0.3)
            elif key.endswith("running_var"):
                buffer.uniform_(0.5, 2.0)
    return net.eval()


def genomes_of(net: SlimmableNet, count: int) -> list[Genome]:
    rng = draw.generator(1)
    return [net.largest, net.smallest, net.space.base, *[net.space.sample_genome(rng) for _ in range(count - 3)]]


def ordinary(net: SlimmableNet, genome: Genome) -> nn.Module:
    arch, weights = extract_subnet(net, genome)
    model = build_classifier(arch)
    model.load_state_dict(weights, strict=True)
    return model.eval()


def close(ours: Tensor, theirs: Tensor) -> bool:
    return float((ours - theirs).abs().max()) <= 1e-5 * float(theirs.abs().max())


@pytest.mark.parametrize("name", NETWORKS)
def test_masked_equals_sliced(name: str) -> None:
    net = made(name)
    genomes = genomes_of(net, 6)
    images = torch.randn(len(genomes), 3, 32, 32, generator=torch.Generator().manual_seed(5))
    with torch.no_grad():
        masked = net(images, torch.tensor(genomes))
        assert close(net(images), ordinary(net, net.largest)(images))
        for image, genome, logits in zip(images.split(1), genomes, masked.split(1), strict=True):
            alone = ordinary(net, genome)(image)
            assert float(alone.abs().max()) > 1e-2
            assert close(logits, alone)
            assert close(net.forward_sliced(image, genome), alone)
    assert len({tuple(row) for row in masked.tolist()}) == len(genomes)


def test_the_extracted_architecture_is_the_one_of_the_space() -> None:
    net = made("residual IBN, gates")
    for genome in genomes_of(net, 5):
        arch, weights = extract_subnet(net, genome)
        assert arch == net.space.decode(genome).normal()
        assert arch.lower().weight_bytes == net.space.decode(genome).lower().weight_bytes
        assert all(tensor.is_contiguous() for tensor in weights.values())
    stem = net.network.get_parameter("conv_stem.weight")
    before = stem.detach().clone()
    weights["conv_stem.weight"].zero_()
    assert torch.equal(stem, before)


@pytest.mark.parametrize("name", ["residual IBN, gates", "bottlenecks"])
def test_one_network_for_all_images_trains_as_it_would_alone(name: str) -> None:
    net = copy.deepcopy(made(name))
    genome = genomes_of(net, 4)[3]
    alone = ordinary(net, genome).train()
    net.train()
    images = torch.randn(8, 3, 32, 32, generator=torch.Generator().manual_seed(6))
    alone(images).square().mean().backward()
    wanted = {key: value.grad for key, value in alone.named_parameters()}
    masked, sliced = copy.deepcopy(net), net
    masked(images, torch.tensor([genome] * 8)).square().mean().backward()
    sliced.forward_sliced(images, genome).square().mean().backward()
    for model in (masked, sliced):
        for key, parameter in model.network.named_parameters():
            gradient, want = parameter.grad, wanted[key]
            assert gradient is not None
            assert want is not None
            part = gradient[tuple([slice(size) for size in want.shape])]
            assert torch.allclose(part, want, rtol=1e-3, atol=1e-5)
            assert float(gradient.abs().sum()) == pytest.approx(float(part.abs().sum()), rel=1e-5)
    statistics = dict(alone.named_buffers())
    for key, buffer in sliced.network.named_buffers():
        want = statistics[key]
        part = buffer[tuple([slice(size) for size in want.shape])]
        assert torch.allclose(part, want, rtol=1e-5)


def test_a_copy_masks_for_itself() -> None:
    net = made("chain")
    other = copy.deepcopy(net)
    images = torch.randn(2, 3, 32, 32)
    genomes = torch.tensor([net.smallest, net.largest])
    with torch.no_grad():
        assert torch.equal(other(images, genomes), net(images, genomes))
        assert torch.equal(other(images), net(images))


def test_a_copy_slices_its_own_weights() -> None:
    net = SlimmableNet(WidthSpace.from_arch(NETWORKS["chain"]), torch.Generator().manual_seed(0)).eval()
    images = torch.randn(2, 3, 32, 32, generator=torch.Generator().manual_seed(1))
    twin, wanted = copy.deepcopy(net), net.forward_sliced(images, net.smallest)
    with torch.no_grad():
        for parameter in net.parameters():
            parameter.zero_()
    assert torch.equal(twin.forward_sliced(images, twin.smallest), wanted)
    groups = [module.groups for module in twin.network.modules() if isinstance(module, nn.Conv2d)]
    assert groups == [module.groups for module in net.network.modules() if isinstance(module, nn.Conv2d)]


def test_weights_are_those_of_the_largest_network() -> None:
    net = made("chain")
    arch = net.space.decode(net.largest)
    build_classifier(arch).load_state_dict(net.network.state_dict(), strict=True)
    assert set(net.state_dict()) == {f"network.{name}" for name in net.network.state_dict()}


@pytest.mark.parametrize(
    ("genomes", "fault"),
    [
        (torch.zeros(3, 5, dtype=torch.int64), "one per image"),
        (torch.zeros(2, 4, dtype=torch.int64), "one per image"),
        (torch.zeros(2, 5), "one per image"),
        (torch.tensor([[0, 0, 0, 0, 0], [0, 0, 9, 0, 0]]), r"\[0, 0, 9, 0, 0\]"),
    ],
)
def test_genomes_that_do_not_fit(genomes: Tensor, fault: str) -> None:
    with pytest.raises(ShapeError, match=fault):
        made("chain")(torch.randn(2, 3, 32, 32), genomes)
    with pytest.raises(ShapeError, match="choice 9"):
        made("chain").forward_sliced(torch.randn(2, 3, 32, 32), (0, 0, 9, 0, 0))


@pytest.mark.parametrize(
    ("block", "fault"),
    [
        (ShuffleIBN(out_channels=16, expansion_ratio=2.0), "shuffled channels"),
        (ConvBnAct(out_channels=16, group_size=4), "groups of"),
        (MobileAttention(out_channels=8, heads=2), "heads side by side"),
    ],
)
def test_networks_whose_parts_are_no_slices(block: Block, fault: str) -> None:
    space = WidthSpace.from_arch(small(block, CHAIN[0]), (0.5, 1.0, 1.5, 2.0))
    with pytest.raises(ConfigError, match=fault):
        SlimmableNet(space)


def test_masks_do_not_depend_on_the_batch() -> None:
    net = made("residual IBN")
    rng = np.random.default_rng(0)
    genomes = torch.tensor([net.space.sample_genome(draw.generator(2, n)) for n in range(6)])
    images = torch.from_numpy(rng.standard_normal((6, 3, 32, 32)).astype(np.float32))
    with torch.no_grad():
        whole = net(images, genomes)
        order = torch.tensor([3, 1, 5, 0, 2, 4])
        assert close(net(images[order], genomes[order]), whole[order])
