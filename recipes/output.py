"""What the verbs print: quantities with their units, tables as wide as the terminal, JSON."""

from __future__ import annotations

import csv
import json
import os
import shutil
import sys
import time
from collections.abc import Iterable, Mapping, Sequence
from io import StringIO, TextIOWrapper
from typing import Any

from accelzoo._printable import printable

_PIPE_WIDTH = 100_000  # a pipe has no width: nothing is folded


class ClosedOutputError(Exception):
    """The reader of standard output went away (`accelzoo ls | head -1`)."""


def emit(text: str, end: str = "\n") -> None:
    """Writes lines to standard output, at once.

    Raises:
        ClosedOutputError: If nobody reads them.
    """
    try:
        print(text, end=end, flush=True)
    except BrokenPipeError:
        # What is still buffered would raise again when the interpreter shuts down.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        raise ClosedOutputError from None


def emit_json(value: Any) -> None:
    """Writes a value as indented JSON; a control character inside a text is written as its escape, equal when read."""
    text = json.dumps(value, indent=2, ensure_ascii=False, allow_nan=False)
    emit(printable(text, keep="\n"))


def emit_csv(entries: Sequence[Mapping[str, Any]]) -> None:
    """Writes equal mappings as `csv_text` spells them.

    Raises:
        ClosedOutputError: If nobody reads them.
    """
    if isinstance(sys.stdout, TextIOWrapper):
        sys.stdout.reconfigure(newline="")  # else Windows would write each line's end as \r\r\n
    emit(csv_text(entries), end="")


def csv_text(entries: Sequence[Mapping[str, Any]]) -> str:
    """Returns equal mappings as CSV (RFC 4180) under a header of their keys; nothing if there are none.

    Lists of numbers are joined by `x` as shapes are, other lists by blanks, counts by kind as `2 resize; 1 pool`.
    """
    text = StringIO(newline="")
    if entries:
        writer = csv.DictWriter(text, [*entries[0]], lineterminator="\r\n")
        writer.writeheader()
        writer.writerows({key: _plain(value) for key, value in entry.items()} for entry in entries)
    return text.getvalue()


def _plain(value: Any) -> Any:
    match value:
        case dict():
            return "; ".join(f"{times} {kind}" for kind, times in value.items())
        case [int(), *_]:
            return shape(value)
        case list():
            return " ".join(map(str, value))
        case _:
            return value


def warn(message: str) -> None:
    """Writes a warning to standard error."""
    print(printable(f"accelzoo: warning: {message}", keep="\n"), file=sys.stderr)


def table(columns: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """Lays rows out in columns: folded to the terminal's width, unfolded when piped.

    Args:
        columns: The headings; one that begins with `>` is of a column aligned to the right.
        rows: The cells, as text.
    """
    from rich.console import Console
    from rich.table import Table

    width = shutil.get_terminal_size().columns if sys.stdout.isatty() else _PIPE_WIDTH
    laid_out = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="bold")
    for heading in columns:
        justify: Any = "right" if heading.startswith(">") else "left"
        laid_out.add_column(heading.removeprefix(">"), justify=justify, overflow="fold")
    for row in rows:
        laid_out.add_row(*map(printable, row))
    text = StringIO()
    # The heading's style is all the colour there is; rich leaves it out unless this is a terminal (and NO_COLOR unset).
    color = sys.stdout.isatty() and not os.environ.get("NO_COLOR")
    Console(file=text, width=width, markup=False, highlight=False, emoji=False, force_terminal=color).print(laid_out)
    return "\n".join(line.rstrip() for line in text.getvalue().splitlines())


def seconds(value: float) -> str:
    """`1.234 ms`."""
    return _scaled(value, (("s", 1.0), ("ms", 1e-3), ("µs", 1e-6), ("ns", 1e-9)))


def joules(value: float) -> str:
    """`1.065 mJ`."""
    return _scaled(value, (("J", 1.0), ("mJ", 1e-3), ("µJ", 1e-6), ("nJ", 1e-9)))


def memory(value: int) -> str:
    """`3.378 MiB`."""
    if value < 1 << 10:
        return f"{value} B"
    return _scaled(value, (("GiB", 1 << 30), ("MiB", 1 << 20), ("KiB", 1 << 10)))


def count(value: float) -> str:
    """`300.8 M`."""
    if value < 1000:
        return f"{value:g}"
    return _scaled(value, (("T", 1e12), ("G", 1e9), ("M", 1e6), ("k", 1e3)))


def percent(share: float) -> str:
    """`56.3 %`."""
    return f"{100 * share:.1f} %"


def optional(value: float | None, style: str = "g") -> str:
    """`75.6`, or nothing where there is no figure."""
    return "" if value is None else f"{value:{style}}"


def shape(channels_height_width: Sequence[int]) -> str:
    """`3x224x224`."""
    return "x".join(map(str, channels_height_width))


def short_digest(digest: str) -> str:
    """`sha256:` and twelve digits: enough to name a release on a hub."""
    return digest[: len("sha256:") + 12]


def _scaled(value: float, units: Sequence[tuple[str, float]]) -> str:
    # Four digits; 0.99995 and not 1, because 999.96 µs rounds to 1.000 ms.
    unit, scale = next((pair for pair in units if value >= 0.99995 * pair[1]), units[-1])
    return f"{value / scale:#.4g} {unit}" if value else f"0 {units[0][0]}"


def say(line: str) -> None:
    """Writes a line with the time to standard error: how a long run gets on."""
    print(time.strftime("%H:%M:%S"), printable(line), file=sys.stderr, flush=True)
