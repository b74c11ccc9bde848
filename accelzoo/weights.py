"""Weights made elsewhere: timm's pretrained ones, checkpoint files and state dicts, loaded into our networks."""

from __future__ import annotations

import logging
import pickle
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from accelzoo.arch import Arch
from accelzoo.errors import ConfigError, ReleaseError, suggestion, unknown_name
from accelzoo.heads import ClassificationHead
from accelzoo.registry import get_arch, models

if TYPE_CHECKING:
    from torch import Tensor, nn

    from accelzoo.build import Trunk

TIMM = "timm"
SAFETENSORS = ".safetensors"
PICKLED = (".pth", ".pt", ".bin", ".tar")
LISTED_NAMES = 10
FIRST_CONV = "conv_stem"
CLASSIFIER = "classifier."
CLASSIFICATION_HEAD = ("conv_head.", "bn2.", "norm_head.", CLASSIFIER)
DENSE_HEAD = "head."
_WRAPPERS = ("state_dict_ema", "model_ema", "state_dict", "model")
_LOG = logging.getLogger("accelzoo.weights")


class _Layout(NamedTuple):
    """How a family of timm names its parameters where we name them otherwise."""

    sign: str  # a name that tells the layout
    block: re.Pattern[str]  # stage, block, and the name inside the block
    first_block: int
    outside: Mapping[str, str]
    inside: Mapping[str, str]

    def rename(self, name: str) -> str:
        """Our name for timm's."""
        if match := self.block.fullmatch(name):
            stage, block, inner = match.groups()
            return f"blocks.{int(stage) - 1}.{int(block) - self.first_block}.{_with_prefix(inner, self.inside)}"
        return _with_prefix(name, self.outside)


_LAYOUTS = (
    _Layout(
        sign="layer1.0.conv1.weight",
        block=re.compile(r"layer(\d+)\.(\d+)\.(.+)"),
        first_block=0,
        outside={"conv1.": f"{FIRST_CONV}.", "fc.": CLASSIFIER},
        inside={},
    ),
    _Layout(
        sign="s1.b1.conv1.conv.weight",
        block=re.compile(r"s(\d+)\.b(\d+)\.(.+)"),
        first_block=1,
        outside={"stem.conv.": f"{FIRST_CONV}.", "stem.bn.": "bn1.", "head.fc.": CLASSIFIER},
        inside={
            **{f"conv{i}.conv.": f"conv{i}." for i in (1, 2, 3)},
            **{f"conv{i}.bn.": f"bn{i}." for i in (1, 2, 3)},
            "se.fc1.": "se.conv_reduce.",
            "se.fc2.": "se.conv_expand.",
            "downsample.conv.": "downsample.0.",
            "downsample.bn.": "downsample.1.",
        },
    ),
)


def _with_prefix(name: str, prefixes: Mapping[str, str]) -> str:
    """The name with its beginning replaced, if it has one of these beginnings."""
    return next((new + name[len(old) :] for old, new in prefixes.items() if name.startswith(old)), name)


def from_timm(state_dict: Mapping[str, Tensor], model: str | Arch) -> dict[str, Tensor]:
    """Converts timm's weights of a network into ours.

    Args:
        state_dict: What timm's network holds. ResNets may be torchvision's, whose names are the same.
        model: A registered model that timm has as well, or the architecture that the weights are meant for. A first
            convolution with another number of input channels is adapted as timm does.

    Returns:
        Our state dict, which `load_state_dict` takes as it is.

    Raises:
        ConfigError: If timm does not have the model.
        ReleaseError: If names or shapes do not fit; they are listed.
    """
    if isinstance(model, Arch):
        return fit(state_dict, model, "the architecture")
    timm_name(model)
    return fit(state_dict, get_arch(model), model)


def timm_name(name: str) -> str:
    """What timm calls a registered model.

    Raises:
        UnknownNameError: If there is no such model.
        ConfigError: If timm does not have it.
    """
    if name not in models():
        raise unknown_name("model", name, models())
    names = models()[name].timm_names
    if name not in names:
        known = ", ".join(names) or "none"
        raise ConfigError([f"timm does not have {name!r} (of this family it has: {known})"])
    return names[name]


def fit(state_dict: Mapping[str, Tensor], arch: Arch, what: str, fresh_classifier: bool = False) -> dict[str, Tensor]:
    """Gives weights our names and adapts the first convolution.

    Args:
        state_dict: Weights under timm's names, or ours.
        arch: The architecture that they are for. If its head is no classifier but the weights are a classifier's, what
            they say of their head is left out.
        what: What to call the architecture in errors.
        fresh_classifier: Leave out a classifier that is of another shape or missing, instead of refusing that.

    Returns:
        Weights by our names. Missing are at most a classifier that was left out and a dense head.

    Raises:
        ReleaseError: If names or shapes do not fit; they are listed.
    """
    from timm.models import clean_state_dict

    found: dict[str, Tensor] = _renamed(clean_state_dict(dict(state_dict)))
    shapes = _shapes(arch)
    left_out = _left_out(found, shapes, arch, fresh_classifier)
    found = {name: value for name, value in found.items() if not name.startswith(left_out)}
    wanted = {name: shape for name, shape in shapes.items() if not name.startswith(left_out)}
    _adapt_first_conv(found, wanted, arch.input_size[0])
    if faults := _faults({name: tuple(value.shape) for name, value in found.items()}, wanted):
        raise ReleaseError(f"the weights do not fit {what}: {'; '.join(faults)}")
    return found


def load_with_weights(name: str | Path, weights: str | Path | Mapping[str, Any], overrides: Mapping[str, Any]) -> Trunk:
    """Builds a network and loads weights; see `accelzoo.create_model`.

    Returns:
        The network in eval mode. With timm's weights its `norm_eps` is theirs, and `pretrained_cfg` says how images
        must be prepared.

    Raises:
        ConfigError: If `weights` names nothing that could be loaded, or timm does not have the model.
        ReleaseError: If the weights cannot be had or read, or do not fit.
    """
    from accelzoo.build import build

    arch = get_arch(name, **overrides)
    theirs: nn.Module | None = None
    if isinstance(weights, Mapping):
        state_dict = _unwrapped(weights, "the weights")
    elif str(weights).partition(":")[0] == TIMM:
        theirs = _pretrained(timm_name(str(name)), str(weights).partition(":")[2])
        state_dict = theirs.state_dict()
        arch = replace(arch, norm_eps=_norm_eps(theirs))
    else:
        state_dict = read_checkpoint(Path(weights))
    fitted = fit(state_dict, arch, str(name), fresh_classifier="num_classes" in overrides)
    model = build(arch)
    fresh = sorted({key.partition(".")[0] for key in model.state_dict().keys() - fitted.keys()})
    if fresh:
        _LOG.warning("%s: not in the weights, hence freshly drawn: %s", name, ", ".join(fresh))
    model.load_state_dict(fitted, strict=not fresh)
    if theirs is not None:
        facts: Any = theirs.pretrained_cfg
        model.pretrained_cfg = {**facts, "first_conv": FIRST_CONV, "classifier": CLASSIFIER.rstrip(".")}
        model.class_names = ()
    return model.eval()


def read_checkpoint(path: Path) -> dict[str, Tensor]:
    """Reads the weights in a file, `.safetensors` or one that `torch.save` wrote; no code in it is run.

    Of a training checkpoint the averaged weights are taken where there are some.

    Raises:
        ConfigError: If the file's name ends otherwise.
        ReleaseError: If there is no such file, or it cannot be read.
    """
    if path.suffix not in (SAFETENSORS, *PICKLED):
        allowed = f"'{TIMM}', '{TIMM}:TAG', a state dict, or a file ({', '.join((SAFETENSORS, *PICKLED))})"
        raise ConfigError([f"weights {str(path)!r}{suggestion(str(path), [TIMM])}; allowed: {allowed}"])
    if not path.is_file():
        near = suggestion(path.name, [entry.name for entry in path.parent.glob("*")])
        raise ReleaseError(f"{path}: no such file{near}")
    read: Callable[[Path], Any] = _read_safetensors if path.suffix == SAFETENSORS else _read_pickled
    return _unwrapped(read(path), str(path))


def _read_safetensors(path: Path) -> Any:
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    try:
        return load_file(path)
    except (SafetensorError, OSError) as error:
        raise ReleaseError(f"{path}: not readable as safetensors: {error}") from error


def _read_pickled(path: Path) -> Any:
    from argparse import Namespace

    import torch

    try:
        with torch.serialization.safe_globals([Namespace]):  # timm's training script keeps its options beside weights
            return torch.load(path, map_location="cpu", weights_only=True)
    except (pickle.UnpicklingError, RuntimeError, EOFError, OSError) as error:
        raise ReleaseError(f"{path}: not readable as weights alone: {error}") from error


def _unwrapped(content: Any, what: str) -> dict[str, Tensor]:
    from torch import Tensor

    for key in _WRAPPERS:
        if isinstance(content, Mapping) and isinstance(content.get(key), Mapping):
            content = content[key]
            break
    if not isinstance(content, Mapping):
        raise ReleaseError(f"{what}: expected tensors by name, found {type(content).__name__}")
    strange = [str(key) for key, value in content.items() if not (isinstance(key, str) and isinstance(value, Tensor))]
    if strange:
        raise ReleaseError(f"{what}: expected tensors by name; these are none: {_listing(strange)}")
    return dict(content)


def _pretrained(name: str, tag: str) -> nn.Module:
    """Timm's module with the weights of a tag, its first one by default."""
    import timm

    tags = [full.partition(".")[2] for full in timm.list_pretrained(f"{name}.*")]
    if tag and tag not in tags:
        raise unknown_name(f"weights of timm's {name!r}", tag, tags)
    if not tag and not timm.is_model_pretrained(name):
        raise ReleaseError(f"timm has no weights for {name!r} (tags with weights: {', '.join(tags) or 'none'})")
    full = f"{name}.{tag}" if tag else name
    try:
        return timm.create_model(full, pretrained=True)
    except Exception as error:  # the download raises errors of whichever client timm uses
        raise ReleaseError(
            f"timm's weights of {full!r} could not be loaded (they are downloaded on first use): "
            f"{type(error).__name__}: {error}"
        ) from error


def _norm_eps(module: nn.Module) -> float:
    from torch import nn

    return next(child.eps for child in module.modules() if isinstance(child, nn.BatchNorm2d))


def _renamed(state_dict: Mapping[str, Tensor]) -> dict[str, Tensor]:
    layout = next((layout for layout in _LAYOUTS if layout.sign in state_dict), None)
    if layout is None:
        return dict(state_dict)
    return {layout.rename(name): value for name, value in state_dict.items()}


def _shapes(arch: Arch) -> dict[str, tuple[int, ...]]:
    import torch

    from accelzoo.build import AccelNet, DenseNet

    make = AccelNet if isinstance(arch.head, ClassificationHead) else DenseNet
    with torch.device("meta"):
        return {name: tuple(value.shape) for name, value in make(arch).state_dict().items()}


def _left_out(
    found: Mapping[str, Tensor], shapes: Mapping[str, tuple[int, ...]], arch: Arch, fresh_classifier: bool
) -> tuple[str, ...]:
    """Beginnings of names that are neither taken from the weights nor asked of them."""
    if not isinstance(arch.head, ClassificationHead):
        return () if any(name.startswith(DENSE_HEAD) for name in found) else (*CLASSIFICATION_HEAD, DENSE_HEAD)
    weight = f"{CLASSIFIER}weight"
    another = weight not in found or tuple(found[weight].shape) != shapes.get(weight)
    return (CLASSIFIER,) if arch.head.num_classes == 0 or (fresh_classifier and another) else ()


def _adapt_first_conv(found: dict[str, Tensor], wanted: Mapping[str, tuple[int, ...]], in_chans: int) -> None:
    from timm.models import adapt_input_conv

    name = f"{FIRST_CONV}.weight"
    weight, shape = found.get(name), wanted.get(name)
    # A stem behind space-to-depth sees several pixels of each channel; only a plain one tells its number of channels.
    if weight is not None and shape is not None and weight.ndim == 4 and weight.shape[1] == 3 != shape[1] == in_chans:
        found[name] = adapt_input_conv(in_chans, weight)


def _faults(found: Mapping[str, tuple[int, ...]], wanted: Mapping[str, tuple[int, ...]]) -> list[str]:
    wrong = [
        f"{name} {list(found[name])} instead of {list(shape)}"
        for name, shape in wanted.items()
        if name in found and found[name] != shape
    ]
    missing = [name for name in wanted if name not in found]
    unexpected = [name for name in found if name not in wanted]
    kinds = {"of another shape": wrong, "missing": missing, "unexpected": unexpected}
    faults = [f"{len(names)} {kind}: {_listing(names)}" for kind, names in kinds.items() if names]
    if wrong and all(fault.startswith(CLASSIFIER) for fault in wrong):
        faults.append("give num_classes to have a fresh classifier, or as many classes as the weights")
    return faults


def _listing(names: Sequence[str]) -> str:
    more = f", … ({len(names) - LISTED_NAMES} more)" if len(names) > LISTED_NAMES else ""
    return ", ".join(names[:LISTED_NAMES]) + more
