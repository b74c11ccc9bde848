"""Measures, fits and judges a built-in target: what stands beside its YAML comes from here.

    python -m benchmarks.ship_target ethos-u85-256 --work FOLDER

1. measures operators, blocks and networks (`SAMPLES`; seed 1) for the fit, and networks (seed 2) with the real ones of
   `held_out_networks.py` for the judgement; measuring goes on where it was stopped
2. writes both tables to `hwmodel/targets/measurements/`
3. fits the regressors over the YAML's analytic fields and writes `<target>.learned.npz` and the YAML's `learned:` line
4. writes the validation report and plot to `docs/targets/`

`--fit-only` starts at step 3, from the committed tables.
"""

from __future__ import annotations

import argparse
import functools
import re
from dataclasses import replace
from pathlib import Path

from accelzoo.hwmodel import load_target
from accelzoo.hwmodel.campaign import collect
from accelzoo.hwmodel.fit import fit
from accelzoo.hwmodel.learned import SUFFIX, save_target
from accelzoo.hwmodel.measurement import Measurement
from accelzoo.hwmodel.measurement_log import MeasurementLog, compress
from accelzoo.hwmodel.measurements import Measurements, Sampling, merge
from accelzoo.hwmodel.oracles import load
from accelzoo.hwmodel.oracles.protocol import OracleError
from accelzoo.hwmodel.sampling import SPACE_VERSION
from accelzoo.hwmodel.target import TARGETS_FOLDER, Target
from accelzoo.hwmodel.validate import HELD_OUT_FOLDER, validate_measurements

REPORTS = Path(__file__).parent.parent / "docs" / "targets"
SAMPLES = {
    "ethos-u": {"op": 500, "block": 150, "network": 300, "held-out": 200},
    "litert": {"op": 1500, "block": 500, "network": 320, "held-out": 60},
    "zigzag": {"op": 160, "block": 60, "network": 12, "held-out": 8},
}
"""How many samples of a kind each oracle is asked for."""
MORE = {
    "ethos-u55-256": {"block": 500},
    "ethos-u65-512-dedicated": {"block": 500, "network": 500},
    "ethos-u85-256": {"block": 500, "network": 500},
    "ethos-u85-1024": {"block": 500, "network": 500},
    "x86-int8": {"network": 500},
}
"""Targets that were measured more often."""
REAL = ("ethos-u", "litert")  # oracles fast enough for the real networks
FIT_SEED, HELD_OUT_SEED = 1, 2


def main() -> None:
    """Does what the command line asks for."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("target", help="name of a built-in target")
    parser.add_argument("--oracle", default="ethos-u", help="what measures it (default: ethos-u)")
    parser.add_argument(
        "--work", type=Path, default=Path("measuring"), help="folder for the measurements in the making"
    )
    parser.add_argument("--fit-only", action="store_true", help="start from the committed tables")
    parser.add_argument(
        "--scale", type=float, default=1.0, help="share of the samples, for slow oracles and for trials"
    )
    options = parser.parse_args()
    if not options.fit_only:
        measure(options.target, options.oracle, options.work, options.scale)
    target = ship(options.target)
    judge(target)


def measure(name: str, oracle: str, work: Path, scale: float) -> None:
    """Measures everything and writes both tables."""
    counts = SAMPLES[oracle] | MORE.get(name, {})
    held_out_count = counts.pop("held-out")
    found = [_collected(name, oracle, work, kind, FIT_SEED, round(scale * count)) for kind, count in counts.items()]
    compress(merge(found), HELD_OUT_FOLDER / f"{name}.jsonl.xz", replace=True)
    held_out = [_collected(name, oracle, work, "network", HELD_OUT_SEED, round(scale * held_out_count))]
    if oracle in REAL:
        held_out.append(_real(name, oracle, work))
    compress(merge(held_out), HELD_OUT_FOLDER / f"{name}.held-out.jsonl.xz", replace=True)


def _collected(name: str, oracle: str, work: Path, kind: str, seed: int, count: int) -> Measurements:
    make = functools.partial(load, oracle, name)
    path = work / f"{name}.{kind}.{seed}.jsonl"
    sampling = Sampling(kind, seed, SPACE_VERSION)
    with MeasurementLog(path, make().provenance, sampling) as log:
        collect(make, log, sampling, count, on_outcome=lambda index, _: print(f"{path.name}: {index + 1}/{count}"))
    return Measurements.read(path)


def _real(name: str, oracle: str, work: Path) -> Measurements:
    from benchmarks.held_out_networks import held_out_networks

    tool = load(oracle, name)
    path = work / f"{name}.real.jsonl"
    with MeasurementLog(path, tool.provenance) as log:
        for index, (network, family, graph) in enumerate(held_out_networks()):
            if index in log.done:
                continue
            try:
                sample: Measurement = tool.measure(graph)
            except OracleError as error:
                print(f"{network}: {error}")
                continue
            log.append(replace(sample, source=f"network:{family}:{network}"), index)
            print(f"{path.name}: {network}")
    return Measurements.read(path)


def ship(name: str) -> Target:
    """Fits the committed table over the YAML's analytic fields and writes the learned part beside it."""
    path = TARGETS_FOLDER / f"{name}.yaml"
    text = re.sub(r"\nlearned:.*", "", path.read_text(encoding="utf-8"))
    path.write_text(text, encoding="utf-8")
    (TARGETS_FOLDER / f"{name}{SUFFIX}").unlink(missing_ok=True)
    table = Measurements.read(HELD_OUT_FOLDER / f"{name}.jsonl.xz")
    fitted = fit(table, load_target(path), name=name)
    scratch = TARGETS_FOLDER / ".fitting"
    try:
        _, learned = save_target(fitted, scratch)
        learned.replace(TARGETS_FOLDER / learned.name)
    finally:
        for leftover in scratch.glob("*"):
            leftover.unlink()
        scratch.rmdir()
    path.write_text(f"{text.rstrip()}\nlearned: {fitted.learned}\n", encoding="utf-8")
    return load_target(path)


def judge(target: Target) -> None:
    """Writes the report on networks that no fit has seen, and where the error comes from."""
    from accelzoo.hwmodel.validate import explain
    from accelzoo.recipes.validation_plot import draw

    table = Measurements.read(HELD_OUT_FOLDER / f"{target.name}.held-out.jsonl.xz")
    report = validate_measurements(target, table, against=table.provenance.label)
    REPORTS.mkdir(parents=True, exist_ok=True)
    command = f"python -m benchmarks.ship_target {target.name} --fit-only"
    parts = [
        f"# {target.name}\n\n{target.description}. Against {table.provenance.label}; written by `{command}`.",
        report.to_markdown(),
        f"![predicted against measured]({target.name}.png)",
    ]
    if any(sample.rows for sample in table):
        parts += ["## Where the error comes from", explain(target, table).to_markdown()]
    (REPORTS / f"{target.name}.md").write_text("\n\n".join(parts) + "\n", encoding="utf-8")
    draw(report, REPORTS / f"{target.name}.png")
    print(report.to_markdown())


if __name__ == "__main__":
    main()
