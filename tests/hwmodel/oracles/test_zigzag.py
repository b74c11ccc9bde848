"""ZigZag: the crossover from fused to plain blocks that its edge-TPU-like array is known for."""

from __future__ import annotations

import logging
import os
from pathlib import Path

import pytest

from accelzoo.hwmodel import GraphBuilder, oracles
from accelzoo.hwmodel.oracles.conformance import OracleContract, convolution
from accelzoo.hwmodel.oracles.protocol import Oracle
from tests.hwmodel.networks import bottleneck, conv

pytest.importorskip("zigzag", reason="needs the extra `zigzag`")
pytest.importorskip("six", reason="needs the extra `zigzag`: ZigZag imports six without declaring it")


@pytest.fixture(scope="module")
def zigzag() -> Oracle:
    return oracles.load("zigzag", "zigzag-edge-tpu")


class TestZigZag(OracleContract):
    @pytest.fixture
    def oracle(self, zigzag: Oracle) -> Oracle:
        return zigzag


@pytest.mark.slow
@pytest.mark.parametrize(
    ("channels", "size", "ratio"), [(16, 112, 0.33), (32, 56, 0.47), (64, 28, 0.76), (128, 14, 1.35), (256, 7, 2.83)]
)
def test_fusing_pays_early_and_not_late(channels: int, size: int, ratio: float, zigzag: Oracle) -> None:
    def latency_s(fused: bool) -> float:
        builder = GraphBuilder((channels, size, size))
        x = builder.conv2d("expand", builder.input, 4 * channels, kernel_size=3 if fused else 1)
        if not fused:
            x = builder.conv2d("depthwise", x, 4 * channels, kernel_size=3, groups=4 * channels)
        builder.conv2d("project", x, channels)
        return zigzag.measure(builder.graph()).latency_s

    assert latency_s(True) / latency_s(False) == pytest.approx(ratio, abs=0.005)


def test_a_pointwise_convolution_moves_each_tensor_once(zigzag: Oracle) -> None:
    measured = zigzag.measure(conv(16, 96, 56))
    assert measured.dram_bytes == 16 * 56 * 56 + 96 * 56 * 56 + 16 * 96
    # 64 bits per cycle off chip: the traffic alone takes this long; computing takes 4704 cycles on 1024 MACs.
    assert measured.latency_s * 500e6 == pytest.approx(measured.dram_bytes / 8, rel=0.01)
    assert measured.energy_j is not None
    words_in, words_out = (16 * 56 * 56 + 16 * 96) / 8, 96 * 56 * 56 / 8
    assert measured.energy_j > (700 * words_in + 750 * words_out) * 1e-12


def test_vector_work_is_priced_by_its_traffic(zigzag: Oracle) -> None:
    graph = bottleneck(8, 14, 2, fused=False)
    rows = zigzag.measure(graph).rows
    assert [(row.ops, row.engine) for row in rows[2:]] == [((4,), "array"), ((5,), "vector")]
    words_in, words_out = 2 * 8 * 14 * 14 // 8, 8 * 14 * 14 // 8
    assert rows[-1].latency_s == (words_in + words_out) / 500e6
    assert rows[-1].energy_j == pytest.approx((700 * words_in + 750 * words_out) * 1e-12)


def test_groups_cost_what_one_costs_times_the_groups(zigzag: Oracle) -> None:
    one, four = zigzag.measure(conv(8, 8, 7, 1)), zigzag.measure(conv(32, 32, 7, 1, groups=4))
    assert four.latency_s == 4 * one.latency_s


def test_it_leaves_nothing_behind(
    zigzag: Oracle, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    level = logging.getLogger("zigzag").level
    oracles.load("zigzag", "zigzag-edge-tpu").measure(convolution(4, 4))
    assert list(tmp_path.iterdir()) == []
    assert capfd.readouterr() == ("", "")
    assert logging.getLogger("zigzag").level == level
    assert os.getcwd() == str(tmp_path)
