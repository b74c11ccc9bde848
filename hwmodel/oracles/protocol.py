"""What every way of measuring has in common: one protocol, and the errors by which it says what it cannot do."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from importlib import import_module
from types import ModuleType
from typing import Protocol, runtime_checkable

from accelzoo.errors import AccelzooError
from accelzoo.hwmodel.estimate import UnsupportedOperatorError
from accelzoo.hwmodel.ir import Graph
from accelzoo.hwmodel.measurement import Measurement, Provenance


@runtime_checkable
class Oracle(Protocol):
    """Measures graphs.

    An implementation is one file of this folder, which also holds `TARGETS`, the names of what it can measure on, and
    `create(target, **settings)`, which makes one. Importing the file must not import the tool; `create` does, and
    raises `MissingToolError` if it is not there.
    """

    @property
    def provenance(self) -> Provenance:
        """Target, tool with version, and settings of everything this oracle measures."""

    def measure(self, graph: Graph) -> Measurement:
        """Measures one inference of `graph` at batch 1.

        Raises:
            UnsupportedByToolError: If the tool cannot run, or would not count, some operator. It never counts as zero.
            OracleError: If the tool fails in another way.
        """


@runtime_checkable
class BatchOracle(Oracle, Protocol):
    """An oracle that measures several graphs better together, such as in turn on a machine that is not its own."""

    @property
    def batch_size(self) -> int:
        """How many graphs it measures together; measuring in batches of this size loses least when stopped."""

    def measure_many(self, graphs: Sequence[Graph]) -> list[Measurement | OracleError]:
        """Measures graphs; returns for each its measurement, or the error that `measure` would raise."""


class MissingToolError(AccelzooError):
    """A measuring tool that is not installed; the message names the extra that brings it."""


class OracleError(AccelzooError):
    """A tool that failed on a graph; the message holds what it said."""


class UnsupportedByToolError(OracleError, UnsupportedOperatorError):
    """Operators that a tool cannot run, or runs without counting their time.

    Attributes:
        operators: `name (kind)` of each, as in `Cost.unpriced`.
        reason: Why, in the tool's words or ours.
    """

    def __init__(self, target: str, operators: Iterable[str], reason: str = "") -> None:
        self.operators = tuple(operators)
        self.reason = reason
        super().__init__(f"{target} cannot run {', '.join(self.operators)}" + (f": {reason}" if reason else ""))


def import_tool(module: str, extra: str) -> ModuleType:
    """Imports a measuring tool's module.

    Args:
        module: Its name for `import`.
        extra: The extra of accelzoo that installs it.

    Raises:
        MissingToolError: If it is not installed, or something that it needs itself is not.
    """
    try:
        return import_module(module)
    except ImportError as error:
        raise MissingToolError(
            f"cannot import {module!r} ({error}): install it with pip install 'accelzoo[{extra}]'"
        ) from error
