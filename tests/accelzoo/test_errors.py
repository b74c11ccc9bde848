"""Errors say what was given, what is allowed and the nearest match."""

from __future__ import annotations

import pytest

from accelzoo import errors


@pytest.mark.parametrize(
    ("given", "found"), [("relu7", "relu"), ("RELU", "relu"), ("Hard-Swish", "hard_swish"), ("xyz", None), ("", None)]
)
def test_nearest(given: str, found: str | None) -> None:
    assert errors.nearest(given, ["relu", "hard_swish"]) == found
    assert errors.suggestion(given, ["relu", "hard_swish"]) == (f"; did you mean {found!r}?" if found else "")


def test_unknown_names() -> None:
    assert str(errors.unknown_name("model", "ibn_z", ["ibn_s"])) == (
        "unknown model 'ibn_z'; did you mean 'ibn_s'? Known: ibn_s."
    )
    assert str(errors.unknown_name("model", "x", [])) == "unknown model 'x'. Known: none."
    many = str(errors.unknown_name("model", "x", [f"m{index:02}" for index in range(20)]))
    assert "m11, … (20 in all)" in many
    assert "m12" not in many


def test_every_error_is_of_the_house() -> None:
    kinds = [kind for kind in vars(errors).values() if isinstance(kind, type) and issubclass(kind, Exception)]
    assert len(kinds) >= 8
    assert all(issubclass(kind, errors.AccelzooError) for kind in kinds)
    assert errors.ConfigError(fault for fault in ("a", "b")).faults == ("a", "b")
    assert str(errors.ConfigError(["a", "b"])) == "a\nb"
