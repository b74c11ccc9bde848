"""Training a network: `fit(model, data.search_view(), TrainConfig(epochs=30), folder="run")`.

One plain loop in torch. Devices and processes come from Hugging Face Accelerate's `PartialState` (`accelerate launch
--multi_gpu` trains on several GPUs), chosen because it leaves the loop ours: order, augmentation and dropout as
functions of (seed, step), checkpoints without pickle, and a start-up of under a millisecond for the thousands of short
trainings of a search. Its `Accelerator` is not used: one per process fixes the precision for good, and its checkpoints
are pickles.
"""

from __future__ import annotations

from accelzoo.tasks.augment import Augment
from accelzoo.training.config import TrainConfig
from accelzoo.training.errors import CheckpointError, TrainError
from accelzoo.training.identity import weights_digest
from accelzoo.training.loop import fit
from accelzoo.training.objective import Objective
from accelzoo.training.progress import Progress
from accelzoo.training.result import EpochRecord, TrainResult
from accelzoo.training.schedule import learning_rate

__all__ = [
    "Augment",
    "CheckpointError",
    "EpochRecord",
    "Objective",
    "Progress",
    "TrainConfig",
    "TrainError",
    "TrainResult",
    "fit",
    "learning_rate",
    "weights_digest",
]
