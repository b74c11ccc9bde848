"""Where candidates are evaluated: in this process, in supervised worker processes, or on the machines of a Ray cluster.

    run(space, signal, evaluations=200, workers=8)                            # eight processes of this machine
    run(space, signal, evaluations=200, workers="ray://head:10001?workers=64")  # a Ray cluster, through its client port
    run(space, signal, evaluations=200, workers=LocalWorkers(4, gpus=("0", "1"), timeout_s=3600))

Which workers evaluate never shows in a trace: a search proposes its candidates in an order that depends on `pending`
alone, and a candidate that was lost with its worker is evaluated again.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from accelzoo import lazy

if TYPE_CHECKING:
    from accelzoo.search.workers.choice import as_workers
    from accelzoo.search.workers.errors import WorkerError
    from accelzoo.search.workers.local import LocalWorkers
    from accelzoo.search.workers.protocol import Outcome, Pool, Workers
    from accelzoo.search.workers.ray import RayWorkers
    from accelzoo.search.workers.serial import Serial

_HOMES = {
    "LocalWorkers": "local",
    "Outcome": "protocol",
    "Pool": "protocol",
    "RayWorkers": "ray",
    "Serial": "serial",
    "WorkerError": "errors",
    "Workers": "protocol",
    "as_workers": "choice",
}
__all__ = [  # noqa: RUF022 (the order of the page: what one calls first comes first)
    "as_workers",
    "Serial",
    "LocalWorkers",
    "RayWorkers",
    "Outcome",
    "Workers",
    "Pool",
    "WorkerError",
]

__getattr__ = lazy.loader(__name__, _HOMES)


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
