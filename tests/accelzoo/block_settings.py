"""Settings of each block kind that tests run it in, beside those of the contract that every kind takes."""

from __future__ import annotations

from typing import Any

from accelzoo.blocks import Block, block_kinds
from accelzoo.blocks.conformance import settings_for

OWN: dict[str, tuple[dict[str, Any], ...]] = {
    "basic": ({"last_dilation": 2}, {"out_channels": 24, "stride": 2, "residual": False, "se_ratio": 0.25}),
    "bottleneck": (
        {"inner_ratio": 1.0, "group_size": 8, "se_ratio": 0.25, "stride": 2},
        {"out_channels": 24, "inner_ratio": 1.0, "group_size": 1},
        {"out_channels": 64, "residual": False},
    ),
    "conv_bn_act": ({"group_size": 8}, {"group_size": 1, "dilation": 2}, {"activate_output": False}),
    "depthwise_separable": (
        {"activate_output": True, "se_ratio": 0.25, "se_gate": "hard_sigmoid"},
        {"activate_output": True, "depthwise_norm": False},
    ),
    "fused_ibn": ({"group_size": 32, "expansion_ratio": 4, "padding": "same", "stride": 2},),
    "ibn": (
        {"expansion_ratio": 1},
        {"expansion_ratio": 1, "always_expand": True},
        {"expanded_channels": 40, "se_ratio": 0.25, "se_base": "gated", "se_divisor": 8, "se_activation": "relu"},
    ),
    "mobile_attention": (
        {"kv_stride": 2},
        {"kv_stride": 2, "out_channels": 24, "padding": "same", "kernel_size": 5},
        {"multi_query": False, "head_channels": 12},
        {"multi_query": False, "residual": False},
        {"head_channels": 8, "heads": 3, "layer_scale": 0.5},
    ),
    "shuffle_ibn": (
        {"pointwise_groups": 4, "se_ratio": 0.25, "expansion_ratio": 3},
        {"expansion_ratio": 1},
        {"expansion_ratio": 1, "always_expand": True},
        {"pointwise_groups": 1},
    ),
    "tucker": ({"input_rank_ratio": 0.75, "output_rank_ratio": 0.25, "stride": 2, "se_ratio": 0.25},),
    "universal_ibn": (
        {"start_kernel_size": 5, "stride": 2, "padding": "same"},
        {"start_kernel_size": 3, "kernel_size": 0, "stride": 2},
        {"kernel_size": 0, "layer_scale": 0.5},
        {"start_kernel_size": 3, "kernel_size": 5, "end_kernel_size": 3, "dilation": 2, "se_ratio": 0.25},
        {"kernel_size": 0, "end_kernel_size": 5, "stride": 2, "expansion_ratio": 1},
    ),
}
"""Every kind needs an entry: a test says so."""


def settings_of(kind: type[Block]) -> list[dict[str, Any]]:
    """All settings to run a kind in."""
    return [*settings_for(kind), *({"out_channels": 16, **own} for own in OWN[kind.kind])]


SETTINGS = [(name, settings) for name, kind in block_kinds().items() for settings in settings_of(kind)]
"""A kind's name and settings: what tests are parametrised over."""


def setting_id(setting: object) -> str:
    """A short name of a kind or its settings."""
    if isinstance(setting, dict):
        return ",".join(f"{name}={value}" for name, value in setting.items())
    return str(setting)
