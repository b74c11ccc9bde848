"""Networks and their post-processing as files for other runtimes: ONNX, `torch.export`, LiteRT and ExecuTorch.

A file holds what inference needs: batch normalisation uses its statistics, dropout is gone, all weights are inside.
Before it appears it is loaded in its runtime, where that is installed, and must compute what the network does.
Names say what goes where. A network reads `input`. Classifiers and the heads for segmentation and sequences make
`logits`; detectors make `class_logits_8`, `boxes_8` (and, of FCOS, `centerness_8`) for the level of stride 8, and so on
(`boxes_8_1` if there is another of that stride). `accelzoo.detection.DetectionDecoder` reads those names and makes
`boxes`, `scores`, `labels`; `accelzoo.segmentation.Postprocessor` reads `logits` and makes `classes`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from accelzoo._export_job import Job, leaves, prepared
from accelzoo.errors import ExportError
from accelzoo.exporting import FORMATS, executorch, litert, onnx, program
from accelzoo.exporting.copies import RELATIVE_TOLERANCE, Copy, Latency, compare, measure, output_names, relative_error
from accelzoo.exporting.files import ExportReport, free_path, write_whole

if TYPE_CHECKING:
    from torch.export import ExportedProgram

    from accelzoo._export_job import Model

__all__ = [
    "FORMATS",
    "OPSET",
    "RELATIVE_TOLERANCE",
    "ExportReport",
    "Latency",
    "export_executorch",
    "export_litert",
    "export_onnx",
    "export_program",
    "relative_error",
    "save_program",
]

OPSET = 18
"""Of the operator sets that torch's exporter writes, the one that most runtimes know."""


def export_program(
    model: Model,
    input_size: int | Sequence[int] | None = None,
    *,
    inputs: tuple[Any, ...] | None = None,
    dynamic_batch: bool = False,
) -> ExportedProgram:
    """Turns a network into a program of `torch.export`, as it computes in eval mode.

    Args:
        model: A network or its post-processing; or an architecture, the name of a registered model, a config file or a
            `hub:` reference, of which all but the last have freshly drawn weights.
        input_size: A side, `(height, width)` or `(channels, height, width)`; the architecture's own by default.
        inputs: Example inputs instead, for what is no network: `(network(images),)` for the post-processing.
        dynamic_batch: Whether the program takes any number of images at once, instead of one or of the examples'.

    Returns:
        The program. The network's mode and weights stay as they are.

    Raises:
        ShapeError: If the network does not run on such an input.
        ExportError: If it cannot be exported so.
        UnknownNameError: If there is no such model.
    """
    with prepared(model, input_size, inputs, dynamic_batch) as job:
        return program.program_of(job)


def export_onnx(
    model: Model,
    path: str | Path,
    input_size: int | Sequence[int] | None = None,
    *,
    inputs: tuple[Any, ...] | None = None,
    opset: int = OPSET,
    dynamic_batch: bool = False,
    check: bool = True,
    threads: int | None = None,
    overwrite: bool = False,
) -> ExportReport:
    """Writes an ONNX model, weights included, and compares it with the network.

    Args:
        model: See `export_program`.
        path: The file to write, `.onnx`.
        input_size: See `export_program`.
        inputs: See `export_program`.
        opset: Version of ONNX's operators.
        dynamic_batch: See `export_program`; the free dimension is called `batch`.
        check: Whether to run the model in onnxruntime, where that is installed, before the file appears: its outputs
            may differ from the network's by `RELATIVE_TOLERANCE` of the largest value.
        threads: How many to time the checked model and the network with, on the CPU; None: they are not timed.
        overwrite: Whether a file may be replaced.

    Raises:
        ShapeError: If the network does not run on such an input.
        ExportError: If it cannot be exported so, its copy computes something else, or the file cannot be written.
        MissingToolError: If the extra `onnx` is not installed.
        UnknownNameError: If there is no such model.
    """
    target = free_path(path, FORMATS[onnx.NAME], overwrite)
    onnx.require()
    with prepared(model, input_size, inputs, dynamic_batch) as job:
        data = onnx.write(job, opset)
        checked = _check(onnx.loaded, data, job, threads) if check else _UNCHECKED
        return _finish(target, onnx.NAME, data, job, *checked, opset=opset)


def save_program(
    model: Model,
    path: str | Path,
    input_size: int | Sequence[int] | None = None,
    *,
    inputs: tuple[Any, ...] | None = None,
    dynamic_batch: bool = False,
    threads: int | None = None,
    overwrite: bool = False,
) -> ExportReport:
    """Writes a program of `torch.export`, weights included, which `torch.export.load` reads, and compares it.

    Args:
        model: See `export_program`.
        path: The file to write, `.pt2`.
        input_size: See `export_program`.
        inputs: See `export_program`.
        dynamic_batch: See `export_program`.
        threads: See `export_onnx`.
        overwrite: Whether a file may be replaced.

    Raises:
        ShapeError: If the network does not run on such an input.
        ExportError: If it cannot be exported so, its copy computes something else, or the file cannot be written.
        UnknownNameError: If there is no such model.
    """
    target = free_path(path, FORMATS[program.NAME], overwrite)
    with prepared(model, input_size, inputs, dynamic_batch) as job:
        data = program.write(job)
        return _finish(target, program.NAME, data, job, *_check(program.loaded, data, job, threads))


def export_litert(
    model: Model, path: str | Path, *, check: bool = True, threads: int | None = None, overwrite: bool = False
) -> ExportReport:
    """Writes a LiteRT (TensorFlow Lite) model in float32, for one image with channels last, and compares it.

    For int8 see `accelzoo.quantization`. What a map of a detector or segmenter is, is channels last as well.

    Args:
        model: A network, or what `export_program` makes one of.
        path: The file to write, `.tflite`.
        check: Whether to run the model in LiteRT, where that is installed, before the file appears.
        threads: See `export_onnx`.
        overwrite: Whether a file may be replaced.

    Raises:
        ExportError: If an operator has no counterpart, the copy computes something else, or the file cannot be written.
        MissingToolError: If the extra `litert` is not installed.
        UnknownNameError: If there is no such model.
    """
    target = free_path(path, FORMATS[litert.NAME], overwrite)
    litert.require()
    with prepared(model, None, None, False) as job:
        data = litert.write(job)
        checked = _check(litert.loaded, data, job, threads) if check else _UNCHECKED
        return _finish(target, litert.NAME, data, job, *checked, shape=litert.file_shape)


def export_executorch(
    model: Model,
    path: str | Path,
    input_size: int | Sequence[int] | None = None,
    *,
    inputs: tuple[Any, ...] | None = None,
    threads: int | None = None,
    overwrite: bool = False,
) -> ExportReport:
    """Writes an ExecuTorch program, weights included, for XNNPACK, and compares it with the network.

    Args:
        model: See `export_program`.
        path: The file to write, `.pte`.
        input_size: See `export_program`.
        inputs: See `export_program`; the file takes as many images as are here.
        threads: See `export_onnx`.
        overwrite: Whether a file may be replaced.

    Raises:
        ShapeError: If the network does not run on such an input.
        ExportError: If it cannot be exported so, its copy computes something else, or the file cannot be written.
        MissingToolError: If the extra `executorch` is not installed.
        UnknownNameError: If there is no such model.
    """
    target = free_path(path, FORMATS[executorch.NAME], overwrite)
    executorch.require()
    with prepared(model, input_size, inputs, False) as job:
        data = executorch.write(job)
        return _finish(target, executorch.NAME, data, job, *_check(executorch.loaded, data, job, threads))


_Checked = tuple[str | None, dict[str, float], Latency | None]
_UNCHECKED: _Checked = (None, {}, None)


def _check(
    load: Callable[[bytes, Job, int], AbstractContextManager[Copy | None]], data: bytes, job: Job, threads: int | None
) -> _Checked:
    """Runs a file's content; returns the runtime, the errors by output, and the latency if it is asked for."""
    if threads is not None and threads < 1:
        raise ExportError(f"threads (={threads}) must be at least 1")
    if threads is not None and any(leaf.device.type != "cpu" for leaf in leaves(job.inputs)):
        raise ExportError("only networks on the CPU can be timed; threads=None")
    with load(data, job, threads or 1) as copy:
        if copy is None:
            return _UNCHECKED
        errors = compare(copy, job)
        return copy.runtime, errors, None if threads is None else measure(copy, job, threads)


def _finish(
    path: Path,
    form: str,
    data: bytes,
    job: Job,
    runtime: str | None,
    errors: Mapping[str, float],
    latency: Latency | None,
    *,
    opset: int | None = None,
    shape: Callable[[tuple[int, ...]], tuple[int, ...]] = tuple,
) -> ExportReport:
    """Writes the file and reports it."""
    write_whole(path, data)
    examples = leaves(job.inputs)
    inputs = job.input_names or [f"input {index}" for index in range(len(examples))]
    return ExportReport(
        path=path,
        format=form,
        size_bytes=len(data),
        inputs={name: shape(tuple(leaf.shape)) for name, leaf in zip(inputs, examples, strict=True)},
        outputs={name: shape(tuple(leaf.shape)) for name, leaf in zip(output_names(job), job.outputs, strict=True)},
        dynamic_batch=job.dynamic_batch,
        opset=opset,
        runtime=runtime,
        relative_errors=errors,
        latency=latency,
    )
