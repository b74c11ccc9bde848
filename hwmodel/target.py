"""The accelerator as a value: its MAC array, memories, energies and gaps, read from one YAML file per target."""

from __future__ import annotations

import dataclasses
import functools
import hashlib
import json
import math
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar, Literal

from accelzoo.errors import ConfigError, suggestion, unknown_name
from accelzoo.hwmodel.ir import ACTIVATIONS, FUNCTIONS, KINDS

TARGETS_FOLDER = Path(__file__).parent / "targets"

OPERATORS = (*KINDS, *(f"{kind}:{name}" for kind, names in FUNCTIONS.items() for name in names))
"""What `unsupported` may name: a kind of operator, or one function of a kind."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    """One accelerator, as far as the analytic estimator knows it.

    The MAC array is `input_channels_per_tile` rows by `output_channels_per_tile` columns by `pixels_per_tile` output
    positions; channels and positions that do not fill the last tile leave their MACs idle. Rates hold for 8-bit
    operands.

    Attributes:
        name: How commands and recipes name it.
        description: One line for listings.
        source: Where the numbers come from, and which of them are assumptions; never empty.
        clock_hz: Clock of the MAC array and the vector unit.
        macs_per_cycle: Multiply-accumulates of the whole array in a cycle.
        depthwise_macs_per_cycle: The same in a depthwise convolution, which has one input channel per output channel
            and so keeps one row busy; by default `macs_per_cycle / input_channels_per_tile`.
        input_channels_per_tile: Rows of the array: terms of one output's sum that are added in the same cycle.
        output_channels_per_tile: Columns of the array: output channels computed at once.
        pixels_per_tile: Output positions computed at once.
        rows_hold: What is spread over the rows: `channels` walks the positions of the kernel one after the other;
            `window` spreads the flattened kernel window (height × width × input channels), so that a convolution with
            few input channels still fills the array.
        elementwise_per_cycle: Elements of an addition, product, pooling window or activation that the vector unit
            handles in a cycle.
        sram_bytes: On-chip memory for activations; what is alive beyond it spills.
        sram_bytes_per_s: Bandwidth of the on-chip memory.
        dram_bytes_per_s: Bandwidth of the off-chip memory.
        weights_in: Where the weights lie between inferences: `dram` streams all of them in each inference; `sram`
            keeps them on chip, as far as `weight_sram_bytes` reaches, and streams the rest.
        weight_sram_bytes: On-chip memory for weights, apart from `sram_bytes`; given if and only if weights lie there.
        op_overhead_s: Time to start an operator.
        fused_activations: Functions that a convolution, linear layer or addition applies on the way out for free.
        unsupported: What it cannot run: kinds (`pool`) or functions of a kind (`activation:silu`).
        energy_per_mac_j: Joules per multiply-accumulate.
        energy_per_sram_byte_j: Joules per byte of on-chip traffic.
        energy_per_dram_byte_j: Joules per byte of off-chip traffic.
        static_power_w: Power drawn for as long as an inference takes.
        weight_budget_bytes: Most weight bytes a model on the device may have (None: no limit); for recipes to use as
            a budget, not a term of the price.
        activation_budget_bytes: Most activation bytes a model may keep alive, likewise.
        learned: Digest of what measurements add to the analytic price (`accelzoo.hwmodel.learned`); a built-in or
            fitted target's file has it beside it.
    """

    _UNPRICED_FIELDS: ClassVar = ("description", "source")

    name: str
    description: str
    source: str
    clock_hz: float
    macs_per_cycle: float
    depthwise_macs_per_cycle: float | None = None
    input_channels_per_tile: int
    output_channels_per_tile: int
    pixels_per_tile: int = 1
    rows_hold: Literal["channels", "window"] = "channels"
    elementwise_per_cycle: float
    sram_bytes: int
    sram_bytes_per_s: float
    dram_bytes_per_s: float
    weights_in: Literal["dram", "sram"]
    weight_sram_bytes: int | None = None
    op_overhead_s: float
    fused_activations: tuple[str, ...] = ()
    unsupported: tuple[str, ...] = ()
    energy_per_mac_j: float
    energy_per_sram_byte_j: float
    energy_per_dram_byte_j: float
    static_power_w: float
    weight_budget_bytes: int | None = None
    activation_budget_bytes: int | None = None
    learned: str | None = None

    def __post_init__(self) -> None:
        faults = [*_text_faults(self), *_number_faults(self), *_name_faults(self), *_weight_memory_faults(self)]
        if faults:
            raise ConfigError(faults)

    @property
    def depthwise_rate(self) -> float:
        """Multiply-accumulates per cycle of a depthwise convolution, the default filled in."""
        if self.depthwise_macs_per_cycle is not None:
            return self.depthwise_macs_per_cycle
        return self.macs_per_cycle / self.input_channels_per_tile

    @property
    def context_radius(self) -> int:
        """How many subgraphs before and after an operator decide on its price, beside its own fields."""
        if self.learned is None:
            return 0
        from accelzoo.hwmodel.learned import learned_part

        return learned_part(self).context_radius

    @property
    def peak_macs_per_s(self) -> float:
        """Multiply-accumulates per second with every MAC busy."""
        return self.macs_per_cycle * self.clock_hz

    def digest(self) -> str:
        """Returns `sha256:…` over every field but the prose: equal digests price every graph alike."""
        fields = {field.name: getattr(self, field.name) for field in dataclasses.fields(self)}
        priced = {key: _plain(value) for key, value in fields.items() if key not in self._UNPRICED_FIELDS}
        if self.learned is None:
            del priced["learned"]  # so that a target without one keeps the digest that older locks name
        text = json.dumps(priced, sort_keys=True, separators=(",", ":"), ensure_ascii=True)
        return "sha256:" + hashlib.sha256(text.encode()).hexdigest()


def list_targets() -> list[str]:
    """Returns the names of the built-in targets, sorted; opens no file."""
    return sorted(path.stem for path in TARGETS_FOLDER.glob("*.yaml"))


def load_target(name_or_path: str | Path) -> Target:
    """Reads a target.

    Args:
        name_or_path: A built-in name (see `list_targets`), or the path of a `.yaml` file of your own.

    Raises:
        UnknownNameError: If it is neither; the message names the nearest target.
        ConfigError: If the file is missing or has faults; the message lists all of them and where they stand.
    """
    text = str(name_or_path)
    if isinstance(name_or_path, Path) or text.endswith((".yaml", ".yml")):
        return _read(Path(name_or_path))
    known = list_targets()
    if text not in known:
        raise unknown_name("target", text, known)
    return _built_in(text)


@functools.cache
def _built_in(name: str) -> Target:
    return _read(TARGETS_FOLDER / f"{name}.yaml")


def _read(path: Path) -> Target:
    from accelzoo import config  # loads PyYAML, which pricing a graph does not need

    target = config.read(Target, path)
    if target.learned is not None:
        from accelzoo.hwmodel.learned import SUFFIX, load_part

        load_part(path.with_name(path.stem + SUFFIX), target.learned)
    return target


def _plain(value: object) -> object:
    # YAML's 500000000 and 5e8 are the same clock.
    return int(value) if isinstance(value, float) and value.is_integer() else value


_MAY_BE_ZERO = {
    "op_overhead_s",
    "energy_per_mac_j",
    "energy_per_sram_byte_j",
    "energy_per_dram_byte_j",
    "static_power_w",
}


def _text_faults(target: Target) -> list[str]:
    texts = {"name": target.name, "description": target.description, "source": target.source}
    return [f"{key}: must not be empty" for key, text in texts.items() if not text.strip()]


def _number_faults(target: Target) -> list[str]:
    faults = []
    for field in dataclasses.fields(target):
        value = getattr(target, field.name)
        if not isinstance(value, int | float):
            continue
        may_be_zero = field.name in _MAY_BE_ZERO
        if not math.isfinite(value) or value < 0 or (value == 0 and not may_be_zero):
            least = "at least 0" if may_be_zero else "greater than 0"
            faults.append(f"{field.name}: must be a finite number {least}, got {value}")
    return faults


def _name_faults(target: Target) -> list[str]:
    faults = []
    lists = {"fused_activations": ACTIVATIONS, "unsupported": OPERATORS}
    for key, allowed in lists.items():
        for name in getattr(target, key):
            if name not in allowed:
                near = suggestion(name, allowed)
                faults.append(f"{key}: unknown operator {name!r}{near} (allowed: {', '.join(allowed)})")
    for name in target.fused_activations:
        if {"activation", f"activation:{name}"} & set(target.unsupported):
            faults.append(f"fused_activations: {name!r} is in unsupported as well")
    return faults


def _weight_memory_faults(target: Target) -> list[str]:
    if (target.weights_in == "sram") == (target.weight_sram_bytes is not None):
        return []
    if target.weights_in == "sram":
        return ["weight_sram_bytes: needed with weights_in: sram, the size of the on-chip memory that keeps them"]
    return ["weight_sram_bytes: has no meaning with weights_in: dram, which streams every weight"]
