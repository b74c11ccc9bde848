"""Names → architectures, spaces and modules."""

from __future__ import annotations

import fnmatch
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from accelzoo.arch import Arch
from accelzoo.errors import ConfigError, unknown_name
from accelzoo.families import Family, families
from accelzoo.knobs import Space
from accelzoo.overrides import overridden

if TYPE_CHECKING:
    from accelzoo.build import Trunk


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
        name: A registered model, the path of a config file, or the folder of a release.
        **overrides: `num_classes`, `in_chans`, `input_size` (a side, `(height, width)` or `(channels, height, width)`),
            `stem_stride` (1 for images of 32 pixels), `output_stride`; `width_multiplier`, `depth_multiplier`,
            `channel_divisor`; `head` (a kind such as `ssdlite`, or a config with its `kind`) and any field of the head
            (`hidden_channels`, `drop_rate`, …); or a block's knob (`activation`, `kernel_size`, `expansion_ratio`,
            `se_ratio`, `residual`), set on every block that has it (an `expansion_ratio` leaves blocks of ratio 1 alone
            and sets aside published `expanded_channels`).

    Raises:
        UnknownNameError: If there is no such model; the nearest name is suggested.
        ConfigError: If an override is unknown or its value is out of range.
        ReleaseError: If it is a folder, but not that of a whole release.
    """
    arch = _named(str(name)) if Path(name).is_dir() or not _is_file(name) else Arch.from_config(Path(name))
    return overridden(arch, str(name), overrides) if overrides else arch


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


def create_model(
    name: str | Path,
    pretrained: bool = False,
    weights: str | Path | Mapping[str, Any] | None = None,
    *,
    revision: str | None = None,
    cache_dir: str | Path | None = None,
    **overrides: Any,
) -> Trunk:
    """Builds the network called `name` as a `torch.nn.Module`.

    Args:
        name: A registered model, the path of a config file, or a release, which always comes with all of its weights:
            its folder, or `owner/name` for a published one, looked for on the local hub, then on Hugging Face
            (`hub:owner/name`, `hf:owner/name`: there alone). `@` and a tag or digest may follow: `hf:me/x@sha256:…`.
        pretrained: Load the weights of the release that ships in the package under this name.
        weights: Other weights to load: `timm` for those that timm offers (downloaded on first use; `timm:TAG` for one
            of several), a `.safetensors` or `.pth` file, or a state dict; see `accelzoo.weights`.
        revision: The release's revision, unless the name has one; a folder or packaged release must have this digest.
        cache_dir: Where pulled releases are kept; `$ACCELZOO_CACHE` or the user's cache directory by default.
        **overrides: See `get_arch`. With a release, only `num_classes` may differ from it. Whatever the weights,
            another `num_classes` than theirs replaces the classifier by a fresh one; with `weights`, another `in_chans`
            adapts the first convolution, and a dense `head` starts fresh.

    Raises:
        UnknownNameError: If there is no such model, or no hub has the release.
        ConfigError: If an override is unknown or its value is out of range, `weights` names nothing, or `revision` or
            `cache_dir` is given for what is no release.
        ReleaseError: If there are no such weights, they are damaged, or they do not fit.
        ShapeError: If the head needs a level that the network lacks, or that its input size makes too small.
    """
    from accelzoo.build import build
    from accelzoo.pretrained import load_pretrained, names_release

    if pretrained or names_release(name):
        if weights is not None:
            raise ConfigError([f"{name}: a release comes with its own weights; leave weights out"])
        return load_pretrained(name, overrides, revision=revision, cache_dir=cache_dir)
    if revision is not None or cache_dir is not None:
        option = "cache_dir" if revision is None else "revision"
        raise ConfigError([f"{name}: {option} is for releases; with pretrained=True, of one that ships in the package"])
    arch = get_arch(name, **overrides)
    if arch.head.task != "classification":
        arch.lower()  # the module alone would run on maps that have nothing left to halve
    if weights is None:
        return build(arch)
    from accelzoo.weights import load_with_weights

    return load_with_weights(name, weights, overrides)


def _is_file(name: str | Path) -> bool:
    return isinstance(name, Path) or name.endswith((".yaml", ".yml", ".json"))


def _named(name: str) -> Arch:
    if name in models() or not Path(name).is_dir():
        return _registered(name)
    from accelzoo.pretrained import is_release, no_release
    from accelzoo.release import read_release

    if not is_release(name):
        raise no_release(name)
    return Arch.from_config(read_release(name).config["accelzoo"]["arch"])


@cache
def _registered(name: str) -> Arch:
    if name not in models():
        raise unknown_name("model", name, models())
    return Arch.from_config(models()[name].models[name])
