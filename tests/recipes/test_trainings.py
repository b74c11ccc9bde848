"""Trainings as a recipe asks for them, and the signal of its search."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any, get_args

import pytest

from accelzoo.arch import Arch
from accelzoo.errors import AccelzooError
from accelzoo.recipes import trainings
from accelzoo.recipes.bank import DataBank
from accelzoo.recipes.schema import Scale
from accelzoo.recipes.trainings import TrainingSignal, train, validation_top1
from accelzoo.search import CandidateError
from accelzoo.search.signals.conformance import SignalContract
from accelzoo.tasks.augment import Augment
from accelzoo.tasks.classification import evaluate
from accelzoo.train import TrainConfig, fit, weights_digest
from tests.recipes.tiny import BASELINE, write_data

PLAN = TrainConfig(steps=6, batch_size=16, threads=1, learning_rate=0.02, augment=Augment(flip=False, crop_padding=0))
ARCH = Arch.from_config(BASELINE | {"head": {"kind": "classification", "num_classes": 3, "hidden_channels": 16}})


@pytest.fixture(scope="module")
def bank(tmp_path_factory: pytest.TempPathFactory) -> DataBank:
    path = tmp_path_factory.mktemp("data") / "data.npz"
    write_data(path, shuffle_test=False)
    return DataBank(str(path))


def test_the_seed_decides_weights_and_order(bank: DataBank) -> None:
    view = bank.of(ARCH).search_view()
    digests = [weights_digest(train(ARCH, view, PLAN, seed, None, False)[0]) for seed in (1, 2, 1)]
    assert digests[0] == digests[2] != digests[1]
    # The plan's own seed is replaced.
    assert weights_digest(train(ARCH, view, replace(PLAN, seed=9), 1, None, False)[0]) == digests[0]


def test_the_result_scores_the_validation_split(bank: DataBank, tmp_path: Path) -> None:
    view = bank.of(ARCH).search_view()
    model, result = train(ARCH, view, PLAN, 1, tmp_path, False)
    assert model.arch == ARCH
    assert validation_top1(result) == evaluate(model, view.validation).top1
    again, resumed = train(ARCH, view, PLAN, 1, tmp_path, False)
    assert resumed.resumed_at_step == 6
    assert weights_digest(again) == weights_digest(model)
    assert validation_top1(resumed) == validation_top1(result)


def test_a_training_without_a_score_is_never_zero(bank: DataBank) -> None:
    _, result = train(ARCH, bank.of(ARCH).search_view(), replace(PLAN, evaluate="never"), 1, None, False)
    with pytest.raises(AccelzooError, match="needs `evaluate`"):
        validation_top1(result)


def test_the_signal_is_the_accuracy_of_the_short_training(bank: DataBank) -> None:
    signal = TrainingSignal(bank, PLAN, 36)
    _, result = train(ARCH, bank.of(ARCH).search_view(), PLAN, PLAN.seed, None, False)
    assert signal(ARCH) == signal(ARCH) == validation_top1(result)


def test_the_signal_sees_no_test_split_and_only_some_validation_images(bank: DataBank) -> None:
    view = bank.glimpse(ARCH, 12)
    assert not hasattr(view, "test")
    assert len(view.validation) == 12
    assert len(view.train) == 96
    assert bank.glimpse(ARCH, 12).digest() == view.digest()
    assert len(bank.glimpse(ARCH, 10_000).validation) == 36


def test_data_are_loaded_once_per_input_size(bank: DataBank) -> None:
    assert bank.of(ARCH) is bank.at((3, 16, 16))
    assert bank.at((3, 12, 12)).input_size == (3, 12, 12)


class TestTraining(SignalContract):
    fidelities = (0.5,)

    @pytest.fixture(autouse=True)
    def _with(self, bank: DataBank) -> None:
        self.bank = bank

    def make(self) -> TrainingSignal:
        return TrainingSignal(self.bank, PLAN, 36, seconds=3.0)

    def other(self) -> TrainingSignal:
        return TrainingSignal(self.bank, replace(PLAN, seed=1), 36)

    def architectures(self) -> list[Arch]:
        return [ARCH, replace(ARCH, input_size=(3, 12, 12))]


def test_a_fidelity_is_a_share_of_the_effort(bank: DataBank, monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[tuple[int, int, tuple[int, int, int]]] = []

    def counted(model: Any, view: Any, plan: Any, **settings: Any) -> Any:
        result = fit(model, view, plan, **settings)
        seen.append((result.steps, result.images, model.arch.input_size))
        return result

    monkeypatch.setattr(trainings, "fit", counted)
    whole = replace(PLAN, steps=None, epochs=2.0)  # 96 images, 6 steps of 16 each
    for scale in get_args(Scale):
        signal = TrainingSignal(bank, whole, 36, scale=scale, seconds=4.0)
        assert (signal.at(0.5).seconds, signal.at(0.5).at(0.5).seconds) == (2.0, 1.0)
        signal.at(0.25)(ARCH)
    signal(ARCH)
    # A quarter of the epochs; of the images, which then make fewer steps; of the pixels, a side of 8 instead of 16.
    assert [(steps, size) for steps, _, size in seen] == [
        (3, (3, 16, 16)),
        (2, (3, 16, 16)),
        (12, (3, 8, 8)),
        (12, (3, 16, 16)),
    ]


def test_checkpoints_of_each_fidelity_have_a_place_of_their_own(bank: DataBank, tmp_path: Path) -> None:
    folders = {ARCH.digest(): tmp_path / "finalist"}
    signal = TrainingSignal(bank, PLAN, None, folders=folders)
    half = signal.at(0.5)(ARCH)
    whole = signal(ARCH)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["finalist", "finalist-0.5"]
    assert signal.digest() == TrainingSignal(bank, PLAN, None).digest()
    assert (signal.at(0.5)(ARCH), signal(ARCH)) == (half, whole)


def test_a_bank_travels_without_its_images(bank: DataBank) -> None:
    bank.of(ARCH)
    kind, arguments = bank.__reduce__()
    assert (kind, arguments) == (DataBank, (bank.source, 3))


def test_divergence_fails_the_candidate_alone(bank: DataBank) -> None:
    with pytest.raises(CandidateError, match="the loss is"):
        TrainingSignal(bank, replace(PLAN, optimizer="sgd", learning_rate=1e30), 36)(ARCH)


def test_the_digest_names_all_that_decides_the_signal(bank: DataBank) -> None:
    signals = [
        TrainingSignal(bank, PLAN, 36),
        TrainingSignal(bank, PLAN, 35),
        TrainingSignal(bank, replace(PLAN, seed=1), 36),
        TrainingSignal(DataBank("digits"), PLAN, 36),
    ]
    assert len({signal.digest() for signal in signals}) == 4
    assert TrainingSignal(DataBank(bank.source), PLAN, 36).digest() == signals[0].digest()


def test_the_digest_is_what_earlier_runs_recorded() -> None:
    """A trace is only resumed under the signal that it names: this value must not change."""
    from accelzoo.recipes.schema import load_funnel

    search = load_funnel("camera_classification", "smoke").search
    digest = TrainingSignal(DataBank("digits"), search.signal, search.validation_images).digest()
    assert digest == "sha256:13e1715832e07ffd07ae15877d79a53381c3dba11aea6959fcbc28c3ee39bb79"
