"""`accelzoo measure`: random operators, blocks or networks through an oracle into a file of measurements."""

from __future__ import annotations

import sys
import time
from argparse import ArgumentParser, Namespace
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from accelzoo.errors import DataError
from accelzoo.recipes import output
from accelzoo.recipes.arguments import natural, positive

if TYPE_CHECKING:
    from accelzoo.hwmodel.measurement import Measurement
    from accelzoo.hwmodel.measurements import Measurements, Skip

EPILOG = """\
examples:
  $ accelzoo measure --oracle systolic --target systolic-32x32 --samples 20 --out systolic.jsonl
  systolic.jsonl: 20 of 20 samples of kind network, seed 0, by closed-form-1/systolic-32x32
  measured     20   20 now, in ...

Sample i depends on the seed and i alone. Stopped by Ctrl-C or killed, the same command goes on where it
was; more --samples add to the file. Samples that the tool cannot run are recorded with the reason and never
counted as free. A name in .jsonl.xz is written as .jsonl and compressed at the end.
"""
XZ = ".jsonl.xz"
SHOWN_REASONS = 8


def add_arguments(parser: ArgumentParser) -> None:
    """Declares the verb's arguments."""
    parser.add_argument("--oracle", metavar="O", required=True, help="the way to measure, such as ethos-u or torch-cpu")
    parser.add_argument("--target", metavar="T", required=True, help="what to measure on, such as ethos-u55-256")
    parser.add_argument("--samples", metavar="N", type=positive, required=True, help="how many samples to draw")
    parser.add_argument("--out", metavar="FILE", type=Path, required=True, help="a .jsonl or .jsonl.xz file")
    parser.add_argument("--kind", metavar="K", default="network", help="op, block or network (default: network)")
    parser.add_argument("--seed", metavar="S", type=natural, default=0, help="seed of the samples (default: 0)")
    parser.add_argument(
        "--workers", metavar="W", type=positive, default=1, help="processes, for oracles that calculate (default: 1)"
    )
    parser.add_argument("--json", action="store_true", help="print JSON, with the unit in each field's name")


def run(options: Namespace) -> int:
    """Measures and prints a summary; progress goes to standard error."""
    from accelzoo.errors import unknown_name
    from accelzoo.hwmodel import oracles
    from accelzoo.hwmodel.campaign import collect
    from accelzoo.hwmodel.measurement_log import MeasurementLog
    from accelzoo.hwmodel.measurements import Measurements, Sampling
    from accelzoo.hwmodel.sampling import KINDS, SPACE_VERSION

    if options.kind not in KINDS:
        raise unknown_name("kind of sample", options.kind, KINDS)
    make_oracle = partial(oracles.load, options.oracle, options.target)
    provenance = make_oracle().provenance
    sampling = Sampling(options.kind, options.seed, SPACE_VERSION)
    path = _working_path(options.out)
    started = time.monotonic()
    with MeasurementLog(path, provenance, sampling) as log:
        if log.note:
            output.warn(log.note)
        held = sum(index < options.samples for index in log.done)
        with _told(path, log, options.samples), _progress(options.samples, held) as advance:
            collect(make_oracle, log, sampling, options.samples, workers=options.workers, on_outcome=advance)
    found = Measurements.read(path)
    if options.out != path:
        _finish(found, path, options.out)
    summary = _summary(options, found, held, time.monotonic() - started)
    if options.json:
        output.emit_json(summary)
    else:
        output.emit(_text(summary))
    return 0


def _working_path(out: Path) -> Path:
    """Returns the file to append to, made from the compressed one if that is all there is."""
    from accelzoo.hwmodel.measurement_log import unpack

    if out.name.endswith(XZ):
        path = out.with_suffix("")
        if out.exists() and not path.exists():
            unpack(out, path)
        return path
    if out.suffix != ".jsonl":
        raise DataError(f"--out {out}: a file of measurements ends in .jsonl or .jsonl.xz")
    return out


def _finish(found: Measurements, path: Path, out: Path) -> None:
    from accelzoo.hwmodel.measurement_log import compress

    compress(found, out, replace=True)
    path.unlink()


@contextmanager
def _told(path: Path, log: Any, count: int) -> Iterator[None]:
    """Says after Ctrl-C what is there and how to go on."""
    try:
        yield
    except KeyboardInterrupt as interrupt:
        held = sum(index < count for index in log.done)
        interrupt.add_note(f"{held} of {count} samples are in {path}; the same command goes on")
        raise


@contextmanager
def _progress(total: int, done: int) -> Iterator[Callable[[int, Measurement | Skip], None] | None]:
    """Shows samples done, what was skipped, and the time left, where standard error is a terminal."""
    if not sys.stderr.isatty():
        yield None
        return
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    from accelzoo.hwmodel.measurements import Skip

    columns = (BarColumn(bar_width=20), MofNCompleteColumn(), TextColumn("{task.fields[skipped]}"))
    skipped: Counter[str] = Counter()
    with Progress(
        TextColumn("measure"), *columns, TextColumn("ETA"), TimeRemainingColumn(), console=Console(stderr=True)
    ) as bar:
        task = bar.add_task("measure", total=total, completed=done, skipped="")

        def advance(index: int, outcome: Measurement | Skip) -> None:
            if isinstance(outcome, Skip):
                skipped[outcome.skipped] += 1
            text = ", ".join(f"{count} {name}" for name, count in sorted(skipped.items()))
            bar.update(task, advance=1, skipped=text)

        yield advance


def _summary(options: Namespace, found: Measurements, held: int, seconds: float) -> dict[str, Any]:
    skipped = [skip for skip in found.skipped if skip.index < options.samples]
    reasons = Counter((skip.skipped, skip.reason) for skip in skipped if skip.skipped != "duplicate")
    measured = sum(index is not None and index < options.samples for index in found.indices)
    return {
        "out": str(options.out),
        "provenance": found.provenance.to_json(),
        "kind": options.kind,
        "seed": options.seed,
        "samples": options.samples,
        "measured": measured,
        "now": options.samples - held,
        "duplicates": sum(skip.skipped == "duplicate" for skip in skipped),
        "without_measurement": [
            {"skipped": skipped, "reason": reason, "samples": count}
            for (skipped, reason), count in reasons.most_common()
        ],
        "time_s": seconds,
    }


def _text(summary: dict[str, Any]) -> str:
    label = f"{summary['provenance']['tool']}/{summary['provenance']['target']}"
    now, seconds = summary["now"], summary["time_s"]
    lines = [
        f"{summary['out']}: {summary['measured']} of {summary['samples']} samples of kind {summary['kind']}, "
        f"seed {summary['seed']}, by {label}",
        f"measured     {summary['measured']:<4} {now} now, in {output.seconds(seconds)}"
        if now
        else f"measured     {summary['measured']:<4} all of them before",
    ]
    if summary["duplicates"]:
        lines.append(f"duplicates   {summary['duplicates']}")
    entries = summary["without_measurement"]
    lines += [f"{entry['skipped']:<12} {entry['samples']:<4} {entry['reason']}" for entry in entries[:SHOWN_REASONS]]
    if len(entries) > SHOWN_REASONS:
        lines.append(f"… and {len(entries) - SHOWN_REASONS} other reasons (see the file)")
    return "\n".join(line.rstrip() for line in lines)
