"""Classification head: 1×1 expansion, global average pool, linear classifier."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import ClassVar, Self

from accelzoo.errors import check_one_of
from accelzoo.heads.base import Head
from accelzoo.hwmodel.ir import ACTIVATIONS, GraphBuilder
from accelzoo.layers import Activation, Conv, Layer, NormAct
from accelzoo.rounding import make_divisible


@dataclass(frozen=True, slots=True, kw_only=True)
class ClassificationHead(Head):
    """Maps the last feature map to `num_classes` logits.

    `hidden_channels` is the width of the 1×1 convolution before the pool; None leaves it out. With `pool_first` it
    stands behind the pool, where it costs one position (Howard et al. 2019, §5.1), and is normalised only with
    `hidden_norm`; without, it has a bias unless `hidden_bias` is off. `num_classes` 0 leaves out the classifier, as
    timm does. `drop_rate` is the dropout of features before the classifier in training.

    The head's modules stand at the top of the network, under timm's names: `AccelNet` makes them from `hidden_layers`,
    and `build` does not.

    Raises:
        ValueError: If a value is out of its range.
    """

    kind: ClassVar[str] = "classification"
    task: ClassVar[str] = "classification"

    hidden_channels: int | None = 1280
    activation: str = "relu"
    drop_rate: float = 0.0
    pool_first: bool = False
    hidden_norm: bool = True
    hidden_bias: bool = True

    def __post_init__(self) -> None:
        if self.num_classes < 0:
            raise ValueError(f"num_classes (={self.num_classes}) must be 0 (no classifier) or more")
        if self.hidden_channels is not None and self.hidden_channels < 1:
            raise ValueError(f"hidden_channels (={self.hidden_channels}) must be at least 1, or null for none")
        if not 0 <= self.drop_rate < 1:
            raise ValueError(f"drop_rate (={self.drop_rate}) must lie in 0 … 1, 1 excluded")
        if not self.pool_first and not self.hidden_norm:
            raise ValueError("hidden_norm can only be left out behind the pool (pool_first)")
        check_one_of("activation", self.activation, ACTIVATIONS)

    def features(self, in_channels: int) -> int:
        """Number of features that the classifier sees."""
        return in_channels if self.hidden_channels is None else self.hidden_channels

    def hidden_layers(self) -> tuple[Layer, ...]:
        """The 1×1 convolution with what follows it, under timm's names."""
        if (hidden := self.hidden_channels) is None:
            return ()
        if not self.pool_first:
            return Conv("conv_head", hidden), NormAct("bn2", hidden, self.activation)
        if self.hidden_norm:
            return Conv("conv_head", hidden), NormAct("norm_head", hidden, self.activation)
        return Conv("conv_head", hidden, bias=self.hidden_bias), Activation("act2", hidden, self.activation)

    def lower(self, graph: GraphBuilder, levels: Mapping[int, str]) -> tuple[str, ...]:
        """Appends expansion, pool and classifier; returns the name of the last operator."""
        x = [*levels.values()][-1]
        if self.pool_first:
            x = graph.global_pool("global_pool.pool", x)
        for layer in self.hidden_layers():
            if isinstance(layer, Conv) and not (layer.bias or self.hidden_norm):
                x = graph.conv2d(layer.name, x, layer.out_channels, bias=False)
            else:
                x = layer.lower(graph, "", x)
        if not self.pool_first:
            x = graph.global_pool("global_pool.pool", x)
        return (graph.linear("classifier", x, self.num_classes) if self.num_classes else x,)

    def scaled(self, width_multiplier: float, channel_divisor: int) -> Self:
        """The head with its expansion widened by multipliers above 1 and left alone below (Sandler et al. 2018, §4)."""
        if self.hidden_channels is None:
            return self
        hidden = make_divisible(self.hidden_channels * max(1.0, width_multiplier), channel_divisor)
        return replace(self, hidden_channels=hidden)
