"""Quantities and tables as the verbs print them."""

from __future__ import annotations

import sys

import pytest

from accelzoo.recipes import output


@pytest.mark.parametrize(
    ("got", "want"),
    [
        (output.seconds(0.00123456), "1.235 ms"),
        (output.seconds(999.96e-6), "1.000 ms"),
        (output.seconds(999.94e-6), "999.9 µs"),
        (output.seconds(2.5), "2.500 s"),
        (output.seconds(0.0), "0 s"),
        (output.seconds(4e-10), "0.4000 ns"),
        (output.joules(1.5e-5), "15.00 µJ"),
        (output.memory(1023), "1023 B"),
        (output.memory(1024), "1.000 KiB"),
        (output.memory((1 << 20) - 1), "1.000 MiB"),
        (output.memory(0), "0 B"),
        (output.count(300_774_272), "300.8 M"),
        (output.count(12), "12"),
        (output.percent(0.5634), "56.3 %"),
    ],
)
def test_quantities_carry_their_units(got: str, want: str) -> None:
    assert got == want


def test_a_table_is_never_cut_when_piped() -> None:
    rows = [["a", "1"], ["[bold]b :smile:" + "x" * 300, "22"]]
    lines = output.table(["name", ">n"], rows).splitlines()
    assert lines[2] == f"{rows[1][0]}  22"
    assert lines[1] == "a" + " " * (len(rows[1][0]) + 2) + "1"


def test_a_table_fits_a_terminal_without_losing_letters(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys.stdout, "isatty", lambda: True, raising=False)
    monkeypatch.setenv("NO_COLOR", "1")
    monkeypatch.setenv("COLUMNS", "30")
    name = "".join(chr(ord("a") + index % 26) for index in range(50))
    lines = output.table(["name", "n"], [[name, "1"]]).splitlines()
    assert max(map(len, lines)) <= 30
    assert "".join(line.split()[0] for line in lines[1:]) == name
