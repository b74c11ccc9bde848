"""`accelzoo ls`: what there is, by kind."""

from __future__ import annotations

import fnmatch
from argparse import ArgumentParser, Namespace
from collections.abc import Callable
from typing import Any

from accelzoo.errors import AccelzooError, suggestion
from accelzoo.recipes import output

EPILOG = """\
examples:
  $ accelzoo ls models 'mobile*'
  model            family           input  MACs (M)  weights (KiB)  peak activations (KiB)
  mobilenetv2_100  mobilenetv2  3x224x224     300.8           3459                    1470

  $ accelzoo ls targets '*-npu'
  target      MACs/cycle  clock (MHz)  SRAM (KiB)  weights in  description
  camera-npu         256          500        1024  dram        Small camera-class NPU, ...
  edge-npu          4096          480        8192  sram        Edge NPU, ...
"""
_KIND_HELP = "models, targets, recipes or releases; all of them by default"


def add_arguments(parser: ArgumentParser) -> None:
    """Declares the verb's arguments."""
    parser.add_argument("kind", metavar="KIND", nargs="?", help=_KIND_HELP)
    parser.add_argument("pattern", metavar="PATTERN", nargs="?", help="a shell pattern for names, such as 'mobilenet*'")
    parser.add_argument("--json", action="store_true", help="print JSON, with the unit in each field's name")


def run(options: Namespace) -> int:
    """Lists; a pattern that nothing matches gives an empty list."""
    kind, pattern = options.kind, options.pattern
    if kind is not None and pattern is None and any(letter in kind for letter in "*?["):
        kind, pattern = None, kind
    if kind is not None and kind not in _LISTINGS:
        raise AccelzooError(f"unknown kind {kind!r}{suggestion(kind, _LISTINGS)} (allowed: {', '.join(_LISTINGS)})")
    kinds = [kind] if kind else list(_LISTINGS)
    entries = {name: _LISTINGS[name](pattern or "*") for name in kinds}
    if options.json:
        output.emit_json(entries)
        return 0
    parts = [_COLUMNS[name](found) if found else f"no {name}" for name, found in entries.items()]
    titles = [f"{name}:\n" if len(kinds) > 1 and entries[name] else "" for name in kinds]
    output.emit("\n\n".join(title + part for title, part in zip(titles, parts, strict=True)))
    return 0


def _models(pattern: str) -> list[dict[str, Any]]:
    from accelzoo.registry import get_arch, list_models, models

    entries = []
    for name in list_models(pattern):
        arch = get_arch(name)
        graph = arch.lower()
        entries.append(
            {
                "name": name,
                "family": models()[name].name,
                "input_size": list(arch.input_size),
                "macs": graph.macs,
                "weight_bytes": graph.weight_bytes,
                "peak_activation_bytes": graph.peak_activation_bytes,
            }
        )
    return entries


def _models_table(entries: list[dict[str, Any]]) -> str:
    columns = ["model", "family", ">input", ">MACs (M)", ">weights (KiB)", ">peak activations (KiB)"]
    rows = [
        [
            entry["name"],
            entry["family"],
            output.shape(entry["input_size"]),
            f"{entry['macs'] / 1e6:.1f}",
            f"{entry['weight_bytes'] / 1024:.0f}",
            f"{entry['peak_activation_bytes'] / 1024:.0f}",
        ]
        for entry in entries
    ]
    return output.table(columns, rows)


def _targets(pattern: str) -> list[dict[str, Any]]:
    from accelzoo.hwmodel import list_targets, load_target

    fields = ("name", "macs_per_cycle", "clock_hz", "sram_bytes", "weights_in", "weight_sram_bytes", "description")
    targets = [load_target(name) for name in fnmatch.filter(list_targets(), pattern)]
    return [{field: getattr(target, field) for field in fields} for target in targets]


def _targets_table(entries: list[dict[str, Any]]) -> str:
    columns = ["target", ">MACs/cycle", ">clock (MHz)", ">SRAM (KiB)", "weights in", "description"]
    rows = [
        [
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


def _recipes(pattern: str) -> list[dict[str, Any]]:
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


def _releases(pattern: str) -> list[dict[str, Any]]:
    from accelzoo.hub import open_hub
    from accelzoo.pretrained import find_release, list_packaged

    entries: list[dict[str, Any]] = [
        {"name": name, "digest": find_release(name).digest, "tags": [], "hub": None}
        for name in fnmatch.filter(list_packaged(), pattern)
    ]
    hub = open_hub()
    for name in fnmatch.filter(hub.list(), pattern):
        head = hub.resolve(name)
        tags = [tag for tag, digest in hub.tags(name).items() if digest == head]
        entries.append({"name": f"hub:{name}", "digest": head, "tags": tags, "hub": str(getattr(hub, "root", hub))})
    return entries


def _releases_table(entries: list[dict[str, Any]]) -> str:
    rows = [
        [entry["name"], output.short_digest(entry["digest"]), " ".join(entry["tags"]), entry["hub"] or "in the package"]
        for entry in entries
    ]
    return output.table(["release", "digest", "tags", "where"], rows)


_LISTINGS: dict[str, Callable[[str], list[dict[str, Any]]]] = {
    "models": _models,
    "targets": _targets,
    "recipes": _recipes,
    "releases": _releases,
}
_COLUMNS: dict[str, Callable[[list[dict[str, Any]]], str]] = {
    "models": _models_table,
    "targets": _targets_table,
    "recipes": _recipes_table,
    "releases": _releases_table,
}
