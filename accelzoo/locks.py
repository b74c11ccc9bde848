"""One writer at a time: advisory locks on open files."""

from __future__ import annotations


def try_lock(file: int) -> bool:
    """Locks an open file until it is closed or its process dies.

    Returns:
        Whether this process holds it now; always, on systems without `flock`.
    """
    try:
        import fcntl
    except ImportError:
        return True
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        return False
    return True
