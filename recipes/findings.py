"""Faults of a recipe that reading alone does not find, each at the entry of the file that it is about."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from typing import Any, TypeVar

from accelzoo import config
from accelzoo.errors import AccelzooError, ConfigError

T = TypeVar("T")
Steps = tuple[str | int, ...]

_OWN_PATH = re.compile(r"([a-z]\w*(?:\.\w+)*): (.*)", re.DOTALL)
_ALIASES: dict[str, Steps] = {"algorithm_options": ("search", "options")}


class Findings:
    """What is wrong with one profile of a recipe.

    Args:
        node: The recipe with its profile laid in, unread.
        overrides: The `key=value` changes that were laid over it.

    Attributes:
        faults: In the order in which they were found.
    """

    def __init__(self, node: config.Node, overrides: Sequence[str] = ()) -> None:
        self._node = node
        self._overrides = tuple(overrides)
        self.faults: list[str] = []

    def ask(self, entry: str, function: Callable[..., T], *arguments: Any, **named: Any) -> T | None:
        """Calls a function; what it refuses is a fault of `entry`.

        Args:
            entry: Path to the entry, such as `search.algorithm`; of a list's item `seeds.0`; empty: the whole recipe.
            function: Whatever refuses bad input by an `AccelzooError`.
            arguments: Its arguments.
            named: Its keyword arguments.

        Returns:
            What the function returns; None if it refuses.
        """
        try:
            return function(*arguments, **named)
        except AccelzooError as error:
            for message in error.faults if isinstance(error, ConfigError) else [str(error)]:
                self._add_said(entry, message)
        return None

    def add(self, entry: str, message: str) -> None:
        """Adds a fault of an entry; see `ask`."""
        steps: Steps = tuple(int(step) if step.isdecimal() else step for step in entry.split(".") if step)
        for override in reversed(self._overrides):
            path = override.partition("=")[0].strip().split(".")
            if [str(step) for step in steps[: len(path)]] == path:
                self.faults.append(f"override {override!r}: {entry}: {message}")
                return
        self.faults.append(self._node.fault(steps, message))

    def _add_said(self, entry: str, message: str) -> None:
        """Adds what an error says; the path to an entry that it may begin with is more exact than `entry`."""
        found = _OWN_PATH.fullmatch(message)
        if found is not None:
            first, *rest = found[1].split(".")
            steps = [*map(str, _ALIASES.get(first, (first,))), *rest]
            if self._node.get(steps[0]) is not None:
                entry, message = ".".join(steps), found[2]
        self.add(entry, message)
