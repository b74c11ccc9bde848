"""The systolic array: published cycle counts, and the array walked cycle by cycle."""

from __future__ import annotations

import numpy as np
import pytest

from accelzoo.hwmodel import Graph, GraphBuilder, oracles
from accelzoo.hwmodel.oracles.conformance import OracleContract, convolution
from accelzoo.hwmodel.oracles.protocol import Oracle
from accelzoo.hwmodel.oracles.systolic import Systolic, matrix_cycles
from tests.hwmodel.networks import bottleneck, conv


class TestSystolic(OracleContract):
    @pytest.fixture
    def oracle(self) -> Oracle:
        return oracles.load("systolic", "systolic-16x16")


def walked(terms: int, outputs: int, positions: int, rows: int, columns: int) -> int:
    """Number, from 0, of the cycle in which the last result leaves an array that is walked cycle by cycle.

    Of every tile the weights shift in row by row, then skewed vectors pass; tiles follow one another.
    """
    weights = np.ones((-(-terms // rows) * rows, -(-outputs // columns) * columns))
    cycles = 0
    for top in range(0, weights.shape[0], rows):
        for left in range(0, weights.shape[1], columns):
            tile = weights[top : top + rows, left : left + columns]
            held = np.zeros((rows, columns))
            for step in range(rows):  # a row of weights enters at the top, the others move down
                held = np.vstack([tile[rows - 1 - step], held[:-1]])
                cycles += 1
            assert np.array_equal(held, tile)
            sums = np.zeros((rows, columns))
            done = 0
            step = 0
            while done < positions:  # vector v meets row r and column c at cycle v + r + c
                above = np.vstack([np.zeros(columns), sums[:-1]])
                vector = step - np.add.outer(np.arange(rows), np.arange(columns))
                live = (vector >= 0) & (vector < positions)
                sums = np.where(live, above + held, 0.0)
                done += bool(live[rows - 1, columns - 1])
                step += 1
                cycles += 1
    return cycles - 1


@pytest.mark.parametrize("size", [(9, 4, 7, 4, 4), (16, 16, 1, 8, 8), (27, 5, 10, 8, 4), (3, 9, 20, 4, 8)])
def test_cycles_are_those_of_the_array_walked(size: tuple[int, int, int, int, int]) -> None:
    assert matrix_cycles(*size) == walked(*size)


def test_a_stem_by_hand() -> None:
    builder = GraphBuilder((3, 224, 224))
    builder.conv2d("stem", builder.input, 32, kernel_size=3, stride=2)
    # K = 27, N = 32: one tile of 32 x 32; M = 112²: 12544 + 64 + 32 − 2 − 1.
    measured = Systolic(32, 32, 1e9).measure(builder.graph())
    assert measured.latency_s == pytest.approx(12_637e-9)
    assert measured.rows[0].extra == (("cycles", 12_637),)


def test_depthwise_groups_run_one_after_the_other() -> None:
    graph = conv(24, 24, 14, 3, groups=24)
    assert Systolic(16, 16, 1.0).measure(graph).latency_s == 24 * (14 * 14 + 32 + 16 - 2 - 1)


def test_what_is_not_multiplied_takes_the_vector_unit() -> None:
    builder = GraphBuilder((20, 7, 7))
    x = builder.activation("act", builder.input, "relu")
    x = builder.add("add", x, builder.input)
    x = builder.pool("pool", x, 3, 2, "max")
    x = builder.global_pool("global", x)
    measured = Systolic(8, 16, 1.0).measure(builder.graph())
    cycles = [-(-20 * 49 // 16), -(-20 * 49 // 16), -(-20 * 16 * 9 // 16), 20 * 16 // 16]
    assert [row.latency_s for row in measured.rows] == cycles


def test_activations_share_the_row_of_what_makes_their_input() -> None:
    graph = bottleneck(8, 14, 4, fused=False)  # expand, act, depthwise, act, project, add
    assert [row.ops for row in Systolic(16, 16).measure(graph).rows] == [(0, 1), (2, 3), (4,), (5,)]


def test_a_matrix_product_of_activations() -> None:
    from accelzoo.hwmodel import Op

    product = Op("attend", "matmul", ("input", "keys"), ((4, 49, 32), (4, 32, 10)), (4, 49, 10))
    keys = Op("keys", "opaque", ("input",), ((4, 49, 32),), (4, 32, 10), function="keys")
    graph = Graph([keys, product], (4, 49, 32))
    assert Systolic(32, 16, 1.0)._cycles(graph.ops[1]) == 4 * (49 + 64 + 16 - 2 - 1)


def test_a_larger_clock_is_faster() -> None:
    slow, fast = (oracles.load("systolic", "systolic-8x8", clock_hz=clock) for clock in (1e9, 2e9))
    assert slow.measure(convolution(8, 8)).latency_s == 2 * fast.measure(convolution(8, 8)).latency_s
    assert slow.provenance != fast.provenance
