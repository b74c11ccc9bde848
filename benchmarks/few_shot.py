"""Whole-network calibration from few timings, on networks and devices of Accel-NASBench (Ahmad et al., DAC 2024).

`python -m benchmarks.few_shot` prints the table and writes benchmarks/few_shot.md; the data lie in
../shared/data/accel_nasbench. Each figure is the mean over 20 random draws (seeds 0 … 19) of n networks from the
`train` split, judged on the whole `val` split. The benchmark's knobs are only used to rebuild the graphs.
"""

from __future__ import annotations

import argparse
import csv
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from accelzoo import draw, list_targets, load_target
from accelzoo.hwmodel import Graph, GraphBuilder
from accelzoo.hwmodel.calibrate import count_terms, fit_calibration, op_of
from accelzoo.recipes.report import markdown_table
from accelzoo.rounding import make_divisible

ROOT = Path(__file__).parents[1]
TABLE = ROOT / "../shared/data/accel_nasbench/accel_nasbench_train_val.csv"
STRIDES = (1, 2, 2, 2, 1, 2, 1)
OUT_CHANNELS = (16, 24, 40, 80, 112, 192, 320)
DEVICES: dict[str, tuple[str, Callable[[float], float]]] = {
    "ZCU102": ("latency_zcu102_mean", lambda value: value / 1e3),
    "A100": ("throughput_a100_mean", lambda value: 1 / value),
    "TPUv2": ("throughput_tpuv2_mean", lambda value: 1 / value),
}
"""Device → column, and what makes seconds of it; of a throughput, the seconds per image."""
REFERENCE = {20: (0.81, 0.079), 50: (0.93, 0.053), 100: (1.00, 0.022)}
"""Networks → share within 10 % and RMSPE on the ZCU102 of the solution that comes with the data."""

NOTE = (
    "Every fit sees its n timings only. The form of the model (features, components of the kernel, expected variances, "
    "shares of the prior)\nwas chosen while looking at the `val` split of these three devices, so for a new device the "
    "figures are somewhat hopeful; other devices are the clean test.\nSeconds are of a busy shared machine."
)

Array = npt.NDArray[np.float64]
Stage = tuple[int, int, int, int]
"""Expansion, kernel size, layers, squeeze-excite."""


class Networks(NamedTuple):
    """The benchmark's networks: graphs, 1e6 parameters, whether of the `val` split, seconds per device (or NaN)."""

    graphs: list[Graph]
    params: Array
    held_out: npt.NDArray[np.bool_]
    latency_s: dict[str, Array]


def graph_of(stages: Sequence[Stage]) -> Graph:
    """Returns the graph of a network of the benchmark at 224 × 224."""
    graph = GraphBuilder((3, 224, 224))
    x = graph.activation("stem.act", graph.conv2d("stem", graph.input, 32, 3, 2), "relu")
    for index, (expansion, kernel_size, layers, squeeze) in enumerate(stages):
        for layer in range(layers):
            stride = STRIDES[index] if layer == 0 else 1
            x = _block(graph, f"{index}.{layer}.", x, expansion, kernel_size, squeeze, stride, OUT_CHANNELS[index])
    x = graph.activation("head.act", graph.conv2d("head", x, 1280), "relu")
    graph.linear("classifier", graph.global_pool("pool", x), 1000)
    return graph.graph()


def _block(
    graph: GraphBuilder, path: str, x: str, expansion: int, kernel_size: int, squeeze: int, stride: int, out: int
) -> str:
    start, channels = x, graph.shape(x)[0]
    wide = make_divisible(channels * expansion)
    if expansion != 1:
        x = graph.activation(f"{path}expand.act", graph.conv2d(f"{path}expand", x, wide), "relu")
    x = graph.conv2d(f"{path}depthwise", x, wide, kernel_size, stride, groups=wide)
    x = graph.activation(f"{path}depthwise.act", x, "relu")
    if squeeze:
        gate = graph.conv2d(f"{path}reduce", graph.global_pool(f"{path}squeeze", x), channels // 4)
        gate = graph.conv2d(f"{path}excite", graph.activation(f"{path}reduce.act", gate, "relu"), wide)
        x = graph.mul(f"{path}scale", x, graph.activation(f"{path}gate", gate, "hard_sigmoid"))
    x = graph.conv2d(f"{path}project", x, out)
    return graph.add(f"{path}add", start, x) if stride == 1 and channels == out else x


def read_networks(limit: int | None = None) -> Networks:
    """Reads the benchmark's table, or `limit` rows spread over it."""
    with TABLE.open(newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    rows = rows[:: len(rows) // limit] if limit else rows
    knobs = ("e", "k", "l", "se")
    graphs = [
        graph_of([tuple(int(row[f"block{stage}_{knob}"]) for knob in knobs) for stage in range(7)])  # type: ignore[misc]
        for row in rows
    ]
    latency_s = {
        device: np.array([seconds(float(row[column])) if row[column] else np.nan for row in rows])
        for device, (column, seconds) in DEVICES.items()
    }
    params = np.array([float(row["params"]) for row in rows])
    return Networks(graphs, params, np.array([row["split"] == "val" for row in rows]), latency_s)


def spearman(first: Array, second: Array) -> float:
    """Returns the rank correlation of two arrays without ties."""
    ranks = [np.argsort(np.argsort(values)).astype(np.float64) for values in (first, second)]
    return float(np.corrcoef(ranks[0], ranks[1])[0, 1])


class Score(NamedTuple):
    """Share within 10 %, RMSPE, MAPE, Spearman, RMSPE by cross-validation on the n networks, seconds to fit."""

    within_10_percent: float
    rmspe: float
    mape: float
    spearman: float
    cross_validated_rmspe: float
    fit_s: float


def score(networks: Networks, device: str, prior: str, count: int, seed: int) -> Score:
    """Calibrates on `count` random networks of the `train` split and judges on the `val` split."""
    latency_s = networks.latency_s[device]
    known = np.isfinite(latency_s)
    pool = np.flatnonzero(known & ~networks.held_out).tolist()
    picked = draw.sample(draw.generator(seed), pool, count)
    started = time.perf_counter()
    fitted = fit_calibration([networks.graphs[index] for index in picked], latency_s[picked], prior)
    fit_s = time.perf_counter() - started
    judged = np.flatnonzero(known & networks.held_out)
    keys, counts = count_terms([networks.graphs[index] for index in judged], fitted.prior)
    terms_s = np.array([*(fitted.op_latency_s(op_of(key)) for key in keys), fitted.overhead_s])
    predicted, measured = counts @ terms_s, latency_s[judged]
    errors = predicted / measured - 1
    return Score(
        float(np.mean(np.abs(errors) <= 0.1)),
        float(np.sqrt(np.mean(errors**2))),
        float(np.mean(np.abs(errors))),
        spearman(predicted, measured),
        fitted.report.rmspe,
        fit_s,
    )


def main() -> None:
    """Prints and writes the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--draws", type=int, default=20)
    parser.add_argument("--counts", type=int, nargs="+", default=[10, 20, 50, 100])
    parser.add_argument("--devices", nargs="+", choices=DEVICES, default=list(DEVICES))
    parser.add_argument("--out", type=Path, default=Path(__file__).with_suffix(".md"))
    options = parser.parse_args()
    networks = read_networks()
    rows = []
    for device in options.devices:
        for prior in list_targets():
            if load_target(prior).name not in ("camera-npu", "edge-npu", "mobile-cpu"):
                continue  # targets made of measurements are no priors on paper
            for count in options.counts:
                drawn = [score(networks, device, prior, count, seed) for seed in range(options.draws)]
                mean, worst = Score(*np.mean(drawn, axis=0)), min(one.within_10_percent for one in drawn)
                rows.append(_row(device, prior, count, mean, worst))
                print("  ".join(rows[-1]), flush=True)
    header = (
        "device", "prior", "n", "within 10 %", "worst draw", "reference", "RMSPE (%)", "reference (%)", "MAPE (%)",
        "Spearman", "RMSPE by CV (%)", "fit (s)",
    )  # fmt: skip
    text = f"Made by `python -m benchmarks.few_shot`: means over {options.draws} draws.\n\n{NOTE}\n\n"
    options.out.write_text(text + markdown_table(header, rows), encoding="utf-8")


def _row(device: str, prior: str, count: int, mean: Score, worst: float) -> tuple[str, ...]:
    within, rmspe = REFERENCE.get(count, (None, None)) if device == "ZCU102" else (None, None)
    return (
        device,
        prior,
        str(count),
        f"{mean.within_10_percent:.4f}",
        f"{worst:.3f}",
        "" if within is None else f"{within:.2f}",
        f"{100 * mean.rmspe:.2f}",
        "" if rmspe is None else f"{100 * rmspe:.1f}",
        f"{100 * mean.mape:.2f}",
        f"{mean.spearman:.4f}",
        f"{100 * mean.cross_validated_rmspe:.2f}",
        f"{mean.fit_s:.2f}",
    )


if __name__ == "__main__":
    main()
