"""ONNX models, `.onnx`: made by torch's exporter, checked in onnxruntime."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from typing import Any

from accelzoo._export_job import Job, leaves
from accelzoo.errors import ExportError
from accelzoo.exporting.copies import Copy
from accelzoo.exporting.program import BATCH, program_of, without_torchvisions_warning
from accelzoo.hwmodel.oracles.protocol import import_tool

NAME = "onnx"


def require() -> None:
    """Makes sure that models can be written.

    Raises:
        MissingToolError: If the extra `onnx` is not installed.
    """
    for tool in ("onnx", "onnxscript"):
        import_tool(tool, NAME)


def write(job: Job, opset: int) -> bytes:
    """Returns a model, weights included.

    Raises:
        ExportError: If the network cannot be traced, or not be written with these operators.
    """
    import torch

    program = program_of(job)
    try:
        with without_torchvisions_warning():
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


@contextmanager
def loaded(data: bytes, job: Job, threads: int) -> Iterator[Copy | None]:
    """Loads a model in onnxruntime; None where that is not installed.

    Raises:
        ExportError: If the model's inputs are not those of the job.
    """
    if not find_spec("onnxruntime"):
        yield None
        return
    import onnxruntime
    import torch

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    session = onnxruntime.InferenceSession(data, options, providers=["CPUExecutionProvider"])
    names = [value.name for value in session.get_inputs()]
    tensors = leaves(job.inputs)
    given = job.input_names or names  # without names of ours the file's stand in their order
    if len(given) != len(tensors):
        raise ExportError(f"the file reads {len(names)} of {len(tensors)} inputs, so it cannot be checked; check=False")
    # An input that the outputs do not depend on is none of the file.
    fed = {name: leaf.cpu().numpy() for name, leaf in zip(given, tensors, strict=True) if name in names}
    yield Copy(
        f"onnxruntime-{onnxruntime.__version__}",
        lambda: session.run(None, fed),
        lambda outputs: [torch.from_numpy(value) for value in outputs],
    )
