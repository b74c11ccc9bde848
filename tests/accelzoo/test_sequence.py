"""The sequence head: keyword spotting and connectionist temporal classification on spectrograms."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import nn

from accelzoo import from_module, get_arch
from accelzoo.arch import Arch
from accelzoo.errors import ShapeError
from accelzoo.heads import SequenceHead

SPECTROGRAM = (1, 40, 98)  # one channel, 40 frequencies, 98 frames: a second of speech


def spotter(**overrides: Any) -> Arch:
    return get_arch("ibn_t", head="sequence", num_classes=12, input_size=SPECTROGRAM, **overrides)


@pytest.mark.parametrize("hidden_channels", [None, 24])
@pytest.mark.parametrize(
    ("overrides", "shape"),
    [
        ({"pooling": "mean"}, (12,)),
        ({"pooling": "none"}, (4, 12)),  # 98 frames at stride 32
        ({"pooling": "none", "frame_stride": 8}, (13, 12)),
        ({"pooling": "none", "output_stride": 16}, (7, 12)),
        ({"pooling": "none", "frame_stride": 2}, (49, 12)),
    ],
)
def test_a_spectrogram_gives_one_answer_or_one_for_every_step(
    overrides: dict[str, Any], shape: tuple[int, ...], hidden_channels: int | None
) -> None:
    arch = spotter(hidden_channels=hidden_channels, **overrides)
    model = arch.build().eval()
    with torch.no_grad():
        assert model(torch.randn(2, *SPECTROGRAM)).shape == (2, *shape)
    assert from_module(model, SPECTROGRAM).ops == arch.lower().ops


@pytest.mark.parametrize("size", [(8, 320), (320, 8), (1, 1), (64, 64)])
@pytest.mark.parametrize("pooling", ["mean", "none"])
@pytest.mark.parametrize("hidden_channels", [None, 24])
def test_long_short_and_single_maps_lower_to_what_runs(
    hidden_channels: int | None, pooling: str, size: tuple[int, int]
) -> None:
    arch = get_arch("ibn_t", head="sequence", hidden_channels=hidden_channels, pooling=pooling, input_size=(1, *size))
    assert from_module(arch.build(), arch.input_size).ops == arch.lower().ops


def head(**fields: Any) -> Any:
    return SequenceHead(num_classes=5, **fields).build({8: 6, 16: 4}).eval()


def test_steps_are_classified_apart_and_frequencies_averaged() -> None:
    model, x = head(pooling="none"), torch.randn(2, 4, 3, 7)
    with torch.no_grad():
        columns = x.double().mean(2).transpose(1, 2).float()  # (batch, time, channels)
        wanted = columns @ model.classifier.weight[:, :, 0, 0].T + model.classifier.bias
        torch.testing.assert_close(model({8: torch.zeros(2, 6, 6, 14), 16: x}), wanted)


def test_without_a_hidden_width_the_answer_is_the_mean_of_the_steps() -> None:
    per_step, once = head(pooling="none"), head(pooling="mean")
    once.load_state_dict(per_step.state_dict())  # either way the parameters are the same
    levels = {8: torch.zeros(2, 6, 6, 14), 16: torch.randn(2, 4, 3, 7)}
    with torch.no_grad():
        torch.testing.assert_close(once(levels), per_step(levels).mean(1))


def test_the_hidden_width_stands_before_the_average_over_time() -> None:
    model, x = head(pooling="mean", hidden_channels=9), torch.randn(2, 4, 3, 7)
    with torch.no_grad():
        weight = model.hidden.conv.weight[:, :, 0, 0] / (1 + 1e-5) ** 0.5  # a fresh normalisation divides by that
        hidden = torch.relu(torch.einsum("oi,bit->bot", weight, x.mean(2)))
        wanted = hidden.mean(2) @ model.classifier.weight[:, :, 0, 0].T + model.classifier.bias
        torch.testing.assert_close(model({16: x}), wanted)


def test_temporal_classification_learns_a_transcript() -> None:
    with torch.random.fork_rng(devices=()):
        torch.manual_seed(0)
        model = spotter(pooling="none", frame_stride=8, hidden_channels=16).build().train()
        sound = torch.randn(2, *SPECTROGRAM)
    optimizer, loss = torch.optim.SGD(model.parameters(), lr=0.02), nn.CTCLoss()
    words, lengths, steps = torch.tensor([[1, 2, 3], [4, 4, 0]]), torch.tensor([3, 2]), torch.tensor([13, 13])
    losses = []
    for _ in range(2):
        value = loss(model(sound).log_softmax(2).transpose(0, 1), words, steps, lengths)
        optimizer.zero_grad()
        value.backward()
        optimizer.step()
        losses.append(float(value.detach()))
    assert losses[1] < losses[0]


def test_values_that_cannot_be_are_refused() -> None:
    with pytest.raises(ValueError, match="unknown pooling 'means'; did you mean 'mean'"):
        SequenceHead(pooling="means")
    with pytest.raises(ValueError, match=r"frame_stride \(=0\) must be at least 1"):
        SequenceHead(frame_stride=0)
    with pytest.raises(ValueError, match=r"hidden_channels \(=0\) must be at least 1"):
        SequenceHead(hidden_channels=0)
    with pytest.raises(ShapeError, match=r"sequence needs the feature level of stride 64; .* stride 2, 4, 8, 16, 32$"):
        spotter(frame_stride=64).lower()
