"""A moving average of weights and buffers (Polyak & Juditsky 1992), kept as named tensors.

Not `torch.optim.swa_utils.AveragedModel` nor timm's `ModelEmaV3`: both copy the module, while a checkpoint and an
evaluation in the middle of training need the tensors by name, and a module that can wear them for a moment.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import Tensor, nn


class WeightAverage:
    """average ← d · average + (1 − d) · weights, with d = min(decay ^ every, (1 + updates) / (10 + updates)).

    The second bound lets a short training forget its random start. Integer buffers are copied.
    """

    def __init__(self, model: nn.Module, decay: float, every_steps: int) -> None:
        self._decay = decay**every_steps
        self._every_steps = every_steps
        self._live = model.state_dict(keep_vars=False)
        self.tensors = {name: tensor.detach().clone() for name, tensor in self._live.items()}
        floating = [name for name, tensor in self._live.items() if tensor.is_floating_point()]
        self._averaged = [self.tensors[name] for name in floating]
        self._sources = [self._live[name] for name in floating]
        self._copied = [name for name in self._live if name not in set(floating)]

    @torch.no_grad()
    def update(self, steps_done: int) -> None:
        """Takes in the weights as they are after `steps_done` steps; only at multiples of `every_steps`."""
        if steps_done % self._every_steps:
            return
        updates = steps_done // self._every_steps
        decay = min(self._decay, (1 + updates) / (10 + updates))
        torch._foreach_lerp_(self._averaged, self._sources, 1 - decay)
        for name in self._copied:
            self.tensors[name].copy_(self._live[name])

    @contextmanager
    def worn(self) -> Iterator[None]:
        """Puts the average into the network for the length of a `with` block."""
        trained = {name: tensor.detach().clone() for name, tensor in self._live.items()}
        self.install()
        try:
            yield
        finally:
            _copy(trained, self._live)

    def install(self) -> None:
        """Puts the average into the network for good."""
        _copy(self.tensors, self._live)


@torch.no_grad()
def _copy(sources: dict[str, Tensor], targets: dict[str, Tensor]) -> None:
    for name, tensor in sources.items():
        targets[name].copy_(tensor)
