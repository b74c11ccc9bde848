"""The contract of an oracle, as tests that any oracle can be run through.

A test file of yours makes it run under pytest:

    class TestMyOracle(OracleContract):
        rows = "sum"

        @pytest.fixture
        def oracle(self):
            return MyOracle("my-board")
"""

from __future__ import annotations

import json
import math
from typing import ClassVar, Literal

from accelzoo.hwmodel.ir import Graph, GraphBuilder, Op
from accelzoo.hwmodel.measurement import Measurement, Provenance
from accelzoo.hwmodel.oracles.protocol import Oracle, UnsupportedByToolError

ROUNDING = 1e-9


class OracleContract:
    """What fitting and validation rely on; subclasses supply the fixture `oracle`.

    Attributes:
        deterministic: Whether equal questions get equal answers: true for tools that calculate.
        rows: How the rows' seconds relate to the total: they add up to it (`sum`), are `parts` of it with some time in
            none, say of every operator what it takes `alone` without that adding up, or there are none (`none`).
    """

    deterministic: ClassVar[bool] = True
    rows: ClassVar[Literal["sum", "parts", "alone", "none"]] = "sum"

    def test_provenance_says_what_was_measured(self, oracle: Oracle) -> None:
        """Completely, and so that a file can hold it."""
        provenance = oracle.provenance
        restored = Provenance.from_json(json.loads(json.dumps(provenance.to_json())))
        expect(restored == provenance, f"{provenance} is not what a file gives back")
        expect(oracle.provenance == provenance, "the provenance changes from one look to the next")
        expect("-" in provenance.tool, f"tool {provenance.tool!r} must be a name, a dash and a version")
        expect(bool(provenance.host) != self.deterministic, "numbers of a machine, and they alone, need a host")

    def test_every_graph_takes_time(self, oracle: Oracle) -> None:
        """The measurement is of the graph given, and survives a file."""
        for graph in (convolution(8, 8), small_network()):
            measured = oracle.measure(graph)
            expect(measured.graph == graph, f"asked for {graph!r}, got {measured.graph!r}")
            expect(measured.latency_s > 0, f"{graph!r} takes {measured.latency_s} s")
            restored = Measurement.from_json(json.loads(json.dumps(measured.to_json())))
            expect(restored == measured, "a file does not give the measurement back")
            expect(self.deterministic or measured.spread is not None, "a measured time needs a spread")

    def test_rows_keep_what_they_declare(self, oracle: Oracle) -> None:
        """They add up to the total, stay below it, or are not there."""
        for graph in (convolution(8, 8), small_network()):
            measured = oracle.measure(graph)
            expect(bool(measured.rows) == (self.rows != "none"), f"{len(measured.rows)} rows, declared: {self.rows}")
            total = math.fsum(row.latency_s for row in measured.rows)
            if self.rows == "sum":
                adds_up = math.isclose(total, measured.latency_s, rel_tol=ROUNDING)
                expect(adds_up, f"rows add up to {total} s of {measured.latency_s} s")
            elif self.rows == "parts":
                expect(total <= measured.latency_s * (1 + ROUNDING), f"rows take {total} s of {measured.latency_s} s")

    def test_more_work_takes_longer(self, oracle: Oracle) -> None:
        """Where the work is thousands of times as much."""
        less, more = (oracle.measure(convolution(*size, 1)).latency_s for size in ((16, 8), (256, 32)))
        expect(more > less, f"{more} s for 4096 times the work that takes {less} s")

    def test_equal_questions_get_equal_answers(self, oracle: Oracle) -> None:
        """Whatever was asked in between; of tools that calculate alone."""
        if self.deterministic:
            first = oracle.measure(small_network())
            oracle.measure(convolution(8, 8))
            expect(oracle.measure(small_network()) == first, "a second measurement differs from the first")

    def test_what_cannot_run_is_listed(self, oracle: Oracle) -> None:
        """By name, and never measured as if it were free."""
        odd = Op("odd", "opaque", ("conv",), ((8, 8, 8),), (8, 8, 8), function="aten.cumsum")
        graph = Graph([*convolution(8, 8).ops, odd], (8, 8, 8))
        try:
            measured = oracle.measure(graph)
        except UnsupportedByToolError as error:
            expect(any("odd" in name for name in error.operators), f"{error.operators} does not name 'odd'")
        else:
            raise AssertionError(f"an operator that nobody knows was measured: {measured.latency_s} s")


def convolution(channels: int, size: int, kernel_size: int = 3) -> Graph:
    """One convolution of a square map."""
    builder = GraphBuilder((channels, size, size))
    builder.conv2d("conv", builder.input, channels, kernel_size)
    return builder.graph()


def small_network() -> Graph:
    """A convolution, an inverted bottleneck with a gate and its residual, and a classifier."""
    builder = GraphBuilder((3, 32, 32))
    stem = builder.activation("stem.act", builder.conv2d("stem", builder.input, 16, 3, 2), "relu")
    x = builder.activation("expand.act", builder.conv2d("expand", stem, 48), "relu")
    x = builder.activation("depthwise.act", builder.conv2d("depthwise", x, 48, 3, groups=48), "relu")
    gate = builder.activation("reduce.act", builder.conv2d("reduce", builder.global_pool("gate.pool", x), 8), "relu")
    gate = builder.activation("gate", builder.conv2d("excite", gate, 48), "sigmoid")
    x = builder.conv2d("project", builder.mul("scale", x, gate), 16)
    x = builder.add("add", x, stem)
    builder.linear("classifier", builder.global_pool("pool", x), 10)
    return builder.graph()


def expect(holds: bool, otherwise: str) -> None:
    """Fails a test, also where Python strips asserts.

    Raises:
        AssertionError: If it does not hold.
    """
    if not holds:
        raise AssertionError(otherwise)
