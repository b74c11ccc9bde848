"""The contract of a head kind, as tests that any kind can be run through.

A test file of yours makes it run under pytest:

    class TestMyHead(HeadContract):
        @pytest.fixture
        def head_kind(self):
            return MyHead

Every field needs a default with which the head fits a network that has maps of stride 2 to 32.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import fields
from typing import TYPE_CHECKING, Any

from accelzoo import config
from accelzoo.heads.base import Head
from accelzoo.hwmodel.ir import GraphBuilder

if TYPE_CHECKING:
    from torch import nn

    from accelzoo.arch import Arch

SETTINGS: tuple[dict[str, Any], ...] = (
    {"num_classes": 5},
    {"num_classes": 1, "activation": "silu"},
    {"num_classes": 3, "hidden_channels": 24},
)
"""Values of the heads that are tried; a kind that has no such field is tried without."""
INPUT_SIZE = (3, 192, 288)


class HeadContract:
    """What every head kind must keep to; subclasses supply the fixture `head_kind`."""

    def test_the_module_makes_what_lowering_says(self, head_kind: type[Head]) -> None:
        """As many outputs, in the same order and of equal shapes."""
        import torch

        from accelzoo.importing.draft import canonical

        for head in self.heads(head_kind):
            with torch.no_grad():
                made = self.module(head).eval()(torch.zeros(1, *INPUT_SIZE))
            shapes = [canonical(tuple(output.shape)) for output in torch.utils._pytree.tree_leaves(made)]
            lowered = self.output_shapes(head)
            expect(shapes == lowered, f"{head} makes {shapes}, lowering says {lowered}")

    def test_lowers_to_what_it_runs(self, head_kind: type[Head]) -> None:
        """Operator for operator what the importer finds in the module, names included."""
        from accelzoo.importer import from_module

        for head in self.heads(head_kind):
            ours, theirs = self.network(head).lower().ops, from_module(self.module(head), INPUT_SIZE).ops
            differing = [pair for pair in zip(ours, theirs, strict=False) if pair[0] != pair[1]]
            expect(not differing, f"{head} lowers to {differing[:1]}, where the second is what runs")
            expect(len(ours) == len(theirs), f"{head} lowers to {len(ours)} operators, {len(theirs)} run")

    def test_macs_and_weights_are_torchs(self, head_kind: type[Head]) -> None:
        """MACs are half of what torch's counter calls FLOPs; every weight tensor is an operator's."""
        import torch
        from torch.utils.flop_counter import FlopCounterMode

        for head in self.heads(head_kind):
            graph, model = self.network(head).lower(), self.module(head).eval()
            with FlopCounterMode(display=False) as counter, torch.no_grad():
                model(torch.zeros(1, *INPUT_SIZE))
            expect(2 * graph.macs == counter.get_total_flops(), f"{head}: {graph.macs} MACs, twice that is not torch's")
            lowered = {f"{op.name}.weight": op.weight_count for op in graph.ops if op.weight_count}
            for name, value in model.named_parameters():
                count = lowered.get(name)
                expect(value.ndim < 2 or count == value.numel(), f"{head}: {name} holds {value.numel()}, not {count}")

    def test_every_parameter_learns(self, head_kind: type[Head]) -> None:
        """One step of training gives each a finite gradient that is not zero."""
        import torch

        for head in self.heads(head_kind):
            with torch.random.fork_rng(devices=()):
                torch.manual_seed(0)
                model = self.module(head).train()
                outputs = torch.utils._pytree.tree_leaves(model(torch.randn(4, *INPUT_SIZE)))
                losses = [(output - torch.randn_like(output)).square().mean() for output in outputs]
            torch.stack(losses).sum().backward()
            for name, value in model.named_parameters():
                learns = value.grad is not None and bool(value.grad.isfinite().all()) and bool(value.grad.any())
                expect(learns, f"{head}: {name} does not learn")

    def test_is_the_same_as_its_config(self, head_kind: type[Head]) -> None:
        """Read back from plain data, and from plain data without defaults."""
        for head in self.heads(head_kind):
            for defaults in (True, False):
                plain = config.to_config(head, defaults=defaults)
                expect(plain["kind"] == head_kind.kind, f"{plain} does not name the kind {head_kind.kind!r}")
                again = config.read(Head, config.Node(plain))
                expect(again == head and hash(again) == hash(head), f"{head} came back as {again}")

    def test_scales_its_channels(self, head_kind: type[Head]) -> None:
        """To multiples of the divisor, and nothing but widths."""
        for head in self.heads(head_kind):
            before, after = (flat(config.to_config(value)) for value in (head, head.scaled(3.0, 32)))
            expect(before.keys() == after.keys(), f"scaling {head} changes its fields to {list(after)}")
            for path, value in before.items():
                if not any(str(name).endswith("channels") for name in path):
                    expect(after[path] == value, f"scaling changes {path} (={value}) of {head} to {after[path]}")
                elif isinstance(value, int):
                    fits = after[path] % 32 == 0 and after[path] >= value
                    expect(fits, f"{path} (={value}) of {head} scales to {after[path]}")

    def test_refuses_fewer_than_no_classes(self, head_kind: type[Head]) -> None:
        """With a ValueError that says what was given."""
        try:
            head_kind(num_classes=-1)
        except ValueError as error:
            expect("num_classes (=-1)" in str(error), f"{head_kind.kind} does not say what is wrong: {error}")
        else:
            expect(False, f"{head_kind.kind} takes num_classes (=-1)")

    def heads(self, head_kind: type[Head]) -> Iterator[Head]:
        """Yields heads of the kind in different settings."""
        names = {field.name for field in fields(head_kind)}
        for settings in SETTINGS:
            yield head_kind(**{name: value for name, value in settings.items() if name in names})

    def network(self, head: Head) -> Arch:
        """A small network that carries the head."""
        from accelzoo.arch import Arch, Stage
        from accelzoo.blocks import ConvBnAct
        from accelzoo.stem import Stem

        stages = [Stage(block=ConvBnAct(out_channels=8 * index, stride=2)) for index in range(1, 5)]
        return Arch(stem=Stem(out_channels=8), stages=tuple(stages), head=head, input_size=INPUT_SIZE)

    def module(self, head: Head) -> nn.Module:
        """The small network's module."""
        return self.network(head).build()

    def output_shapes(self, head: Head) -> list[tuple[int, int, int]]:
        """Shapes of the outputs as lowering has them."""
        graph = GraphBuilder(INPUT_SIZE)
        levels = {
            level.stride: graph.conv2d(f"level_{level.stride}", graph.input, level.channels, stride=level.stride)
            for level in self.network(head).feature_levels()
        }
        return [graph.shape(name) for name in head.lower(graph, levels)]


def flat(plain: Any, path: tuple[Any, ...] = ()) -> dict[tuple[Any, ...], Any]:
    """What a config holds, by the keys and indices that lead there."""
    if not isinstance(plain, dict | list):
        return {path: plain}
    entries = plain.items() if isinstance(plain, dict) else enumerate(plain)
    return {key: value for name, inner in entries for key, value in flat(inner, (*path, name)).items()}


def expect(holds: bool, otherwise: str) -> None:
    """Fails the test with the message `otherwise` unless `holds`.

    Raises:
        AssertionError: If it does not hold.
    """
    if not holds:
        raise AssertionError(otherwise)
