"""The picture of predicted against measured latency."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from accelzoo.errors import AccelzooError, DataError
from accelzoo.hwmodel.validate import Prediction, Report
from accelzoo.recipes import validation_plot

pytestmark = pytest.mark.usefixtures("own_places")


def report(families: int = 3, predicted: bool = True) -> Report:
    rows = [
        Prediction(
            f"n{index}",
            f"a family with a long name {index % families}",
            1e-3 * 2**index,
            1.1e-3 * 2**index if predicted else None,
        )
        for index in range(2 * families)
    ]
    missing = Prediction("odd", "a family", 1.0, None, unpriced=("x (opaque:y)",))
    return Report(target="t", target_digest="sha256:0", against="tool-1/t", networks=(*rows, missing))


@pytest.mark.parametrize("families", [1, 3, 60])
def test_picture_is_drawn(families: int) -> None:
    pytest.importorskip("matplotlib", reason="the picture needs the extra [plot]")
    for name in ("one.png", "two.png"):
        validation_plot.draw(report(families), Path(name))
    assert Path("one.png").read_bytes() == Path("two.png").read_bytes()
    assert Path("one.png").read_bytes().startswith(b"\x89PNG")


def test_picture_has_room_for_every_point_on_both_axes() -> None:
    low, high = validation_plot.limits_ms([entry for entry in report().networks if entry.predicted_s])
    assert low < 1.0  # measured: 1 … 32 ms; predicted: 1.1 … 35.2 ms
    assert high > 35.2
    assert high < 2 * 35.2


def test_marks_of_families_are_all_different() -> None:
    colors, markers = len(set(validation_plot.COLORS)), len(set(validation_plot.MARKERS))
    assert (colors, markers) == (len(validation_plot.COLORS), len(validation_plot.MARKERS))
    assert colors * markers >= 20


def test_a_picture_that_cannot_be_drawn_says_why(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(DataError, match="t can run none of the networks"):
        validation_plot.draw(report(predicted=False), Path("one.png"))
    pytest.importorskip("matplotlib", reason="the picture needs the extra [plot]")
    for name in ("missing/one.png", "one.nosuchformat"):
        with pytest.raises(AccelzooError, match=f"{name}: cannot be written"):
            validation_plot.draw(report(), Path(name))
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    with pytest.raises(AccelzooError, match=r"accelzoo\[plot\]"):
        validation_plot.draw(report(), Path("one.png"))
