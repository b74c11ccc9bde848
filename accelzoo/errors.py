"""The errors a user can cause: each says what was given, what is allowed, and where."""

from __future__ import annotations

import difflib
from collections.abc import Collection, Iterable


class AccelzooError(Exception):
    """Base of every error that bad input can cause; the command line prints it and exits with 2."""


class ConfigError(AccelzooError):
    """One or more faults in a YAML/JSON file or in `key=value` overrides."""

    def __init__(self, faults: Iterable[str]) -> None:
        self.faults = tuple(faults)
        super().__init__("\n".join(self.faults))


class UnknownNameError(AccelzooError):
    """A name that no registry entry carries."""


class ShapeError(AccelzooError):
    """Shapes that do not fit together; the message names the operator or block and the values."""


class BudgetError(AccelzooError):
    """A budget that nothing in the space can meet; the message names the best achievable value."""


class DataError(AccelzooError):
    """Missing or broken data; the message says what to install or where to put it."""


class ReleaseError(AccelzooError):
    """A damaged, missing or conflicting release."""


class ExportError(AccelzooError):
    """A network that cannot be written in another format, or whose copy would compute something else."""


class TraceError(AccelzooError):
    """A search trace that does not verify or does not belong to this run."""


def nearest(name: str, allowed: Iterable[str]) -> str | None:
    """Returns the allowed name closest to `name`, or None when nothing is close."""
    folded = {candidate.casefold(): candidate for candidate in allowed}
    matches = difflib.get_close_matches(name.casefold(), list(folded), n=1, cutoff=0.6)
    return folded[matches[0]] if matches else None


def suggestion(name: str, allowed: Iterable[str]) -> str:
    """Returns `; did you mean 'x'?` for the nearest allowed name, or an empty string."""
    match = nearest(name, allowed)
    return f"; did you mean {match!r}?" if match else ""


def unknown_name(what: str, name: str, allowed: Iterable[str]) -> UnknownNameError:
    """Builds the error for an unknown registry name.

    Args:
        what: The sort of thing named, as a user would say it ("model", "target").
        name: The name as given.
        allowed: Every known name.
    """
    known = sorted(allowed)
    listing = ", ".join(known) if len(known) <= 12 else ", ".join(known[:12]) + f", … ({len(known)} in all)"
    return UnknownNameError(f"unknown {what} {name!r}{suggestion(name, known) or '.'} Known: {listing or 'none'}.")


def check_one_of(what: str, value: str, allowed: Collection[str]) -> None:
    """Refuses a value that is none of the allowed ones.

    Raises:
        ValueError: Naming the value, the nearest allowed one and all of them.
    """
    if value not in allowed:
        raise ValueError(f"unknown {what} {value!r}{suggestion(value, allowed)}; allowed: {', '.join(allowed)}")
