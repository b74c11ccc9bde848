"""What an accuracy signal is: a named function of an architecture with a declared cost, and perhaps a dial."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Protocol, runtime_checkable

from accelzoo.errors import ConfigError


class Signal(Protocol):
    """Says how good an architecture is.

    The same architecture always has the same value: a search may ask again after it was stopped.
    """

    @property
    def seconds(self) -> float | None:
        """The declared cost of one evaluation, in seconds; None: unknown."""

    def __call__(self, arch: Any) -> float:
        """Returns the accuracy, or whatever stands for it; higher is better.

        Raises:
            CandidateError: If this architecture has none; a search goes on without it.
        """

    def digest(self) -> str:
        """Names everything that decides the values; a trace is only gone on with under the same name."""


@runtime_checkable
class GradedSignal(Protocol):
    """A signal that can also be had for less."""

    def at(self, fidelity: float) -> Signal:
        """Returns the signal for a share of its effort.

        Args:
            fidelity: Above 0, up to 1; at 1 it is the signal itself.

        Raises:
            ConfigError: If it is outside, or the signal cannot be had for this share.
        """


def at_fidelity(signal: Callable[[Any], float], fidelity: float) -> Callable[[Any], float]:
    """Returns a signal for a share of its effort; any callable will do where that is all of it.

    Raises:
        ConfigError: If the fidelity is not above 0 and up to 1, or the signal has no `at`.
    """
    check_fidelity(fidelity)
    if isinstance(signal, GradedSignal):
        return signal.at(fidelity)
    if fidelity != 1:
        raise ConfigError(
            [f"fidelity (={fidelity}): {type(signal).__name__} cannot be had for less than all of its effort: no `at`"]
        )
    return signal


def check_fidelity(fidelity: float) -> None:
    """Refuses what is no share.

    Raises:
        ConfigError: If it is not above 0 and up to 1.
    """
    if not 0 < fidelity <= 1:
        raise ConfigError([f"fidelity (={fidelity}) must be above 0 and at most 1"])


def declared_seconds(signal: Callable[[Any], float]) -> float | None:
    """Returns the declared cost of one evaluation in seconds; None for a callable that declares none."""
    seconds: float | None = getattr(signal, "seconds", None)
    return seconds
