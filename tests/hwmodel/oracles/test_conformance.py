"""The contract of oracles catches those that break it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from itertools import count

import pytest

from accelzoo.hwmodel import Graph, oracles
from accelzoo.hwmodel.measurement import Measurement, OpMeasurement, Provenance
from accelzoo.hwmodel.oracles.conformance import OracleContract
from accelzoo.hwmodel.oracles.protocol import Oracle
from accelzoo.hwmodel.oracles.systolic import Systolic

HONEST = Systolic(16, 16)
TICKS = count(1)


class Changed:
    """The systolic array, with its answers changed."""

    def __init__(
        self, change: Callable[[Measurement], Measurement], provenance: Provenance = HONEST.provenance
    ) -> None:
        self._change = change
        self.provenance = provenance

    def measure(self, graph: Graph) -> Measurement:
        return self._change(HONEST.measure(graph))


class Careless(Systolic):
    """Leaves out what it cannot run."""

    def measure(self, graph: Graph) -> Measurement:
        known = [op for op in graph.ops if op.kind != "opaque"]
        return replace(super().measure(Graph(known, graph.input_shape)), graph=graph)


def slower(measured: Measurement) -> Measurement:
    factor = 1 + next(TICKS)
    rows = tuple([row._replace(latency_s=row.latency_s * factor) for row in measured.rows])
    return replace(measured, latency_s=measured.latency_s * factor, rows=rows)


def of_another_graph(measured: Measurement) -> Measurement:
    return HONEST.measure(Graph(measured.graph.ops[:1], measured.graph.input_shape))


@pytest.mark.parametrize(
    ("test", "oracle"),
    [
        ("test_rows_keep_what_they_declare", Changed(lambda measured: replace(measured, rows=measured.rows[1:]))),
        ("test_rows_keep_what_they_declare", Changed(lambda measured: replace(measured, rows=()))),
        ("test_equal_questions_get_equal_answers", Changed(slower)),
        ("test_every_graph_takes_time", Changed(of_another_graph)),
        ("test_more_work_takes_longer", Changed(lambda measured: replace(measured, latency_s=1 / measured.latency_s))),
        ("test_what_cannot_run_is_listed", Careless(16, 16)),
        (
            "test_provenance_says_what_was_measured",
            Changed(lambda measured: measured, replace(HONEST.provenance, tool="closed form")),
        ),
        (
            "test_provenance_says_what_was_measured",
            Changed(lambda measured: measured, replace(HONEST.provenance, host="this machine")),
        ),
    ],
)
def test_the_contract_catches(test: str, oracle: Oracle) -> None:
    with pytest.raises(AssertionError):
        getattr(OracleContract(), test)(oracle)


def test_declared_rows_are_held_to() -> None:
    class Parts(OracleContract):
        rows = "parts"

    longer = Changed(lambda measured: replace(measured, latency_s=2 * measured.latency_s))
    Parts().test_rows_keep_what_they_declare(longer)
    row = OpMeasurement((0,), 1.0)
    with pytest.raises(AssertionError):
        Parts().test_rows_keep_what_they_declare(Changed(lambda measured: replace(measured, rows=(row,))))


def test_the_honest_one_passes() -> None:
    assert isinstance(oracles.load("systolic", "systolic-16x16"), Oracle)
