"""A search against a baseline: its front against all networks of a small space, resumed, with workers, and in vain."""

from __future__ import annotations

import itertools
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from accelzoo import config
from accelzoo.errors import AccelzooError, BudgetError, ConfigError, DataError, TraceError
from accelzoo.hwmodel import estimate, load_target
from accelzoo.knobs import Choice, Space
from accelzoo.recipes.product import searching
from accelzoo.recipes.product.schema import ProductRecipe, SegmentationPlan, SignalPlan
from accelzoo.recipes.product.searching import Found, fit_baseline, fit_space, search_space
from accelzoo.recipes.product.signal import CapacitySignal
from tests.recipes.product.tiny_detector import baseline, config_of, recipe, space

TARGET = load_target("camera-npu")


def search(folder: Path, plan: ProductRecipe, given: Space | None = None) -> Found:
    spec = plan.searches["around"]
    return search_space("around", spec, plan, given or space(), TARGET, baseline(), folder, 1, False)


def test_the_front_is_that_of_all_networks_which_beat_the_baseline(tmp_path: Path) -> None:
    found = search(tmp_path / "run", recipe(tmp_path))
    assert found.name == "around"
    assert found.facts["stopped"] == "exhausted"
    assert found.facts["baseline_in_space"]
    signal = CapacitySignal.from_json(found.facts["signal"])
    around, baseline_s = space(), estimate(baseline().lower(), TARGET).latency_s
    assert found.facts["baseline_latency_s"] == baseline_s
    points = set()
    for genome in itertools.product(*map(range, around.sizes)):
        arch = around.decode(genome)
        point = (signal(arch), estimate(arch.lower(), TARGET).latency_s)
        if point[0] >= 0 and point[1] < baseline_s:
            points.add(point)
    best = {
        one for one in points if not any(other[0] >= one[0] and other[1] <= one[1] and other != one for other in points)
    }
    assert best
    assert {(one.signal, one.latency_s) for one in found.front} == best
    latencies = [one.latency_s for one in found.front]
    assert latencies == sorted(latencies, reverse=True)
    for one in found.front:
        assert one.arch == around.decode(one.genome).normal()


def test_a_search_that_was_stopped_goes_on_and_workers_decide_nothing(tmp_path: Path) -> None:
    plan = recipe(tmp_path, evaluations=40, options={"population": 8})
    found = search(tmp_path / "one", plan)
    assert search(tmp_path / "one", plan) == found
    trace = found.trace.read_bytes()
    found.trace.write_bytes(trace[: len(trace) // 2])
    assert search(tmp_path / "one", plan) == found
    assert found.trace.read_bytes() == trace
    # With the same `pending`, traces are the same whatever the number of workers (tests/search).
    assert json.loads(trace.splitlines()[0])["pending"] == searching.PENDING


def test_a_kept_signal_is_taken_and_a_damaged_one_named(tmp_path: Path) -> None:
    plan = recipe(tmp_path, evaluations=20)
    found = search(tmp_path, plan)
    path = tmp_path / searching.SIGNAL_FILE
    kept = path.read_text("utf-8")
    path.write_text(kept.replace('"seed": 0', '"seed": 5'), encoding="utf-8")
    with pytest.raises(TraceError):  # the trace is of another signal
        search(tmp_path, plan)
    path.write_text("{", encoding="utf-8")
    with pytest.raises(DataError, match=r"signal\.json: no signal: .*remove the file"):
        search(tmp_path, plan)
    path.unlink()
    assert search(tmp_path, plan) == found


def test_where_nothing_beats_the_baseline_it_says_how_near_the_search_came(tmp_path: Path) -> None:
    plan = recipe(tmp_path, signal=SignalPlan(scores=("macs",), sample=8, least=50.0))
    with pytest.raises(BudgetError, match=r"search 'around': nothing of .* 'around' is faster than the") as caught:
        search(tmp_path / "high", plan)
    _, largest, least, _ = str(caught.value).splitlines()
    assert largest.startswith("  the largest signal of faster ones: ")
    assert least == "  the least latency with that signal: none up to 1.25 × the baseline's latency"
    only = space(widths=(16,), ratios=(4, 6), kinds=("ibn",))
    with pytest.raises(BudgetError) as caught:
        search(tmp_path / "same", recipe(tmp_path), only)
    _, largest, least, _ = str(caught.value).splitlines()
    assert largest == "  the largest signal of faster ones: none is faster"
    baseline_ms = estimate(baseline().lower(), TARGET).latency_s * 1e3
    assert least == f"  the least latency with that signal: 0 at {baseline_ms:.4g} ms"


def test_fewer_networks_than_picks_are_refused(tmp_path: Path) -> None:
    names = tuple(f"pick{index}" for index in range(54))
    plan = recipe(tmp_path)
    spec = replace(plan.searches["around"], picks=names)
    with pytest.raises(AccelzooError, match="networks beat the baseline where 54 are to be picked"):
        search_space("around", spec, plan, space(), TARGET, baseline(), tmp_path / "run", 1, False)


def test_a_task_that_is_not_the_datas_is_refused(tmp_path: Path) -> None:
    other = replace(recipe(tmp_path), detection=None, segmentation=SegmentationPlan())
    with pytest.raises(ConfigError, match="space 'around' is for detection, the recipe's data are for segmentation"):
        search(tmp_path, other)
    with pytest.raises(ConfigError, match=r"baseline: '.*' is for detection, the recipe's data are for segmentation"):
        fit_baseline(other, 3)


def test_a_target_that_cannot_run_the_baseline_is_refused(tmp_path: Path) -> None:
    poor = replace(TARGET, unsupported=("depthwise_conv2d",))
    plan = recipe(tmp_path)
    with pytest.raises(ConfigError, match=r"target 'camera-npu' cannot run the baseline's .*depthwise_conv2d"):
        search_space("around", plan.searches["around"], plan, space(), poor, baseline(), tmp_path, 1, False)


def test_baseline_and_space_get_the_classes_of_the_data(tmp_path: Path) -> None:
    assert fit_baseline(recipe(tmp_path), 7).head.num_classes == 7
    fitted = fit_space(space(), 7)
    assert (fitted.sizes, fitted.name) == (space().sizes, "around")
    assert {fitted.decode(genome).head.num_classes for genome in itertools.product(range(2), repeat=4)} == {7}
    heads: dict[str, Any] = {"head": Choice(({"kind": "ssdlite"}, {"kind": "retina", "num_classes": 3}))}
    fitted = fit_space(Space("heads", {**config_of(), **heads}), 2)
    assert [value["num_classes"] for value in fitted.knobs[0].values] == [2, 2]
    headless = {name: value for name, value in config_of().items() if name != "head"}
    with pytest.raises(ConfigError, match="space 'headless' has no head"):
        fit_space(Space("headless", headless), 2)


def test_the_signal_is_named_by_its_digest(tmp_path: Path) -> None:
    found = search(tmp_path, recipe(tmp_path, evaluations=20))
    assert found.facts["signal_digest"] == config.digest(found.facts["signal"])
