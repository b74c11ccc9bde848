"""The contract of a block kind, as tests that any kind can be run through.

A test file of yours makes it run under pytest:

    class TestMyBlock(BlockContract):
        @pytest.fixture
        def block_kind(self):
            return MyBlock

Every field beside those of `Block` needs a default.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import fields
from typing import Any

from accelzoo import config
from accelzoo.blocks.base import Block
from accelzoo.hwmodel.ir import GraphBuilder, Op, Shape

IN_SHAPE: Shape = (16, 15, 10)
SETTINGS: tuple[dict[str, Any], ...] = (
    {"out_channels": 16},
    {"out_channels": 16, "residual": False},
    {"out_channels": 16, "stride": 2},
    {"out_channels": 24, "kernel_size": 5, "dilation": 2},
    {"out_channels": 16, "stride": 2, "padding": "same", "dilation": 3},
    {"out_channels": 8, "kernel_size": 1, "stride": 2, "se_ratio": 0.25, "activation": "silu"},
)


def settings_for(block_kind: type[Block]) -> Iterator[dict[str, Any]]:
    """Yields those of `SETTINGS` that a kind can take, without the fields that it does not have."""
    names = {field.name for field in fields(block_kind)}
    for settings in SETTINGS:
        if settings.get("stride", 1) in block_kind.strides:
            yield {name: value for name, value in settings.items() if name in names}


class BlockContract:
    """What every block kind must keep to; subclasses supply the fixture `block_kind`."""

    def test_lowers_to_its_output_shape(self, block_kind: type[Block]) -> None:
        """Channels as asked for, height and width divided by the stride and rounded up."""
        for block in self.blocks(block_kind):
            out_shape = self.lowered(block)[-1].out_shape
            _, height, width = IN_SHAPE
            wanted = (block.out_channels, -(-height // block.stride), -(-width // block.stride))
            expect(out_shape == wanted, f"{block} makes {out_shape}, not {wanted}")

    def test_the_module_makes_what_lowering_says(self, block_kind: type[Block]) -> None:
        """Equal output shapes, and one weight tensor per operator that has weights (a norm's, where it is one)."""
        import torch

        for block in self.blocks(block_kind):
            ops = self.lowered(block)
            module = block.build(IN_SHAPE[0]).eval()
            with torch.no_grad():
                out_shape = tuple(module(torch.zeros(1, *IN_SHAPE)).shape[1:])
            expect(out_shape == ops[-1].out_shape, f"{block} makes {out_shape}, lowering says {ops[-1].out_shape}")
            wanted = {f"{op.name.removeprefix('block.')}.weight": op.weight_count for op in ops if op.weight_count}
            named = module.named_parameters()
            weights = {name: value.numel() for name, value in named if value.ndim > 1 or name in wanted}
            expect(weights == wanted, f"{block} holds {weights}, lowering says {wanted}")

    def test_every_parameter_learns(self, block_kind: type[Block]) -> None:
        """One step of training gives each a finite gradient and changes it."""
        import torch

        for block in self.blocks(block_kind):
            with torch.random.fork_rng(devices=()):
                torch.manual_seed(0)
                module = block.build(IN_SHAPE[0]).train()
                x, wanted = torch.randn(4, *IN_SHAPE), torch.randn(4, *self.lowered(block)[-1].out_shape)
            before = {name: value.detach().clone() for name, value in module.named_parameters()}
            (module(x) - wanted).square().mean().backward()
            torch.optim.SGD(module.parameters(), lr=0.1).step()
            for name, value in module.named_parameters():
                expect(bool(value.isfinite().all()), f"{block}: {name} is not finite after a step")
                expect(not torch.equal(value, before[name]), f"{block}: {name} does not learn")

    def test_adds_its_input_where_it_can_and_should(self, block_kind: type[Block]) -> None:
        """Exactly at stride 1 with equal channels, unless `residual` is off."""
        for block in self.blocks(block_kind):
            adds = [op for op in self.lowered(block) if op.kind == "add" and "input" in op.inputs]
            wanted = block.residual and block.stride == 1 and block.out_channels == IN_SHAPE[0]
            expect(bool(adds) == wanted, f"{block} {'does not add' if wanted else 'adds'} its input")

    def test_is_the_same_as_its_config(self, block_kind: type[Block]) -> None:
        """Read back from plain data, and from plain data without defaults."""
        for block in self.blocks(block_kind):
            for defaults in (True, False):
                plain = config.to_config(block, defaults=defaults)
                expect(plain["kind"] == block_kind.kind, f"{plain} does not name the kind {block_kind.kind!r}")
                again = config.read(block_kind, plain)
                expect(again == block and hash(again) == hash(block), f"{block} came back as {again}")

    def test_sees_as_far_when_a_stride_becomes_a_dilation(self, block_kind: type[Block]) -> None:
        """`without_stride` keeps the map's size and the weights; `dilated` multiplies every dilation."""
        for block in self.blocks(block_kind):
            dense, plain = self.lowered(block.without_stride()), self.lowered(block)
            expect(dense[-1].out_shape == (block.out_channels, *IN_SHAPE[1:]), f"{block} → {dense[-1].out_shape}")
            shared = {op.name: op.weight_count for op in plain if op.weight_count}
            kept = {op.name: op.weight_count for op in dense if op.name in shared}
            lost = {name for name in shared if name not in kept and "downsample" not in name}
            expect(not lost and all(shared[name] == kept[name] for name in kept), f"{block} at stride 1 holds {kept}")
            apart = [op.dilation for op in self.lowered(block.dilated(3)) if is_spatial(op)]
            wanted = [(3 * op.dilation[0], 3 * op.dilation[1]) for op in plain if is_spatial(op)]
            expect(apart == wanted, f"{block} is dilated to {apart}, not {wanted}")

    def test_repeats_at_stride_1(self, block_kind: type[Block]) -> None:
        """What stands behind the first block of a stage keeps the shape."""
        for block in self.blocks(block_kind):
            repeated = block.repeated()
            kept = (repeated.stride, repeated.out_channels) == (1, block.out_channels)
            expect(kept, f"{block} repeats as {repeated}")
            expect(repeated.repeated() == repeated, f"{repeated} changes when repeated again")

    def test_scales_its_channels(self, block_kind: type[Block]) -> None:
        """To multiples of the divisor, and nothing but widths."""
        for block in self.blocks(block_kind):
            scaled = block.scaled(3.0, 32)
            expect(scaled.out_channels % 32 == 0, f"{scaled} is no multiple of 32 channels wide")
            expect((scaled.kernel_size, scaled.stride) == (block.kernel_size, block.stride), f"{block} → {scaled}")

    def blocks(self, block_kind: type[Block]) -> Iterator[Block]:
        """Yields blocks of the kind in different settings."""
        for settings in settings_for(block_kind):
            yield block_kind(**settings)

    def lowered(self, block: Block) -> tuple[Op, ...]:
        """Lowers a block called `block` that stands alone, reading the graph's input."""
        graph = GraphBuilder(IN_SHAPE)
        block.lower(graph, "block", graph.input)
        return graph.graph().ops


def is_spatial(op: Op) -> bool:
    """Whether an operator has weights for more than one pixel."""
    return bool(op.weight_count) and op.kernel_size != (1, 1)


def expect(holds: bool, otherwise: str) -> None:
    """Fails the test with the message `otherwise` unless `holds`.

    Raises:
        AssertionError: If it does not hold.
    """
    if not holds:
        raise AssertionError(otherwise)
