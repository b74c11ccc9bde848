"""`accelzoo calibrate`: a target from timings of whole networks."""

from __future__ import annotations

import re
from argparse import ArgumentParser, Namespace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from accelzoo.errors import DataError
from accelzoo.recipes import output
from accelzoo.recipes.timings import Timing, read_timings

if TYPE_CHECKING:
    from accelzoo.hwmodel.calibrate import Calibration, CalibrationReport, Suggestion
    from accelzoo.hwmodel.ir import Graph

EPILOG = """\
FILE.csv has one network per row and these columns:
  model         a model with overrides (mobilenetv2_100 width_multiplier=0.5), or a config file beside FILE.csv
  or arch       an architecture's config as JSON, or a config file
  latency_ms    or latency_s or latency_us: of one inference at batch 1

examples:
  $ accelzoo calibrate timings.csv --prior camera-npu --name my-npu --suggest 2
  my-npu, calibrated from camera-npu on timings.csv
  networks            12
  terms               87  operators with their shapes, and the overhead of a network
  rank                12  nullity 75: that many directions are known by the prior only
  single terms         0  identified by themselves
  by the prior         2  terms, mostly: linear 320x1x1 -> 10x1x1; overhead of a network
  unexplained      ... %  of a latency, by any sum of these terms
  within 5 %     100.0 %  cross-validated, 10 folds
  within 10 %    100.0 %
  RMSPE            1.2 %
  MAPE             1.0 %

  operator                                        latency (µs)  share (%)  known by
  depthwise_conv2d 5x5 96x32x32 -> 96x32x32             264...       12.2  timings
  ...
  share: of the time of all 12 networks

  measure  row             network ...
        1  timings.csv:14  camera_ibn input_size=64 width_multiplier=1.25 kernel_size=3 depth_multiplier=1.0 ...
        2  timings.csv:17  camera_ibn input_size=64 width_multiplier=1.25 kernel_size=5 depth_multiplier=2.0 ...

  wrote my-npu.yaml
  wrote my-npu.learned.npz

With --suggest, rows without a latency are candidates, and those to measure next are listed. At least 10
different networks are needed; they teach most when they differ in kernels, widths and depths.
"""

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")
_LISTED = 12


def add_arguments(parser: ArgumentParser) -> None:
    """Declares the verb's arguments."""
    parser.add_argument("file", metavar="FILE.csv", help="timings of at least 10 networks")
    parser.add_argument("--prior", metavar="T", required=True, help="the target to start from, of about the same sort")
    parser.add_argument("--name", metavar="NAME", required=True, help="name of the new target")
    parser.add_argument("--suggest", metavar="N", type=int, default=0, help="list N candidates to measure next")
    parser.add_argument("--out", metavar="FOLDER", default=".", help="where to write NAME.yaml and NAME.learned.npz")
    parser.add_argument("--trust-units", action="store_true", help="take latencies far from the prior's at their word")
    parser.add_argument("--json", action="store_true", help="print JSON, with the unit in each field's name")


def run(options: Namespace) -> int:
    """Fits, writes the target and prints the report."""
    from accelzoo.hwmodel import load_target
    from accelzoo.hwmodel.calibrate import MeasurementError, fit_calibration, suggest_networks, to_target
    from accelzoo.hwmodel.learned import save_target

    prior = load_target(options.prior)
    paths = _free_paths(Path(options.out), options.name)
    if options.suggest < 0:
        raise DataError(f"--suggest {options.suggest}: must be at least 0")
    timings = read_timings(Path(options.file), candidates=options.suggest > 0)
    measured = [timing for timing in timings if timing.latency_s is not None]
    candidates = [timing for timing in timings if timing.latency_s is None]
    if options.suggest and not candidates:
        raise DataError(f"{options.file}: --suggest needs candidates: rows whose latency is empty")
    latencies = [timing.latency_s for timing in timings if timing.latency_s is not None]
    try:
        fitted = fit_calibration(
            [timing.graph for timing in measured], latencies, prior, trust_units=options.trust_units
        )
    except MeasurementError as error:
        raise _located(error, options.file, measured) from None
    picks = suggest_networks(fitted, [timing.graph for timing in candidates], options.suggest) if candidates else ()
    save_target(to_target(fitted, options.name), options.out)
    if options.json:
        suggested = [pick._asdict() | {"line": candidates[pick.candidate].line} for pick in picks]
        report = fitted.report.to_json()
        output.emit_json({"name": options.name, "files": list(map(str, paths)), "report": report, "suggest": suggested})
        return 0
    parts = [_summary(options, fitted.report, prior.name), _terms(fitted, [timing.graph for timing in measured])]
    if picks:
        parts.append(_suggestions(options.file, candidates, picks))
    parts.append("\n".join(f"wrote {path}" for path in paths))
    output.emit("\n\n".join(parts))
    return 0


def _free_paths(folder: Path, name: str) -> tuple[Path, Path]:
    from accelzoo.hwmodel.learned import SUFFIX

    if not _NAME.fullmatch(name):
        raise DataError(f"--name {name!r}: a target's name has letters, digits, '.', '_' and '-' only")
    if not folder.is_dir():
        raise DataError(f"--out {folder}: no such folder")
    paths = folder / f"{name}.yaml", folder / f"{name}{SUFFIX}"
    for path in paths:
        if path.exists():
            raise DataError(f"{path} exists already; give another --name or --out, or move it away")
    return paths


def _located(error: Any, file: str, measured: list[Timing]) -> DataError:
    lines = [f"{file}: {text}" if row is None else f"{file}:{measured[row].line}: {text}" for row, text in error.faults]
    return DataError("\n".join(lines).replace("trust_units=True", "--trust-units"))


def _summary(options: Namespace, report: CalibrationReport, prior: str) -> str:
    rows = [
        ("networks", str(report.networks), ""),
        ("terms", str(report.terms), "operators with their shapes, and the overhead of a network"),
        ("rank", str(report.rank), f"nullity {report.nullity}: that many directions are known by the prior only"),
        ("single terms", str(len(report.identified)), f"identified by themselves{_names(report.identified)}"),
        ("by the prior", str(len(report.by_prior)), f"terms, mostly{_names(report.by_prior)}"),
        ("unexplained", output.percent(report.noise), "of a latency, by any sum of these terms"),
        ("within 5 %", output.percent(report.within_5_percent), f"cross-validated, {report.folds} folds"),
        ("within 10 %", output.percent(report.within_10_percent), ""),
        ("RMSPE", output.percent(report.rmspe), ""),
        ("MAPE", output.percent(report.mape), ""),
    ]
    if report.lifted:
        reason = f"operators that {prior} calls unsupported, priced by formula{_names(report.lifted)}"
        rows.append(("lifted", str(len(report.lifted)), reason))
    lines = [f"{name:<14}{value:>8}  {remark}".rstrip() for name, value, remark in rows]
    return "\n".join([f"{options.name}, calibrated from {prior} on {options.file}", *lines])


def _names(names: tuple[str, ...]) -> str:
    if not names:
        return ""
    return ": " + "; ".join(names[:2]) + ("; ..." if len(names) > 2 else "")


def _terms(fitted: Calibration, graphs: list[Graph]) -> str:
    """Lists the operators in which the measured networks spend most of their time."""
    from accelzoo.hwmodel.calibrate import describe, op_of

    totals = dict.fromkeys(range(len(fitted.terms)), 0.0)
    whole = 0.0
    for _, pairs in fitted.measured:
        whole += fitted.overhead_s
        for index, count in pairs:
            totals[index] += count * fitted.terms[index].latency_s
    whole += sum(totals.values())
    by_prior = set(fitted.report.by_prior)
    rows = []
    for index in sorted(totals, key=lambda index: -totals[index])[:_LISTED]:
        text = describe(op_of(fitted.terms[index].key))
        latency_s = fitted.terms[index].latency_s
        share = f"{100 * totals[index] / whole:.1f}"
        rows.append([text, f"{latency_s * 1e6:.2f}", share, "prior" if text in by_prior else "timings"])
    columns = ["operator", ">latency (µs)", ">share (%)", "known by"]
    return output.table(columns, rows) + f"\nshare: of the time of all {len(graphs)} networks"


def _suggestions(file: str, candidates: list[Timing], picks: tuple[Suggestion, ...]) -> str:
    rows = [
        [
            str(place),
            f"{file}:{candidates[pick.candidate].line}",
            candidates[pick.candidate].text,
            f"{100 * pick.uncertainty:.1f}",
            f"{100 * pick.uncertainty_after:.1f}",
        ]
        for place, pick in enumerate(picks, start=1)
    ]
    return output.table([">measure", "row", "network", ">uncertainty (%)", ">all after it (%)"], rows)
