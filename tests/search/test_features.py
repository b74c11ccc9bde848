"""Features of genomes are what is said of their architectures, by look-up or one by one."""

from __future__ import annotations

import itertools
from typing import Any

import numpy as np
import pytest

from accelzoo.errors import ShapeError
from accelzoo.knobs import Space, choice
from accelzoo.search.features import SpaceFeatures, space_features
from accelzoo.search.scores import macs, trainability
from tests.search.toy import ToySpace


def small_space() -> Space:
    stages = [
        {"kind": "ibn", "out_channels": channels, "stride": 2, "expansion_ratio": choice(1, 4), "repeats": choice(1, 2)}
        for channels in (16, 24)
    ]
    template = {"input_size": [3, 32, 32], "stem": {"out_channels": 8}, "stages": stages}
    return Space("small", template)


class Choosy:
    """The space, but for one genome that makes no network; and nobody says what its knobs concern."""

    def __init__(self, space: Space) -> None:
        self._space = space
        self.sizes = space.sizes
        self.canonical, self.digest = space.canonical, space.digest

    def decode(self, genome: Any) -> Any:
        if tuple(genome) == (0, 0, 0, 0):
            raise ShapeError("no network")
        return self._space.decode(genome)


def test_features_are_the_logarithms_of_what_the_network_has() -> None:
    space = small_space()
    genomes = np.array(list(itertools.product(range(2), repeat=4)))
    features = space_features(space)
    assert features is not None
    table = features(genomes)
    assert table.shape == (16, len(features.names))
    for genome, row in zip(genomes[::6].tolist(), table[::6], strict=True):
        arch = space.decode(genome)
        weights = sum(parameter.numel() for parameter in arch.build().parameters() if parameter.ndim > 1)
        np.testing.assert_allclose(np.exp(row[:3]), [weights, macs(arch), trainability(arch)], rtol=1e-9)
    names = dict(zip(features.names, table.T, strict=True))
    assert (np.diff(names["linear_regions"][[0, 5]]) > 0).all()  # twice as deep


def test_a_genome_without_a_network_has_no_features_and_spoils_no_other() -> None:
    space = small_space()
    choosy = Choosy(space)
    genomes = np.array([[1, 0, 1, 0], [0, 0, 0, 0], [1, 1, 1, 1]])
    one_by_one = space_features(choosy)
    looked_up = space_features(space)
    assert one_by_one is not None
    assert looked_up is not None
    table = one_by_one(genomes)
    assert np.isnan(table[1]).all()
    np.testing.assert_allclose(table[[0, 2]], looked_up(genomes)[[0, 2]], rtol=1e-9)
    assert one_by_one(genomes[:0]).shape == (0, 4)


def test_a_space_of_something_else_has_none() -> None:
    assert space_features(ToySpace()) is None


def test_genomes_that_do_not_fit_are_refused() -> None:
    with pytest.raises(ShapeError, match="choice 7 at position 1"):
        SpaceFeatures(small_space())(np.array([[0, 7, 0, 0]]))
