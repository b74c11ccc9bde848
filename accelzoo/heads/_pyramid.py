"""Detection on the levels of a neck with one set of convolutions for all of them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, NamedTuple, Self

from accelzoo.heads._detection import DetectionHead
from accelzoo.hwmodel.ir import GraphBuilder
from accelzoo.layers import Conv, NormAct
from accelzoo.necks import FPN, Neck

if TYPE_CHECKING:
    from torch import nn


class Branch(NamedTuple):
    """A tower of convolutions and the 1×1 predictors (name and output channels) that read its end."""

    tower: str
    predictors: tuple[tuple[str, int], ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class PyramidHead(DetectionHead):
    """Towers of separable 3×3 convolutions over the levels of a neck, as wide as the neck (Lin et al. 2017b, §4).

    A tower has `tower_depth` separable convolutions and a last depthwise one, each followed by normalisation and
    activation, before its 1×1 predictors. All levels share the convolutions; each has normalisations of its own, as
    its values are distributed in its own way (Tan et al. 2020, reference code). Folded normalisations make the towers'
    weights differ by level, so each level's are counted; so are the predictors', though they are equal.

    Raises:
        ValueError: If a value is out of its range.
    """

    neck: Neck = field(default_factory=FPN)
    tower_depth: int = 2

    def __post_init__(self) -> None:
        DetectionHead.__post_init__(self)
        if self.tower_depth < 0:
            raise ValueError(f"tower_depth (={self.tower_depth}) must be at least 0")

    def branches(self) -> tuple[Branch, ...]:
        """The towers in the order in which they run."""
        raise NotImplementedError

    def tower_convs(self) -> tuple[Conv, ...]:
        """The convolutions of a tower."""
        width = self.neck.channels
        convs: list[Conv] = []
        for _ in range(self.tower_depth):
            convs.append(Conv(f"{len(convs)}", width, 3, groups=width))
            convs.append(Conv(f"{len(convs)}", width))
        return (*convs, Conv(f"{len(convs)}", width, 3, groups=width))

    def output_strides(self, available: Mapping[int, object]) -> tuple[int, ...]:
        """Strides of the neck's levels."""
        return self.neck.output_strides(available)

    def lower(self, graph: GraphBuilder, levels: Mapping[int, str]) -> tuple[str, ...]:
        """Appends neck, towers and predictors; returns the outputs of each level in turn.

        A module's operator on the second level carries its path and `_1`, on the third `_2`, and so on.
        """
        maps = self.neck.lower(graph, "head.neck.", levels)
        outputs = []
        for level, x in enumerate(maps.values()):
            again = f"_{level}" if level else ""
            for tower, predictors in self.branches():
                y = x
                for index, conv in enumerate(self.tower_convs()):
                    shared = conv._replace(name=conv.name + again)
                    y = shared.lower(graph, f"head.{tower}.convs.", y)
                    norm = NormAct(f"{index}", conv.out_channels, self.activation)
                    y = norm.lower(graph, f"head.{tower}.norms.{level}.", y)
                for name, out_channels in predictors:
                    outputs.append(graph.conv2d(f"head.{name}{again}", y, out_channels))
        return tuple(outputs)

    def build(self, channels: Mapping[int, int]) -> nn.Module:
        """Makes the module; see `DetectionHead` for what it returns."""
        from accelzoo.detection.modules import PyramidDetector

        return PyramidDetector(self, self.neck.build(channels), len(self.output_strides(channels)))

    def scaled(self, width_multiplier: float, channel_divisor: int) -> Self:
        """The head with its neck, and so its towers, scaled in width."""
        return replace(self, neck=self.neck.scaled(width_multiplier, channel_divisor))
