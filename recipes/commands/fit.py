"""`accelzoo fit`: a target from measurements of operators, blocks and networks."""

from __future__ import annotations

import re
import sys
from argparse import ArgumentParser, Namespace
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from accelzoo.errors import DataError
from accelzoo.recipes import output
from accelzoo.recipes.arguments import natural

if TYPE_CHECKING:
    from accelzoo.hwmodel import Target
    from accelzoo.hwmodel.measurements import Measurements

EPILOG = """\
examples:
  $ accelzoo fit missing.jsonl --prior edge-npu --name my-npu
  accelzoo: error: missing.jsonl: there is no file of measurements

From an oracle to a target of your own, and to what it is worth on samples that it was not fitted on:

  accelzoo measure --oracle ethos-u --target ethos-u55-256 --samples 300 --out my-npu.jsonl
  accelzoo fit my-npu.jsonl --prior edge-npu --name my-npu
  accelzoo cost mobilenetv2_100 --target my-npu.yaml
  accelzoo validate my-npu.yaml --oracle ethos-u --oracle-target ethos-u55-256 --samples 40

The prior is a target on paper, of about the same sort: it prices energy and everything far from what was measured.
All files must come from the same tool and settings. Measure whole networks above all: how long an operator takes
depends on its neighbours. Nothing is written over.
"""
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")


def add_arguments(parser: ArgumentParser) -> None:
    """Declares the verb's arguments."""
    parser.add_argument(
        "files", metavar="FILE", type=Path, nargs="+", help="files of measurements (`accelzoo measure`)"
    )
    parser.add_argument("--prior", metavar="T", required=True, help="the target to start from, of about the same sort")
    parser.add_argument("--name", metavar="NAME", required=True, help="name of the new target")
    parser.add_argument("--out", metavar="FOLDER", type=Path, default=Path(), help="where to write it (default: here)")
    parser.add_argument(
        "--seed", metavar="S", type=natural, default=0, help="of the split behind the stated error (default: 0)"
    )
    parser.add_argument("--json", action="store_true", help="print JSON, with the unit in each field's name")


def run(options: Namespace) -> int:
    """Fits, writes the target and prints what it was made of; progress goes to standard error."""
    from accelzoo.hwmodel import load_target
    from accelzoo.hwmodel.fit import fit
    from accelzoo.hwmodel.learned import save_target
    from accelzoo.hwmodel.measurements import Measurements, merge

    prior = load_target(options.prior)
    _check_free(options.out, options.name)
    parts = [Measurements.read(path) for path in options.files]
    for part in parts:
        if part.note:
            output.warn(part.note)
    measurements = merge(parts)
    with _progress() as advance:
        target = fit(measurements, prior, name=options.name, seed=options.seed, progress=advance)
    paths = save_target(target, options.out)
    summary = _summary(options, prior, measurements, target, paths)
    if options.json:
        output.emit_json(summary)
    else:
        output.emit(_text(summary))
    return 0


def _check_free(folder: Path, name: str) -> None:
    """Refuses before fitting, which takes minutes, what saving would refuse after it."""
    from accelzoo.hwmodel.learned import SUFFIX

    if not _NAME.fullmatch(name):
        raise DataError(f"--name {name!r}: a target's name has letters, digits, '.', '_' and '-' only")
    if folder.exists() and not folder.is_dir():
        raise DataError(f"--out {folder}: is a file, not a folder")
    for path in (folder / f"{name}.yaml", folder / f"{name}{SUFFIX}"):
        if path.exists():
            raise DataError(f"{path} exists already; give another --name or --out, or move it away")


@contextmanager
def _progress() -> Iterator[Callable[[str, int, int], None] | None]:
    """Shows what is being done, how far it is and the time left, where standard error is a terminal."""
    if not sys.stderr.isatty():
        yield None
        return
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    columns = (TextColumn("{task.description}"), BarColumn(bar_width=20), MofNCompleteColumn())
    with Progress(*columns, TextColumn("ETA"), TimeRemainingColumn(), console=Console(stderr=True)) as bar:
        task = bar.add_task("fit", total=None)
        last = ""

        def advance(text: str, done: int, total: int) -> None:
            nonlocal last
            if text != last:  # another piece of work: its time left has nothing to do with the one before
                bar.reset(task, total=total, description=text)
                last = text
            bar.update(task, completed=done, total=total)

        yield advance


def _summary(
    options: Namespace, prior: Target, measurements: Measurements, target: Target, paths: list[Path]
) -> dict[str, Any]:
    from accelzoo.hwmodel.learned import learned_part

    facts: Mapping[str, Any] = getattr(learned_part(target), "facts", {}) if target.learned else {}
    return {
        "name": target.name,
        "prior": prior.name,
        "target_digest": target.digest(),
        "files": [str(path) for path in options.files],
        "measured_by": measurements.provenance.label,
        "samples": facts.get("samples", {}),
        "held_out_error": facts.get("held_out_error", {}),
        "written": [{"file": str(path), "bytes": path.stat().st_size} for path in paths],
    }


def _text(summary: Mapping[str, Any]) -> str:
    samples = ", ".join(f"{count} {kind or 'unlabelled'}" for kind, count in summary["samples"].items())
    rows = [
        (f"{summary['name']}, fitted over {summary['prior']}", ""),
        ("measured by", summary["measured_by"]),
        ("samples", samples or "none"),
        *_error_rows(summary["held_out_error"]),
    ]
    lines = [f"{name:<13}{text}".rstrip() for name, text in rows]
    lines += [f"wrote {entry['file']} ({output.memory(entry['bytes'])})" for entry in summary["written"]]
    return "\n".join(lines)


def _error_rows(error: Mapping[str, Any]) -> list[tuple[str, str]]:
    if not error.get("networks"):
        return [("error", "unknown: there were no networks to hold out (see `accelzoo validate`)")]
    held_out = f"{error['networks']} networks that a first fit did not see"
    parts = [f"MAPE {output.percent(error['mape'])}"] if "mape" in error else []
    parts += [f"bias {100 * error['bias']:+.1f} %"] if "bias" in error else []
    parts += [f"{output.percent(error['within_10_percent'])} within ±10 %"] if "within_10_percent" in error else []
    return [("error", f"{', '.join(parts)}, on {held_out}")]
