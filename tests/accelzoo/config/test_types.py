"""What each type of field accepts and refuses."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar, Literal, NewType

import pytest

from accelzoo import config
from accelzoo.errors import ConfigError, ShapeError

Bits = NewType("Bits", int)


def faults(cls: Any, source: Any, **options: Any) -> tuple[str, ...]:
    with pytest.raises(ConfigError) as caught:
        config.read(cls, source, **options)
    return caught.value.faults


ACCEPTED = [
    (int, 3, 3),
    (int, -3, -3),
    (float, 3, 3.0),
    (float, 0.5, 0.5),
    (float, "5e8", 5e8),
    (float, "500e6", 5e8),
    (float, "1.5e-12", 1.5e-12),
    (float, "-.5", -0.5),
    (bool, True, True),
    (bool, False, False),
    (str, "on", "on"),
    (str, "", ""),
    (Path, "a/b.csv", Path("a/b.csv")),
    (Path, Path("a"), Path("a")),
    (Bits, 8, 8),
    (Literal["relu", "off", 8, None], "relu", "relu"),
    (Literal["relu", "off", 8, None], 8, 8),
    (Literal["relu", "off", 8, None], None, None),
    (Literal[True], True, True),
    (int | None, None, None),
    (int | None, 3, 3),
    (tuple[int, ...], [1, 2], (1, 2)),
    (tuple[int, ...], [], ()),
    (tuple[int, str], (1, "a"), (1, "a")),
    (tuple[tuple[int, ...], ...], [[1], []], ((1,), ())),
    (dict[str, float], {"a": 1}, {"a": 1.0}),
    (Mapping[str, int], {"a": 1}, {"a": 1}),
    (Any, {"a": [1, None, {"b": "c"}]}, {"a": [1, None, {"b": "c"}]}),
    (object, (1, 2), [1, 2]),
    (int | str, 3, 3),
    (int | str, "3", "3"),
    (float | str, "5e8", "5e8"),
    (float | int, 3, 3),
    (float | int, 3.0, 3.0),
    (bool | int, True, True),
    (int | tuple[int, ...], 3, 3),
    (int | tuple[int, ...], [3, 4], (3, 4)),
    (Literal["same"] | int, "same", "same"),
    (Literal["same"] | int, 2, 2),
    (float | dict[str, float], {"a": 1}, {"a": 1.0}),
]


@pytest.mark.parametrize(("hint", "given", "expected"), ACCEPTED)
def test_accepts(hint: Any, given: object, expected: object) -> None:
    value = config.read(hint, config.Node(given))
    assert value == expected
    assert type(value) is type(expected)


REFUSED = [
    (int, True, "expected an integer, got true"),
    (int, 3.0, "expected an integer, got the number 3.0"),
    (int, "3", "expected an integer, got the text '3'"),
    (int, None, "expected an integer, got null"),
    (float, True, "expected a number, got true"),
    (float, "fast", "expected a number, got the text 'fast'"),
    (float, "nan", "expected a number, got the text 'nan'"),
    (float, float("nan"), "expected a finite number, got the number nan"),
    (float, float("-inf"), "expected a finite number, got the number -inf"),
    (float, "1e999", "expected a finite number, got the text '1e999'"),
    (float, 10**400, "expected a finite number, got the integer of 1329 bits"),
    (bool, 1, "expected true or false, got the integer 1"),
    (bool, "yes", "expected true or false, got the text 'yes'"),
    (str, 1.1, "expected text, got the number 1.1; put it in quotes to make it text"),
    (str, None, "expected text, got null"),
    (str, ["a"], "expected text, got a list of 1"),
    (Path, "", "expected a path, got the text ''"),
    (Path, 3, "expected a path, got the integer 3"),
    (Literal["relu", "silu"], "rellu", "unknown choice 'rellu' (allowed: relu, silu); did you mean 'relu'?"),
    (Literal["relu", "silu"], 8, "unknown choice, got the integer 8 (allowed: relu, silu)"),
    (Literal[1, 2], True, "unknown choice, got true (allowed: 1, 2)"),
    (Literal[True, None], [], "unknown choice, got a list of 0 (allowed: true, null)"),
    (int | None, "x", "expected an integer, got the text 'x'"),
    (int | str, 3.5, "expected an integer or text, got the number 3.5"),
    (int | str | None, [], "expected an integer or text or null, got a list of 0"),
    (int | tuple[int, ...], {}, "expected an integer or a list, got a mapping"),
    (Literal["same"] | int, "sam", "expected one of same or an integer, got the text 'sam'"),
    (tuple[int, ...], "12", "expected a list, got the text '12'"),
    (tuple[int, ...], 3, "expected a list, got the integer 3"),
    (tuple[int, int, int], [1, 2], "expected a list of 3, got a list of 2"),
    (tuple[int, ...], [1, "a"], "[1]: expected an integer, got the text 'a'"),
    (dict[str, int], [1], "expected a mapping, got a list of 1"),
    (dict[str, int], {"a": "b"}, "a: expected an integer, got the text 'b'"),
    (dict[str, int], {"a.b": "b"}, "['a.b']: expected an integer, got the text 'b'"),
    (dict[str, int], {8: 1}, "expected text as a key, got the integer 8"),
    (Any, {"a": [float("inf")]}, "a[0]: expected a finite number, got the number inf"),
    (Any, {1, 2}, "expected a plain value, got the set {1, 2}"),
]


@pytest.mark.parametrize(("hint", "given", "message"), REFUSED)
def test_refuses(hint: Any, given: object, message: str) -> None:
    assert faults(hint, config.Node(given)) == (message,)


def test_long_values_are_cut() -> None:
    (fault,) = faults(int, config.Node("x" * 1000))
    assert fault == f"expected an integer, got the text {'x' * 60!r}…"


@pytest.mark.parametrize(
    "hint", [set[int], list[int], complex, dict[int, int], tuple, int | list[int], tuple[int] | tuple[str, str]]
)
def test_types_without_a_plain_form_are_the_authors_mistake(hint: Any) -> None:
    with pytest.raises(TypeError):
        config.read(hint, {})


@dataclass(frozen=True, slots=True, kw_only=True)
class Sgd:
    kind: ClassVar[str] = "sgd"
    momentum: float = 0.9


@dataclass(frozen=True, slots=True, kw_only=True)
class AdamW:
    kind: ClassVar[str] = "adamw"
    betas: tuple[float, float]


@dataclass(frozen=True, slots=True, kw_only=True)
class Training:
    epochs: int
    optimizer: Sgd | AdamW
    warmup: Sgd | None = None
    sizes: tuple[int, ...] = field(default_factory=tuple)
    seed: int = field(init=False, default=7)

    def __post_init__(self) -> None:
        if self.epochs < 1:
            raise ValueError(f"epochs (={self.epochs}) must be positive")
        if self.epochs > 1000:
            raise ShapeError("too long")
        if self.epochs == 1000:
            raise ConfigError(["first", "second"])


def test_reads_nested_dataclasses_and_unions_by_kind() -> None:
    training = config.read(Training, {"epochs": 2, "optimizer": {"kind": "adamw", "betas": [0.9, 1]}})
    assert training == Training(epochs=2, optimizer=AdamW(betas=(0.9, 1.0)))
    assert config.read(Training, {"epochs": 2, "optimizer": {"kind": "sgd"}, "warmup": {"momentum": 0}}) == Training(
        epochs=2, optimizer=Sgd(), warmup=Sgd(momentum=0.0)
    )


def test_a_single_tagged_dataclass_takes_its_own_kind_or_none() -> None:
    assert config.read(Sgd, {"kind": "sgd"}) == config.read(Sgd, {}) == Sgd()
    assert faults(Sgd, {"kind": "adamw"}) == ("kind: unknown kind 'adamw' (allowed: sgd)",)


def test_reports_every_fault_at_once() -> None:
    given = {"epoch": 2, "optimizer": {"kind": "sdg"}, "warmup": {"momentun": 1}, "sizes": [1, "a", 2.5], "seed": 1}
    assert faults(Training, given) == (
        "optimizer.kind: unknown kind 'sdg' (allowed: sgd, adamw); did you mean 'sgd'?",
        "warmup.momentun: unknown key 'momentun' (allowed: kind, momentum); did you mean 'momentum'?",
        "sizes[1]: expected an integer, got the text 'a'",
        "sizes[2]: expected an integer, got the number 2.5",
        "missing required key 'epochs'",
        "epoch: unknown key 'epoch' (allowed: epochs, optimizer, warmup, sizes); did you mean 'epochs'?",
        "seed: unknown key 'seed' (allowed: epochs, optimizer, warmup, sizes)",
    )


def test_missing_and_mistyped_unions() -> None:
    assert faults(Training, {}) == ("missing required keys 'epochs', 'optimizer'",)
    assert faults(Training, {"epochs": 1, "optimizer": {}}) == (
        "optimizer: missing required key 'kind' (allowed: sgd, adamw)",
    )
    assert faults(Training, {"epochs": 1, "optimizer": "sgd"}) == (
        "optimizer: expected a mapping with the key 'kind', got the text 'sgd'",
    )
    assert faults(Training, {"epochs": 1, "optimizer": {"kind": 3}}) == (
        "optimizer.kind: unknown kind, got the integer 3 (allowed: sgd, adamw)",
    )
    assert faults(Training, [1]) == ("expected a mapping, got a list of 1",)
    assert faults(Sgd, {3: 4}) == ("expected text as a key, got the integer 3",)


@pytest.mark.parametrize(
    ("epochs", "expected"),
    [(0, ("epochs (=0) must be positive",)), (2000, ("too long",)), (1000, ("first", "second"))],
)
def test_errors_of_the_dataclass_itself_are_faults(epochs: int, expected: tuple[str, ...]) -> None:
    assert faults(Training, {"epochs": epochs, "optimizer": {"kind": "sgd"}}) == expected


@dataclass(frozen=True, slots=True, kw_only=True)
class Tree:
    name: str
    children: tuple[Tree, ...] = ()


def test_a_dataclass_may_hold_its_own_kind() -> None:
    given = {"name": "a", "children": [{"name": "b", "children": [{"name": "c"}]}]}
    assert config.read(Tree, given) == Tree(name="a", children=(Tree(name="b", children=(Tree(name="c"),)),))
    endless: dict[str, Any] = {"name": "a"}
    endless["children"] = [endless]
    assert faults(Tree, endless) == ("nested too deeply, or containing itself",)


class Block:
    registered: ClassVar[dict[str, type]] = {}

    @classmethod
    def config_variants(cls) -> Mapping[str, type]:
        return cls.registered


@dataclass(frozen=True, slots=True, kw_only=True)
class Conv(Block):
    kind: ClassVar[str] = "conv"
    out_channels: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Ibn(Block):
    kind: ClassVar[str] = "ibn"
    out_channels: int
    expansion_ratio: float = 6.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Stage:
    inline: ClassVar[str] = "block"
    block: Block
    repeats: int = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class Outer:
    inline: ClassVar[str] = "stage"
    stage: Stage
    label: str


@pytest.fixture(autouse=True)
def blocks(monkeypatch: pytest.MonkeyPatch) -> dict[str, type]:
    registered: dict[str, type] = {"conv": Conv, "ibn": Ibn}
    monkeypatch.setattr(Block, "registered", registered)
    return registered


def test_an_open_union_is_looked_up_at_every_read(blocks: dict[str, type]) -> None:
    given: Any = {"kind": "ibn", "out_channels": 8}
    assert config.read(Block, given) == Ibn(out_channels=8)
    del blocks["ibn"]
    assert faults(Block, given) == ("kind: unknown kind 'ibn' (allowed: conv)",)
    assert config.read(Ibn, given) == Ibn(out_channels=8), "a registered class itself is no union"
    assert config.read(Block | None, config.Node(None)) is None  # type: ignore[arg-type]


def test_the_keys_of_an_inline_dataclass_stand_flat() -> None:
    given = {"kind": "ibn", "repeats": 2, "out_channels": 24, "label": "x"}
    stage = Stage(block=Ibn(out_channels=24), repeats=2)
    assert config.read(Outer, given) == Outer(stage=stage, label="x")


def test_faults_around_an_inline_dataclass() -> None:
    assert faults(tuple[Stage, ...], [{"kind": "ibn", "repeat": 2, "repeats": "x"}]) == (
        "[0].repeats: expected an integer, got the text 'x'",
        "[0]: missing required key 'out_channels'",
        "[0].repeat: unknown key 'repeat' (allowed: repeats, kind, out_channels, expansion_ratio); "
        "did you mean 'repeats'?",
    )
    assert faults(Outer, {"kind": "inb", "repeats": "x", "whatever": 1}) == (
        "missing required key 'label'",
        "repeats: expected an integer, got the text 'x'",
        "kind: unknown kind 'inb' (allowed: conv, ibn); did you mean 'ibn'?",
    ), "without its kind nobody can tell which keys are unknown"


@dataclass(frozen=True, slots=True, kw_only=True)
class Clashing:
    kind: ClassVar[str] = "clashing"
    repeats: int


@dataclass(frozen=True, slots=True, kw_only=True)
class InlineNumber:
    inline: ClassVar[str] = "number"
    number: int


@dataclass(frozen=True, slots=True, kw_only=True)
class InlineNothing:
    inline: ClassVar[str] = "nothing"
    number: int


@dataclass(frozen=True, slots=True, kw_only=True)
class FieldsOfThoseNames:
    kind: str = "free"
    inline: str = "free"


def test_mistakes_in_declarations_are_type_errors(blocks: dict[str, type]) -> None:
    blocks["clashing"] = Clashing
    with pytest.raises(TypeError, match="share a key"):
        config.read(Stage, {"kind": "clashing", "repeats": 1})
    blocks["other"] = Conv
    with pytest.raises(TypeError, match="registered as 'other' but its kind is 'conv'"):
        config.read(Block, {"kind": "other", "out_channels": 1})
    blocks["plain"] = int
    with pytest.raises(TypeError, match="not a dataclass"):
        config.read(Block, {"kind": "plain"})
    with pytest.raises(TypeError, match="cannot be inline"):
        config.read(InlineNumber, {"number": 1})
    with pytest.raises(TypeError, match="no field of it"):
        config.read(InlineNothing, {"number": 1})
    with pytest.raises(TypeError, match="needs its own `kind"):
        config.read(Tree | Sgd, {})  # type: ignore[arg-type]
    with pytest.raises(TypeError, match="apart"):
        config.read(Sgd | dict[str, int], {})  # type: ignore[arg-type]


def test_fields_named_kind_and_inline_are_ordinary() -> None:
    assert config.read(FieldsOfThoseNames, {"kind": "a"}) == FieldsOfThoseNames(kind="a")
    assert config.to_config(FieldsOfThoseNames()) == {"kind": "free", "inline": "free"}
