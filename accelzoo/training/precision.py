"""Mixed precision: which kind a device gets, the autocast around the forward pass, the loss scale of fp16."""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext
from typing import Any, Literal

import torch
from torch import Tensor

from accelzoo.training.errors import TrainError

Kind = Literal["no", "bf16", "fp16"]


class Precision:
    """The numbers of a training on one device.

    Args:
        wanted: As in `TrainConfig.mixed_precision`.
        device: Where the network trains.

    Raises:
        TrainError: If the device cannot do it.
    """

    def __init__(self, wanted: Literal["auto", "no", "bf16", "fp16"], device: torch.device) -> None:
        self.kind = _resolve(wanted, device)
        self._device_type = device.type
        self._scaler = torch.amp.GradScaler(device.type) if self.kind == "fp16" else None

    def autocast(self) -> AbstractContextManager[Any]:
        """Returns the context for the forward pass."""
        if self.kind == "no":
            return nullcontext()
        dtype = torch.bfloat16 if self.kind == "bf16" else torch.float16
        return torch.autocast(self._device_type, dtype=dtype)

    def backward(self, loss: Tensor) -> None:
        """Runs the backward pass, scaled for fp16."""
        (loss if self._scaler is None else self._scaler.scale(loss)).backward()

    def unscale(self, optimizer: torch.optim.Optimizer) -> None:
        """Divides the gradients by the loss scale, so that they can be clipped."""
        if self._scaler is not None:
            self._scaler.unscale_(optimizer)

    def step(self, optimizer: torch.optim.Optimizer) -> None:
        """Steps the optimizer; fp16 skips the step when a gradient overflowed."""
        if self._scaler is None:
            optimizer.step()
        else:
            self._scaler.step(optimizer)
            self._scaler.update()

    def state(self) -> dict[str, Any]:
        """Returns the loss scale as plain values, for a checkpoint."""
        return {} if self._scaler is None else dict(self._scaler.state_dict())

    def load_state(self, state: dict[str, Any]) -> None:
        """Puts back what `state` returned."""
        if self._scaler is not None:
            self._scaler.load_state_dict(state)


def _resolve(wanted: Literal["auto", "no", "bf16", "fp16"], device: torch.device) -> Kind:
    on_gpu = device.type == "cuda"
    if wanted == "auto":
        return "bf16" if on_gpu and torch.cuda.is_bf16_supported() else "no"
    if wanted == "fp16" and not on_gpu:
        raise TrainError(f"mixed_precision fp16 needs a CUDA GPU, the device is {device.type}; use bf16 or no")
    if wanted == "bf16" and on_gpu and not torch.cuda.is_bf16_supported():
        raise TrainError("mixed_precision bf16 is not supported by this GPU; use fp16 or no")
    return wanted
