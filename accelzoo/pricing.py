"""The price of anything that has a graph: a name, an architecture or a graph, on a target."""

from __future__ import annotations

from pathlib import Path

from accelzoo.arch import Arch
from accelzoo.hwmodel import Cost, Graph, Target, load_target
from accelzoo.hwmodel import estimate as estimate_graph
from accelzoo.registry import get_arch


def estimate(model: str | Path | Arch | Graph, target: str | Path | Target) -> Cost:
    """Prices one inference at batch 1, operator by operator, without torch and without hardware.

    Args:
        model: A registered model's name, the path of a config file, an architecture or a graph.
        target: A target's name, the path of a target file, or a target.

    Returns:
        The cost; `by_op` breaks it down, `unpriced` names the operators that the target cannot run.

    Raises:
        UnknownNameError: If a name is unknown; the nearest is suggested.
        ConfigError: If a file has faults.
    """
    if isinstance(model, (str, Path)):
        model = get_arch(model)
    graph = model if isinstance(model, Graph) else model.lower()
    return estimate_graph(graph, target if isinstance(target, Target) else load_target(target))
