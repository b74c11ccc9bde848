"""Sequence head: audio or other signals over time, one answer for all of it or one for every step."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, ClassVar, Self, TypeVar

from accelzoo.errors import check_one_of
from accelzoo.heads.base import Head, check_at_least_one
from accelzoo.hwmodel.ir import ACTIVATIONS, GraphBuilder
from accelzoo.layers import Conv, NormAct
from accelzoo.necks.levels import pick_level
from accelzoo.rounding import make_divisible

if TYPE_CHECKING:
    from torch import nn

T = TypeVar("T")

POOLINGS = ("mean", "none")


@dataclass(frozen=True, slots=True, kw_only=True)
class SequenceHead(Head):
    """Maps a feature map `(batch, channels, frequency, time)`, averaged over frequency, to logits.

    With `pooling` "mean" the steps are averaged: `(batch, num_classes)`. With "none" each keeps its own, `(batch, time,
    num_classes)`, from which a log-softmax makes what connectionist temporal classification takes (Graves et al. 2006,
    §3; its blank is one of the `num_classes`). Either way the parameters are the same. A 1×1 convolution of
    `hidden_channels` stands before the average over time; None leaves it out.

    `frame_stride` picks the map by how many input frames one step stands for; None is the coarsest. `output_stride`
    keeps more steps of that one.

    Raises:
        ValueError: If a value is out of its range.
    """

    kind: ClassVar[str] = "sequence"
    task: ClassVar[str] = "sequence"

    num_classes: int = 35
    pooling: str = "mean"
    hidden_channels: int | None = None
    frame_stride: int | None = None
    activation: str = "relu"

    def __post_init__(self) -> None:
        check_at_least_one(
            num_classes=self.num_classes, hidden_channels=self.hidden_channels, frame_stride=self.frame_stride
        )
        check_one_of("pooling", self.pooling, POOLINGS)
        check_one_of("activation", self.activation, ACTIVATIONS)

    def lower(self, graph: GraphBuilder, levels: Mapping[int, str]) -> tuple[str, ...]:
        """Appends the averages, the hidden convolution and the classifier; returns the name of the logits."""
        x = self._level(levels)
        averaged = self.pooling == "mean" and self.hidden_channels is None
        if averaged:
            x = _average(graph, "head.pool", x)
        else:
            channels, frequencies, steps = graph.shape(x)
            columns = graph.view(x, (channels * steps, frequencies, 1))
            x = graph.view(_average(graph, "head.pool", columns), (channels, 1, steps))
        for layer in self._hidden_layers():
            x = layer.lower(graph, "head.hidden.", x)
        if self.pooling == "mean" and not averaged:
            x = _average(graph, "head.pool_time", x)
        x = graph.conv2d("head.classifier", x, self.num_classes)
        _, _, steps = graph.shape(x)
        return (graph.view(x, (self.num_classes, steps, 1)),)

    def build(self, channels: Mapping[int, int]) -> nn.Module:
        """Makes the head's module."""
        from torch import nn

        from accelzoo import modules
        from accelzoo.heads._sequence_modules import Sequence

        stride = self._level({stride: stride for stride in channels})
        hidden = self.hidden_channels
        between = modules.sequence(channels[stride], self._hidden_layers()) if hidden else None
        classifier = nn.Conv2d(hidden or channels[stride], self.num_classes, 1)
        return Sequence(stride, between, classifier, keeps_time=self.pooling == "none")

    def scaled(self, width_multiplier: float, channel_divisor: int) -> Self:
        """The head with its hidden width scaled, if it has one."""
        if self.hidden_channels is None:
            return self
        return replace(self, hidden_channels=make_divisible(self.hidden_channels * width_multiplier, channel_divisor))

    def _level(self, levels: Mapping[int, T]) -> T:
        return pick_level(levels, self.frame_stride or [*levels][-1], self.kind)

    def _hidden_layers(self) -> tuple[Conv | NormAct, ...]:
        if (hidden := self.hidden_channels) is None:
            return ()
        return Conv("conv", hidden), NormAct("bn1", hidden, self.activation)


def _average(graph: GraphBuilder, name: str, x: str) -> str:
    """Appends an average over the map, unless it is of one pixel."""
    return x if graph.shape(x)[1:] == (1, 1) else graph.global_pool(name, x)
