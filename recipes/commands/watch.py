"""`accelzoo watch`: how a run stands, from another terminal."""

from __future__ import annotations

import sys
import time
from argparse import ArgumentParser, Namespace
from pathlib import Path
from typing import TYPE_CHECKING

from accelzoo.recipes import output

if TYPE_CHECKING:
    from rich.table import Table

    from accelzoo.recipes.run_snapshot import Snapshot, Watcher

EPILOG = """\
examples:
  $ accelzoo watch runs/example --once
  run           runs/example
  state         stopped since ...
  evaluations   40 of 60
  candidates    125, 32% feasible, 0 duplicates, 4 failed
  last failure  CandidateError: the loss is not finite at step 3
  best so far   candidate 5: accuracy 96.46 %, latency 349.3 µs, peak activations 27.00 KiB, weights 150.5 KiB
                input_size=3x24x24 width_multiplier=0.75
    stem        out_channels=8
    stages[0]   kind=conv_bn_act kernel_size=5 repeats=1 out_channels=16
  ...
    head        hidden_channels=224
  Pareto front  19 candidates, hypervolume 0.011688
  best score    ▁███████████████████████████████████████ 0.9433 to 0.9646

In a terminal, without --once, it is drawn anew each second until the run is done. Ctrl-C leaves the run alone: nothing
in its folder is changed or locked. RUN may also be the folder of a search of one's own, a release, or a trace's file.

feasible: within the budgets. hypervolume: by how much the accuracy that one can have at a budget exceeds the lowest of
the first 10 candidates, averaged over all budgets up to the search's own (or the highest cost of these 10).
"""
REFRESH_S = 1.0
_BARS = "▁▂▃▄▅▆▇█"
_CURVE_WIDTH = 40


def add_arguments(parser: ArgumentParser) -> None:
    """Declares the verb's arguments."""
    parser.add_argument("folder", metavar="RUN", type=Path, help="a run's folder")
    parser.add_argument("--once", action="store_true", help="print how it stands and end (so it does in a pipe)")
    parser.add_argument("--json", action="store_true", help="the same as one JSON object, with the unit in each name")


def run(options: Namespace) -> int:
    """Shows one state, or one each second."""
    from accelzoo.recipes.run_snapshot import Watcher, to_json
    from accelzoo.recipes.run_view import find_run

    watcher = Watcher(find_run(options.folder))
    if options.json or options.once or not sys.stdout.isatty():
        snapshot = watcher.look()
        while not snapshot.caught_up:
            snapshot = watcher.look()
        if options.json:
            output.emit_json(to_json(snapshot, watcher.view))
        else:
            output.emit(_text(watcher, snapshot))
        return 0
    _follow(watcher)
    return 0


def _follow(watcher: Watcher) -> None:
    """Draws the run until it is done, or Ctrl-C."""
    from rich.console import Console
    from rich.live import Live

    with Live(console=Console(highlight=False), auto_refresh=False, redirect_stdout=False) as live:
        try:
            while True:
                snapshot = watcher.look()
                live.update(_drawn(watcher, snapshot), refresh=True)
                if snapshot.state.phase == "done" and snapshot.caught_up:
                    return
                time.sleep(REFRESH_S if snapshot.caught_up else 0)
        except KeyboardInterrupt:  # the way to leave
            return


def _drawn(watcher: Watcher, snapshot: Snapshot) -> Table:
    from rich.progress_bar import ProgressBar
    from rich.table import Table
    from rich.text import Text

    grid = Table.grid(padding=(0, 2))
    grid.add_column(style="dim", no_wrap=True)
    grid.add_column()
    for name, value in _rows(watcher, snapshot):
        grid.add_row(name, Text(value))
        if name == "evaluations" and snapshot.asked:
            grid.add_row("", ProgressBar(total=snapshot.asked, completed=snapshot.evaluated, width=_CURVE_WIDTH))
    return grid


def _text(watcher: Watcher, snapshot: Snapshot) -> str:
    rows = _rows(watcher, snapshot)
    width = max(len(name) for name, _ in rows)
    return "\n".join(f"{name:<{width}}  {value}" for name, value in rows)


def _rows(watcher: Watcher, snapshot: Snapshot) -> list[tuple[str, str]]:
    """What is known of the run, each with its name."""
    rows = [("run", str(watcher.place.folder)), ("state", snapshot.state.text())]
    if not snapshot.caught_up:
        rows.append(("", f"reading the trace: {snapshot.candidates:,} candidates so far"))
    asked = "" if snapshot.asked is None else f" of {snapshot.asked:,}"
    rows.append(("evaluations", f"{snapshot.evaluated:,}{asked}{_remaining(snapshot)}"))
    rows.append(("candidates", _candidates(snapshot)))
    if snapshot.last_failure is not None:
        rows.append(("last failure", snapshot.last_failure.splitlines()[0]))
    rows += _best(watcher, snapshot)
    if snapshot.pareto_size is not None:
        volume = "" if snapshot.hypervolume is None else f", hypervolume {snapshot.hypervolume:.5g}"
        plural = "" if snapshot.pareto_size == 1 else "s"
        rows.append(("Pareto front", f"{snapshot.pareto_size} candidate{plural}{volume}"))
    if (curve := _curve(watcher, snapshot)) is not None:
        rows.append(("best score", curve))
    if watcher.view is not None and watcher.view.note:
        rows.append(("note", watcher.view.note))
    return rows


def _remaining(snapshot: Snapshot) -> str:
    if snapshot.eta_s is None:
        return ""
    hours, seconds = divmod(round(snapshot.eta_s), 3600)
    return f", {hours}:{seconds // 60:02}:{seconds % 60:02} to go"


def _candidates(snapshot: Snapshot) -> str:
    parts = [f"{snapshot.candidates:,}"]
    if snapshot.candidates_per_s:
        parts.append(f"{snapshot.candidates_per_s:,.3g}/s")
    if snapshot.feasible_share is not None:
        parts.append(f"{snapshot.feasible_share:.0%} feasible")
    return ", ".join([*parts, f"{snapshot.counts['duplicate']:,} duplicates", f"{snapshot.counts['failed']:,} failed"])


def _best(watcher: Watcher, snapshot: Snapshot) -> list[tuple[str, str]]:
    from accelzoo.recipes.run_front import cost_fields
    from accelzoo.recipes.run_view import cost_label, cost_text, knob_text

    view, best = watcher.view, snapshot.best
    if view is None or best is None or best.accuracy is None:
        return []
    parts = [f"candidate {best.index}: accuracy {view.accuracy(best.accuracy)}"]
    if best.cost is not None:
        fields = cost_fields(view.header)
        parts += [f"{cost_label(name)} {cost_text(name, getattr(best.cost, name))}" for name in fields]
    groups: dict[str, list[str]] = {}
    for name, value in (view.knobs(best) or {}).items():
        part, _, knob = name.rpartition(".")
        groups.setdefault(part, []).append(f"{knob}={knob_text(value)}")
    rows = [(f"  {part}", " ".join(knobs)) for part, knobs in groups.items()]
    return [("best so far", ", ".join(parts)), *(rows or [("  genome", " ".join(map(str, best.genome)))])]


def _curve(watcher: Watcher, snapshot: Snapshot) -> str | None:
    """The best score over the evaluations so far, a bar for each step; None where bars cannot be printed."""
    try:
        _BARS.encode(sys.stdout.encoding or "ascii")
    except UnicodeEncodeError:
        return None
    if len(watcher.scores) < 2:
        return None
    steps = min(_CURVE_WIDTH, snapshot.evaluated)
    low, high = watcher.scores[0][1], watcher.scores[-1][1]
    bars, reached = [], iter([*watcher.scores[1:], (sys.maxsize, high)])
    score, following = low, next(reached)
    for step in range(1, steps + 1):
        while following[0] <= step * snapshot.evaluated / steps:
            score, following = following[1], next(reached)
        bars.append(_BARS[round((score - low) / (high - low) * (len(_BARS) - 1))])
    return f"{''.join(bars)} {low:.4g} to {high:.4g}"
