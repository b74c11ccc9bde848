"""`accelzoo show`: everything about one name."""

from __future__ import annotations

import dataclasses
from argparse import ArgumentParser, Namespace
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from accelzoo.errors import unknown_name
from accelzoo.recipes import output

if TYPE_CHECKING:
    from accelzoo.release import Release

EPILOG = """\
examples:
  $ accelzoo show mobilenetv2_100
  model             mobilenetv2_100
  family            mobilenetv2
  source            Sandler et al., MobileNetV2: Inverted Residuals and Linear Bottlenecks, CVPR 2018, table 2
  input             3x224x224
  MACs              300.8 M
  weights           3.378 MiB
  peak activations  1.436 MiB
  digest            sha256:4b079ad0095cdfd5ce6fdcf34727345dab245a95930f54eb8a2deef2a39993b9

  ...

A recipe is shown as its file: `accelzoo show RECIPE > mine.yaml` makes a copy to change and run.
"""


class _Page(NamedTuple):
    text: str
    data: Any


def add_arguments(parser: ArgumentParser) -> None:
    """Declares the verb's arguments."""
    parser.add_argument(
        "name",
        metavar="NAME",
        help="a model, target, recipe or packaged release; hub:OWNER/NAME[@REVISION]; a release's folder; "
        "the .yaml or .json file of an architecture or a target",
    )
    parser.add_argument("--json", action="store_true", help="print JSON: kind -> what it holds")


def run(options: Namespace) -> int:
    """Shows every kind of thing that carries the name."""
    pages = {kind: page() for kind, page in _pages(options.name)}
    if options.json:
        output.emit_json({kind: page.data for kind, page in pages.items()})
    else:
        output.emit("\n\n".join(page.text.rstrip() for page in pages.values()))
    return 0


def _pages(name: str) -> Iterator[tuple[str, Callable[[], _Page]]]:
    """Yields the kinds that `name` is of, each with what makes its page.

    Raises:
        UnknownNameError: If it is of none.
    """
    from accelzoo.hwmodel import list_targets
    from accelzoo.pretrained import find_release, list_packaged
    from accelzoo.recipes import list_recipes
    from accelzoo.registry import list_models
    from accelzoo.release import read_release

    known: dict[str, tuple[list[str], Callable[[], _Page]]] = {
        "model": (list_models(), partial(_model_page, name)),
        "target": (list_targets(), partial(_target_page, name)),
        "recipe": (list_recipes(), partial(_recipe_page, name)),
        "release": (list_packaged(), lambda: _release_page(find_release(name))),
    }
    if any(name in names for names, _ in known.values()):
        yield from ((kind, page) for kind, (names, page) in known.items() if name in names)
    elif name.startswith("hub:"):
        yield "release", lambda: _release_page(find_release(name))
    elif _is_target_file(name):
        yield "target", partial(_target_page, name)
    elif name.endswith((".yaml", ".yml", ".json")):
        yield "model", partial(_model_page, name)
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


def _model_page(name: str) -> _Page:
    from accelzoo import config
    from accelzoo.registry import get_arch, models

    arch = get_arch(name)
    graph = arch.lower()
    family = models().get(name)
    head = [("model", name)]
    if family is not None:
        head += [("family", family.name), ("source", family.source)]
    head += [
        ("input", output.shape(arch.input_size)),
        ("MACs", output.count(graph.macs)),
        ("weights", output.memory(graph.weight_bytes)),
        ("peak activations", output.memory(graph.peak_activation_bytes)),
        ("digest", arch.digest()),
    ]
    data = {
        "name": name,
        "family": family and family.name,
        "source": family and family.source,
        "macs": graph.macs,
        "weight_bytes": graph.weight_bytes,
        "peak_activation_bytes": graph.peak_activation_bytes,
        "digest": arch.digest(),
        "arch": arch.to_config(),
    }
    return _Page(f"{_facts(head)}\n\n{config.dump_yaml(arch)}", data)


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
    return "\n".join(f"{name:<{width}}  {value}" for name, value in pairs)
