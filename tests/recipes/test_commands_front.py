"""What the verb front prints and writes."""

from __future__ import annotations

import csv
import io
import json
from pathlib import Path
from typing import Any

import pytest

from accelzoo.hwmodel import estimate, load_target
from accelzoo.recipes.run_front import Front
from accelzoo.registry import get_arch
from accelzoo.search import Candidate, Result, read_trace
from accelzoo.search.growing_front import GrowingFront
from accelzoo.search.objective import Budgets
from tests.accelzoo.fresh import fresh_python
from tests.recipes.calls import Capture, failure, run, run_json
from tests.recipes.run_folders import write_run, write_search

BOTH = ("--minimise", "latency_s", "--minimise", "weight_bytes")


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Result]:
    folder = tmp_path_factory.mktemp("runs") / "recipe"
    return folder, write_run(folder)


@pytest.fixture(scope="module")
def own(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Result]:
    folder = tmp_path_factory.mktemp("runs") / "own"
    return folder, write_search(folder, evaluations=15)


def undominated(result: Result, *costs: str) -> list[int]:
    """The front by comparing every pair."""

    def point(candidate: Candidate) -> tuple[float, ...]:
        return (candidate.accuracy, *(-getattr(candidate.cost, name) for name in costs))

    scored = result.top(10_000)
    found = [
        (point(one), one.index)
        for one in scored
        if not any(
            point(other) != point(one) and all(a >= b for a, b in zip(point(other), point(one), strict=True))
            for other in scored
        )
    ]
    return [index for _, index in sorted(found, key=lambda pair: (-pair[0][0], [-cost for cost in pair[0][1:]]))]


@pytest.mark.parametrize(
    ("asked", "costs"),
    [
        (("--minimise", "latency_s"), ("latency_s",)),
        (BOTH, ("latency_s", "weight_bytes")),
        ((), ("latency_s", "peak_activation_bytes", "weight_bytes")),  # of the objective, and the budgeted ones
    ],
)
def test_front_is_what_no_candidate_beats(
    asked: tuple[str, ...], costs: tuple[str, ...], made: tuple[Path, Result], capsys: Capture
) -> None:
    folder, result = made
    found = run_json(capsys, "front", str(folder), *asked)
    assert sorted(found["minimised"]) == sorted(costs)
    assert [entry["index"] for entry in found["front"]] == undominated(result, *found["minimised"])
    best = found["front"][0]
    assert best["accuracy"] == result.best.accuracy
    assert best["cost"]["latency_s"] == estimate(result.best.arch.lower(), load_target("camera-npu")).latency_s
    assert best["genome"] == list(result.best.genome)
    assert best["knobs"]["stem.out_channels"] == result.best.arch.stem.out_channels


def test_the_baseline_comes_first_without_an_accuracy(made: tuple[Path, Result], capsys: Capture) -> None:
    # The recipe's largest resolution; nothing in the folder says that there are ten classes but the space's digest.
    arch = get_arch("camera_ibn", num_classes=10, input_size=(3, 24, 24))
    cost = estimate(arch.lower(), load_target("camera-npu"))
    found = run_json(capsys, "front", str(made[0]))["baseline"]
    assert (found["name"], found["cost"]["weight_bytes"]) == ("camera_ibn", cost.weight_bytes)
    heading, first, second, *_ = run(capsys, "front", str(made[0]), *BOTH).splitlines()
    assert heading.split() == ["candidate", "accuracy", "latency", "weights"]
    assert first.split()[:2] == ["baseline", "camera_ibn"]
    assert first.split()[2:4] == [f"{cost.latency_s * 1e6:.1f}", "µs"]
    assert second.split()[1] == f"{100 * made[1].best.accuracy:.2f}"


def test_csv_has_the_knobs_that_differ(made: tuple[Path, Result], capsys: Capture) -> None:
    text = run(capsys, "front", str(made[0]), *BOTH, "--csv")
    baseline, *rows = csv.DictReader(io.StringIO(text, newline=""), strict=True)
    listed = run_json(capsys, "front", str(made[0]), *BOTH)["front"]
    assert (baseline["candidate"], baseline["accuracy"]) == ("baseline camera_ibn", "")
    assert [int(row["candidate"]) for row in rows] == [entry["index"] for entry in listed]
    assert [float(row["energy_j"]) for row in rows] == [entry["cost"]["energy_j"] for entry in listed]
    knobs = [name for name in rows[0] if "." in name]
    for name in [*knobs, "head.kind"]:
        values = [entry["knobs"].get(name) for entry in listed]
        assert (name in knobs) == (len({json.dumps(value) for value in values}) > 1)
        if name in knobs:
            assert [row[name] for row in rows] == ["" if value is None else str(value) for value in values]


def test_tables_of_knobs_fit_the_page(made: tuple[Path, Result], capsys: Capture) -> None:
    text = run(capsys, "front", str(made[0]), "--minimise", "latency_s")
    assert max(map(len, text.splitlines())) <= 120
    assert "stem.out_channels" in text
    assert "in --csv and --json" in run(capsys, "front", str(made[0]))  # 19 columns are no table


def test_files_are_written_once(made: tuple[Path, Result], capsys: Capture, tmp_path: Path) -> None:
    for name, form in (("a.csv", "--csv"), ("a.json", "--json"), ("b", "--json")):
        path = tmp_path / name
        assert f"wrote {path}: " in run(
            capsys, "front", str(made[0]), "-o", str(path), *([form] if name == "b" else [])
        )
        assert path.read_bytes().decode() == run(capsys, "front", str(made[0]), form)
        before = path.read_bytes()
        assert f"{path}: exists already" in failure(capsys, "front", str(made[0]), "-o", str(path))
        assert path.read_bytes() == before
    assert "must end in .csv or .json" in failure(capsys, "front", str(made[0]), "-o", str(tmp_path / "c.txt"))
    missing = tmp_path / "no" / "d.csv"
    assert f"{missing}: cannot be written" in failure(capsys, "front", str(made[0]), "-o", str(missing))


def test_a_search_of_ones_own(own: tuple[Path, Result], capsys: Capture) -> None:
    folder, result = own
    found = run_json(capsys, "front", str(folder))
    assert (found["baseline"], found["note"]) == (None, None)
    assert [entry["index"] for entry in found["front"]] == undominated(result, "latency_s")
    assert found["front"][0]["knobs"]["input_size"] == list(result.best.arch.input_size)  # the space ships
    by_file = run_json(capsys, "front", str(folder / "trace.jsonl"))
    assert by_file == found


def test_genomes_of_an_unknown_space_are_shown_as_they_are(
    own: tuple[Path, Result], capsys: Capture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("accelzoo.recipes.run_view.list_spaces", list)
    found = run_json(capsys, "front", str(own[0]))
    assert found["front"][0]["knobs"] is None
    assert "genomes are shown as they are" in found["note"]
    text = run(capsys, "front", str(own[0]))
    assert " ".join(map(str, own[1].best.genome)) in text
    (first, *_) = csv.DictReader(io.StringIO(run(capsys, "front", str(own[0]), "--csv"), newline=""))
    assert first["genome"] == " ".join(map(str, own[1].best.genome))


def test_mistakes_are_told(
    own: tuple[Path, Result], capsys: Capture, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert "did you mean 'latency_s'?" in failure(capsys, "front", str(own[0]), "--minimise", "latency")
    assert "no such folder" in failure(capsys, "front", str(tmp_path / "nowhere"))
    assert "neither recipe.yaml nor trace.jsonl" in failure(capsys, "front", str(tmp_path))
    write_search(tmp_path / "free", evaluations=3, costs=None)
    assert "a search without costs has no front" in failure(capsys, "front", str(tmp_path / "free"))
    broken = tmp_path / "broken"
    broken.mkdir()
    text = (own[0] / "trace.jsonl").read_text("utf-8").replace('"index":4,', '"index":5,')
    (broken / "trace.jsonl").write_text(text, encoding="utf-8")
    assert "trace.jsonl:6: the chain breaks" in failure(capsys, "front", str(broken))


def test_a_recipe_whose_space_has_changed_shows_genomes(
    made: tuple[Path, Result], capsys: Capture, tmp_path: Path
) -> None:
    folder = tmp_path / "changed"
    (folder / "search").mkdir(parents=True)
    (folder / "search" / "trace.jsonl").write_bytes((made[0] / "search" / "trace.jsonl").read_bytes())
    recipe = (made[0] / "recipe.yaml").read_text("utf-8")
    for old, new, note in (
        ("space: camera\n", "space: ibn\n", "is another by now"),
        ("space: camera\n", "space: gone.yaml\n", "gone.yaml"),
        ("target: camera-npu\n", "target: edge-npu\n", "no price of the baseline"),
    ):
        assert old in recipe
        (folder / "recipe.yaml").write_text(recipe.replace(old, new), encoding="utf-8")
        found = run_json(capsys, "front", str(folder))
        assert note in found["note"]
        assert found["baseline"] is None
        assert (found["front"][0]["knobs"] is None) == old.startswith("space")


def test_hypervolume_is_that_of_the_search(own: tuple[Path, Result]) -> None:
    header: dict[str, Any] = {**own[1].header, "budgets": {"latency_s": 2e-3}}
    records = read_trace(own[0]).records
    front, growing = Front(("latency_s",), header), GrowingFront(("latency_s",), Budgets.of(header["budgets"]))
    for end in range(1, len(records) + 1):
        front.update(records[end - 1 : end])
        size, volume = growing.after(records[:end])
        assert len(front.members) == size
        assert front.hypervolume() == (None if volume is None else pytest.approx(volume, rel=1e-12))
    assert front.hypervolume() is not None


def test_front_and_watch_need_no_torch(made: tuple[Path, Result]) -> None:
    code = (
        "import sys; from accelzoo.recipes import cli; "
        f"cli.main(['front', {str(made[0])!r}]); cli.main(['watch', {str(made[0])!r}, '--once']); "
        "print({'torch', 'timm', 'sklearn', 'matplotlib'} & set(sys.modules))"
    )
    assert fresh_python(code).splitlines()[-1] == "set()"
