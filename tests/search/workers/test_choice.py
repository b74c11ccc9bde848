"""Workers as a user writes them."""

from __future__ import annotations

import sys

import pytest

from accelzoo.errors import ConfigError
from accelzoo.search.workers import LocalWorkers, Serial, as_workers


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        (1, Serial()),
        ("1", Serial()),
        (2, LocalWorkers(2)),
        ("16", LocalWorkers(16)),
        (LocalWorkers(3, gpus=("0",)), LocalWorkers(3, gpus=("0",))),
    ],
)
def test_numbers_and_objects(given: object, expected: object) -> None:
    assert as_workers(given) == expected  # type: ignore[arg-type]


@pytest.mark.parametrize("given", [0, -1, True, 1.5, "", "two", "ray:/x", "http://head", None])
def test_anything_else_is_refused_with_what_is_allowed(given: object) -> None:
    with pytest.raises(ConfigError, match=r'^workers \(=.*\) must be a positive number, "ray", "ray://host:port"'):
        as_workers(given)  # type: ignore[arg-type]


@pytest.mark.parametrize("given", ["ray", "ray?workers=4", "ray://head:10001"])
def test_ray_that_is_not_installed_names_the_extra(given: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "ray", None)
    with pytest.raises(ConfigError, match=r'pip install "accelzoo\[ray\]"'):
        as_workers(given)


@pytest.mark.parametrize("given", ["ray://", "ray?count=3", "ray://head:10001?workers=0", "ray://head:10001/path"])
def test_an_address_that_makes_no_sense_is_refused(given: str) -> None:
    with pytest.raises(ConfigError, match=r"^workers \(='ray.*'\) must be \"ray\""):
        as_workers(given)
