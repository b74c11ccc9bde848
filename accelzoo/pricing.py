"""The price of anything that has a graph: a name, an architecture, a graph or a module, on a target."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from accelzoo.arch import Arch
from accelzoo.errors import ShapeError
from accelzoo.hwmodel import Cost, Graph, Target, load_target
from accelzoo.hwmodel import estimate as estimate_graph
from accelzoo.registry import get_arch

if TYPE_CHECKING:
    from torch import nn

TIMM = "timm:"
"""What names of timm's models begin with."""


def estimate(
    model: str | Path | Arch | Graph | nn.Module,
    target: str | Path | Target,
    input_shape: Sequence[int] | None = None,
) -> Cost:
    """Prices one inference at batch 1, operator by operator, without hardware.

    Architectures and graphs are priced without torch; a module and a model of timm's are imported first
    (`accelzoo.importer.from_module`).

    Args:
        model: A registered model's name, the path of a config file, `timm:NAME` for a model of timm's, an architecture,
            a graph or a module.
        target: A target's name, the path of a target file, or a target.
        input_shape: `(channels, height, width)`; a module needs it, a graph has its own, others have a default.

    Returns:
        The cost; `by_op` breaks it down, `unpriced` names the operators that the target cannot run.

    Raises:
        UnknownNameError: If a name is unknown; the nearest is suggested.
        ConfigError: If a file has faults.
        ShapeError: If a module comes without an input shape, or a graph with another one than its own.
        AccelzooError: If a module does not run on that shape.
    """
    overrides = {} if input_shape is None else {"input_size": list(input_shape)}
    if isinstance(model, str) and model.startswith(TIMM):
        graph = import_timm(model, **overrides)
    elif isinstance(model, (str, Path)):
        graph = get_arch(model, **overrides).lower()
    elif isinstance(model, Arch):
        graph = _sized(model, input_shape).lower()
    elif isinstance(model, Graph):
        graph = model
        if input_shape is not None and tuple(input_shape) != graph.input_shape:
            raise ShapeError(f"the graph takes {graph.input_shape}, not input_shape (={tuple(input_shape)})")
    else:
        graph = _imported(model, input_shape)
    return estimate_graph(graph, target if isinstance(target, Target) else load_target(target))


def import_timm(name: str, **overrides: Any) -> Graph:
    """Imports a model of timm's.

    Args:
        name: `timm:NAME`, with or without the tag of its weights, which no one downloads.
        **overrides: `input_size` (a side, `(height, width)` or `(channels, height, width)`; timm's by default),
            `in_chans`, `num_classes`.

    Raises:
        UnknownNameError: If timm has no such model; the nearest is suggested.
        ConfigError: If an override is unknown or has no meaning.
        AccelzooError: If timm cannot build it so, or it does not run on that size.
    """
    from accelzoo.importer import from_module
    from accelzoo.importing import timm_models

    module, input_shape = timm_models.build(name.removeprefix(TIMM), overrides)
    return from_module(module, input_shape)


def _sized(arch: Arch, input_shape: Sequence[int] | None) -> Arch:
    from accelzoo.overrides import overridden

    return arch if input_shape is None else overridden(arch, "arch", {"input_size": list(input_shape)})


def _imported(module: nn.Module, input_shape: Sequence[int] | None) -> Graph:
    from torch import nn

    from accelzoo.importer import from_module

    if not isinstance(module, nn.Module):
        allowed = "a name, a path, an Arch, a Graph or a torch.nn.Module"
        raise TypeError(f"cannot price a {type(module).__name__} (allowed: {allowed})")
    if input_shape is None:
        raise ShapeError(f"a module ({type(module).__name__}) needs input_shape=(channels, height, width)")
    return from_module(module, input_shape)
