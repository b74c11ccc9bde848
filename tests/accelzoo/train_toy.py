"""A training small enough to be killed and repeated hundreds of times; as a script, the process that gets killed.

python train_toy.py train FOLDER CONFIG STEPS     trains and prints what came out
python train_toy.py every-file-step FOLDER CONFIG  kills a training at each of its file operations, resumes each
python train_toy.py any-moment FOLDER CONFIG       kills a training again and again after random times
python train_toy.py processes FOLDER CONFIG        trains together with the other processes of a launch

A process that only kills and waits forks its trainings: that is a real SIGKILL without a second import of torch.
"""

from __future__ import annotations

import itertools
import json
import os
import signal
import sys
import time
from dataclasses import replace
from pathlib import Path
from typing import Any
from unittest.mock import patch

import numpy as np
import torch
from torch import nn

from accelzoo.draw import below, generator
from accelzoo.tasks import Augment, ClassificationData, Normalization, Split
from accelzoo.train import TrainConfig, TrainResult, fit, weights_digest
from tests.forks import in_child, wait

_FILE_EVENTS = {"open", "os.rename", "os.remove", "os.mkdir"}

BASE = TrainConfig(
    steps=7,
    batch_size=8,
    threads=1,
    learning_rate=0.01,
    checkpoint_every_steps=2,
    checkpoint_every_s=None,
    evaluate="epoch",
)
CONFIGS = {
    "adamw": replace(BASE, ema_decay=0.9, ema_every_steps=2, augment=Augment(flip=True, crop_padding=2, erase=0.5)),
    "sgd": replace(
        BASE, steps=5, optimizer="sgd", gradient_clip=0.5, mixed_precision="bf16", augment=Augment(padding="zero")
    ),
    "plain": replace(BASE, optimizer="sgd", momentum=0.0, channels_last=False, train_fraction=0.7),
}


def make_data(train: int = 30, size: int = 8) -> ClassificationData:
    """Three classes that differ in brightness, under noise."""
    random = np.random.Generator(np.random.PCG64(0))
    splits = []
    for count in (train, 12, 12):
        labels = np.arange(count, dtype=np.int64) % 3
        noise = random.integers(0, 120, (count, 3, size, size))
        images = (noise + 60 * labels[:, None, None, None]).astype(np.uint8)
        normalization = Normalization(mean=(0.5, 0.5, 0.5), std=(0.25, 0.25, 0.25))
        splits.append(Split(images=images, labels=labels, normalization=normalization))
    return ClassificationData(
        train=splits[0], validation=splits[1], test=splits[2], class_names=("a", "b", "c"), name="toy"
    )


def make_network(seed: int = 0) -> nn.Sequential:
    """Convolutions, a depthwise one too, norm, dropout: everything with state or randomness."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return nn.Sequential(
            nn.Conv2d(3, 8, 3, stride=2, bias=False),
            nn.BatchNorm2d(8),
            nn.ReLU(),
            nn.Conv2d(8, 8, 3, padding=1, groups=8, bias=False),
            nn.BatchNorm2d(8),
            nn.Dropout(0.2),
            nn.AdaptiveAvgPool2d(1),
            nn.Flatten(),
            nn.Linear(8, 3),
        )


def outcome(model: nn.Module, result: TrainResult) -> dict[str, Any]:
    """What must be equal between a broken and an unbroken run, as plain values."""
    history = [{**record.to_json(), "images_per_s": None} for record in result.history]
    return {"weights": weights_digest(model), "steps": result.steps, "history": history}


def train(folder: Path | None, config: TrainConfig) -> dict[str, Any]:
    """Trains, or goes on training, in a folder."""
    model = make_network()
    result = fit(model, make_data(), config, folder=folder, progress=False)
    return outcome(model, result)


def train_and_write(folder: Path | None, config: TrainConfig, answer: Path) -> None:
    answer.write_text(json.dumps(train(folder, config)))


def killed_at_file_step(number: int, folder: Path, config: TrainConfig) -> None:
    """Trains in a folder until the `number`-th file operation is about to happen there."""
    counter = itertools.count()

    def count(event: str, arguments: tuple[Any, ...]) -> None:
        path = str(arguments[0]) if arguments else ""
        if event in _FILE_EVENTS and path.startswith(str(folder)) and next(counter) == number:
            os.kill(os.getpid(), signal.SIGKILL)

    real_fsync = os.fsync

    def fsync(descriptor: Any) -> None:
        if next(counter) == number:
            os.kill(os.getpid(), signal.SIGKILL)
        real_fsync(descriptor)

    patch("os.fsync", fsync).start()
    sys.addaudithook(count)
    train(folder, config)


def every_file_step(folder: Path, config: TrainConfig) -> dict[str, Any]:
    config = replace(config, steps=4)  # two checkpoints, an epoch's end between them
    answer = folder / "answer.json"
    outcomes: list[dict[str, Any]] = []
    resumed_from: list[int] = []
    for number in itertools.count():
        place = folder / f"life-{number}"
        place.mkdir()
        status = wait(in_child(lambda: killed_at_file_step(number, place, config)))  # noqa: B023
        if status == 0:
            return {"unbroken": unbroken(folder, config), "outcomes": outcomes, "resumed_from": resumed_from}
        if status != -signal.SIGKILL:
            raise SystemExit(f"life {number} ended with {status}")
        index = place / "checkpoint.json"
        resumed_from.append(json.loads(index.read_text())["step"] if index.exists() else 0)
        if wait(in_child(lambda: train_and_write(place, config, answer))):  # noqa: B023
            raise SystemExit(f"life {number} could not be resumed")
        outcomes.append(json.loads(answer.read_text()))
    raise SystemExit("cannot be")


def any_moment(folder: Path, config: TrainConfig) -> dict[str, Any]:
    config = replace(config, steps=60, checkpoint_every_steps=1)
    answer, place, random = folder / "answer.json", folder / "run", generator(11)
    statuses: list[int] = []
    while 0 not in statuses and len(statuses) < 200:
        child = in_child(lambda: train_and_write(place, config, answer))
        # Each life is a little longer than the one before, so that a slow machine ends as well.
        time.sleep((20 + below(rng=random, bound=60) + 5 * len(statuses)) / 1000)
        os.kill(child, signal.SIGKILL)
        statuses.append(wait(child))
    return {"unbroken": unbroken(folder, config), "outcomes": [json.loads(answer.read_text())], "statuses": statuses}


def unbroken(folder: Path, config: TrainConfig) -> dict[str, Any]:
    """The same training in one go, without a folder for checkpoints, in a process of its own."""
    answer = folder / "unbroken.json"
    if wait(in_child(lambda: train_and_write(None, config, answer))):
        raise SystemExit("the unbroken training failed")
    return json.loads(answer.read_text())


def without_batch_norm() -> nn.Sequential:
    """A network whose gradient of a batch is the mean of those of its parts."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        return nn.Sequential(nn.Conv2d(3, 8, 3, stride=2), nn.ReLU(), nn.Flatten(), nn.Linear(72, 3))


def processes(folder: Path, config: TrainConfig) -> dict[str, Any]:
    """Trains, reads the finished training back, and tells both with the weights; then trains with all there is."""
    outcomes = []
    for place in (folder / "run", folder / "run"):
        model = without_batch_norm()
        result = fit(model, make_data(), config, folder=place, progress=False)
        outcomes.append(outcome(model, result))
    rank = os.environ.get("RANK", "0")
    values = {name: tensor.tolist() for name, tensor in model.state_dict().items()}
    everything = train(folder / "everything", CONFIGS["adamw"])  # batch norm, dropout, a moving average
    told = {"outcomes": outcomes, "values": values, "everything": everything}
    (folder / f"{rank}.json").write_text(json.dumps(told))
    return outcomes[0]


def import_what_optimizers_import() -> None:
    """Over a second in each child otherwise; runs nothing that a fork could break."""
    import accelerate  # noqa: F401

    torch.optim.AdamW([nn.Parameter(torch.zeros(1))])


def main() -> None:
    command, folder, name = sys.argv[1], Path(sys.argv[2]), sys.argv[3]
    if command == "train":
        config = replace(CONFIGS[name], steps=int(sys.argv[4]), checkpoint_every_steps=1)
        print(json.dumps(train(folder, config)))
    else:
        import_what_optimizers_import()
        command_of = {"every-file-step": every_file_step, "any-moment": any_moment, "processes": processes}
        print(json.dumps(command_of[command](folder, CONFIGS[name])))


if __name__ == "__main__":
    main()
