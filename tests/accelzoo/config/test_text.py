"""YAML and JSON text: how scalars are taken, and where faults are said to stand."""

from __future__ import annotations

import json
import os
import random
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, Literal

import pytest
import yaml

from accelzoo import config
from accelzoo.errors import ConfigError


@dataclass(frozen=True, slots=True, kw_only=True)
class Layer:
    kind: ClassVar[str] = "layer"
    out_channels: int
    kernel_size: int = 3
    activation: Literal["relu", "off"] = "relu"

    def __post_init__(self) -> None:
        if self.kernel_size % 2 == 0:
            raise ValueError(f"kernel_size (={self.kernel_size}) must be odd")


@dataclass(frozen=True, slots=True, kw_only=True)
class Network:
    name: str
    layers: tuple[Layer, ...]
    clock_hz: float = 1e9
    notes: dict[str, str] | None = None


def plain(text: str) -> Any:
    return config.load(config.Text(text)).plain()


def faults(text: str, cls: Any = Any) -> list[str]:
    with pytest.raises(ConfigError) as caught:
        config.read(cls, config.Text(text, "n.yaml"))
    return list(caught.value.faults)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("~", None),
        ("null", None),
        ("true", True),
        ("FALSE", False),
        ("0", 0),
        ("-17", -17),
        ("+3", 3),
        ("5e8", 5e8),
        ("500E6", 5e8),
        ("1.5e-12", 1.5e-12),
        (".5", 0.5),
        ("1.", 1.0),
        ("'5'", "5"),
        ('"true"', "true"),
        ("|\n  5\n", "5\n"),
        ("yes", "yes"),
        ("off", "off"),
        ("010", "010"),
        ("0x10", "0x10"),
        ("1_000", "1_000"),
        ("1:30", "1:30"),
        ("2024-01-31", "2024-01-31"),
        ("-", [None]),
        ("1e", "1e"),
        ("9" * 2000, "9" * 2000),
        ("--- 3\n...\n", 3),
        ("%YAML 1.2\n---\n3", 3),
        ("\ufeff3", 3),
        ("{1: a, true: b, ~: c, '': d}", {"1": "a", "true": "b", "~": "c", "": "d"}),
        ("a: &x [1]\nb: *x\nc: [*x, *x]", {"a": [1], "b": [1], "c": [[1], [1]]}),
    ],
)
def test_scalars_and_keys_follow_yaml_1_2(text: str, expected: object) -> None:
    value = plain(text)
    assert value == expected
    assert type(value) is type(expected)


@pytest.mark.parametrize(
    "value",
    [
        {"a": [1, -2.5, 1e-07, 1e22, None, True, "x"], "b": {"c": {}, "d": []}},
        {"emoji 😀": "😀 \u2028 \x85 \x7f \\ud83d\\ude00 \t\n\"'", "slash/": "/"},
        [],
        "text",
        {"long key " * 10: "long " * 2000},
    ],
)
@pytest.mark.parametrize("options", [{}, {"indent": "\t"}, {"separators": (",", ":")}, {"indent": 2}])
def test_json_reads_as_json(value: object, options: dict[str, Any]) -> None:
    assert plain(json.dumps(value, **options)) == value


def test_json_escapes() -> None:
    assert plain(r'{"a": "\ud83d\ude00\/\u00e9\\ud83d\\ude00"}') == {"a": "😀/é\\ud83d\\ude00"}


def test_every_fault_is_told_with_its_place() -> None:
    text = """\
name: 1.10
layers:
  - {out_channels: 8, kernel: 3}
  - kernel_size: 4
    out_channels: 8
  -
    activation: of
    out_channels: 8.0
  - {}
layers: []
clock_hz: fast
notes: {first: x, second: [y], first: z}
colour: red
"""
    assert faults(text, Network) == [
        "n.yaml:1:7: name: expected text, got the number 1.1; put it in quotes to make it text",
        "n.yaml:3:23: layers[0].kernel: unknown key 'kernel' "
        "(allowed: kind, out_channels, kernel_size, activation); did you mean 'kernel_size'?",
        "n.yaml:4:5: layers[1]: kernel_size (=4) must be odd",
        "n.yaml:7:17: layers[2].activation: unknown choice 'of' (allowed: relu, off); did you mean 'off'?",
        "n.yaml:8:19: layers[2].out_channels: expected an integer, got the number 8.0",
        "n.yaml:9:5: layers[3]: missing required key 'out_channels'",
        "n.yaml:10:1: layers: duplicate key (first given at line 2)",
        "n.yaml:11:11: clock_hz: expected a number, got the text 'fast'",
        "n.yaml:12:27: notes.second: expected text, got a list of 1",
        "n.yaml:12:32: notes.first: duplicate key (first given at line 12)",
        "n.yaml:13:1: colour: unknown key 'colour' (allowed: name, layers, clock_hz, notes)",
    ]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", "n.yaml:1:1: empty: expected a YAML or JSON document"),
        ("# nothing\n", "n.yaml:2:1: empty: expected a YAML or JSON document"),
        ("a: 1\n---\nb: 2\n", "n.yaml:2:1: a second document begins here; one file holds one"),
        ("a: !!str 5", "n.yaml:1:4: a: tags are not allowed (got 'tag:yaml.org,2002:str')"),
        ("a: !!python/object:os.system x", "n.yaml:1:4: a: tags are not allowed"),
        ("a:\n  <<: {b: 1}", "n.yaml:2:3: a: merge keys (<<) are not supported; write the keys out or use a base"),
        ("? [a]\n: b", "n.yaml:1:3: a key must be plain text, not an alias, a list or a mapping"),
        ("a: &x 1\n? *x\n: b", "n.yaml:2:3: a key must be plain text"),
        ("a: *x", "n.yaml:1:4: a: the alias *x has no anchor before it"),
        ("a: &x [1, *x]", "n.yaml:1:11: a[1]: the alias *x contains itself"),
        ("a:\n\t- b", "n.yaml:2:1: not valid YAML: found character"),
        ("a: [1,\n", "n.yaml:2:1: not valid YAML: "),
        ("a: 'b", "n.yaml:1:6: not valid YAML: found unexpected end of stream"),
        ("a: b: c", "n.yaml:1:5: not valid YAML: mapping values are not allowed"),
        ("a: 1\nb: \x07", "n.yaml:2:4: not valid YAML: the character '\\x07' is not allowed"),
        ("a: 1\nb: \ud800", "n.yaml:2:4: not valid YAML: the character '\\ud800' is not allowed"),
        ("a: .nan", "n.yaml:1:4: a: expected a finite number, got the number nan"),
        ("a: [-.inf]", "n.yaml:1:5: a[0]: expected a finite number, got the number -inf"),
        ("a: 1e999", "n.yaml:1:4: a: expected a finite number, got the number inf"),
        ("[" * 5000, "n.yaml:1:102: nested deeper than 100 levels"),
    ],
)
def test_what_is_no_config_is_refused_with_its_place(text: str, expected: str) -> None:
    (fault,) = faults(text)
    assert fault.startswith(expected)


def test_tabs_get_a_hint() -> None:
    assert faults("a:\n\t- b")[0].endswith("; indent with spaces, not tabs")


def test_aliases_can_neither_grow_nor_nest_without_bound() -> None:
    lines = ["a0: &a0 [" + ", ".join("x" * 10) + "]"]
    lines += [f"a{i}: &a{i} [" + ", ".join([f"*a{i - 1}"] * 10) + "]" for i in range(1, 9)]
    (fault,) = faults("\n".join(lines))
    assert "aliases expand to over 100000 values" in fault
    lines = ["a0: &a0 " + "[" * 60 + "]" * 60, "a1: &a1 " + "[" * 60 + "*a0" + "]" * 60]
    assert faults("\n".join(lines)) == ["n.yaml:2:69: nested deeper than 100 levels"]


def test_faults_below_an_alias_point_at_what_it_stands_for() -> None:
    text = "name: a\nlayers:\n- &x {out_channels: b}\n- *x"
    expected = "n.yaml:3:21: layers[{}].out_channels: expected an integer, got the text 'b'"
    assert faults(text, Network) == [expected.format(0), expected.format(1)]


def test_files(tmp_path: Path) -> None:
    path = tmp_path / "net.yaml"
    path.write_text("name: é\nlayers: []\n", encoding="utf-8")
    assert config.read(Network, path) == config.read(Network, str(path)) == Network(name="é", layers=())
    path.write_bytes(b"\xef\xbb\xbfname: a\r\nlayers: []\r\n")
    assert config.read(Network, path) == Network(name="a", layers=())
    path.write_bytes(b"name: a\nlayers: \xe9\n")
    with pytest.raises(ConfigError) as caught:
        config.read(Network, path)
    assert str(caught.value) == f"{path}:2:9: not UTF-8: byte 0xe9 at offset 16"


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("nett.yaml", "nett.yaml: no such file; did you mean 'net.yaml'?"),
        ("nowhere/net.yaml", "net.yaml: no such file"),
        (".", "cannot be read: "),
        ("x" * 5000, "cannot be read: "),
        ("a\0b", "cannot be read: "),
    ],
)
def test_files_that_cannot_be_read(tmp_path: Path, name: str, expected: str) -> None:
    (tmp_path / "net.yaml").write_text("a: 1")
    with pytest.raises(ConfigError) as caught:
        config.load(tmp_path / name)
    assert expected in str(caught.value)


def test_text_given_as_a_path_is_explained() -> None:
    with pytest.raises(ConfigError, match="wrap YAML or JSON text in `Text`"):
        config.read(Network, "name: a\nlayers: []\n")


CORPUS = [
    "name: a\nlayers:\n  - {kind: layer, out_channels: 8}\n  - out_channels: 3\n    kernel_size: 5\nclock_hz: 5e8\n",
    '{"name": "\\u00e9\\ud83d\\ude00", "layers": [{"out_channels": 8, "activation": "off"}], "clock_hz": 1E9}',
    "name: &n 'x y'\nnotes: {a: *n, b: |\n  long\n  text\n  , c: \"\\t\"}\nlayers: []\n",
]
PIECES = [
    *":{}[],&*!|>'\"%@`#-?~<\n\t \\\0\x85\u2028😀é",
    "<<: ",
    "- ",
    "&a ",
    "*a",
    "!!int ",
    "---\n",
    "...\n",
    "\\ud8",
]


@pytest.mark.parametrize("loader", ["CSafeLoader", "SafeLoader"])
def test_damaged_text_raises_nothing_but_config_errors(loader: str, monkeypatch: pytest.MonkeyPatch) -> None:
    from accelzoo.config import _yaml

    monkeypatch.setattr(_yaml, "_LOADER", getattr(yaml, loader, yaml.SafeLoader))
    rng = random.Random(20240131)
    readable = unexplained = 0
    for _ in range(1500 if loader == "CSafeLoader" else 300):
        text = rng.choice(CORPUS)
        for _ in range(rng.randint(0, 3)):
            start = rng.randrange(len(text) + 1)
            end = min(len(text), start + rng.choice((0, 0, 1, 5)))
            text = text[:start] + rng.choice([*PIECES, text[end : end + 9]]) + text[end:]
        try:
            network = config.read(Network, config.Text(text))
        except ConfigError as error:
            unexplained += not error.faults or not all(error.faults)
        else:
            readable += 1
            assert config.read(Network, config.Text(config.dump_yaml(network))) == network
            assert config.read(Network, config.Text(config.canonical_json(network))) == network
    assert readable > 10
    assert unexplained == 0


def test_plain_data_is_read_without_loading_pyyaml() -> None:
    code = (
        "import sys; from accelzoo import config; config.digest(config.read(dict[str, int], {'a': 1})); "
        "print({'yaml', 'numpy', 'torch'} & set(sys.modules))"
    )
    root = Path(__file__).parents[3]
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=root, env=dict(os.environ), capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == "set()"
