"""Networks with their weights: from the releases that ship in the package, from a folder, or from a hub."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from accelzoo._checksums import SUMS_FILE
from accelzoo.arch import Arch
from accelzoo.errors import ConfigError, ReleaseError, suggestion
from accelzoo.registry import models
from accelzoo.release import Release, read_release

if TYPE_CHECKING:
    from accelzoo.build import Trunk

ZOO = Path(__file__).parent / "zoo"
HUB_PREFIX = "hub:"


def list_packaged() -> list[str]:
    """Names of the releases that ship inside the package, sorted."""
    return sorted(path.parent.name for path in ZOO.glob("*/SHA256SUMS"))


def find_release(name: str) -> Release:
    """Returns the release of a packaged model, in a folder, or of `hub:owner/name[@revision]` after pulling it.

    Raises:
        ReleaseError: If there is none, or it is damaged.
    """
    if name.startswith(HUB_PREFIX):
        from accelzoo.hub import open_hub, parse_reference

        reference = parse_reference(name)
        return read_release(open_hub(None).pull(reference.name, reference.revision))
    if is_release(name):
        return read_release(name)
    packaged = list_packaged()
    if name not in packaged:
        listing = ", ".join(packaged) or "none"
        raise ReleaseError(f"no weights ship for {name!r}{suggestion(name, packaged)} (packaged releases: {listing})")
    return read_release(ZOO / name)


def is_release(name: str | Path) -> bool:
    """Tells whether a name is the folder of a release; a registered model's name never is."""
    return str(name) not in models() and (Path(name) / SUMS_FILE).is_file()


def load_pretrained(name: str, overrides: Mapping[str, Any]) -> Trunk:
    """Builds the network of a release with its weights.

    Args:
        name: A packaged release, the folder of one, or `hub:owner/name[@revision]`.
        overrides: `num_classes` alone, of a classifier: another number than the release's puts a fresh one in place.

    Raises:
        ReleaseError: If there is no such release, it is damaged, or weights and architecture do not fit.
        ConfigError: If another override is given.
    """
    if unknown := sorted(set(overrides) - {"num_classes"}):
        raise ConfigError(f"{name}: with its weights only num_classes can change, not {key}" for key in unknown)
    from accelzoo.build import AccelNet, classification_head

    release = find_release(name)
    model = load_release(release)
    classes = overrides.get("num_classes", model.num_classes)
    if isinstance(classes, bool) or not isinstance(classes, int) or classes < 0:
        raise ConfigError([f"{name}: num_classes (={classes!r}) must be a whole number, 0 (no classifier) or more"])
    if classes != model.num_classes:
        if not isinstance(model, AccelNet):
            raise ConfigError([f"{name}: a network for {model.arch.head.task} keeps its {model.num_classes} classes"])
        model.arch = replace(model.arch, head=replace(classification_head(model.arch), num_classes=classes))
        model.reset_classifier(classes)
        model.class_names = ()  # the release's are not what the fresh outputs mean
    return model


def load_release(release: Release) -> Trunk:
    """Builds a release's network and loads its weights, every one of them.

    Returns:
        The network in eval mode; `pretrained_cfg` says how images must be prepared, `class_names` what its outputs are.

    Raises:
        ReleaseError: If weights and architecture do not fit.
    """
    import torch

    from accelzoo.build import AccelNet, DenseNet

    facts = release.config["accelzoo"]
    try:
        arch = Arch.from_config(facts["arch"])
    except ConfigError as error:
        raise ReleaseError(f"{release.folder}: config.json holds no readable architecture: {error}") from error
    digest = arch.digest()
    if digest != facts["arch_digest"]:
        raise ReleaseError(f"{release.folder}: arch_digest {facts['arch_digest']} is not the architecture's {digest}")
    model = AccelNet(arch) if arch.head.task == "classification" else DenseNet(arch)
    if model.num_classes != len(facts["class_names"]):
        raise ReleaseError(
            f"{release.folder}: {model.num_classes} outputs, but {len(facts['class_names'])} class names"
        )
    try:
        model.load_state_dict({name: torch.from_numpy(array) for name, array in release.load_weights().items()})
    except RuntimeError as error:
        raise ReleaseError(f"{release.folder}: the weights do not fit the architecture: {error}") from None
    model.pretrained_cfg = dict(release.config["pretrained_cfg"])
    model.class_names = tuple(facts["class_names"])
    return model.eval()
