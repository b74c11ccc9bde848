"""The entries of timm's registry: one function per network, made here, and one for any architecture.

timm files entries under the last part of the module that holds them, hence this module's name:
`timm.list_models(module="accelzoo_models")`.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping
from typing import Any

from timm.models import generate_default_cfgs, is_model, model_entrypoint, register_model
from torch import nn

from accelzoo.arch import Arch
from accelzoo.errors import AccelzooError
from accelzoo.registry import get_arch, models
from accelzoo.release_config import TIMM_ENTRY as ANY_ARCH
from accelzoo.timm.pretrained_cfg import classifies, image_facts, registry_entry

PREFIX = "accelzoo_"
EXAMPLE = "camera_ibn"  # timm wants every entry to build without arguments: this is what `ANY_ARCH` then builds

Entry = Callable[..., nn.Module]
default_cfgs: dict[str, Any] = {}  # where timm's `register_model` looks for an entry's pretrained_cfg
__all__: list[str] = []  # timm adds the entries


def register() -> None:
    """Registers every classification network and the entry for any architecture in timm.

    What is registered already stays as it is, so calling it again after a network was added costs nothing.

    Raises:
        AccelzooError: If timm knows another network by one of the names; nothing is registered then.
    """
    configs = {name: config for name, family in models().items() for config in [family.models[name]]}
    found = {PREFIX + name: (name, config) for name, config in configs.items() if classifies(config)}
    new = {entry: network for entry, network in found.items() if not _is_ours(entry, f"network {network[0]!r}")}
    cfgs: dict[str, Any] = {entry: registry_entry(name, config) for entry, (name, config) in new.items()}
    any_arch = not _is_ours(ANY_ARCH, "entry for any architecture")
    if any_arch:
        cfgs[ANY_ARCH] = registry_entry(EXAMPLE, configs[EXAMPLE], weights=False)
    default_cfgs.update(generate_default_cfgs(cfgs))
    for entry, (name, _) in new.items():
        _add(entry, _make_entry(entry, name), f"{name}: see `accelzoo.get_arch`.")
    if any_arch:
        _add(ANY_ARCH, _build_any, _build_any.__doc__ or "")


def _is_ours(entry: str, what: str) -> bool:
    """Whether timm knows an entry, and by this module.

    Raises:
        AccelzooError: If it stems from elsewhere.
    """
    if not is_model(entry):
        return False
    other = model_entrypoint(entry)
    if other.__module__ != __name__:
        raise AccelzooError(
            f"timm already has a model {entry!r}, registered by {other.__module__}.{other.__qualname__}; accelzoo's "
            f"{what} needs that name: import accelzoo.timm first, or rename the other one"
        )
    return True


def _add(entry: str, function: Entry, documentation: str) -> None:
    function.__name__ = function.__qualname__ = entry
    function.__doc__ = documentation
    setattr(sys.modules[__name__], entry, register_model(function))


def _make_entry(entry: str, name: str) -> Entry:
    def build(pretrained: bool = False, **kwargs: Any) -> nn.Module:
        from accelzoo.timm.network import create

        return create(entry, get_arch(name), pretrained, kwargs)

    return build


def _build_any(pretrained: bool = False, arch: Arch | Mapping[str, Any] | None = None, **kwargs: Any) -> nn.Module:
    """Builds an architecture given as a value or as its config (`Arch.to_config`).

    Args:
        pretrained: Load the weights that `pretrained_cfg` names.
        arch: The architecture; the small example `camera_ibn` when None.
        **kwargs: As for every other entry.

    Raises:
        ConfigError: If the config has faults.
    """
    from accelzoo.timm.network import create

    if arch is None:
        arch = get_arch(EXAMPLE)
    elif not isinstance(arch, Arch):
        arch = Arch.from_config(arch)
    if not kwargs.get("pretrained_cfg"):  # what was registered describes the example
        kwargs["pretrained_cfg_overlay"] = {**image_facts(arch), **(kwargs.get("pretrained_cfg_overlay") or {})}
    return create(ANY_ARCH, arch, pretrained, kwargs)
