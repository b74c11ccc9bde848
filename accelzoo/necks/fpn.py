"""Feature pyramid network: coarse levels are added to finer ones, from the top down."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

from accelzoo.necks.base import Neck
from accelzoo.necks.levels import coarser_strides
from accelzoo.necks.node import Node, Source, convolution, projection


@dataclass(frozen=True, slots=True, kw_only=True)
class FPN(Neck):
    """Lateral 1×1 convolutions, a top-down path of additions, 3×3 convolutions (Lin et al. 2017, §3).

    Extra levels are 3×3 convolutions of stride 2 on the level before (Lin et al. 2017b, footnote 2, with the last
    output instead of the network's last map as Tian et al. 2019 have it), each with the `activation`. With `separable`
    every 3×3 convolution is a depthwise and a 1×1 one. All convolutions are normalised.
    """

    kind: ClassVar[str] = "fpn"

    separable: bool = True

    def nodes(self, strides: tuple[int, ...]) -> tuple[Node, ...]:
        """Laterals, additions from the coarsest map down, outputs, extra levels."""
        width = self.channels
        nodes = [Node(f"lateral_{stride}", (Source(f"level_{stride}"),), projection(width)) for stride in strides]
        merged = {strides[-1]: f"lateral_{strides[-1]}"}
        for stride in strides[-2::-1]:
            above = Source(merged[2 * stride], "nearest")
            merged[stride] = f"merged_{stride}"
            nodes.append(Node(merged[stride], (Source(f"lateral_{stride}"), above)))
        for stride in strides:
            nodes.append(Node(f"output_{stride}", (Source(merged[stride]),), convolution(width, self.separable)))
        for stride in coarser_strides(strides, self.extra_levels)[len(strides) :]:
            layers = convolution(width, self.separable, 2, self.activation)
            nodes.append(Node(f"output_{stride}", (Source(f"output_{stride // 2}"),), layers))
        return tuple(nodes)

    def outputs(self, strides: tuple[int, ...]) -> Mapping[int, str]:
        """The outputs and the extra levels."""
        return {stride: f"output_{stride}" for stride in coarser_strides(strides, self.extra_levels)}
