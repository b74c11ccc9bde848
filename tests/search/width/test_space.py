"""Width spaces: groups of tied channels, networks that keep their operators, and the published networks' figures."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest

from accelzoo import draw, get_arch
from accelzoo.arch import Arch, Stage
from accelzoo.blocks import IBN, Basic, Bottleneck, ConvBnAct, DepthwiseSeparable, FusedIBN
from accelzoo.errors import ConfigError, ShapeError
from accelzoo.heads import ClassificationHead
from accelzoo.hwmodel import GraphBuilder, estimate, load_target
from accelzoo.hwmodel.table import CostTable
from accelzoo.search import TargetCosts, run
from accelzoo.search.width import WidthCosts, WidthSpace, covering_genomes, solve_width
from accelzoo.search.width._ties import channel_ties
from accelzoo.stem import Stem

# Channels of the 14 layers and MACs in millions: AutoSlim's release (slimmable_networks, autoslim_mobilenet_v1).
AUTOSLIM = (
    (149.8, (16, 32, 48, 48, 88, 88, 224, 176, 224, 368, 320, 224, 744, 744)),
    (324.8, (16, 32, 48, 64, 112, 184, 320, 368, 320, 416, 464, 560, 1128, 1128)),
    (572.1, (24, 64, 128, 144, 232, 232, 560, 464, 512, 464, 560, 560, 1128, 1128)),
)
FAMILIES = (
    "mobilenetv1_100", "mobilenetv2_100", "mobilenetv3_large_100", "mobilenetv4_conv_small", "efficientnet_es",
    "resnet18", "resnet50", "regnety_004", "mnasnet_100", "fbnetc_100", "spaghettinet_edgetpu_s",
)  # fmt: skip


def small(*blocks: object, **changes: object) -> Arch:
    stages = tuple(Stage(block=block) for block in blocks)  # type: ignore[arg-type]
    arch = Arch(stem=Stem(out_channels=16), stages=stages, input_size=(3, 32, 32),
                head=ClassificationHead(hidden_channels=None, num_classes=10))  # fmt: skip
    return replace(arch, **changes)  # type: ignore[arg-type]


@pytest.fixture(scope="module")
def mobilenet() -> WidthSpace:
    return WidthSpace.from_arch(get_arch("mobilenetv1_100"))


def test_mobilenet_v1_has_the_grid_of_aows(mobilenet: WidthSpace) -> None:
    assert math.log10(mobilenet.size()) == pytest.approx(15.57, abs=0.005)
    assert mobilenet.widths[0] == (8, 16, 24, 32, 40, 48)
    assert mobilenet.widths[2] == (24, 40, 48, 64, 80, 88, 104, 112, 128, 144, 152, 168, 176, 192)
    assert mobilenet.sizes == (6, 11, *[14] * 12)
    assert [factor.groups for factor in mobilenet.factors] == [(0,), *[(i, i + 1) for i in range(13)], (13,)]


def test_published_macs(mobilenet: WidthSpace) -> None:
    assert round(mobilenet.decode(mobilenet.base).lower().macs / 1e6, 1) == 568.7
    for macs, channels in AUTOSLIM:
        assert mobilenet.at(channels).lower().macs / 1e6 == pytest.approx(macs, abs=0.06)


@pytest.mark.parametrize("name", FAMILIES)
def test_every_network_has_the_original_s_operators(name: str) -> None:
    arch = get_arch(name)
    space = WidthSpace.from_arch(arch, (0.25, 0.5, 1.5))
    assert space.decode(space.base).normal() == arch.normal()
    names = [op[:3] for op in arch.lower().ops]
    rng = draw.generator(5)
    digests = set()
    for _ in range(6):
        genome = space.sample_genome(rng)
        made = space.decode(genome)
        graph = made.lower()
        assert [op[:3] for op in graph.ops] == names
        assert space.genome_of(space.widths_of(genome)) == genome == space.canonical(genome)
        digests.add(made.digest())
        assert Arch.from_config(made.to_config()) == made
    assert len(digests) > 1


@pytest.mark.parametrize(("name", "target"), [("mobilenetv2_100", "edge-npu"), ("efficientnet_es", "camera-npu"),
                                              ("mobilenetv3_large_100", "mobile-cpu")])  # fmt: skip
def test_factors_add_up_to_the_estimate(name: str, target: str) -> None:
    space = WidthSpace.from_arch(get_arch(name), (0.5, 1.0, 1.5))
    columns = ("latency_s", "energy_j", "weight_bytes", "macs")
    chosen = load_target(target)
    costs = WidthCosts.priced(space, chosen, columns)
    rng = draw.generator(7)
    genomes = np.array([space.sample_genome(rng) for _ in range(40)])
    weights = costs.totals(genomes)[:, list(costs.columns).index("weight_bytes")]
    genomes = genomes[weights <= costs.limits.get("weight_bytes", math.inf)]
    assert len(genomes) > 2
    for genome, total, peak in zip(genomes, costs.totals(genomes), costs.peak_of(genomes), strict=True):
        cost = estimate(space.decode(tuple(genome)).lower(), chosen)
        assert total == pytest.approx([getattr(cost, column) for column in columns], rel=1e-12)
        assert peak == cost.peak_activation_bytes


def test_the_chosen_network_costs_what_the_sums_say() -> None:
    space = WidthSpace.from_arch(get_arch("mobilenetv2_100"), (0.5, 1.0, 1.5))
    costs = WidthCosts.priced(space, "edge-npu")
    assert costs.limits == {"weight_bytes": 6_291_456}  # beyond, weights are streamed and prices are no sums
    costs = costs.with_errors([group.base / np.array(group.widths) for group in space.groups])
    loose, tight = solve_width(costs), solve_width(costs, {"latency_s": 1.2e-3, "peak_activation_bytes": 1_000_000})
    assert loose.value < tight.value
    for found in (loose, tight):
        cost = estimate(space.decode(found.best.genome).lower(), load_target("edge-npu"))
        assert cost.latency_s == pytest.approx(found.best.values["latency_s"], rel=1e-12)
        assert cost.peak_activation_bytes == found.best.values["peak_activation_bytes"]
        assert cost.weight_bytes == found.best.values["weight_bytes"] <= 6_291_456
    assert cost.peak_activation_bytes <= 1_000_000


@pytest.mark.parametrize("head", ["deeplab", "segmentation_fpn", "fcos"])
def test_heads_on_several_maps(head: str) -> None:
    arch = get_arch("mobilenetv2_100", head=head)
    space = WidthSpace.from_arch(arch, (0.5, 1.5))
    names = [op[:3] for op in arch.lower().ops]
    assert [op[:3] for op in space.decode(space.sample_genome(draw.generator(3))).lower().ops] == names
    assert max(len(factor.groups) for factor in space.factors) <= 3
    assert sorted(op for factor in space.factors for op in factor.operators) == list(range(len(names)))


def test_residual_blocks_tie_their_outputs_and_leave_the_expanded_channels_free() -> None:
    groups = {group.name: [field.label for field in group.fields]
              for group in WidthSpace.from_arch(get_arch("mobilenetv2_100")).groups}  # fmt: skip
    assert groups["blocks.3.0"] == ["blocks.3.0", "blocks.3.1", "blocks.3.2", "blocks.3.3"]
    assert groups["blocks.3.2 expanded"] == ["blocks.3.2 expanded"]
    assert groups["stem"] == ["stem"]
    assert groups["head"] == ["head"]
    assert len(groups) == 1 + 16 + 7 + 1  # stem, 16 expansions, 7 stages (none of 4 and 6 joined), head


def test_nothing_appears_or_vanishes_where_widths_happen_to_be_equal() -> None:
    arch = small(
        IBN(out_channels=24, expansion_ratio=2.0),
        FusedIBN(out_channels=24, expansion_ratio=4.0, se_ratio=0.25),
        IBN(out_channels=40, expansion_ratio=1.0),
    )
    space = WidthSpace.from_arch(arch, (0.5, 1.0, 2.0, 16 / 24, 16 / 32))
    names = [op.name for op in arch.lower().ops]
    assert "blocks.0.0.add" not in names  # 16 and 24 channels; both can be 16
    assert "blocks.1.0.add" in names
    equal = space.at({"stem": 16, "blocks.0.0": 16, "blocks.0.0 expanded": 16, "blocks.2.0": 16})
    assert [op.name for op in equal.lower().ops] == names
    assert [stage.block.residual for stage in equal.stages] == [False, True, False]
    assert equal.stages[0].block.always_expand  # type: ignore[attr-defined]
    assert not any(group.name == "blocks.2.0 expanded" for group in space.groups)  # nothing is expanded there


def test_group_sizes_and_projections_limit_the_widths() -> None:
    grouped = WidthSpace.from_arch(small(FusedIBN(out_channels=32, group_size=16, expansion_ratio=4.0)))
    expanded = next(group for group in grouped.groups if group.name.endswith("expanded"))
    assert all(width % 16 == 0 for width in expanded.widths)
    space = WidthSpace.from_arch(small(Bottleneck(out_channels=64), Basic(out_channels=64)))
    stem, trunk = space.groups
    assert trunk.name == "blocks.0.0"
    assert [field.label for field in trunk.fields] == ["blocks.0.0", "blocks.1.0"]
    assert not set(stem.widths) & set(trunk.widths)  # equal ones would need no projection
    with pytest.raises(ShapeError, match="projection"):
        space.at((64, 64))


def test_ties_of_any_graph() -> None:
    graph = GraphBuilder((3, 8, 8))
    one, two = graph.conv2d("one", graph.input, 8), graph.conv2d("two", graph.input, 24)
    wide = graph.conv2d("dw", graph.concat("concat", [one, two]), 32, 3, groups=32)
    gate = graph.conv2d("gate", graph.global_pool("pool", wide), 32)
    graph.mul("scaled", wide, gate)
    other = graph.concat("others", [graph.conv2d("three", graph.input, 8), graph.conv2d("four", graph.input, 24)])
    graph.add("sum", "scaled", other)
    ties = channel_ties(graph.graph())
    (first, second) = ties.segments["scaled"]
    assert ties.class_of("one") == first[0] == ties.class_of("three")
    assert ties.class_of("two") == second[0] == ties.class_of("four")
    assert ties.class_of("gate") in ties.bound  # one convolution makes the channels of both
    assert ties.class_of("scaled") is None
    assert ties.class_of("input") in ties.bound


def test_searches_and_cost_tables_take_the_space(mobilenet: WidthSpace) -> None:
    table = CostTable(mobilenet, "edge-npu")
    assert table.whole_because == ""
    genomes = [mobilenet.sample_genome(draw.generator(1, i)) for i in range(4)]
    target = load_target("edge-npu")
    wanted = [estimate(mobilenet.decode(genome).lower(), target).latency_s for genome in genomes]
    assert table.price(genomes)[:, 0].tolist() == wanted
    most = float(np.median(wanted))
    found = run(mobilenet, lambda arch: float(arch.stem.out_channels), evaluations=12, algorithm="random",
                costs=TargetCosts(target), budgets={"latency_s": most})  # fmt: skip
    assert found.best.cost is not None
    assert found.best.cost.latency_s <= most


def test_covering_networks_see_every_pair() -> None:
    space = WidthSpace.from_arch(get_arch("mobilenetv2_100"), (0.5, 1.0, 1.5))
    genomes = covering_genomes(space)
    for factor in space.factors:
        seen = {tuple(row) for row in genomes[:, factor.groups].tolist()}
        assert len(seen) == math.prod([space.sizes[group] for group in factor.groups])
    assert len(genomes) <= 2 * max(math.prod([space.sizes[g] for g in factor.groups]) for factor in space.factors)
    assert covering_genomes(space, 30, seed=4).tolist() == covering_genomes(space, 30, seed=4).tolist()
    assert covering_genomes(space, 30, seed=4).tolist() != covering_genomes(space, 30, seed=5).tolist()


def test_digests_tell_spaces_apart(mobilenet: WidthSpace) -> None:
    arch = get_arch("mobilenetv1_100")
    assert mobilenet.digest() == WidthSpace.from_arch(arch).digest()
    others = [
        WidthSpace.from_arch(arch, (0.5, 1.0)),
        WidthSpace.from_arch(arch, divisor=16),
        WidthSpace.from_arch(arch, fixed=("stem",)),
        WidthSpace.from_arch(get_arch("mobilenetv1_075")),
    ]
    assert len({mobilenet.digest(), *[space.digest() for space in others]}) == 5


def test_bad_input_is_refused(mobilenet: WidthSpace) -> None:
    arch = small(DepthwiseSeparable(out_channels=32), ConvBnAct(out_channels=32))
    with pytest.raises(ConfigError) as caught:
        WidthSpace.from_arch(arch, (0.5, -1.0, float("nan")), divisor=0)
    assert len(caught.value.faults) == 3
    with pytest.raises(ConfigError, match="did you mean 'stem'"):
        WidthSpace.from_arch(arch, fixed=("sterm",))
    with pytest.raises(ConfigError, match=r"fixed \(='stem'\) must be a list"):
        WidthSpace.from_arch(arch, fixed="stem")
    assert WidthSpace.from_arch(arch, np.array([0.5, 1.0], np.float32), np.int64(8)).sizes  # type: ignore[arg-type]
    with pytest.raises(ConfigError, match="no width of"):
        WidthSpace.from_arch(arch, (1.0,))
    with pytest.raises(ShapeError, match="14 positions, got 2"):
        mobilenet.decode((0, 0))
    with pytest.raises(ShapeError, match=r"stem: choice 6 is not in 0 … 5"):
        mobilenet.decode((6, *[0] * 13))
    with pytest.raises(ConfigError, match=r"blocks\.0\.0: 65 channels are none of"):
        mobilenet.genome_of({"blocks.0.0": 65})
    with pytest.raises(ConfigError, match=r"no group is called 'blocks\.9'"):
        mobilenet.at({"blocks.9": 8})
    with pytest.raises(ConfigError, match="none of latency_s, energy_j"):
        WidthCosts.priced(mobilenet, "edge-npu", ("latency",))
    with pytest.raises(ConfigError, match="count"):
        covering_genomes(mobilenet, 0)
