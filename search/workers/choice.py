"""Workers as a user writes them: a number, an address, or an object."""

from __future__ import annotations

from accelzoo.errors import ConfigError
from accelzoo.search.workers.protocol import Workers
from accelzoo.search.workers.serial import Serial

ALLOWED = 'a positive number, "ray", "ray://host:port" or "ray://host:port?workers=16"'


def as_workers(given: int | str | Workers) -> Workers:
    """Reads what a user asks for.

    Args:
        given: 1: this process; n: as many worker processes; `ray`: the cluster of RAY_ADDRESS, or one on this machine;
            `ray://host:port`: that cluster, with `?workers=16` that many at once; a number may be text; anything with
            `count` and `start` is taken as it is.

    Raises:
        ConfigError: If it is none of these; or if Ray is not installed.
    """
    if not isinstance(given, (int, str)):
        if callable(getattr(given, "start", None)):
            return given
        raise ConfigError([f"workers (={given!r}) must be {ALLOWED}, or have `count` and `start`"])
    if isinstance(given, str) and (given == "ray" or given.startswith(("ray?", "ray://"))):
        from accelzoo.search.workers.ray import RayWorkers

        return RayWorkers.of(given)
    try:
        count = 0 if isinstance(given, bool) else int(given)
    except ValueError:
        count = 0
    if count < 1:
        raise ConfigError([f"workers (={given!r}) must be {ALLOWED}"])
    if count == 1:
        return Serial()
    from accelzoo.search.workers.local import LocalWorkers

    return LocalWorkers(count)
