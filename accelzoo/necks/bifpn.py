"""Bidirectional feature pyramid: from the top down and back up again, several times."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

from accelzoo.errors import ShapeError, check_one_of
from accelzoo.layers import Activation, Layer, MaxPool
from accelzoo.necks.base import Neck
from accelzoo.necks.levels import coarser_strides
from accelzoo.necks.node import FUSIONS, Node, Source, convolution, projection


@dataclass(frozen=True, slots=True, kw_only=True)
class BiFPN(Neck):
    """Top-down and bottom-up paths with shortcuts from every input, `repeats` times over (Tan et al. 2020, §3).

    Every node adds its maps by `fusion` (one of `node.FUSIONS`; the plain sum is what EfficientDet-Lite runs on
    accelerators), then come the activation and a separable 3×3 convolution. Coarser maps are resampled by the nearest
    neighbour, finer ones by the maximum. Extra levels begin as a projection of the network's last map, halved by
    maxima. Both paths of the first round share one projection of each map.

    Raises:
        ValueError: If a value is out of its range.
    """

    kind: ClassVar[str] = "bifpn"

    repeats: int = 3
    fusion: str = "sum"

    def __post_init__(self) -> None:
        Neck.__post_init__(self)
        if self.repeats < 1:
            raise ValueError(f"repeats (={self.repeats}) must be at least 1")
        check_one_of("fusion", self.fusion, FUSIONS)

    def nodes(self, strides: tuple[int, ...]) -> tuple[Node, ...]:
        """Projections, extra levels, then the rounds.

        Raises:
            ShapeError: If there is only one level, so that there is nothing to add.
        """
        every = coarser_strides(strides, self.extra_levels)
        if len(every) < 2:
            raise ShapeError(f"bifpn needs at least two levels, got the one of stride {every[0]}")
        width = self.channels
        nodes = [Node(f"input_{stride}", (Source(f"level_{stride}"),), projection(width)) for stride in strides]
        for stride in every[len(strides) :]:
            if stride == 2 * strides[-1]:
                first = (*projection(width), MaxPool("pool", width))
                nodes.append(Node(f"input_{stride}", (Source(f"level_{stride // 2}"),), first))
            else:
                nodes.append(Node(f"input_{stride}", (Source(f"input_{stride // 2}", "pool"),)))
        inputs = {stride: f"input_{stride}" for stride in every}
        for index in range(self.repeats):
            nodes += self._round(f"round_{index}", inputs)
            inputs = {stride: f"round_{index}_output_{stride}" for stride in every}
        return tuple(nodes)

    def outputs(self, strides: tuple[int, ...]) -> Mapping[int, str]:
        """What the last round makes."""
        every = coarser_strides(strides, self.extra_levels)
        return {stride: f"round_{self.repeats - 1}_output_{stride}" for stride in every}

    def _round(self, name: str, inputs: Mapping[int, str]) -> list[Node]:
        finest, *middle, coarsest = inputs
        down = {coarsest: inputs[coarsest]}
        nodes = []
        for stride in reversed(middle):
            sources = Source(inputs[stride]), Source(down[2 * stride], "nearest")
            down[stride] = f"{name}_down_{stride}"
            nodes.append(Node(down[stride], sources, self._layers(), self.fusion))
        sources = Source(inputs[finest]), Source(down[2 * finest], "nearest")
        nodes.append(Node(f"{name}_output_{finest}", sources, self._layers(), self.fusion))
        for stride in (*middle, coarsest):
            path = (Source(down[stride]),) if stride != coarsest else ()
            up = Source(f"{name}_output_{stride // 2}", "pool")
            every = (Source(inputs[stride]), *path, up)
            nodes.append(Node(f"{name}_output_{stride}", every, self._layers(), self.fusion))
        return nodes

    def _layers(self) -> tuple[Layer, ...]:
        return Activation("act", self.channels, self.activation), *convolution(self.channels, True)
