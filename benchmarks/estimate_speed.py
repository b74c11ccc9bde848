"""How long the estimate of a new network takes, beside other ways to ask what it costs, in one run.

`python benchmarks/estimate_speed.py --nn-meter-python PEER/bin/python > benchmarks/estimate_speed.md` writes the
committed tables. Times are CPU seconds of one thread, so that other work on the machine counts little; the ratios are
what counts. Peers that are not installed are said to be absent: fvcore and Vela are looked for where this runs,
nn-Meter in an interpreter of its own (it needs a setuptools below 81).
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from cost_table import SPACE

from accelzoo import draw, estimate, get_arch, get_space, load_target
from accelzoo.blocks.base import lowered
from accelzoo.hwmodel import Graph, Target, list_targets
from accelzoo.hwmodel.analytic import pricer
from accelzoo.knobs import Space
from accelzoo.recipes.report import markdown_table

TARGET = "camera-npu"
MODELS = ("mobilenetv2_100", "efficientnet_es", "ibn_l")
DRAWN = 300
VELA_SYSTEM = "ethos-u55-256"
PEER_SCRIPT = Path(__file__).with_name("nn_meter_peer.py")


def cpu_s(call: Callable[[], object]) -> float:
    """Returns the CPU seconds that `call` takes."""
    started = time.process_time()
    call()
    return time.process_time() - started


def least_s(call: Callable[[], object], repeats: int) -> float:
    """Returns the least CPU seconds of several calls."""
    return min(cpu_s(call) for _ in range(repeats))


def new_network_row(label: str, space: Space, target: Target, cold: bool) -> tuple[str, ...]:
    """Draws architectures and prices each once; `cold` empties the caches of operators and blocks before each."""
    rng = draw.generator(1)
    pricer.cache_clear()
    lowered.cache_clear()
    decode_s, lower_s, estimate_s, operators = [], [], [], []
    for _ in range(DRAWN):
        genome = space.sample_genome(rng)
        decode_s.append(cpu_s(lambda genome=genome: space.decode(genome)))  # type: ignore[misc]
        arch = space.decode(genome)
        if cold:
            pricer.cache_clear()
            lowered.cache_clear()
        lower_s.append(cpu_s(arch.lower))
        graph = arch.lower()
        estimate_s.append(cpu_s(lambda graph=graph: estimate(graph, target)))  # type: ignore[misc]
        operators.append(len(graph.ops))
    both = [lower + price for lower, price in zip(lower_s, estimate_s, strict=True)]
    parts = [f"{statistics.median(times) * 1e3:.3f}" for times in (decode_s, lower_s, estimate_s, both)]
    slow = sorted(both)[round(0.95 * DRAWN)] * 1e3
    cache = "emptied each time" if cold else "as in use"
    return (label, target.name, cache, f"{statistics.median(operators):.0f}", *parts, f"{slow:.3f}")


def new_network_rows() -> list[tuple[str, ...]]:
    """Prices random architectures of two spaces, on a learned target as well; refuses to if torch is loaded."""
    spaces = {"20 positions, 224×224": SPACE, "camera, 29 positions": get_space("camera")}
    analytic = load_target(TARGET)
    rows = [new_network_row(label, space, analytic, cold) for label, space in spaces.items() for cold in (False, True)]
    learned = [target for target in map(load_target, list_targets()) if target.learned is not None]
    rows += [new_network_row(label, space, target, False) for target in learned[:1] for label, space in spaces.items()]
    if "torch" in sys.modules:
        raise SystemExit("torch is loaded")
    return rows


def ours_s(name: str, cold: bool) -> float:
    """Lowers and prices a registered model."""
    arch, target = get_arch(name), load_target(TARGET)

    def call() -> None:
        if cold:
            pricer.cache_clear()
            lowered.cache_clear()
        estimate(arch.lower(), target)

    return least_s(call, 50)


def on_meta(name: str) -> tuple[Any, Any]:
    """Builds a model and an image without memory."""
    import torch

    arch = get_arch(name)
    with torch.device("meta"):
        return arch.build().eval(), torch.empty(1, *arch.input_size)


def torch_s(name: str) -> float:
    """Counts with torch's counter on the meta device, building included."""
    import torch
    from torch.utils.flop_counter import FlopCounterMode

    def call() -> None:
        model, image = on_meta(name)
        with FlopCounterMode(display=False) as counter, torch.no_grad():
            model(image)
        if counter.get_total_flops() != 2 * get_arch(name).lower().macs:
            raise SystemExit(f"{name}: torch counts other MACs")

    return least_s(call, 5)


def fvcore_s(name: str) -> float | None:
    """Counts with fvcore, building included; None if it is not installed.

    It traces the module, which torch cannot do on the meta device, so the module gets memory, though no values.
    """
    try:
        from fvcore.nn import FlopCountAnalysis  # type: ignore[import-not-found]
    except ImportError:
        return None
    import torch

    def call() -> None:
        model, image = on_meta(name)
        model, image = model.to_empty(device="cpu"), torch.zeros(image.shape)
        FlopCountAnalysis(model, image).unsupported_ops_warnings(False).uncalled_modules_warnings(False).total()

    torch.set_num_threads(1)
    return least_s(call, 3)


def vela_s(name: str) -> float | None:
    """Compiles with Arm's compiler for the Ethos-U; None if it is not installed."""
    from accelzoo.errors import AccelzooError

    try:
        from accelzoo.hwmodel.oracles import ethos_u

        oracle = ethos_u.create(VELA_SYSTEM)
    except (ImportError, AccelzooError):
        return None
    graph = get_arch(name).lower()
    return least_s(lambda: oracle.measure(graph), 2)


def nn_meter_s(names: Sequence[str], python: str | None) -> dict[str, float]:
    """Asks nn-Meter, in its own interpreter; empty if none is given."""
    if python is None:
        return {}
    graphs = json.dumps([[name, nn_meter_graph(get_arch(name).lower())] for name in names])
    command = [python, str(PEER_SCRIPT)]
    done = subprocess.run(command, input=graphs, stdout=subprocess.PIPE, text=True, check=True, env={**os.environ})
    result: dict[str, float] = json.loads(done.stdout.splitlines()[-1])
    return result


_NN_METER_TYPES = {"linear": "Gemm", "pool": "GlobalAveragePool", "activation": "Relu", "add": "Add", "mul": "Mul"}


def nn_meter_graph(graph: Graph) -> dict[str, Any]:
    """Writes a graph in nn-Meter's form: shapes as (batch, height, width, channels), every activation as a ReLU."""
    nodes: dict[str, Any] = {}
    for op in graph.ops:
        shapes = [[1, height, width, channels] for channels, height, width in (*op.in_shapes, op.out_shape)]
        attributes: dict[str, Any] = {}
        if op.kind in ("conv2d", "depthwise_conv2d"):
            attributes = {"kernel_shape": [*op.kernel_size], "strides": [*op.stride], "group": op.groups}
        attr = {
            "name": op.name,
            "type": _NN_METER_TYPES.get(op.kind, "Conv"),
            "attr": attributes,
            "input_shape": shapes[:-1],
            "output_shape": shapes[-1:],
        }
        nodes[op.name] = {"attr": attr, "inbounds": [x for x in op.inputs if x in nodes], "outbounds": []}
        for x in nodes[op.name]["inbounds"]:
            nodes[x]["outbounds"].append(op.name)
    return nodes


def peer_rows(nn_meter_python: str | None) -> list[tuple[str, ...]]:
    """Times every way for every model, each with its ratio to the estimate as in use."""
    nn_meter = nn_meter_s(MODELS, nn_meter_python)
    rows = []
    for name in MODELS:
        ours = ours_s(name, cold=False)
        peers = (torch_s(name), fvcore_s(name), nn_meter.get(name), vela_s(name))
        cells = ["absent" if peer is None else f"{peer * 1e3:,.1f} ({peer / ours:,.0f}×)" for peer in peers]
        rows.append((name, f"{ours * 1e3:.3f}", f"{ours_s(name, cold=True) * 1e3:.3f}", *cells))
    return rows


def main() -> None:
    """Prints both tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--nn-meter-python", help="an interpreter that has nn-Meter")
    python = parser.parse_args().nn_meter_python
    asked = " --nn-meter-python PEER/bin/python" if python else ""
    print(f"Made by `python benchmarks/estimate_speed.py{asked}`. CPU milliseconds of one thread.\n")
    print(f"{DRAWN} networks drawn from a space, each priced once; medians, no torch loaded:\n")
    header = (
        "space",
        "target",
        "operator cache",
        "operators",
        "decode",
        "lower",
        "estimate",
        "lower + estimate",
        "95 % below",
    )
    print(markdown_table(header, new_network_rows()))
    print(f"One network on {TARGET}, the least of several runs; in brackets peer / ours with the cache as in use:\n")
    ours = ("model", "lower + estimate", "the same, cache emptied")
    header = (*ours, "torch flop_counter on meta", "fvcore", "nn-Meter", f"Vela, {VELA_SYSTEM}")
    print(markdown_table(header, peer_rows(python)))
    print(NOTES, end="")


NOTES = """\
- torch and fvcore count operations (no latency); building the module on the meta device is part of a new network.
  fvcore traces a run, which torch 2.15 refuses on the meta device: its figure includes one run on the CPU.
- nn-Meter 2.0 installs on Python 3.11 with numpy 2.4 and scikit-learn 1.9, beside a setuptools below 81 (it imports
  `pkg_resources`). Its predictors are not in the package but downloaded at first use, as pickles, and could
  not be reached where this ran. Timed is its own code with forests of its default sizes fitted on random numbers
  (`nn_meter_peer.py`): kernel detection, features, prediction, from a graph in its own form, each activation a ReLU.
- Vela compiles one inference in this process; writing the flatbuffer is part of it.
"""


if __name__ == "__main__":
    main()
