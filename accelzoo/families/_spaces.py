"""Shared makers of spaces: templates around a published network, stage by stage or layer by layer."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

from accelzoo.families._stages import Config
from accelzoo.rounding import make_divisible
from accelzoo.templates import Choice

Template = Mapping[str, Any]
OpenLayer = Callable[[Config], Config]
"""Returns the fields of a layer that are open, as choices; none if the layer stays as it is."""


def one_of(*values: Any) -> Choice:
    """A choice of distinct values, in ascending order where they are numbers."""
    distinct = list(dict.fromkeys(values))
    return Choice(tuple(sorted(distinct) if all(isinstance(value, int | float) for value in distinct) else distinct))


def widths(out_channels: int, *ratios: float, divisor: int = 8) -> Choice:
    """A choice of channel counts: multiples of `divisor` next to each ratio of the published one, and that itself."""
    return one_of(out_channels, *(make_divisible(out_channels * ratio, divisor) for ratio in ratios))


def layerwise(config: Template, open_layer: OpenLayer, depth: int | None = None) -> Config:
    """A space whose layers have choices of their own.

    Args:
        config: The network that the space is made around.
        open_layer: Says which fields of a layer are open.
        depth: Layers of every stage with open layers, all but the first of which may be left out; None keeps the
            network's number of layers.
    """
    stages: list[Config] = []
    for group in _groups(config["stages"]):
        layers = [layer for stage in group for layer in _layers(stage)]
        if depth is not None and open_layer(layers[0]):
            layers += [layers[-1]] * (depth - len(layers))
        for index, layer in enumerate(layers):
            opened = open_layer(layer)
            placed: Config = {"continued": True, "stride": 1} if index else {}
            if index and opened and depth is not None:
                placed["repeats"] = one_of(0, 1)
            stages.append({**layer, **opened, **placed})
    return {**config, "stages": stages}


def stagewise(config: Template, *, ratios: Sequence[float] = (0.75, 1.25), **knobs: Sequence[Any]) -> Config:
    """A space around a network: each stage's repeats, width, kernel, expansion, and whether its blocks are fused.

    Args:
        config: The network that the space is made around.
        ratios: Widths beside the published one, relative to it.
        **knobs: Further fields of blocks, with the values that they may take in every stage.
    """
    stages = []
    for group in _groups(config["stages"]):
        for stage in group:
            stages.append(stage | _open_stage(stage, len(group) == 1, ratios) | {
                name: one_of(*values, *([stage[name]] if name in stage else [])) for name, values in knobs.items()
            })  # fmt: skip
    return {**config, "stages": stages}


def _open_stage(stage: Config, alone: bool, ratios: Sequence[float]) -> Config:
    opened: Config = {}
    if stage.get("group_size") is None:  # else another width or number of blocks might not divide into the groups
        repeats = stage.get("repeats", 1)
        opened["repeats"] = one_of(max(1, repeats - 1), repeats, repeats + 1)
        if alone:
            opened["out_channels"] = widths(stage["out_channels"], *ratios)
    if stage.get("kernel_size", 3) > 1:
        opened["kernel_size"] = one_of(3, 5, stage.get("kernel_size", 3))
    if stage["kind"] in ("ibn", "fused_ibn") and not (stage.get("expanded_channels") or stage.get("group_size")):
        ratio = stage["expansion_ratio"]
        opened["kind"] = one_of("ibn", "fused_ibn")
        opened["expansion_ratio"] = one_of(3, 4, 6, ratio)
    if stage["kind"] in ("basic", "bottleneck"):
        opened.pop("kernel_size", None)
    return opened


def _groups(stages: Sequence[Config]) -> Iterator[list[Config]]:
    """Yields each stage with those that continue it."""
    group: list[Config] = []
    for stage in stages:
        if group and not stage.get("continued"):
            yield group
            group = []
        group.append(dict(stage))
    yield group


def _layers(stage: Config) -> list[Config]:
    """A stage's blocks as stages of one block each."""
    first = {key: value for key, value in stage.items() if key not in ("repeats", "continued")}
    others = {key: value for key, value in first.items() if key != "expanded_channels"} | {"stride": 1}
    return [first] + [others] * (stage.get("repeats", 1) - 1)
