"""The networks of a run side by side: baseline against what was found."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from accelzoo.recipes.page.figure import Table
from accelzoo.recipes.page.material import Material
from accelzoo.recipes.report import COST_ROWS, number_text, spread_text
from accelzoo.recipes.units import latency_unit


def comparison_table(material: Material) -> tuple[Table, Sequence[str]] | None:
    """Returns the table and what to know about it; None where the run has no result yet."""
    comparison = material.comparison
    if comparison is None:
        return None
    make = {"product": _product, "width": _width}.get(material.kind, _funnel)
    return make(comparison)


def _funnel(comparison: Mapping[str, Any]) -> tuple[Table, Sequence[str]]:
    baseline, winner = comparison["baseline"], comparison["winner"]
    rows = []
    for field, label, unit, scale in COST_ROWS:
        ours, theirs = (number_text(one["cost"][field] / scale) for one in (winner, baseline))
        reduction = comparison["reductions"].get(field)
        rows.append([f"{label} ({unit})", theirs, ours, "" if reduction is None else f"{0 - reduction:+.1%}"])
    gain, error = comparison["accuracy_gain"], comparison["accuracy_gain_standard_error"]
    seeds = len(winner["test_top1"])
    change = f"{100 * gain:+.2f}" + (f" ± {100 * error:.2f}" if seeds > 1 else "") + " points"
    label = f"test top-1 (%), {seeds} seed{'s' if seeds > 1 else ''}"
    rows.append([label, spread_text(baseline["test_top1"]), spread_text(winner["test_top1"]), change])
    notes = [f"{comparison['data']}, {winner['test_images']:,} test images; costs are estimates."]
    if seeds > 1:
        notes.append("After ±: the standard deviation over seeds; of the difference its standard error.")
    return Table(header=("", ">baseline", ">winner", ">change"), rows=rows), notes


def _product(comparison: Mapping[str, Any]) -> tuple[Table, Sequence[str]]:
    networks, target = comparison["networks"], comparison["target"]
    compiled = all(one["compiled"] is not None for one in networks)
    baseline = next(one for one in networks if one["name"] == "baseline")
    unit_s, unit = latency_unit(max(one["prices"][target]["cost"]["latency_s"] for one in networks))
    header = ["network", "found by", f">estimate ({unit})", f">compiled ({unit})", ">change", ">weights (KiB)",
              ">peak activations (KiB)", ">MACs (M)", f">test {comparison['metric']} (%)", ">95 % interval",
              ">int8 − float (points)"]  # fmt: skip
    rows = []
    for one in networks:
        cost, interval = one["prices"][target]["cost"], one["test_interval"]
        ours, theirs = (_latency(each, target, compiled) for each in (one, baseline))
        rows.append([
            one["name"], one["title"], number_text(cost["latency_s"] / unit_s),
            "" if one["compiled"] is None else number_text(one["compiled"]["latency_s"] / unit_s),
            "" if one is baseline else f"{ours / theirs - 1:+.1%}",
            number_text(cost["weight_bytes"] / 1024), number_text(cost["peak_activation_bytes"] / 1024),
            number_text(cost["macs"] / 1e6), spread_text([run["test"]["value"] for run in one["runs"]]),
            "" if interval is None else f"{100 * interval[0]:.2f} … {100 * interval[1]:.2f}",
            f"{100 * one['int8_difference']:+.2f}",
        ])  # fmt: skip
    by = "the compiled networks" if compiled else "the estimates"
    seeds = len(baseline["runs"])
    notes = [f"{comparison['data']}, {seeds} seed{'s' if seeds > 1 else ''}; changes are those of {by}."]
    return Table(header=header, rows=rows), [*notes, *comparison["notes"]]


def _latency(one: Mapping[str, Any], target: str, compiled: bool) -> float:
    source = one["compiled"] if compiled else one["prices"][target]["cost"]
    return float(source["latency_s"])


def _width(comparison: Mapping[str, Any]) -> tuple[Table, Sequence[str]]:
    networks = comparison["networks"]
    unit_s, unit = latency_unit(max(one["measured_s"] for one in networks))
    rows = [
        [
            "original" if one["method"] == "original" else f"{100 * one['latency_share']:g} %, {one['method']}",
            number_text(one["measured_s"] / unit_s),
            number_text(one["weight_bytes"] / 1024),
            number_text(one["macs"] / 1e6),
            spread_text(one["test_top1"]),
            "" if one["score"] is None else f"{one['score']:.4f}",
        ]
        for one in networks
    ]
    header = ("budget, widths", f">latency ({unit})", ">weights (KiB)", ">MACs (M)", ">test top-1 (%)",
              ">held-out loss")  # fmt: skip
    by = f"measured by {comparison['measured_by']}" if comparison["measured_by"] else "estimates"
    images, seeds = networks[0]["test_images"], len(comparison["seeds"])
    said = f"{comparison['data']}, {images:,} test images, {seeds} seed{'s' if seeds > 1 else ''}; latencies are {by}."
    return Table(header=header, rows=rows), [said]
