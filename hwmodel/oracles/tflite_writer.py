"""Writes TensorFlow Lite flatbuffers, for compilers and runtimes that read no other form of a quantised network."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from accelzoo.hwmodel.ir import Graph
from accelzoo.hwmodel.oracles.tflite_graph import to_tflite
from accelzoo.hwmodel.oracles.tflite_model import Model, Operator, Precision, Quantization, Tensor

SCHEMA_VERSION = 3
# Of int8 operators; the others have version 2.
_VERSIONS = {"HARD_SWISH": 1, "RESHAPE": 1, "CONV_2D": 3, "DEPTHWISE_CONV_2D": 3, "FULLY_CONNECTED": 5}
_DTYPES = {"int8": "INT8", "int32": "INT32", "float32": "FLOAT32"}


def write(graph: Graph, precision: Precision = "int8", seed: int = 0) -> bytes:
    """Returns the graph as a TensorFlow Lite flatbuffer with random weights.

    Raises:
        UnsupportedGraphError: If an operator has no counterpart.
    """
    return serialize(to_tflite(graph, precision, seed))


def serialize(model: Model) -> bytes:
    """Packs a model into a flatbuffer (schema version 3)."""
    import flatbuffers
    import tflite

    builder = flatbuffers.Builder(1 << 20)
    constants = [tensor for tensor in model.tensors if tensor.data is not None]
    buffers = [_buffer(builder, None)] + [_buffer(builder, tensor.data) for tensor in constants]
    number = {id(tensor): index + 1 for index, tensor in enumerate(constants)}
    tensors = [_tensor(builder, tensor, number.get(id(tensor), 0)) for tensor in model.tensors]
    codes = list(dict.fromkeys(operator.code for operator in model.operators))
    operators = [_operator(builder, operator, codes.index(operator.code)) for operator in model.operators]
    operator_codes = [_operator_code(builder, code, model.precision) for code in codes]
    lists = [_offsets(builder, tensors), _ints(builder, [0]), _ints(builder, model.outputs)]
    lists.append(_offsets(builder, operators))
    name = builder.CreateString("main")
    tflite.SubGraphStart(builder)
    for field, value in zip(("Tensors", "Inputs", "Outputs", "Operators"), lists, strict=True):
        getattr(tflite, f"SubGraphAdd{field}")(builder, value)
    tflite.SubGraphAddName(builder, name)
    subgraph = tflite.SubGraphEnd(builder)
    parts = {
        "OperatorCodes": _offsets(builder, operator_codes),
        "Subgraphs": _offsets(builder, [subgraph]),
        "Buffers": _offsets(builder, buffers),
    }
    tflite.ModelStart(builder)
    tflite.ModelAddVersion(builder, SCHEMA_VERSION)
    for field, value in parts.items():
        getattr(tflite, f"ModelAdd{field}")(builder, value)
    builder.Finish(tflite.ModelEnd(builder), file_identifier=b"TFL3")
    return bytes(builder.Output())


def _buffer(builder: Any, data: Any) -> int:
    import tflite

    content = None
    if data is not None:
        builder.StartVector(1, data.nbytes, 16)
        start = builder.head = builder.head - data.nbytes
        builder.Bytes[start : start + data.nbytes] = np.ascontiguousarray(data).tobytes()
        content = builder.EndVector()
    tflite.BufferStart(builder)
    if content is not None:
        tflite.BufferAddData(builder, content)
    return tflite.BufferEnd(builder)


def _tensor(builder: Any, tensor: Tensor, buffer: int) -> int:
    import tflite

    name = builder.CreateString(tensor.name)
    shape = _ints(builder, tensor.shape)
    quantization = None if tensor.quantization is None else _quantization(builder, tensor.quantization)
    tflite.TensorStart(builder)
    tflite.TensorAddShape(builder, shape)
    tflite.TensorAddType(builder, getattr(tflite.TensorType, _DTYPES[tensor.dtype]))
    tflite.TensorAddBuffer(builder, buffer)
    tflite.TensorAddName(builder, name)
    if quantization is not None:
        tflite.TensorAddQuantization(builder, quantization)
    return tflite.TensorEnd(builder)


def _quantization(builder: Any, quantization: Quantization) -> int:
    import tflite

    scale = builder.CreateNumpyVector(np.full(quantization.channels, quantization.scale, np.float32))
    zero_point = builder.CreateNumpyVector(np.full(quantization.channels, quantization.zero_point, np.int64))
    tflite.QuantizationParametersStart(builder)
    tflite.QuantizationParametersAddScale(builder, scale)
    tflite.QuantizationParametersAddZeroPoint(builder, zero_point)
    tflite.QuantizationParametersAddQuantizedDimension(builder, quantization.axis)
    return tflite.QuantizationParametersEnd(builder)


def _operator(builder: Any, operator: Operator, code: int) -> int:
    import tflite

    inputs, outputs = _ints(builder, operator.inputs), _ints(builder, [operator.output])
    options = None
    if operator.options is not None:
        table, values = operator.options
        getattr(tflite, f"{table}Start")(builder)
        for field, value in values.items():
            getattr(tflite, f"{table}Add{field}")(builder, value)
        options = getattr(tflite, f"{table}End")(builder)
    tflite.OperatorStart(builder)
    tflite.OperatorAddOpcodeIndex(builder, code)
    tflite.OperatorAddInputs(builder, inputs)
    tflite.OperatorAddOutputs(builder, outputs)
    if operator.options is not None:
        tflite.OperatorAddBuiltinOptionsType(builder, getattr(tflite.BuiltinOptions, operator.options[0]))
        tflite.OperatorAddBuiltinOptions(builder, options)
    return tflite.OperatorEnd(builder)


def _operator_code(builder: Any, code: str, precision: Precision) -> int:
    import tflite

    number = getattr(tflite.BuiltinOperator, code)
    tflite.OperatorCodeStart(builder)
    # Readers from before the codes outgrew a byte look at the deprecated field; 127 sends the others to the new one.
    tflite.OperatorCodeAddDeprecatedBuiltinCode(builder, min(number, 127))
    tflite.OperatorCodeAddVersion(builder, _VERSIONS.get(code, 2) if precision == "int8" else 1)
    tflite.OperatorCodeAddBuiltinCode(builder, number)
    return tflite.OperatorCodeEnd(builder)


def _ints(builder: Any, values: Sequence[int]) -> int:
    return builder.CreateNumpyVector(np.array(values, np.int32))


def _offsets(builder: Any, offsets: Sequence[int]) -> int:
    builder.StartVector(4, len(offsets), 4)
    for offset in reversed(offsets):
        builder.PrependUOffsetTRelative(offset)
    return builder.EndVector()
