"""Names → architectures, spaces and modules."""

from __future__ import annotations

import fnmatch
from collections.abc import Mapping
from dataclasses import fields, replace
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from accelzoo.arch import Arch, Stage
from accelzoo.blocks import block_kinds
from accelzoo.errors import ConfigError, ShapeError, suggestion, unknown_name
from accelzoo.families import Family, families
from accelzoo.knobs import Space

if TYPE_CHECKING:
    from accelzoo.build import AccelNet

_SCALES = ("width_multiplier", "depth_multiplier", "channel_divisor")
_HEAD_KNOBS = ("num_classes", "hidden_channels", "drop_rate")
_ARCH_KNOBS = ("input_size", "in_chans")


@cache
def models() -> Mapping[str, Family]:
    """Model name → its family, in the order of names."""
    return dict(sorted((name, family) for family in families() for name in family.models))


@cache
def spaces() -> Mapping[str, Family]:
    """Space name → its family, in the order of names."""
    return dict(sorted((name, family) for family in families() for name in family.spaces))


def list_models(pattern: str = "*") -> list[str]:
    """Names of all registered models that match a shell pattern (`mobilenet*`), sorted."""
    return fnmatch.filter(models(), pattern)


def list_spaces(pattern: str = "*") -> list[str]:
    """Names of all registered spaces that match a shell pattern, sorted."""
    return fnmatch.filter(spaces(), pattern)


def get_arch(name: str | Path, **overrides: Any) -> Arch:
    """Returns the architecture called `name`, or read from a `.yaml`/`.json` file, with some values changed.

    Args:
        name: A registered model, or the path of a config file.
        **overrides: `num_classes`, `in_chans`, `input_size` (a height and width, or `(channels, height, width)`),
            `hidden_channels`, `drop_rate`; `width_multiplier`, `depth_multiplier`, `channel_divisor`; or a block's
            knob (`activation`, `kernel_size`, `expansion_ratio`, `se_ratio`, `residual`), set on every block that
            has it (an `expansion_ratio` leaves blocks of ratio 1 alone).

    Raises:
        UnknownNameError: If there is no such model; the nearest name is suggested.
        ConfigError: If an override is unknown or its value is out of range.
    """
    arch = Arch.from_config(Path(name)) if _is_file(name) else _registered(str(name))
    return _overridden(arch, str(name), overrides) if overrides else arch


def get_space(name: str | Path) -> Space:
    """Returns the space called `name`, or read from a `.yaml`/`.json` file.

    Raises:
        UnknownNameError: If there is no such space; the nearest name is suggested.
        ConfigError: If the file has faults.
    """
    if _is_file(name):
        return Space.from_config(Path(name))
    if str(name) not in spaces():
        raise unknown_name("space", str(name), spaces())
    return Space(str(name), spaces()[str(name)].spaces[str(name)])


def create_model(name: str | Path, pretrained: bool = False, **overrides: Any) -> AccelNet:
    """Builds the network called `name` as a `torch.nn.Module`.

    Args:
        name: A registered model, the path of a config file, or `hub:owner/name[@revision]` for a published release,
            which always comes with its weights.
        pretrained: Load the weights of the release that ships in the package under this name.
        **overrides: See `get_arch`. With weights, only `num_classes` may differ from the release: another number
            replaces the classifier by a fresh one.

    Raises:
        UnknownNameError: If there is no such model.
        ConfigError: If an override is unknown or its value is out of range.
        ReleaseError: If `pretrained` and there are no weights, or the release is damaged.
    """
    from accelzoo import pretrained as releases
    from accelzoo.build import build

    if str(name).startswith("hub:"):
        return releases.load(releases.pull(str(name)), overrides)
    if pretrained:
        return releases.load(releases.packaged(str(name)), overrides)
    return build(get_arch(name, **overrides))


def _is_file(name: str | Path) -> bool:
    return isinstance(name, Path) or name.endswith((".yaml", ".yml", ".json"))


@cache
def _registered(name: str) -> Arch:
    if name not in models():
        raise unknown_name("model", name, models())
    return Arch.from_config(models()[name].models[name])


def _overridden(arch: Arch, name: str, overrides: Mapping[str, Any]) -> Arch:
    known = (*_ARCH_KNOBS, *_HEAD_KNOBS, *_SCALES, *_block_knobs())
    if faults := [f"{name}: unknown override {key!r}{suggestion(key, known)}" for key in overrides if key not in known]:
        raise ConfigError([f"{fault} (allowed: {', '.join(known)})" for fault in faults])
    try:
        if scales := {key: overrides[key] for key in _SCALES if key in overrides}:
            arch = arch.scaled(**scales)
        if changes := {key: overrides[key] for key in _HEAD_KNOBS if key in overrides}:
            arch = replace(arch, head=replace(arch.head, **changes))
        if knobs := {key: overrides[key] for key in _block_knobs() if key in overrides}:
            arch = _with_block_knobs(arch, knobs)
        return _with_input(arch, overrides)
    except (ValueError, TypeError, ShapeError) as error:
        raise ConfigError([f"{name}: {error}"]) from None


def _with_block_knobs(arch: Arch, knobs: Mapping[str, Any]) -> Arch:
    stages = []
    for stage in arch.stages:
        names = {field.name for field in fields(stage.block)}
        changes = {key: value for key, value in knobs.items() if key in names}
        if getattr(stage.block, "expansion_ratio", None) == 1:
            changes.pop("expansion_ratio", None)
        stages.append(Stage(block=replace(stage.block, **changes), repeats=stage.repeats))
    arch = replace(arch, stages=tuple(stages))
    if "activation" in knobs:
        function = knobs["activation"]
        arch = replace(arch, stem=replace(arch.stem, activation=function), head=replace(arch.head, activation=function))
    return arch


def _with_input(arch: Arch, overrides: Mapping[str, Any]) -> Arch:
    channels, height, width = arch.input_size
    size = overrides.get("input_size", (height, width))
    if isinstance(size, int):
        size = (size, size)
    if len(size) == 2:
        size = (channels, *size)
    channels, height, width = (int(value) for value in size)
    return replace(arch, input_size=(overrides.get("in_chans", channels), height, width))


@cache
def _block_knobs() -> tuple[str, ...]:
    own = {"out_channels", "stride", "expanded_channels"}
    names = {field.name: None for kind in block_kinds().values() for field in fields(kind)}
    return tuple(name for name in names if name not in own)
