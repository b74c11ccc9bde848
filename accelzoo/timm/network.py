"""The arguments of timm's `create_model` → a network."""

from __future__ import annotations

import inspect
from contextlib import nullcontext
from dataclasses import replace
from functools import partial
from typing import Any

import torch
from timm.models import build_model_with_cfg
from torch import nn

from accelzoo.arch import Arch
from accelzoo.build import build_classifier
from accelzoo.classifier import AccelNet, classification_head
from accelzoo.errors import ConfigError
from accelzoo.overrides import overridden
from accelzoo.timm.pretrained_cfg import image_facts

_BUILDER_ARGUMENTS = {
    "cache_dir", "feature_cls", "features_only", "out_indices", "pretrained_cfg", "pretrained_cfg_overlay",
    "pretrained_model_args",
}  # fmt: skip
_SET_BY_CREATE = {"num_classes", "in_chans"}


class ArgumentError(ConfigError, TypeError):
    """Arguments of a timm entry that no network takes, or that do not fit; timm expects a TypeError."""


def create(entry: str, arch: Arch, pretrained: bool, arguments: dict[str, Any]) -> nn.Module:
    """Builds a network the way timm's own entries do.

    Args:
        entry: Name in timm's registry.
        arch: The architecture.
        pretrained: Load the weights that the pretrained_cfg names.
        arguments: timm's (`features_only`, `out_indices`, `output_stride`, `in_chans`, `num_classes`, `global_pool`,
            `drop_rate`, `drop_path_rate`, `bn_eps`, `bn_momentum`, `device`, `dtype` …), and any override of
            `accelzoo.get_arch`.

    Returns:
        An `AccelNet`, or timm's wrapper around one with `features_only`.

    Raises:
        ArgumentError: If an argument is unknown or does not fit.
    """
    arguments = dict(arguments)
    builder = {key: arguments.pop(key) for key in _BUILDER_ARGUMENTS & set(arguments)}
    own = {key: arguments.pop(key) for key in _NETWORK_ARGUMENTS & set(arguments)}
    given = {key: arguments.pop(key) for key in _SET_BY_CREATE & set(arguments)}
    arch = _overridden(arch, entry, arguments)
    if arguments and not builder.get("pretrained_cfg"):
        facts = image_facts(arch)
        builder["pretrained_cfg_overlay"] = {
            **{key: facts[key] for key in ("input_size", "pool_size")},
            **(builder.get("pretrained_cfg_overlay") or {}),
        }
    return build_model_with_cfg(
        partial(_network, entry, arch),
        entry,
        pretrained,
        # Fresh at every call: timm changes it.
        feature_cfg={
            "feature_cls": "getter",
            "out_indices": tuple(range(len(arch.feature_levels()))),
            "flatten_sequential": True,
        },
        **builder,
        **own,
        **given,
    )


def _network(
    entry: str,
    arch: Arch,
    *,
    num_classes: int,
    in_chans: int,
    global_pool: str = "avg",
    output_stride: int | None = None,
    drop_path_rate: float = 0.0,
    bn_eps: float | None = None,
    bn_momentum: float | None = None,
    device: torch.device | str | None = None,
    dtype: torch.dtype | None = None,
) -> AccelNet:
    arch = _overridden(arch, entry, {"num_classes": num_classes, "in_chans": in_chans})
    if bn_eps is not None:
        arch = replace(arch, norm_eps=bn_eps)
    classification_head(arch)
    try:
        with nullcontext() if device is None else torch.device(device):
            model = build_classifier(arch, global_pool=global_pool, output_stride=output_stride)
    except ValueError as error:
        raise ArgumentError([f"{entry}: {error}"]) from None
    if drop_path_rate:
        model.set_drop_path(drop_path_rate)
    if bn_momentum is not None:
        for child in model.modules():
            if isinstance(child, nn.BatchNorm2d):
                child.momentum = bn_momentum
    return model if dtype is None else model.to(dtype)


_NETWORK_ARGUMENTS = set(inspect.signature(_network).parameters) - {"entry", "arch", *_SET_BY_CREATE}


def _overridden(arch: Arch, entry: str, overrides: dict[str, Any]) -> Arch:
    try:
        return overridden(arch, entry, overrides) if overrides else arch
    except ConfigError as error:
        raise ArgumentError(error.faults) from None
