"""Curation: known answers, certificates against brute force, bad wishes, and spaces that stay spaces."""

from __future__ import annotations

import dataclasses
import itertools
import math
from typing import Any

import numpy as np
import pytest

from accelzoo import config, draw
from accelzoo.arch import Arch
from accelzoo.errors import AccelzooError, ConfigError
from accelzoo.hwmodel import Cost, Graph, Target, estimate, load_target
from accelzoo.hwmodel.table import CostTable
from accelzoo.knobs import Space, choice
from accelzoo.search.curation import CuratedSpace, curate, ruggedness
from accelzoo.search.scores import get_score


def tiled(channels: int) -> Target:
    """An array of so many input and output channels that waits for nothing: within a tile a channel more is free."""
    return Target(
        name=f"tiles-of-{channels}", description="Made up.", source="made up", clock_hz=1e9, pixels_per_tile=1,
        macs_per_cycle=channels * channels, input_channels_per_tile=channels, output_channels_per_tile=channels,
        elementwise_per_cycle=1 << 20, sram_bytes=1 << 30, sram_bytes_per_s=1e18, dram_bytes_per_s=1e18,
        weights_in="sram", weight_sram_bytes=1 << 30, op_overhead_s=0.0, fused_activations=("relu",),
        energy_per_mac_j=1e-12, energy_per_sram_byte_j=1e-12, energy_per_dram_byte_j=1e-12, static_power_w=0.0,
    )  # fmt: skip


def chain(widths: range, last: int) -> Space:
    """Two convolutions whose widths are open, then one whose width is not."""
    free = {"kind": "conv_bn_act", "stride": 2, "out_channels": choice(*widths)}
    return Space(
        "chain",
        {
            "input_size": [3, 32, 32],
            "stem": {"out_channels": 8, "stride": 2},
            "stages": [free, free, free | {"out_channels": last}],
            "head": {"kind": "classification", "num_classes": 10},
        },
    )


def blocks(**changes: Any) -> Space:
    """A space with every sort of knob."""
    stage = {
        "kind": choice("ibn", "fused_ibn", "conv_bn_act"),
        "stride": 2,
        "expansion_ratio": choice(2, 4),
        "kernel_size": choice(3, 5),
        "repeats": choice(1, 2),
        "out_channels": choice(16, 20, 24),
    }
    template = {
        "input_size": choice([3, 24, 24], [3, 32, 32]),
        "stem": {"out_channels": 8, "stride": 2},
        "stages": [stage | changes, {"kind": "ibn", "stride": 2, "out_channels": choice(24, 28, 32)}],
        "head": {"kind": "classification", "num_classes": 10},
    }
    return Space("blocks", template)


def stairs(step: int) -> Any:
    """An estimator that no rule is written down for: every operator takes a second per started `step` of channels."""

    def price(graph: Graph, target: Target) -> Cost:
        cost = estimate(graph, target)
        rows = [
            row._replace(latency_s=float(math.ceil(op.out_shape[0] / step)))
            for op, row in zip(graph.ops, cost.by_op, strict=True)
        ]
        return dataclasses.replace(cost, latency_s=sum(row.latency_s for row in rows), by_op=tuple(rows))

    return price


def left(curated: CuratedSpace, name: str) -> tuple[Any, ...]:
    return next(knob.values for knob in curated.knobs if knob.name == name)


@pytest.mark.parametrize("tile", [4, 5, 6])
def test_curation_finds_the_multiples_of_the_tile(tile: int) -> None:
    space = chain(range(1, 4 * tile + 1), tile)
    curated = curate(space, tiled(tile))
    multiples = (tile, 2 * tile, 3 * tile, 4 * tile)
    assert [knob.values for knob in curated.knobs] == [multiples, multiples]
    report = curated.report
    assert (report.size_before, report.size_after) == (16 * tile**2, 16)
    assert report.certificate.lossless
    assert report.rugged_after.flat + report.rugged_after.down == 0
    # Within a tile nothing changes, and three steps of 4 tile − 1 lead into the next.
    share = (report.rugged_before.flat / report.rugged_before.steps) * (4 * tile - 1)
    assert share == pytest.approx(4 * tile - 4, rel=0.1 if not report.rugged_before.every else 1e-12)
    assert len(report.removals) == 2 * (4 * tile - 4)
    assert all(removal.why == "dominated" and removal.cost == removal.by_cost for removal in report.removals)


@pytest.mark.parametrize("step", [3, 5])
def test_curation_needs_no_rule_of_the_hardware(step: int) -> None:
    space = chain(range(2, 4 * step + 1), step)
    table = CostTable(space, tiled(4), estimate=stairs(step))
    curated = curate(space, table)
    assert [knob.values for knob in curated.knobs] == [tuple(range(step, 4 * step + 1, step))] * 2
    assert curated.report.certificate.lossless


@pytest.mark.parametrize("target", ["ethos-u55-256", "ethos-u65-512", "ethos-u85-1024"])
def test_a_curated_landscape_climbs(target: str) -> None:
    widths = choice(*range(32, 65, 4))
    stages = [{"kind": "ibn", "stride": 2, "expansion_ratio": 4, "out_channels": widths}] * 2
    space = Space("grid", {"input_size": [3, 64, 64], "stem": {"out_channels": 16, "stride": 2}, "stages": stages})
    report = curate(space, target, tolerance=0.003, agreement=0.05, regret=0.03, contexts=24).report
    assert report.rugged_after.flat_share + report.rugged_after.down_share < 0.05
    assert report.rugged_after.flat_share + report.rugged_after.down_share < (
        report.rugged_before.flat_share + report.rugged_before.down_share
    )
    assert report.certificate.extra_cost <= 0.03


def test_certificate_agrees_with_brute_force() -> None:
    space = blocks(kernel_size=3, expansion_ratio=2, kind="ibn")
    target = load_target("edge-npu")
    score = get_score("trainability")
    judged: dict[tuple[int, ...], tuple[float, float]] = {}
    for genome in itertools.product(*map(range, space.sizes)):
        graph = space.decode(genome).lower()
        judged[genome] = (estimate(graph, target).latency_s, score(graph))
    curated = curate(space, target, tolerance=0.01, agreement=0.5, regret=math.inf)
    assert curated.report.size_after < curated.report.size_before
    after = [judged[tuple(genome)] for genome in curated.in_source(every(curated)).tolist()]
    extra = max(
        min((cost for cost, good in after if good >= quality - 1e-9), default=math.inf) / price - 1
        for price, quality in front(list(judged.values()))
    )
    certificate = curated.report.certificate
    assert certificate.certified
    # The front of sums over parts stands for that of the score, which they explain almost wholly.
    assert certificate.explained > 0.9
    assert certificate.lossless == (extra <= 1e-9)


def every(space: Space) -> np.ndarray[Any, np.dtype[np.int64]]:
    return np.array(list(itertools.product(*map(range, space.sizes))), np.int64)


def front(points: list[tuple[float, float]]) -> list[tuple[float, float]]:
    return [
        (cost, good)
        for cost, good in points
        if not any(c <= cost and g >= good and (c, g) != (cost, good) for c, g in points)
    ]


def test_exact_quality_gives_the_exact_regret() -> None:
    """With a quality that is a sum over knobs, the certificate's figures are those of enumeration."""
    space = chain(range(8, 73, 8), 8)
    target = load_target("edge-npu")

    def quality(genomes: Any) -> Any:
        return np.asarray(genomes, float) @ np.array([1.0, 8.0])

    curated = curate(space, target, quality=quality, agreement=0.3, tolerance=0.01, regret=math.inf)
    cost = {g: estimate(space.decode(g).lower(), target).latency_s for g in itertools.product(range(9), repeat=2)}
    before = front([(price, quality([g])[0]) for g, price in cost.items()])
    points = [(cost[tuple(g)], quality([g])[0]) for g in curated.in_source(every(curated)).tolist()]
    extra = [min((c for c, q in points if q >= good), default=math.inf) / price - 1 for price, good in before]
    certificate = curated.report.certificate
    assert (certificate.before, certificate.after) == (len(before), len(front(points)))
    assert certificate.lost == sum(share > 1e-9 for share in extra)
    assert certificate.extra_cost == pytest.approx(max(extra))
    bounded = curate(space, target, quality=quality, agreement=0.3, tolerance=0.01, regret=0.0)
    assert bounded.report.certificate.lossless
    supported = curate(space, target, quality=quality, keep="front", regret=0.02)
    assert supported.report.certificate.extra_cost <= 0.02
    assert supported.report.size_after < bounded.report.size_after


def test_a_curated_space_is_a_space() -> None:
    space = blocks()
    pins = {"stages[0].kind": ["ibn", "fused_ibn"], "stages[*].kernel_size": 3, "input_size": [3, 32, 32]}
    curated = curate(space, "camera-npu", pins=pins, forbids={"stages[0].repeats": 2}, max_entries=0)
    assert left(curated, "stages[0].kind") == ("ibn", "fused_ibn")
    assert "input_size" not in {knob.name for knob in curated.knobs}
    again = Space.from_config(config.Text(config.dump_yaml(curated.to_config())))
    assert again.digest() == curated.digest()
    rng = draw.generator(0)
    for _ in range(20):
        genome = curated.canonical(curated.sample_genome(rng))
        arch = curated.decode(genome)
        assert curated.encode(arch) == genome
        assert space.decode(curated.in_source([genome])[0].tolist()) == arch
    assert {removal.why for removal in curated.report.removals} >= {"pinned", "forbidden"}


def test_what_only_a_dropped_kind_had_goes_with_it() -> None:
    curated = curate(blocks(), "camera-npu", pins={"stages[0].kind": "conv_bn_act"}, max_entries=0, contexts=8)
    assert "expansion_ratio" not in curated.to_config()["stages"][0]
    assert isinstance(curated.sample(draw.generator(1)), Arch)


def test_what_a_user_wishes_is_checked() -> None:
    space = blocks()
    with pytest.raises(ConfigError) as caught:
        curate(
            space,
            "camera-npu",
            pins={"stages[0].kernel": 3, "stages[0].kind": "ibm"},
            forbids={"stages[0].repeats": [1, 7]},
        )
    first, second, third = caught.value.faults
    assert "pins.stages[0].kernel: no knob is called so; did you mean 'stages[0].kernel_size'?" in first
    assert "pins.stages[0].kind: 'ibm' is none of ['ibn', 'fused_ibn', 'conv_bn_act']; did you mean 'ibn'?" in second
    assert "forbids.stages[0].repeats: 7 is none of [1, 2]" in third
    contradiction = {"pins": {"stages[0].kind": "ibn"}, "forbids": {"stages[*].kind": "ibn"}}
    with pytest.raises(ConfigError, match=r"stages\[0\]\.kind: pins and forbids leave none of"):
        curate(space, "camera-npu", **contradiction)  # type: ignore[arg-type]
    with pytest.raises(ConfigError, match=r"agreement \(=0\.0\) must be above 0"):
        curate(space, "camera-npu", agreement=0.0)
    with pytest.raises(ConfigError, match="peak_activation_bytes' is no cost that adds up"):
        curate(space, "camera-npu", field="peak_activation_bytes")
    with pytest.raises(AccelzooError, match="another space"):
        curate(space, CostTable(blocks(), "camera-npu"))


def test_what_the_target_cannot_run_goes() -> None:
    target = dataclasses.replace(load_target("camera-npu"), unsupported=("activation:silu",))
    space = blocks(activation=choice("relu", "silu"), kind="ibn", kernel_size=3, expansion_ratio=2)
    curated = curate(space, target, contexts=4, max_entries=0)
    assert "stages[0].activation" not in {knob.name for knob in curated.knobs}
    (removal,) = [removal for removal in curated.report.removals if removal.knob == "stages[0].activation"]
    assert (removal.value, removal.why) == ("silu", "cannot run")


def test_without_a_front_nothing_is_certified() -> None:
    report = curate(chain(range(1, 9), 4), tiled(4), max_entries=0).report
    assert not report.certificate.certified
    assert not report.certificate.lossless
    assert report.size_after == 4
    # What is put in the place of a needless value costs as much and is better.
    assert (report.certificate.lost, report.certificate.extra_cost) == (0, 0.0)
    assert "not certified: no exact front was asked for" in report.text()


def test_report_says_why() -> None:
    report = curate(chain(range(6, 9), 8), tiled(8)).report
    text = report.text()
    assert "stages[0].out_channels: 6, 7, 8 -> 8\n  - 6, 7: costs " in text
    assert "in all 64 contexts" in text
    assert "certified: nothing lost" in text
    data = report.to_json()
    assert data["removals"][0] | {"cost": 0, "by_cost": 0} == {
        "knob": "stages[0].out_channels", "value": 6, "why": "dominated", "by": 8, "cost": 0, "by_cost": 0,
        "agreeing": 64, "contexts": 64,
    }  # fmt: skip
    assert data["certificate"]["lossless"]
    assert "| `stages[0].out_channels` | 6, 7, 8 | 8 |" in report.markdown()


def test_ruggedness_counts_every_step() -> None:
    space = chain(range(1, 9), 4)

    def price(genomes: Any) -> Any:
        # Stairs of four in one knob, a saw of two in the other.
        return 100.0 + 10 * (genomes[:, 0] // 4) + 3 * (genomes[:, 1] % 2)

    found = ruggedness(space, price)
    assert found.every
    assert (found.steps, found.flat, found.down) == (2 * 8 * 7, 8 * 6, 8 * 3)
    assert ruggedness(space, price, tolerance=0.05).flat == 8 * 6 + 8 * 7
