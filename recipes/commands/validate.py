"""`accelzoo validate`: how right a target is on networks that it was not fitted on."""

from __future__ import annotations

import shlex
import sys
from argparse import ArgumentParser, Namespace
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from accelzoo.errors import DataError
from accelzoo.recipes import output
from accelzoo.recipes.arguments import natural, positive

if TYPE_CHECKING:
    from accelzoo.hwmodel import Target
    from accelzoo.hwmodel.measurement import Measurement
    from accelzoo.hwmodel.validate import Explanation, Report

EPILOG = """\
examples:
  $ accelzoo validate edge-npu --oracle systolic --oracle-target systolic-32x32 --samples 12
  edge-npu against closed-form-1/systolic-32x32: 12 samples, none of them used in fitting
  family                     n    ±5 %   ±10 %   RMSPE    MAPE     bias  Spearman  Kendall  worst
  random  7 (+5 not predicted)  14.3 %  28.6 %  27.6 %  21.6 %  -18.9 %     1.000    1.000  random 9 -48.6 %
  not predicted: random 1 (22 activation:hard_swish)
  not predicted: random 2 (5 activation:hard_sigmoid)
  not predicted: random 3 (13 activation:hard_swish)
  not predicted: random 6 (40 activation:hard_swish)
  not predicted: random 8 (26 activation:hard_swish)

  $ accelzoo validate edge-npu --against missing.jsonl
  accelzoo: error: missing.jsonl: there is no file of measurements

e = predicted / measured − 1 of each sample; ±5 %, ±10 %: share with |e| up to that; RMSPE: root of the mean of e²;
MAPE: mean of |e|; bias: mean of e; Spearman and Kendall (tau-b): correlations of ranks, 1 if all are in order.
With --by-op: time is a class's share of the measured time, error its share of all that the prediction is off by.
Without --against and --oracle it takes the measurements that come with a built-in target, if there are some.
For many samples measure into a file first: `accelzoo measure` goes on where it was stopped, `validate` begins anew.
"""
KINDS = ("network", "block", "op")
SAMPLES, SEED = 20, 1000
LISTED = 8


class Against(NamedTuple):
    """What a target is judged on: measurements, what to call them, and samples without one, with the reason."""

    samples: tuple[Measurement, ...]
    label: str
    skipped: tuple[str, ...] = ()


def add_arguments(parser: ArgumentParser) -> None:
    """Declares the verb's arguments."""
    parser.add_argument("target", metavar="TARGET", help="a target (`accelzoo ls targets`) or a .yaml file")
    given = parser.add_mutually_exclusive_group()
    given.add_argument(
        "--against", metavar="FILE", type=Path, nargs="+", help="files of measurements (`accelzoo measure`)"
    )
    given.add_argument("--oracle", metavar="O", help="measure random samples now, such as with ethos-u")
    parser.add_argument(
        "--oracle-target", metavar="T", help="what to measure on (default: TARGET, if the oracle has it)"
    )
    parser.add_argument("--samples", metavar="N", type=positive, default=SAMPLES, help=f"how many (default: {SAMPLES})")
    parser.add_argument(
        "--seed", metavar="S", type=natural, default=SEED, help=f"seed of the samples (default: {SEED})"
    )
    parser.add_argument("--kind", choices=KINDS, default="network", help="which samples count (default: network)")
    parser.add_argument("--by-op", action="store_true", help="also say which operators the error comes from")
    parser.add_argument("--plot", metavar="PNG", type=Path, help="draw predicted against measured")
    parser.add_argument("--out", metavar="MD", type=Path, help="write the report as Markdown, with the command")
    parser.add_argument("--json", action="store_true", help="print JSON, with the unit in each field's name")


def run(options: Namespace) -> int:
    """Judges and prints; nothing is written over."""
    from accelzoo.hwmodel import load_target
    from accelzoo.hwmodel.validate import explain, fitted_rows, validate_measurements
    from accelzoo.recipes import validation_plot

    target = load_target(options.target)
    for path in (options.plot, options.out):
        _check_free(path)
    if options.plot:
        validation_plot.require()
    against = _measured_now(options, target) if options.oracle else _from_files(options, target)
    if rows := fitted_rows(target, [sample.graph for sample in against.samples]):
        raise DataError(_seen(target, against, rows))
    report = validate_measurements(target, against.samples, against=against.label)
    explanation = explain(target, against.samples) if options.by_op else None
    if options.plot:
        validation_plot.draw(report, options.plot)
    if options.out:
        _write(options.out, _markdown(options, report, explanation))
    if options.json:
        extra = {} if explanation is None else {"by_op": explanation.to_json()}
        output.emit_json(report.to_json() | extra)
    else:
        written = [f"wrote {path}" for path in (options.plot, options.out) if path]
        output.emit("\n".join([_text(report, explanation), *written]))
    for reason in against.skipped[:LISTED]:
        output.warn(reason)
    if len(against.skipped) > LISTED:
        output.warn(f"… and {len(against.skipped) - LISTED} more samples without a measurement")
    return 0


def _from_files(options: Namespace, target: Target) -> Against:
    from accelzoo.hwmodel.measurements import Measurements, merge
    from accelzoo.hwmodel.validate import held_out_file

    paths = options.against
    if not paths:
        shipped = held_out_file(target.name) if options.target == target.name else None
        if shipped is None:
            raise DataError(
                f"{options.target} comes with no measurements to validate it on: pass --against FILE, made by "
                "`accelzoo measure --oracle O --target T --samples N --seed S --out FILE` with a seed of its own, or "
                "--oracle O --oracle-target T to measure now"
            )
        paths = [shipped]
    parts = [Measurements.read(path) for path in paths]
    for part in parts:
        if part.note:
            output.warn(part.note)
    found = merge(parts)
    samples = tuple([sample for sample in found.samples if (sample.source.split(":")[0] or "network") == options.kind])
    if not samples:
        kinds = sorted({sample.source.split(":")[0] or "network" for sample in found.samples})
        listing = ", ".join(kinds) or "none at all"
        names = ", ".join(map(str, paths))
        raise DataError(f"{names}: no measurement of kind {options.kind}; there are: {listing} (choose with --kind)")
    return Against(samples, found.provenance.label)


def _measured_now(options: Namespace, target: Target) -> Against:
    from accelzoo.hwmodel import oracles
    from accelzoo.hwmodel.campaign import measure_sample
    from accelzoo.hwmodel.measurement import Measurement
    from accelzoo.hwmodel.measurements import Sampling
    from accelzoo.hwmodel.sampling import SPACE_VERSION

    known = oracles.list_targets(options.oracle)
    name = options.oracle_target or target.name
    if options.oracle_target is None and name not in known:
        listing = ", ".join(known)
        raise DataError(f"--oracle {options.oracle} cannot measure on {name}: pass --oracle-target, one of {listing}")
    oracle = oracles.load(options.oracle, name)
    sampling = Sampling(options.kind, options.seed, SPACE_VERSION)
    outcomes = [measure_sample(oracle, sampling, index) for index in _shown(range(options.samples))]
    samples = tuple([outcome for outcome in outcomes if isinstance(outcome, Measurement)])
    skipped = [
        f"sample {outcome.index} has no measurement: {outcome.skipped}: {outcome.reason}"
        for outcome in outcomes
        if not isinstance(outcome, Measurement)
    ]
    if not samples:
        raise DataError("\n".join([f"{options.oracle} measured none of {options.samples} samples", *skipped[:LISTED]]))
    return Against(samples, oracle.provenance.label, tuple(skipped))


def _shown(indices: Sequence[int]) -> Iterable[int]:
    """Shows how far it is and the time left, where standard error is a terminal."""
    if not sys.stderr.isatty():
        return indices
    from rich.console import Console
    from rich.progress import track

    return track(indices, "measure", console=Console(stderr=True))


def _seen(target: Target, against: Against, rows: Sequence[int]) -> str:
    names = [against.samples[row].source for row in rows[:LISTED]]
    more = ", …" if len(rows) > LISTED else ""
    listing = ", ".join(f"{row} ({name})" if name else str(row) for row, name in zip(rows, names, strict=False))
    return (
        f"{target.name} was fitted on {len(rows)} of these {len(against.samples)} measurements, which therefore say "
        f"nothing about its error: rows {listing}{more}. Measure others, with another --seed"
    )


def _text(report: Report, explanation: Explanation | None) -> str:
    parts = [report.header(), _table(*report.table()), *report.remarks()]
    if explanation is not None:
        parts += ["", explanation.header(), _table(*explanation.table(shown=1))]
    return "\n".join(parts)


def _table(headings: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    first, *numbers, last = headings
    return output.table([first, *(f">{heading}" for heading in numbers), last], rows)


def _markdown(options: Namespace, report: Report, explanation: Explanation | None) -> str:
    parts = [f"Made by `{_command(options)}`.\n", report.to_markdown()]
    if explanation is not None:
        parts.append(explanation.to_markdown())
    return "\n".join(parts)


def _command(options: Namespace) -> str:
    """Returns the command that makes the same report again."""
    words = ["accelzoo", "validate", options.target]
    if options.against:
        words += ["--against", *map(str, options.against)]
    if options.oracle:
        words += ["--oracle", options.oracle]
        words += ["--oracle-target", options.oracle_target] if options.oracle_target else []
        words += ["--samples", str(options.samples), "--seed", str(options.seed)]
    words += ["--kind", options.kind] if options.kind != "network" else []
    words += ["--by-op"] if options.by_op else []
    words += ["--plot", str(options.plot)] if options.plot else []
    return shlex.join([*words, "--out", str(options.out)])


def _check_free(path: Path | None) -> None:
    if path is None:
        return
    if path.exists():
        raise DataError(f"{path} exists already; give another name, or move it away")
    if not path.parent.is_dir():
        raise DataError(f"{path}: there is no folder {path.parent}")


def _write(path: Path, text: str) -> None:
    try:
        with path.open("x", encoding="utf-8") as file:  # never over a file that came up meanwhile
            file.write(text)
    except OSError as error:
        raise DataError(f"cannot write {path}: {error.strerror}") from None
