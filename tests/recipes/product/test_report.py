"""The comparison of a product run: tables, sentences, plain data; and what fusion does block by block."""

from __future__ import annotations

import json
import math
from dataclasses import replace

import pytest

from accelzoo import get_arch
from accelzoo.hwmodel import Cost, load_target
from accelzoo.recipes.product.block_parts import block_parts
from accelzoo.recipes.product.fusion import FusionEffect, fusion_effects, fusion_sentence, later_fusions_hurt
from accelzoo.recipes.product.report import ProductComparison
from accelzoo.recipes.product.values import Priced, Referee
from tests.recipes.product.product_runs import TARGET, comparison, fused, price, small_detector, trained

COST = Cost(latency_s=10e-3, weight_bytes=2048, peak_activation_bytes=4096, macs=2_000_000)
HALF = Cost(latency_s=4e-3, weight_bytes=1024, peak_activation_bytes=4096, macs=500_000)


def priced(cost: Cost, **others: Priced) -> dict[str, Priced]:
    return {TARGET: Priced(target=TARGET, cost=cost), **others}


def run(**changes: object) -> ProductComparison:
    baseline = trained("baseline", 0.70, 0.72, compiled_s=8e-3, prices=priced(COST))
    pick = trained("fast", 0.66, 0.70, title="widths", compiled_s=5e-3, prices=priced(HALF))
    return comparison([baseline, pick], **changes)


def cells(text: str, name: str) -> list[str]:
    line = next(line for line in text.splitlines() if line.startswith(f"| {name} "))
    return [cell.strip() for cell in line.strip("|").split("|")]


def test_row_by_hand() -> None:
    text = run().markdown()
    # 10 ms against 8 ms compiled: 25 % above; seeds 70 and 72: mean 71, deviation √2; intervals ±3 points.
    assert cells(text, "baseline") == [
        "baseline", "10", "8", "+25.0%", "", "2", "4", "256", "2", "71.00 ± 1.41", "68.00 … 74.00", "-0.50 ± 0.00",
    ]  # fmt: skip
    assert cells(text, "fast") == [
        "fast", "4", "5", "-20.0%", "-37.5%", "1", "4", "256", "0.5", "68.00 ± 2.83", "65.00 … 71.00", "-0.50 ± 0.00",
    ]  # fmt: skip
    assert "- `fast` (widths): latency -37.5% by the compiler, test AP50 -3.00 ± 2.24 points; within" in text


def test_reductions_and_gain_by_hand() -> None:
    comparison = run()
    found = comparison.reductions(comparison.picks[0])
    expected = {"latency_s": 0.6, "weight_bytes": 0.5, "peak_activation_bytes": 0.0, "macs": 0.75}
    assert found == pytest.approx(expected | {"compiled_latency_s": 0.375})  # no energy: the baseline takes none
    gain = comparison.gain(comparison.picks[0])
    assert gain.difference == pytest.approx(-0.03)
    assert gain.standard_error == pytest.approx(math.sqrt((0.0002 + 0.0008) / 2))
    assert comparison.fastest() is comparison.picks[0]


@pytest.mark.parametrize(
    ("score", "answer"),
    [(0.681, "yes."), (0.739, "yes."), (0.679, "no, below it."), (0.741, "no, above it.")],
)
def test_place_in_the_baselines_interval(score: float, answer: str) -> None:
    pair = [trained("baseline", 0.71, prices=priced(COST)), trained("fast", score, prices=priced(HALF))]
    text = comparison(pair).markdown()  # 0.68 … 0.74
    assert f"within the baseline's interval: {answer}" in text
    assert "One seed: small differences may be chance." in text


def test_without_compiler_and_intervals() -> None:
    pair = [
        trained("baseline", 0.71, compiled_s=8e-3, half_width=None, prices=priced(COST)),
        trained("fast", 0.70, compiled_s=None, half_width=None, prices=priced(HALF)),
    ]
    found = comparison(pair)
    assert not found.is_compiled
    assert found.latency_s(found.baseline) == 10e-3
    text = found.markdown()
    assert cells(text, "fast")[1:5] == ["4", "n/a", "n/a", "-60.0%"]
    assert "latency -60.0% by the estimate, test AP50 -1.00 points.\n" in text
    assert "Not every network was compiled" in text
    assert "ntervals" not in text
    assert "compiled (ms)" not in comparison([replace(one, compiled=None) for one in pair]).markdown()


def test_other_targets_and_why_not() -> None:
    missing = "litert is not installed"
    refereed = Priced(target="npu", cost=COST, referee=Referee(tool="zigzag-3", latency_s=20e-3))
    base = priced(COST, npu=refereed, cpu=Priced(target="cpu", cost=COST, why_not=missing))
    halved = Priced(target="npu", cost=HALF, referee=Referee(tool="zigzag-3", latency_s=15e-3))
    ours = priced(HALF, npu=halved, cpu=Priced(target="cpu", cost=HALF, why_not=missing))
    text = comparison([trained("baseline", 0.7, prices=base), trained("fast", 0.7, prices=ours)]).markdown()
    assert cells(text, "npu, baseline") == ["npu, baseline", "10", "", "20", "", "zigzag-3"]
    assert cells(text, "npu, fast") == ["npu, fast", "4", "-60.0%", "15", "-25.0%", "zigzag-3"]
    assert cells(text, "cpu, fast") == ["cpu, fast", "4", "-60.0%", "n/a", "n/a", ""]
    assert text.count(f"- cpu: no referee: {missing}\n") == 1
    odd = priced(HALF, npu=Priced(target="npu", cost=HALF, why_not="odd"))
    text = comparison([trained("baseline", 0.7, prices=base), trained("fast", 0.7, prices=odd)]).markdown()
    assert cells(text, "npu, fast") == ["npu, fast", "4", "-60.0%", "n/a", "n/a", ""]
    assert "- npu: no referee of fast: odd\n" in text


def test_why_networks_were_not_compiled_and_what_estimates_leave_out() -> None:
    base, ours = (trained(name, 0.7, compiled_s=None, prices=priced(COST)) for name in ("baseline", "fast"))
    bound = Priced(target="npu", cost=replace(HALF, unpriced=("head.pool",)))
    ours = replace(ours, prices={**ours.prices, "npu": bound})
    base = replace(base, prices={**base.prices, "npu": Priced(target="npu", cost=COST)})
    found = comparison([base, ours], not_compiled={"baseline": "no vela", "fast": "no vela"})
    text = found.markdown()
    assert "- Not compiled: `baseline`, `fast`: no vela\n" in text
    assert "- npu, fast: the estimate is a lower bound, without head.pool\n" in text
    assert found.to_json()["not_compiled"] == {"baseline": "no vela", "fast": "no vela"}


def test_jobs_that_networks_share_count_once_where_the_run_says_so() -> None:
    found = run(wall_s={"pretraining": 900.0, "training": 3600.0})
    assert found.seconds() == {"pretraining": 900.0, "training": 3600.0}


def test_core_hours_by_hand() -> None:
    found = run(wall_s={"searches": 7200.0, "trials": 0.0}, threads=2, notes=("A note.",))
    # Two networks: 900 s of pretraining each, two trainings of 1,800 s each.
    assert found.seconds() == {"searches": 7200.0, "pretraining": 1800.0, "training": 7200.0}
    text = found.markdown()
    assert cells(text, "searches") == ["searches", "2", "4"]
    assert cells(text, "all") == ["all", "4.5", "9"]
    assert "- A note.\n" in text


def test_plain_data() -> None:
    values = json.loads(json.dumps(run().to_json()))
    assert [one["name"] for one in values["networks"]] == ["baseline", "fast"]
    fast = values["networks"][1]
    assert fast["test_mean"] == pytest.approx(0.68)
    assert fast["test_interval"] == pytest.approx([0.65, 0.71])
    assert fast["reductions"]["macs"] == 0.75
    assert fast["runs"][1]["test"]["value"] == 0.70
    assert values["networks"][0]["gain"] is None


def test_what_is_refused() -> None:
    baseline = trained("baseline", 0.7, prices=priced(COST))
    with pytest.raises(ValueError, match="must have the baseline"):
        comparison([trained("fast", 0.7, prices=priced(COST))])
    with pytest.raises(ValueError, match="baseline twice"):
        comparison([baseline, baseline])
    with pytest.raises(ValueError, match="fast has no training"):
        comparison([baseline, trained("fast", prices=priced(COST))])
    with pytest.raises(ValueError, match="none on npu"):
        comparison([baseline], target="npu")
    with pytest.raises(ValueError, match="threads"):
        comparison([baseline], threads=0)


def test_block_parts_are_the_whole() -> None:
    arch = small_detector()
    cost = price(arch, TARGET)
    parts = block_parts(arch, cost)
    assert [parts[0].name, parts[1].name, parts[-1].name] == ["stem", "blocks.0.0", "head"]
    assert len(parts) == 2 + sum(len(group) for group in arch.groups())
    assert math.fsum(part.latency_s for part in parts) == pytest.approx(cost.latency_s, rel=1e-12)
    assert all(part.latency_s > 0 for part in parts)
    assert [part.family for part in parts[1:3]] == ["other", "ibn"]
    with pytest.raises(ValueError, match="no rows"):
        block_parts(arch, Cost(latency_s=1.0))


def test_fusion_is_judged_both_ways_round() -> None:
    arch, target = get_arch("camera_ibn"), load_target(TARGET)
    effects = fusion_effects(arch, target)
    # blocks.0.0 expands nothing and is no candidate; a network that is fused already is asked the same.
    assert [effect.place for effect in effects] == [(1, 0), (2, 0), (2, 1), (3, 0), (4, 0), (4, 1)]
    # A neighbour's kind moves what is kept on the chip, and with it a block's latency by little.
    assert [one.ratio for one in fusion_effects(fused(arch, (2, 0), (4, 1)), target)] == pytest.approx(
        [one.ratio for one in effects], rel=0.01
    )
    first = effects[0]
    plain, changed = (
        math.fsum(row.latency_s for row in price(one, TARGET).by_op if row.name.startswith("blocks.1.0."))
        for one in (arch, fused(arch, (1, 0)))
    )
    assert (first.ibn_s, first.fused_s) == pytest.approx((plain, changed))


@pytest.mark.parametrize(
    ("ratios", "verdict"),
    [
        ((0.5, 0.8, 1.5), "supported"),
        ((1.5, 0.9, 0.8), "refuted"),
        ((0.5, 0.6, 0.7), "refuted"),  # none is slower
        ((0.9, 1.2, 0.95), "undecided"),  # rank correlation 0.5, yet the last gains
        ((1.2, 1.2, 1.2), "refuted"),
        ((0.5, 1.5), "undecided"),
    ],
)
def test_rule_of_later_fusions(ratios: tuple[float, ...], verdict: str) -> None:
    effects = [FusionEffect(place=(index, 0), ibn_s=1.0, fused_s=ratio) for index, ratio in enumerate(ratios)]
    assert later_fusions_hurt(effects) == verdict


def test_fusion_sentence() -> None:
    arch = small_detector()
    pick = fused(arch, (1, 0), (2, 1))
    found = comparison([trained("baseline", 0.7), trained("early", 0.7, arch=pick), trained("plain", 0.7)])
    text = fusion_sentence(found, load_target(TARGET))
    assert "`early` fuses 2 of its 19 blocks (1.0, 2.1)" in text
    assert "`plain` fuses none of its 19 blocks." in text
    assert '"Later fusions hurt"' in text
    none = comparison([trained("baseline", 0.7, arch=get_arch("resnet18"))])
    assert fusion_sentence(none, load_target(TARGET)) == f"No block of the baseline can be fused on {TARGET}."
