"""Whether the kernel has ended a process because memory ran out, where that can be seen (Linux)."""

from __future__ import annotations

from pathlib import Path

MOUNT, OWN = Path("/sys/fs/cgroup"), Path("/proc/self/cgroup")


def oom_kills(mount: Path = MOUNT, own: Path = OWN) -> int | None:
    """Returns how many processes of this control group the kernel has ended for want of memory; None: unknown.

    Version 2 counts them in `memory.events`, version 1 in `memory.oom_control`, each on the line `oom_kill` (the
    kernel's Documentation/admin-guide/cgroup-v2.rst, "Memory Interface Files", and cgroup-v1/memory.rst, section 10).

    Args:
        mount: Where control groups are mounted.
        own: The file that says which groups this process is in.
    """
    try:
        lines = own.read_text().splitlines()
    except OSError:
        return None
    for line in lines:
        _, controllers, path = line.split(":", 2)
        if controllers == "":
            count = _nearest(mount, path, "memory.events")
        elif "memory" in controllers.split(","):
            count = _nearest(mount / "memory", path, "memory.oom_control")
        else:
            continue
        if count is not None:
            return count
    return None


def _nearest(root: Path, path: str, name: str) -> int | None:
    """Reads the file of a group; in a container, whose own group is mounted as the root, that of the root."""
    for folder in (root / path.lstrip("/"), root):
        try:
            text = (folder / name).read_text()
        except OSError:
            continue
        for line in text.splitlines():
            key, _, value = line.partition(" ")
            if key == "oom_kill":
                return int(value)
    return None
