"""PyTorch on this machine: networks run eagerly or compiled, on the processor or on a CUDA device, really measured.

A graph is built as a module of the same operators with random weights, in 32-bit floats whatever its bits: PyTorch runs
no integer convolutions here. A run is repeated; `latency_s` is the fastest of the repeats, which other users of the
machine disturb least, and `spread` says by how much the median is slower.
"""

from __future__ import annotations

import math
import platform
import statistics
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from accelzoo.errors import DataError
from accelzoo.hwmodel.analytic import label
from accelzoo.hwmodel.ir import INPUT, Graph, Op, Shape
from accelzoo.hwmodel.measurement import Measurement, Provenance
from accelzoo.hwmodel.oracles.protocol import MissingToolError, UnsupportedByToolError

if TYPE_CHECKING:
    from torch import Tensor, fx, nn

ORACLES = {
    "torch-cpu": ("torch-cpu", "torch-cpu-compiled"),
    "torch-cuda": ("torch-cuda", "torch-cuda-compiled"),
}
TARGETS = tuple(target for targets in ORACLES.values() for target in targets)
MOST_RUNS_PER_REPEAT = 1000


def create(
    target: str, *, threads: int = 1, repeats: int = 20, warmup_s: float = 0.2, repeat_s: float = 0.005
) -> TorchDevice:
    """Makes the oracle.

    Args:
        target: One of `TARGETS`.
        threads: Threads that one operator is spread over, on the processor.
        repeats: How often to time.
        warmup_s: Seconds to run before timing.
        repeat_s: Least seconds of one repeat; shorter runs are repeated within it.

    Raises:
        MissingToolError: If the target is a CUDA device and there is none.
        DataError: If a setting is out of range.
    """
    if threads < 1 or repeats < 3 or warmup_s < 0 or repeat_s < 0:
        raise DataError(
            f"threads (={threads}) must be at least 1, repeats (={repeats}) at least 3, warmup_s (={warmup_s}) and "
            f"repeat_s (={repeat_s}) at least 0"
        )
    import torch

    if target.startswith("torch-cuda") and not torch.cuda.is_available():
        raise MissingToolError(f"{target}: PyTorch finds no CUDA device here; install its CUDA build, or use torch-cpu")
    return TorchDevice(target, threads, repeats, warmup_s, repeat_s)


class Timing(NamedTuple):
    """The fastest of the repeats, and by how much, relative, their median is slower."""

    latency_s: float
    spread: float


class TorchDevice:
    """Runs graphs and modules on one device."""

    def __init__(
        self, target: str, threads: int = 1, repeats: int = 20, warmup_s: float = 0.2, repeat_s: float = 0.005
    ) -> None:
        self._target = target
        self._device = "cuda" if target.startswith("torch-cuda") else "cpu"
        self._compiled = target.endswith("-compiled")
        self._threads, self._repeats, self._warmup_s, self._repeat_s = threads, repeats, warmup_s, repeat_s

    @property
    def provenance(self) -> Provenance:
        """PyTorch's version, the device, and how runs are repeated."""
        import torch

        settings = {
            "precision": "float32",
            "compiled": self._compiled,
            "threads": self._threads,
            "repeats": self._repeats,
            "warmup_s": self._warmup_s,
            "repeat_s": self._repeat_s,
            "clock": self._clock_name(),
            "statistic": "minimum",
        }
        host = torch.cuda.get_device_name() if self._device == "cuda" else processor_name()
        oracle = f"torch-{self._device}"
        return Provenance(
            oracle=oracle, target=self._target, tool=f"torch-{torch.__version__}", settings=settings, host=host
        )

    def measure(self, graph: Graph, module: nn.Module | None = None) -> Measurement:
        """Times one inference of `graph`, or of the module that it describes.

        Args:
            graph: What runs.
            module: What to run in place of a module built from the graph.

        Raises:
            UnsupportedByToolError: If the graph holds operators that cannot be built.
        """
        timing = self.time_module(module or build_module(graph), graph.input_shape)
        return Measurement(graph=graph, latency_s=timing.latency_s, spread=timing.spread)

    def time_module(self, module: nn.Module, input_shape: Shape) -> Timing:
        """Times a module on one random input `(1, channels, height, width)`; its mode and device are changed."""
        import torch

        module = module.eval().to(self._device)
        x = torch.randn(1, *input_shape, device=self._device)
        runner: Any = torch.compile(module) if self._compiled else module
        with torch_threads(self._threads), torch.inference_mode():
            self._warm_up(runner, x)
            count = self._runs_per_repeat(runner, x)
            times = sorted(self._time(runner, x, count) for _ in range(self._repeats))
        return Timing(times[0], statistics.median(times) / times[0] - 1)

    def _warm_up(self, run: Callable[[Tensor], object], x: Tensor) -> None:
        for _ in range(3):
            run(x)
        self._wait()
        until = time.perf_counter() + self._warmup_s
        while time.perf_counter() < until:
            run(x)
            self._wait()

    def _runs_per_repeat(self, run: Callable[[Tensor], object], x: Tensor) -> int:
        once = min(self._time(run, x, 1) for _ in range(3))
        return max(1, min(MOST_RUNS_PER_REPEAT, math.ceil(self._repeat_s / once)))

    def _time(self, run: Callable[[Tensor], object], x: Tensor, count: int) -> float:
        """Returns the mean seconds of `count` runs, one straight after the other."""
        if self._device == "cuda":
            import torch

            start, end = torch.cuda.Event(enable_timing=True), torch.cuda.Event(enable_timing=True)
            start.record()
            for _ in range(count):
                run(x)
            end.record()
            end.synchronize()
            return start.elapsed_time(end) / 1e3 / count
        clock: Callable[[], int] = getattr(time, self._clock_name())
        begun = clock()
        for _ in range(count):
            run(x)
        return max(clock() - begun, 1) / 1e9 / count

    def _clock_name(self) -> str:
        """One thread's own time leaves out what other processes take; several threads need the wall's."""
        if self._device == "cuda":
            return "cuda_event"
        return "thread_time_ns" if self._threads == 1 else "perf_counter_ns"

    def _wait(self) -> None:
        if self._device == "cuda":
            import torch

            torch.cuda.synchronize()


def processor_name() -> str:
    """Returns the processor's model, as the system calls it."""
    try:
        for line in Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines():
            if line.startswith("model name"):
                return line.split(":", 1)[1].strip()
    except OSError:
        pass  # not Linux
    return platform.processor() or platform.machine() or "unknown processor"


@contextmanager
def torch_threads(count: int) -> Iterator[None]:
    """Lets PyTorch use so many threads for an operator."""
    import torch

    before = torch.get_num_threads()
    torch.set_num_threads(count)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def build_module(graph: Graph, seed: int = 0) -> nn.Module:
    """Makes a module that computes a graph: `(1, channels, height, width)` → the tensors that nothing reads.

    Args:
        graph: What to compute; a view of a tensor is read by reshaping it.
        seed: For the weights: normal, of a variance that keeps activations of the same size from layer to layer.

    Raises:
        UnsupportedByToolError: If the graph holds operators that cannot be built.
    """
    import torch
    from torch import fx, nn

    unknown = [op for op in graph.ops if op.kind not in _APPENDERS]
    if unknown:
        raise UnsupportedByToolError("torch", [f"{op.name} ({label(op)})" for op in unknown])
    root, code = nn.Module(), fx.Graph()
    tensors = {INPUT: code.placeholder("x")}
    shapes = {INPUT: graph.input_shape}
    for index, op in enumerate(graph.ops):
        reads = [
            tensors[name] if shapes[name] == shape else code.call_method("reshape", (tensors[name], 1, *shape))
            for name, shape in zip(op.inputs, op.in_shapes, strict=True)
        ]
        tensors[op.name] = _APPENDERS[op.kind](root, code, f"op{index}", op, reads)
        shapes[op.name] = op.out_shape
    read = {name for op in graph.ops for name in op.inputs}
    code.output(tuple([tensors[op.name] for op in graph.ops if op.name not in read]))
    module = fx.GraphModule(root, code)
    _initialise(module, torch.Generator().manual_seed(seed))
    return module.eval()


def _initialise(module: nn.Module, generator: Any) -> None:
    from torch import nn

    for parameter in module.parameters():
        if parameter.dim() > 1:  # He et al. 2015, §2.2: nothing fades into denormal numbers, which are slow
            nn.init.kaiming_normal_(parameter, generator=generator)
        else:
            nn.init.normal_(parameter, 0.0, 0.1, generator=generator)


def _window(op: Op) -> tuple[tuple[int, int], tuple[int, int, int, int] | None]:
    """Returns padding alike on both sides, or none and what to pad first (left, right, top, bottom)."""
    extents = [1 + (taps - 1) * step for taps, step in zip(op.kernel_size, op.dilation, strict=True)]
    (_, *in_size), (_, *out_size) = op.in_shape, op.out_shape
    even = (extents[0] // 2, extents[1] // 2)
    if all((size + 2 * pad - extent) // stride + 1 == out for size, pad, extent, stride, out in zip(
        in_size, even, extents, op.stride, out_size, strict=True
    )):  # fmt: skip
        return even, None
    needs = [
        (out - 1) * stride + extent - size
        for size, extent, stride, out in zip(in_size, extents, op.stride, out_size, strict=True)
    ]
    (top, bottom), (left, right) = [(need // 2, need - need // 2) if need > 0 else (0, need) for need in needs]
    return (0, 0), None if not any(needs) else (left, right, top, bottom)


def _padded(code: fx.Graph, x: fx.Node, before: tuple[int, int, int, int] | None, value: float = 0.0) -> fx.Node:
    from torch.nn import functional as F

    return x if before is None else code.call_function(F.pad, (x, before), {"value": value})


def _conv(root: nn.Module, code: fx.Graph, name: str, op: Op, reads: list[fx.Node]) -> fx.Node:
    from torch import nn

    padding, before = _window(op)
    layer = nn.Conv2d(
        op.in_shape[0], op.out_shape[0], op.kernel_size, op.stride, padding, op.dilation, op.groups, bias=op.bias
    )
    root.add_module(name, layer)
    return code.call_module(name, (_padded(code, reads[0], before),))


def _linear(root: nn.Module, code: fx.Graph, name: str, op: Op, reads: list[fx.Node]) -> fx.Node:
    from torch import nn

    root.add_module(name, nn.Linear(op.in_shape[0], op.out_shape[0], bias=op.bias))
    y = code.call_module(name, (code.call_method("flatten", (reads[0], 1)),))
    return code.call_method("reshape", (y, 1, *op.out_shape))


def _pool(root: nn.Module, code: fx.Graph, name: str, op: Op, reads: list[fx.Node]) -> fx.Node:
    from torch.nn import functional as F

    if op.out_shape[1:] == (1, 1) and op.kernel_size == op.in_shape[1:]:
        function = F.adaptive_avg_pool2d if op.function == "avg" else F.adaptive_max_pool2d
        return code.call_function(function, (reads[0], 1))
    padding, before = _window(op)
    x = _padded(code, reads[0], before, -math.inf if op.function == "max" else 0.0)
    window = F.avg_pool2d if op.function == "avg" else F.max_pool2d
    return code.call_function(window, (x, op.kernel_size, op.stride, padding))


def _activation(root: nn.Module, code: fx.Graph, name: str, op: Op, reads: list[fx.Node]) -> fx.Node:
    from torch.nn import functional as F

    function = {"hard_swish": "hardswish", "hard_sigmoid": "hardsigmoid"}.get(op.function, op.function)
    return code.call_function(getattr(F, function), (reads[0],))


def _resize(root: nn.Module, code: fx.Graph, name: str, op: Op, reads: list[fx.Node]) -> fx.Node:
    from torch.nn import functional as F

    return code.call_function(F.interpolate, (reads[0],), {"size": op.out_shape[1:], "mode": op.function})


def _concat(root: nn.Module, code: fx.Graph, name: str, op: Op, reads: list[fx.Node]) -> fx.Node:
    import torch

    return code.call_function(torch.cat, (reads, 1))


def _softmax(root: nn.Module, code: fx.Graph, name: str, op: Op, reads: list[fx.Node]) -> fx.Node:
    import torch

    return code.call_function(torch.softmax, (reads[0], -1))


def _two(function: str) -> Callable[[nn.Module, fx.Graph, str, Op, list[fx.Node]], fx.Node]:
    def append(root: nn.Module, code: fx.Graph, name: str, op: Op, reads: list[fx.Node]) -> fx.Node:
        import torch

        return code.call_function(getattr(torch, function), tuple(reads))

    return append


_APPENDERS: dict[str, Callable[[nn.Module, fx.Graph, str, Op, list[fx.Node]], fx.Node]] = {
    "conv2d": _conv,
    "depthwise_conv2d": _conv,
    "linear": _linear,
    "matmul": _two("matmul"),
    "activation": _activation,
    "add": _two("add"),
    "mul": _two("mul"),
    "pool": _pool,
    "resize": _resize,
    "concat": _concat,
    "softmax": _softmax,
}
