"""Prices by estimator and referee: what the tools say when asked directly, and what there is where none answers."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from accelzoo.errors import DataError, UnknownNameError
from accelzoo.hwmodel import estimate, load_target, oracles
from accelzoo.hwmodel.ir import Graph
from accelzoo.hwmodel.measurement import Measurement, Provenance
from accelzoo.hwmodel.oracles import MissingToolError, OracleError
from accelzoo.recipes.product import prices
from accelzoo.recipes.product.prices import price, referee_of
from accelzoo.recipes.product.values import Referee
from tests.recipes.product.tiny_detector import baseline

VELA = "ethos-u55-128"


class Stopwatch:
    """An oracle that takes a millisecond more each time it is asked."""

    def __init__(self) -> None:
        self.asked = 0

    @property
    def provenance(self) -> Provenance:
        return Provenance(oracle="ethos-u", target=VELA, tool="stopwatch-1")

    def measure(self, graph: Graph) -> Measurement:
        self.asked += 1
        return Measurement(graph=graph, latency_s=self.asked * 1e-3, peak_activation_bytes=1234)


@pytest.fixture
def stopwatch(monkeypatch: pytest.MonkeyPatch) -> Iterator[Stopwatch]:
    made = Stopwatch()
    monkeypatch.setattr(oracles, "load", lambda oracle, target: made)
    prices._loaded.cache_clear()
    yield made
    prices._loaded.cache_clear()


def test_referees_by_target() -> None:
    assert referee_of("ethos-u65-512") == "ethos-u"
    assert referee_of("zigzag-edge-tpu") == "zigzag"
    assert referee_of(oracles.list_targets("litert")[0]) == "litert"
    assert referee_of("camera-npu") is None


def test_a_referee_is_asked_once_and_the_estimate_is_the_estimators(stopwatch: Stopwatch, tmp_path: Path) -> None:
    arch = baseline()
    found = price(arch, [VELA, "camera-npu"], tmp_path / "prices")
    assert list(found) == [VELA, "camera-npu"]
    for target, priced in found.items():
        assert (priced.target, priced.cost) == (target, estimate(arch.lower(), load_target(target)))
    assert found[VELA].referee == Referee(tool="stopwatch-1", latency_s=1e-3, sram_bytes=1234)
    assert found[VELA].why_not == ""
    assert found["camera-npu"].referee is None
    assert found["camera-npu"].why_not == "no tool measures 'camera-npu' on this machine"
    assert price(arch, [VELA], tmp_path / "prices") == {VELA: found[VELA]}
    assert stopwatch.asked == 1


@pytest.mark.parametrize("error", [MissingToolError("install it"), OracleError("it failed")])
def test_why_there_is_no_referee_is_said_and_not_kept(
    error: Exception, stopwatch: Stopwatch, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(oracle: str, target: str) -> oracles.Oracle:
        raise error

    with monkeypatch.context() as patched:
        patched.setattr(oracles, "load", fail)
        priced = price(baseline(), [VELA], tmp_path)[VELA]
    assert (priced.referee, priced.why_not) == (None, str(error))
    assert price(baseline(), [VELA], tmp_path)[VELA].referee is not None


def test_a_damaged_file_of_the_cache_is_named(stopwatch: Stopwatch, tmp_path: Path) -> None:
    price(baseline(), [VELA], tmp_path)
    (path,) = tmp_path.iterdir()
    content = json.loads(path.read_text("utf-8"))
    content["of"]["arch"] = "sha256:0"
    path.write_text(json.dumps(content), encoding="utf-8")
    with pytest.raises(DataError, match=r"\.json: no referee's price: it is of .*remove the file to ask again"):
        price(baseline(), [VELA], tmp_path)


def test_the_compiler_is_the_referee_of_its_targets(tmp_path: Path) -> None:
    pytest.importorskip("ethosu.regor")
    arch = baseline()
    measured = oracles.load("ethos-u", VELA).measure(arch.lower())
    referee = price(arch, [VELA], tmp_path)[VELA].referee
    assert referee is not None
    assert referee.tool.startswith("vela-")
    assert (referee.latency_s, referee.sram_bytes) == (measured.latency_s, measured.peak_activation_bytes)


def test_unknown_targets_are_refused(tmp_path: Path) -> None:
    with pytest.raises(UnknownNameError, match="did you mean 'ethos-u55-128'"):
        price(baseline(), ["ethos-u55-12"], tmp_path)
