"""One price, whichever way the network and the target are named."""

from __future__ import annotations

from pathlib import Path

import pytest

import accelzoo
from accelzoo import config, estimate, get_arch, list_targets, load_target
from accelzoo.errors import UnknownNameError


@pytest.mark.parametrize("target", list_targets())
def test_every_way_of_naming_gives_one_price(target: str, tmp_path: Path) -> None:
    arch = get_arch("camera_ibn")
    path = tmp_path / "arch.yaml"
    path.write_text(config.dump_yaml(arch), encoding="utf-8")
    prices = [estimate(model, target) for model in ("camera_ibn", path, str(path), arch, arch.lower())]
    prices.append(estimate(arch, load_target(target)))
    assert all(price == prices[0] for price in prices)
    assert prices[0].macs == arch.lower().macs
    assert prices[0].latency_s > 0


def test_unknown_names_are_suggested() -> None:
    with pytest.raises(UnknownNameError, match="did you mean 'camera_ibn'"):
        estimate("camera_ibm", list_targets()[0])
    with pytest.raises(UnknownNameError, match="did you mean"):
        estimate("camera_ibn", list_targets()[0] + "x")


def test_the_public_page_resolves() -> None:
    assert all(getattr(accelzoo, name) is not None for name in accelzoo.__all__)
