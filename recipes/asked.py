"""How a run was asked for, in the words of its command."""

from __future__ import annotations

import shlex
from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """What the command of a run named.

    Args:
        recipe: A shipped recipe's name, or a file's name without its folder.
        profile: The profile that was taken; None of a recipe without any.
        overrides: The `key=value` changes, as they were given.
    """

    recipe: str
    profile: str | None = None
    overrides: tuple[str, ...] = ()

    @property
    def command(self) -> str:
        """The command that runs the same again, in the default folder."""
        words = ["accelzoo", "run", self.recipe]
        words += [] if self.profile is None else ["--profile", self.profile]
        return shlex.join([*words, *self.overrides])

    def release_of(self, run: str) -> str:
        """Where the command leaves its release, or its releases, if nothing else is asked for.

        Args:
            run: The name that the recipe gives itself.
        """
        return f"runs/{run}-{self.profile or 'default'}/release"
