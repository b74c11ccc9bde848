"""Searches whose driver and workers are killed with SIGKILL end with the trace of an unbroken one in one process."""

from __future__ import annotations

import os
from collections import Counter
from pathlib import Path

import pytest

from accelzoo.search import read_trace
from tests.search.killed_workers import SPACE, Kills, killed, recorded, search

pytestmark = pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="finds workers by /proc")


def check(folder: Path, kills: int, evaluations: int, pause_s: float, longest_s: float, seed: int) -> tuple[Kills, str]:
    """Kills a search and compares what it leaves with an unbroken one; returns what happened, in words too."""
    broken, unbroken = folder / "broken", folder / "unbroken"
    expected = search(unbroken, folder / "unbroken.txt", evaluations)
    settings = {"evaluations": evaluations, "pause_s": pause_s, "workers": 3}
    done = killed(broken, folder / "broken.txt", kills, longest_s, seed, **settings)
    assert done.status == 0
    assert not done.orphans
    assert (broken / "trace.jsonl").read_bytes() == (unbroken / "trace.jsonl").read_bytes()
    found = search(broken, folder / "broken.txt", evaluations)  # everything is there: evaluates nothing
    assert [one.genome for one in found.front] == [one.genome for one in expected.front]
    lines = [line.split() for line in (folder / "broken.txt").read_text().splitlines()]
    ends = Counter(name for what, name, _ in lines if what == "end")
    records = [record for record in read_trace(broken).records if record.evaluated]
    evaluated = {"".join(map(str, SPACE.canonical(record.genome))): record for record in records}
    assert set(ends) == set(evaluated)  # no candidate was lost, and nothing else was evaluated
    assert len(evaluated) == evaluations
    assert [line for line in lines if line[0] == "again"] == []
    begun = sum(what == "begin" for what, _, _ in lines)
    memory = sum("out of memory" in (record.reason or "") for record in evaluated.values())
    text = (
        f"{done.drivers} drivers and {done.workers} workers killed in {done.lives} lives; {evaluations} evaluated "
        f"candidates of {len(found.trace)}: begun {begun} times, finished {sum(ends.values())} times, of these "
        f"{sum(ends.values()) - evaluations - memory} more than once before their result was recorded, {memory} out of "
        f"memory twice; begun again after that: 0; workers of {len({pid for *_, pid in lines} - {str(os.getpid())})} "
        "processes; trace and front identical"
    )
    print(text)
    return done, text


def test_a_few_kills_change_nothing(tmp_path: Path) -> None:
    done, _ = check(tmp_path, kills=3, evaluations=40, pause_s=0.06, longest_s=0.25, seed=2)
    assert done.drivers + done.workers == 3
    assert done.drivers > 0
    assert done.workers > 0


@pytest.mark.slow
def test_fifty_kills_change_nothing(tmp_path: Path) -> None:
    done, _ = check(tmp_path, kills=50, evaluations=400, pause_s=0.2, longest_s=1.6, seed=1)
    assert done.drivers + done.workers == 50
    assert min(done.drivers, done.workers) >= 15


def test_what_is_on_the_disk_is_read(tmp_path: Path) -> None:
    search(tmp_path, tmp_path / "journal.txt", 10)
    genomes = [list(record.genome) for record in read_trace(tmp_path).records if record.evaluated]
    assert [line["genome"] for line in recorded(tmp_path)] == genomes
