"""Trained networks in int8, as the flatbuffer that accelerators' compilers and LiteRT read.

Weights are symmetric with a scale per output channel, activations affine with one per tensor; see
`accelzoo.hwmodel.oracles.tflite_values`. Ranges come from `accelzoo.quantization.calibration`.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.utils._pytree import TreeSpec, tree_flatten, tree_unflatten

from accelzoo.arch import Arch
from accelzoo.build import Trunk
from accelzoo.errors import DataError, ShapeError
from accelzoo.hwmodel.ir import INPUT
from accelzoo.hwmodel.oracles.protocol import import_tool
from accelzoo.hwmodel.oracles.tflite_graph import to_tflite
from accelzoo.hwmodel.oracles.tflite_model import Model
from accelzoo.hwmodel.oracles.tflite_values import NetworkValues
from accelzoo.hwmodel.oracles.tflite_writer import serialize
from accelzoo.quantization.calibration import Calibration, calibrate
from accelzoo.quantization.folding import evaluated_twin, fold

LOWEST, HIGHEST = -128, 127


class QuantizedNetwork(nn.Module):
    """A network in int8, called like the one that it was made of; LiteRT runs it, image by image, on the CPU.

    It has no parameters and no gradients. Images go in as float32 normalised as in training, and outputs come out as
    float32: both are quantised here as the model's own scales say.

    Attributes:
        arch: The architecture.
        tflite: The model as a TensorFlow Lite flatbuffer, with int8 inputs and outputs.
        calibration: The ranges of its activations.
        threads: How many LiteRT may use.
    """

    def __init__(
        self, arch: Arch, model: Model, calibration: Calibration, shapes: Sequence[tuple[int, ...]], structure: TreeSpec
    ) -> None:
        super().__init__()
        self.arch = arch
        self.model = model
        self.calibration = calibration
        self.tflite = serialize(model)
        self.threads = 1
        self._shapes = tuple(shapes)
        self._structure = structure
        self.eval()

    def forward(self, images: Tensor) -> Any:
        """Maps images `(batch, channels, height, width)` to outputs of the network's own structure and shapes.

        Raises:
            ShapeError: If the images are not of the architecture's input size.
            MissingToolError: If LiteRT is not installed.
        """
        if tuple(images.shape[1:]) != self.arch.input_size or not len(images):
            wanted = ", ".join(map(str, self.arch.input_size))
            raise ShapeError(f"images must be (batch, {wanted}), got {[*images.shape]}")
        pixels = images.detach().cpu().float().permute(0, 2, 3, 1).numpy()
        rows = [self._run(image) for image in pixels]
        outputs = [
            _arranged(torch.from_numpy(np.stack(values)), shape).to(images.device)
            for values, shape in zip(zip(*rows, strict=True), self._shapes, strict=True)
        ]
        return tree_unflatten(outputs, self._structure)

    def _run(self, image: np.ndarray[Any, Any]) -> list[np.ndarray[Any, Any]]:
        """One image `(height, width, channels)` → outputs `(height, width, channels)`, in float32."""
        interpreter, entry, exits = self._interpreter
        interpreter.set_tensor(entry["index"], _stored(image, *entry["quantization"])[None])
        interpreter.invoke()
        found = []
        for detail in exits:
            scale, zero_point = detail["quantization"]
            found.append((interpreter.get_tensor(detail["index"])[0].astype(np.float32) - zero_point) * scale)
        return found

    @cached_property
    def _interpreter(self) -> tuple[Any, Any, list[Any]]:
        tool = import_tool("ai_edge_litert.interpreter", "litert")
        interpreter = tool.Interpreter(model_content=self.tflite, num_threads=self.threads)
        interpreter.allocate_tensors()
        (entry,) = interpreter.get_input_details()
        by_name = {detail["name"]: detail for detail in interpreter.get_output_details()}
        return interpreter, entry, [by_name[self.model.tensors[index].name] for index in self.model.outputs]


def quantize(
    model: Trunk,
    images: Tensor | Sequence[Tensor] | None = None,
    *,
    calibration: Calibration | None = None,
    method: str = "mse",
) -> QuantizedNetwork:
    """Quantises a trained network after training; the network stays as it is.

    Args:
        model: A built network (`accelzoo.create_model`, `Arch.build`).
        images: Some training images, float32 and normalised as in training, `(images, channels, height, width)` or
            several such batches; 100 to 500 are enough.
        calibration: What an earlier run made of images, instead of these.
        method: How ranges are chosen; see `accelzoo.quantization.calibration`.

    Raises:
        DataError: If there are neither images nor a calibration, both, or the calibration is of another network.
        ShapeError: If the images are not of the network's size.
        ExportError: If the network has no integer form; see `fold`.
        MissingToolError: If the extra `litert` is not installed.
    """
    for tool in ("flatbuffers", "tflite"):
        import_tool(tool, "litert")
    if (images is None) == (calibration is None):
        raise DataError("quantisation needs calibration images, or else the ranges that they gave before")
    network = fold(model)
    if calibration is None:
        assert images is not None
        calibration = calibrate(network, images, method)
    wanted = [INPUT, *[op.name for op in network.graph.ops]]
    if missing := [name for name in wanted if name not in calibration.ranges]:
        raise DataError(f"the calibration is of another network: it has no range for {missing[0]}")
    values = NetworkValues(ops=network.values, ranges=calibration.ranges)
    with torch.no_grad():
        outputs, structure = tree_flatten(evaluated_twin(model)(torch.zeros(1, *network.graph.input_shape)))
    shapes = [tuple(value.shape[1:]) for value in outputs]
    return QuantizedNetwork(model.arch, to_tflite(network.graph, "int8", values=values), calibration, shapes, structure)


def to_float_tflite(model: Trunk) -> bytes:
    """Writes a trained network as a TensorFlow Lite flatbuffer in float32: what int8 accuracy is compared with.

    Raises:
        ExportError: If its graph does not tell all that it computes; see `fold`.
        MissingToolError: If the extra `litert` is not installed.
    """
    for tool in ("flatbuffers", "tflite"):
        import_tool(tool, "litert")
    network = fold(model)
    return serialize(to_tflite(network.graph, "float32", values=NetworkValues(ops=network.values)))


def _arranged(maps: Tensor, shape: tuple[int, ...]) -> Tensor:
    """Brings maps with channels last into an output's shape: `(time, classes)` of a sequence head stays in order."""
    maps = maps if len(shape) == 2 else maps.permute(0, 3, 1, 2)
    return maps.reshape(len(maps), *shape)


def _stored(values: np.ndarray[Any, Any], scale: float, zero_point: int) -> np.ndarray[Any, Any]:
    return np.clip(np.rint(values / scale) + zero_point, LOWEST, HIGHEST).astype(np.int8)
