"""`accelzoo show`: everything about one name."""

from __future__ import annotations

import dataclasses
from argparse import ArgumentParser, Namespace
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from accelzoo._printable import printable
from accelzoo.errors import AccelzooError, unknown_name
from accelzoo.recipes import output

if TYPE_CHECKING:
    from accelzoo.families.base import Published
    from accelzoo.hwmodel import Graph
    from accelzoo.release import Release

EPILOG = """\
examples:
  $ accelzoo show efficientnet_es --target edge-npu
  model             efficientnet_es
  family            efficientnet_edge
  source            Gupta & Akin, Accelerator-aware Neural Network Design using AutoML, 2020, §4; sizes as in timm
  timm's name       efficientnet_es
  task              classification
  input             3x224x224
  parameters        5.438 M
  MACs              1.789 G
  weights           5.238 MiB
  peak activations  1.531 MiB
  digest            sha256:bfc20adf79cc31794ee665f61ffd0b53a1ff52ab746dbf799d7e5f52c0a0a8c3

  top-1 (%)   latency  device              note                                                 published in
      77.23                                224×224, float                                       TensorFlow TPU ...
         77                                224×224, int8                                        TensorFlow TPU ...
       78.9  5.000 ms  Coral USB Edge TPU  224×224, int8; another evaluation than the README's  Coral model page

  target    latency (ms)  energy (mJ)  peak (KiB)  remarks
  edge-npu         2.741        3.015        1568

  ...

  $ accelzoo show camera
  space     camera
  family    camera
  source    accelzoo; stage plan after Sandler et al. 2018 (MobileNetV2) for 32×32 images
  knobs     29
  size      6.12e+14 genomes
  baseline  camera_ibn
  digest    sha256:23b48368442bd818e0f677dc53abb239e3fbfd5e3519c8089236037f2589260b

  knob                       values  which
  input_size                      3  [3,24,24], [3,28,28], [3,32,32]
  stem.out_channels               4  8, 16, 24, 32
  stages[0].kind                  3  "ibn", "fused_ibn", "conv_bn_act"
  stages[0].kernel_size           2  3, 5
  stages[0].expansion_ratio       5  1, 2, 3, 4, 6
  ...

A model is priced on every target that ships, or on T alone. The file of its architecture comes last.
A recipe is shown as its file: `accelzoo show RECIPE > mine.yaml` makes a copy to change and run.
"""


_PERCENT = {"top1": "top1_percent", "map": "map_percent"}


class _Page(NamedTuple):
    text: str
    data: Any


def add_arguments(parser: ArgumentParser) -> None:
    """Declares the verb's arguments."""
    parser.add_argument(
        "name",
        metavar="NAME",
        help="a model, space, target, recipe or packaged release; OWNER/NAME[@REVISION], as `accelzoo pull` takes it; "
        "a release's folder; the .yaml or .json file of an architecture or a target",
    )
    parser.add_argument("--target", metavar="T", help="price a model on this target or .yaml file only")
    parser.add_argument("--json", action="store_true", help="print JSON: kind -> what it holds")


def run(options: Namespace) -> int:
    """Shows every kind of thing that carries the name."""
    pages = {kind: page() for kind, page in _pages(options.name, options.target)}
    if options.target is not None and "model" not in pages:
        raise AccelzooError(f"--target prices a model; {options.name} is a {' and a '.join(pages)}")
    if options.json:
        output.emit_json({kind: page.data for kind, page in pages.items()})
    else:
        output.emit("\n\n".join(page.text.rstrip() for page in pages.values()))
    return 0


def _pages(name: str, target: str | None) -> Iterator[tuple[str, Callable[[], _Page]]]:
    """Yields the kinds that `name` is of, each with what makes its page; models are priced on `target`, None: on all.

    Raises:
        UnknownNameError: If it is of none.
    """
    from accelzoo.hwmodel import list_targets
    from accelzoo.pretrained import find_release, list_packaged, names_release
    from accelzoo.recipes import list_recipes
    from accelzoo.registry import list_models, list_spaces
    from accelzoo.release import read_release

    known: dict[str, tuple[list[str], Callable[[], _Page]]] = {
        "model": (list_models(), partial(_model_page, name, target)),
        "space": (list_spaces(), partial(_space_page, name)),
        "target": (list_targets(), partial(_target_page, name)),
        "recipe": (list_recipes(), partial(_recipe_page, name)),
        "release": (list_packaged(), lambda: _release_page(find_release(name))),
    }
    if any(name in names for names, _ in known.values()):
        yield from ((kind, page) for kind, (names, page) in known.items() if name in names)
    elif names_release(name):
        yield "release", lambda: _release_page(find_release(name))
    elif _is_target_file(name):
        yield "target", partial(_target_page, name)
    elif name.endswith((".yaml", ".yml", ".json")):
        yield "model", partial(_model_page, name, target)
    elif Path(name).is_dir():
        yield "release", lambda: _release_page(read_release(name))
    else:
        raise unknown_name("name", name, {name for names, _ in known.values() for name in names})


def _is_target_file(name: str) -> bool:
    """Tells whether a file has more of a target's keys than of an architecture's."""
    from accelzoo import config
    from accelzoo.arch import Arch
    from accelzoo.errors import ConfigError
    from accelzoo.hwmodel import Target

    if not name.endswith((".yaml", ".yml")):
        return False
    try:
        keys = set(config.load(Path(name)).plain())
    except (ConfigError, TypeError):
        return False  # whoever reads it as an architecture says what is wrong
    of_target, of_arch = ({field.name for field in dataclasses.fields(kind)} for kind in (Target, Arch))
    return len(keys & of_target) > len(keys & of_arch)


def _model_page(name: str, target: str | None) -> _Page:
    from accelzoo import config
    from accelzoo.hwmodel import list_targets
    from accelzoo.recipes.catalog import parameters_of
    from accelzoo.registry import get_arch, models

    arch = get_arch(name)
    graph = arch.lower()
    family = models().get(name)
    published = tuple(family.published.get(name, ())) if family else ()
    timm_name = family.timm_names.get(name) if family else None
    parameters = parameters_of(arch)
    prices = _prices(graph, list_targets() if target is None else [target])
    head = [("model", name)]
    if family is not None:
        head += [("family", family.name), ("source", family.source), ("timm's name", timm_name or "none")]
    head += [
        ("task", arch.head.task),
        ("input", output.shape(arch.input_size)),
        ("parameters", "not known" if parameters is None else output.count(parameters)),
        ("MACs", output.count(graph.macs)),
        ("weights", output.memory(graph.weight_bytes)),
        ("peak activations", output.memory(graph.peak_activation_bytes)),
        ("digest", arch.digest()),
    ]
    data = {
        "name": name,
        "family": family and family.name,
        "source": family and family.source,
        "timm_name": timm_name,
        "task": arch.head.task,
        "parameters": parameters,
        "macs": graph.macs,
        "weight_bytes": graph.weight_bytes,
        "peak_activation_bytes": graph.peak_activation_bytes,
        "digest": arch.digest(),
        "published": [_published_json(figures) for figures in published],
        "prices": prices,
        "arch": arch.to_config(),
    }
    parts = [_facts(head), *([_published_table(published)] if published else []), _prices_table(prices)]
    return _Page("\n\n".join([*parts, config.dump_yaml(config.to_config(arch, defaults=False))]), data)


def _prices(graph: Graph, targets: list[str]) -> list[dict[str, Any]]:
    """Prices a graph on targets; one whose files are damaged is listed with what is wrong, unless it is the only one.

    Raises:
        AccelzooError: If the only target cannot be loaded.
    """
    from accelzoo.hwmodel import estimate, load_target
    from accelzoo.recipes.catalog import price_json

    prices: list[dict[str, Any]] = []
    for name in targets:
        try:
            target = load_target(name)
        except AccelzooError as error:
            if len(targets) == 1:
                raise
            prices.append({"target": name, "error": str(error)})
            continue
        cost = estimate(graph, target)
        peak = {"peak_activation_bytes": cost.peak_activation_bytes}
        prices.append({"target": target.name, "error": None} | price_json(cost) | peak)
    return prices


def _prices_table(prices: list[dict[str, Any]]) -> str:
    rows = []
    for price in prices:
        if price["error"]:
            rows.append([price["target"], "?", "?", "?", f"cannot be loaded: {price['error']}"])
            continue
        at_least = ">=" if price["unpriced_operators"] else ""
        remarks = [f"{times} {kind} unpriced" for kind, times in price["unpriced_kinds"].items()]
        if price["extrapolated_operators"]:
            remarks.append(f"{price['extrapolated_operators']} operators far from anything measured")
        rows.append(
            [
                price["target"],
                f"{at_least}{price['latency_s'] * 1e3:.3f}",
                f"{at_least}{price['energy_j'] * 1e3:.3f}",
                f"{price['peak_activation_bytes'] / 1024:.0f}",
                "; ".join(remarks),
            ]
        )
    return output.table(["target", ">latency (ms)", ">energy (mJ)", ">peak (KiB)", "remarks"], rows)


def _published_json(figures: Published) -> dict[str, Any]:
    data = {field.name: getattr(figures, field.name) for field in dataclasses.fields(figures)}
    return {_PERCENT.get(name, name): value for name, value in data.items()}


def _published_table(published: tuple[Published, ...]) -> str:
    """Lays out what others measured; columns that are empty throughout are left out."""
    columns = {
        ">top-1 (%)": [output.optional(figures.top1) for figures in published],
        ">mAP (%)": [output.optional(figures.map) for figures in published],
        ">MACs": [output.count(figures.macs) if figures.macs else "" for figures in published],
        ">params": [output.count(figures.parameters) if figures.parameters else "" for figures in published],
        ">latency": [output.seconds(figures.latency_s) if figures.latency_s else "" for figures in published],
        "device": [figures.device for figures in published],
        "note": [figures.note for figures in published],
        "published in": [figures.source for figures in published],
    }
    columns = {heading: cells for heading, cells in columns.items() if any(cells)}
    return output.table([*columns], zip(*columns.values(), strict=True))


def _space_page(name: str) -> _Page:
    from accelzoo import config
    from accelzoo.recipes.catalog import baselines
    from accelzoo.registry import get_space, spaces

    space, family = get_space(name), spaces()[name]
    compared = baselines().get(name, [])
    head = [
        ("space", name),
        ("family", family.name),
        ("source", family.source),
        ("knobs", str(len(space.knobs))),
        ("size", f"{space.size():.3g} genomes"),
        ("baseline", " ".join(compared) or "none"),
        ("digest", space.digest()),
    ]
    template = space.to_config()
    rows = [
        [knob.name, str(len(knob.values)), ", ".join(config.canonical_json(value) for value in knob.values)]
        for knob in space.knobs
    ]
    data = {
        "name": name,
        "family": family.name,
        "source": family.source,
        "size": space.size(),
        "baselines": compared,
        "digest": space.digest(),
        "knobs": {knob.name: [config.to_config(value) for value in knob.values] for knob in space.knobs},
        "template": template,
    }
    knobs = output.table(["knob", ">values", "which"], rows)
    return _Page(f"{_facts(head)}\n\n{knobs}\n\n{config.dump_yaml(template)}", data)


def _target_page(name: str) -> _Page:
    from accelzoo.hwmodel import load_target
    from accelzoo.hwmodel.target import TARGETS_FOLDER

    target = load_target(name)
    path = Path(name) if name.endswith((".yaml", ".yml")) else TARGETS_FOLDER / f"{name}.yaml"
    text = path.read_text(encoding="utf-8")
    fields = {field.name: getattr(target, field.name) for field in dataclasses.fields(target)}
    head = [("target", target.name), ("digest", target.digest())]
    return _Page(f"{_facts(head)}\n\n{text}", fields | {"digest": target.digest()})


def _recipe_page(name: str) -> _Page:
    from accelzoo import config
    from accelzoo.recipes import recipe_path

    # The text alone: `accelzoo show RECIPE > mine.yaml` makes a copy to change and run.
    return _Page(recipe_path(name).read_text(encoding="utf-8"), config.load(recipe_path(name)).plain())


def _release_page(release: Release) -> _Page:
    own = release.config["accelzoo"]
    head = [
        ("release", str(release.folder)),
        ("digest", release.digest),
        ("architecture", f"{release.config['architecture']} ({own['arch_digest']})"),
        ("input", output.shape(own["input_size"])),
        ("classes", str(release.config["num_classes"])),
        *((name, f"{value:.6g}") for name, value in own["metrics"].items()),
        ("target", own["target"] or "none"),
        *((name, f"{value:.6g}") for name, value in (own["cost"] or {}).items() if isinstance(value, int | float)),
    ]
    files = [(name, output.memory((release.folder / name).stat().st_size)) for name in sorted(release.hashes)]
    data = {"folder": str(release.folder), "digest": release.digest, "files": dict(release.hashes)}
    return _Page(f"{_facts(head)}\n\n{_facts(files)}", data | {"config": dict(release.config)})


def _facts(pairs: list[tuple[str, str]]) -> str:
    width = max(len(name) for name, _ in pairs)
    return "\n".join(f"{printable(name):<{width}}  {printable(value)}" for name, value in pairs)
