"""Product searches made again: candidates, picks, and a signal whose last digits differ."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from accelzoo.errors import DataError
from accelzoo.recipes.product.signal import CapacitySignal
from accelzoo.recipes.replay.again import replay
from tests.recipes.replay.finished_runs import Json, change_line, change_lock, read
from tests.recipes.replay.test_funnel import part, replayed


def test_a_run_is_identical(product_run: Path) -> None:
    found = replayed(product_run)
    assert not found.diverged
    assert [one.name for one in found.parts] == ["recipe", "target", "search widths", "choice widths", "networks"]
    assert part(found, "search widths").said.startswith("42 candidates, field by field")


def test_a_release_without_its_trace_is_compared_by_hash(product_run: Path) -> None:
    found = replayed(product_run / "release/baseline")
    assert not found.diverged
    assert "which is not here itself" in part(found, "search widths").said


def change_search(folder: Path, change: Callable[[Json], None]) -> None:
    change_lock(folder, lambda lock: change(lock["search"]["searches"]["widths"]))


def test_the_first_other_candidate_is_named(product_run: Path) -> None:
    trace = product_run / "search/widths/trace.jsonl"
    sha256 = change_line(trace, 8, lambda line: line.update(accuracy=line["accuracy"] + 1e-9))
    change_search(product_run, lambda facts: facts.update(trace_sha256=sha256))
    divergence = part(replayed(product_run), "search widths").divergence
    assert divergence is not None
    assert (divergence.index, divergence.field) == (7, "accuracy")
    assert divergence.expected == pytest.approx(divergence.got + 1e-9, rel=0, abs=1e-12)


@pytest.mark.parametrize(
    ("key", "value", "field"),
    [
        ("picks", {"wide": 0, "fast": 1}, "picks."),
        ("reached_by", 99, "reached_by"),
        ("least_trial", 0.5, "least_trial"),
    ],
)
def test_another_choice_is_named(product_run: Path, key: str, value: object, field: str) -> None:
    change_search(product_run, lambda facts: facts.update({key: value}))
    divergence = part(replayed(product_run), "choice widths").divergence
    assert divergence is not None
    assert divergence.field.startswith(field)


def test_another_network_is_named(product_run: Path) -> None:
    change_lock(product_run, lambda lock: lock["search"]["networks"].update(fast="sha256:0"))
    divergence = part(replayed(product_run), "networks").divergence
    assert divergence is not None
    assert (divergence.field, divergence.expected) == ("fast", "sha256:0")


def test_a_signal_of_other_last_digits_is_replaced_by_the_recorded_one(
    product_run: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = CapacitySignal.of

    def otherwise(*arguments: object) -> CapacitySignal:
        signal = real(*arguments)  # type: ignore[arg-type]
        return replace(signal, deviations=tuple(value * (1 + 1e-12) for value in signal.deviations))

    monkeypatch.setattr(CapacitySignal, "of", otherwise)
    search = part(replayed(product_run), "search widths")
    assert search.status == "identical"
    assert "with the recorded signal, of which now signal.deviations[0]: expected" in search.said


def test_what_the_lock_lacks_is_told(product_run: Path) -> None:
    change_search(product_run, lambda facts: facts.pop("tried"))
    with pytest.raises(DataError, match=r"lock: search\.searches\.widths: missing: tried"):
        replayed(product_run)


def test_trainings_are_repeated_bit_for_bit_from_the_trunk_on(product_run: Path, tmp_path: Path) -> None:
    lock = read(product_run / "lock.json")
    fast = lock["search"]["networks"]["fast"].removeprefix("sha256:")[:12]
    found = replay(str(product_run / "release/fast"), train=True, out=tmp_path / "again", progress=False)
    (training,) = [one for one in found.parts if one.name.startswith("training ")]
    assert training.name == f"training train-{fast}-seed1"
    assert training.status == "identical"
    assert "weights bit for bit" in training.said
    assert sorted(path.name.split("-")[0] for path in (tmp_path / "again/jobs").glob("*.json")) == ["pretrain", "train"]
