"""`accelzoo cost`: the price of a model on a target, in total and operator by operator."""

from __future__ import annotations

from argparse import ArgumentParser, Namespace
from collections import Counter
from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, Any

from accelzoo.recipes import output

if TYPE_CHECKING:
    from accelzoo.arch import Arch
    from accelzoo.hwmodel import Cost, Graph, Target

EPILOG = """\
examples:
  $ accelzoo cost mobilenetv2_100 --target edge-npu
  mobilenetv2_100 on edge-npu (batch 1, input 3x224x224)
  latency           1.417 ms
  energy            1.155 mJ
  MACs              300.8 M       10.8 % of the peak, 1.966 T MACs/s
  weights           3.378 MiB     56.3 % of the budget, 6.000 MiB
  peak activations  1.436 MiB     71.8 % of the budget, 2.000 MiB
  DRAM traffic      0 B

  $ accelzoo cost camera_ibn --target camera-npu num_classes=100 width_multiplier=0.5 --by-op
  camera_ibn on camera-npu (batch 1, input 3x32x32), num_classes=100, width_multiplier=0.5
  latency           259.2 µs
  energy            22.60 µJ
  MACs              2.508 M       7.6 % of the peak, 128.0 G MACs/s
  weights           97.00 KiB     2.4 % of the budget, 4.000 MiB
  peak activations  30.00 KiB     2.9 % of the budget, 1.000 MiB
  DRAM traffic      97.00 KiB

  operator             kind                     output  MACs (M)  latency (µs)  share (%)  bound     used (%)  DRAM (KiB)
  conv_stem            conv2d+relu             8x16x16     0.055          2.34        0.9  sram          37.5         0.2
  blocks.0.0.conv_dw   depthwise_conv2d+relu   8x16x16     0.018          2.15        0.8  compute       12.5         0.1
  blocks.0.0.conv_pwl  conv2d                  8x16x16     0.016          2.05        0.8  sram         100.0         0.1
  ...

  $ accelzoo cost timm:convnext_atto --target edge-npu input_size=192
  timm:convnext_atto on edge-npu (batch 1, input 3x192x192), input_size=192
  latency           >= 1.473 ms
  energy            >= 1.173 mJ
  MACs              402.2 M
  weights           3.554 MiB     59.2 % of the budget, 6.000 MiB
  peak activations  540.0 KiB     26.4 % of the budget, 2.000 MiB
  DRAM traffic      >= 0 B
  accelzoo: warning: edge-npu cannot run 12 operators (12 activation:gelu; the first is stages.0.blocks.0.mlp.act); no kind of operator stands for 17 operators (17 aten.native_layer_norm; the first is stem.1); their time and energy are not in the totals

  $ accelzoo cost ibn_t --target edge-npu head=ssdlite num_classes=2 input_size=320
  ibn_t on edge-npu (batch 1, input 3x320x320), head=ssdlite, num_classes=2, input_size=320
  latency           1.750 ms
  energy            1.203 mJ
  MACs              173.8 M       5.1 % of the peak, 1.966 T MACs/s
  weights           758.9 KiB     12.4 % of the budget, 6.000 MiB
  peak activations  1.465 MiB     73.2 % of the budget, 2.000 MiB
  DRAM traffic      0 B

  post-processing, not in the totals of the network
  latency           >= 22.96 µs
  energy            >= 12.54 µJ
  peak activations  25.82 KiB     1.3 % of the budget, 2.000 MiB
  DRAM traffic      >= 0 B
  no price          2 aten.clamp, 1 aten.exp, 5 aten.index, 2 aten.topk, 1 torchvision.nms

share: of the latency; used: MACs of the array that have work while the operator computes.
Overrides: num_classes, in_chans, input_size, width_multiplier, depth_multiplier, channel_divisor, output_stride,
head (a kind, with its fields), and the knobs of blocks, such as activation, kernel_size and expansion_ratio; of
timm's models the first three. What follows a detector or a segmenter is priced apart: non-maximum suppression, sorting
and the like have no price on any target, so that one is a lower bound.
"""  # noqa: E501
_MODEL_HELP = "a model (see `accelzoo ls models`), timm:NAME for one of timm's, or a .yaml or .json file"


def add_arguments(parser: ArgumentParser) -> None:
    """Declares the verb's arguments."""
    parser.add_argument("model", metavar="MODEL", help=_MODEL_HELP)
    parser.add_argument("--target", metavar="T", required=True, help="a target (`accelzoo ls targets`) or a .yaml file")
    parser.add_argument("--by-op", action="store_true", help="also price each operator")
    parser.add_argument("--json", action="store_true", help="print JSON, with the unit in each field's name")
    parser.add_argument(
        "overrides", metavar="key=value", nargs="*", help="changes, such as num_classes=10 width_multiplier=0.5"
    )


def run(options: Namespace) -> int:
    """Prices and prints; operators that the target cannot run are a warning, not an error."""
    from accelzoo import config
    from accelzoo.hwmodel import estimate, load_target
    from accelzoo.pricing import TIMM, import_timm
    from accelzoo.registry import get_arch

    overrides = config.read(dict[str, Any], {}, overrides=options.overrides)
    target = load_target(options.target)
    arch = None if options.model.startswith(TIMM) else get_arch(options.model, **overrides)
    graph = arch.lower() if arch else import_timm(options.model, **overrides)
    cost = estimate(graph, target)
    following = _postprocessing(arch) if arch else None
    following_cost = estimate(following, target) if following else None
    if options.json:
        output.emit_json(
            {
                "model": options.model,
                "overrides": options.overrides,
                "arch_digest": arch.digest() if arch else None,
                "target": target.name,
                "target_digest": target.digest(),
                "weight_budget_bytes": target.weight_budget_bytes,
                "activation_budget_bytes": target.activation_budget_bytes,
                # Without rows it is a cost of which only totals are known, and still a whole `Cost`.
                "cost": cost.to_json() | ({} if options.by_op else {"by_op": []}),
                "postprocessing": _following_json(following_cost, options.by_op),
            }
        )
    else:
        changes = "".join(f", {override}" for override in options.overrides)
        output.emit(
            f"{options.model} on {target.name} (batch 1, input {output.shape(graph.input_shape)}){changes}\n"
            + _totals(cost, target)
            + (f"\n\n{_operators(graph, cost)}" if options.by_op else "")
        )
        if following and following_cost:
            output.emit(
                f"\npost-processing, not in the totals of the network\n{_following(following_cost, target)}"
                + (f"\n\n{_operators(following, following_cost)}" if options.by_op else "")
            )
    if cost.unpriced:
        output.warn(_unpriced(cost, target))
    if cost.extrapolated:
        output.warn(_extrapolated(cost, target))
    return 0


def _postprocessing(arch: Arch) -> Graph | None:
    """What turns the network's outputs into boxes or classes of pixels; None where nothing has to."""
    match arch.head.task:
        case "detection":
            from accelzoo.detection import postprocessing_graph as of_detector

            return of_detector(arch)
        case "segmentation":
            from accelzoo.segmentation import postprocessing_graph as of_segmenter

            return of_segmenter(arch)
        case _:
            return None


def _following(cost: Cost, target: Target) -> str:
    """The totals of post-processing that mean something, and what has no price."""
    lines = [*_lines(row for row in _total_rows(cost, target) if row[0] not in ("MACs", "weights"))]
    if cost.unpriced:
        kinds = Counter(entry.rpartition(" (")[2][:-1].removeprefix("opaque:") for entry in cost.unpriced)
        lines.append(f"{'no price':<16}  {', '.join(f'{times} {kind}' for kind, times in sorted(kinds.items()))}")
    if cost.extrapolated:
        lines.append(f"{'far from the fit':<16}  {', '.join(cost.extrapolated)}")
    return "\n".join(lines)


def _following_json(cost: Cost | None, by_op: bool) -> dict[str, Any] | None:
    return None if cost is None else {"cost": cost.to_json() | ({} if by_op else {"by_op": []})}


def _totals(cost: Cost, target: Target) -> str:
    return "\n".join(_lines(_total_rows(cost, target)))


def _lines(rows: Iterable[tuple[str, str, str]]) -> Iterator[str]:
    for name, value, remark in rows:
        yield f"{name:<16}  {value:<12}  {remark}".rstrip()


def _total_rows(cost: Cost, target: Target) -> list[tuple[str, str, str]]:
    at_least = ">= " if cost.unpriced else ""
    utilization = ""
    if cost.latency_s and not cost.unpriced:
        busy = cost.macs / (cost.latency_s * target.peak_macs_per_s)
        utilization = f"{output.percent(busy)} of the peak, {output.count(target.peak_macs_per_s)} MACs/s"
    return [
        ("latency", at_least + output.seconds(cost.latency_s), ""),
        ("energy", at_least + output.joules(cost.energy_j), ""),
        ("MACs", output.count(cost.macs), utilization),
        ("weights", output.memory(cost.weight_bytes), _against(cost.weight_bytes, target.weight_budget_bytes)),
        (
            "peak activations",
            output.memory(cost.peak_activation_bytes),
            _against(cost.peak_activation_bytes, target.activation_budget_bytes),
        ),
        ("DRAM traffic", at_least + output.memory(cost.dram_bytes), ""),
    ]


def _against(used_bytes: int, budget_bytes: int | None) -> str:
    if budget_bytes is None:
        return ""
    remark = f"{output.percent(used_bytes / budget_bytes)} of the budget, {output.memory(budget_bytes)}"
    over = used_bytes - budget_bytes
    return f"{remark}: OVER by {output.memory(over)}" if over > 0 else remark


def _unpriced(cost: Cost, target: Target) -> str:
    """Says which operators are not in the totals, and whether that is for the target or for the model."""
    entries = [entry.rpartition(" (") for entry in cost.unpriced]
    opaque = [(name, label.removeprefix("opaque:")[:-1]) for name, _, label in entries if label.startswith("opaque:")]
    others = [(name, label[:-1]) for name, _, label in entries if not label.startswith("opaque:")]
    parts = [f"{target.name} cannot run {_listing(others)}"] if others else []
    parts += [f"no kind of operator stands for {_listing(opaque)}"] if opaque else []
    return f"{'; '.join(parts)}; their time and energy are not in the totals"


def _listing(operators: list[tuple[str, str]]) -> str:
    kinds = Counter(kind for _, kind in operators)
    listing = ", ".join(f"{times} {kind}" for kind, times in sorted(kinds.items()))
    return f"{len(operators)} operators ({listing}; the first is {operators[0][0]})"


def _extrapolated(cost: Cost, target: Target) -> str:
    names = cost.extrapolated
    more = f" and {len(names) - 3} more" if len(names) > 3 else ""
    return (
        f"{', '.join(names[:3])}{more}: far from everything {target.name} was fitted to; their prices fall back "
        "towards the analytic model"
    )


def _operators(graph: Graph, cost: Cost) -> str:
    columns = [
        "operator", "kind", ">output", ">MACs (M)", ">latency (µs)", ">share (%)", "bound", ">used (%)", ">DRAM (KiB)",
    ]  # fmt: skip
    return output.table(columns, _rows(graph, cost))


def _rows(graph: Graph, cost: Cost) -> Iterator[list[str]]:
    """Yields a row for each operator; a fused activation stands with the operator that applies it."""
    fused = {op.inputs[0]: op.function for op, row in zip(graph.ops, cost.by_op, strict=True) if row.bound == "fused"}
    for op, row in zip(graph.ops, cost.by_op, strict=True):
        if row.bound == "fused":
            continue
        kind = f"{op.kind}:{op.function}" if op.function else op.kind
        yield [
            op.name,
            kind + (f"+{fused[op.name]}" if op.name in fused else ""),
            output.shape(op.out_shape),
            f"{row.macs / 1e6:.3f}",
            f"{row.latency_s * 1e6:.2f}" if row.bound != "unpriced" else "?",
            f"{100 * row.latency_s / cost.latency_s:.1f}" if row.bound != "unpriced" else "?",
            row.bound,
            f"{100 * row.utilization:.1f}" if row.bound != "unpriced" else "?",
            f"{row.dram_bytes / 1024:.1f}",
        ]
