"""Made-up results of product runs, on real networks with their real estimates."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import fields, replace
from functools import cache

from accelzoo import Arch, get_arch
from accelzoo.arch import Stage
from accelzoo.blocks import IBN, FusedIBN
from accelzoo.hwmodel import Cost, estimate, load_target
from accelzoo.recipes.product.report import ProductComparison
from accelzoo.recipes.product.values import BASELINE, Network, Priced, Referee, SeedRun, Trained
from accelzoo.tasks.score import DenseScore

TARGET = "ethos-u55-128"
OTHER = "mobile-cpu"


@cache
def small_detector() -> Arch:
    """MobileDet for CPUs with one class: IBN blocks behind a separable one."""
    return get_arch("ssdlite_mobiledet_cpu", num_classes=1)


def fused(arch: Arch, *places: tuple[int, int]) -> Arch:
    """The network with its IBN blocks at these places (stage, repeat) fused."""
    shared = {one.name for one in fields(IBN)} & {one.name for one in fields(FusedIBN)}
    stages = []
    for stage, group in enumerate(arch.groups()):
        for repeat, block in enumerate(group):
            if (stage, repeat) in places:
                block = FusedIBN(**{name: getattr(block, name) for name in shared})
            stages.append(Stage(block=block, continued=repeat > 0))
    return replace(arch, stages=tuple(stages))


@cache
def price(arch: Arch, target: str) -> Cost:
    """The real estimate."""
    return estimate(arch.lower(), load_target(target))


def score(value: float, half_width: float | None = 0.03, count: int = 162) -> DenseScore:
    """AP50 with a symmetric interval."""
    low, high = (None, None) if half_width is None else (value - half_width, value + half_width)
    return DenseScore(metric="AP50", value=value, count=count, low=low, high=high, parts={"AP": value / 2})


def trained(
    name: str,
    *tests: float,
    arch: Arch | None = None,
    title: str = "",
    search: str = "widths",
    compiled_s: float | None = 5e-3,
    half_width: float | None = 0.03,
    prices: Mapping[str, Priced] | None = None,
) -> Trained:
    """A network with one training per test score; validation is a point above, int8 half a point below that."""
    arch = arch or small_detector()
    runs = [
        SeedRun(
            seed=seed,
            validation=score(test + 0.01, half_width, 80),
            test=score(test, half_width),
            int8=score(test + 0.005, half_width, 80),
            wall_s=1800.0,
        )
        for seed, test in enumerate(tests)
    ]
    referee = None if compiled_s is None else Referee(tool="vela-5.2.0", latency_s=compiled_s, sram_bytes=256 * 1024)
    return Trained(
        network=Network(name=name, title=title, arch=arch, search=None if name == BASELINE else search),
        prices=prices or {TARGET: Priced(target=TARGET, cost=price(arch, TARGET))},
        compiled=referee,
        runs=tuple(runs),
        wall_s=900.0,
    )


def comparison(networks: Sequence[Trained], **changes: object) -> ProductComparison:
    """A run of these networks."""
    values: dict[str, object] = {"target": TARGET, "task": "detection", "data": "persons", "trained": tuple(networks)}
    return ProductComparison(**(values | changes))  # type: ignore[arg-type]
