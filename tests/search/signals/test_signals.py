"""Signals that are no trainings: tables and zero-cost scores, through the contract that every signal keeps."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest

from accelzoo import get_arch
from accelzoo.arch import Arch
from accelzoo.errors import ConfigError, UnknownNameError
from accelzoo.search import CandidateError
from accelzoo.search.scores import naswot, synflow, trainability
from accelzoo.search.signals import ScoreSignal, TableSignal, at_fidelity, declared_seconds
from accelzoo.search.signals.conformance import SignalContract
from tests.search.toy import ToyArch

ARCHS = [ToyArch((0, 1)), ToyArch((1, 0)), ToyArch((1, 1))]
TABLE = {ARCHS[0].digest(): 0.25, ARCHS[1].digest(): 0.5}
TINY: dict[str, Any] = {
    "input_size": [3, 8, 8],
    "stem": {"out_channels": 8, "stride": 2},
    "stages": [{"kind": "ibn", "expansion_ratio": 2, "out_channels": 8}],
    "head": {"kind": "classification", "num_classes": 3, "hidden_channels": None},
}
SMALL = Arch.from_config(TINY)
LARGE = Arch.from_config({**TINY, "stem": {"out_channels": 16, "stride": 1}})


class TestTable(SignalContract):
    fidelities = (0.5,)

    def make(self) -> TableSignal:
        return TableSignal(accuracies=TABLE, seconds=8.0, partial={0.5: {ARCHS[0].digest(): 0.125}})

    def other(self) -> TableSignal:
        return TableSignal(accuracies={**TABLE, ARCHS[1].digest(): 0.75})

    def architectures(self) -> Sequence[Any]:
        return ARCHS[:2]

    def without_value(self) -> Any:
        return ARCHS[2]


class TestClosedForm(SignalContract):
    def make(self) -> ScoreSignal:
        return ScoreSignal("trainability")

    def other(self) -> ScoreSignal:
        return ScoreSignal("linear_regions")

    def architectures(self) -> Sequence[Any]:
        return [SMALL, LARGE]


class TestOfANetwork(SignalContract):
    fidelities = ()

    def make(self) -> ScoreSignal:
        return ScoreSignal("naswot", batch=images(0), seed=1)

    def other(self) -> ScoreSignal:
        return ScoreSignal("naswot", batch=images(1), seed=1)

    def architectures(self) -> Sequence[Any]:
        return [SMALL, LARGE]


def images(seed: int) -> Any:
    import torch

    return torch.randn(4, 3, 8, 8, generator=torch.Generator().manual_seed(seed))


def test_a_table_is_looked_up_by_digest_or_by_another_key() -> None:
    assert TestTable().make()(ARCHS[1]) == 0.5
    by_choices = TableSignal(accuracies={(0, 1): 1}, key=lambda arch: arch.choices)
    assert by_choices(ARCHS[0]) == 1.0
    with pytest.raises(CandidateError, match=r"\(1, 0\) is none of the 1 architectures"):
        by_choices(ARCHS[1])


def test_a_lower_fidelity_of_a_table_costs_its_share() -> None:
    less = TestTable().make().at(0.5)
    assert (less(ARCHS[0]), less.seconds) == (0.125, 4.0)
    with pytest.raises(ConfigError, match=r"fidelity \(=0.25\): the table has accuracies for 0.5, 1"):
        TestTable().make().at(0.25)


def test_a_score_is_the_score() -> None:
    assert ScoreSignal("trainability")(SMALL) == trainability(SMALL)
    assert ScoreSignal("synflow", seed=3)(SMALL) == synflow(SMALL, seed=3)
    assert ScoreSignal("trainability").seconds == trainability.cost.seconds
    with pytest.raises(UnknownNameError, match="did you mean 'synflow'"):
        ScoreSignal("synfow")


def test_a_batch_may_follow_the_input_size() -> None:
    import torch

    asked = []

    def batch(arch: Arch) -> Any:
        asked.append(arch.input_size)
        return torch.randn(4, *arch.input_size, generator=torch.Generator().manual_seed(0))

    signal = ScoreSignal("naswot", batch=batch)
    other = get_arch("camera_ibn", input_size=[3, 16, 16])
    assert signal(SMALL) == naswot(SMALL, batch(SMALL))
    assert signal(other) == naswot(other, batch(other))
    assert asked == [(3, 8, 8)] * 2 + [(3, 16, 16)] * 2


def test_any_callable_is_a_signal_at_full_effort() -> None:
    def plain(arch: Any) -> float:
        return 1.0

    assert at_fidelity(plain, 1.0) is plain
    assert declared_seconds(plain) is None
    with pytest.raises(ConfigError, match="function cannot be had for less"):
        at_fidelity(plain, 0.5)
