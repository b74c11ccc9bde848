"""Training: it learns, it is reproducible, it leaves the process as it was, and it says what went wrong."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from accelzoo.tasks import Augment, Metrics, evaluate
from accelzoo.train import TrainConfig, TrainError, TrainResult, fit, weights_digest
from tests.accelzoo.train_toy import BASE, CONFIGS, make_data, make_network, outcome
from tests.accelzoo.training.stops import StopAfter


def run(config: TrainConfig, model: nn.Module | None = None, **options: Any) -> tuple[nn.Module, TrainResult]:
    model = make_network() if model is None else model
    return model, fit(model, make_data(), config, **{"progress": False, **options})


@pytest.mark.parametrize("name", CONFIGS)
def test_training_learns(name: str) -> None:
    rate = 0.2 if CONFIGS[name].momentum == 0 else 0.02
    model, result = run(replace(CONFIGS[name], steps=60, learning_rate=rate, evaluate="end"))
    assert isinstance(result.validation, Metrics)
    assert result.validation.top1 >= 11 / 12
    assert result.history[-1].loss < 0.8 * result.history[0].loss
    assert evaluate(model, make_data().validation) == result.validation
    assert evaluate(model, make_data().test).top1 >= 10 / 12


@pytest.mark.parametrize("name", CONFIGS)
def test_equal_runs_are_equal_bit_for_bit(name: str) -> None:
    first, second = (outcome(*run(CONFIGS[name])) for _ in range(2))
    assert first == second
    assert outcome(*run(replace(CONFIGS[name], seed=1)))["weights"] != first["weights"]


def test_the_process_is_left_as_it_was() -> None:
    torch.manual_seed(5)
    expected = torch.rand(3)
    torch.manual_seed(5)
    threads = torch.get_num_threads()
    run(replace(BASE, threads=threads + 1))
    assert torch.get_num_threads() == threads
    assert torch.equal(torch.rand(3), expected)
    with pytest.raises(TrainError):
        run(BASE, model=NeverFinite(0))
    assert torch.get_num_threads() == threads


def test_the_state_of_the_process_does_not_matter() -> None:
    expected = outcome(*run(CONFIGS["adamw"]))
    torch.manual_seed(123)
    torch.rand(7)
    assert outcome(*run(CONFIGS["adamw"])) == expected


def test_the_network_comes_back_ready_for_use() -> None:
    model, _ = run(BASE)
    assert not model.training
    assert all(tensor.is_contiguous() for tensor in model.state_dict().values())


def test_the_test_split_is_never_touched() -> None:
    data = make_data()
    first, second = make_network(), make_network()
    assert fit(first, data, BASE, progress=False) == fit(second, data.search_view(), BASE, progress=False)
    assert weights_digest(first) == weights_digest(second)


def test_the_result_is_the_average_when_there_is_one() -> None:
    plain, _ = run(replace(BASE, steps=20))
    averaged, result = run(replace(BASE, steps=20, ema_decay=0.5, ema_every_steps=1))
    assert weights_digest(plain) != weights_digest(averaged)
    assert evaluate(averaged, make_data().validation) == result.validation
    # steps are the same: only what is kept of them differs, and lies near
    for name, tensor in plain.state_dict().items():
        if tensor.is_floating_point():
            torch.testing.assert_close(tensor, averaged.state_dict()[name], atol=0.05, rtol=0.2)


@pytest.mark.parametrize(
    ("change", "steps", "epochs"),
    [
        ({"steps": None, "epochs": 2}, 6, 2),
        ({"steps": None, "epochs": 1.5}, 4, 2),
        ({"steps": None, "epochs": 0.01}, 1, 1),
        ({"steps": 5, "epochs": 100}, 5, 2),
        ({"steps": None, "epochs": 3, "batch_size": 64}, 3, 3),
        ({"steps": None, "epochs": 2, "train_fraction": 0.5}, 2, 2),
        ({"steps": None, "epochs": 1, "max_train_images": 20}, 2, 1),
    ],
)
def test_length_follows_epochs_or_steps(change: dict[str, Any], steps: int, epochs: int) -> None:
    _, result = run(replace(BASE, **change))
    assert (result.steps, len(result.history), result.history[-1].step) == (steps, epochs, steps)


def test_a_part_of_the_images_is_stratified() -> None:
    _, result = run(replace(BASE, train_fraction=0.5))
    assert result.images == 15
    assert run(replace(BASE, train_fraction=0.5, max_train_images=9))[1].images == 9


@pytest.mark.parametrize(("when", "scored"), [("epoch", [1, 1, 1]), ("end", [0, 0, 1]), ("never", [0, 0, 0])])
def test_validation_is_scored_when_asked(when: Any, scored: list[int]) -> None:
    _, result = run(replace(BASE, evaluate=when))
    assert [record.validation is not None for record in result.history] == scored
    assert (result.validation is not None) == scored[-1]


class NeverFinite(nn.Module):
    """Gives NaN from its `number`-th batch on."""

    def __init__(self, number: int) -> None:
        super().__init__()
        self.number, self.calls = number, 0
        self.head = nn.Linear(3 * 8 * 8, 3)

    def forward(self, images: Tensor) -> Tensor:
        self.calls += self.training
        logits: Tensor = self.head(images.flatten(1))
        return logits * (float("nan") if self.calls > self.number else 1.0)


@pytest.mark.parametrize("number", [0, 1, 4])
def test_a_loss_that_is_not_finite_names_the_step(number: int) -> None:
    with pytest.raises(TrainError, match=f"the loss is nan at step {number} of 7; lower learning_rate"):
        run(BASE, model=NeverFinite(number))


def test_a_loss_that_is_not_finite_is_never_stored(tmp_path: Any) -> None:
    with pytest.raises(TrainError):
        run(replace(BASE, checkpoint_every_steps=1), model=NeverFinite(2), folder=tmp_path)
    assert (tmp_path / "checkpoint-00000002.safetensors").exists()


def test_a_clipped_step_is_no_longer_than_allowed() -> None:
    model = make_network()
    before = [parameter.detach().clone() for parameter in model.parameters()]
    plain = replace(BASE, optimizer="sgd", momentum=0.0, weight_decay=0.0, learning_rate=1.0, warmup_fraction=0.0)
    run(replace(plain, steps=1, gradient_clip=0.01), model=model)
    moved = sum(float((new.detach() - old).square().sum()) for new, old in zip(model.parameters(), before, strict=True))
    assert moved**0.5 == pytest.approx(0.01, rel=1e-3)


def test_progress_is_told_everything_in_order() -> None:
    seen = StopAfter()
    run(replace(BASE, steps=4), progress=seen)
    assert seen.calls == ["start 0/4", "step 1", "step 2", "step 3", "epoch 1", "step 4", "epoch 2", "stop"]
    seen = StopAfter()
    with pytest.raises(TrainError):
        run(BASE, model=NeverFinite(0), progress=seen)
    assert seen.calls == ["start 0/7", "stop"]


def test_progress_without_a_terminal_is_a_line_per_epoch(capsys: pytest.CaptureFixture[str]) -> None:
    run(BASE, progress=True)
    lines = capsys.readouterr().err.splitlines()
    assert [line.partition("  loss")[0] for line in lines] == ["epoch 1  step 3", "epoch 2  step 6", "epoch 3  step 7"]
    assert "images/s  validation top-1" in lines[0]
    run(BASE, progress=None)  # nothing is asked for, and there is no terminal
    assert capsys.readouterr().err == ""


def test_a_wrong_choice_is_refused() -> None:
    with pytest.raises(TrainError, match="resume"):
        run(BASE, resume="maybe")


def test_a_shift_larger_than_the_image_is_refused() -> None:
    with pytest.raises(TrainError, match=r"augment: crop_padding \(=8\) must be below"):
        run(replace(BASE, augment=Augment(crop_padding=8)))


def test_a_network_with_too_few_classes_is_refused() -> None:
    model = nn.Sequential(nn.Flatten(), nn.Linear(3 * 8 * 8, 2))
    with pytest.raises(TrainError, match="labels go up to 2, the network has 2 outputs"):
        run(BASE, model=model)
