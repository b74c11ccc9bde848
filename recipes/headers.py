"""The comment at the top of a recipe: for every profile the command, the hardware, the time and what to expect of it.

A header is read by people and by `accelzoo recipes`. Its first lines say what the recipe does; then comes one block per
profile::

    # profile full
    #   run       accelzoo run mine --profile full data=cifar10:/path/to/cifar10.npz
    #   hardware  2 CPU cores
    #   time      35 min
    #   expect    winner: test top-1 70.7 %, latency -58.4 %, weights 78.9 KiB

An entry may stand on several lines, each with its key; networks have a line each. `time` is a number of `s`, `min` or
`h`; what nobody has measured or kept is `unknown`, there and under `expect`. A figure with a sign is the change against
the baseline. What is stated has as many digits as are meant: 35 min is anything from 34.5 to 35.5.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from accelzoo.errors import ConfigError, suggestion

UNKNOWN = "unknown"
KEYS = ("run", "hardware", "time", "expect")
UNITS = {"latency": "ms", "weights": "KiB", "peak activations": "KiB", "energy": "µJ", "MACs": "M"}
"""Figure that is no test score → its unit; scores are in per cent."""
_SECONDS = {"s": 1.0, "min": 60.0, "h": 3600.0}
_PROFILE = re.compile(r"# profile (\S+)")
_ENTRY = re.compile(r"#   (?P<key>\S+)(?: +(?P<text>\S.*))?")
_TIME = re.compile(r"(\d+(?:\.\d+)?) (s|min|h)")
_EXPECT = re.compile(r"(?P<network>[^:,]+): (?P<figures>\S.*)")
_FIGURE = re.compile(r"(?P<metric>test \S+|[A-Za-z ]*[A-Za-z]) (?P<number>[-+]?\d+(?:\.\d+)?) (?P<unit>\S+)")


@dataclass(frozen=True, slots=True, kw_only=True)
class Stated:
    """A number as it is stated: as exact as its digits.

    Args:
        value: In `unit`.
        digits: How many there are after the point.
        unit: Such as `%`, `ms` or `min`.
    """

    value: float
    digits: int
    unit: str

    def covers(self, value: float) -> bool:
        """Tells whether a value, in the same unit, is this when it is rounded to as many digits."""
        return abs(value - self.value) <= 0.5 * 10**-self.digits * (1 + 1e-9)


@dataclass(frozen=True, slots=True, kw_only=True)
class Figure:
    """One expected figure of a network.

    Args:
        metric: `test top-1` or another score, or one of `UNITS`.
        stated: Its value; of a change, how many per cent the network is above the baseline.
        change: Whether it is a change.
        line: Where it is stated; lines count from 1.
    """

    metric: str
    stated: Stated
    change: bool
    line: int

    def to_json(self) -> dict[str, Any]:
        """Returns plain data."""
        stated = {"value": self.stated.value, "unit": self.stated.unit}
        return {"figure": self.metric, **stated, "against_baseline": self.change}


@dataclass(frozen=True, slots=True, kw_only=True)
class ProfileHeader:
    """What a header says of one profile.

    Args:
        profile: Its name; `default` for a recipe without profiles.
        line: Where its block begins.
        run: The command.
        hardware: What the time is of.
        time: How long the run takes; None: unknown.
        time_line: Where that is stated.
        expect: Network → its figures, in the order of the text; empty: unknown.
        expect_text: The same as it is written, one line per network.
    """

    profile: str
    line: int
    run: str
    hardware: str
    time: Stated | None
    time_line: int
    expect: dict[str, tuple[Figure, ...]]
    expect_text: tuple[str, ...]

    @property
    def time_text(self) -> str:
        """`35 min`, or `unknown`."""
        return UNKNOWN if self.time is None else f"{self.time.value:.{self.time.digits}f} {self.time.unit}"

    def to_json(self) -> dict[str, Any]:
        """Returns plain data: the time in seconds, and every figure with its unit."""
        return {
            "run": self.run,
            "hardware": self.hardware,
            "time_s": None if self.time is None else self.time.value * seconds_per(self.time.unit),
            "expect": {network: [figure.to_json() for figure in figures] for network, figures in self.expect.items()},
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class Header:
    """The comment at the top of a recipe.

    Args:
        source: The file, as faults name it.
        about: What the recipe does: the lines before the first block, as one text.
        profiles: Profile → what is said of it.
    """

    source: str
    about: str
    profiles: dict[str, ProfileHeader]

    def fault(self, line: int, message: str) -> str:
        """Returns what is wrong with a line, with its place."""
        return f"{self.source}:{line}:1: {message}"


@dataclass(frozen=True, slots=True)
class _Entry:
    line: int
    key: str
    text: str


def read_header(path: Path) -> Header:
    """Reads the header of a recipe's file.

    Raises:
        ConfigError: If the file cannot be read, or the header has faults: all of them, each with its place.
    """
    try:
        text = path.read_text("utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError([f"{path}: cannot be read: {getattr(error, 'strerror', None) or error}"]) from None
    return parse_header(text, str(path))


def parse_header(text: str, source: str) -> Header:
    """Reads the comment lines that a text begins with.

    Args:
        text: A recipe, or its first lines.
        source: The name that faults are reported under.

    Raises:
        ConfigError: All faults, each with its place.
    """
    header = Header(source=source, about="", profiles={})
    about: list[str] = []
    blocks: list[tuple[int, str, list[_Entry]]] = []
    faults: list[str] = []
    for number, line in enumerate(_comment(text), 1):
        if (begins := _PROFILE.fullmatch(line)) is not None:
            if begins[1] in [name for _, name, _ in blocks]:
                faults.append(header.fault(number, f"profile {begins[1]} has a block already"))
            blocks.append((number, begins[1], []))
        elif not blocks:
            about.append(line.removeprefix("#").strip())
        elif (entry := _ENTRY.fullmatch(line)) is not None:
            blocks[-1][2].append(_Entry(number, entry["key"], entry["text"] or ""))
        elif line != "#":
            faults.append(header.fault(number, "expected `# profile NAME`, or an entry of one after `#   `"))
    profiles = {name: _profile(header, line, name, entries, faults) for line, name, entries in blocks}
    if faults:
        raise ConfigError(faults)
    return replace(header, about=" ".join(filter(None, about)), profiles=profiles)


def _comment(text: str) -> Iterator[str]:
    for line in text.splitlines():
        if not line.startswith("#"):
            return
        yield line.rstrip()


def _profile(header: Header, line: int, name: str, entries: list[_Entry], faults: list[str]) -> ProfileHeader:
    found: dict[str, list[_Entry]] = {key: [] for key in KEYS}
    for entry in entries:
        if entry.key not in found:
            said = f"unknown entry {entry.key!r}{suggestion(entry.key, KEYS)} (allowed: {', '.join(KEYS)})"
            faults.append(header.fault(entry.line, said))
        elif not entry.text:
            faults.append(header.fault(entry.line, f"{entry.key} says nothing"))
        else:
            found[entry.key].append(entry)
    missing = [key for key in KEYS if not any(entry.key == key for entry in entries)]
    faults += [header.fault(line, f"profile {name} does not say {key!r}") for key in missing]
    if len(found["time"]) > 1:
        faults.append(header.fault(found["time"][1].line, "time is said twice"))
    timed = [_time(header, entry, faults) for entry in found["time"]]
    return ProfileHeader(
        profile=name,
        line=line,
        run=" ".join(entry.text for entry in found["run"]),
        hardware=" ".join(entry.text for entry in found["hardware"]),
        time=timed[0] if timed else None,
        time_line=found["time"][0].line if timed else line,
        expect=_expected(header, found["expect"], faults),
        expect_text=tuple(entry.text for entry in found["expect"]),
    )


def _time(header: Header, entry: _Entry, faults: list[str]) -> Stated | None:
    if entry.text == UNKNOWN:
        return None
    found = _TIME.fullmatch(entry.text)
    if found is None:
        said = f"time: expected a number of s, min or h such as '35 min', or {UNKNOWN!r}; got {entry.text!r}"
        faults.append(header.fault(entry.line, said))
        return None
    return _stated(found[1], found[2])


def _expected(header: Header, entries: list[_Entry], faults: list[str]) -> dict[str, tuple[Figure, ...]]:
    expected: dict[str, tuple[Figure, ...]] = {}
    for entry in entries:
        if entry.text == UNKNOWN:
            continue
        found = _EXPECT.fullmatch(entry.text)
        if found is None:
            said = f"expect: expected 'NETWORK: FIGURE, FIGURE' or {UNKNOWN!r}; got {entry.text!r}"
            faults.append(header.fault(entry.line, said))
            continue
        figures = []
        for text in found["figures"].split(", "):
            figure = _figure(text, entry.line)
            if isinstance(figure, str):
                faults.append(header.fault(entry.line, f"expect: {figure}"))
            else:
                figures.append(figure)
        expected[found["network"]] = (*expected.get(found["network"], ()), *figures)
    return expected


def _figure(text: str, line: int) -> Figure | str:
    """Returns a figure, or what is wrong with its text."""
    found = _FIGURE.fullmatch(text)
    if found is None:
        return f"expected a figure such as 'test top-1 70.7 %' or 'latency -58.4 %', got {text!r}"
    metric, number, unit = found["metric"], found["number"], found["unit"]
    score = metric.startswith("test ")
    if not score and metric not in UNITS:
        return f"unknown figure {metric!r}{suggestion(metric, UNITS)} (allowed: test SCORE, {', '.join(UNITS)})"
    change = number[0] in "-+"
    if score and change:
        return f"{metric} is a score, not a change: leave out the sign"
    wanted = "%" if score or change else UNITS[metric]
    if unit != wanted:
        return f"{text!r} is in {unit!r} where {wanted!r} is the unit"
    return Figure(metric=metric, stated=_stated(number, unit), change=change, line=line)


def _stated(number: str, unit: str) -> Stated:
    return Stated(value=float(number), digits=len(number.partition(".")[2]), unit=unit)


def seconds_per(unit: str) -> float:
    """Returns the seconds of a header's unit of time."""
    return _SECONDS[unit]
