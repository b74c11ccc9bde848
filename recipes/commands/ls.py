"""`accelzoo ls`: what there is, by kind."""

from __future__ import annotations

import fnmatch
from argparse import ArgumentParser, Namespace
from collections.abc import Callable
from typing import Any

from accelzoo._printable import printable
from accelzoo.errors import AccelzooError, suggestion
from accelzoo.recipes import output

EPILOG = """\
examples:
  $ accelzoo ls models 'ibn_*' --target edge-npu --sort latency
  model  task                input  params (M)  MACs (M)  weights (KiB)  peak (KiB)  latency (ms)  energy (mJ)
  ibn_t  classification  3x224x224        1.02      83.6           1014         735         0.875        0.603
  ibn_s  classification  3x224x224        1.95     205.4           1924        1470         1.159        0.909
  ibn_m  classification  3x224x224        3.43     344.4           3386        1470         1.510        1.246
  ibn_l  classification  3x224x224        6.81     859.8           6712        2205         3.356        2.872

  $ accelzoo ls models 'ssdlite_mobiledet*' --sort map --reverse
  model                      family     task           input  params (M)  MACs (M)  weights (KiB)  peak (KiB)  mAP (%)
  ssdlite_mobiledet_dsp      mobiledet  detection  3x320x320        7.10    2816.4           7001        1800     28.9
  ssdlite_mobiledet_gpu      mobiledet  detection  3x320x320       13.07    5073.2          12811        1200     28.7
  ssdlite_mobiledet_edgetpu  mobiledet  detection  3x320x320        4.15    1533.2           4107        1200     26.0
  ssdlite_mobiledet_cpu      mobiledet  detection  3x320x320        4.17     444.2           4141        1000     24.1

  $ accelzoo ls spaces camera
  space   family  knobs      size  baseline
  camera  camera     29  6.12e+14  camera_ibn

  $ accelzoo ls targets '*-npu'
  target      MACs/cycle  clock (MHz)  SRAM (KiB)  weights in  description
  camera-npu         256          500        1024  dram        Small camera-class NPU, ...
  edge-npu          4096          480        8192  sram        Edge NPU, ...

params: as torch counts them; peak: activations alive at once; top-1 (ImageNet) and mAP (COCO): published by others.
Sorting is ascending; models without the figure, or with operators that T cannot run, come last.
"""
_KIND_HELP = "models, spaces, targets, recipes or releases; all of them by default"
_MODELS_ONLY = ("task", "target", "sort", "reverse")


def add_arguments(parser: ArgumentParser) -> None:
    """Declares the verb's arguments."""
    from accelzoo.recipes.catalog import SORTS

    parser.add_argument("kind", metavar="KIND", nargs="?", help=_KIND_HELP)
    parser.add_argument("pattern", metavar="PATTERN", nargs="?", help="a shell pattern for names, such as 'mobilenet*'")
    parser.add_argument("--task", metavar="TASK", help="models: only those for classification, detection, ...")
    parser.add_argument("--target", metavar="T", help="models: also their price on a target or a .yaml file")
    parser.add_argument("--sort", metavar="KEY", help=f"models: by one of {', '.join(SORTS)}")
    parser.add_argument("--reverse", action="store_true", help="models: the largest first")
    written = parser.add_mutually_exclusive_group()
    written.add_argument("--csv", action="store_true", help="print CSV (RFC 4180), with the unit in each column's name")
    written.add_argument("--json", action="store_true", help="print JSON, with the unit in each field's name")


def run(options: Namespace) -> int:
    """Lists; a pattern that nothing matches gives an empty list."""
    kind, pattern = options.kind, options.pattern
    if kind is not None and pattern is None and any(letter in kind for letter in "*?["):
        kind, pattern = None, kind
    if kind is not None and kind not in _LISTINGS:
        raise AccelzooError(f"unknown kind {kind!r}{suggestion(kind, _LISTINGS)} (allowed: {', '.join(_LISTINGS)})")
    _check(options, kind)
    kinds = [kind] if kind else list(_LISTINGS)
    entries = {name: _LISTINGS[name](pattern or "*", options) for name in kinds}
    if options.json:
        output.emit_json(entries)
        return 0
    if options.csv:
        output.emit_csv(entries[kind])
        return 0
    parts = [_COLUMNS[name](found) if found else f"no {name}" for name, found in entries.items()]
    titles = [f"{name}:\n" if len(kinds) > 1 and entries[name] else "" for name in kinds]
    output.emit("\n\n".join(title + part for title, part in zip(titles, parts, strict=True)))
    return 0


def _check(options: Namespace, kind: str | None) -> None:
    if kind != "models":
        given = [f"--{name}" for name in _MODELS_ONLY if getattr(options, name)]
        if given:
            raise AccelzooError(f"{given[0]} is for models only: accelzoo ls models {given[0]} ...")
    if options.csv and kind is None:
        raise AccelzooError(f"--csv writes one table: name a kind ({', '.join(_LISTINGS)})")


def _models(pattern: str, options: Namespace) -> list[dict[str, Any]]:
    from accelzoo.hwmodel import load_target
    from accelzoo.recipes import catalog

    key = options.sort or "name"
    catalog.check_sort(key, options.target is not None)
    target = None if options.target is None else load_target(options.target)
    found = catalog.entries(pattern, options.task, target)
    return [entry.to_json() for entry in catalog.in_order(found, key, options.reverse)]


def _models_table(entries: list[dict[str, Any]]) -> str:
    """Lays models out; columns that are empty throughout are left out, and the family where there are prices."""
    priced = "target" in entries[0]
    columns: dict[str, list[str]] = {"model": [entry["name"] for entry in entries]}
    if not priced:
        columns["family"] = [entry["family"] for entry in entries]
    columns |= {
        "task": [entry["task"] for entry in entries],
        ">input": [output.shape(entry["input_size"]) for entry in entries],
        ">params (M)": [_millions(entry["parameters"]) for entry in entries],
        ">MACs (M)": [f"{entry['macs'] / 1e6:.1f}" for entry in entries],
        ">weights (KiB)": [f"{entry['weight_bytes'] / 1024:.0f}" for entry in entries],
        ">peak (KiB)": [f"{entry['peak_activation_bytes'] / 1024:.0f}" for entry in entries],
        ">top-1 (%)": [output.optional(entry["top1_percent"], ".1f") for entry in entries],
        ">mAP (%)": [output.optional(entry["map_percent"], ".1f") for entry in entries],
    }
    if priced:
        columns |= {
            ">latency (ms)": [_mark(entry) + f"{entry['latency_s'] * 1e3:.3f}" for entry in entries],
            ">energy (mJ)": [_mark(entry) + f"{entry['energy_j'] * 1e3:.3f}" for entry in entries],
            ">unpriced": [output.optional(entry["unpriced_operators"] or None) for entry in entries],
        }
    columns = {heading: cells for heading, cells in columns.items() if any(cells)}
    text = output.table([*columns], zip(*columns.values(), strict=True))
    return "\n".join([text, *(_notes(entries) if priced else [])])


def _millions(count: int | None) -> str:
    return "" if count is None else f"{count / 1e6:.2f}"


def _mark(entry: dict[str, Any]) -> str:
    return (">=" if entry["unpriced_operators"] else "") + ("~" if entry["extrapolated_operators"] else "")


def _notes(entries: list[dict[str, Any]]) -> list[str]:
    """Says what the marks before prices mean, where there are any."""
    target, notes = entries[0]["target"], []
    kinds = sorted({kind for entry in entries for kind in entry["unpriced_kinds"]})
    if kinds:
        notes.append(f">=: without operators that have no price on {target} ({', '.join(kinds)})")
    if any(entry["extrapolated_operators"] for entry in entries):
        notes.append(f"~: with operators far from everything {target} was fitted to")
    return notes


def _spaces(pattern: str, options: Namespace) -> list[dict[str, Any]]:
    from accelzoo.recipes.catalog import baselines
    from accelzoo.registry import get_space, list_spaces, spaces

    compared = baselines()
    return [
        {
            "name": name,
            "family": spaces()[name].name,
            "knobs": len(get_space(name).knobs),
            "size": get_space(name).size(),
            "baselines": compared.get(name, []),
        }
        for name in list_spaces(pattern)
    ]


def _spaces_table(entries: list[dict[str, Any]]) -> str:
    rows = [
        [entry["name"], entry["family"], str(entry["knobs"]), f"{entry['size']:.3g}", " ".join(entry["baselines"])]
        for entry in entries
    ]
    return output.table(["space", "family", ">knobs", ">size", "baseline"], rows)


def _targets(pattern: str, options: Namespace) -> list[dict[str, Any]]:
    from accelzoo.hwmodel import list_targets, load_target

    fields = ("macs_per_cycle", "clock_hz", "sram_bytes", "weights_in", "weight_sram_bytes", "description")
    entries = []
    for name in fnmatch.filter(list_targets(), pattern):
        try:
            target = load_target(name)
        except AccelzooError as error:  # one damaged file must not hide the others
            entries.append({"name": name, **dict.fromkeys(fields), "error": str(error)})
        else:
            entries.append({"name": name, **{field: getattr(target, field) for field in fields}, "error": None})
    return entries


def _targets_table(entries: list[dict[str, Any]]) -> str:
    columns = ["target", ">MACs/cycle", ">clock (MHz)", ">SRAM (KiB)", "weights in", "description"]
    rows = [
        [entry["name"], "?", "?", "?", "?", f"cannot be loaded: {entry['error']}"]
        if entry["error"]
        else [
            entry["name"],
            f"{entry['macs_per_cycle']:g}",
            f"{entry['clock_hz'] / 1e6:g}",
            f"{(entry['sram_bytes'] + (entry['weight_sram_bytes'] or 0)) / 1024:.0f}",
            entry["weights_in"],
            entry["description"],
        ]
        for entry in entries
    ]
    return output.table(columns, rows)


def _recipes(pattern: str, options: Namespace) -> list[dict[str, Any]]:
    from accelzoo import config
    from accelzoo.recipes import list_recipes, recipe_path

    entries = []
    for name in fnmatch.filter(list_recipes(), pattern):
        node = config.load(recipe_path(name))
        target, description = (getattr(node.get(key), "value", None) for key in ("target", "description"))
        entries.append({"name": name, "target": target, "description": description})
    return entries


def _recipes_table(entries: list[dict[str, Any]]) -> str:
    rows = [[entry["name"], str(entry["target"]), str(entry["description"])] for entry in entries]
    return output.table(["recipe", "target", "description"], rows)


def _releases(pattern: str, options: Namespace) -> list[dict[str, Any]]:
    from accelzoo.hubs.available import list_releases

    return [entry.to_json() for entry in list_releases(pattern)]


def _releases_table(entries: list[dict[str, Any]]) -> str:
    """Lays releases out; of a damaged one, its name, its place and what is wrong."""
    columns = ["release", "where", "digest", "tags", "task", ">size", "target", "metrics"]
    rows = [
        [
            entry["name"].partition("@sha256:")[0],
            entry["where"],
            output.short_digest(entry["digest"] or ""),
            " ".join(entry["tags"]),
            *(["", "", "", f"damaged: {entry['error']}"] if entry["error"] else _release_facts(entry)),
        ]
        for entry in entries
    ]
    return output.table(columns, [[printable(cell, keep="\n") for cell in row] for row in rows])


def _release_facts(entry: dict[str, Any]) -> list[str]:
    metrics = ", ".join(f"{name} {value:.4g}" for name, value in entry["metrics"].items())
    return [entry["task"] or "?", output.memory(entry["size_bytes"]), entry["target"] or "", metrics]


_LISTINGS: dict[str, Callable[[str, Namespace], list[dict[str, Any]]]] = {
    "models": _models,
    "spaces": _spaces,
    "targets": _targets,
    "recipes": _recipes,
    "releases": _releases,
}
_COLUMNS: dict[str, Callable[[list[dict[str, Any]]], str]] = {
    "models": _models_table,
    "spaces": _spaces_table,
    "targets": _targets_table,
    "recipes": _recipes_table,
    "releases": _releases_table,
}
