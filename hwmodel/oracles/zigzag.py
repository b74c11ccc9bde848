"""ZigZag: cycles and energy of accelerators of other styles, by searching the best loop order of each layer.

Source: Mei et al., "ZigZag: Enlarging Joint Architecture-Mapping Design Space Exploration for DNN Accelerators", IEEE
Transactions on Computers 70(8), 2021. One accelerator is one `zigzag_*.yaml` file beside this one.

Every layer reads its input from, and writes its output to, off-chip memory, as ZigZag counts layers one by one. What it
has no loops for is priced in closed form, and its rows say `engine: vector`:

    cycles = max(bytes read and written off chip / bytes per cycle, elements / elementwise_per_cycle)
    energy = words read · energy of a read + words written · energy of a write

with the elements of the output or, of a pool, of its windows. An activation that alone reads what a layer or an
addition makes is applied on the way out and shares its row. Biases are not counted.

A grouped convolution costs what one group costs, times the groups: they run one after the other. On three layers that
is within 0.2 % of searching with the groups as a loop, which takes up to eight times as long.
"""

from __future__ import annotations

import io
import json
import logging
import math
import tempfile
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, redirect_stdout
from importlib import metadata
from pathlib import Path
from typing import Any, NamedTuple

from accelzoo.hwmodel.analytic import label
from accelzoo.hwmodel.ir import ACTIVATIONS, MATRIX_KINDS, Graph, Op
from accelzoo.hwmodel.measurement import Measurement, OpMeasurement, Provenance
from accelzoo.hwmodel.oracles.protocol import OracleError, UnsupportedByToolError, import_tool
from accelzoo.hwmodel.subgraph import split

FOLDER = Path(__file__).parent
TARGETS = tuple(sorted(path.stem.replace("_", "-") for path in FOLDER.glob("zigzag_*.yaml")))
LAYER_KINDS = (*MATRIX_KINDS, "matmul")
VECTOR_KINDS = ("activation", "add", "mul", "pool", "resize", "concat")
FUSIONS = frozenset((kind, f"activation:{name}") for kind in (*LAYER_KINDS, "add") for name in ACTIVATIONS)
EQUATION = "O[b][g][k][oy][ox]+=W[g][k][c][fy][fx]*I[b][g][c][iy][ix]"
PICOJOULE = 1e-12


def create(target: str, *, lpf_limit: int = 3, spatial_mappings: int = 3) -> ZigZag:
    """Makes the oracle.

    Args:
        target: One of `TARGETS`.
        lpf_limit: How finely loops are cut for the search of an order; 3 keeps a layer at 0.1 to 3 s.
        spatial_mappings: How many ways to spread a layer over the array are tried.

    Raises:
        MissingToolError: If ZigZag or `six`, which it needs without saying so, is not installed.
    """
    with _quiet():
        import_tool("zigzag.api", "zigzag")
    return ZigZag(target, lpf_limit, spatial_mappings)


class Layer(NamedTuple):
    """The loops of one layer: equal layers cost the same, whatever network they are in."""

    groups: int
    outputs: int
    terms: int
    out_size: tuple[int, int]
    in_size: tuple[int, int]
    kernel_size: tuple[int, int] = (1, 1)
    stride: tuple[int, int] = (1, 1)
    dilation: tuple[int, int] = (1, 1)
    weight_bits: int = 8
    activation_bits: int = 8


class Price(NamedTuple):
    """What a layer costs."""

    cycles: float
    energy_j: float
    dram_bytes: int


class ZigZag:
    """Prices graphs on one accelerator and remembers the layers it has seen."""

    def __init__(self, target: str, lpf_limit: int = 3, spatial_mappings: int = 3) -> None:
        from accelzoo import config

        path = FOLDER / f"{target.replace('-', '_')}.yaml"
        self._target = target
        self._file: Mapping[str, Any] = config.read(dict[str, Any], path)
        self._search = {"loma_lpf_limit": lpf_limit, "nb_mappings_generated": spatial_mappings}
        self._prices: dict[Layer, Price] = {}
        with _quiet(), tempfile.TemporaryDirectory() as folder:
            self._accelerator, self._mapping = _parsed(self._file, Path(folder))
        memory = self._file["accelerator"]["memories"]["dram"]
        self._word_bytes = memory["ports"][0]["bandwidth_max"] // 8
        self._read_j, self._write_j = memory["r_cost"] * PICOJOULE, memory["w_cost"] * PICOJOULE

    @property
    def provenance(self) -> Provenance:
        """The accelerator's file, ZigZag's version and its search settings."""
        settings = {name: value for name, value in self._file.items() if name not in ("description", "source")}
        settings |= self._search | {"optimise": "latency", "temporal_mapping": "uneven"}
        tool = f"zigzag-{metadata.version('zigzag-dse')}"
        return Provenance(oracle="zigzag", target=self._target, tool=tool, settings=settings)

    def measure(self, graph: Graph) -> Measurement:
        """Prices one inference, layer by layer.

        Raises:
            UnsupportedByToolError: If there are operators that are neither layers nor priced in closed form.
            OracleError: If ZigZag finds no mapping for a layer.
        """
        unknown = [op for op in graph.ops if op.kind not in (*LAYER_KINDS, *VECTOR_KINDS)]
        if unknown:
            raise UnsupportedByToolError(self._target, [f"{op.name} ({label(op)})" for op in unknown])
        clock_hz = self._file["clock_hz"]
        rows, dram_bytes = [], 0
        latency_s = energy_j = 0.0
        for group in split(graph, FUSIONS):
            op = graph.ops[group.anchor]
            on_array = op.kind in LAYER_KINDS
            price = self._layer(layer_of(op)) if on_array else self._vector(op)
            engine, extra = "array" if on_array else "vector", (("cycles", price.cycles),)
            rows.append(OpMeasurement(group.ops, price.cycles / clock_hz, price.energy_j, engine, extra))
            latency_s += rows[-1].latency_s
            energy_j += price.energy_j
            dram_bytes += price.dram_bytes
        return Measurement(graph=graph, latency_s=latency_s, rows=tuple(rows), energy_j=energy_j, dram_bytes=dram_bytes)

    def _layer(self, layer: Layer) -> Price:
        one = layer._replace(groups=1) if layer.outputs * layer.terms > 1 else layer
        if one not in self._prices:
            with _quiet():
                self._prices[one] = self._evaluate(one)
        price, times = self._prices[one], layer.groups // one.groups
        return Price(times * price.cycles, times * price.energy_j, times * price.dram_bytes)

    def _vector(self, op: Op) -> Price:
        words_in, words_out = -(-op.input_bytes // self._word_bytes), -(-op.output_bytes // self._word_bytes)
        elements = math.prod(op.out_shape) * math.prod(op.kernel_size)
        cycles = max(words_in + words_out, -(-elements // self._file["elementwise_per_cycle"]))
        energy_j = words_in * self._read_j + words_out * self._write_j
        return Price(float(cycles), energy_j, op.input_bytes + op.output_bytes)

    def _evaluate(self, layer: Layer) -> Price:
        from zigzag.mapping.temporal_mapping import TemporalMappingType
        from zigzag.parser.workload_factory import WorkloadFactory
        from zigzag.parser.workload_validator import WorkloadValidator
        from zigzag.stages.main import MainStage

        validator = WorkloadValidator([loops(layer, self._file["partial_sum_bits"])])
        if not validator.validate():
            raise AssertionError(f"loops that ZigZag does not take: {layer}")
        try:
            search: Any = MainStage(
                _stages(),
                workload=WorkloadFactory(validator.normalized_data, self._mapping).create(),
                accelerator=self._accelerator,
                loma_show_progress_bar=False,
                enable_mix_spatial_mapping_generation=False,
                access_same_data_considered_as_no_access=True,
                temporal_mapping_type=TemporalMappingType.UNEVEN,
                **self._search,
            )
            best = search.run()[0][0]
        except (AssertionError, ValueError, KeyError, IndexError, ZeroDivisionError) as error:
            raise OracleError(f"{self._target}: zigzag fails on {layer}: {error!r}") from error
        off_chip = [levels[-1] for levels in best.memory_word_access.values()]
        words = sum(count for accesses in off_chip for count in accesses.data.values())
        return Price(float(best.latency_total2), best.energy_total * PICOJOULE, round(words * self._word_bytes))


def layer_of(op: Op) -> Layer:
    """Returns the loops of a convolution, linear layer or matrix product."""
    bits = op.activation_bits
    if op.kind == "matmul":  # the second operand takes the place of the weights
        batch, positions, terms = op.in_shapes[0]
        size = (1, positions)
        return Layer(batch, op.out_shape[2], terms, size, size, weight_bits=bits, activation_bits=bits)
    groups, outputs, terms = op.groups, op.out_shape[0] // op.groups, op.in_shape[0] // op.groups
    sizes = op.out_shape[1:], op.in_shape[1:], op.kernel_size, op.stride, op.dilation
    return Layer(groups, outputs, terms, *sizes, op.weight_bits, bits)


def loops(layer: Layer, partial_sum_bits: int) -> dict[str, Any]:
    """Returns a layer as ZigZag's workload format describes it."""
    reach = [
        (size - 1) * stride + (taps - 1) * dilation + 1
        for size, stride, taps, dilation in zip(
            layer.out_size, layer.stride, layer.kernel_size, layer.dilation, strict=True
        )
    ]
    sizes = [min(size, need) for size, need in zip(layer.in_size, reach, strict=True)]
    padding = [[(need - size) // 2, need - size - (need - size) // 2] for size, need in zip(sizes, reach, strict=True)]
    dims = {"B": 1, "K": layer.outputs, "G": layer.groups, "OX": layer.out_size[1], "OY": layer.out_size[0]}
    dims |= {"C": layer.terms, "FX": layer.kernel_size[1], "FY": layer.kernel_size[0]}
    return {
        "id": 0,
        "name": "layer",
        "operator_type": "Conv",
        "equation": EQUATION,
        "operand_source": {"W": 0},
        "loop_dims": list(dims),
        "loop_sizes": list(dims.values()),
        "dimension_relations": [
            f"ix={layer.stride[1]}*ox+{layer.dilation[1]}*fx",
            f"iy={layer.stride[0]}*oy+{layer.dilation[0]}*fy",
        ],
        "operand_precision": {
            "W": layer.weight_bits,
            "I": layer.activation_bits,
            "O": max(partial_sum_bits, layer.activation_bits),
            "O_final": layer.activation_bits,
        },
        "pr_loop_dims": ["IX", "IY"],
        "pr_loop_sizes": [sizes[1], sizes[0]],
        "padding": [padding[1], padding[0]],
    }


def _parsed(file: Mapping[str, Any], folder: Path) -> tuple[Any, Any]:
    """Returns the accelerator and the mapping as ZigZag's objects; its parsers read files alone, and JSON is YAML."""
    from zigzag.stages.parser.accelerator_parser import AcceleratorParserStage
    from zigzag.stages.parser.workload_parser import WorkloadParserStage

    paths = []
    for part in ("accelerator", "mapping"):
        path = folder / f"{part}.yaml"
        path.write_text(json.dumps(file[part]), encoding="utf-8")
        paths.append(str(path))
    return (
        AcceleratorParserStage.parse_accelerator(paths[0]),
        WorkloadParserStage.parse_mapping_data(paths[1]),
    )


def _stages() -> list[Any]:
    """Returns what ZigZag does to a layer: all it does in its own command, but for saving files."""
    from zigzag.stages.evaluation.cost_model_evaluation import CostModelStage
    from zigzag.stages.mapping.spatial_mapping_generation import SpatialMappingGeneratorStage
    from zigzag.stages.mapping.temporal_mapping_generator_stage import TemporalMappingGeneratorStage
    from zigzag.stages.results.reduce_stages import MinimalLatencyStage
    from zigzag.stages.workload_iterator import WorkloadStage

    search = [MinimalLatencyStage, SpatialMappingGeneratorStage, MinimalLatencyStage, TemporalMappingGeneratorStage]
    return [WorkloadStage, *search, CostModelStage]


@contextmanager
def _quiet() -> Iterator[None]:
    """Keeps ZigZag's messages, prints and warnings away from the user's terminal."""
    logger = logging.getLogger("zigzag")
    level = logger.level
    logger.setLevel(logging.CRITICAL + 1)
    try:
        with warnings.catch_warnings(), redirect_stdout(io.StringIO()):
            warnings.simplefilter("ignore")
            yield
    finally:
        logger.setLevel(level)
