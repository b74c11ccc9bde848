"""Features: counted right, named right, and the same bits wherever a subgraph stands."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Sequence

import numpy as np

from accelzoo import draw
from accelzoo.hwmodel import Graph, GraphBuilder, load_target
from accelzoo.hwmodel.features import (
    CLASSES,
    CONTEXT,
    CONTEXT_RADIUS,
    FIELDS,
    OWN,
    Matrix,
    class_of,
    derive,
    describe,
    feature_names,
    knows,
)
from accelzoo.hwmodel.ir import Op
from accelzoo.hwmodel.sampling import draw_sample
from accelzoo.hwmodel.subgraph import Fusions, split
from accelzoo.hwmodel.tiling import Tiling

TARGET = load_target("camera-npu")
TILING = Tiling.of(TARGET)
FUSED: Fusions = frozenset({("conv2d", "activation:relu"), ("conv2d", "add"), ("depthwise_conv2d", "activation:relu6")})


def network() -> Graph:
    """Two convolutions with an activation, a strided depthwise convolution, a gate and a classifier."""
    builder = GraphBuilder((4, 12, 10))
    x = builder.activation("stem.act", builder.conv2d("stem", builder.input, 24, 3), "relu")
    y = builder.activation("mid.act", builder.conv2d("mid", x, 24, groups=2), "relu")
    y = builder.conv2d("depthwise", y, 24, 5, 2, groups=24)
    gate = builder.activation("gate", builder.global_pool("squeeze", y), "sigmoid")
    y = builder.mul("scale", y, gate)
    builder.linear("fc", builder.global_pool("pool", y), 10)
    return builder.graph()


def described(graph: Graph, fusions: Fusions = FUSED) -> dict[str, dict[str, float]]:
    pieces = split(graph, fusions)
    rows = describe(graph, pieces)
    assert rows.shape == (len(pieces), len(FIELDS))
    named = zip(pieces, rows.tolist(), strict=True)
    return {graph.ops[piece.anchor].name: dict(zip(FIELDS, row, strict=True)) for piece, row in named}


def random_rows(count: int = 3) -> Matrix:
    graphs = [draw_sample(kind, 8, index).graph for kind in ("network", "block", "op") for index in range(count)]
    return np.concatenate([describe(graph, split(graph, FUSED)) for graph in graphs])


def test_names_are_unique_and_one_for_each_column() -> None:
    names = feature_names()
    assert len(set(names)) == len(names)
    assert (*OWN, *CONTEXT) == FIELDS == names[: len(FIELDS)]
    values = derive(random_rows(1), TARGET, TILING).values
    assert values.shape[1] == len(names)


def test_fields_of_an_operator_are_its_own_numbers() -> None:
    row = described(network())["depthwise"]
    expected = {
        "in_channels": 24,
        "in_height": 12,
        "in_width": 10,
        "out_channels": 24,
        "out_height": 6,
        "out_width": 5,
        "kernel_height": 5,
        "kernel_width": 5,
        "stride": 2,
        "groups": 24,
        "fused_add": 0,
        "broadcast": 0,
        "weight_bytes": 24 * 25 + 4 * 24,
        "input_bytes": 24 * 120,
        "output_bytes": 24 * 30,
        "macs": 24 * 25 * 30,
    }
    assert {name: row[name] for name in expected} == expected


def test_what_is_fused_and_what_is_broadcast_shows() -> None:
    rows = described(network())
    assert rows["stem"]["fused_function"] != rows["depthwise"]["fused_function"] == 0
    assert rows["stem"]["fused_function"] == rows["mid"]["fused_function"]
    assert rows["gate"]["function"] not in (0, rows["stem"]["fused_function"])
    assert {name for name, row in rows.items() if row["broadcast"]} == {"scale"}
    builder = GraphBuilder((8, 4, 4))
    builder.add("add", builder.conv2d("conv", builder.input, 8), builder.input)
    assert described(builder.graph())["conv"]["fused_add"] == 1


def test_context_is_the_neighbours_in_the_schedule() -> None:
    rows = described(network())
    names = list(rows)
    sources = {"weight_bytes": "weight_bytes", "input_bytes": "input_bytes", "output_bytes": "output_bytes"}
    sources |= {"macs": "macs", "kernel": "kernel_height"}
    for place, name in enumerate(names):
        for side, other in (("before", place - 1), ("after", place + 1)):
            inside = 0 <= other < len(names)
            for short, source in sources.items():
                expected = rows[names[other]][source] if inside else 0
                assert rows[name][f"{side}_{short}"] == expected, (name, side, short)
    assert CONTEXT_RADIUS == 1


def test_producer_and_consumer_are_kinds() -> None:
    rows = described(network())
    code = {name: row["kind"] for name, row in rows.items()}
    assert code["squeeze"] == code["pool"]
    assert rows["squeeze"]["producer"] == rows["scale"]["producer"] == code["depthwise"]
    assert rows["squeeze"]["consumer"] == code["gate"]
    assert rows["depthwise"]["consumer"] == code["squeeze"]  # the first of two readers
    assert rows["stem"]["consumer"] == code["mid"]  # past the activation that it swallowed
    beyond = {rows["stem"]["producer"], rows["fc"]["consumer"]}
    assert len(beyond) == 2
    assert not beyond & set(code.values())


def test_the_most_that_is_alive_as_long_as_a_tensor_is() -> None:
    builder = GraphBuilder((16, 4, 4))
    x = builder.conv2d("a", builder.input, 32)
    y = builder.conv2d("c", builder.conv2d("b", x, 64), 32)
    builder.conv2d("e", builder.add("d", y, x), 16)
    rows = described(builder.graph(), frozenset())
    # Alive (bytes of 16 positions): a 256 + 512, b 512 + 1024, c 512 + 1024 + 512, d 512 + 512 + 512, e 512 + 256.
    peaks = {
        name: (row["input_peak_bytes"], row["second_peak_bytes"], row["output_peak_bytes"])
        for name, row in rows.items()
    }
    assert peaks == {
        "a": (768, 0, 2048),  # its output waits for d, past c's 2048
        "b": (2048, 0, 2048),
        "c": (2048, 0, 2048),
        "d": (2048, 2048, 1536),
        "e": (1536, 0, 768),
    }


def test_names_of_operators_do_not_matter() -> None:
    graph = network()
    renamed = Graph([rename(op) for op in graph.ops], graph.input_shape, graph.activation_bits)
    assert (describe(renamed, split(renamed, FUSED)) == describe(graph, split(graph, FUSED))).all()


def rename(op: Op) -> Op:
    return op._replace(
        name=f"x.{op.name}", inputs=tuple([f"x.{name}" if name != "input" else name for name in op.inputs])
    )


def test_describing_again_gives_the_same_rows() -> None:
    first, other = random_rows(), random_rows()
    assert (first == other).all()
    graph = network()
    alone = describe(graph, split(graph, FUSED))
    random_rows()
    assert (describe(graph, split(graph, FUSED)) == alone).all()


def test_features_are_the_same_bits_wherever_a_row_stands() -> None:
    rows = random_rows()
    whole = derive(rows, TARGET, TILING)
    order = draw.permutation(draw.generator(0), len(rows))
    parts: Sequence[list[int]] = (order, order[:1], order[:7], order * 2, [3] * 40)
    for part in parts:
        found = derive(rows[part], TARGET, TILING)
        for name in found._fields:
            assert (getattr(found, name) == getattr(whole, name)[part]).all(), name


def test_everything_is_finite_and_priors_are_positive() -> None:
    for changes in ({}, {"accumulators": 1 << 11}, {"restreamed": True, "channel_bytes": 30.0}):
        features = derive(random_rows(), TARGET, dataclasses.replace(TILING, **changes))
        assert np.isfinite(features.values).all()
        times = [features.compute_s, features.sram_s, features.dram_s]
        assert all((seconds > 0).all() for seconds in times)
        assert (features.whole_s == np.max(times, axis=0)).all()


def test_no_prior_is_faster_than_a_busy_array() -> None:
    rows = random_rows()
    floor = rows[:, FIELDS.index("macs")] / TARGET.peak_macs_per_s
    assert (derive(rows, TARGET, TILING).compute_s >= floor * (1 - 1e-12)).all()


def test_waste_is_the_rounded_size_over_the_size() -> None:
    graph = network()
    row = derive(describe(graph, split(graph, FUSED)), TARGET, TILING).values[0]  # 4 → 24 channels of 12 × 10
    by_name = dict(zip(feature_names(), row.tolist(), strict=True))
    expected = {f"out_waste_{unit}": math.ceil(24 / unit) * unit / 24 for unit in (8, 16, 32, 48, 64, 128)}
    expected |= {f"in_waste_{unit}": unit / 4 for unit in (8, 16, 32, 64)}
    expected |= {"height_waste_8": 16 / 12, "width_waste_4": 12 / 10, "map_size": 120, "macs_per_output": 36}
    assert {name: by_name[name] for name in expected} == expected


def test_classes_are_kinds_of_work() -> None:
    builder = GraphBuilder((8, 8, 8))
    x = builder.conv2d("conv", builder.input, 8)
    x = builder.conv2d("depthwise", x, 8, groups=8)
    x = builder.add("add", x, builder.mul("mul", x, x))
    x = builder.pool("window", builder.activation("act", x, "silu"), 2, 2)
    x = builder.softmax("softmax", builder.matmul("matmul", x, x))
    x = builder.concat("concat", (x, builder.resize("resize", x, (4, 4))))
    builder.linear("linear", builder.global_pool("global", x), 4)
    graph = builder.graph()
    names = [CLASSES[number] for number in class_of(describe(graph, split(graph, frozenset())))]
    expected = {
        "conv": "matrix",
        "linear": "matrix",
        "matmul": "matrix",
        "depthwise": "depthwise",
        "add": "elementwise",
    }
    expected |= {"mul": "elementwise", "act": "activation", "window": "window_pool", "global": "global_pool"}
    assert {op.name: name for op, name in zip(graph.ops, names, strict=True)} == expected | dict.fromkeys(
        ("softmax", "concat", "resize"), "other"
    )
    assert all(knows(op) for op in graph.ops)


def test_opaque_operators_have_no_features_and_break_nothing() -> None:
    builder = GraphBuilder((8, 4, 4))
    x = builder.conv2d("conv", builder.input, 8)
    x = builder.opaque("norm", (x,), "aten.native_layer_norm", (8, 4, 4))
    builder.conv2d("last", x, 8)
    graph = builder.graph()
    assert [knows(op) for op in graph.ops] == [True, False, True]
    rows = describe(graph, split(graph, FUSED))
    assert np.isfinite(rows).all()
    assert rows[0, FIELDS.index("consumer")] == rows[2, FIELDS.index("producer")] == rows[1, 0] < 0
