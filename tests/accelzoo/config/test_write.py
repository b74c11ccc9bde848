"""The way back: plain data, YAML, canonical JSON, digests."""

from __future__ import annotations

import hashlib
import json
import random
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar

import pytest
import yaml

from accelzoo import config
from accelzoo.errors import ConfigError


@dataclass(frozen=True, slots=True, kw_only=True)
class Block:
    kind: ClassVar[str] = "ibn"
    out_channels: int
    expansion_ratio: float = 6
    se_ratio: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Dense:
    kind: ClassVar[str] = "dense"
    features: int | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Stage:
    inline: ClassVar[str] = "block"
    block: Block | Dense
    repeats: int = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class Everything:
    stages: tuple[Stage, ...] = ()
    widths: tuple[float, ...] = ()
    rates: dict[str, float] = field(default_factory=dict)
    mixed: int | float = 1
    path: Path = Path("a/b")
    note: str | None = None
    limit: int | None = 3
    extra: Any = None
    derived: int = field(init=False, default=0)


VALUE = Everything(
    stages=(Stage(block=Block(out_channels=8), repeats=2), Stage(block=Dense(features=None))),
    widths=(1, 0.5),
    rates={"b": 2, "a": 1e-12},
    limit=None,
    extra={"x": [1, 2.0, None, True, "é"]},
)
PLAIN = {
    "stages": [
        {"kind": "ibn", "out_channels": 8, "expansion_ratio": 6.0, "repeats": 2},
        {"kind": "dense", "features": None, "repeats": 1},
    ],
    "widths": [1.0, 0.5],
    "rates": {"b": 2.0, "a": 1e-12},
    "mixed": 1,
    "path": "a/b",
    "limit": None,
    "extra": {"x": [1, 2.0, None, True, "é"]},
}
CANONICAL = (
    '{"extra":{"x":[1,2.0,null,true,"\\u00e9"]},"limit":null,"mixed":1,"path":"a/b",'
    '"rates":{"a":1e-12,"b":2.0},"stages":['
    '{"expansion_ratio":6.0,"kind":"ibn","out_channels":8,"repeats":2},{"features":null,"kind":"dense","repeats":1}],'
    '"widths":[1.0,0.5]}'
)


def test_to_config_writes_every_field_but_absent_ones() -> None:
    plain = config.to_config(VALUE)
    assert plain == PLAIN
    assert list(plain) == list(PLAIN)
    assert list(plain["stages"][0]) == ["kind", "out_channels", "expansion_ratio", "repeats"]
    assert [type(width) for width in plain["widths"]] == [float, float]
    assert type(plain["mixed"]) is int


def test_what_was_written_reads_back_equal() -> None:
    assert config.read(Everything, PLAIN) == VALUE
    assert config.read(Everything, config.Text(config.dump_yaml(VALUE))) == VALUE
    assert config.read(Everything, config.Text(config.canonical_json(VALUE))) == VALUE
    assert config.read(Everything, config.to_config(Everything())) == Everything()


def test_canonical_json_and_digest() -> None:
    assert config.canonical_json(VALUE) == CANONICAL
    assert config.canonical_json(PLAIN) == CANONICAL
    expected = "sha256:" + hashlib.sha256(CANONICAL.encode()).hexdigest()
    assert config.digest(VALUE) == config.digest(PLAIN) == expected
    empty = "sha256:44136fa355b3678a1146ad16f7e8649e94fb4fc21fe77e8310c060f61caaff8a"  # of the two bytes {}
    assert config.digest({}) == empty


def test_equal_values_have_equal_digests() -> None:
    one, other = Block(out_channels=8, expansion_ratio=4), Block(out_channels=8, expansion_ratio=4.0)
    assert one == other
    assert config.digest(one) == config.digest(other)
    assert config.digest({"b": 1, "a": (2, 3)}) == config.digest({"a": [2, 3], "b": 1})
    assert config.digest(one) != config.digest(Block(out_channels=16, expansion_ratio=4))


def test_yaml_is_laid_out_for_people() -> None:
    assert config.dump_yaml(VALUE) == (
        "stages:\n"
        "- {kind: ibn, out_channels: 8, expansion_ratio: 6.0, repeats: 2}\n"
        "- {kind: dense, features: null, repeats: 1}\n"
        "widths: [1.0, 0.5]\n"
        "rates: {b: 2.0, a: 1.0e-12}\n"
        "mixed: 1\n"
        "path: a/b\n"
        "limit: null\n"
        "extra:\n"
        "  x: [1, 2.0, null, true, é]\n"
    )


AMBIGUOUS = [
    "5e8",
    "1E5",
    "on",
    "yes",
    "null",
    "~",
    "",
    "010",
    "1_000",
    "1:30",
    "2024-01-31",
    ".inf",
    "<<",
    "=",
    "-",
    "1.",
]


@pytest.mark.parametrize(
    "text",
    [
        *AMBIGUOUS,
        " a ",
        "a: b",
        "# a",
        "line\nline\n",
        "\t",
        "'",
        '"',
        "😀",
        "\x85\u2028",
        "\r",
        "\ufeffa",
        "a\u2029 b",
        "\x00",
    ],
)
def test_text_stays_text_for_us_and_for_other_readers(text: str) -> None:
    written = config.dump_yaml({text: text, "same": [text, [text]]})
    expected = {text: text, "same": [text, [text]]}
    assert config.load(config.Text(written)).plain() == expected
    assert yaml.safe_load(written) == expected


def test_random_plain_data_survives_both_forms() -> None:
    rng = random.Random(7)
    letters = [*"ab01eE.+-_:~ #'\"{}[],&*!|>%@\n\r\x85\u2028\té😀", "null", "true", "<<"]

    def scalar() -> Any:
        text = "".join(rng.choices(letters, k=rng.randint(0, 6)))
        number = rng.choice((rng.uniform(-1, 1) * 10.0 ** rng.randint(-300, 300), rng.randint(-(10**20), 10**20)))
        return rng.choice((text, number, None, True, False, 0.0, -0.0, 1e16, 5e-324))

    def tree(depth: int) -> Any:
        if depth == 0 or rng.random() < 0.3:
            return scalar()
        if rng.random() < 0.5:
            return [tree(depth - 1) for _ in range(rng.randint(0, 4))]
        keys = ["".join(rng.choices(letters, k=rng.randint(0, 6))) for _ in range(rng.randint(0, 4))]
        return {key: tree(depth - 1) for key in keys}

    for _ in range(200):
        value = tree(4)
        assert repr(config.load(config.Text(config.dump_yaml(value))).plain()) == repr(value)
        text = config.canonical_json(value)
        assert config.canonical_json(config.load(config.Text(text)).plain()) == text
        assert json.loads(text) == value


def test_shared_lists_are_written_out() -> None:
    shared = [1]
    assert config.dump_yaml({"a": shared, "b": shared}) == "a: [1]\nb: [1]\n"


@pytest.mark.parametrize(
    ("value", "message"),
    [
        ({1: 2}, "the key 1"),
        ({"a": [{1, 2}]}, r"a\[0\]: a set has no plain form"),
        (Block, "a type has no plain form"),
        (b"x", "a bytes has no plain form"),
    ],
)
def test_values_without_a_plain_form_are_refused(value: object, message: str) -> None:
    with pytest.raises(TypeError, match=message):
        config.to_config(value)


@pytest.mark.parametrize("number", [float("nan"), float("inf"), float("-inf")])
def test_numbers_must_be_finite(number: float) -> None:
    with pytest.raises(ConfigError, match=r"^a\[0\]: .* is not finite"):
        config.canonical_json({"a": [number]})
    with pytest.raises(ConfigError, match=r"^stages\[0\]\.expansion_ratio: "):
        config.digest(Everything(stages=(Stage(block=Block(out_channels=1, expansion_ratio=number)),)))
