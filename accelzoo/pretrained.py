"""Networks with their weights: from the releases that ship in the package, from a folder, or from a hub."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from accelzoo._checksums import SUMS_FILE
from accelzoo.arch import Arch
from accelzoo.errors import ConfigError, ReleaseError, suggestion
from accelzoo.hubs.finding import is_reference, pull_release
from accelzoo.hubs.names import digest_prefix
from accelzoo.registry import models
from accelzoo.release import Release, read_release

if TYPE_CHECKING:
    from accelzoo.build import Trunk

ZOO = Path(__file__).parent / "zoo"


def list_packaged() -> list[str]:
    """Names of the releases that ship inside the package, sorted."""
    return sorted(path.parent.name for path in ZOO.glob("*/SHA256SUMS"))


def find_release(name: str | Path, *, revision: str | None = None, cache_dir: str | Path | None = None) -> Release:
    """Returns a release, verified.

    A name is looked for among the folders, then in the package; one of the form `owner/name` then on the local hub and
    on Hugging Face.

    Args:
        name: The folder of a release; a packaged one; or `owner/name` for a published one, `hub:owner/name` or
            `hf:owner/name` for one of that hub alone. A revision may follow: `camera_accel@sha256:…`.
        revision: The revision, unless the name has one: a digest, its first 8 or more digits or, of a published
            release, a tag.
        cache_dir: Where pulled releases are kept; None for the default.

    Raises:
        ConfigError: If `revision` contradicts the name.
        UnknownNameError: If no hub has it.
        ReleaseError: If there is none, it is damaged, or it is not the one that the revision pins.
    """
    folder, pin = _folder_and_pin(name)
    if folder is None and Path(name).is_dir():
        raise no_release(name)
    if folder is not None:
        if pin and revision not in (None, pin):
            raise ConfigError([f"{name}: revision {revision!r} contradicts the name's {pin!r}"])
        return _pinned(read_release(folder), pin or revision)
    if is_reference(str(name)):
        folder = pull_release(str(name), revision=revision, cache_dir=cache_dir, looked_in=_looked_in(str(name)))
        return read_release(folder)
    packaged = list_packaged()
    listing = ", ".join(packaged) or "none"
    raise ReleaseError(f"no weights ship for {name!r}{suggestion(str(name), packaged)} (packaged releases: {listing})")


def names_release(name: str | Path) -> bool:
    """Tells whether a name can only be that of a release, which comes with its weights.

    So are the folder of one, `hub:…`, `hf:…`, `owner/name`, and a packaged release with `@` and its digest. The bare
    name of a packaged one may be a model's as well; a folder that is there, or the suffix of a config file, is a path.
    """
    if is_release(name):
        return True
    text = str(name)
    if isinstance(name, Path) or text.endswith((".yaml", ".yml", ".json")) or Path(text).is_dir():
        return False
    return is_reference(text) or _folder_and_pin(text)[1] is not None


def is_release(name: str | Path) -> bool:
    """Tells whether a name is the folder of a release; a registered model's name never is."""
    return str(name) not in models() and (Path(name) / SUMS_FILE).is_file()


def no_release(folder: str | Path) -> ReleaseError:
    """Returns the error for a folder that is no release; it names the releases one or two levels below, as in a run."""
    below = {path.parent for pattern in ("*", "*/*") for path in Path(folder).glob(f"{pattern}/{SUMS_FILE}")}
    inside = ", ".join(sorted(str(path) for path in below if not path.name.startswith(".")))
    said = f"; releases in it: {inside}" if inside else f": it has no {SUMS_FILE}"
    return ReleaseError(f"{folder}: a folder that is no release{said}")


def _folder_and_pin(name: str | Path) -> tuple[Path | None, str | None]:
    """Returns the folder of a release that is here already, and the revision that its name ends with."""
    if is_release(name):
        return Path(name), None
    if isinstance(name, Path):
        return (None if name.is_dir() else name), None
    if name in list_packaged():
        return ZOO / name, None
    plain, at, pin = name.rpartition("@")
    if not at or not digest_prefix(pin):
        return None, None
    if is_release(plain):
        return Path(plain), pin
    return (ZOO / plain, pin) if plain in list_packaged() else (None, None)


def _pinned(release: Release, pin: str | None) -> Release:
    if pin is None:
        return release
    digits = digest_prefix(pin)
    if digits is None:
        raise ReleaseError(f"{release.folder}: revision {pin!r}: only hubs have tags; its digest is {release.digest}")
    if not release.digest.removeprefix("sha256:").startswith(digits):
        raise ReleaseError(f"{release.folder}: expected the digest {pin}, found {release.digest}")
    return release


def _looked_in(name: str) -> list[str]:
    """Says for an error what a name did not match here."""
    packaged = list_packaged()
    close = suggestion(name.partition("@")[0].rpartition("/")[2], packaged)
    return [f"folders: no release in {name!r}", f"the package: ships {', '.join(packaged) or 'none'}{close}"]


def load_pretrained(
    name: str | Path,
    overrides: Mapping[str, Any],
    *,
    revision: str | None = None,
    cache_dir: str | Path | None = None,
) -> Trunk:
    """Builds the network of a release with its weights.

    Args:
        name: See `find_release`.
        overrides: `num_classes` alone, of a classifier: another number than the release's puts a fresh one in place.
        revision: See `find_release`.
        cache_dir: See `find_release`.

    Raises:
        UnknownNameError: If no hub has it.
        ReleaseError: If there is no such release, it is damaged, or weights and architecture do not fit.
        ConfigError: If another override is given, or `revision` contradicts the name.
    """
    if unknown := sorted(set(overrides) - {"num_classes"}):
        raise ConfigError(f"{name}: with its weights only num_classes can change, not {key}" for key in unknown)
    from accelzoo.build import AccelNet, classification_head

    release = find_release(name, revision=revision, cache_dir=cache_dir)
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
        weights = {name: torch.from_numpy(array) for name, array in release.load_weights().items()}
        model.load_state_dict(weights, strict=True)
    except RuntimeError as error:
        raise ReleaseError(f"{release.folder}: the weights do not fit the architecture: {error}") from None
    model.pretrained_cfg = dict(release.config["pretrained_cfg"])
    model.class_names = tuple(facts["class_names"])
    return model.eval()
