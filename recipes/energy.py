"""Energy counters of the machine, read while a run goes on: processor packages (RAPL) and GPUs (NVML)."""

from __future__ import annotations

import threading
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Protocol, Self

from accelzoo.recipes.folder import RunFolder
from accelzoo.recipes.spent import Metered

RECORD = "energy"
"""The record of a run's folder that holds what counters said so far."""
POWERCAP = Path("/sys/class/powercap")
"""Where Linux shows the counters of processor packages; on many machines only to the administrator."""
_NVML = "pynvml"
_EVERY_S = 20.0  # a package's counter begins anew after a quarter of an hour at the earliest


class Counter(Protocol):
    """A counter of energy."""

    @property
    def name(self) -> str:
        """What it counts."""

    @property
    def range_j(self) -> float | None:
        """Joules after which it begins anew; None: never."""

    def joules(self) -> float:
        """Returns what it says now.

        Raises:
            OSError: If it cannot be read any more.
        """


@dataclass(frozen=True, slots=True, kw_only=True)
class PackageCounter:
    """Energy of one processor package, by the kernel's powercap interface.

    Args:
        folder: The package's.
        range_j: Joules after which the counter begins anew.
    """

    folder: Path
    range_j: float | None

    @property
    def name(self) -> str:
        """The package's name: `package-0 (RAPL)`."""
        return f"{(self.folder / 'name').read_text('ascii').strip()} (RAPL)"

    def joules(self) -> float:
        """Returns what the counter says now."""
        return _micro(self.folder / "energy_uj")


@dataclass(frozen=True, slots=True, kw_only=True)
class GpuCounter:
    """Energy of one GPU since its driver was loaded, by NVML.

    Args:
        number: Of the GPU.
        handle: NVML's.
    """

    number: int
    handle: Any
    range_j: float | None = None

    @property
    def name(self) -> str:
        """The GPU's name: `GPU 0 (NVML)`."""
        return f"GPU {self.number} (NVML)"

    def joules(self) -> float:
        """Returns what the counter says now."""
        nvml = _nvml()
        try:
            return float(nvml.nvmlDeviceGetTotalEnergyConsumption(self.handle)) * 1e-3
        except nvml.NVMLError as error:
            raise OSError(f"{self.name}: {error}") from None


def find_counters(powercap: Path = POWERCAP) -> list[Counter]:
    """Returns the counters that this process may read.

    Args:
        powercap: Where packages are looked for.
    """
    found: list[Counter] = []
    for folder in sorted(powercap.glob("intel-rapl:*")):
        if folder.name.count(":") > 1:
            continue  # a part of a package, counted in the whole
        try:
            counter = PackageCounter(folder=folder, range_j=_micro(folder / "max_energy_range_uj"))
            counter.joules()
        except (OSError, ValueError):
            continue
        found.append(counter)
    return [*found, *_gpu_counters()]


def _gpu_counters() -> list[GpuCounter]:
    if find_spec(_NVML) is None:
        return []
    nvml = _nvml()
    try:
        nvml.nvmlInit()
        counters = [
            GpuCounter(number=number, handle=nvml.nvmlDeviceGetHandleByIndex(number))
            for number in range(nvml.nvmlDeviceGetCount())
        ]
        for counter in counters:
            counter.joules()
    except (nvml.NVMLError, OSError):  # no driver, or a GPU without such a counter
        return []
    return counters


def _nvml() -> Any:
    return import_module(_NVML)  # no dependency: where it is missing, no GPU is read


def _micro(path: Path) -> float:
    return int(path.read_text("ascii")) * 1e-6


class EnergyMeter:
    """Adds up what counters say while a `with` block lasts, and keeps it in a run's folder, across its processes.

    Args:
        folder: The run's.
        counters: What to read; None: whatever `find_counters` finds. Without any, nothing is written.
    """

    def __init__(self, folder: RunFolder, counters: Sequence[Counter] | None = None) -> None:
        self._folder = folder
        self._counters = find_counters() if counters is None else list(counters)
        self._lock = threading.Lock()
        self._left = threading.Event()
        self._thread = threading.Thread(target=self._read_on, name="energy", daemon=True)

    def __enter__(self) -> Self:
        if self._counters:
            self._last = [counter.joules() for counter in self._counters]
            self._last_s = time.monotonic()
            self._thread.start()
        return self

    def __exit__(self, *exception: object) -> None:
        self._left.set()
        if self._thread.ident is not None:
            self._thread.join()

    def read(self) -> Metered | None:
        """Reads the counters, and returns what they said in all processes of the run; None where there are none.

        Where one fails, all are given up: a run of hours does not end for want of its energy.
        """
        with self._lock:
            try:
                now = [counter.joules() for counter in self._counters]
            except (OSError, ValueError):
                self._counters = []
            if not self._counters:
                return None
            grown = sum(map(_growth, self._counters, self._last, now))
            seconds = time.monotonic() - self._last_s
            self._last, self._last_s = now, self._last_s + seconds
            recorded = self._folder.read_json(RECORD) or {"joules": 0.0, "seconds": 0.0}
            metered = Metered(
                joules=recorded["joules"] + grown,
                seconds=recorded["seconds"] + seconds,
                counters=tuple(counter.name for counter in self._counters),
            )
            self._folder.write_json(RECORD, asdict(metered))
        return metered

    def _read_on(self) -> None:
        while not self._left.wait(_EVERY_S):
            self.read()


def _growth(counter: Counter, before: float, now: float) -> float:
    """Joules between two readings, of which the counter may have begun anew once."""
    return now - before if now >= before or counter.range_j is None else now - before + counter.range_j
