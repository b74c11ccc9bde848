"""The analytic price of one operator: the longest of computing, on-chip traffic and off-chip traffic, plus a start.

The model, and where each part comes from:

- **Roofline**: transfers overlap with computing (double buffering), so an operator takes as long as the slowest of
  them (Williams, Waterman & Patterson, "Roofline", CACM 52(4), 2009).
- **Tiles**: the MAC array works in whole tiles of channels and positions, and a part-filled tile takes as long as a
  full one (Jouppi et al., "In-Datacenter Performance Analysis of a Tensor Processing Unit", ISCA 2017; utilisation of
  a mapping as in Timeloop, Parashar et al., ISPASS 2019).
- **Energy**: a price per MAC and per byte moved at each level of memory (Horowitz, "Computing's energy problem", ISSCC
  2014; Chen et al., Eyeriss, ISCA 2016), plus static power over time.

Not modelled: tiling an operator through several passes over its inputs (each tensor crosses a memory once), fusing
chains of operators so that maps between them stay in registers, weight compression and sparsity, and contention with
other users of the memories. The graph's input starts, and its output ends, in activation memory: filling and emptying
that is the camera's or the host's transfer and is not counted.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import lru_cache
from typing import Any

from accelzoo.hwmodel.cost import Bound, OpCost
from accelzoo.hwmodel.ir import Op
from accelzoo.hwmodel.target import Target

CACHED_OPERATORS = 1 << 16
CACHED_TARGETS = 64


def matrix_cycles(op: Op, target: Target) -> float:
    """Cycles of a convolution or linear layer on the MAC array.

    With `G` groups, `Cin` and `Cout` channels, a `kh × kw` kernel, `P` output positions and tiles `Ti × To × Tp`:

    - rows hold channels: `G · ⌈Cin/G ÷ Ti⌉·Ti · kh·kw · ⌈Cout/G ÷ To⌉·To · ⌈P ÷ Tp⌉·Tp / macs_per_cycle`
    - rows hold the window: `G · ⌈kh·kw·Cin/G ÷ Ti⌉·Ti · ⌈Cout/G ÷ To⌉·To · ⌈P ÷ Tp⌉·Tp / macs_per_cycle`
    """
    taps = op.kernel_size[0] * op.kernel_size[1]
    channels = op.in_shapes[0][0] // op.groups
    tile = target.input_channels_per_tile
    terms = _padded(taps * channels, tile) if target.rows_hold == "window" else taps * _padded(channels, tile)
    columns = _padded(op.out_shape[0] // op.groups, target.output_channels_per_tile)
    return _passes(op) * op.groups * terms * columns * _padded_pixels(op, target) / target.macs_per_cycle


def depthwise_cycles(op: Op, target: Target) -> float:
    """Cycles of a depthwise convolution: `⌈C ÷ To⌉·To · kh·kw · ⌈P ÷ Tp⌉·Tp / depthwise_macs_per_cycle`.

    Each output channel reads one input channel, so the other rows of the array idle.
    """
    taps = op.kernel_size[0] * op.kernel_size[1]
    columns = _padded(op.out_shape[0], target.output_channels_per_tile)
    return _passes(op) * columns * taps * _padded_pixels(op, target) / target.depthwise_rate


def matmul_cycles(op: Op, target: Target) -> float:
    """Cycles of a product of two activations on the MAC array, the second in the place of weights.

    With `B` products of `M × K` by `K × N`: `B · ⌈K ÷ Ti⌉·Ti · ⌈N ÷ To⌉·To · ⌈M ÷ Tp⌉·Tp / macs_per_cycle`. The second
    operand is not stored: it crosses the memories as an input.
    """
    batch, rows, inner = op.in_shapes[0]
    terms = _padded(inner, target.input_channels_per_tile)
    columns = _padded(op.out_shape[2], target.output_channels_per_tile)
    return _passes(op) * batch * terms * columns * _padded(rows, target.pixels_per_tile) / target.macs_per_cycle


def elementwise_cycles(op: Op, target: Target) -> float:
    """Cycles of an addition, product, concatenation (a copy) or unfused activation.

    Output elements `/ elementwise_per_cycle`.
    """
    return _lanes(op) * math.prod(op.out_shape) / target.elementwise_per_cycle


def pool_cycles(op: Op, target: Target) -> float:
    """Cycles of a pooling: elements read, `C·P·kh·kw`, `/ elementwise_per_cycle`."""
    reads = math.prod(op.out_shape) * op.kernel_size[0] * op.kernel_size[1]
    return _lanes(op) * reads / target.elementwise_per_cycle


def resize_cycles(op: Op, target: Target) -> float:
    """Cycles of a resizing: elements read, `C·P` times 1 (nearest) or 4 (bilinear), `/ elementwise_per_cycle`."""
    reads = math.prod(op.out_shape) * _TAPS[op.function]
    return _lanes(op) * reads / target.elementwise_per_cycle


def softmax_cycles(op: Op, target: Target) -> float:
    """Cycles of a softmax: three passes over its elements, `/ elementwise_per_cycle`.

    A row's largest element must be known before the first exponential (else it overflows), and their sum before the
    first quotient: one pass finds the largest, one takes exponentials and adds them up, one scales.
    """
    return SOFTMAX_PASSES * elementwise_cycles(op, target)


_TAPS = {"nearest": 1, "bilinear": 4}
SOFTMAX_PASSES = 3

CYCLES: dict[str, Callable[[Op, Target], float]] = {
    "conv2d": matrix_cycles,
    "linear": matrix_cycles,
    "depthwise_conv2d": depthwise_cycles,
    "matmul": matmul_cycles,
    "add": elementwise_cycles,
    "mul": elementwise_cycles,
    "activation": elementwise_cycles,
    "pool": pool_cycles,
    "resize": resize_cycles,
    "concat": elementwise_cycles,
    "softmax": softmax_cycles,
}
"""The formula of every kind that can be priced; one without (`opaque`) is reported as unpriced, never as free."""

FUSING_KINDS = ("conv2d", "depthwise_conv2d", "linear", "add")
"""Kinds whose output stage can apply an activation."""


def label(op: Op) -> str:
    """Returns the kind, with its function where there is one: `conv2d`, `activation:silu`, `pool:avg`."""
    return f"{op.kind}:{op.function}" if op.function else op.kind


def is_supported(op: Op, target: Target) -> bool:
    """Tells whether the target can run the operator and the model has a formula for it."""
    return op.kind in CYCLES and op.kind not in target.unsupported and label(op) not in target.unsupported


def price_op(
    op: Op, target: Target, *, live_bytes: int = 0, network_weight_bytes: int = 0, fused: bool = False
) -> OpCost:
    """Prices one operator.

    - spill, when more is alive than `sram_bytes`: the share `1 − sram_bytes / live_bytes` of inputs and outputs goes to
      or comes from off-chip memory
    - streamed weights: all of them with `weights_in: dram`; with `weights_in: sram` the share
      `1 − weight_sram_bytes / network_weight_bytes` when the network has more than fit, else none
    - on-chip traffic: inputs + outputs − spill + weights; off-chip traffic: spill + streamed weights
    - `latency_s = max(compute_s, on-chip time, off-chip time) + op_overhead_s`
    - `energy_j = macs · e_mac + on-chip bytes · e_sram + off-chip bytes · e_dram + static_power_w · latency_s`

    Shares of bytes are rounded up to whole bytes.

    Args:
        op: The operator.
        target: The accelerator.
        live_bytes: Activation bytes alive while it runs, from `Graph.live_bytes`; 0 if nothing can spill.
        network_weight_bytes: Weight bytes of the whole network; 0 if they fit on chip.
        fused: Whether the operator's producer applies it on the way out, for nothing.
    """
    spilling, streaming = crowding(target, live_bytes, network_weight_bytes)
    return OpCost(op.name, *pricer(target)(op.kind, op[3:], spilling, streaming, fused))


def crowding(target: Target, live_bytes: int, network_weight_bytes: int) -> tuple[int, int]:
    """Returns both arguments, each replaced by 0 where it fits into its on-chip memory or has none."""
    weight_sram_bytes = target.weight_sram_bytes
    overflows = weight_sram_bytes is not None and network_weight_bytes > weight_sram_bytes
    return live_bytes if live_bytes > target.sram_bytes else 0, network_weight_bytes if overflows else 0


Price = tuple[Any, ...]
"""An `OpCost` without its name."""


@lru_cache(maxsize=CACHED_TARGETS)
def pricer(target: Target) -> Callable[[str, tuple[Any, ...], int, int, bool], Price]:
    """Returns the function that prices operators on one target and remembers those it has seen.

    Its arguments are the operator's kind, its fields from `in_shapes` on, what `crowding` returns, and whether the
    operator is fused. Networks repeat shapes, and the candidates of a search repeat each other's: most look-ups hit.
    """

    @lru_cache(maxsize=CACHED_OPERATORS)
    def price(kind: str, fields: tuple[Any, ...], spilling: int, streaming: int, fused: bool) -> Price:
        op = Op("", kind, (), *fields)
        if fused or not is_supported(op, target):
            bound = "fused" if fused else "unpriced"
            return (kind, 0.0, 0.0, 0.0, 0.0, 0.0, op.macs, op.weight_bytes, 0, 0, 0.0, bound)
        return _price(op, target, spilling, streaming)[1:]

    return price


def _price(op: Op, target: Target, spilling: int, streaming: int) -> OpCost:
    macs, weights = op.macs, op.weight_bytes
    spilled = _excess(op.input_bytes + op.output_bytes, target.sram_bytes, spilling)
    sram_bytes = op.input_bytes + op.output_bytes - spilled + weights
    streamed = weights if target.weight_sram_bytes is None else _excess(weights, target.weight_sram_bytes, streaming)
    dram_bytes = spilled + streamed
    cycles = CYCLES[op.kind](op, target)
    compute_s = cycles / target.clock_hz
    sram_s = sram_bytes / target.sram_bytes_per_s
    dram_s = dram_bytes / target.dram_bytes_per_s
    latency_s = max(compute_s, sram_s, dram_s) + target.op_overhead_s
    return OpCost(
        name="",
        kind=op.kind,
        latency_s=latency_s,
        compute_s=compute_s,
        memory_s=max(sram_s, dram_s),
        overhead_s=target.op_overhead_s,
        energy_j=macs * target.energy_per_mac_j
        + sram_bytes * target.energy_per_sram_byte_j
        + dram_bytes * target.energy_per_dram_byte_j
        + latency_s * target.static_power_w,
        macs=macs,
        weight_bytes=weights,
        sram_bytes=sram_bytes,
        dram_bytes=dram_bytes,
        utilization=_passes(op) * macs / (cycles * target.macs_per_cycle),
        bound=_bound(compute_s, sram_s, dram_s, target.op_overhead_s),
    )


def _excess(part: int, capacity: int, total: int) -> int:
    """Bytes of `part` that find no room, when it shares `capacity` with all of `total` alike (0: all have room)."""
    return -(-part * (total - capacity) // total) if total else 0


def _bound(compute_s: float, sram_s: float, dram_s: float, overhead_s: float) -> Bound:
    # Ties go to the first: an operator that could not be faster even without the memory is bound by computing.
    terms: tuple[tuple[float, Bound], ...] = ((compute_s, "compute"), (sram_s, "sram"), (dram_s, "dram"))
    longest, bound = max(terms, key=lambda term: term[0])
    return "overhead" if overhead_s > longest else bound


def _padded(count: int, tile: int) -> int:
    return -(-count // tile) * tile


def _padded_pixels(op: Op, target: Target) -> int:
    return _padded(op.out_shape[1] * op.out_shape[2], target.pixels_per_tile)


def _passes(op: Op) -> int:
    """Turns through the 8-bit multipliers: wider operands take one per pair of bytes; narrower save none."""
    return _lanes(op) * (_lanes(op) if op.kind == "matmul" else -(-op.weight_bits // 8))


def _lanes(op: Op) -> int:
    return -(-op.activation_bits // 8)
