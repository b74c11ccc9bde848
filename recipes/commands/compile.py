"""`accelzoo compile`: a trained network in int8, through an accelerator's own compiler."""

from __future__ import annotations

import json
import os
from argparse import ArgumentParser, Namespace
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from accelzoo.errors import ExportError
from accelzoo.recipes import output
from accelzoo.recipes.arguments import positive

if TYPE_CHECKING:
    from accelzoo.build import Trunk
    from accelzoo.compile import CompileReport
    from accelzoo.quantization import Calibration, QuantizedNetwork

EPILOG = """\
examples:
  $ accelzoo compile camera_accel --target ethos-u55-256 --calibration digits --images 64 --out camera
  camera_accel on ethos-u55-256, int8 by ranges of 64 images of digits, compiled by vela-5.2.0
                     estimate   compiler  difference
  latency            ... µs   ... µs ... %
  peak activations  ... KiB  ... KiB ... %
  weights           ... KiB  ... KiB ... %
  off-chip traffic  ... KiB  ... KiB ... %

  stage    estimate (µs)  compiler (µs)  difference
  stem  ...  ...  ... %
  ...
  head  ...  ...  ... %
  camera: model.tflite, model_vela.tflite, report.json, operators.csv

MODEL is a release: one that ships in accelzoo, a folder, or hub:OWNER/NAME[@REV]; or a model with --weights.
Releases of product recipes hold the ranges of their activations; others need --calibration, a data set as recipes name
it, for the kind of network that it is. difference: the estimate's from the compiler's figure.
Compiling needs the extra npu: pip install 'accelzoo[npu]'.
"""


def add_arguments(parser: ArgumentParser) -> None:
    """Declares the verb's arguments."""
    parser.add_argument("model", metavar="MODEL", help="a release, or with --weights a model (`accelzoo ls models`)")
    parser.add_argument("--target", metavar="T", required=True, help="an Ethos-U target (`accelzoo ls targets`)")
    parser.add_argument("--out", metavar="FOLDER", type=Path, help="where to write the models and the report")
    parser.add_argument("--weights", metavar="W", help="timm, timm:TAG, or a .safetensors or .pth file")
    parser.add_argument("--calibration", metavar="DATA", help="data for the ranges of activations, such as cifar10")
    parser.add_argument(
        "--images", metavar="N", type=positive, default=256, help="how many of them to run (default: 256)"
    )
    parser.add_argument("--force", action="store_true", help="replace the files of an earlier run in FOLDER")
    parser.add_argument("--json", action="store_true", help="print JSON, with the unit in each field's name")
    parser.add_argument("overrides", metavar="key=value", nargs="*", help="with --weights: changes to the model")


def run(options: Namespace) -> int:
    """Quantises, compiles, prints, and writes what was asked for."""
    from accelzoo.compile import compile_network, compiler_target

    target = compiler_target(options.target)
    if options.out is not None:
        _check_free(options.out, options.force)
    network, source = _quantized(options)
    report = compile_network(network, target)
    data = {"model": options.model, "overrides": options.overrides, "calibration": source, **report.to_json()}
    written = _write(options.out, report, data) if options.out is not None else []
    if options.json:
        output.emit_json(data)
    else:
        output.emit(_text(options.model, source, report))
        if written:
            output.emit(f"{options.out}: {', '.join(written)}")
    return 0


def _quantized(options: Namespace) -> tuple[QuantizedNetwork, str]:
    """The network in int8, and what its ranges are from."""
    from accelzoo.quantization import calibration_images, quantize

    model, stored = _network(options)
    if options.calibration is None:
        if stored is None:
            raise ExportError(
                f"{options.model} holds no ranges of activations: name data with --calibration, such as those that it "
                "was trained on; ranges of random images would cost accuracy without a word"
            )
        return quantize(model, calibration=stored), f"the release's {stored.images} images"
    images = calibration_images(model.arch, options.calibration, options.images, _normalization(model))
    return quantize(model, images), f"{len(images)} images of {options.calibration}"


def _network(options: Namespace) -> tuple[Trunk, Calibration | None]:
    """The trained network, and the ranges that came with it."""
    from accelzoo import config
    from accelzoo.pretrained import find_release, load_release
    from accelzoo.quantization import Calibration
    from accelzoo.registry import create_model

    overrides = config.read(dict[str, Any], {}, overrides=options.overrides)
    if options.weights:
        return create_model(options.model, weights=options.weights, **overrides), None
    if overrides:
        raise ExportError(f"a release is compiled as it is: {options.overrides[0]} needs --weights")
    release = find_release(options.model)
    stored = release.read_quantization()
    return load_release(release), None if stored is None else Calibration.from_json(stored)


def _normalization(model: Trunk) -> Any:
    """What the network was trained with; None where its weights do not tell."""
    from accelzoo.tasks import Normalization

    facts = getattr(model, "pretrained_cfg", None) or {}
    if "mean" not in facts or "std" not in facts:
        return None
    return Normalization(mean=tuple(facts["mean"]), std=tuple(facts["std"]))


def _check_free(folder: Path, force: bool) -> None:
    from accelzoo.compile import COMPILED_FILE, MODEL_FILE, OPERATORS_FILE, REPORT_FILE

    if os.path.lexists(folder) and not folder.is_dir():
        raise ExportError(f"--out {folder}: exists and is not a folder")
    for name in (MODEL_FILE, COMPILED_FILE, REPORT_FILE, OPERATORS_FILE):
        if os.path.lexists(folder / name) and not force:
            raise ExportError(f"{folder / name} exists: choose another folder, or replace it with --force")


def _write(folder: Path, report: CompileReport, data: dict[str, Any]) -> list[str]:
    """Writes the models and the report, each file whole or not at all; returns their names."""
    from accelzoo._files import replace_file
    from accelzoo.compile import COMPILED_FILE, MODEL_FILE, OPERATORS_FILE, REPORT_FILE

    contents = {
        MODEL_FILE: report.tflite,
        COMPILED_FILE: report.compiled,
        REPORT_FILE: (json.dumps(data, indent=2, ensure_ascii=False, allow_nan=False) + "\n").encode(),
        OPERATORS_FILE: output.csv_text([part._asdict() for part in report.operators]).encode(),
    }
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for name, content in contents.items():
            replace_file(folder / name, content, staging=folder)
    except OSError as error:
        raise ExportError(f"cannot write to {folder}: {error}") from error
    return [*contents]


def _text(model: str, source: str, report: CompileReport) -> str:
    cost = report.estimate
    figures: list[tuple[str, float, float, Callable[..., str]]] = [
        ("latency", cost.latency_s, report.latency_s, output.seconds),
        ("peak activations", cost.peak_activation_bytes, report.peak_activation_bytes, output.memory),
        ("weights", cost.weight_bytes, report.weight_bytes, output.memory),
        ("off-chip traffic", cost.dram_bytes, report.dram_bytes, output.memory),
    ]
    totals = output.table(
        ("", ">estimate", ">compiler", ">difference"),
        [(what, say(ours), say(theirs), _difference(ours, theirs)) for what, ours, theirs, say in figures],
    )
    stages = output.table(
        ("stage", ">estimate (µs)", ">compiler (µs)", ">difference"),
        [
            (part.name, f"{1e6 * part.estimated_s:.2f}", f"{1e6 * part.compiled_s:.2f}",
             _difference(part.estimated_s, part.compiled_s))
            for part in report.stages
        ],
    )  # fmt: skip
    head = f"{model} on {report.target}, int8 by ranges of {source}, compiled by {report.tool}"
    return f"{head}\n{totals}\n\n{stages}"


def _difference(ours: float, theirs: float) -> str:
    return f"{100 * (ours / theirs - 1):+.1f} %" if theirs else ""
