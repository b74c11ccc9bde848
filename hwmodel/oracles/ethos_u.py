"""Arm Ethos-U: the performance report of Vela, the official compiler, for an int8 network.

The numbers are the compiler's estimates of cycles, not measurements of silicon; they are labelled `vela-5.2.0/…`. The
network is written as a TensorFlow Lite flatbuffer with random weights and compiled in this process by the compiler's
C++ core, whose Python entry is undocumented: hence the exact version. Memory mode and memory speeds, from Vela's
own `vela.ini`, are part of what is measured and stand in the provenance.

An operator's cycles are the largest of its compute cycles and its cycles at each memory, all three of which the rows
carry as `compute_s`, `sram_s` and `dram_s`.
"""

from __future__ import annotations

import re
from collections import defaultdict
from importlib import metadata
from pathlib import Path
from typing import Any, NamedTuple

from accelzoo.hwmodel.ir import Graph
from accelzoo.hwmodel.measurement import Measurement, OpMeasurement, Provenance
from accelzoo.hwmodel.oracles.protocol import MissingToolError, OracleError, UnsupportedByToolError, import_tool
from accelzoo.hwmodel.oracles.tflite_graph import to_tflite
from accelzoo.hwmodel.oracles.tflite_model import Model
from accelzoo.hwmodel.oracles.tflite_writer import serialize

VELA_VERSION = "5.2.0"
UNBOUNDED_BYTES = 1 << 32  # Vela's own default: as much on-chip memory as an address reaches


class System(NamedTuple):
    """An accelerator with its memories, as Vela's configuration file names them."""

    architecture: str
    macs: int
    cores: int
    system_config: str
    memory_mode: str
    arena_cache_bytes: int
    clock_hz: float


_FLASH = ("Ethos_U55_High_End_Embedded", "Shared_Sram", UNBOUNDED_BYTES, 500e6)
_U65, _U85_LOW, _U85_MID = "Ethos_U65_High_End", "Ethos_U85_SYS_DRAM_Low", "Ethos_U85_SYS_DRAM_Mid"
SYSTEMS = {
    "ethos-u55-128": System("EthosU55", 128, 1, *_FLASH),
    "ethos-u55-256": System("EthosU55", 256, 1, *_FLASH),
    "ethos-u65-512": System("EthosU65", 256, 2, _U65, "Shared_Sram", UNBOUNDED_BYTES, 1e9),
    "ethos-u65-512-dedicated": System("EthosU65", 256, 2, _U65, "Dedicated_Sram_384KB", 384 << 10, 1e9),
    "ethos-u85-256": System("EthosU85", 256, 1, _U85_LOW, "Shared_Sram", UNBOUNDED_BYTES, 500e6),
    "ethos-u85-256-dedicated": System("EthosU85", 256, 1, _U85_LOW, "Dedicated_Sram_384KB", 384 << 10, 500e6),
    "ethos-u85-1024": System("EthosU85", 1024, 1, _U85_MID, "Shared_Sram", UNBOUNDED_BYTES, 1e9),
    "ethos-u85-1024-dedicated": System("EthosU85", 1024, 1, _U85_MID, "Dedicated_Sram_384KB", 384 << 10, 1e9),
}
TARGETS = tuple(SYSTEMS)
ON_CHIP = "Sram"
SCRATCHPADS = ("shram", "lutram")  # inside the accelerator: their cycles are part of computing
NEVER_FREE = ("conv2d", "depthwise_conv2d", "linear", "add", "mul", "pool")  # without a row, they are part of another
CPU_OPERATOR = "Passthrough"


class Memory(NamedTuple):
    """What a compiled network needs of a memory: bytes used at once, and moved in one inference."""

    peak_bytes: int
    read_bytes: int
    written_bytes: int


class Compilation(NamedTuple):
    """A compiled network: the flatbuffer that its driver runs, the compiler's estimate, and memories by Vela's name."""

    tflite: bytes
    measurement: Measurement
    memories: dict[str, Memory]


def create(target: str, *, seed: int = 0) -> EthosU:
    """Makes the oracle.

    Args:
        target: One of `TARGETS`.
        seed: For the values of the weights, on whose compressed size the cycles depend.

    Raises:
        MissingToolError: If Vela, its TensorFlow Lite schema or flatbuffers are missing, or Vela is another version.
    """
    for module in ("flatbuffers", "tflite", "ethosu.regor"):
        import_tool(module, "npu")
    version = metadata.version("ethos-u-vela")
    if version != VELA_VERSION:
        raise MissingToolError(
            f"ethos-u-vela {version} is installed, {VELA_VERSION} is needed: its numbers change from version to "
            "version; install it with pip install 'accelzoo[npu]'"
        )
    return EthosU(target, seed)


class EthosU:
    """Compiles graphs for one Ethos-U system and reads the compiler's report."""

    def __init__(self, target: str, seed: int = 0) -> None:
        from ethosu import regor

        self._system = system = SYSTEMS[target]
        self._seed = seed
        self._target = target
        memories = (Path(regor.__file__).parent / "config_files" / "Arm" / "vela.ini").read_text(encoding="utf-8")
        self._system_config = (
            f"[architecture]\nmacs={system.macs}\ncores={system.cores}\n"
            f"[vela]\nsystem_config_name={system.system_config}\nmemory_mode_name={system.memory_mode}\n{memories}"
        )
        self._options = (
            "[compiler]\nenable_db=true\noutput_format=TFLite\ncop_format=COP1\n"
            f"[scheduler]\noptimize=Performance\narena_size_limit={system.arena_cache_bytes}\ndisable_feature=\n"
            "cpu_tensor_alignment=16\ntensor_allocator=HillClimb\n[graph]\n"
        )

    @property
    def provenance(self) -> Provenance:
        """The system, the compiler's version and options."""
        settings = {
            **self._system._asdict(),
            "optimise": "Performance",
            "precision": "int8",
            "weights": "normal, sigma 32",
            "weight_seed": self._seed,
        }
        return Provenance(
            oracle="ethos-u", target=self._target, tool=f"vela-{metadata.version('ethos-u-vela')}", settings=settings
        )

    def measure(self, graph: Graph) -> Measurement:
        """Compiles `graph` with random weights and returns the compiler's estimate.

        Raises:
            UnsupportedByToolError: If an operator would run on the host's CPU, which the report counts as 0 cycles.
            OracleError: If the compiler fails.
        """
        return self.compile(graph, to_tflite(graph, "int8", self._seed)).measurement

    def compile(self, graph: Graph, model: Model) -> Compilation:
        """Compiles a translation of `graph`, such as one with trained weights.

        Raises:
            UnsupportedByToolError: If an operator would run on the host's CPU, which the report counts as 0 cycles.
            OracleError: If the compiler fails.
        """
        from ethosu import regor

        system = self._system
        try:
            compiled = regor.compile(
                system.architecture, serialize(model), "TFLITE", self._system_config, self._options, False
            )
        except RuntimeError as error:
            raise OracleError(f"vela cannot compile {graph!r}: {error}") from None
        report = compiled.perf_report
        rows = _perf_rows(compiled.opt_database)
        self._check_placement(graph, model, rows, report)
        memories = {
            name: Memory(
                int(memory.peakUsage),
                int(sum(access.bytesRead for access in memory.accesses.values())),
                int(sum(access.bytesWritten for access in memory.accesses.values())),
            )
            for name, memory in report.memories.items()
            if name not in SCRATCHPADS
        }
        measurement = Measurement(
            graph=graph,
            latency_s=report.totalCycles / system.clock_hz,
            rows=_with_absorbed(graph, self._by_subgraph(model, rows)),
            peak_activation_bytes=memories[ON_CHIP].peak_bytes,
            weight_bytes=int(report.encodedWeights),
            dram_bytes=sum(each.read_bytes + each.written_bytes for name, each in memories.items() if name != ON_CHIP),
        )
        return Compilation(bytes(compiled.model), measurement, memories)

    def _check_placement(self, graph: Graph, model: Model, rows: list[_Row], report: Any) -> None:
        fallen_back = {index for row in rows if row.operator == CPU_OPERATOR for index in _covered(model, row)}
        if fallen_back or report.cpuOps:
            names = [f"{graph.ops[index].name} ({graph.ops[index].kind})" for index in sorted(fallen_back)]
            reason = "Vela leaves them to the host's CPU and counts 0 cycles"
            raise UnsupportedByToolError(self._target, names or ["some operators"], reason)

    def _by_subgraph(self, model: Model, rows: list[_Row]) -> tuple[OpMeasurement, ...]:
        """Adds up the rows that stand for the same operators, a fused operator with the one that it joins."""
        clock_hz = self._system.clock_hz
        members: dict[int, set[int]] = defaultdict(set)
        sums: dict[int, list[float]] = defaultdict(lambda: [0.0] * 4)
        owner: dict[int, int] = {}
        for row in rows:
            covered = set(_covered(model, row))
            leader = next((owner[index] for index in sorted(covered) if index in owner), row.group)
            leader = owner.get(-1 - row.group, leader)
            owner[-1 - row.group] = leader
            owner.update(dict.fromkeys(covered, leader))
            members[leader] |= covered
            sums[leader] = [total + value for total, value in zip(sums[leader], row.cycles, strict=True)]
        found = []
        for leader, ops in members.items():
            total, *parts = [cycles / clock_hz for cycles in sums[leader]]
            if ops and total > 0:
                extra = tuple(zip(("compute_s", "sram_s", "dram_s"), parts, strict=True))
                found.append(OpMeasurement(tuple(sorted(ops)), total, engine="npu", extra=extra))
        return tuple(sorted(found))


def _with_absorbed(graph: Graph, rows: tuple[OpMeasurement, ...]) -> tuple[OpMeasurement, ...]:
    """Adds to each row the operators that vanished into it: a convolution goes by the name of what it is fused with."""
    owner = {index: number for number, row in enumerate(rows) for index in row.ops}
    readers: dict[str, list[int]] = defaultdict(list)
    for index, op in enumerate(graph.ops):
        for name in op.inputs:
            readers[name].append(index)
    grown = [list(row.ops) for row in rows]
    for index, op in reversed(list(enumerate(graph.ops))):
        if index in owner or op.kind not in NEVER_FREE or len(readers[op.name]) != 1:
            continue
        reader = readers[op.name][0]
        if reader in owner:
            owner[index] = owner[reader]
            grown[owner[reader]].append(index)
    return tuple(sorted(row._replace(ops=tuple(sorted(ops))) for row, ops in zip(rows, grown, strict=True)))


class _Row(NamedTuple):
    """One operator of the compiler: where it comes from, the group it is fused into, and its cycles."""

    operator: str
    tensor: str  # that it makes, or writes a part of
    source: int | None  # index of the operator of the model
    group: int
    cycles: tuple[int, int, int, int]  # in all, computing, on-chip memory, off-chip memories


def _perf_rows(database: Any) -> list[_Row]:
    tables = database.tables
    groups = {int(row[0]): int(row[1]) for row in tables["group"].data}
    source_header = tables["source"].header
    number_at, key_at = source_header.index("id"), source_header.index("ext_key")
    sources = {row[number_at]: int(row[key_at]) for row in tables["source"].data}
    header = tables["perf"].header
    memories = [
        (index, name.removesuffix("_ac"))
        for index, name in enumerate(header)
        if name.endswith("_ac") and name.removesuffix("_ac") not in SCRATCHPADS
    ]
    at = {name: header.index(name) for name in ("id", "source_id", "operator", "name", "op_cycles", "npu_cycles")}
    found = []
    for row in tables["perf"].data:
        on_chip = sum(int(row[index]) for index, name in memories if name == ON_CHIP)
        off_chip = max((int(row[index]) for index, name in memories if name != ON_CHIP), default=0)
        cycles = (int(row[at["op_cycles"]]), int(row[at["npu_cycles"]]), on_chip, off_chip)
        number = int(row[at["id"]])
        source = sources.get(row[at["source_id"]])
        found.append(_Row(row[at["operator"]], row[at["name"]], source, groups.get(number, number), cycles))
    return found


def _covered(model: Model, row: _Row) -> tuple[int, ...]:
    """Operators of the graph that an operator of the compiler runs.

    Its source is what it computes; the tensor that it makes is that of the last operator fused into it. A tensor that
    several operators write, each a part, belongs to none of them.
    """
    found: tuple[int, ...] = ()
    if row.source is not None and row.source < len(model.operators):
        found = model.covers[model.tensors[model.operators[row.source].output].name]
    # The compiler appends marks of its own to the names it was given.
    match = re.match(r"t\d+(?:\.(?:sigmoid|shifted))?", row.tensor)
    made = match.group() if match else ""
    if made in model.covers and (not found or not model.is_concat(made)):
        found = tuple(sorted({*found, *model.covers[made]}))
    return found
