"""The picture of latency over channels."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from accelzoo.hwmodel import GraphBuilder, load_target
from tests.recipes.calls import Capture

pytestmark = pytest.mark.usefixtures("own_places")


def test_picture_shows_stairs_as_wide_as_the_tiles() -> None:
    from accelzoo.recipes.channel_plot import CHANNELS, conv_latency_s, full_rate_latency_s

    camera = load_target("camera-npu")
    latencies = [conv_latency_s(channels, camera) for channels in CHANNELS]
    # Eight channels a tile: 1 … 8 cost the same, and the next eight more.
    stairs = [set(latencies[start : start + 8]) for start in range(0, 128, 8)]
    assert all(len(stair) == 1 for stair in stairs)
    assert len({latency for stair in stairs for latency in stair}) == 16
    cpu = load_target("mobile-cpu")
    overhead_s = conv_latency_s(64, cpu) - full_rate_latency_s(64, cpu)
    assert overhead_s == pytest.approx(cpu.op_overhead_s)
    builder = GraphBuilder((64, 28, 28))
    builder.conv2d("conv", builder.input, 64, kernel_size=3)
    assert full_rate_latency_s(64, cpu) * cpu.peak_macs_per_s == pytest.approx(builder.graph().macs)


def test_picture_is_drawn(capsys: Capture) -> None:
    pytest.importorskip("matplotlib", reason="the picture needs the extra [plot]")
    from accelzoo.recipes import channel_plot

    assert channel_plot.main(["one.png"]) == channel_plot.main(["two.png"]) == 0
    assert Path("one.png").read_bytes() == Path("two.png").read_bytes()
    assert Path("one.png").read_bytes().startswith(b"\x89PNG")
    assert channel_plot.main(["missing/one.png"]) == 2
    assert "missing/one.png: cannot be written" in capsys.readouterr().err


def test_picture_without_matplotlib_names_the_extra(capsys: Capture, monkeypatch: pytest.MonkeyPatch) -> None:
    from accelzoo.recipes import channel_plot

    monkeypatch.setitem(sys.modules, "matplotlib", None)
    assert channel_plot.main(["one.png"]) == 2
    assert "accelzoo[plot]" in capsys.readouterr().err
