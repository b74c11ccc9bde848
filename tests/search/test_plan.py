"""What names a search's parts in its trace."""

from __future__ import annotations

from accelzoo.search import CandidateError, Named, TargetCosts
from accelzoo.search.plan import identity
from tests.search.toy import SPACE, ToyArch, ToySpace, accuracy, search


def test_a_target_prices_what_can_be_lowered() -> None:
    from accelzoo.hwmodel import Graph, GraphBuilder, estimate, list_targets, load_target

    class Lowered(ToyArch):
        def lower(self) -> Graph:
            builder = GraphBuilder((3, 32, 32))
            builder.conv2d("stem", builder.input, 8 * (1 + sum(self.choices)), kernel_size=3)
            return builder.graph()

    class Lowerable(ToySpace):
        def decode(self, genome: tuple[int, ...]) -> ToyArch:
            return Lowered(genome)

    target = load_target(list_targets()[0])
    result = search(Lowerable(), evaluations=5, costs=TargetCosts(target))
    assert result.header["target"] == target.digest()
    for record in result.trace:
        expected = estimate(Lowered(record.genome).lower(), target)
        assert record.cost is not None
        assert (record.cost.latency_s, record.cost.macs) == (expected.latency_s, expected.macs)


def test_a_callable_is_named_by_its_digest_or_its_place() -> None:
    from functools import partial

    assert identity(None) is None
    assert identity(accuracy) == identity(partial(accuracy)) == "tests.search.toy.accuracy"
    assert identity(partial(round, 3, ndigits=-1)) == "builtins.round(3, ndigits=-1)"
    assert identity(Named(accuracy, "v2")) == "v2"
    assert identity(SPACE) == SPACE.digest()
    assert identity(CandidateError("x")) == "accelzoo.search.evaluator.CandidateError"
