"""The signal in place of accuracy: by hand from the numbers of networks and of a space's sample."""

from __future__ import annotations

import json
import math
import pickle

import numpy as np
import pytest

from accelzoo.arch import Arch
from accelzoo.errors import ConfigError, ShapeError, UnknownNameError
from accelzoo.hwmodel import estimate, load_target
from accelzoo.recipes.product import signal as signals
from accelzoo.recipes.product.schema import SignalPlan
from accelzoo.recipes.product.signal import CapacitySignal
from accelzoo.search.evaluator import CandidateError
from accelzoo.search.scores import get_score
from accelzoo.search.space import Genome
from tests.recipes.product.tiny_detector import baseline, config_of, space


def macs(arch: Arch) -> int:
    return estimate(arch.lower(), load_target("camera-npu")).macs


def test_the_figure_is_the_mean_of_differences_in_deviations_of_logarithms_where_scores_are_products() -> None:
    signal = CapacitySignal(
        scores=("trainability", "macs"), baseline_values=(100.0, math.log(1e6)), deviations=(8.0, 0.25)
    )
    arch = Arch.from_config(config_of(24, 6))
    first = (get_score("trainability")(arch) - 100) / 8
    second = math.log(macs(arch) / 1e6) / 0.25
    assert signal.parts(arch) == pytest.approx({"trainability": first, "macs": second}, rel=1e-12)
    assert signal(arch) == pytest.approx((first + second) / 2, rel=1e-12)


class Listed:
    """Networks of 8, 16 and 24 channels; a fourth genome makes none. Notes what it decodes."""

    def __init__(self) -> None:
        self.sizes: tuple[int, ...] = (4,)
        self.decoded: list[Arch] = []

    def decode(self, genome: Genome) -> Arch:
        if genome == (3,):
            raise ShapeError("no network")
        self.decoded.append(Arch.from_config(config_of((8, 16, 24)[genome[0]])))
        return self.decoded[-1]

    def canonical(self, genome: Genome) -> Genome:
        return genome

    def digest(self) -> str:
        return "sha256:listed"


def test_deviations_are_those_of_the_networks_drawn_and_the_baseline_has_0() -> None:
    drawn = Listed()
    signal = CapacitySignal.of(SignalPlan(scores=("macs", "entropy"), sample=16), drawn, baseline(), 3)
    assert len(drawn.decoded) == 16
    assert len({arch.digest() for arch in drawn.decoded}) == 3
    assert signal.deviations[0] == pytest.approx(np.std(np.log([macs(arch) for arch in drawn.decoded]), ddof=1))
    assert signal(baseline()) == 0.0
    assert signal(Arch.from_config(config_of(24))) > 0 > signal(Arch.from_config(config_of(8)))
    assert signal == CapacitySignal.of(SignalPlan(scores=("macs", "entropy"), sample=16), Listed(), baseline(), 3)


def test_a_score_without_a_deviation_does_not_count() -> None:
    signal = CapacitySignal(
        scores=("macs", "linear_regions"), baseline_values=(0.0, 5.0), deviations=(2.0, 0.0), notes=("linear_regions",)
    )
    assert signal.parts(baseline()) == pytest.approx({"macs": math.log(macs(baseline())) / 2})
    assert signal(baseline()) == signal.parts(baseline())["macs"]


def test_scores_that_tell_no_networks_apart_are_refused() -> None:
    same = Listed()
    same.sizes = (1,)
    with pytest.raises(ConfigError, match="macs, linear_regions tell no networks of the space apart"):
        CapacitySignal.of(SignalPlan(scores=("macs", "linear_regions"), sample=4), same, baseline(), 0)


def test_a_space_whose_networks_share_a_score_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    known = get_score
    monkeypatch.setattr(signals, "get_score", lambda name: _constant if name == "zen" else known(name))
    signal = CapacitySignal.of(SignalPlan(scores=("zen", "params"), sample=8), space(), baseline(), 0)
    assert signal.deviations[0] == 0 < signal.deviations[1]
    (note,) = signal.notes
    assert note.startswith("zen is the same for all 8 networks")


def _constant(arch: Arch, batch: None, *, seed: int) -> float:
    assert batch is None
    return 1 / 3


def test_scores_of_networks_see_the_seed() -> None:
    signal = CapacitySignal(scores=("synflow",), baseline_values=(1.0,), deviations=(2.0,), seed=7)
    arch = baseline()
    assert signal(arch) == pytest.approx((get_score("synflow")(arch, None, seed=7) - 1) / 2)
    assert signal.digest() != CapacitySignal(
        scores=("synflow",), baseline_values=(1.0,), deviations=(2.0,), seed=8
    ).digest()


def test_a_score_without_a_logarithm_fails_the_candidate(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(signals, "get_score", lambda name: lambda *_, **__: 0.0)
    signal = CapacitySignal(scores=("snip",), baseline_values=(1.0,), deviations=(1.0,))
    with pytest.raises(CandidateError, match=r"'snip' of this network is 0\.0"):
        signal(baseline())


def test_a_space_without_networks_is_refused() -> None:
    class Empty(Listed):
        def decode(self, genome: Genome) -> Arch:
            raise ShapeError("no network")

    with pytest.raises(ShapeError, match="of 200 random genomes of the space only 0"):
        CapacitySignal.of(SignalPlan(scores=("macs",), sample=2), Empty(), baseline(), 0)
    with pytest.raises(UnknownNameError, match="did you mean 'entropy'"):
        CapacitySignal.of(SignalPlan(scores=("entropie",), sample=2), space(), baseline(), 0)


def test_it_travels_as_a_pickle_and_as_json() -> None:
    signal = CapacitySignal.of(SignalPlan(scores=("macs", "params"), sample=4), space(), baseline(), 1)
    assert pickle.loads(pickle.dumps(signal)) == signal
    read = CapacitySignal.from_json(json.loads(json.dumps(signal.to_json())))
    assert read == signal
    assert read.digest() == signal.digest()
