"""Overrides, bases and profiles: what they change, and that faults still tell the place."""

from __future__ import annotations

import copy
from dataclasses import dataclass
from typing import Any, ClassVar

import pytest

from accelzoo import config
from accelzoo.errors import ConfigError


@dataclass(frozen=True, slots=True, kw_only=True)
class Sgd:
    kind: ClassVar[str] = "sgd"
    momentum: float = 0.9


@dataclass(frozen=True, slots=True, kw_only=True)
class Adam:
    kind: ClassVar[str] = "adam"
    epsilon: float = 1e-8


@dataclass(frozen=True, slots=True, kw_only=True)
class Stage:
    repeats: int
    sizes: tuple[int, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Recipe:
    name: str
    epochs: int = 1
    optimizer: Sgd | Adam | None = None
    stages: tuple[Stage, ...] = ()
    notes: dict[str, str] | None = None


FILE = """\
name: base
epochs: 100
optimizer: {kind: sgd, momentum: 0.8}
stages:
  - {repeats: 1}
  - {repeats: 2, sizes: [1, 2]}
profiles:
  smoke:
    epochs: 1
    stages: [{repeats: 1}]
  adam:
    optimizer: {kind: adam}
  bad:
    epochs: one
    optimizer: {momentum: x}
"""


def recipe(*overrides: str, given: Any = None) -> Recipe:
    return config.read(Recipe, {"name": "r"} if given is None else given, overrides=overrides)


def faults(*overrides: str, given: Any = None) -> list[str]:
    with pytest.raises(ConfigError) as caught:
        recipe(*overrides, given=given)
    return list(caught.value.faults)


def test_overrides_change_add_and_index() -> None:
    given = {"name": "r", "stages": [{"repeats": 1}, {"repeats": 2, "sizes": [3, 4]}], "optimizer": None}
    before = copy.deepcopy(given)
    changed = recipe(
        "name='5'", "epochs=7", "stages.1.sizes.0=9", "optimizer.kind=adam", "notes.a=b=c", "notes.d=''", given=given
    )
    assert changed == Recipe(
        name="5",
        epochs=7,
        optimizer=Adam(),
        stages=(Stage(repeats=1), Stage(repeats=2, sizes=(9, 4))),
        notes={"a": "b=c", "d": ""},
    )
    assert given == before


def test_override_values_are_yaml_and_the_last_one_holds() -> None:
    assert recipe("stages=[{repeats: 3, sizes: [1]}]") == Recipe(name="r", stages=(Stage(repeats=3, sizes=(1,)),))
    assert recipe("optimizer={kind: sgd}", "optimizer.momentum=5e-1") == Recipe(name="r", optimizer=Sgd(momentum=0.5))
    assert recipe("epochs=1", "epochs=2").epochs == 2
    assert recipe("notes=", given={"name": "r", "notes": {"a": "b"}}).notes is None


@pytest.mark.parametrize(
    ("override", "expected"),
    [
        ("epochs", "expected `key.path=value`"),
        ("=3", "expected `key.path=value`"),
        ("a..b=3", "expected `key.path=value`"),
        (
            "epoch=3",
            "epoch: unknown key 'epoch' (allowed: name, epochs, optimizer, stages, notes); did you mean 'epochs'?",
        ),
        ("epochs=x", "epochs: expected an integer, got the text 'x'"),
        ("epochs.x=1", "epochs: has no key 'x': it is the integer 5"),
        ("stages.2.repeats=1", "stages: no item '2' (allowed: 0 to 1)"),
        ("stages.-1.repeats=1", "stages: no item '-1' (allowed: 0 to 1)"),
        ("stages.x=1", "stages: no item 'x' (allowed: 0 to 1)"),
        ("stages.0.sizes.0=1", "stages[0].sizes: no item '0' (allowed: none, the list is empty)"),
        ("stages.1={repeats: {}}", "stages[1].repeats: expected an integer, got a mapping"),
        ("stages.1={}", "stages[1]: missing required key 'repeats'"),
        ("notes.new.deep=1", "notes.new: expected text, got a mapping"),
        ("epochs=[1", "not valid YAML: did not find expected"),
        ("notes={a: 1, a: 2}", "a: duplicate key"),
        ("epochs=!!int 3", "tags are not allowed"),
        ("epochs=# 3", "empty: expected"),
    ],
)
def test_faults_name_their_override(override: str, expected: str) -> None:
    given = {"name": "r", "epochs": 5, "stages": [{"repeats": 1, "sizes": []}, {"repeats": 2}]}
    assert faults(override, given=given)[0].startswith(f"override {override!r}: {expected}")


def test_faults_of_files_and_overrides_come_together_in_order() -> None:
    text = config.Text("name: 3\nepochs: x\nstages: [{repeats: a, sizes: b}]\n", "r.yaml")
    assert faults("epochs=2", "stages.0.sizes=[c]", "nothing", given=text) == [
        "r.yaml:1:7: name: expected text, got the integer 3; put it in quotes to make it text",
        "r.yaml:3:20: stages[0].repeats: expected an integer, got the text 'a'",
        "override 'nothing': expected `key.path=value`",
        "override 'stages.0.sizes=[c]': stages[0].sizes[0]: expected an integer, got the text 'c'",
    ]


def test_merge() -> None:
    base = {"a": 1, "b": {"c": [1, 2], "d": {"e": 1}}, "f": {"kind": "x", "g": 1}, "h": {"kind": "x", "g": 1}}
    changes = {"b": {"c": [3], "d": {"i": 2}}, "f": {"kind": "y"}, "h": {"kind": "x"}, "a": None, "j": {"k": 1}}
    untouched = copy.deepcopy((base, changes))
    merged = config.merge(base, changes)
    assert merged == {
        "a": None,
        "b": {"c": [3], "d": {"e": 1, "i": 2}},
        "f": {"kind": "y"},
        "h": {"kind": "x", "g": 1},
        "j": {"k": 1},
    }
    merged["b"]["c"].append(4)
    assert (base, changes) == untouched
    assert type(merged) is type(merged["b"]) is dict


def profiled(profile: str, *overrides: str) -> Recipe:
    file = config.load(config.Text(FILE, "f.yaml"))
    profiles = file.get("profiles")
    assert profiles is not None
    changes = profiles.get(profile)
    assert changes is not None
    return config.read(Recipe, file.without("profiles").merged(changes), overrides=overrides)


def test_a_profile_of_the_same_file_is_laid_over_it() -> None:
    assert profiled("smoke", "name=n") == Recipe(
        name="n", epochs=1, optimizer=Sgd(momentum=0.8), stages=(Stage(repeats=1),)
    )
    assert profiled("adam") == Recipe(
        name="base", epochs=100, optimizer=Adam(), stages=(Stage(repeats=1), Stage(repeats=2, sizes=(1, 2)))
    )


def test_faults_in_a_profile_point_into_the_profile() -> None:
    with pytest.raises(ConfigError) as caught:
        profiled("bad", "stages.0.repeats=x")
    assert caught.value.faults == (
        "f.yaml:14:13: epochs: expected an integer, got the text 'one'",
        "f.yaml:15:27: optimizer.momentum: expected a number, got the text 'x'",
        "override 'stages.0.repeats=x': stages[0].repeats: expected an integer, got the text 'x'",
    )


def test_a_part_is_read_with_its_whole_path() -> None:
    node = config.load(config.Text("a:\n  b:\n    nam: x\n", "p.yaml"))
    part = node.get("a")
    assert part is not None
    inner = part.get("b")
    assert inner is not None
    with pytest.raises(ConfigError) as caught:
        config.read(Recipe, inner)
    assert caught.value.faults == (
        "p.yaml:3:5: a.b: missing required key 'name'",
        "p.yaml:3:5: a.b.nam: unknown key 'nam' (allowed: name, epochs, optimizer, stages, notes); "
        "did you mean 'name'?",
    )
    assert node.get("c") is None
    assert config.load([1]).get("c") is None
    assert config.load({"a": 1}).without("a").plain() == {}
    assert config.load([1]).without("a").plain() == [1]


def test_a_base_is_read_below_the_source() -> None:
    base = {"epochs": 3, "optimizer": {"kind": "sgd", "momentum": "x"}, "name": 4}
    text = config.Text("name: a\noptimizer: {momentum: 0.1}\n", "s.yaml")
    assert config.read(Recipe, text, base=base) == Recipe(name="a", epochs=3, optimizer=Sgd(momentum=0.1))
    with pytest.raises(ConfigError) as caught:
        config.read(Recipe, config.Text("epochs: e\n", "s.yaml"), base=base)
    assert caught.value.faults == (
        "s.yaml:1:9: epochs: expected an integer, got the text 'e'",
        "name: expected text, got the integer 4; put it in quotes to make it text",
        "optimizer.momentum: expected a number, got the text 'x'",
    )
    with pytest.raises(ConfigError, match=r"^s.yaml:1:1: expected a mapping, got a list of 1$"):
        config.read(Recipe, config.Text("[1]", "s.yaml"), base=base)


def test_plain_changes_do_not_borrow_the_place_of_what_they_replace() -> None:
    text = config.Text("name: a\nepochs: 1\n", "b.yaml")
    with pytest.raises(ConfigError) as caught:
        config.read(Recipe, {"epochs": "x"}, base=text)
    assert caught.value.faults == ("b.yaml:1:1: epochs: expected an integer, got the text 'x'",)


def test_faults_of_parsing_travel_with_every_part() -> None:
    node = config.load(config.Text("a: {name: x}\nb: 1\nb: 2\n", "d.yaml"))
    part = node.get("a")
    assert part is not None
    for damaged in (part, part.merged(node), config.load({}).merged(part), node.without("b")):
        with pytest.raises(ConfigError) as caught:
            damaged.plain()
        assert caught.value.faults == ("d.yaml:3:1: b: duplicate key (first given at line 2)",)
