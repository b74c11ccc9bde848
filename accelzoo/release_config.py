"""The config.json of a release: what timm needs to build the model, and what accelzoo knows about it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from math import isfinite
from pathlib import Path
from typing import Any

from accelzoo._checksums import is_digest, list_faults
from accelzoo.errors import ReleaseError

TIMM_ENTRY = "accelzoo_arch"
"""The name in timm's registry (`accelzoo.timm`) under which any architecture is built from its config."""

# Of timm's PretrainedCfg (timm/models/_pretrained.py), whose constructor refuses unknown keys.
_PRETRAINED_KEYS = (
    "input_size", "mean", "std", "crop_pct", "interpolation", "first_conv", "classifier", "num_classes",
)  # fmt: skip
_ACCELZOO_KEYS = (
    "arch", "arch_digest", "class_names", "input_size", "mean", "std", "metrics", "target", "cost",
)  # fmt: skip


@dataclass(frozen=True, slots=True, kw_only=True)
class Preprocessing:
    """What happens to an image before it enters the model."""

    input_size: tuple[int, int, int]  # (channels, height, width)
    mean: tuple[float, ...]  # per channel, subtracted from inputs in 0 … 1
    std: tuple[float, ...]  # per channel, divided by
    crop_pct: float = 1.0  # share of the resized image that the centre crop keeps
    interpolation: str = "bilinear"  # resize filter, as timm names it


def make_config(
    *,
    arch: Mapping[str, Any],
    arch_digest: str,
    class_names: Sequence[str],
    num_features: int,
    preprocessing: Preprocessing,
    first_conv: str | None,
    classifier: str | None,
    metrics: Mapping[str, float],
    target: str | None = None,
    cost: Mapping[str, Any] | None = None,
    model_args: Mapping[str, Any] | None = None,
) -> dict[str, Any]:
    """Builds the content of config.json.

    Args:
        arch: The architecture as `Arch.to_config()` returns it.
        arch_digest: `Arch.digest()`.
        class_names: One name per class, in the order of the classifier's outputs.
        num_features: Channels that enter the classifier.
        preprocessing: What happens to an image first.
        first_conv: Module path of the first convolution (timm adapts its input channels).
        classifier: Module path of the classifier (timm replaces it for other classes).
        metrics: Metric name -> value.
        target: Name of the accelerator that `cost` was estimated for.
        cost: Fields of the estimate, each with its unit in its name.
        model_args: Further arguments for timm's `create_model`, beside the architecture.

    Raises:
        ReleaseError: If values contradict one another; see `check_config`.
    """
    image = {key: list(value) if isinstance(value, tuple) else value for key, value in asdict(preprocessing).items()}
    head = {"first_conv": first_conv, "classifier": classifier, "num_classes": len(class_names)}
    own: dict[str, Any] = {
        "arch": dict(arch),
        "arch_digest": arch_digest,
        "class_names": list(class_names),
        "metrics": dict(metrics),
    }
    own |= {"target": target, "cost": None if cost is None else dict(cost)}
    own |= {key: image[key] for key in ("input_size", "mean", "std")}
    named = {"architecture": TIMM_ENTRY, "num_classes": len(class_names), "num_features": num_features}
    args = {**(model_args or {}), "arch": dict(arch)}
    return check_config({**named, "pretrained_cfg": {**image, **head}, "model_args": args, "accelzoo": own})


def check_config(config: Mapping[str, Any], where: str | Path = "config.json") -> dict[str, Any]:
    """Checks a config.json and strips what must not be stored.

    Args:
        config: Its content.
        where: What errors call it.

    Returns:
        A copy in which `model_args` holds no `num_classes`: timm takes it from the top level, and transformers fails on
        the duplicate.

    Raises:
        ReleaseError: Listing every missing key and every contradiction.
    """
    faults = [f"{key}: missing" for key in ("architecture", "num_classes", "num_features") if key not in config]
    parts = {}
    for key, wanted in (("pretrained_cfg", _PRETRAINED_KEYS), ("accelzoo", _ACCELZOO_KEYS), ("model_args", ())):
        part = config.get(key, {} if key == "model_args" else None)
        if not isinstance(part, Mapping):
            faults.append(f"{key}: expected a mapping, found {type(part).__name__}")
            continue
        parts[key] = dict(part)
        faults += [f"{key}.{name}: missing" for name in wanted if name not in part]
    if not faults:
        faults = _contradictions(config, parts["pretrained_cfg"], parts["accelzoo"])
        if parts["model_args"].get("arch", parts["accelzoo"]["arch"]) != parts["accelzoo"]["arch"]:
            faults.append("model_args.arch and accelzoo.arch must be equal")
    if faults:
        raise ReleaseError(list_faults(f"{where} does not describe a release", faults))
    model_args = {key: value for key, value in parts["model_args"].items() if key != "num_classes"}
    return {**config, **parts, "model_args": model_args}


def _contradictions(config: Mapping[str, Any], pretrained: Mapping[str, Any], own: Mapping[str, Any]) -> list[str]:
    faults = []
    if not isinstance(config["architecture"], str) or not config["architecture"]:
        faults.append(f"architecture: expected a name, found {config['architecture']!r}")
    names = own["class_names"]
    if isinstance(names, str) or not isinstance(names, Sequence):
        faults.append(f"accelzoo.class_names: expected a list of names, found {names!r}")
    elif not len(names) == config["num_classes"] == pretrained["num_classes"]:
        faults.append(
            f"num_classes (={config['num_classes']}), pretrained_cfg.num_classes (={pretrained['num_classes']}) "
            f"and the number of accelzoo.class_names (={len(names)}) must be equal"
        )
    for key in ("input_size", "mean", "std"):
        ours, theirs = own[key], pretrained[key]
        if not isinstance(ours, Sequence) or not isinstance(theirs, Sequence) or list(ours) != list(theirs):
            faults.append(f"accelzoo.{key} (={ours!r}) and pretrained_cfg.{key} (={theirs!r}) must be equal lists")
    faults += _unreadable(own)
    if not isinstance(own["arch_digest"], str) or not is_digest(own["arch_digest"]):
        faults.append(f"accelzoo.arch_digest: expected 'sha256:' and 64 hex digits, found {own['arch_digest']!r}")
    return faults


def _unreadable(own: Mapping[str, Any]) -> list[str]:
    faults = []
    metrics, cost = own["metrics"], own["cost"]
    if not isinstance(metrics, Mapping):
        faults.append(f"accelzoo.metrics: expected a mapping, found {type(metrics).__name__}")
    else:
        for name, value in metrics.items():
            if isinstance(value, bool) or not isinstance(value, int | float):
                faults.append(f"accelzoo.metrics.{name}: expected a number, found {value!r}")
            elif not _is_finite(value):
                faults.append(f"accelzoo.metrics.{name}: expected a finite number")
    if isinstance(cost, Mapping):
        endless = [name for name, value in cost.items() if isinstance(value, int | float) and not _is_finite(value)]
        faults += [f"accelzoo.cost.{name}: expected a finite number" for name in endless]
    elif cost is not None:
        faults.append(f"accelzoo.cost: expected a mapping or none, found {type(cost).__name__}")
    if own["target"] is not None and not isinstance(own["target"], str):
        faults.append(f"accelzoo.target: expected a name or none, found {own['target']!r}")
    return faults


def _is_finite(value: float) -> bool:
    try:
        return isfinite(value)
    except OverflowError:  # a whole number that no float holds
        return False
