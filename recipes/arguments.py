"""Types of the command line's arguments: a word to a value, or a message that says what is allowed."""

from __future__ import annotations

from argparse import ArgumentTypeError


def positive(text: str) -> int:
    """Reads a whole number of at least 1."""
    return _at_least(1, text)


def natural(text: str) -> int:
    """Reads a whole number of at least 0."""
    return _at_least(0, text)


def _at_least(least: int, text: str) -> int:
    if not text.isascii() or not text.isdigit() or int(text) < least:
        raise ArgumentTypeError(f"must be a whole number, at least {least}, got {text!r}")
    return int(text)
