"""Is a fused inverted bottleneck faster than the plain one? How often targets are right about that, by their oracles.

    python benchmarks/fused_sign.py CACHE [TARGET ...] [--pairs 1000] [--seed 0]

prints a row per target. The pairs are `sampling.fused_ibn_pairs`; pairs whose measured latencies are within ±3 % of
each other are ties and do not count. Measurements go to `CACHE/<target>.fused-sign.jsonl` as they are made, so that
they can be stopped, resumed and used again; a target that is fitted on blocks is not fitted on these. A target's oracle
is the one that measures on something of the same name; `NAME=ORACLE:ORACLE_TARGET` gives another, as in
`edge-npu=systolic:systolic-64x64`.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import NamedTuple

from rich.console import Console
from rich.progress import track

from accelzoo.errors import AccelzooError, DataError
from accelzoo.hwmodel import Graph, Target, estimate, list_targets, load_target, oracles
from accelzoo.hwmodel.measurement import graph_digest
from accelzoo.hwmodel.measurement_log import MeasurementLog
from accelzoo.hwmodel.measurements import Measurements
from accelzoo.hwmodel.oracles import Oracle, OracleError
from accelzoo.hwmodel.sampling import fused_ibn_pairs
from accelzoo.recipes.report import markdown_table

TIE = 0.03


class Signs(NamedTuple):
    """How often a target is right: pairs outside of the tie band, right ones, ties, and pairs without a measurement."""

    decided: int
    right: int
    ties: int
    missing: int
    fused_faster: int


def measure_pairs(oracle: Oracle, pairs: list[tuple[Graph, Graph]], path: Path) -> dict[str, float]:
    """Returns the latency in seconds of every block that the oracle can run, by digest; what the file has is kept."""
    blocks = {graph_digest(graph): graph for pair in pairs for graph in pair}
    with MeasurementLog(path, oracle.provenance, None) as log:
        todo = [graph for graph in blocks.values() if not log.holds(graph)]
        for graph in track(todo, oracle.provenance.label, console=Console(stderr=True), disable=not todo):
            try:
                log.append(oracle.measure(graph), None)
            except OracleError as error:
                print(f"{oracle.provenance.label}: {error}", file=sys.stderr)
    found = {graph_digest(sample.graph): sample.latency_s for sample in Measurements.read(path)}
    return {digest: found[digest] for digest in blocks if digest in found}


def count_signs(target: Target, pairs: list[tuple[Graph, Graph]], measured_s: dict[str, float]) -> Signs:
    """Compares the sign of predicted and measured difference, pair by pair."""
    right = ties = missing = decided = faster = 0
    for fused, plain in pairs:
        digests = graph_digest(fused), graph_digest(plain)
        if not all(digest in measured_s for digest in digests):
            missing += 1
            continue
        ratio = measured_s[digests[0]] / measured_s[digests[1]]
        if abs(ratio - 1) <= TIE:
            ties += 1
            continue
        first, second = (estimate(graph, target, strict=True).latency_s for graph in (fused, plain))
        decided += 1
        faster += ratio < 1
        right += (first < second) == (ratio < 1) and first != second
    return Signs(decided, right, ties, missing, faster)


def oracle_of(text: str) -> tuple[str, str, str]:
    """Returns the target, the oracle and the oracle's target that an argument means."""
    name, _, given = text.partition("=")
    if given:
        oracle, _, oracle_target = given.partition(":")
        return name, oracle, oracle_target
    known = {
        oracle_target: oracle for oracle in oracles.list_oracles() for oracle_target in oracles.list_targets(oracle)
    }
    short = Path(name).stem
    if short not in known:
        raise DataError(f"no oracle measures on {short!r}: write {name}=ORACLE:ORACLE_TARGET")
    return name, known[short], short


def main() -> None:
    """Measures what is missing and prints the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("cache", type=Path)
    parser.add_argument("targets", nargs="*", help="by default every built-in target that an oracle measures on")
    parser.add_argument("--pairs", type=int, default=1000)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    measurable = {name for oracle in oracles.list_oracles() for name in oracles.list_targets(oracle)}
    names = options.targets or [name for name in list_targets() if name in measurable]
    pairs = fused_ibn_pairs(options.pairs, options.seed)
    options.cache.mkdir(parents=True, exist_ok=True)
    rows = []
    for text in names:
        name, oracle, oracle_target = oracle_of(text)
        path = options.cache / f"{oracle_target}.fused-sign.jsonl"
        signs = count_signs(load_target(name), pairs, measure_pairs(oracles.load(oracle, oracle_target), pairs, path))
        share = f"{100 * signs.right / signs.decided:.1f} %" if signs.decided else "n/a"
        fused = f"{100 * signs.fused_faster / signs.decided:.0f} %" if signs.decided else "n/a"
        rows.append((name, share, str(signs.decided), str(signs.ties), str(signs.missing), fused))
    arguments = " ".join([*options.targets, f"--pairs {options.pairs} --seed {options.seed}"])
    print(f"Made by `python benchmarks/fused_sign.py CACHE {arguments}`.\n")
    print(markdown_table(("target", "sign right", "pairs", "ties", "not measured", "fused is faster"), rows), end="")


if __name__ == "__main__":
    try:
        main()
    except AccelzooError as error:
        sys.exit(f"error: {error}")
