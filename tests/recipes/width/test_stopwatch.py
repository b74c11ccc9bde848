"""Timings that are kept, timings that check what was chosen, and what is said of networks that cannot be timed."""

from __future__ import annotations

from pathlib import Path

import pytest

from accelzoo import get_arch
from accelzoo.hwmodel.ir import Graph
from accelzoo.hwmodel.measurement import Measurement, Provenance
from accelzoo.hwmodel.oracles import OracleError
from accelzoo.recipes.width.stopwatch import Stopwatch
from accelzoo.search.width import WidthSpace

SPACE = WidthSpace.from_arch(
    get_arch("mobilenetv1_025", num_classes=10, input_size=(3, 32, 32)), (0.5, 1.0)
)  # fmt: skip


class Rising:
    """Says 1 s, 2 s, 3 s … whatever it is asked about, and fails at one of them."""

    def __init__(self, fails_at: int = 0) -> None:
        self.asked = 0
        self.fails_at = fails_at

    @property
    def provenance(self) -> Provenance:
        return Provenance(oracle="rising", target="edge-npu", tool="rising-1", settings={})

    def measure(self, graph: Graph) -> Measurement:
        self.asked += 1
        if self.asked == self.fails_at:
            raise OracleError("cannot compile")
        return Measurement(graph=graph, latency_s=float(self.asked))


def test_a_check_is_another_timing_that_is_taken_once(tmp_path: Path) -> None:
    path, genomes = tmp_path / "timings.jsonl", [SPACE.base, (0,) * len(SPACE.sizes)]
    with Stopwatch(SPACE, Rising(), path) as watch:
        assert watch.measured_s(genomes).tolist() == [1, 2]
        assert watch.checked_s(genomes[1:]).tolist() == [3]
        assert watch.checked_s(genomes).tolist() == [4, 3]
        assert watch.measured_s(genomes).tolist() == [1, 2]
        assert list(watch.known.values()) == [1, 2]
    device = Rising()
    with Stopwatch(SPACE, device, path) as watch:
        assert watch.measured_s(genomes).tolist() == [1, 2]
        assert watch.checked_s(genomes).tolist() == [4, 3]
    assert device.asked == 0


def test_a_network_that_cannot_be_timed_is_named(tmp_path: Path) -> None:
    genomes = [SPACE.base, (0,) * len(SPACE.sizes)]
    with Stopwatch(SPACE, Rising(fails_at=2), tmp_path / "timings.jsonl") as watch:
        with pytest.raises(OracleError, match=r"timing networks of widths 8 16 16 .*: cannot compile"):
            watch.measured_s(genomes)
        assert list(watch.known) == [SPACE.base]
