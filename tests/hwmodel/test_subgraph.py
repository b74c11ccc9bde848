"""Cutting into subgraphs: every operator in one piece, joined only where the pairs and the readers allow it."""

from __future__ import annotations

import pytest

from accelzoo.hwmodel import Graph, GraphBuilder
from accelzoo.hwmodel.analytic import label
from accelzoo.hwmodel.sampling import draw_sample
from accelzoo.hwmodel.subgraph import Fusions, Subgraph, observed_fusions, reader_counts, split

RELU = frozenset({("conv2d", "activation:relu")})


def names(graph: Graph, fusions: Fusions) -> list[list[str]]:
    return [[graph.ops[index].name for index in piece.ops] for piece in split(graph, fusions)]


def residual() -> Graph:
    """Two branches that an addition joins, an activation after it."""
    builder = GraphBuilder((8, 6, 6))
    stem = builder.conv2d("stem", builder.input, 8)
    left = builder.activation("left.act", builder.conv2d("left", stem, 8), "relu")
    right = builder.conv2d("right", stem, 8)
    builder.activation("sum.act", builder.add("sum", left, right), "relu")
    return builder.graph()


def test_nothing_is_joined_without_pairs() -> None:
    graph = residual()
    assert split(graph, frozenset()) == [Subgraph((index,)) for index in range(len(graph.ops))]


def test_an_activation_joins_the_convolution_that_feeds_it() -> None:
    assert names(residual(), RELU) == [["stem"], ["left", "left.act"], ["right"], ["sum"], ["sum.act"]]


def test_the_pair_names_the_function() -> None:
    pairs = frozenset(
        {("conv2d", "activation:relu6"), ("depthwise_conv2d", "activation:relu"), ("conv2d", "activation")}
    )
    assert len(names(residual(), pairs)) == len(residual().ops)


def test_an_addition_joins_the_producer_that_was_made_last() -> None:
    pairs = RELU | {("conv2d", "add"), ("add", "activation:relu")}
    assert names(residual(), pairs) == [["stem"], ["left", "left.act"], ["right", "sum", "sum.act"]]


def test_a_chain_is_judged_by_its_last_operator() -> None:
    pairs = frozenset({("conv2d", "add"), ("conv2d", "activation:relu")})
    assert names(residual(), pairs)[2:] == [["right", "sum"], ["sum.act"]]


def test_an_output_with_two_readers_is_not_joined() -> None:
    builder = GraphBuilder((8, 6, 6))
    x = builder.conv2d("conv", builder.input, 8)
    builder.mul("mul", x, builder.activation("act", x, "relu"))
    assert names(builder.graph(), RELU) == [["conv"], ["act"], ["mul"]]
    assert reader_counts(builder.graph()) == {"input": 1, "conv": 2, "act": 1}


def test_an_operator_that_reads_the_same_tensor_twice_is_not_joined() -> None:
    builder = GraphBuilder((8, 6, 6))
    x = builder.conv2d("conv", builder.input, 8)
    builder.add("double", x, x)
    assert names(builder.graph(), frozenset({("conv2d", "add")})) == [["conv"], ["double"]]


def test_what_reads_the_input_alone_stands_alone() -> None:
    builder = GraphBuilder((8, 6, 6))
    builder.activation("act", builder.input, "relu")
    builder.conv2d("conv", builder.input, 8)
    assert names(builder.graph(), RELU) == [["act"], ["conv"]]


def test_an_activation_after_a_concatenation_joins_only_if_that_pair_is_known() -> None:
    builder = GraphBuilder((8, 6, 6))
    x = builder.concat("cat", (builder.conv2d("a", builder.input, 8), builder.conv2d("b", builder.input, 8)))
    builder.activation("act", x, "relu")
    assert names(builder.graph(), RELU) == [["a"], ["b"], ["cat"], ["act"]]
    assert names(builder.graph(), RELU | {("concat", "activation:relu")}) == [["a"], ["b"], ["cat", "act"]]


def test_pieces_follow_their_anchors_even_where_they_interleave() -> None:
    builder = GraphBuilder((8, 6, 6))
    a, b = builder.conv2d("a", builder.input, 8), builder.conv2d("b", builder.input, 8)
    a, b = builder.activation("a.act", a, "relu"), builder.activation("b.act", b, "relu")
    builder.add("sum", a, b)
    assert split(builder.graph(), RELU) == [Subgraph((0, 2)), Subgraph((1, 3)), Subgraph((4,))]


@pytest.mark.parametrize("index", range(6))
def test_random_networks_fall_into_pieces_that_keep_the_rule(index: int) -> None:
    graph = draw_sample("network", 5, index).graph
    pairs = RELU | {(maker, "activation:relu6") for maker in ("conv2d", "depthwise_conv2d")} | {("conv2d", "add")}
    pieces = split(graph, pairs)
    assert sorted(op for piece in pieces for op in piece.ops) == list(range(len(graph.ops)))
    anchors = [piece.anchor for piece in pieces]
    assert anchors == sorted(anchors)
    readers = reader_counts(graph)
    for piece in pieces:
        for maker, reader in zip(piece.ops, piece.ops[1:], strict=False):
            first, second = graph.ops[maker], graph.ops[reader]
            assert first.name in second.inputs
            assert readers[first.name] == 1
            assert (first.kind, label(second)) in pairs
    ends = {graph.ops[piece.ops[-1]].name: graph.ops[piece.ops[-1]].kind for piece in pieces}
    for piece in pieces:  # what stands alone had no maker that it could have joined
        op = graph.ops[piece.anchor]
        joinable = [name for name in op.inputs if readers[name] == 1 and (ends.get(name), label(op)) in pairs]
        assert len(joinable) < len(op.inputs) or not joinable


def pair_of(*, together: bool, size: int = 4) -> tuple[Graph, list[tuple[int, ...]]]:
    builder = GraphBuilder((8, size, size))
    builder.activation("act", builder.conv2d("conv", builder.input, 8), "relu")
    return builder.graph(), [(0, 1)] if together else [(0,), (1,)]


@pytest.mark.parametrize(("joined", "apart", "expected"), [(3, 2, RELU), (2, 2, frozenset()), (1, 2, frozenset())])
def test_a_pair_is_fused_if_a_tool_ran_it_as_one_more_often_than_not(
    joined: int, apart: int, expected: Fusions
) -> None:
    samples = [pair_of(together=True)] * joined + [pair_of(together=False)] * apart
    assert observed_fusions(samples) == expected


def test_only_what_split_could_join_counts() -> None:
    builder = GraphBuilder((8, 6, 6))
    x = builder.conv2d("conv", builder.input, 8)
    builder.mul("mul", x, builder.activation("act", x, "relu"))
    assert observed_fusions([(builder.graph(), [(0, 1, 2)])]) == {("activation", "mul")}


def test_operators_without_a_row_say_nothing() -> None:
    graph, _ = pair_of(together=True)
    assert observed_fusions([(graph, [(0,)])]) == frozenset()
    assert observed_fusions([(graph, [(0,)]), pair_of(together=True)]) == RELU


def test_splitting_by_what_was_observed_gives_the_observed_rows_back() -> None:
    graph = residual()
    rows = [(0,), (1, 2), (3, 4, 5)]
    assert [piece.ops for piece in split(graph, observed_fusions([(graph, rows)]))] == rows
