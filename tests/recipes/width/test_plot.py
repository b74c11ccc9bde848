"""The picture of widths and accuracies."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pytest

from accelzoo.errors import AccelzooError
from accelzoo.recipes.width.plot import LABEL_DISTANCE, draw_widths, relative_widths, spread_apart
from accelzoo.recipes.width.report import WidthComparison
from accelzoo.recipes.width.schema import METHODS, Method
from tests.recipes.width.width_runs import trained


def comparison(methods: tuple[Method, ...], shares: tuple[float, ...], seeds: tuple[int, ...]) -> WidthComparison:
    networks = [
        trained(method, seed, share, round(800 + 100 * share) + seed, widths=(8 + 8 * seed, 16))
        for seed in seeds
        for share in shares
        for method in methods
    ]
    originals = [trained(None, seed, 1.0, 920, widths=(16, 64)) for seed in seeds]
    groups = ("stem", "head")
    return WidthComparison(
        target="npu", measured_by=None, data="digits", groups=groups, trained=(*originals, *networks)
    )


def test_widths_are_relative_to_the_original() -> None:
    run = comparison(("optimal",), (0.5,), (0, 1))  # 8 and 16 of 16 channels, 16 and 16 of 64
    assert relative_widths(run.row("optimal", 0.5), (16, 64)) == [(0.75, 0.5, 1.0), (0.25, 0.25, 0.25)]


@pytest.mark.parametrize(
    ("places", "expected"),
    [
        ([0.0, 20.0, 10.0], [0.0, 20.0, 10.0]),  # far enough
        ([5.0, 5.0], [0.0, 10.0]),
        ([5.0, 5.0, 5.0, 100.0], [-5.0, 5.0, 15.0, 100.0]),
        ([12.0, 0.0, 14.0], [26 / 3, -4 / 3, 56 / 3]),  # two push the third: mean and middle stay 26 / 3
        ([], []),
    ],
)
def test_labels_keep_their_distance(places: list[float], expected: list[float]) -> None:
    assert spread_apart(places, 10.0) == pytest.approx(expected)


def test_labels_move_as_little_as_quadratic_programming_would() -> None:
    from scipy.optimize import minimize

    places = np.array([0.0, 3.0, 4.0, 30.0, 31.0, 90.0])
    limits = [{"type": "ineq", "fun": lambda x, i=i: x[i + 1] - x[i] - LABEL_DISTANCE} for i in range(5)]
    peer = minimize(lambda x: ((x - places) ** 2).sum(), places, method="SLSQP", constraints=limits)
    assert spread_apart(places.tolist(), LABEL_DISTANCE) == pytest.approx(peer.x, abs=1e-3)


@pytest.mark.parametrize("suffix", ["png", "svg"])
def test_picture_is_drawn_and_equal_files(tmp_path: Path, suffix: str) -> None:
    pytest.importorskip("matplotlib", reason="the picture needs the extra [plot]")
    run = comparison(METHODS, (0.25, 0.5), (0, 1))
    paths = [tmp_path / f"one.{suffix}", tmp_path / f"two.{suffix}"]
    for path in paths:
        draw_widths(run, path)
    assert paths[0].read_bytes() == paths[1].read_bytes()
    assert paths[0].read_bytes()[:5] == {"png": b"\x89PNG\r", "svg": b"<?xml"}[suffix]
    draw_widths(run, paths[0], 0.5)  # over the one that is there, with other widths
    assert paths[0].read_bytes() != paths[1].read_bytes()


def test_smallest_picture(tmp_path: Path) -> None:
    pytest.importorskip("matplotlib", reason="the picture needs the extra [plot]")
    draw_widths(comparison(("optimal",), (0.5,), (0,)), tmp_path / "one.png")
    assert (tmp_path / "one.png").stat().st_size > 10_000


def test_what_cannot_be_drawn(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("matplotlib", reason="the picture needs the extra [plot]")
    run = comparison(("optimal",), (0.5,), (0,))
    with pytest.raises(ValueError, match=r"share \(=0.75\) must be one of \[0.5\]"):
        draw_widths(run, tmp_path / "one.png", 0.75)
    with pytest.raises(AccelzooError, match=r"missing/one\.png: cannot be written: No such file"):
        draw_widths(run, tmp_path / "missing" / "one.png")
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    with pytest.raises(AccelzooError, match=r"accelzoo\[plot\]"):
        draw_widths(run, tmp_path / "one.png")
