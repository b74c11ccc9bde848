"""What Optuna reads of a trace is what is in the trace; nothing is written over; the command says what it wrote."""

from __future__ import annotations

import itertools
import sys
from pathlib import Path
from typing import Any

import pytest

from accelzoo import get_space
from accelzoo.config import dump_yaml
from accelzoo.errors import AccelzooError, ConfigError, TraceError
from accelzoo.knobs import Space, choice
from accelzoo.recipes.cli import main
from accelzoo.search import COST_FIELDS, Named, Objective, Record, Result, read_trace, run
from accelzoo.search.optuna_journal import export_journal
from tests.search import toy
from tests.search.adapters import resumed

SPACE = Space(
    "small",
    {
        "input_size": [3, 16, 16],
        "stem": {"out_channels": 8},
        "stages": [
            {
                "kind": choice("conv_bn_act", "ibn"),
                "kernel_size": choice(3, 5),
                "expansion_ratio": choice(2, 3, 4, 6),  # makes no difference to conv_bn_act
                "repeats": choice(1, 2, 3, 4),
                "out_channels": choice(8, 16),
            }
        ],
    },
)


def toy_costs(arch: Any) -> toy.ToyCost:
    count = sum(stage.repeats for stage in arch.stages)
    return toy.ToyCost(latency_s=count / 1000, macs=count * 1000, weight_bytes=arch.stages[0].block.out_channels)


def search(folder: Path, **settings: Any) -> Result:
    """A search with everything that can become of a candidate."""
    calls = itertools.count()

    def evaluate(arch: Any) -> float:
        return float("nan") if next(calls) == 3 else sum(stage.repeats for stage in arch.stages) / 10

    return run(
        SPACE,
        Named(evaluate, "toy"),
        costs=Named(toy_costs, "toy"),
        budgets={"latency_s": 0.003},
        algorithm="random",
        evaluations=40,
        folder=folder,
        progress=False,
        **settings,
    )


def loaded(path: Path, name: str = "accelzoo") -> Any:
    optuna = pytest.importorskip("optuna", reason="needs the extra [optuna]")
    journal = optuna.storages.journal
    return optuna.load_study(study_name=name, storage=journal.JournalStorage(journal.JournalFileBackend(str(path))))


def check(trial: Any, record: Record, minimised: tuple[str, ...]) -> None:
    known = trial.user_attrs
    assert (trial.number, known["index"]) == (record.index, record.index)
    assert tuple(known["genome"]) == record.genome
    assert known["status"] == record.status
    for name in ("arch", "accuracy", "score", "violation", "reason", "duplicate_of"):
        assert known.get(name) == getattr(record, name)
    for name in COST_FIELDS:
        assert known.get(name) == (None if record.cost is None else getattr(record.cost, name))
    if record.score is not None:
        assert trial.state.name == "COMPLETE"
        assert trial.values == [record.score, *(getattr(record.cost, name) for name in minimised)]
    else:
        assert trial.state.name == ("FAIL" if record.violation is None else "PRUNED")
        assert trial.values is None
    assert trial.constraints == ({} if record.violation is None else {"budgets": record.violation})


@pytest.mark.parametrize("minimised", [(), ("latency_s", "macs")])
def test_what_optuna_reads_is_what_is_in_the_trace(tmp_path: Path, minimised: tuple[str, ...]) -> None:
    pytest.importorskip("optuna", reason="needs the extra [optuna]")
    algorithm = {"objective": Objective(minimise=minimised)} if minimised else {}
    result = search(tmp_path, **algorithm)
    assert {record.status for record in result.trace} == {"ok", "infeasible", "failed", "duplicate"}
    assert export_journal(result, tmp_path / "study.log") == len(result.trace)
    study = loaded(tmp_path / "study.log")
    assert [direction.name for direction in study.directions] == ["MAXIMIZE", *["MINIMIZE"] * len(minimised)]
    assert study.metric_names == ["score", *minimised]
    assert study.user_attrs["seed"] == 0
    assert study.user_attrs["budgets"] == {"latency_s": 0.003}
    for trial, record in zip(study.trials, result.trace, strict=True):
        check(trial, record, minimised)
        assert trial.params == SPACE.values(record.genome)
    if not minimised:
        assert study.best_value == result.best.score


def test_a_space_that_is_not_known_has_numbers(tmp_path: Path) -> None:
    pytest.importorskip("optuna", reason="needs the extra [optuna]")
    result = resumed.search("random", None, 20, folder=tmp_path)
    export_journal(tmp_path, tmp_path / "study.log", study="mine")
    for trial, record in zip(loaded(tmp_path / "study.log", "mine").trials, result.trace, strict=True):
        assert trial.params == {f"x{at}": choice for at, choice in enumerate(record.genome)}
        assert trial.distributions["x1"].high == 2  # three choices
        check(trial, record, ())


def test_values_that_are_no_plain_ones_are_json(tmp_path: Path) -> None:
    pytest.importorskip("optuna", reason="needs the extra [optuna]")
    result = run(get_space("camera"), Named(lambda arch: 1.0, "one"), evaluations=2, algorithm="random", progress=False)
    export_journal(result, tmp_path / "study.log")
    sides = {trial.params["input_size"] for trial in loaded(tmp_path / "study.log").trials}
    assert sides <= {"[3,24,24]", "[3,28,28]", "[3,32,32]"}


def test_nothing_is_written_over_and_nothing_is_mistaken(tmp_path: Path) -> None:
    pytest.importorskip("optuna", reason="needs the extra [optuna]")
    search(tmp_path)
    kept = tmp_path / "kept"
    kept.write_text("mine")
    with pytest.raises(ConfigError, match="kept: exists already"):
        export_journal(tmp_path, kept)
    assert kept.read_text() == "mine"
    with pytest.raises(ConfigError, match=r"space 'camera' .* is not what was searched"):
        export_journal(tmp_path, tmp_path / "study.log", get_space("camera"))
    with pytest.raises(TraceError, match="there is no trace"):
        export_journal(tmp_path / "nowhere", tmp_path / "study.log")
    assert not (tmp_path / "study.log").exists()


def test_without_optuna_the_error_says_how(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "optuna", None)
    with pytest.raises(AccelzooError, match=r"the package optuna is not installed: pip install 'accelzoo\[optuna\]'"):
        export_journal(tmp_path, tmp_path / "study.log")


def test_the_command_names_knobs_of_a_shipped_space(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    pytest.importorskip("optuna", reason="needs the extra [optuna]")
    folder, file = tmp_path / "mine", tmp_path / "study.log"
    space = get_space("resnet")
    signal = Named(lambda arch: 1.0, "one")
    result = run(space, signal, evaluations=3, algorithm="random", folder=folder, progress=False)
    assert main(["journal", str(folder), "--out", str(file)]) == 0
    assert capsys.readouterr() == (f"wrote {file}: study 'mine', 3 trials\n", "")
    found = [trial.params for trial in loaded(file, "mine").trials]
    assert found == [space.values(record.genome) for record in result.trace]
    assert main(["journal", str(folder), "--out", str(file)]) != 0
    assert "exists already" in capsys.readouterr().err


def test_the_command_takes_a_space_that_is_not_shipped(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    pytest.importorskip("optuna", reason="needs the extra [optuna]")
    search(tmp_path / "mine")
    file, own = tmp_path / "small.yaml", tmp_path / "study.log"
    file.write_text(dump_yaml(SPACE.to_config()))
    assert main(["journal", str(tmp_path / "mine"), "--out", str(tmp_path / "numbers.log")]) == 0
    assert "--space names it" in capsys.readouterr().err
    assert set(loaded(tmp_path / "numbers.log", "mine").trials[0].params) == {f"x{at}" for at in range(5)}
    assert main(["journal", str(tmp_path / "mine"), "--out", str(own), "--space", str(file)]) == 0
    trial, record = loaded(own, "mine").trials[5], read_trace(tmp_path / "mine").records[5]
    assert trial.params == SPACE.values(record.genome)
