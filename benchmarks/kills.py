"""A thousand SIGKILLs, spread over everything that is kept: does one record get lost or damaged?

`python -m benchmarks.kills > benchmarks/kills.md` writes the committed table; the counts behind it are in
benchmarks/kills.json, written after every few kills, so that the benchmark itself can be killed and goes on (remove the
file to begin anew; `--kills N` per operation). On a busy machine it took 10 minutes with its files in memory (TMPDIR),
where waiting for a disk, which no kill can tell from not waiting, takes no time.

Each operation works in a forked process that is killed after a random time. Then its files are read as any other
process would read them. Lost: a record that was there, or reported as done, before the kill and is not afterwards.
Corrupt: one that does not verify, or differs from that of an unbroken run. Killed work is gone on with until it is
finished, and must end as the unbroken run did, to the byte.
"""

from __future__ import annotations

import argparse
import dataclasses
import json
import os
import signal
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

from accelzoo.draw import generator, uniform
from accelzoo.recipes.report import markdown_table
from benchmarks import kill_operations
from tests.forks import in_child, wait

RESULTS = Path(__file__).with_suffix(".json")
SAVED_EVERY = 20


class Operation(Protocol):
    """Something that keeps records, done again and again."""

    def prepare(self) -> None:
        """Gets ready for the next life; the process that will be killed is not there yet."""
        ...

    def work(self) -> None:
        """Works, in the process that will be killed."""
        ...

    def check(self, finished: bool) -> kill_operations.Found:
        """Reads what is there after a life."""
        ...


@dataclass(slots=True, kw_only=True)
class Count:
    """What the kills of one operation did."""

    kills: int = 0
    finished: int = 0  # lives that ended before their kill; not counted as kills
    records: int = 0  # checked after kills, each time
    lost: int = 0
    corrupt: int = 0
    landed: dict[str, int] = field(default_factory=dict)  # state that was found -> kills
    faults: list[str] = field(default_factory=list)

    def add(self, found: kill_operations.Found, killed: bool) -> None:
        """Counts one life."""
        self.kills += killed
        self.finished += not killed
        self.records += found.records
        self.lost += len(found.lost)
        self.corrupt += len(found.corrupt)
        self.faults += [*found.lost, *found.corrupt]
        if killed:
            self.landed[found.state] = self.landed.get(found.state, 0) + 1


def start(operation: Operation) -> int:
    """Starts a life, and returns its process number when it has begun to work."""
    told, tell = os.pipe()

    def live() -> None:
        os.write(tell, b".")
        operation.work()

    try:
        child = in_child(live)
        os.read(told, 1)
    finally:
        os.close(told)
        os.close(tell)
    return child


def kill_all(name: str, operation: Operation, count: Count, kills: int) -> Iterator[None]:
    """Kills one operation as often as is still missing; yields after each kill."""
    rng = generator(7, len(name), count.kills)
    operation.prepare()
    child = start(operation)
    started = time.monotonic()
    if status := wait(child):
        raise SystemExit(f"{name}: the first, unkilled life ended with {status}")
    life_s = time.monotonic() - started
    operation.check(True)
    while count.kills < kills:
        operation.prepare()
        child = start(operation)
        time.sleep(1.2 * life_s * uniform(rng))
        os.kill(child, signal.SIGKILL)
        status = wait(child)
        if status not in (0, -signal.SIGKILL):
            raise SystemExit(f"{name}: a life ended by itself with {status}")
        count.add(operation.check(status == 0), killed=status != 0)
        if status:
            yield


def read_counts(path: Path) -> dict[str, Count]:
    """Returns the counts so far."""
    if not path.exists():
        return {name: Count() for name in kill_operations.OPERATIONS}
    return {name: Count(**values) for name, values in json.loads(path.read_text(encoding="utf-8")).items()}


def write_counts(path: Path, counts: dict[str, Count]) -> None:
    """Replaces the counts in one step."""
    data = {name: dataclasses.asdict(count) for name, count in counts.items()}
    beside = path.with_suffix(".partial")
    beside.write_text(json.dumps(data, indent=2) + "\n", encoding="utf-8")
    beside.replace(path)


def say(text: str) -> None:
    """Tells how far it is."""
    print(time.strftime("%H:%M:%S"), text, file=sys.stderr, flush=True)


def main() -> None:
    """Kills, and prints the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--kills", type=int, default=200, help="of each operation")
    parser.add_argument("--results", type=Path, default=RESULTS)
    options = parser.parse_args()
    counts = read_counts(options.results)
    with tempfile.TemporaryDirectory() as name:
        for label, make in kill_operations.OPERATIONS.items():
            count = counts[label]
            if count.kills >= options.kills:
                continue
            place = Path(name) / label
            place.mkdir()
            for _ in kill_all(label, make(place), count, options.kills):
                if count.kills % SAVED_EVERY == 0:
                    write_counts(options.results, counts)
                    say(f"{label}: {count.kills} kills, {count.lost} lost, {count.corrupt} corrupt, {count.landed}")
        write_counts(options.results, counts)
    print(table(counts))


def table(counts: dict[str, Count]) -> str:
    """Returns the table of the counts."""
    rows: list[tuple[str, ...]] = []
    for name, count in counts.items():
        landed = ", ".join(f"{state} {number}" for state, number in Counter(count.landed).most_common())
        figures: list[Any] = [count.kills, count.records, count.lost, count.corrupt]
        rows.append((name, *(f"{figure:,}" for figure in figures), landed))
    sums = [sum(getattr(count, key) for count in counts.values()) for key in ("kills", "records", "lost", "corrupt")]
    rows.append(("all", *(f"{figure:,}" for figure in sums), ""))
    header = ("operation", "kills", "records checked", "lost", "corrupt", "found after the kill")
    return f"Made by `python -m benchmarks.kills`.\n\n{markdown_table(header, rows)}"


if __name__ == "__main__":
    main()
