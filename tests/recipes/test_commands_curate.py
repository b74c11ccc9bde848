"""What the verb curate prints and writes."""

from __future__ import annotations

from pathlib import Path

import pytest

from accelzoo import config
from accelzoo.knobs import Space, choice
from tests.recipes.calls import Capture, failure, run, run_json

pytestmark = pytest.mark.usefixtures("own_places")
QUICK = ("--target", "camera-npu", "--contexts", "8")


@pytest.fixture
def space_file() -> str:
    """Widths around the tiles of camera-npu, which are 8 channels wide."""
    free = {"kind": "conv_bn_act", "stride": 2, "out_channels": choice(12, 14, 16)}
    template = {
        "input_size": [3, 32, 32],
        "stem": {"out_channels": 8, "stride": 2},
        "stages": [free, free | {"kernel_size": choice(3, 5)}, free | {"out_channels": 8}],
        "head": {"kind": "classification", "num_classes": 10},
    }
    Path("mine.yaml").write_text(config.dump_yaml(Space("mine", template).to_config()), encoding="utf-8")
    return "mine.yaml"


def test_curate_writes_a_space_that_reads_back(space_file: str, capsys: Capture) -> None:
    data = run_json(capsys, "curate", space_file, *QUICK, "--pin", "stages[1].kernel_size=5", "-o", "out.yaml")
    made = Space.from_config(Path("out.yaml"))
    assert made.to_config() == data["template"]
    assert Path("out.yaml").read_text(encoding="utf-8").startswith("# mine, curated for camera-npu\n# genomes: ")
    assert data["size_after"] == made.size() <= data["size_wished"] == 9
    assert {removal["why"] for removal in data["removals"]} >= {"pinned"}
    assert data["certificate"]["certified"]
    again = run(capsys, "curate", "out.yaml", *QUICK)
    assert "out on camera-npu" in again
    assert "nothing to remove" in again


def test_curate_overwrites_nothing_silently(space_file: str, capsys: Capture) -> None:
    before = Path(space_file).read_text(encoding="utf-8")
    assert "mine.yaml: is there already; --force overwrites it" in failure(
        capsys, "curate", space_file, *QUICK, "-o", space_file
    )
    assert Path(space_file).read_text(encoding="utf-8") == before
    run(capsys, "curate", space_file, *QUICK, "-o", space_file, "--force", "--forbid", "stages[*].out_channels=12")
    assert "12" not in Path(space_file).read_text(encoding="utf-8").split("input_size")[1]


def test_curate_says_what_is_wrong(space_file: str, capsys: Capture) -> None:
    assert "did you mean 'camera'?" in failure(capsys, "curate", "camerra", "--target", "edge-npu")
    assert "--target is needed: mine.yaml is a space" in failure(capsys, "curate", space_file)
    pinned = failure(capsys, "curate", space_file, *QUICK, "--pin", "stages[0].out_chanels=16")
    assert "did you mean 'stages[0].out_channels'?" in pinned
    twice = ("--pin", "stages[0].out_channels=16", "--pin", "stages[0].out_channels=14")
    assert "is given twice" in failure(capsys, "curate", space_file, *QUICK, *twice)
    assert "must be knob=value" in failure(capsys, "curate", space_file, *QUICK, "--forbid", "16")


@pytest.mark.parametrize("option", ["-o", "--plot"])
def test_curate_refuses_a_path_that_cannot_be_written_before_it_works(
    space_file: str, capsys: Capture, option: str
) -> None:
    assert "is a folder" in failure(capsys, "curate", space_file, *QUICK, option, ".", "--force")
    assert "there is no folder nowhere" in failure(capsys, "curate", space_file, *QUICK, option, "nowhere/made.png")


def test_curate_draws_a_width_that_has_one_value_left(space_file: str, capsys: Capture) -> None:
    pytest.importorskip("matplotlib", reason="the picture needs the extra [plot]")
    run(capsys, "curate", space_file, *QUICK, "--pin", "stages[0].out_channels=16", "--plot", "one.png")
    assert Path("one.png").read_bytes().startswith(b"\x89PNG")


def test_curate_draws_the_landscape(space_file: str, capsys: Capture) -> None:
    pytest.importorskip("matplotlib", reason="the picture needs the extra [plot]")
    run(capsys, "curate", space_file, *QUICK, "--plot", "one.png")
    assert Path("one.png").read_bytes().startswith(b"\x89PNG")


def test_landscape_search_stays_within_the_budget() -> None:
    import numpy as np

    from accelzoo.recipes.landscape_plot import EVALUATIONS, Landscape

    values = tuple(range(12))
    costs = np.add.outer(np.arange(12.0), np.arange(12.0)) + 1
    panel = Landscape(names=("a", "b"), values=(values, values), costs=costs, quality=costs, label="cost")
    # 55 of the 144 cells are on the first ten diagonals, 66 on the first eleven: the 40th per cent is on the eleventh.
    assert panel.budget() == 11
    asked = panel.searched(11)
    assert len(asked) == len({tuple(genome) for genome in asked.tolist()}) == EVALUATIONS
    scores = panel.scores(11)
    assert scores.max() == scores[10, 0] == 10 / 22
    assert (scores[costs > 11] < 0).all()
    assert panel.part(((0, 11), (0, 11))).costs.tolist() == [[1, 12], [12, 23]]
