"""The ways to measure, one file each, with `TARGETS` and `create(target, **settings)`.

Example:
    >>> from accelzoo.hwmodel import GraphBuilder, oracles
    >>> builder = GraphBuilder((3, 224, 224))
    >>> stem = builder.conv2d("stem", builder.input, 32, kernel_size=3, stride=2)
    >>> oracles.load("systolic", "systolic-32x32").measure(builder.graph()).latency_s
    1.2637e-05
"""

from __future__ import annotations

from importlib import import_module
from types import ModuleType
from typing import Any, cast

from accelzoo.errors import unknown_name
from accelzoo.hwmodel.oracles.protocol import (
    BatchOracle,
    MissingToolError,
    Oracle,
    OracleError,
    UnsupportedByToolError,
)

__all__ = [
    "BatchOracle",
    "MissingToolError",
    "Oracle",
    "OracleError",
    "UnsupportedByToolError",
    "list_oracles",
    "list_targets",
    "load",
]

HOMES = {
    "ethos-u": "ethos_u",
    "litert": "litert",
    "systolic": "systolic",
    "torch-cpu": "torch_device",
    "torch-cuda": "torch_device",
    "zigzag": "zigzag",
}
"""Oracle → file. Files are imported when asked for; `create` imports the tool."""


def list_oracles() -> list[str]:
    """Returns the names of the ways to measure, sorted, whether or not their tools are installed."""
    return sorted(HOMES)


def list_targets(name: str) -> list[str]:
    """Returns what an oracle can measure on, in its own order.

    Raises:
        UnknownNameError: If there is no such oracle.
    """
    return list(_entry(name)[1])


def load(name: str, target: str, **settings: Any) -> Oracle:
    """Makes an oracle.

    Args:
        name: One of `list_oracles()`.
        target: One of `list_targets(name)`.
        settings: The oracle's own settings.

    Raises:
        UnknownNameError: If there is no such oracle, or it has no such target.
        MissingToolError: If its tool is not installed.
    """
    module, targets = _entry(name)
    if target not in targets:
        raise unknown_name(f"target of the oracle {name!r}", target, targets)
    return cast(Oracle, module.create(target, **settings))


def _entry(name: str) -> tuple[ModuleType, tuple[str, ...]]:
    """Returns an oracle's module and its targets; a file that holds several oracles has `ORACLES`, name → targets."""
    if name not in HOMES:
        raise unknown_name("oracle", name, HOMES)
    module = import_module(f"{__name__}.{HOMES[name]}")
    return module, tuple(getattr(module, "ORACLES", {name: module.TARGETS})[name])
