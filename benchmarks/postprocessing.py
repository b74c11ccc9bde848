"""How long decoding and suppression take beside a small detector's network, on one CPU thread at batch 1.

`python benchmarks/postprocessing.py > benchmarks/postprocessing.md` writes the committed table. Network and
post-processing are timed in turn in one run; what counts is the ratio of their medians. Weights are drawn, so that
scores are not those of a trained detector: the network's class logits are replaced by ones drawn so that a given number
of pairs of box and class pass the threshold, which is what the time of suppression depends on.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable

import torch

from accelzoo import estimate, get_arch
from accelzoo.arch import Arch
from accelzoo.build import build
from accelzoo.detection import postprocessing_graph, postprocessor
from accelzoo.detection.geometry import levels_of
from accelzoo.recipes.report import markdown_table

MODEL = "mobilenetv2_035"
SIDE = 320
HEADS = ("ssdlite", "retina", "fcos")
CLASSES = (1, 90)
PASSING = (20, 1000)
REPEATS = 50
TARGET = "edge-npu"
THRESHOLD = 0.5
Outputs = list[tuple[torch.Tensor, ...]]


def medians_ms(*calls: Callable[[], object]) -> list[float]:
    """Returns the median time of each call in milliseconds; the calls take turns."""
    times: list[list[float]] = [[] for _ in calls]
    for _ in range(REPEATS + 3):
        for call, found in zip(calls, times, strict=True):
            started = time.perf_counter()
            call()
            found.append(1e3 * (time.perf_counter() - started))
    return [statistics.median(found[3:]) for found in times]  # the first runs warm up


def with_passing(arch: Arch, outputs: Outputs, passing: int) -> Outputs:
    """Replaces class logits so that `passing` pairs of box and class, chosen at random, score above the threshold."""
    drawn = torch.Generator().manual_seed(0)
    classes = arch.head.num_classes
    background = arch.head.class_logits - classes  # type: ignore[attr-defined]
    boxes = [level.box_count for level in levels_of(arch)]
    low, high = -8.0, 4.0
    logits = low + 0.5 * torch.randn(sum(boxes), background + classes, generator=drawn)
    logits[:, :background] = -low / 2
    pairs = torch.randperm(sum(boxes) * classes, generator=drawn)[:passing]
    logits[pairs // classes, background + pairs % classes] = high + torch.rand(len(pairs), generator=drawn)
    logits[pairs // classes, :background] = low
    made = []
    for level, rows, maps in zip(levels_of(arch), logits.split(boxes), outputs, strict=True):
        values = rows.reshape(level.height, level.width, -1).permute(2, 0, 1)[None].contiguous()
        rest = [torch.full_like(x, high) if index else x for index, x in enumerate(maps[1:])]
        made.append((values, *rest))
    return made


def row(kind: str, classes: int, passing: int) -> tuple[str, ...]:
    """Times one detector."""
    arch = get_arch(MODEL, head=kind, num_classes=classes, input_size=SIDE)
    model = build(arch, torch.Generator().manual_seed(0)).eval()
    decoder = postprocessor(arch, score_threshold=THRESHOLD)
    image = torch.randn(1, *arch.input_size, generator=torch.Generator().manual_seed(1))
    with torch.inference_mode():
        outputs = with_passing(arch, model(image), passing)
        network, post = medians_ms(lambda: model(image), lambda: decoder(outputs))
        found = int((decoder(outputs)[1] > 0).sum())
    bare, behind = estimate(arch, TARGET), estimate(postprocessing_graph(arch), TARGET)
    boxes = sum(level.box_count for level in levels_of(arch))
    return (
        kind,
        str(classes),
        f"{boxes:,}",
        str(passing),
        str(found),
        f"{network:.1f}",
        f"{post:.2f}",
        f"{post / network:.3f}",
        f"{behind.latency_s / bare.latency_s:.2f}",
        str(len(behind.unpriced)),
    )


def main() -> None:
    """Prints the table."""
    torch.set_num_threads(1)
    torch.manual_seed(0)
    rows = [row(kind, classes, passing) for kind in HEADS for classes in CLASSES for passing in PASSING]
    print("Made by `python benchmarks/postprocessing.py`.\n")
    print(f"{MODEL} at {SIDE}, PyTorch {torch.__version__}, one CPU thread, batch 1, medians of {REPEATS} runs.")
    print("Nothing is trained: class logits are drawn so that the given number of pairs of box and class pass.")
    print(f"The columns behind the measured ratio are {TARGET}'s price of what it can run of both, and how many")
    print("operators of the post-processing it cannot price.\n")
    header = ("head", "classes", "boxes", "above threshold", "found", "network (ms)", "decoding + NMS (ms)")
    header += ("measured ratio", "priced ratio", "unpriced operators")
    print(markdown_table(header, rows), end="")


if __name__ == "__main__":
    main()
