"""Text from elsewhere made safe to print: a hostile name or value cannot steer a terminal or fake another line."""

from __future__ import annotations

import re

# C0 and C1 controls (ESC begins a terminal's commands, 0x9b is one by itself), marks that reorder text, separators that
# break lines, and lone surrogates, which no stream can write. https://trojansource.codes lists the reordering marks.
_UNSAFE = re.compile("[\x00-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069\ud800-\udfff]")


def printable(text: str, keep: str = "") -> str:
    r"""Returns text with every control character spelled out as JSON does, as `\u001b`; everything else stays.

    Args:
        text: Any text.
        keep: Control characters that may stay: line ends, where several lines are printed.
    """
    return _UNSAFE.sub(lambda found: found[0] if found[0] in keep else f"\\u{ord(found[0]):04x}", text)
