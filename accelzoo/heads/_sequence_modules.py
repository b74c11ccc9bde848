"""The torch modules behind the sequence head."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import nn


class Average(nn.Module):
    """Average over some dimensions, which stay with one element."""

    def __init__(self, *dims: int) -> None:
        super().__init__()
        self._dims = dims

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Averages `(batch, channels, frequency, time)`."""
        return x.mean(self._dims, keepdim=True)


class Sequence(nn.Module):
    """See `accelzoo.heads.sequence`."""

    def __init__(self, stride: int, hidden: nn.Module | None, classifier: nn.Module, keeps_time: bool) -> None:
        super().__init__()
        self._stride = stride
        self._keeps_time = keeps_time
        self.pool = Average(2) if keeps_time or hidden else Average(2, 3)
        self.hidden = hidden or nn.Identity()
        self.pool_time = nn.Identity() if keeps_time or not hidden else Average(3)
        self.classifier = classifier

    def forward(self, levels: Mapping[int, torch.Tensor]) -> torch.Tensor:
        """Maps the level to logits `(batch, num_classes)`, or `(batch, time, num_classes)` where time is kept."""
        x = self.classifier(self.pool_time(self.hidden(self.pool(levels[self._stride]))))
        return x.squeeze(2).transpose(1, 2) if self._keeps_time else x.flatten(1)
