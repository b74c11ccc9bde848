"""Writes what every model costs on every target: `python -m accelzoo.recipes.model_table docs/models.md`."""

from __future__ import annotations

import sys
from argparse import ArgumentParser
from collections.abc import Sequence
from pathlib import Path

from accelzoo.errors import AccelzooError
from accelzoo.hwmodel import Cost, estimate, list_targets, load_target
from accelzoo.recipes import output
from accelzoo.recipes.catalog import Entry, entries, unpriced_kinds
from accelzoo.recipes.report import markdown_table

HEAD = """\
# Every model on every target

Made by `python -m accelzoo.recipes.model_table docs/models.md`. One model alone: `accelzoo show NAME`; one target
alone: `accelzoo ls models --target T --sort latency`.

All networks run one image at batch 1 and at the precision of the target. Prices are estimates, and how right they are
stands in [targets/](targets/README.md); post-processing of detectors and segmenters is not in them. Parameters are
counted as torch does. Accuracies are those that others published, the first of a model's sources: ImageNet top-1 or,
of detectors, COCO mAP, most often of another precision than the price. A latency with ~ has operators far from
everything the target was fitted to; one that is missing has operators that the target has no price for.
"""
MISSING = "–"


def page() -> str:
    """The whole page as Markdown: models by family and size, latencies first, then peak activation memory."""
    targets = [load_target(name) for name in list_targets()]
    models = sorted(entries(), key=lambda entry: (entry.family.name, entry.graph.macs, entry.name))
    costs = {entry.name: [estimate(entry.graph, target) for target in targets] for entry in models}
    notes = _Notes()
    latencies = [[*_facts(entry), *(_latency(cost, notes) for cost in costs[entry.name])] for entry in models]
    peaks = [[entry.name, *map(_peak, costs[entry.name])] for entry in models]
    names = [target.name for target in targets]
    facts = ["model", "family", "input", "params (M)", "MACs (M)", "top-1 or mAP (%)"]
    parts = [
        HEAD,
        "## Latency (ms)\n\n" + markdown_table([*facts, *names], latencies),
        *([notes.text()] if notes.text() else []),
        "## Peak activation memory (KiB)\n\n" + markdown_table(["model", *names], peaks),
    ]
    return "\n".join(parts)


class _Notes:
    """Footnotes, numbered in the order in which they are first asked for."""

    def __init__(self) -> None:
        self._numbers: dict[str, int] = {}

    def mark(self, text: str) -> str:
        """The mark of a footnote."""
        return f"[^{self._numbers.setdefault(text, len(self._numbers) + 1)}]"

    def text(self) -> str:
        """All footnotes, one per line."""
        return "".join(f"[^{number}]: {text}\n" for text, number in self._numbers.items())


def _facts(entry: Entry) -> list[str]:
    accuracy = f"{entry.top1:.1f}" if entry.top1 is not None else MISSING
    return [
        entry.name,
        entry.family.name,
        output.shape(entry.arch.input_size),
        MISSING if entry.parameters is None else f"{entry.parameters / 1e6:.2f}",
        f"{entry.graph.macs / 1e6:,.1f}",
        f"mAP {entry.map:.1f}" if entry.map is not None else accuracy,
    ]


def _latency(cost: Cost, notes: _Notes) -> str:
    if cost.unpriced:
        return MISSING + notes.mark(f"No price for {', '.join(unpriced_kinds(cost))}.")
    return f"{'~' if cost.extrapolated else ''}{cost.latency_s * 1e3:,.3f}"


def _peak(cost: Cost) -> str:
    return f"{cost.peak_activation_bytes / 1024:.0f}"


def main(argv: Sequence[str] | None = None) -> int:
    """Writes the page to the path given; returns the exit code."""
    parser = ArgumentParser(prog="python -m accelzoo.recipes.model_table", description="Writes what models cost.")
    parser.add_argument("path", type=Path, help="the .md to write")
    path = parser.parse_args(argv).path
    try:
        path.write_text(page(), encoding="utf-8")
    except (AccelzooError, OSError) as error:
        print(f"accelzoo: error: {error}", file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
