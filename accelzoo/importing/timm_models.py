"""Builds timm's models by name on the meta device: shapes without numbers, and no download."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from accelzoo.errors import AccelzooError, ConfigError, suggestion, unknown_name
from accelzoo.hwmodel.ir import Shape

if TYPE_CHECKING:
    from torch import nn

OVERRIDES = ("input_size", "in_chans", "num_classes")


def build(name: str, overrides: Mapping[str, Any]) -> tuple[nn.Module, Shape]:
    """Builds a model.

    Args:
        name: A name of timm's, with or without the tag of its weights (`resnet18`, `resnet18.a1_in1k`).
        overrides: `input_size` (a side, `(height, width)` or `(channels, height, width)`), `in_chans`, `num_classes`.

    Returns:
        The module, and the shape `(channels, height, width)` of its input: timm's for these weights by default.

    Raises:
        UnknownNameError: If timm has no such model; the nearest is suggested.
        ConfigError: If an override is unknown or has no meaning.
        AccelzooError: If timm cannot build it so.
    """
    import timm
    import torch

    base, _, tag = name.partition(".")
    if base not in (known := timm.list_models()):
        raise unknown_name("timm model", name, known)
    if tag and name not in (tagged := timm.list_pretrained(f"{base}.*")):
        raise unknown_name("timm model", name, [base, *tagged])
    _check(name, overrides)
    options = {key: value for key, value in overrides.items() if key != "input_size"}
    size = _input_size(name, overrides["input_size"]) if "input_size" in overrides else ()
    if len(size) == 3:
        options["in_chans"] = size[0]
    try:
        with torch.device("meta"):
            model = _create(name, options, size[-2:])
    except (RuntimeError, TypeError, ValueError, AssertionError) as error:
        given = ", ".join(f"{key}={value}" for key, value in overrides.items()) or "its defaults"
        raise AccelzooError(f"timm cannot build {name!r} with {given}: {error}") from error
    channels, height, width = model.pretrained_cfg["input_size"]  # type: ignore[index]
    height, width = size[-2:] or (height, width)
    return model, (int(options.get("in_chans", channels)), int(height), int(width))


def _create(name: str, options: Mapping[str, Any], size: tuple[int, ...]) -> nn.Module:
    import timm

    if size:
        try:
            # Transformers lay out their position embedding for one size; other models know no such argument.
            return timm.create_model(name, img_size=size, **options)
        except TypeError as error:
            if "img_size" not in str(error):
                raise
    return timm.create_model(name, **options)


def _check(name: str, overrides: Mapping[str, Any]) -> None:
    faults = [
        f"timm:{name}: unknown override {key!r}{suggestion(key, OVERRIDES)} (allowed: {', '.join(OVERRIDES)})"
        for key in overrides
        if key not in OVERRIDES
    ]
    for key, least in (("in_chans", 1), ("num_classes", 0)):
        value = overrides.get(key, least)
        if not isinstance(value, int) or isinstance(value, bool) or value < least:
            faults.append(f"timm:{name}: {key}: expected an integer of at least {least}, got {value!r}")
    if faults:
        raise ConfigError(faults)


def _input_size(name: str, value: Any) -> tuple[int, ...]:
    sizes = tuple(value) if isinstance(value, list | tuple) else (value, value)
    whole = all(isinstance(size, int) and not isinstance(size, bool) and size > 0 for size in sizes)
    if not whole or len(sizes) not in (2, 3):
        expected = "a side, [height, width] or [channels, height, width]"
        raise ConfigError([f"timm:{name}: input_size: expected {expected}, got {value!r}"])
    return sizes
