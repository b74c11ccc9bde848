"""LiteRT (TensorFlow Lite) models in float32, `.tflite`: batch 1, channels last.

They are written from the architecture's graph, normalisations folded into the convolutions before them, by the writer
that also makes the int8 models of `accelzoo compile`: Google's converter, litert-torch, asks for an older PyTorch.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from importlib import metadata
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any

from accelzoo._export_job import Job
from accelzoo.errors import ExportError
from accelzoo.exporting.copies import Copy
from accelzoo.hwmodel.oracles.protocol import import_tool

if TYPE_CHECKING:
    from torch import Tensor

    from accelzoo.hwmodel.oracles.tflite_model import Model

NAME = "litert"


def require() -> None:
    """Makes sure that models can be written.

    Raises:
        MissingToolError: If the extra `litert` is not installed.
    """
    for tool in ("flatbuffers", "tflite"):
        import_tool(tool, NAME)


def write(job: Job) -> bytes:
    """Returns a model, weights included, with the job's names for inputs and outputs.

    Raises:
        ExportError: If an operator has no counterpart; names it. If the graph does not tell all that is computed.
    """
    from accelzoo.build import Trunk
    from accelzoo.hwmodel.oracles.tflite_graph import obstacles, to_tflite
    from accelzoo.hwmodel.oracles.tflite_values import NetworkValues
    from accelzoo.hwmodel.oracles.tflite_writer import serialize
    from accelzoo.quantization import fold

    if not isinstance(job.module, Trunk):
        raise ExportError(f"LiteRT files hold networks of accelzoo; a {type(job.module).__name__} is none")
    if faults := [f"{operator}: {why}" for operator, why in obstacles(job.module.arch.lower()).items()]:
        more = f"; and {len(faults) - 3} more" if len(faults) > 3 else ""
        raise ExportError(f"LiteRT cannot hold this network: {'; '.join(faults[:3])}{more}")
    network = fold(job.module)
    model = to_tflite(network.graph, "float32", values=NetworkValues(ops=network.values))
    _shape_and_name(model, job)
    return serialize(model)


def file_shape(shape: tuple[int, ...]) -> tuple[int, ...]:
    """A tensor's shape as the file has it: maps have their channels last."""
    return shape if len(shape) != 4 else (shape[0], *shape[2:], shape[1])


def _shape_and_name(model: Model, job: Job) -> None:
    """Gives outputs that are no maps, such as logits, the network's shape, and all the job's names."""
    import numpy as np

    from accelzoo.hwmodel.oracles.tflite_model import Operator, Tensor

    outputs = []
    for index, value in zip(model.outputs, job.outputs, strict=True):
        shape = file_shape(tuple(value.shape))
        if model.tensors[index].shape != shape:
            name = model.tensors[index].name
            to = model.add(Tensor(f"{name}.shape", (len(shape),), "int32", data=np.array(shape, np.int32)))
            made = model.add(Tensor(f"{name}.shaped", shape, "float32"))
            model.operators.append(Operator("RESHAPE", (index, to), made, ("ReshapeOptions", {})))
            index = made
        outputs.append(index)
    model.outputs = tuple(outputs)
    for index, name in zip((0, *outputs), (*job.input_names, *job.output_names), strict=True):
        model.tensors[index] = model.tensors[index]._replace(name=name)


@contextmanager
def loaded(data: bytes, job: Job, threads: int) -> Iterator[Copy | None]:
    """Loads a model in LiteRT's interpreter; None where that is not installed."""
    if not find_spec("ai_edge_litert"):
        yield None
        return
    import torch
    from ai_edge_litert.interpreter import Interpreter

    interpreter = Interpreter(model_content=data, num_threads=threads)
    interpreter.allocate_tensors()
    (entry,) = interpreter.get_input_details()
    (images,) = job.inputs
    interpreter.set_tensor(entry["index"], images.cpu().permute(0, 2, 3, 1).numpy())
    exits = {detail["name"]: detail["index"] for detail in interpreter.get_output_details()}

    def read(_: Any) -> list[Tensor]:
        found = [torch.from_numpy(interpreter.get_tensor(exits[name])) for name in job.output_names]
        return [value.permute(0, 3, 1, 2) if value.ndim == 4 else value for value in found]

    yield Copy(f"litert-{metadata.version('ai-edge-litert')}", interpreter.invoke, read)
