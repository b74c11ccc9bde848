"""Networks and their post-processing as files for other runtimes: ONNX models and the programs of `torch.export`.

A file holds what inference needs: batch normalisation uses its statistics, dropout is gone, all weights are inside.
Names say what goes where. A network reads `input`. Classifiers and the heads for segmentation and sequences make
`logits`; detectors make `class_logits_8`, `boxes_8` (and, of FCOS, `centerness_8`) for the level of stride 8, and so on
(`boxes_8_1` if there is another of that stride). `accelzoo.detection.DetectionDecoder` reads those names and makes
`boxes`, `scores`, `labels`; `accelzoo.segmentation.Postprocessor` reads `logits` and makes `classes`.
"""

from __future__ import annotations

import io
import os
import re
import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

from accelzoo._export_job import Job, leaves, prepared
from accelzoo._files import staging_path, write_synced
from accelzoo.errors import ExportError

if TYPE_CHECKING:
    from torch import Tensor
    from torch.export import ExportedProgram

    from accelzoo._export_job import Model

OPSET = 18
"""Of the operator sets that torch's exporter writes, the one that most runtimes know."""
RELATIVE_TOLERANCE = 1e-4
"""How far a copy's outputs may be from the network's, as a share of the largest value: what rounding explains."""
BATCH = "batch"


@dataclass(frozen=True, slots=True, kw_only=True)
class ExportReport:
    """A file that was written.

    Args:
        path: The file.
        size_bytes: Its size.
        inputs: Name → shape, in the order in which they are passed. Where `dynamic_batch` is set, the first number of
            each, and of the outputs' shapes, is only an example.
        outputs: Name → shape.
        dynamic_batch: Whether the file takes any number of images at once.
        opset: Version of ONNX's operators; None in a program of `torch.export`.
        max_relative_error: Largest difference between the file's outputs and the network's, as a share of the largest
            value of that output; None if it was not checked.
    """

    path: Path
    size_bytes: int
    inputs: Mapping[str, tuple[int, ...]]
    outputs: Mapping[str, tuple[int, ...]]
    dynamic_batch: bool
    opset: int | None
    max_relative_error: float | None


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
        return _program(job)


def export_onnx(
    model: Model,
    path: str | Path,
    input_size: int | Sequence[int] | None = None,
    *,
    inputs: tuple[Any, ...] | None = None,
    opset: int = OPSET,
    dynamic_batch: bool = False,
    check: bool = True,
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
        overwrite: Whether a file may be replaced.

    Raises:
        ShapeError: If the network does not run on such an input.
        ExportError: If it cannot be exported so, its copy computes something else, or the file cannot be written.
        MissingToolError: If the extra `onnx` is not installed.
        UnknownNameError: If there is no such model.
    """
    from accelzoo.hwmodel.oracles.protocol import import_tool

    target = _free_path(path, ".onnx", overwrite)
    for tool in ("onnx", "onnxscript"):
        import_tool(tool, "onnx")
    with prepared(model, input_size, inputs, dynamic_batch) as job:
        data = _onnx(_program(job), job, opset)
        error = _onnxruntime_error(data, job) if check and find_spec("onnxruntime") else None
    _write(target, data)
    return _report(target, data, job, opset, error)


def save_program(
    model: Model,
    path: str | Path,
    input_size: int | Sequence[int] | None = None,
    *,
    inputs: tuple[Any, ...] | None = None,
    dynamic_batch: bool = False,
    overwrite: bool = False,
) -> ExportReport:
    """Writes a program of `torch.export`, weights included, which `torch.export.load` reads.

    Args:
        model: See `export_program`.
        path: The file to write, `.pt2`.
        input_size: See `export_program`.
        inputs: See `export_program`.
        dynamic_batch: See `export_program`.
        overwrite: Whether a file may be replaced.

    Raises:
        ShapeError: If the network does not run on such an input.
        ExportError: If it cannot be exported so, its copy computes something else, or the file cannot be written.
        UnknownNameError: If there is no such model.
    """
    import torch

    target = _free_path(path, ".pt2", overwrite)
    with prepared(model, input_size, inputs, dynamic_batch) as job:
        program = _program(job)
        for node in program.graph.nodes:
            node.meta.pop("stack_trace", None)  # names files of this machine
        with torch.no_grad():
            error = _agreeing(job, leaves(program.module()(*job.inputs)), "the exported program")
        data = io.BytesIO()
        torch.export.save(program, data)
    _write(target, data.getvalue())
    return _report(target, data.getvalue(), job, None, error)


def _program(job: Job) -> ExportedProgram:
    import torch
    from torch.utils._pytree import tree_map

    shapes = None
    if job.dynamic_batch:
        free = {0: torch.export.Dim(BATCH)}
        shapes = tree_map(lambda _: free, job.inputs)
    try:
        with _without_torchvisions_warning():
            return torch.export.export(job.module, job.inputs, dynamic_shapes=shapes, strict=False)
    except (RuntimeError, ValueError) as error:
        what = " for any number of images" if job.dynamic_batch else ""
        raise ExportError(f"torch.export cannot export a {type(job.module).__name__}{what}: {error}") from error


@contextmanager
def _without_torchvisions_warning() -> Iterator[None]:
    """Its non-maximum suppression describes itself to torch.export in a way that torch is about to drop."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", ".*create_unbacked_symint", FutureWarning)
        yield


def _onnx(program: ExportedProgram, job: Job, opset: int) -> bytes:
    import torch

    try:
        with _without_torchvisions_warning():
            written = torch.onnx.export(
                program,
                (),
                dynamo=True,
                verbose=False,
                opset_version=opset,
                input_names=job.input_names or None,
                output_names=job.output_names or None,
            )
    except (RuntimeError, ValueError) as error:
        raise ExportError(f"torch.onnx cannot export a {type(job.module).__name__}: {error}") from error
    if written is None:
        raise ExportError(f"torch.onnx made nothing of a {type(job.module).__name__}")
    model = written.model_proto
    (version,) = [entry.version for entry in model.opset_import if not entry.domain]
    if version != opset:  # torch goes on with another version, without an error
        raise ExportError(f"opset (={opset}) cannot be had: torch.onnx writes this network for opset {version}")
    _tidy(model, model.graph.input[0].type.tensor_type.shape.dim[0].dim_param)
    try:
        return model.SerializeToString()
    except ValueError as error:  # protobuf's limit, 2 GiB
        raise ExportError(f"the network does not fit into one ONNX file: {error}") from error


def _tidy(message: Any, batch: str) -> None:
    """Removes notes that name files of this machine, and calls the free dimension `batch`."""
    for field, value in message.ListFields():
        if field.name in ("metadata_props", "doc_string"):
            message.ClearField(field.name)
        elif field.name == "dim_param" and batch:
            message.dim_param = re.sub(rf"\b{re.escape(batch)}\b", BATCH, value)
        elif field.message_type is not None:
            for part in [value] if hasattr(value, "ListFields") else value:
                _tidy(part, batch)


def _onnxruntime_error(data: bytes, job: Job) -> float:
    import onnxruntime
    import torch

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = torch.get_num_threads()
    session = onnxruntime.InferenceSession(data, options, providers=["CPUExecutionProvider"])
    names = [value.name for value in session.get_inputs()]
    tensors = leaves(job.inputs)
    given = job.input_names or names  # without names of ours the file's stand in their order
    if len(given) != len(tensors):
        raise ExportError(f"the file reads {len(names)} of {len(tensors)} inputs, so it cannot be checked; check=False")
    # An input that the outputs do not depend on is none of the file.
    fed = {name: leaf.cpu().numpy() for name, leaf in zip(given, tensors, strict=True) if name in names}
    return _agreeing(job, [torch.from_numpy(value) for value in session.run(None, fed)], "onnxruntime")


def _agreeing(job: Job, copies: Sequence[Tensor], where: str) -> float:
    """The largest relative error, which must be within the tolerance."""
    worst = 0.0
    for index, (value, copy) in enumerate(zip(job.outputs, copies, strict=True)):
        name = job.output_names[index] if job.output_names else f"output {index}"
        if value.shape != copy.shape:
            raise ExportError(f"{name}: {where} makes {tuple(copy.shape)}, the network {tuple(value.shape)}")
        error = relative_error(copy, value)
        if not error <= RELATIVE_TOLERANCE:
            share = f"{error:.1e} of the largest value, more than {RELATIVE_TOLERANCE:g}"
            raise ExportError(f"{name}: what {where} computes differs from the network by {share}")
        worst = max(worst, error)
    return worst


def relative_error(copy: Tensor, value: Tensor) -> float:
    """Largest difference between two tensors as a share of the second's largest value."""
    reference = value.detach().double().cpu()
    difference = (copy.detach().double().cpu() - reference).abs().amax()
    return float(difference / reference.abs().amax()) if difference else 0.0


def _free_path(path: str | Path, suffix: str, overwrite: bool) -> Path:
    """The path, if a file can appear there."""
    target = Path(path)
    if target.suffix != suffix:
        raise ExportError(f"{target}: the name must end in {suffix!r}")
    if not os.path.isdir(target.parent):
        raise ExportError(f"{target}: no such folder {str(target.parent)!r}")
    if os.path.isdir(target):
        raise ExportError(f"{target} is a folder")
    if os.path.lexists(target) and not overwrite:
        raise ExportError(f"{target} exists; overwrite it on purpose or take another")
    return target


def _write(target: Path, data: bytes) -> None:
    """Writes a file in one step: whole or not at all."""
    staged = staging_path(target)
    try:
        write_synced(staged, data)
        os.replace(staged, target)
    except OSError as error:
        with suppress(OSError):
            staged.unlink()
        raise ExportError(f"cannot write {target}: {error}") from error


def _report(path: Path, data: bytes, job: Job, opset: int | None, error: float | None) -> ExportReport:
    examples = leaves(job.inputs)
    inputs = job.input_names or [f"input {index}" for index in range(len(examples))]
    outputs = job.output_names or [f"output {index}" for index in range(len(job.outputs))]
    return ExportReport(
        path=path,
        size_bytes=len(data),
        inputs={name: tuple(leaf.shape) for name, leaf in zip(inputs, examples, strict=True)},
        outputs={name: tuple(leaf.shape) for name, leaf in zip(outputs, job.outputs, strict=True)},
        dynamic_batch=job.dynamic_batch,
        opset=opset,
        max_relative_error=error,
    )
