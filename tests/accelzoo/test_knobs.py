"""Spaces: sizes, genomes there and back, inactive knobs, files and their faults."""

from __future__ import annotations

import itertools
import math
from pathlib import Path
from typing import Any

import pytest

from accelzoo import config, get_arch, get_space, list_spaces
from accelzoo.draw import generator
from accelzoo.errors import AccelzooError, ConfigError
from accelzoo.knobs import Choice, Space, choice

TINY: dict[str, Any] = {
    "input_size": choice([3, 16, 16], [3, 24, 24]),
    "stem": {"out_channels": 8},
    "stages": [
        {
            "kind": choice("conv_bn_act", "ibn"),
            "expansion_ratio": choice(2, 4),
            "repeats": choice(1, 2),
            "out_channels": choice(8, 16),
        }
    ],
    "width_multiplier": choice(1.0, 2.0),
}
SPACE = Space("tiny", TINY)
NAMES = ["input_size", "stages[0].kind", "stages[0].expansion_ratio", "stages[0].repeats", "stages[0].out_channels"]
GENOMES = [tuple((number >> bit) & 1 for bit in range(6)) for number in range(64)]


def test_knobs_and_sizes() -> None:
    assert [knob.name for knob in SPACE.knobs] == [*NAMES, "width_multiplier"]
    assert SPACE.sizes == (2,) * 6
    assert SPACE.size() == 64
    assert repr(SPACE) == "Space('tiny', 6 knobs, 64 genomes)"


def test_every_genome_decodes_to_what_its_knobs_say() -> None:
    for genome in GENOMES:
        arch = SPACE.decode(genome)
        size, kind, ratio, repeats, out, width = genome
        assert arch.input_size == ((3, 16, 16), (3, 24, 24))[size]
        (stage,) = arch.stages
        assert stage.block.kind == ("conv_bn_act", "ibn")[kind]
        assert getattr(stage.block, "expansion_ratio", None) == ((2, 4)[ratio] if kind else None)
        assert stage.repeats == (1, 2)[repeats]
        assert stage.block.out_channels == (8, 16)[out] * (1, 2)[width]
        assert arch.stem.out_channels == 8 * (1, 2)[width]


def test_values_by_name_and_back() -> None:
    for genome in GENOMES:
        values = SPACE.values(genome)
        inactive = set() if genome[1] else {"stages[0].expansion_ratio"}
        assert set(NAMES) | {"width_multiplier"} == set(values) | inactive
        assert SPACE.fix(values) == SPACE.decode(genome)


def test_fixing_names_every_fault() -> None:
    values = SPACE.values((0, 1, 0, 0, 0, 0)) | {"stages[0].repeat": 1, "width_multiplier": 3.0}
    del values["input_size"]
    with pytest.raises(ConfigError) as error:
        SPACE.fix(values)
    assert len(error.value.faults) == 3
    for text in ("did you mean 'stages[0].repeats'?", "3.0 is none of [1.0, 2.0]", "input_size: no value is given"):
        assert text in str(error.value)


OPTIONAL = {"repeats": choice(0, 1), "continued": True}
CONTINUED = {
    "stem": {"out_channels": 8},
    "norm_eps": choice(1e-5, 1e-3),
    "stages": [
        {"kind": "ibn", "out_channels": 16, "expansion_ratio": choice(3, 6)},
        {"kind": "ibn", "out_channels": 16, "expansion_ratio": choice(3, 6), **OPTIONAL},
        {"kind": "ibn", "out_channels": 24, "stride": 2, "expansion_ratio": choice(3, 6)},
    ],
}


def test_layers_of_their_own_that_may_be_left_out() -> None:
    space = Space("continued", CONTINUED)
    for number in range(space.size()):
        genome = tuple((number >> bit) & 1 for bit in range(len(space.knobs)))
        arch = space.decode(genome)
        assert [len(group) for group in arch.groups()] == [1 + genome[3], 1]
        assert space.decode(space.encode(arch)) == arch
        assert space.decode(space.encode(arch.normal())) == arch
        assert space.fix(space.values(genome)) == arch.normal()
        assert arch.normal().lower() == arch.lower()
        assert arch.norm_eps == (1e-5, 1e-3)[genome[0]]
        assert space.canonical(genome)[2] == (genome[2] if genome[3] else 0)
    assert len({space.decode(space.canonical(g)) for g in itertools.product((0, 1), repeat=5)}) == 2 * 2 * (1 + 2) * 2


def test_inactive_knobs_are_at_their_first_value() -> None:
    assert SPACE.canonical((1, 0, 1, 1, 1, 1)) == (1, 0, 0, 1, 1, 1)
    assert SPACE.canonical((1, 1, 1, 1, 1, 1)) == (1, 1, 1, 1, 1, 1)
    canonical = {SPACE.canonical(genome) for genome in GENOMES}
    assert len(canonical) == 48
    assert len({SPACE.decode(genome) for genome in canonical}) == 48
    assert all(SPACE.decode(SPACE.canonical(genome)) == SPACE.decode(genome) for genome in GENOMES)


def test_encode_inverts_decode() -> None:
    for genome in GENOMES:
        assert SPACE.encode(SPACE.decode(genome)) == SPACE.canonical(genome)


@pytest.mark.parametrize("name", list_spaces())
def test_registered_spaces_are_whole_and_invertible(name: str) -> None:
    space = get_space(name)
    space.validate()
    assert space.size() == math.prod(len(knob.values) for knob in space.knobs)
    for index in range(4):
        genome = space.sample_genome(generator(9, index))
        arch = space.decode(genome)
        assert space.sample(generator(9, index)) == arch
        assert space.decode(space.canonical(genome)) == arch
        assert space.decode(space.encode(arch)) == arch


@pytest.mark.parametrize(
    ("genome", "message"),
    [
        ((0, 0), "a genome of space 'tiny' has 6 positions, got 2"),
        ((0, 0, 0, 0, 0, 2), r"knob width_multiplier: index 2 is not in 0 … 1"),
        ((0, -1, 0, 0, 0, 0), r"knob stages\[0\].kind: index -1"),
    ],
)
def test_genomes_out_of_range_are_named(genome: tuple[int, ...], message: str) -> None:
    for method in (SPACE.decode, SPACE.canonical):
        with pytest.raises(ConfigError, match=message):
            method(genome)


@pytest.mark.parametrize(
    ("changes", "part"),
    [
        ({"input_size": [3, 20, 20]}, "input_size = "),
        ({"stem": {"out_channels": 24}}, "stem = "),
        ({"stages": [{"kind": "ibn", "out_channels": 8, "expansion_ratio": 3}]}, r"stages\[0\] = "),
        ({"stages": [{"kind": "ibn", "out_channels": 8}] * 2}, "stages = "),
        ({"head": {"kind": "classification", "num_classes": 2}}, "head = "),
    ],
)
def test_an_architecture_outside_is_refused_by_part(changes: dict[str, Any], part: str) -> None:
    inside = SPACE.decode((0,) * 6)
    arch = type(inside).from_config({**inside.to_config(), **changes})
    with pytest.raises(AccelzooError, match=f"not in space 'tiny': no choice makes {part}"):
        SPACE.encode(arch)
    with pytest.raises(AccelzooError, match="not in space"):
        SPACE.encode(get_arch("camera_ibn"))


def test_spaces_round_trip_through_files(tmp_path: Path) -> None:
    path = tmp_path / "mine.yaml"
    path.write_text(config.dump_yaml(SPACE.to_config()), encoding="utf-8")
    again = get_space(path)
    assert again.name == "mine"
    assert again.digest() == SPACE.digest()
    assert [again.decode(genome) for genome in GENOMES] == [SPACE.decode(genome) for genome in GENOMES]
    assert Space("other", {**TINY, "width_multiplier": choice(1.0)}).digest() != SPACE.digest()


FAULTY = """stem: {out_channels: 8}
stages:
- kind: {choice: [ibn, conv_bn_act]}
  kernel_size: {choice: [3, 4]}
  out_channels: 8
width_multiplyer: 2
head: {kind: classification, hidden_channels: {choice: [64, many]}}
"""


def test_faults_of_a_file_are_located() -> None:
    with pytest.raises(ConfigError) as caught:
        Space.from_config(config.Text(FAULTY, "mine.yaml"))
    said = caught.value.faults
    assert len(said) == 3
    assert said[0].startswith("mine.yaml:6:1: width_multiplyer: unknown key")
    assert "did you mean 'width_multiplier'?" in said[0]
    assert said[1].startswith("mine.yaml:3:3: stages[0]: kernel_size (=4) must be odd")
    assert said[1].endswith("(with stages[0].kernel_size = 4)")
    assert said[2].startswith("mine.yaml:7:47: head.hidden_channels: expected")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("stem: {choice: abc}", r"t.yaml:1:16: stem.choice: expected a list of values, got 'abc'"),
        ("stem: {choice: []}", r"t.yaml:1:7: stem: a choice needs at least one value"),
        ("stem: {choice: [1, 2, 1]}", r"t.yaml:1:7: stem: a choice must not repeat a value: \[1, 2, 1\]"),
        ("stem: 1\nstem: 2", "t.yaml:2:1: stem: duplicate key"),
        ("stages: [{kind: {choice: [ibn, ibm]}, out_channels: 8}]\nstem: {out_channels: 8}", "did you mean 'ibn'"),
    ],
)
def test_faulty_choices_are_located(text: str, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        Space.from_config(config.Text(text, "t.yaml"))


def test_a_whole_part_can_be_a_choice() -> None:
    stage = {"kind": "conv_bn_act", "out_channels": 8}
    stems = choice({"out_channels": 8}, {"out_channels": 16})
    space = Space("parts", {"stem": stems, "stages": choice([stage], [stage] * 2)})
    for genome in ((0, 0), (1, 0), (0, 1), (1, 1)):
        assert space.encode(space.decode(genome)) == genome


def test_a_choice_is_a_value() -> None:
    assert choice(1, 2) == Choice((1, 2))
    assert hash(choice(1, 2)) == hash(Choice((1, 2)))
