"""The training loop: step, checkpoint, resume."""

from __future__ import annotations

import time
from contextlib import nullcontext
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import torch
from torch import Tensor, nn

from accelzoo.tasks.data import TrainingView
from accelzoo.training.average import WeightAverage
from accelzoo.training.batches import derive_seed
from accelzoo.training.checkpoint import (
    Checkpoint,
    differences,
    hold_folder,
    load_checkpoint,
    remove_checkpoint_files,
    save_checkpoint,
)
from accelzoo.training.config import TrainConfig
from accelzoo.training.errors import CheckpointError, TrainError
from accelzoo.training.feed import DenseView, Score, make_feed
from accelzoo.training.identity import run_environment, run_identity, run_setup
from accelzoo.training.objective import Objective
from accelzoo.training.optimizer import load_state_tensors, make_optimizer, state_tensors
from accelzoo.training.precision import Precision
from accelzoo.training.progress import Progress, choose_progress
from accelzoo.training.result import EpochRecord, TrainResult
from accelzoo.training.runtime import Processes, distributed, seed_dropout, torch_settings
from accelzoo.training.schedule import learning_rate

Resume = Literal["auto", "never", "required"]
_DROPOUT_STREAM = 3
_GPU_CHECK_STEPS = 50  # reading a loss stalls a GPU; on a CPU it is free and done at every step


def fit(
    model: nn.Module,
    view: TrainingView | DenseView,
    config: TrainConfig,
    *,
    folder: Path | str | None = None,
    resume: Resume = "auto",
    progress: bool | Progress | None = None,
    device: str | torch.device | None = None,
    objective: Objective | None = None,
) -> TrainResult:
    """Trains a network in place and returns how it went.

    Everything random is a function of (`config.seed`, epoch or step). With a `folder`, a run that is killed at any
    moment and started again gives the same weights and history, bit for bit, as one that was not, on the same device,
    torch build and number of threads.

    Args:
        model: Maps float32 (batch, channels, height, width) to logits (batch, classes), or to what a dense head gives.
            It comes back in eval mode with the trained weights, or their average if `config.ema_decay` is set.
        view: `data.search_view()` (or the whole data set: its test split is not used); of detection and segmentation
            `data.view(input_size, augment)`, whose augmentation counts instead of `config.augment`.
        config: How to train.
        folder: Where checkpoints go; None: none are written.
        resume: A checkpoint in `folder` is taken up if there is one (`auto`), thrown away (`never`) or `required`.
        progress: True for a bar, False for nothing, None for a bar on a terminal, or your own `Progress`.
        device: None: the one that Accelerate chooses (`accelerate launch` sets it for several processes).
        objective: What to minimise in the place of `classification_loss`; in one process.

    Raises:
        TrainError: If the loss stops being finite, or the configuration does not fit data or device.
        CheckpointError: If the checkpoint in `folder` is damaged or belongs to another run; it says what differs.
    """
    if resume not in ("auto", "never", "required"):
        raise TrainError(f"resume (={resume!r}) must be 'auto', 'never' or 'required'")
    processes = Processes.start(device)
    if objective is not None and processes.world > 1:
        raise TrainError(f"an objective of one's own takes one process, not {processes.world}")
    home = None if folder is None else Path(folder)
    came_on = next((tensor.device for tensor in model.parameters()), torch.device("cpu"))
    shown = choose_progress(progress, processes.main)
    with hold_folder(home if processes.main else None), torch_settings(config, processes.device):
        model.to(processes.device)
        try:
            result = _Run(model, view, config, processes, home, resume, objective).train(shown)
        finally:
            shown.stop()
            model.to(came_on)
            model.eval()
    return result


@dataclass(slots=True)
class _Clock:
    """Seconds of training, and images per second since the epoch began."""

    before_s: float = 0.0
    started_s: float = field(default_factory=time.perf_counter)
    epoch_started_s: float = field(default_factory=time.perf_counter)
    epoch_steps: int = 0

    def total_s(self) -> float:
        return self.before_s + time.perf_counter() - self.started_s

    def begin_epoch(self) -> None:
        self.epoch_started_s, self.epoch_steps = time.perf_counter(), 0

    def images_per_s(self, batch_size: int) -> float:
        return self.epoch_steps * batch_size / max(1e-9, time.perf_counter() - self.epoch_started_s)


class _Run:
    """One training: the state that a checkpoint holds, and the steps over it."""

    def __init__(
        self,
        model: nn.Module,
        view: TrainingView | DenseView,
        config: TrainConfig,
        processes: Processes,
        folder: Path | None,
        resume: Resume,
        objective: Objective | None,
    ) -> None:
        self.objective = objective
        self.model, self.config, self.processes = model, config, processes
        self.device, self.folder = processes.device, folder
        shard = (processes.rank, processes.world)
        self.feed = make_feed(model, view, config, self.device, shard)
        if self.feed.batch_size % processes.world:
            size = self.feed.batch_size
            raise TrainError(f"batch_size (={size}) must be divisible by the {processes.world} processes")
        self.steps_per_epoch = self.feed.steps_per_epoch
        self.total_steps = config.steps or max(1, round(config.epochs * self.steps_per_epoch))
        self.identity = run_identity(model, view, config, processes.world) if folder else {}
        if folder and objective is not None:
            self.identity["objective"] = objective.identity()
        self.environment = run_environment(self.device) if folder else {}
        self.optimizer = make_optimizer(model, config)
        self.average = WeightAverage(model, config.ema_decay, config.ema_every_steps) if config.ema_decay else None
        self.precision = Precision(config.mixed_precision, self.device)
        self.losses = torch.zeros(self.steps_per_epoch, device=self.device)
        self.step, self.history, self.clock = 0, list[EpochRecord](), _Clock()
        self.notes: tuple[str, ...] = ()
        self.resumed_at: int | None = None
        self.saved_at_s = time.perf_counter()
        if folder is not None:
            self._take_up(folder, resume)
            if not processes.agree(self.step):
                raise CheckpointError(f"{folder}: the processes see different checkpoints here; use a shared folder")
        self.network = distributed(model, processes)

    def train(self, progress: Progress) -> TrainResult:
        progress.start(self.step, self.total_steps)
        self.network.train()
        self.clock.begin_epoch()
        while self.step < self.total_steps:
            loss = self._train_step()
            in_epoch = (self.step - 1) % self.steps_per_epoch + 1
            ends_epoch = in_epoch == self.steps_per_epoch or self.step == self.total_steps
            due = self._checkpoint_due()
            if self.device.type == "cpu" or ends_epoch or due or in_epoch % _GPU_CHECK_STEPS == 0:
                self._check_losses(in_epoch)
            progress.step(self.step, loss.item() if self.device.type == "cpu" else None, self.feed.batch_size)
            if ends_epoch:
                progress.epoch(self._finish_epoch(in_epoch))
            if due or self.step == self.total_steps:
                self._save()
        self.processes.agree(self.step)  # nobody leaves before the last checkpoint is written
        return self._result()

    def _train_step(self) -> Tensor:
        seed_dropout(derive_seed(self.config.seed, _DROPOUT_STREAM, self.step, self.processes.rank), self.device)
        config = self.config
        rate = learning_rate(self.step, self.total_steps, config.learning_rate, config.warmup_fraction)
        for group in self.optimizer.param_groups:
            group["lr"] = rate
        images, targets = self.feed.batch(self.step)
        if not config.channels_last:
            images = images.contiguous()
        with self.precision.autocast():
            loss = self._loss(images, targets)
        self.optimizer.zero_grad(set_to_none=True)
        self.precision.backward(loss)
        if config.gradient_clip > 0:
            self.precision.unscale(self.optimizer)
            nn.utils.clip_grad_norm_(self.model.parameters(), config.gradient_clip)
        self.precision.step(self.optimizer)
        self.losses[self.step % self.steps_per_epoch] = loss.detach()
        self.step += 1
        self.clock.epoch_steps += 1
        if self.average is not None:
            self.average.update(self.step)
        return loss.detach()

    def _loss(self, images: Tensor, targets: Any) -> Tensor:
        if self.objective is not None:
            return self.objective(images, targets, self.step, self.total_steps)
        return self.feed.loss(self.network(images), targets)

    def _check_losses(self, in_epoch: int) -> None:
        recent = self.losses[max(0, in_epoch - _GPU_CHECK_STEPS) : in_epoch]
        if self.device.type == "cpu":
            recent = recent[-1:]
        finite = torch.isfinite(recent)
        if bool(finite.all()):
            return
        bad = int(torch.nonzero(~finite)[0])
        step = self.step - len(recent) + bad
        raise TrainError(
            f"the loss is {float(recent[bad])} at step {step} of {self.total_steps}; lower learning_rate "
            f"(={self.config.learning_rate}), raise warmup_fraction (={self.config.warmup_fraction}) or set "
            f"gradient_clip (={self.config.gradient_clip})"
        )

    def _finish_epoch(self, in_epoch: int) -> EpochRecord:
        config = self.config
        rate = learning_rate(self.step - 1, self.total_steps, config.learning_rate, config.warmup_fraction)
        speed = self.clock.images_per_s(self.feed.batch_size)
        losses = self.losses[:in_epoch].clone()
        if self.processes.world > 1:
            torch.distributed.all_reduce(losses)
            losses /= self.processes.world
            # Each has seen other images since DistributedDataParallel made them equal, before the last step.
            self.processes.share(self.model.buffers())
            self.processes.share(() if self.average is None else self.average.tensors.values())
        last = self.step == self.total_steps
        if last and self.average is not None:
            self.average.install()
        record = EpochRecord(
            epoch=len(self.history) + 1,
            step=self.step,
            loss=float(losses.cpu().double().mean()),
            learning_rate=rate,
            validation=self._evaluate(last),
            images_per_s=speed,
        )
        self.history.append(record)
        self.clock.begin_epoch()
        return record

    def _evaluate(self, last: bool) -> Score | None:
        wanted = self.config.evaluate == "epoch" or (self.config.evaluate == "end" and last)
        if not wanted:
            return None
        with nullcontext() if last or self.average is None else self.average.worn():
            return self.feed.evaluate(self.model)

    def _checkpoint_due(self) -> bool:
        if self.folder is None:
            return False
        every_steps, every_s = self.config.checkpoint_every_steps, self.config.checkpoint_every_s
        by_steps = every_steps is not None and self.step % every_steps == 0
        by_time = every_s is not None and time.perf_counter() - self.saved_at_s >= every_s
        return by_steps or by_time

    def _save(self) -> None:
        if self.folder is None:
            return
        if self.processes.main:
            tensors: dict[str, Tensor] = {f"model.{name}": value for name, value in self.model.state_dict().items()}
            tensors |= {f"optimizer.{name}": value for name, value in state_tensors(self.optimizer).items()}
            if self.average is not None:
                tensors |= {f"average.{name}": value for name, value in self.average.tensors.items()}
            if self.objective is not None:
                tensors |= {f"objective.{name}": value for name, value in self.objective.state().items()}
            tensors["losses"] = self.losses
            scalars: dict[str, Any] = {
                "history": [record.to_json() for record in self.history],
                "wall_s": self.clock.total_s(),
                "precision": self.precision.state(),
            }
            save_checkpoint(
                self.folder,
                Checkpoint(
                    step=self.step,
                    identity=self.identity,
                    environment=self.environment,
                    tensors=tensors,
                    scalars=scalars,
                ),
            )
        self.saved_at_s = time.perf_counter()

    def _take_up(self, folder: Path, resume: Resume) -> None:
        if resume == "never":
            if self.processes.main and folder.is_dir():
                remove_checkpoint_files(folder)
            return
        found = load_checkpoint(folder)
        if found is None:
            if resume == "required":
                raise CheckpointError(f"{folder}: no checkpoint to resume from")
            return
        changed = differences(found.identity, self.identity)
        if changed:
            raise CheckpointError(
                f"{folder}: the checkpoint at step {found.step} is of another run: {'; '.join(changed)}. "
                "Use another folder, or resume='never' to start afresh"
            )
        elsewhere = differences(found.environment, self.environment)
        if elsewhere:
            self.notes = (f"resumed elsewhere, so not bit for bit what one run gives: {'; '.join(elsewhere)}",)
        self.model.load_state_dict(_below("model.", found.tensors))
        load_state_tensors(self.optimizer, _below("optimizer.", found.tensors))
        if self.average is not None:
            for name, tensor in _below("average.", found.tensors).items():
                self.average.tensors[name].copy_(tensor)
        if self.objective is not None:
            self.objective.load_state(_below("objective.", found.tensors))
        self.losses.copy_(found.tensors["losses"])
        self.precision.load_state(found.scalars["precision"])
        self.history = [EpochRecord.from_json(values) for values in found.scalars["history"]]
        self.clock.before_s = found.scalars["wall_s"]
        self.step = self.resumed_at = found.step

    def _result(self) -> TrainResult:
        return TrainResult(
            history=tuple(self.history),
            steps=self.step,
            images=self.feed.images,
            validation=self.history[-1].validation,
            wall_s=self.clock.total_s(),
            resumed_at_step=self.resumed_at,
            notes=self.notes,
            setup=run_setup(self.device, self.processes.world, self.precision.kind),
        )


def _below(prefix: str, tensors: Any) -> dict[str, Tensor]:
    return {name[len(prefix) :]: tensor for name, tensor in tensors.items() if name.startswith(prefix)}
