"""The scores without tensors against sums worked out by hand, and the table against the scores."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest

from accelzoo import Arch, draw
from accelzoo.arch import Stage
from accelzoo.blocks import IBN, ConvBnAct
from accelzoo.errors import ConfigError, ShapeError, UnknownNameError
from accelzoo.heads import ClassificationHead
from accelzoo.hwmodel.ir import GraphBuilder
from accelzoo.knobs import Space, choice
from accelzoo.search import scores
from accelzoo.search.genomes import random_genome
from accelzoo.search.scores import ScoreTable, rank_combination
from accelzoo.search.scores._flow import flow_of
from accelzoo.stem import Stem

TINY = Arch(
    stem=Stem(out_channels=4),
    stages=(Stage(block=ConvBnAct(out_channels=4, kernel_size=3, residual=False), repeats=3),),
    head=ClassificationHead(hidden_channels=None, num_classes=5),
    input_size=(3, 8, 8),
)
"""Maps of 4 × 4 × 4 throughout, four convolutions with an activation, no residual links."""


def test_trainability_of_a_plain_network() -> None:
    stem = 1 / (1 / (4 * 3 * 9) + 1 / (3 * 8 * 8) + 1 / (4 * 4 * 4))
    block = 1 / (1 / (4 * 4 * 9) + 2 / (4 * 4 * 4))
    assert scores.trainability(TINY) == pytest.approx(math.sqrt(stem) + 3 * math.sqrt(block), rel=1e-12)


def test_linear_regions_of_a_plain_network() -> None:
    assert scores.linear_regions(TINY) == pytest.approx(4 * math.log(64), rel=1e-12)


def test_entropy_of_a_plain_network() -> None:
    wanted = 0.5 * math.log(2 * math.pi * math.e) + 0.5 * (math.log(27) + 3 * math.log(36))
    assert scores.entropy(TINY) == pytest.approx(wanted, rel=1e-12)


def test_entropy_is_that_of_a_chain_of_drawn_linear_maps() -> None:
    graph = GraphBuilder((8, 1, 1))
    graph.conv2d("b", graph.conv2d("a", graph.input, 16), 4)
    rng = np.random.Generator(np.random.PCG64(0))
    drawn = np.array(
        [rng.normal(size=(4, 16)) @ rng.normal(size=(16, 8)) @ rng.normal(size=8) for _ in range(20_000)]
    )
    wanted = 0.5 * math.log(2 * math.pi * math.e * drawn.var())  # of a normal variable of that variance
    assert scores.entropy(graph.graph()) == pytest.approx(wanted, abs=0.03)


def test_residual_branches_share_the_paths_with_what_came_before() -> None:
    arch = Arch(
        stem=Stem(out_channels=8),
        stages=(Stage(block=IBN(out_channels=8, expansion_ratio=2), repeats=3),),
        head=ClassificationHead(hidden_channels=None, num_classes=5),
        input_size=(3, 8, 8),
    )
    shares = flow_of(arch.lower().ops).shares
    # The stem's map has variance 1, and every branch adds 1.
    for repeat, share in enumerate((1 / 2, 1 / 3, 1 / 4)):
        assert shares[f"blocks.0.{repeat}.bn1.act"] == pytest.approx(share, rel=1e-12)
        assert shares[f"blocks.0.{repeat}.conv_dw"] == pytest.approx(share, rel=1e-12)
        assert shares[f"blocks.0.{repeat}.add"] == pytest.approx(1.0, rel=1e-12)
    assert shares["conv_stem"] == pytest.approx(1.0, rel=1e-12)
    # Two activations of 16 × 4 × 4 units in every block, one of 8 × 4 × 4 in the stem.
    wanted = math.log(128) + 2 * math.log(256) * (1 / 2 + 1 / 3 + 1 / 4)
    assert scores.linear_regions(arch) == pytest.approx(wanted, rel=1e-12)


def test_a_gate_shares_the_path_with_the_map_that_it_scales() -> None:
    block = IBN(out_channels=4, expansion_ratio=2, se_ratio=0.5, residual=False)
    shares = flow_of(Arch(stem=Stem(out_channels=4), stages=(Stage(block=block),)).lower().ops).shares
    assert shares["blocks.0.0.se.conv_reduce"] == shares["blocks.0.0.se.gate"] == 0.5
    assert shares["blocks.0.0.bn2.act"] == 1.0


def test_concatenations_divide_by_size_and_outputs_evenly() -> None:
    graph = GraphBuilder((4, 8, 8))
    narrow, wide = graph.conv2d("narrow", graph.input, 4), graph.conv2d("wide", graph.input, 12)
    graph.concat("both", (narrow, wide))
    graph.conv2d("side", narrow, 4)
    shares = flow_of(graph.graph().ops).shares
    assert shares["wide"] == pytest.approx(0.5 * 0.75)
    assert shares["narrow"] == pytest.approx(0.5 * 0.25 + 0.5)
    assert shares[graph.input] == pytest.approx(1.0)


def test_the_baselines() -> None:
    assert scores.params(TINY) == sum(parameter.numel() for parameter in TINY.build().parameters())
    assert scores.params(TINY.build()) == scores.params(TINY)
    assert scores.macs(TINY) == 16 * (4 * 27 + 3 * 4 * 36) + 4 * 5


def test_closed_forms_read_any_module() -> None:
    import torch

    images = torch.zeros(1, 3, 8, 8)
    for name in ("trainability", "linear_regions", "entropy", "macs"):
        score = scores.get_score(name)
        assert score(TINY.build().eval(), images) == pytest.approx(score(TINY), rel=1e-12)
        assert score(TINY.lower()) == score(TINY)


def test_ranks_are_combined_and_failed_candidates_come_last() -> None:
    combined = rank_combination({"a": [1.0, 2.0, 3.0, 4.0], "b": [10.0, math.nan, 30.0, 30.0]})
    assert combined.tolist() == pytest.approx([(0 + 1) / 6, (1 + 0) / 6, (2 + 2.5) / 6, (3 + 2.5) / 6])
    assert rank_combination({"a": [7.0]}).tolist() == [0.0]
    with pytest.raises(ShapeError, match="one length"):
        rank_combination({"a": [1.0], "b": [1.0, 2.0]})
    with pytest.raises(ShapeError, match="one or more columns"):
        rank_combination({})


def space(**extra: object) -> Space:
    block = {"kind": "ibn", "expansion_ratio": choice(1, 4), "kernel_size": choice(3, 5), "se_ratio": choice(0.0, 0.25)}
    stages = [
        {**block, "out_channels": choice(8, 16), "repeats": choice(1, 2, 3)},
        {**block, "out_channels": 16, "repeats": choice(0, 1, 2), "continued": True},
        {**block, "out_channels": choice(16, 24), "stride": 2, "repeats": choice(1, 2)},
    ]
    return Space("small", {"stem": {"out_channels": 8}, "stages": stages, "input_size": [3, 32, 32], **extra})


@pytest.mark.parametrize("extra", [{}, {"width_multiplier": choice(0.5, 1.0, 2.0)}])
def test_a_table_says_what_the_scores_say(extra: dict[str, object]) -> None:
    names = ("trainability", "linear_regions", "entropy", "macs")
    small = space(**extra)
    table = ScoreTable(small, names, seed=1)
    rng = draw.generator(5)
    genomes = [random_genome(small.sizes, rng) for _ in range(150)]
    wanted = [[scores.get_score(name)(small.decode(genome)) for name in names] for genome in genomes]
    np.testing.assert_allclose(table.values(genomes), wanted, rtol=1e-12)
    known = table.entries
    table.values(genomes)
    assert table.entries == known
    ranks = rank_combination(dict(zip(names, np.array(wanted).T.round(9), strict=True)))
    assert np.corrcoef(table.combined(genomes), ranks)[0, 1] > 0.999


def test_a_table_refuses_what_it_cannot_look_up() -> None:
    small = space()
    with pytest.raises(ConfigError, match="'naswot' is no sum over operators"):
        ScoreTable(small, ("naswot",))
    with pytest.raises(UnknownNameError, match="did you mean 'synflow'"):
        ScoreTable(small, ("sinflow",))
    with pytest.raises(ConfigError, match="at least one score"):
        ScoreTable(small, ())
    table = ScoreTable(small)
    with pytest.raises(ShapeError, match="must be integers"):
        table.values([[0.5] * len(small.sizes)])
    with pytest.raises(ShapeError, match=r"row 1: choice 2 at position 0 must be in 0 … 1"):
        table.values([[0] * len(small.sizes), [2] + [0] * (len(small.sizes) - 1)])
    dense = space(head={"kind": "ssdlite", "num_classes": 3})
    with pytest.raises(ShapeError, match="score others one by one"):
        ScoreTable(dense)


def test_a_table_refuses_a_space_without_knobs() -> None:
    class Plain:
        sizes = (2,)

    with pytest.raises(ShapeError, match="whose knobs say where they stand"):
        ScoreTable(Plain())  # type: ignore[arg-type]


def test_every_score_is_found_and_declares_its_cost() -> None:
    names = scores.score_names()
    assert {"trainability", "linear_regions", "entropy", "synflow", "naswot", "grad_norm"} < set(names)
    assert {"snip", "zen", "zico", "params", "macs"} < set(names)
    for name, other in itertools.pairwise(names):
        assert name < other
    for name in names:
        score = scores.get_score(name)
        assert score.name == name
        assert score is getattr(scores, name)
        assert score.cost.seconds > 0
        assert score.cost.network or not score.cost.images
    assert set(scores.DEFAULT_COMBINATION) <= set(names)
    with pytest.raises(UnknownNameError, match="zero-cost score 'zenn'"):
        scores.get_score("zenn")
