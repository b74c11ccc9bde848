"""`accelzoo export`: a model as a file for another runtime."""

from __future__ import annotations

from argparse import ArgumentParser, Namespace
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from accelzoo.errors import ExportError, suggestion
from accelzoo.exporting import FORMATS
from accelzoo.recipes import output
from accelzoo.recipes.arguments import positive

if TYPE_CHECKING:
    from accelzoo.build import Trunk
    from accelzoo.export import ExportReport

TITLES = {
    "onnx": "ONNX",
    "torch-export": "torch.export",
    "litert": "LiteRT, float32, channels last",
    "executorch": "ExecuTorch, XNNPACK",
}
FREE_BATCH = ("onnx", "torch-export")
SEED = 0  # of weights that are drawn: the same command makes the same file
EPILOG = """\
examples:
  $ accelzoo export camera_accel --to onnx
  file     camera_accel.onnx (... KiB)
  format   ONNX, opset 18
  weights  the release's
  input    input 1x3x32x32
  output   logits 1x10
  check    onnxruntime-...: differs from the network by at most ... of the largest value (allowed: 0.0001)
  latency  ...s, in torch-... ...s: medians of ... runs in turn, 1 thread, this machine

  $ accelzoo export mobilenetv2_035 mobilenet.pt2 num_classes=10 input_size=96 --dynamic-batch
  file     mobilenet.pt2 (... MiB)
  format   torch.export
  weights  freshly drawn
  input    input Nx3x96x96
  output   logits Nx10
  check    torch.export-...: differs from the network by at most ... of the largest value (allowed: 0.0001)
  latency  ...s, in torch-... ...s: medians of ... runs in turn, 1 thread, this machine

  $ accelzoo export camera_accel camera.tflite
  file     camera.tflite (... KiB)
  format   LiteRT, float32, channels last
  weights  the release's
  input    input 1x32x32x3
  output   logits 1x10
  check    litert-...: differs from the network by at most ... of the largest value (allowed: 0.0001)
  latency  ...s, in torch-... ...s: medians of ... runs in turn, 1 thread, this machine

Releases come with their weights; --fresh draws others. FILE is named after the model by default, and its suffix stands
for --to: .onnx, .pt2 (torch.export), .tflite (LiteRT; int8: accelzoo compile), .pte (ExecuTorch).
Detectors have two or three outputs per level: class_logits_8, boxes_8 ... of the level of stride 8.
Extras: pip install 'accelzoo[onnx]', 'accelzoo[litert]', 'accelzoo[executorch]'.
"""


def add_arguments(parser: ArgumentParser) -> None:
    """Declares the verb's arguments."""
    parser.add_argument(
        "model",
        metavar="MODEL",
        help="a release (packaged, a folder, hub:OWNER/NAME[@REV] or hf:OWNER/NAME[@REV]), a model (`accelzoo ls "
        "models`) or a config file",
    )
    parser.add_argument("file", metavar="FILE", nargs="?", help="what to write (default: MODEL's name, as --to ends)")
    parser.add_argument("--to", metavar="FORMAT", help=f"{', '.join(FORMATS)} (default: by FILE's suffix)")
    weights = parser.add_mutually_exclusive_group()
    weights.add_argument("--pretrained", action="store_true", help="insist on the weights of a packaged release")
    weights.add_argument("--weights", metavar="W", help="timm, timm:TAG, or a .safetensors or .pth file")
    weights.add_argument("--fresh", action="store_true", help="draw weights, even of a packaged release's network")
    parser.add_argument("--opset", metavar="N", type=int, help="version of ONNX's operators (default: 18)")
    parser.add_argument("--dynamic-batch", action="store_true", help="let the file take any number of images at once")
    parser.add_argument(
        "--threads", metavar="N", type=positive, default=1, help="to time the file and PyTorch with (default: 1)"
    )
    parser.add_argument("--force", action="store_true", help="replace FILE")
    parser.add_argument("--json", action="store_true", help="print JSON, with the unit in each field's name")
    parser.add_argument(
        "overrides", metavar="key=value", nargs="*", help="changes, such as num_classes=10 input_size=96"
    )


def run(options: Namespace) -> int:
    """Exports and prints what the file holds."""
    from accelzoo import config

    changes, path, form = _asked(options)
    overrides = config.read(dict[str, Any], {}, overrides=changes)
    model, weights = _network(options, overrides)
    report = _exported(model, path, form, options)
    if options.json:
        output.emit_json(_data(report, options.model, changes, weights))
    else:
        output.emit(_facts(report, weights))
    return 0


def _asked(options: Namespace) -> tuple[list[str], Path, str]:
    """The changes, the file and its format; options that the format does not have are refused."""
    file, changes = options.file, options.overrides
    if file is not None and "=" in file and Path(file).suffix not in FORMATS.values():
        file, changes = None, [file, *changes]  # no FILE: the first change stands in its place
    form = _format(file, options.to)
    path = Path(file) if file is not None else Path(_stem(options.model) + FORMATS[form])
    if form != "onnx" and options.opset is not None:
        raise ExportError(f"--opset is ONNX's; {path} is to be a file of {TITLES[form]}")
    if form not in FREE_BATCH and options.dynamic_batch:
        raise ExportError(f"--dynamic-batch: a file of {TITLES[form]} takes one image at a time")
    return changes, path, form


def _format(file: str | None, to: str | None) -> str:
    if to is not None and to not in FORMATS:
        raise ExportError(f"--to {to}: no such format{suggestion(to, FORMATS)} (known: {', '.join(FORMATS)})")
    if file is None:
        if to is None:
            raise ExportError(f"what to write? Name a FILE, or a format with --to ({', '.join(FORMATS)})")
        return to
    suffix = Path(file).suffix
    if to is not None and suffix != FORMATS[to]:
        raise ExportError(f"{file}: with --to {to} the name must end in {FORMATS[to]}, not {suffix!r}")
    found = [form for form, ending in FORMATS.items() if ending == suffix]
    if not found:
        *others, last = FORMATS.values()
        near = suggestion(suffix, FORMATS.values())
        raise ExportError(f"{file}: the name must end in {', '.join(others)} or {last}, not {suffix!r}{near}")
    return found[0]


def _stem(model: str) -> str:
    """A model's own name: without its hub, owner, folder, revision or suffix."""
    name = Path(model.partition("@")[0] if not Path(model).exists() else model).name.rpartition(":")[2]
    return name.removesuffix(".yaml").removesuffix(".yml").removesuffix(".json")


def _network(options: Namespace, overrides: Mapping[str, Any]) -> tuple[Trunk, str]:
    """The network, and where its weights are from."""
    import torch

    from accelzoo.build import build
    from accelzoo.pretrained import list_packaged, names_release
    from accelzoo.registry import create_model, get_arch

    packaged = options.pretrained or (options.model in list_packaged() and not options.weights and not options.fresh)
    if options.weights or packaged or names_release(options.model):
        model = create_model(options.model, packaged, options.weights, **overrides)
        return model, options.weights or "the release's"
    return build(get_arch(options.model, **overrides), torch.Generator().manual_seed(SEED)), "freshly drawn"


def _exported(model: Trunk, path: Path, form: str, options: Namespace) -> ExportReport:
    from accelzoo.export import OPSET, export_executorch, export_litert, export_onnx, save_program

    common: dict[str, Any] = {"threads": options.threads, "overwrite": options.force}
    if form == "litert":
        return export_litert(model, path, **common)
    if form == "executorch":
        return export_executorch(model, path, **common)
    common["dynamic_batch"] = options.dynamic_batch
    if form == "torch-export":
        return save_program(model, path, **common)
    return export_onnx(model, path, opset=OPSET if options.opset is None else options.opset, **common)


def _data(report: ExportReport, model: str, changes: list[str], weights: str) -> dict[str, Any]:
    latency = report.latency
    return {
        "model": model,
        "overrides": changes,
        "weights": weights,
        "file": str(report.path),
        "format": report.format,
        "size_bytes": report.size_bytes,
        "opset": report.opset,
        "dynamic_batch": report.dynamic_batch,
        "inputs": {name: list(shape) for name, shape in report.inputs.items()},
        "outputs": {name: list(shape) for name, shape in report.outputs.items()},
        "runtime": report.runtime,
        "relative_errors": dict(report.relative_errors),
        "max_relative_error": report.max_relative_error,
        "latency_s": latency and latency.seconds,
        "torch_latency_s": latency and latency.torch_seconds,
        "threads": latency and latency.threads,
        "runs": latency and latency.runs,
    }


def _facts(report: ExportReport, weights: str) -> str:
    rows = [
        ("file", f"{report.path} ({output.memory(report.size_bytes)})"),
        ("format", TITLES[report.format] + (f", opset {report.opset}" if report.opset else "")),
        ("weights", weights),
        *_tensors("input", report.inputs, report.dynamic_batch),
        *_tensors("output", report.outputs, report.dynamic_batch),
        ("check", _check(report)),
        *_latency(report),
    ]
    return "\n".join(f"{name:<7}  {value}" for name, value in rows)


def _tensors(what: str, tensors: Mapping[str, tuple[int, ...]], dynamic_batch: bool) -> list[tuple[str, str]]:
    """A row for each tensor; `N` stands for any number of images."""
    rows = []
    for index, (name, (batch, *sizes)) in enumerate(tensors.items()):
        shape = "x".join(["N" if dynamic_batch else str(batch), *map(str, sizes)])
        rows.append(("" if index else what, f"{name} {shape}"))
    return rows


def _check(report: ExportReport) -> str:
    from accelzoo.export import RELATIVE_TOLERANCE

    error = report.max_relative_error
    if error is None:
        return "none: its runtime is not installed"
    worst = max(report.relative_errors, key=lambda name: report.relative_errors[name])
    where = f" ({worst})" if len(report.relative_errors) > 1 else ""
    share = f"{error:.1e} of the largest value{where} (allowed: {RELATIVE_TOLERANCE:g})"
    return f"{report.runtime}: differs from the network by at most {share}"


def _latency(report: ExportReport) -> list[tuple[str, str]]:
    import torch

    if (found := report.latency) is None:
        return []
    threads = "1 thread" if found.threads == 1 else f"{found.threads} threads"
    theirs = f"in torch-{torch.__version__} {output.seconds(found.torch_seconds)}"
    how = f"medians of {found.runs} runs in turn, {threads}, this machine"
    return [("latency", f"{output.seconds(found.seconds)}, {theirs}: {how}")]
