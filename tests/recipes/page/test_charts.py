"""The numbers behind the charts."""

from __future__ import annotations

import itertools
import json
import statistics
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from accelzoo.errors import DataError
from accelzoo.hwmodel import estimate, load_target
from accelzoo.pretrained import ZOO, find_release
from accelzoo.recipes.page import html
from accelzoo.recipes.page.agreement_chart import pairs_of
from accelzoo.recipes.page.arch_text import arch_text
from accelzoo.recipes.page.block_chart import block_figure
from accelzoo.recipes.page.curve_chart import curve_figure, read_curves
from accelzoo.recipes.page.figure import Absent, Figure
from accelzoo.recipes.page.figures import all_figures
from accelzoo.recipes.page.landscape_chart import landscape_figure
from accelzoo.recipes.page.material import Material, read_material
from accelzoo.recipes.page.networks import networks_of
from accelzoo.recipes.page.overview import searches_table
from accelzoo.recipes.page.pareto_chart import evenly, pareto_figure, stairs
from accelzoo.recipes.page.progress_chart import best_scores, chance, fastest_so_far, volumes
from accelzoo.recipes.page.score_chart import score_figure
from accelzoo.recipes.page.tables import comparison_table
from accelzoo.recipes.page.theme import DARK, LIGHT, coloured
from accelzoo.recipes.page.width_chart import relative_widths
from accelzoo.registry import get_arch
from accelzoo.search.record import Price, Record
from tests.recipes.page.places import PRODUCT, write_product_run
from tests.recipes.run_folders import write_run, write_search

pytest.importorskip("altair", reason="charts need the extra [plot]")


@pytest.fixture(scope="module")
def product(tmp_path_factory: pytest.TempPathFactory) -> Material:
    return read_material(str(write_product_run(tmp_path_factory.mktemp("runs") / "product")))


def record(index: int, accuracy: float, latency_s: float, *, evaluated: bool = True) -> Record:
    cost = Price(latency_s=latency_s, energy_j=1, peak_activation_bytes=1, weight_bytes=1, dram_bytes=1, macs=1)
    return Record(index=index, genome=(index,), status="ok", evaluated=evaluated, cost=cost, accuracy=accuracy,
                  score=accuracy)  # fmt: skip


def test_chance_is_the_mean_over_all_draws() -> None:
    values = [0.3, 0.9, 0.5, 0.5, 0.1]
    expected = [
        statistics.fmean(max(drawn) for drawn in itertools.combinations(values, count))
        for count in range(1, len(values) + 1)
    ]
    assert chance(values, range(1, 6)) == pytest.approx(expected, rel=1e-12)


def test_stairs_are_the_most_accurate_up_to_each_cost() -> None:
    rng = np.random.default_rng(0)
    points = [(float(cost), float(accuracy)) for cost, accuracy in rng.integers(0, 12, (40, 2))]
    found = dict(stairs(points))
    for cost in range(12):
        best = max((accuracy for other, accuracy in points if other <= cost), default=None)
        reached = [accuracy for other, accuracy in found.items() if other <= cost]
        assert (max(reached) if reached else None) == best


def test_progress_counts_evaluations() -> None:
    records = [record(0, 0.5, 3), record(1, 0.5, 2, evaluated=False), record(2, 0.4, 1), record(3, 0.7, 4)]
    assert best_scores(records) == [(1, 0.5), (3, 0.7), (3, 0.7)]
    assert fastest_so_far(records, "latency_s", 0.5) == [(1, 3), (1, 2), (3, 2)]
    assert fastest_so_far(records, "latency_s", 0.9) == []
    assert [one.index for one in evenly(records, 2)] == [0, 2]
    assert evenly(records, 9) == records


def test_the_last_hypervolume_is_that_of_the_front(product: Material) -> None:
    (search,) = product.searches
    assert search.front is not None
    points, bounds = volumes(search.records, search.front)
    # By hand: with one cost, rectangles between the front's neighbours, in shares of the cost's bound.
    accuracy, most = bounds
    corners = sorted((one.cost.latency_s, one.accuracy) for one in search.front.members if one.cost)
    ends = [cost for cost, _ in corners[1:]] + [most]
    area = sum((end - cost) / most * (reached - accuracy) for (cost, reached), end in zip(corners, ends, strict=True)
               if reached is not None)  # fmt: skip
    assert points[-1][1] == pytest.approx(area, rel=1e-9)
    assert [value for _, value in points] == sorted(value for _, value in points)


def test_a_front_point_carries_its_architecture_and_price(product: Material) -> None:
    (search,) = product.searches
    figure = pareto_figure(search)
    assert isinstance(figure, Figure)
    picked = product.comparison["networks"][1] if product.comparison else {}
    (row,) = [row for row in figure.panels[0].table.rows if "(V1)" in row[0]]
    assert row[0] == "421 (V1)"
    assert row[2] == f"{picked['prices']['ethos-u85-1024']['cost']['latency_s'] * 1e6:#.4g} µs"
    assert row[3].startswith("3x")
    lines = (ZOO / PRODUCT / "trace.jsonl").read_text("utf-8").splitlines()[1:]
    scored = sum(json.loads(line)["status"] == "ok" for line in lines)
    assert figure.notes[0].startswith(f"{scored:,} candidates, {len(figure.panels[0].table.rows)} on the front")


def test_what_a_search_was_used_for_is_marked_on_its_front(product: Material) -> None:
    (search,) = product.searches
    figure = pareto_figure(search)
    assert isinstance(figure, Figure)
    marked = [row for rows in figure.panels[0].spec["datasets"].values() for row in rows if "name" in row]
    lock = json.loads((ZOO / PRODUCT / "lock.json").read_text("utf-8"))
    picks = lock["search"]["searches"][search.name]["picks"]
    assert {row["name"]: row["who"] for row in marked} == {name: f"{at} ({name})" for name, at in picks.items()}


def test_searches_stand_side_by_side(product: Material) -> None:
    (search,) = product.searches
    table = searches_table([search, replace(search, name="twin", title="")])
    assert table.header == ["", search.name, "twin"]
    rows = {row[0]: row[1:] for row in table.rows}
    assert rows["search"] == [f"{search.name}: {search.title}", "twin"]
    assert "population" in rows["its settings"][0]
    assert "{" not in rows["its settings"][0]
    assert "note" not in rows  # none has one


def test_a_section_is_not_named_twice() -> None:
    absent = Absent(name="x", title="Pareto front", reason="Try `accelzoo <plot>`.")
    assert html.Charts().show([absent], "Pareto front").startswith('<p class="absent">')
    shown = html.Charts().show([absent], "Progress")
    assert shown.startswith("<h3>Pareto front</h3>")
    assert "Try <code>accelzoo &lt;plot&gt;</code>." in shown


def test_blocks_add_up_to_the_whole(product: Material) -> None:
    networks = networks_of(product)
    assert not isinstance(networks, str)
    assert [one.name for one in networks.shown] == ["baseline", "V1", "V2", "V3"]
    for one in networks.shown:
        assert one.cost.latency_s == pytest.approx(estimate(one.arch.lower(), networks.target).latency_s)
    figure = block_figure(networks)
    assert isinstance(figure, Figure)
    shares = [float(row[4].removesuffix(" %")) for row in figure.panels[0].table.rows]
    assert sum(shares) == pytest.approx(100, abs=0.06 * len(shares))


def test_predictions_are_paired_with_what_the_compiler_says(product: Material) -> None:
    pairs = pairs_of(product)
    assert {pair.network for pair in pairs} == {"baseline", "V1", "V2", "V3"}
    assert len({(pair.network, pair.target) for pair in pairs}) == len(pairs)
    lock = json.loads((ZOO / PRODUCT / "lock.json").read_text("utf-8"))
    first = lock["comparison"]["networks"][0]
    own = next(pair for pair in pairs if (pair.network, pair.target) == ("baseline", lock["target"]["name"]))
    assert own.found_s == first["compiled"]["latency_s"]
    assert own.predicted_s == first["prices"][own.target]["cost"]["latency_s"]


def test_curves_come_from_jobs_and_checkpoints(product: Material, tmp_path: Path) -> None:
    assert [curve.points for curve in read_curves(product)] == [((1, 2.0, 0.1), (2, 1.0, 0.2), (3, 2 / 3, 0.1 * 3))] * 2
    assert isinstance(curve_figure(product), Figure)
    write_run(tmp_path / "run", done=12)
    folder = tmp_path / "run" / "trainings" / "winner-seed1"
    folder.mkdir(parents=True)
    epoch: dict[str, Any] = {"epoch": 1, "step": 4, "loss": 0.5, "learning_rate": 0.1, "images_per_s": 9.0}
    history = [epoch | {"validation": {"correct": 30, "count": 40, "loss": 0.7}}]
    written = json.dumps({"scalars": {"history": history}})
    (folder / "checkpoint.json").write_text(written, encoding="utf-8")
    (curve,) = read_curves(read_material(str(tmp_path / "run")))
    assert (curve.network, curve.points, curve.is_short) == ("winner", ((1, 0.5, 0.75),), False)
    (folder / "checkpoint.json").write_text("[]", encoding="utf-8")
    with pytest.raises(DataError, match=r"checkpoint\.json: no history"):
        read_curves(read_material(str(tmp_path / "run")))


def test_what_is_not_there_has_a_reason(tmp_path: Path) -> None:
    write_search(tmp_path / "own", evaluations=5)
    absent = {one.name: one.reason for one in all_figures(read_material(str(tmp_path / "own")))
              if isinstance(one, Absent)}  # fmt: skip
    assert absent.keys() == {"networks", "knobs", "blocks", "predicted", "curves"}
    assert "too few to tell" in absent["knobs"]
    release = {one.name: one.reason for one in all_figures(read_material("cells_baseline"))
               if isinstance(one, Absent)}  # fmt: skip
    assert "No search found this network" in release["pareto"]
    assert "A release has none" in release["curves"]


def test_the_table_is_the_lock(product: Material) -> None:
    found = comparison_table(product)
    assert found is not None
    table, notes = found
    assert [row[0] for row in table.rows] == ["baseline", "V1", "V2", "V3"]
    assert all(len(row) == len(table.header) for row in table.rows)
    whole = comparison_table(read_material("camera_accel"))
    assert whole is not None
    rows = {row[0]: row[1:] for row in whole[0].rows}
    # What README's table of that release says.
    assert rows["latency (ms)"] == ["0.497", "0.2068", "-58.4%"]
    assert rows["test top-1 (%), 3 seeds"] == ["70.59 ± 0.58", "70.73 ± 0.75", "+0.14 ± 0.55 points"]
    assert "10,000 test images" in whole[1][0]
    assert notes


def test_intervals_and_seeds_of_networks(product: Material) -> None:
    figure = score_figure(product)
    assert isinstance(figure, Figure)
    assert product.comparison is not None
    means = [f"{100 * one['test_mean']:.2f}" for one in product.comparison["networks"]]
    assert [row[3].split(" ")[0] for row in figure.panels[0].table.rows] == means


def test_widths_are_relative_to_the_original() -> None:
    choices = [{"widths": [8, 10]}, {"widths": [16, 30]}]
    assert relative_widths(choices, [16, 10]) == [0.75, 2.0]


def test_architecture_in_a_line() -> None:
    text = arch_text(get_arch("camera_ibn"))
    assert text.startswith("3x32x32; stem ")
    assert text.count(";") == 1 + len(get_arch("camera_ibn").groups())
    release = find_release("camera_accel").config["accelzoo"]
    assert release["target"] == load_target("camera-npu").name


def test_colours_are_given_to_roles_alone() -> None:
    spec = {"mark": {"color": "@ink"}, "data": {"values": [{"who": "@ink"}]}, "range": ["@front", "x"]}
    assert coloured(spec, LIGHT) == {**spec, "mark": {"color": "#222222"}, "range": ["#0072B2", "x"]}
    assert LIGHT.keys() == DARK.keys()


def test_a_curation_is_drawn_from_its_report(tmp_path: Path) -> None:
    report = {
        "space": "camera", "target": "ethos-u85-1024", "field": "latency_s", "size_before": 1e6, "size_after": 1e3,
        "changes": [{"knob": "stages[4].out_channels", "before": [32, 48, 64, 80, 96], "after": [32, 64, 80, 96]}],
    }  # fmt: skip
    path = tmp_path / "curation.json"
    path.write_text(json.dumps(report), encoding="utf-8")
    figure = landscape_figure(path)
    assert isinstance(figure, Figure)
    before, after = (panel.table.rows for panel in figure.panels)
    assert len(after) < len(before)
    assert set(map(tuple, after)) < set(map(tuple, before))
    rows = figure.panels[0].spec["encoding"]["y"]["scale"]["domain"]
    assert rows == sorted(rows, reverse=True)  # the first is at the top
    assert "as they were" not in " ".join(figure.notes)
    path.write_text(json.dumps(report | {"changes": []}), encoding="utf-8")
    figure = landscape_figure(path)
    assert isinstance(figure, Figure)
    assert "stages[4].out_channels as they were" in figure.notes[-1]
    path.write_text("{}", encoding="utf-8")
    with pytest.raises(DataError, match="space, target, field"):
        landscape_figure(path)
    with pytest.raises(DataError, match=r"nowhere\.json: cannot be read"):
        landscape_figure(tmp_path / "nowhere.json")
    space = tmp_path / "space.yaml"
    space.write_text("schema: 1\n", encoding="utf-8")
    with pytest.raises(DataError, match=r"space\.yaml: not what .*; the space that -o writes is not it"):
        landscape_figure(space)
