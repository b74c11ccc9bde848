"""Where fusing pays in the baselines of the product recipes, on every target, and what a search does there instead.

`python -m benchmarks.product_fusion --out benchmarks/product_fusion.md` prices each block of both baselines plain and
fused, looks for the best fusion of all by single changes from the baseline on, asks the compiler about it, and searches
the three spaces of `presence_detection` for the fastest network with the baseline's signal. Nothing is trained.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from tempfile import TemporaryDirectory

from accelzoo import get_arch, get_space
from accelzoo.hwmodel import Target, estimate, load_target
from accelzoo.knobs import Genome
from accelzoo.recipes.product.fusion import fusion_effects, later_fusions_hurt
from accelzoo.recipes.product.prices import price
from accelzoo.recipes.product.schema import ProductRecipe, SpaceSearch
from accelzoo.recipes.product.searching import search_space
from accelzoo.recipes.report import markdown_table
from accelzoo.recipes.schema import load_recipe

TARGETS = ("ethos-u85-1024", "ethos-u85-1024-dedicated", "ethos-u65-512", "ethos-u55-256", "zigzag-edge-tpu")
SPACES = ("presence_width", "presence_fusion", "presence")
FUSION = get_space("presence_fusion")


def ratios(baseline: str) -> str:
    """Latency of each fused block as a share of the plain one's, a line per target."""
    effects = {name: fusion_effects(get_arch(baseline), load_target(name)) for name in TARGETS}
    places = [f"{stage}.{repeat}" for stage, repeat in (one.place for one in effects[TARGETS[0]])]
    rows = [
        (name, *(f"{one.fused_s / one.ibn_s:.2f}" for one in found), later_fusions_hurt(found))
        for name, found in effects.items()
    ]
    return markdown_table((baseline, *places, "later fusions hurt"), rows)


def best_fusion(target: Target) -> Genome:
    """Descends from the baseline by the single change that saves, until none does."""
    genome = best = (0,) * len(FUSION.sizes)
    while True:
        for position in range(len(genome)):
            changed = (*best[:position], 1 - best[position], *best[position + 1 :])
            if _latency_s(changed, target) < _latency_s(best, target):
                best = changed
        if best == genome:
            return best
        genome = best


def _latency_s(genome: Genome, target: Target) -> float:
    return estimate(FUSION.decode(genome).lower(), target).latency_s


def fusion_alone(cache: Path) -> str:
    """The best fusion's latency change, by estimate and by the compiler."""
    rows = []
    plain = (0,) * len(FUSION.sizes)
    for name in TARGETS:
        target = load_target(name)
        best = best_fusion(target)
        said = [price(FUSION.decode(genome), [name], cache)[name].referee for genome in (best, plain)]
        referee = "n/a" if None in said else f"{said[0].latency_s / said[1].latency_s - 1:+.1%}"  # type: ignore[union-attr]
        change = _latency_s(best, target) / _latency_s(plain, target) - 1
        rows.append((name, "".join(map(str, best)), f"{change:+.1%}", referee))
    return markdown_table(("target", "fused (1), block by block", "estimate", "referee"), rows)


def searched(evaluations: int, folder: Path) -> str:
    """The fastest network at the baseline's signal, as a share of its latency."""
    recipe = load_recipe("presence_detection", "full", [f"search.evaluations={evaluations}"])
    assert isinstance(recipe, ProductRecipe)
    rows = []
    for name in TARGETS:
        row = [name]
        for space in SPACES:
            spec = SpaceSearch(title=space, space=space, picks=("fastest",))
            args = (spec, recipe, get_space(space), load_target(name), get_arch(recipe.baseline))
            found = search_space(space, *args, folder / name / space, progress=False)
            row.append(f"{found.front[-1].latency_s / found.facts['baseline_latency_s']:.2f}")
        rows.append(tuple(row))
    return markdown_table(("target", *SPACES), rows)


def main() -> None:
    """Prints the page and writes it."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--evaluations", type=int, default=1000)
    parser.add_argument("--out", type=Path, required=True)
    options = parser.parse_args()
    with TemporaryDirectory() as folder:
        parts = [
            "# Where fusing pays, by target\n\nMade by `python -m benchmarks.product_fusion`; estimates.\n",
            *map(ratios, ("presence_ibn", "room_cpu")),
            fusion_alone(Path(folder) / "prices"),
            f"Fastest network at the baseline's signal, {options.evaluations:,} candidates each:\n",
            searched(options.evaluations, Path(folder)),
        ]
    page = "\n".join(parts)
    options.out.write_text(page, encoding="utf-8")
    print(page)


if __name__ == "__main__":
    main()
