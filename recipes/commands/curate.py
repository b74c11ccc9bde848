"""`accelzoo curate`: a space without what never pays on a target."""

from __future__ import annotations

from argparse import ArgumentParser, ArgumentTypeError, Namespace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from accelzoo.errors import AccelzooError, unknown_name
from accelzoo.recipes import output
from accelzoo.recipes.arguments import natural, positive

if TYPE_CHECKING:
    from accelzoo.knobs import Space
    from accelzoo.search.curation import CuratedSpace

EPILOG = """\
examples:
  $ accelzoo curate camera --target ethos-u85-1024 --contexts 16 --pin 'stages[*].kind=ibn' --pin 'stages[*].repeats=1' --pin 'stages[*].kernel_size=3' --pin 'stages[*].expansion_ratio=4' --pin 'input_size=[3,32,32]' --pin width_multiplier=1.0 --pin head.hidden_channels=224
  camera on ethos-u85-1024

  input_size: [3,24,24], [3,28,28], [3,32,32] -> [3,32,32]
    - [3,24,24], [3,28,28]: pinned
  ...
  stages[4].out_channels: 32, 48, 64, 80, 96 -> 32, 64, 80, 96
    - 48: costs 0.05663 ms, 64 costs 0.05639 ms in all 16 contexts
  ...

  genomes       6.12e+14 before, 2.88e+03 as pinned, 2.3e+03 after
  steps before  0.0% flat, 5.3% down, of 1,024 steps sampled
  steps after   0.0% flat, 0.0% down, of 1,024 steps sampled
  front         certified: nothing lost; exact front 74 points before, 74 after (trainability as a sum over parts, R² 0.683)

What is printed: the knobs that changed, and for every value that is gone why. `genomes`: the size of the space.
`steps`: single steps of one knob, one value up, that cost nothing (flat) or less (down). `front`: whether the exact
front of quality against cost lost anything; "not certified" where prices are not sums over parts, or too many.
The file is a space: `space: FILE` in a recipe, `accelzoo.knobs.Space.from_config`, any verb that takes a space.
`--agreement 0.05 --tolerance 0.003 --keep front --regret 0.01` curates hard: a landscape that climbs, and each quality
of the front for at most 1 % more.
"""  # noqa: E501


def add_arguments(parser: ArgumentParser) -> None:
    """Declares the verb's arguments."""
    parser.add_argument("space", metavar="SPACE", help="a recipe, a space (`accelzoo ls spaces`), or a file of either")
    parser.add_argument("--target", metavar="T", help="a target or a .yaml file; a recipe's own by default")
    wish = "as knob=value or knob=[value, value]; * stands for anything in a knob's name"
    parser.add_argument("--pin", action="append", default=[], metavar="K=V", help=f"values to keep, {wish}")
    parser.add_argument("--forbid", action="append", default=[], metavar="K=V", help=f"values to drop, {wish}")
    parser.add_argument("--quality", metavar="SCORE", help="the closed-form score that stands for quality")
    parser.add_argument("--field", default="latency_s", metavar="F", help="the cost field (default: latency_s)")
    parser.add_argument("--tolerance", type=_share, default=0.0, metavar="X", help="share of cost that counts as none")
    parser.add_argument("--agreement", type=_share, default=1.0, metavar="X", help="share of contexts that must agree")
    parser.add_argument("--keep", choices=("undominated", "front"), default="undominated", help="what stays")
    parser.add_argument("--regret", type=_share, default=0.0, metavar="X", help="extra cost that the front may suffer")
    parser.add_argument("--contexts", type=positive, default=64, metavar="N", help="contexts to try for every knob")
    parser.add_argument("--max-entries", type=natural, default=60_000, metavar="N",
                        help="most entries of the cost table behind the exact front; 0: no front")  # fmt: skip
    parser.add_argument("--seed", type=natural, default=0, metavar="N", help="draws the contexts")
    parser.add_argument("-o", "--out", type=Path, metavar="FILE", help="write the curated space as YAML")
    parser.add_argument("--force", action="store_true", help="overwrite FILE")
    parser.add_argument("--plot", type=Path, metavar="PNG", help="draw the landscape of its two widest knobs")
    parser.add_argument("--json", action="store_true", help="print JSON")


def run(options: Namespace) -> int:
    """Curates, prints, and writes what was asked for."""
    from accelzoo.hwmodel import load_target
    from accelzoo.search.curation import curate

    for path in (options.out, options.plot):
        _check_free(path, options.force)
    space, own_target = _space(options.space)
    if options.target is None and own_target is None:
        raise AccelzooError(f"--target is needed: {options.space} is a space, which has none of its own")
    target = load_target(options.target or str(own_target))
    curated = curate(
        space,
        target,
        quality=options.quality,
        pins=_wishes("--pin", options.pin),
        forbids=_wishes("--forbid", options.forbid),
        field=options.field,
        tolerance=options.tolerance,
        agreement=options.agreement,
        keep=options.keep,
        regret=options.regret,
        contexts=options.contexts,
        max_entries=options.max_entries,
        seed=options.seed,
    )
    if options.out is not None:
        _write(curated, options)
    if options.plot is not None:
        from accelzoo.recipes.landscape_plot import draw_curated

        draw_curated(options.plot, curated, target, options.field)
    if options.json:
        output.emit_json(curated.report.to_json() | {"space": options.space, "template": curated.to_config()})
    else:
        output.emit(curated.report.text())
    return 0


def _space(name: str) -> tuple[Space, str | None]:
    """Returns a space and, of a recipe's, its target."""
    from accelzoo import config
    from accelzoo.knobs import Space
    from accelzoo.recipes import list_recipes
    from accelzoo.recipes.schema import load_funnel
    from accelzoo.registry import get_space, list_spaces

    if name.endswith((".yaml", ".yml", ".json")):
        node = config.load(Path(name))
        if node.get("recipe") is None:
            return Space.from_config(Path(name)), None
    elif name in list_spaces():
        return get_space(name), None
    elif name not in list_recipes():
        raise unknown_name("recipe or space", name, [*list_recipes(), *list_spaces()])
    recipe = load_funnel(name)
    return get_space(recipe.space), recipe.target


def _wishes(option: str, given: list[str]) -> dict[str, Any]:
    """Reads `knob=value`, the value as YAML."""
    from accelzoo import config

    wishes: dict[str, Any] = {}
    for text in given:
        knob, equals, value = text.partition("=")
        if not equals or not knob or not value:
            raise AccelzooError(f"{option} {text!r}: must be knob=value or knob=[value, value]")
        if knob in wishes:
            raise AccelzooError(f"{option} {knob}: is given twice; list its values: {knob}=[value, value]")
        wishes[knob] = config.load(config.Text(value, f"{option} {knob}")).plain()
    return wishes


def _check_free(path: Path | None, force: bool) -> None:
    if path is None:
        return
    if path.is_dir():
        raise AccelzooError(f"{path}: is a folder; give a file's name")
    if not path.parent.is_dir():
        raise AccelzooError(f"{path}: cannot be written: there is no folder {path.parent}")
    if path.exists() and not force:
        raise AccelzooError(f"{path}: is there already; --force overwrites it")


def _write(curated: CuratedSpace, options: Namespace) -> None:
    from accelzoo import config
    from accelzoo.recipes.folder import write_text

    report = curated.report
    lines = [f"# {report.space}, curated for {report.target}"]
    lines += [f"# {name}: {' '.join(text.split())}" for name, text in report.facts()]
    try:
        write_text(options.out, "\n".join(lines) + "\n" + config.dump_yaml(curated.to_config()))
    except OSError as error:
        raise AccelzooError(f"{options.out}: cannot be written: {error.strerror}") from None


def _share(text: str) -> float:
    try:
        share = float(text)
    except ValueError:
        share = -1.0
    if not 0 <= share <= 1:
        raise ArgumentTypeError(f"must be a share from 0 to 1, got {text!r}")
    return share
