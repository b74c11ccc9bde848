"""The contract of a target and its estimator, as tests that any target can be run through.

A test file of yours makes it run under pytest:

    class TestMyTarget(TargetContract):
        @pytest.fixture
        def target(self):
            return load_target("my-target.yaml")

Override `estimate` to run another estimator through it.

Targets with a learned part promise less, since what they were fitted to does: compilers are not monotone in channels,
and a tile that is filled further takes no longer. There only a network that contains another, with at least four times
the work in every operator, never costs less; and the peak of activations is the tool's placement, not the graph's
count. A fused row takes no time, but keeps its work and its bytes.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterable

from accelzoo.hwmodel.analytic import label
from accelzoo.hwmodel.cost import Cost
from accelzoo.hwmodel.estimate import UnsupportedOperatorError, estimate, live_bytes
from accelzoo.hwmodel.ir import ACTIVATIONS, Graph, GraphBuilder, Op
from accelzoo.hwmodel.target import Target, load_target

CHANNELS = (1, 3, 8, 16, 17, 31, 32, 33, 64, 65, 96, 128, 200)
SIZES = (1, 2, 7, 8, 14, 15, 28, 56, 112)
KERNEL_SIZES = (1, 3, 5, 7)
FAR_LARGER = 4  # times the work of every operator: learned or not, it must not cost less


class TargetContract:
    """What every target must keep to, whatever its numbers; subclasses supply the fixture `target`."""

    estimate: staticmethod[..., Cost] = staticmethod(estimate)

    def test_every_row_takes_time_and_energy_or_says_why_not(self, target: Target) -> None:
        """Nothing is free without notice."""
        for graph in (small_network(), every_kind()):
            for row in self.estimate(graph, target).by_op:
                expect((row.latency_s > 0) == (row.bound not in ("fused", "unpriced")), f"{row} takes no time")
                expect(row.energy_j >= 0 and row.sram_bytes >= 0 and row.dram_bytes >= 0, f"{row} has a negative price")
                expect(0 <= row.utilization <= 1, f"{row} uses more MACs than there are")

    def test_facts_of_the_graph_pass_through(self, target: Target) -> None:
        """MACs and weights belong to the graph, not to the target; without a learned part, so does the peak."""
        for graph in (small_network(), every_kind()):
            cost = self.estimate(graph, target)
            facts = (graph.macs, graph.weight_bytes)
            expect((cost.macs, cost.weight_bytes) == facts, f"the graph has {facts}, the cost says {cost}")
            names = [op.name for op in graph.ops]
            expect([row.name for row in cost.by_op] == names, "rows must follow the operators one by one")
            expect(set(cost.extrapolated) <= set(names), f"{cost.extrapolated} must name operators of the graph")
            self._check_peak(graph, target, cost.peak_activation_bytes)

    def test_totals_are_the_rows_added_from_left_to_right(self, target: Target) -> None:
        """Bit for bit, so that a table of parts gives the same totals."""
        cost = self.estimate(small_network(), target)
        latency_s = energy_j = 0.0
        dram_bytes = 0
        for row in cost.by_op:
            latency_s += row.latency_s
            energy_j += row.energy_j
            dram_bytes += row.dram_bytes
        totals = (cost.latency_s, cost.energy_j, cost.dram_bytes)
        expect(totals == (latency_s, energy_j, dram_bytes), f"totals {totals} are not the sums of the rows")

    def test_equal_questions_get_equal_answers(self, target: Target) -> None:
        """Whatever was asked in between, and of an equal graph and target."""
        first = self.estimate(small_network(), target)
        self.estimate(every_kind(), target)
        expect(self.estimate(small_network(), target) == first, "a second estimate differs from the first")

    def test_more_channels_never_cost_less(self, target: Target) -> None:
        """Neither more output channels nor more input channels."""
        self._check_rising(target, [_conv(channels, 64, 14, 3) for channels in CHANNELS])
        self._check_rising(target, [_conv(64, channels, 14, 3) for channels in CHANNELS])
        self._check_rising(target, [_conv(channels, channels, 14, 3, groups=channels) for channels in CHANNELS[1:]])
        self._check_rising(target, [small_network(width=channels) for channels in CHANNELS])

    def test_higher_resolution_never_costs_less(self, target: Target) -> None:
        """Of one convolution, and of a network that may spill."""
        self._check_rising(target, [_conv(32, 32, size, 3) for size in SIZES])
        self._check_rising(target, [small_network(size=size) for size in SIZES])

    def test_more_macs_of_one_kind_never_cost_less(self, target: Target) -> None:
        """The larger kernel of two otherwise equal convolutions."""
        self._check_rising(target, [_conv(32, 32, 14, kernel_size) for kernel_size in KERNEL_SIZES])
        self._check_rising(target, [_conv(32, 32, 14, kernel_size, groups=32) for kernel_size in KERNEL_SIZES])

    def test_larger_operators_of_the_other_kinds_never_cost_less(self, target: Target) -> None:
        """Products of activations, pools, resizings, concatenations and softmax, over growing maps."""
        for make in (_matmul, _pool, _resize, _concat, _softmax):
            self._check_rising(target, [make(size) for size in SIZES])

    def test_a_far_larger_network_never_costs_less(self, target: Target) -> None:
        """Of networks of all widths and sizes, those that contain another, with four times the work everywhere."""
        graphs = [small_network(width, size) for width in CHANNELS for size in (28, 56, 112)]
        costs = [self.estimate(graph, target) for graph in graphs]
        for smaller, larger in itertools.permutations(range(len(graphs)), 2):
            if is_far_larger(graphs[larger], graphs[smaller]):
                _expect_no_less(costs[larger], costs[smaller])

    def test_operators_that_cannot_run_are_named(self, target: Target) -> None:
        """By name and kind, in `unpriced`; and refused when asked to be strict."""
        graph = every_kind()
        cost = self.estimate(graph, target)
        rows = zip(graph.ops, cost.by_op, strict=True)
        expected = tuple([f"{op.name} ({label(op)})" for op, row in rows if row.bound == "unpriced"])
        expect(cost.unpriced == expected, f"{cost.unpriced} must name {expected}")
        for op in graph.ops:
            listed = {op.kind, label(op)} & set(target.unsupported)
            named = any(name.startswith(f"{op.name} (") for name in cost.unpriced)
            expect(named or op.kind != "opaque", f"{op.name} is opaque, yet not in {cost.unpriced}")
            expect(bool(listed) <= named, f"{op.name} is unsupported, yet not in {cost.unpriced}")
        refused = False
        try:
            self.estimate(graph, target, strict=True)
        except UnsupportedOperatorError as error:
            refused = all(name in str(error) for name in cost.unpriced)
        expect(refused == bool(cost.unpriced), "strict must refuse exactly the graphs with unpriced operators")

    def _check_peak(self, graph: Graph, target: Target, peak_bytes: int) -> None:
        counted = graph.peak_activation_bytes
        if target.learned is None:
            expect(peak_bytes == counted, f"the graph's peak is {counted} bytes, the cost says {peak_bytes}")
            return
        # A tool may keep on chip less than the largest map; then the part must say so, operator by operator.
        largest = max(op.output_bytes for op in graph.ops)
        placed = live_bytes(graph, target)
        expect(len(placed) == len(graph.ops), f"{len(placed)} bytes alive for {len(graph.ops)} operators")
        fits = peak_bytes >= largest or (peak_bytes > 0 and peak_bytes == max(placed))
        expect(fits, f"a peak of {peak_bytes} bytes holds neither the largest map, {largest} bytes, nor what is placed")

    def _check_rising(self, target: Target, graphs: Iterable[Graph]) -> None:
        if target.learned is not None:
            return
        costs = [self.estimate(graph, target) for graph in graphs]
        for smaller, larger in itertools.pairwise(costs):
            _expect_no_less(larger, smaller)


class BuiltInTargetContract(TargetContract):
    """What targets that come with the package keep to as well."""

    def test_a_target_is_named_like_its_file(self, target: Target) -> None:
        """So that listings, recipes and digests speak of the same thing."""
        expect(load_target(target.name) == target, f"{target.name!r} does not load as itself")


def expect(condition: bool, message: str) -> None:
    """Fails a test; unlike a bare assert it also works outside pytest and under `python -O`.

    Raises:
        AssertionError: If the condition does not hold.
    """
    if not condition:
        raise AssertionError(message)


def is_far_larger(graph: Graph, other: Graph) -> bool:
    """Tells whether a graph contains another of the same operators: no map smaller, and `FAR_LARGER` times the work."""
    pairs = list(zip(graph.ops, other.ops, strict=True))
    shapes = (zip(op.out_shape, smaller.out_shape, strict=True) for op, smaller in pairs)
    holds = all(size >= least for shape in shapes for size, least in shape)
    return holds and all(_work(op) >= FAR_LARGER * _work(smaller) for op, smaller in pairs)


def _expect_no_less(larger: Cost, smaller: Cost) -> None:
    expect(larger.latency_s >= smaller.latency_s, f"{larger} is faster than {smaller}")
    expect(larger.energy_j >= smaller.energy_j, f"{larger} takes less energy than {smaller}")


def _work(op: Op) -> int:
    return op.macs or op.output_bytes


def small_network(width: int = 24, size: int = 56) -> Graph:
    """Builds a stem, two inverted bottlenecks with a shortcut, and a classifier.

    Args:
        width: Channels between the blocks.
        size: Height and width of the input.
    """
    builder = GraphBuilder((3, size, size))
    x = builder.conv2d("stem", builder.input, width, kernel_size=3, stride=2)
    for index in range(2):
        y = builder.conv2d(f"block{index}.expand", x, 4 * width)
        y = builder.activation(f"block{index}.expand.act", y, "relu6")
        y = builder.conv2d(f"block{index}.depthwise", y, 4 * width, kernel_size=3, groups=4 * width)
        y = builder.activation(f"block{index}.depthwise.act", y, "relu6")
        y = builder.conv2d(f"block{index}.project", y, width)
        x = builder.add(f"block{index}.add", x, y)
    x = builder.global_pool("head.pool", x)
    builder.linear("head.classifier", x, 10)
    return builder.graph()


def every_kind() -> Graph:
    """Builds a graph with every kind of operator, every activation, every pooling and every resizing."""
    builder = GraphBuilder((16, 14, 14))
    x = builder.conv2d("conv", builder.input, 32, kernel_size=3)
    x = builder.conv2d("grouped", x, 32, kernel_size=3, groups=4)
    x = builder.conv2d("depthwise", x, 32, kernel_size=5, groups=32)
    for function in ACTIVATIONS:
        x = builder.activation(f"act.{function}", x, function)
    gate = builder.activation("gate.act", builder.conv2d("gate", builder.global_pool("squeeze", x), 32), "sigmoid")
    x = builder.add("add", builder.mul("mul", x, gate), x)
    maps = [x, builder.resize("nearest", builder.pool("max", x, 3, 2, "max"), (14, 14), "nearest")]
    maps.append(builder.resize("bilinear", builder.pool("avg", x, 2, 2, "avg"), (14, 14), "bilinear"))
    x = builder.concat("concat", maps)
    x = builder.matmul("matmul", builder.softmax("softmax", builder.matmul("scores", x, x)), x)
    x = builder.opaque("norm", (x,), "aten.native_layer_norm", builder.shape(x))
    builder.linear("linear", builder.global_pool("pool", x), 10)
    return builder.graph()


def _conv(in_channels: int, out_channels: int, size: int, kernel_size: int, groups: int = 1) -> Graph:
    builder = GraphBuilder((in_channels, size, size))
    builder.conv2d("conv", builder.input, out_channels, kernel_size=kernel_size, groups=groups)
    return builder.graph()


def _matmul(size: int) -> Graph:
    builder = GraphBuilder((2, size, size))
    builder.matmul("matmul", builder.input, builder.input)
    return builder.graph()


def _pool(size: int) -> Graph:
    builder = GraphBuilder((16, size, size))
    builder.pool("pool", builder.input, 3, 2, "max")
    return builder.graph()


def _resize(size: int) -> Graph:
    builder = GraphBuilder((16, size, size))
    builder.resize("resize", builder.input, (2 * size, 2 * size), "bilinear")
    return builder.graph()


def _concat(size: int) -> Graph:
    builder = GraphBuilder((16, size, size))
    builder.concat("concat", (builder.input, builder.input))
    return builder.graph()


def _softmax(size: int) -> Graph:
    builder = GraphBuilder((2, size, size))
    builder.softmax("softmax", builder.input)
    return builder.graph()
