"""Classification head: 1×1 expansion, global average pool, linear classifier."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, ClassVar, Self

from accelzoo.errors import suggestion
from accelzoo.heads.base import Head
from accelzoo.hwmodel.ir import ACTIVATIONS, GraphBuilder
from accelzoo.layers import Conv, NormAct
from accelzoo.rounding import make_divisible

if TYPE_CHECKING:
    from torch import nn


@dataclass(frozen=True, slots=True, kw_only=True)
class ClassificationHead(Head):
    """Maps `(in_channels, height, width)` to `num_classes` logits.

    `hidden_channels` is the width of the 1×1 convolution before the pool; None leaves it out. `num_classes` 0 leaves
    out the classifier, as timm does. `drop_rate` is the dropout before the classifier in training.

    Raises:
        ValueError: If a value is out of its range.
    """

    kind: ClassVar[str] = "classification"

    num_classes: int = 1000
    hidden_channels: int | None = 1280
    activation: str = "relu"
    drop_rate: float = 0.0

    def __post_init__(self) -> None:
        if self.num_classes < 0:
            raise ValueError(f"num_classes (={self.num_classes}) must be 0 (no classifier) or more")
        if self.hidden_channels is not None and self.hidden_channels < 1:
            raise ValueError(f"hidden_channels (={self.hidden_channels}) must be at least 1, or null for none")
        if not 0 <= self.drop_rate < 1:
            raise ValueError(f"drop_rate (={self.drop_rate}) must lie in 0 … 1, 1 excluded")
        if self.activation not in ACTIVATIONS:
            hint = suggestion(self.activation, ACTIVATIONS)
            raise ValueError(f"unknown activation {self.activation!r}{hint}; allowed: {', '.join(ACTIVATIONS)}")

    def features(self, in_channels: int) -> int:
        """Number of features that the classifier sees."""
        return in_channels if self.hidden_channels is None else self.hidden_channels

    def hidden_layers(self) -> tuple[Conv | NormAct, ...]:
        """The layers before the pool, under timm's names."""
        if self.hidden_channels is None:
            return ()
        return Conv("conv_head", self.hidden_channels), NormAct("bn2", self.hidden_channels, self.activation)

    def lower(self, graph: GraphBuilder, x: str) -> str:
        """Appends expansion, pool and classifier; returns the name of the last operator."""
        for layer in self.hidden_layers():
            x = layer.lower(graph, "", x)
        x = graph.global_pool("global_pool.pool", x)
        return graph.linear("classifier", x, self.num_classes) if self.num_classes else x

    def build(self, in_channels: int) -> dict[str, nn.Module]:
        """Makes the modules before the pool, the pool and the classifier, under timm's names."""
        from timm.layers import SelectAdaptivePool2d
        from torch import nn

        modules: dict[str, nn.Module] = {}
        channels = in_channels
        for layer in self.hidden_layers():
            modules[layer.name] = layer.build(channels)
            channels = layer.out_channels
        modules["global_pool"] = SelectAdaptivePool2d(pool_type="avg", flatten=True)
        modules["classifier"] = nn.Linear(channels, self.num_classes) if self.num_classes else nn.Identity()
        return modules

    def scaled(self, width_multiplier: float, channel_divisor: int) -> Self:
        """The head with its expansion widened by multipliers above 1 and left alone below (Sandler et al. 2018, §4)."""
        if self.hidden_channels is None:
            return self
        hidden = make_divisible(self.hidden_channels * max(1.0, width_multiplier), channel_divisor)
        return replace(self, hidden_channels=hidden)
