"""`accelzoo export`: a model as a file for another runtime."""

from __future__ import annotations

from argparse import ArgumentParser, Namespace
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from accelzoo.errors import ExportError, suggestion
from accelzoo.recipes import output

if TYPE_CHECKING:
    from accelzoo.build import Trunk
    from accelzoo.export import ExportReport

ONNX, PROGRAM = ".onnx", ".pt2"
SEED = 0  # of weights that are drawn: the same command makes the same file
EPILOG = """\
examples:
  $ accelzoo export camera_accel camera.onnx --pretrained
  file     camera.onnx (... KiB)
  format   ONNX, opset 18
  weights  the release's
  input    input 1x3x32x32
  output   logits 1x10
  check    differs from the network by at most 0.0001 of the largest value

  $ accelzoo export mobilenetv2_035 mobilenet.pt2 num_classes=10 input_size=96 --dynamic-batch
  file     mobilenet.pt2 (... MiB)
  format   torch.export
  weights  freshly drawn
  input    input Nx3x96x96
  output   logits Nx10
  check    differs from the network by at most 0.0001 of the largest value

Detectors have two or three outputs per level: class_logits_8, boxes_8 ... of the level of stride 8.
ONNX needs the extra onnx: pip install 'accelzoo[onnx]'.
"""


def add_arguments(parser: ArgumentParser) -> None:
    """Declares the verb's arguments."""
    parser.add_argument(
        "model", metavar="MODEL", help="a model (`accelzoo ls models`), a .yaml or .json file, or hub:OWNER/NAME[@REV]"
    )
    parser.add_argument("file", metavar="FILE", type=Path, help="what to write: .onnx, or .pt2 for torch.export")
    weights = parser.add_mutually_exclusive_group()
    weights.add_argument("--pretrained", action="store_true", help="the weights of the release that ships in accelzoo")
    weights.add_argument("--weights", metavar="W", help="timm, timm:TAG, or a .safetensors or .pth file")
    parser.add_argument("--opset", metavar="N", type=int, help="version of ONNX's operators (default: 18)")
    parser.add_argument("--dynamic-batch", action="store_true", help="let the file take any number of images at once")
    parser.add_argument("--force", action="store_true", help="replace FILE")
    parser.add_argument("--json", action="store_true", help="print JSON, with the unit in each field's name")
    parser.add_argument(
        "overrides", metavar="key=value", nargs="*", help="changes, such as num_classes=10 input_size=96"
    )


def run(options: Namespace) -> int:
    """Exports and prints what the file holds."""
    from accelzoo import config

    suffix = options.file.suffix
    if suffix not in (ONNX, PROGRAM):
        near = suggestion(suffix, (ONNX, PROGRAM))
        raise ExportError(f"{options.file}: the name must end in {ONNX} or {PROGRAM}, not {suffix!r}{near}")
    if suffix == PROGRAM and options.opset is not None:
        raise ExportError(f"--opset is ONNX's; {options.file} is to be a program of torch.export")
    overrides = config.read(dict[str, Any], {}, overrides=options.overrides)
    model, weights = _network(options, overrides)
    report = _exported(model, options)
    if options.json:
        output.emit_json(_data(report, options, weights))
    else:
        output.emit(_facts(report, weights))
    return 0


def _network(options: Namespace, overrides: Mapping[str, Any]) -> tuple[Trunk, str]:
    """The network, and where its weights are from."""
    import torch

    from accelzoo.build import build
    from accelzoo.registry import create_model, get_arch

    if options.weights or options.pretrained or options.model.startswith("hub:"):
        model = create_model(options.model, options.pretrained, options.weights, **overrides)
        return model, options.weights or "the release's"
    return build(get_arch(options.model, **overrides), torch.Generator().manual_seed(SEED)), "freshly drawn"


def _exported(model: Trunk, options: Namespace) -> ExportReport:
    from accelzoo.export import OPSET, export_onnx, save_program

    if options.file.suffix == PROGRAM:
        return save_program(model, options.file, dynamic_batch=options.dynamic_batch, overwrite=options.force)
    return export_onnx(
        model,
        options.file,
        opset=OPSET if options.opset is None else options.opset,
        dynamic_batch=options.dynamic_batch,
        overwrite=options.force,
    )


def _data(report: ExportReport, options: Namespace, weights: str) -> dict[str, Any]:
    return {
        "model": options.model,
        "overrides": options.overrides,
        "weights": weights,
        "file": str(report.path),
        "size_bytes": report.size_bytes,
        "opset": report.opset,
        "dynamic_batch": report.dynamic_batch,
        "inputs": {name: list(shape) for name, shape in report.inputs.items()},
        "outputs": {name: list(shape) for name, shape in report.outputs.items()},
        "max_relative_error": report.max_relative_error,
    }


def _facts(report: ExportReport, weights: str) -> str:
    from accelzoo.export import RELATIVE_TOLERANCE

    checked = f"differs from the network by at most {RELATIVE_TOLERANCE:g} of the largest value"
    rows = [
        ("file", f"{report.path} ({output.memory(report.size_bytes)})"),
        ("format", f"ONNX, opset {report.opset}" if report.opset else "torch.export"),
        ("weights", weights),
        *_tensors("input", report.inputs, report.dynamic_batch),
        *_tensors("output", report.outputs, report.dynamic_batch),
        ("check", "none: onnxruntime is not installed" if report.max_relative_error is None else checked),
    ]
    return "\n".join(f"{name:<7}  {value}" for name, value in rows)


def _tensors(what: str, tensors: Mapping[str, tuple[int, ...]], dynamic_batch: bool) -> list[tuple[str, str]]:
    """A row for each tensor; `N` stands for any number of images."""
    rows = []
    for index, (name, (batch, *sizes)) in enumerate(tensors.items()):
        shape = "x".join(["N" if dynamic_batch else str(batch), *map(str, sizes)])
        rows.append(("" if index else what, f"{name} {shape}"))
    return rows
