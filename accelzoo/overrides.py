"""An architecture with some values changed by keyword, as `get_arch` and `create_model` take them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields, replace
from functools import cache
from typing import Any, get_type_hints

from accelzoo import config
from accelzoo.arch import Arch
from accelzoo.blocks import Block, block_kinds
from accelzoo.dilation import with_output_stride
from accelzoo.errors import AccelzooError, ConfigError, suggestion
from accelzoo.heads import Head, head_kinds

_SCALES = {"width_multiplier": float, "depth_multiplier": float, "channel_divisor": int}
_OWN_TO_EACH_BLOCK = ("out_channels", "stride", "expanded_channels", "dilation", "group_size")


def overridden(arch: Arch, name: str, overrides: Mapping[str, Any]) -> Arch:
    """Returns the architecture with the overrides of `get_arch` applied: another head first, then scaling, then others.

    Args:
        arch: The architecture.
        name: What to call it in errors.
        overrides: Values by keyword.

    Raises:
        ConfigError: All overrides that are unknown or of the wrong type; or else the first that does not fit.
    """
    overrides = dict(overrides)
    try:
        head = _chosen_head(overrides.pop("head", arch.head))
    except ConfigError as error:
        raise ConfigError([f"{name}: head: {fault}" for fault in error.faults]) from None
    sizes = {"input_size": None, "in_chans": int, "stem_stride": int, "output_stride": int}
    types = {**sizes, **_SCALES, **_head_types(head.kind)}
    types |= _block_types()
    faults, values = [], {}
    for key, value in overrides.items():
        if key not in types:
            listing = ", ".join(("head", *types))
            faults.append(f"{name}: unknown override {key!r}{suggestion(key, types)} (allowed: {listing})")
            continue
        try:
            values[key] = _input_size(value) if key == "input_size" else config.read(types[key], config.Node(value))
        except ConfigError as error:
            faults += [f"{name}: {key}: {fault}" for fault in error.faults]
    if faults:
        raise ConfigError(faults)
    try:
        return _changed(replace(arch, head=head), values)
    except (ValueError, AccelzooError) as error:
        raise ConfigError([f"{name}: {error}"]) from None


def _chosen_head(chosen: Any) -> Head:
    """The head that an override asks for: by its kind, as a config with its kind, or as it is."""
    if isinstance(chosen, Head):
        return chosen
    return config.read(Head, config.Node({"kind": chosen} if isinstance(chosen, str) else chosen))


def _changed(arch: Arch, values: Mapping[str, Any]) -> Arch:
    arch = arch.scaled(**{key: value for key, value in values.items() if key in _SCALES})
    knobs = {key: value for key, value in values.items() if key in _block_types()}
    arch = _with_block_knobs(arch, knobs) if knobs else arch
    names = {field.name for field in fields(arch.head)}
    head = {key: value for key, value in values.items() if key in names and (key == "activation" or key not in knobs)}
    arch = replace(arch, head=replace(arch.head, **head)) if head else arch
    if "stem_stride" in values:
        arch = replace(arch, stem=replace(arch.stem, stride=values["stem_stride"]))
    if "output_stride" in values:
        arch = with_output_stride(arch, values["output_stride"])
    return _with_input(arch, values)


def _with_block_knobs(arch: Arch, knobs: Mapping[str, Any]) -> Arch:
    stages = []
    set_somewhere = {"activation"} & set(knobs)
    for stage in arch.stages:
        changes = {key: value for key, value in knobs.items() if _takes(stage.block, key)}
        set_somewhere |= set(changes)
        if "expansion_ratio" in changes:
            changes["expanded_channels"] = None  # else the published width would hide the ratio
        stages.append(replace(stage, block=replace(stage.block, **changes)))
    if unused := [key for key in knobs if key not in set_somewhere]:
        kinds = ", ".join(sorted({stage.block.kind for stage in arch.stages}))
        raise ValueError(f"no block here takes {' or '.join(unused)} (blocks: {kinds})")
    stem = replace(arch.stem, **{key: knobs[key] for key in ("activation", "padding") if key in knobs})
    return replace(arch, stages=tuple(stages), stem=stem)


def _takes(block: Block, key: str) -> bool:
    """Whether an override applies to a block; an expansion ratio of 1 is part of the block's shape and stays."""
    if key == "expansion_ratio" and getattr(block, key, None) == 1:
        return False
    return any(field.name == key for field in fields(block))


def _with_input(arch: Arch, values: Mapping[str, Any]) -> Arch:
    channels, *_ = arch.input_size
    size = values.get("input_size", arch.input_size)
    in_chans = values.get("in_chans", size[0] if len(size) == 3 else channels)
    if "in_chans" in values and "input_size" in values and len(size) == 3 and size[0] != in_chans:
        raise ValueError(f"in_chans (={in_chans}) contradicts input_size (={list(size)})")
    return replace(arch, input_size=(in_chans, size[-2], size[-1]))


def _input_size(value: Any) -> tuple[int, ...]:
    """Reads a side, a height and width, or channels, height and width."""
    if isinstance(value, int) and not isinstance(value, bool):
        return (value, value)
    if isinstance(value, list | tuple) and len(value) in (2, 3):
        return config.read(tuple[int, ...], config.Node(value))
    raise ConfigError([f"expected a side, (height, width) or (channels, height, width), got {value!r}"])


@cache
def _head_types(name: str) -> Mapping[str, Any]:
    kind = head_kinds()[name]
    hints = get_type_hints(kind)
    return {field.name: hints[field.name] for field in fields(kind)}


@cache
def _block_types() -> Mapping[str, Any]:
    """Type of each knob that any block kind has, in the order of their fields."""
    types: dict[str, Any] = {}
    for kind in block_kinds().values():
        hints = get_type_hints(kind)
        types |= {field.name: hints[field.name] for field in fields(kind) if field.name not in _OWN_TO_EACH_BLOCK}
    return types
