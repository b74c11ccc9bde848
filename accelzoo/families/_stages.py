"""Shared makers of configs: stages in one line each, and a network of them at a width and a depth."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from accelzoo.rounding import make_divisible, scale_depth

Config = dict[str, Any]


def ibn(repeats: int, kernel_size: int, stride: int, expansion_ratio: float, out_channels: int, **more: Any) -> Config:
    """A stage of inverted bottlenecks; `more` are further fields of the block."""
    sizes = {"kernel_size": kernel_size, "stride": stride, "expansion_ratio": expansion_ratio}
    return {"kind": "ibn", "repeats": repeats, **sizes, "out_channels": out_channels, **more}


def fused(
    repeats: int, kernel_size: int, stride: int, expansion_ratio: float, out_channels: int, **more: Any
) -> Config:
    """A stage of fused inverted bottlenecks; `more` are further fields of the block."""
    return ibn(repeats, kernel_size, stride, expansion_ratio, out_channels, **more) | {"kind": "fused_ibn"}


def separable(repeats: int, kernel_size: int, stride: int, out_channels: int, **more: Any) -> Config:
    """A stage of depthwise-separable convolutions; `more` are further fields of the block."""
    sizes = {"kernel_size": kernel_size, "stride": stride, "out_channels": out_channels}
    return {"kind": "depthwise_separable", "repeats": repeats, **sizes, **more}


def conv(repeats: int, kernel_size: int, stride: int, out_channels: int, **more: Any) -> Config:
    """A stage of standard convolutions; `more` are further fields of the block."""
    return separable(repeats, kernel_size, stride, out_channels, **more) | {"kind": "conv_bn_act"}


def mixed(*stages: Config) -> list[Config]:
    """One stage made of different blocks: all but the first continue it; equal neighbours become repeats of one."""
    made = [stages[0]]
    for stage in stages[1:]:
        if _block(stage) == _block(made[-1]) | {"stride": 1}:
            made[-1] = made[-1] | {"repeats": made[-1]["repeats"] + stage["repeats"]}
        else:
            made.append(stage | {"continued": True})
    return made


def _block(stage: Config) -> Config:
    return {"stride": 1} | {key: value for key, value in stage.items() if key not in ("repeats", "continued")}


def row(stride: int, out_channels: int, *blocks: tuple[int, float], **more: Any) -> list[Config]:
    """One stage of inverted bottlenecks given block by block as `(kernel_size, expansion_ratio)`."""
    runs: list[tuple[tuple[int, float], int]] = []
    for block in blocks:
        if runs and runs[-1][0] == block:
            runs[-1] = (block, runs[-1][1] + 1)
        else:
            runs.append((block, 1))
    stages = []
    for index, ((kernel_size, ratio), count) in enumerate(runs):
        stages.append(ibn(count, kernel_size, 1 if index else stride, ratio, out_channels, **more))
    return mixed(*stages)


def head(hidden_channels: int | None, **more: Any) -> Config:
    """A classification head; `more` are further fields."""
    return {"kind": "classification", "hidden_channels": hidden_channels, **more}


def network(
    stem_channels: int,
    stages: Sequence[Config],
    classifier: Config,
    *,
    activation: str = "relu",
    padding: str = "symmetric",
    input_size: int = 224,
    norm_eps: float = 1e-5,
) -> Config:
    """A network; stages and head take its activation and padding unless they have their own."""
    shared = {"activation": activation, "padding": padding}
    return {
        "input_size": [3, input_size, input_size],
        "norm_eps": norm_eps,
        "stem": {"out_channels": stem_channels, **shared},
        "stages": [shared | stage for stage in stages],
        "head": {"activation": activation} | classifier,
    }


def scaled(
    config: Config,
    width_multiplier: float = 1.0,
    depth_multiplier: float | Sequence[float] = 1.0,
    *,
    fixed_stem: bool = False,
    fixed_ends: bool = False,
    round_width: Callable[[float], int] = make_divisible,
    **changes: Any,
) -> Config:
    """A network with the widths of stem and stages multiplied and rounded, and repeats multiplied and rounded up.

    An explicit width of an expanded tensor keeps its ratio to the block's output.

    Args:
        config: The network at width and depth 1.
        width_multiplier: Factor on channels.
        depth_multiplier: Factor on repeats, or one per stage.
        fixed_stem: Leave the stem's width alone.
        fixed_ends: Leave the repeats of the first and the last stage alone.
        round_width: Makes a channel count of a width.
        **changes: New values of `input_size` (a side), `hidden_channels`, or other fields of the network.
    """
    last = len(config["stages"]) - 1
    depths = [depth_multiplier] * (last + 1) if isinstance(depth_multiplier, int | float) else list(depth_multiplier)
    if fixed_ends:
        depths[0] = depths[last] = 1.0
    stages = []
    for stage, depth in zip(config["stages"], depths, strict=True):
        widths = {"out_channels": round_width(stage["out_channels"] * width_multiplier)}
        if (expanded := stage.get("expanded_channels")) is not None:
            widths["expanded_channels"] = expanded * widths["out_channels"] // stage["out_channels"]
        stages.append(stage | widths | {"repeats": scale_depth(stage["repeats"], depth)})
    stem = config["stem"]
    if not fixed_stem:
        stem = stem | {"out_channels": round_width(stem["out_channels"] * width_multiplier)}
    return with_changes(config | {"stem": stem, "stages": stages}, **changes)


def with_changes(config: Mapping[str, Any], **changes: Any) -> Config:
    """A network with another `input_size` (a side) or `hidden_channels`, or other values of its own fields."""
    changed = dict(config)
    if (size := changes.pop("input_size", None)) is not None:
        changed["input_size"] = [3, size, size]
    if "hidden_channels" in changes:
        changed["head"] = config["head"] | {"hidden_channels": changes.pop("hidden_channels")}
    return changed | changes
