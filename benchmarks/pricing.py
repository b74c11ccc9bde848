"""How long start-up, lowering and pricing take, beside what one would use without accelzoo, in one run.

`python benchmarks/pricing.py > benchmarks/pricing.md` writes the committed table. Times are the least of several
repeats on an otherwise idle core; the ratios are what counts.
"""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Callable

from accelzoo import estimate, get_arch, list_models, load_target
from accelzoo.recipes.report import markdown_table

_TARGET = "edge-npu"
_STARTS = (
    ("python -c 'pass'", ("-c", "pass")),
    ("python -c 'import accelzoo'", ("-c", "import accelzoo")),
    ("accelzoo --help", ("-m", "accelzoo", "--help")),
    ("accelzoo ls models", ("-m", "accelzoo", "ls", "models")),
    ("accelzoo cost mobilenetv2_100", ("-m", "accelzoo", "cost", "mobilenetv2_100", "--target", _TARGET)),
    ("python -c 'import timm' (peer)", ("-c", "import timm")),
)


def least_s(call: Callable[[], object], repeats: int) -> float:
    """Returns the shortest of `repeats` timings of `call`, in seconds."""
    times = []
    for _ in range(repeats):
        started = time.perf_counter()
        call()
        times.append(time.perf_counter() - started)
    return min(times)


def start_rows() -> list[tuple[str, ...]]:
    """Times whole processes."""
    rows = []
    for label, arguments in _STARTS:
        command = [sys.executable, *arguments]
        seconds = least_s(lambda command=command: subprocess.run(command, stdout=subprocess.PIPE, check=True), 5)
        rows.append((label, f"{seconds * 1e3:,.0f}"))
    return rows


def count_macs_with_torch(name: str) -> int:
    """The peer: torch's own counter over a forward pass on the meta device."""
    import torch
    from torch.utils.flop_counter import FlopCounterMode

    arch = get_arch(name)
    with torch.device("meta"):
        model = arch.build().eval()
        image = torch.empty(1, *arch.input_size)
    with FlopCounterMode(display=False) as counter, torch.no_grad():
        model(image)
    return int(counter.get_total_flops()) // 2


def model_rows() -> list[tuple[str, ...]]:
    """Times lowering, pricing a fresh graph, and the peer, for every registered model."""
    target = load_target(_TARGET)
    rows = []
    for name in list_models():
        arch = get_arch(name)
        if count_macs_with_torch(name) != arch.lower().macs:
            raise SystemExit(f"{name}: torch counts other MACs")
        lower = least_s(arch.lower, 50)
        price = least_s(lambda arch=arch: estimate(arch, target), 50)
        peer = least_s(lambda name=name: count_macs_with_torch(name), 5)
        milliseconds = (f"{seconds * 1e3:,.3f}" for seconds in (lower, price, peer))
        rows.append((name, *milliseconds, f"{peer / price:,.0f}×"))
    return rows


def main() -> None:
    """Prints both tables."""
    print("Made by `python benchmarks/pricing.py`.\n")
    print(markdown_table(("start-up", "ms"), start_rows()))
    header = ("model", "lower (ms)", "lower + price (ms)", "torch flop_counter on meta (ms)", "peer / ours")
    print(markdown_table(header, model_rows()), end="")


if __name__ == "__main__":
    main()
