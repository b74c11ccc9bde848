"""File-system steps that survive a kill: hashed reads, synced writes, staged folders, locks."""

from __future__ import annotations

import contextlib
import ctypes
import errno
import hashlib
import os
import secrets
import shutil
import stat
import sys
import time
from collections.abc import Iterator
from io import BufferedReader
from pathlib import Path

from accelzoo.errors import ReleaseError

_POLL_S = 0.02
_AT_CWD = {"linux": -100, "darwin": -2}
_SWAP_FLAG = 2  # RENAME_EXCHANGE (linux/fs.h) and RENAME_SWAP (macOS sys/stdio.h)
# Missing on Windows, where none of the three hazards (links, blocking pipes, inherited handles) needs the flag.
_READ_FLAGS = os.O_RDONLY | sum(getattr(os, flag, 0) for flag in ("O_NOFOLLOW", "O_NONBLOCK", "O_CLOEXEC", "O_BINARY"))


class NotRegularError(OSError):
    """A path that should be a plain file is a link, a folder or a device."""


def open_regular(path: Path) -> BufferedReader:
    """Opens a plain file for reading; never follows a link and never blocks on a pipe.

    Raises:
        NotRegularError: If the path is anything but a plain file.
        OSError: If it cannot be opened.
    """
    try:
        descriptor = os.open(path, _READ_FLAGS)
    except OSError as error:
        if error.errno in (errno.ELOOP, errno.EMLINK, errno.ENXIO) or path.is_symlink():
            raise NotRegularError(error.errno, "not a plain file", str(path)) from error
        raise
    if not stat.S_ISREG(os.fstat(descriptor).st_mode):
        os.close(descriptor)
        raise NotRegularError(errno.EINVAL, "not a plain file", str(path))
    return os.fdopen(descriptor, "rb")


def read_regular(path: Path, *, at_most: int | None = None) -> bytes:
    """Returns the bytes of a plain file; see `open_regular`.

    Args:
        path: The file.
        at_most: A size in bytes that it must not exceed; a longer one is not read.

    Raises:
        OSError: If it is longer, besides what `open_regular` raises.
    """
    with open_regular(path) as file:
        if at_most is not None and os.fstat(file.fileno()).st_size > at_most:
            raise OSError(errno.EFBIG, f"longer than {at_most} bytes, which nothing of its kind is", str(path))
        return file.read()


def sha256_file(path: Path) -> str:
    """Returns the sha256 of a plain file in hexadecimal; see `open_regular`."""
    with open_regular(path) as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def sync_directory(folder: Path) -> None:
    """Makes the names inside a folder durable (a no-op where folders cannot be opened, as on Windows)."""
    if sys.platform == "win32":
        return
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def write_synced(path: Path, data: bytes) -> None:
    """Writes a new file and makes its content durable; refuses an existing path."""
    with open(path, "xb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())


def copy_synced(source: Path, target: Path) -> None:
    """Copies a plain file to a new path and makes its content durable."""
    with open_regular(source) as reader, open(target, "xb") as writer:
        shutil.copyfileobj(reader, writer, 1 << 20)
        writer.flush()
        os.fsync(writer.fileno())


def staging_path(target: Path) -> Path:
    """Returns an unused hidden sibling of `target`, on the same file system so that a rename suffices."""
    return target.absolute().with_name(f".{target.name}.{secrets.token_hex(6)}.partial")


def replace_file(path: Path, data: bytes, *, staging: Path) -> None:
    """Sets a file's content in one step: a reader sees the old bytes or the new, also after a kill.

    Args:
        path: The file to set; created when missing.
        data: The whole new content.
        staging: A folder on the same file system for the half-written file.
    """
    staged = staging / f"{path.name}.{secrets.token_hex(6)}"
    try:
        write_synced(staged, data)
        os.replace(staged, path)
    except OSError:
        remove_any(staged)
        raise
    sync_directory(path.parent)


def remove_any(path: Path) -> None:
    """Removes a file, a link (not what it points to) or a whole folder; a missing path is fine."""
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path, ignore_errors=True)
    else:
        with contextlib.suppress(OSError):
            path.unlink()


def swap_folders(first: Path, second: Path) -> bool:
    """Exchanges two folders in one step (renameat2 on Linux, renameatx_np on macOS).

    Returns:
        Whether it happened; False where the system or the file system cannot.
    """
    name = {"linux": "renameat2", "darwin": "renameatx_np"}.get(sys.platform)
    call = getattr(ctypes.CDLL(None), name, None) if name else None
    if call is None:
        return False
    here = _AT_CWD[sys.platform]
    call.argtypes = [ctypes.c_int, ctypes.c_char_p, ctypes.c_int, ctypes.c_char_p, ctypes.c_uint]
    return bool(call(here, os.fsencode(first), here, os.fsencode(second), _SWAP_FLAG) == 0)


def install_folder(staged: Path, target: Path, *, replace: bool) -> None:
    """Moves a finished folder to its place, whole or not at all.

    With `replace`, a kill leaves the old folder or the new one at `target`. Where the file system cannot exchange two
    folders in one step, a kill between two renames leaves the old one beside it as `.<name>.<random>.partial`.

    Raises:
        FileExistsError: If `target` holds something and `replace` is false.
        OSError: If a rename fails; `target` is then unchanged.
    """
    sync_directory(staged)
    if not os.path.lexists(target) or (not replace and is_empty_folder(target)):
        try:
            os.rename(staged, target)
        except OSError as error:  # ENOTEMPTY, EEXIST: another process came first
            if os.path.lexists(target) and not is_empty_folder(target):
                raise FileExistsError(errno.EEXIST, "already exists", str(target)) from error
            raise
    elif not replace:
        raise FileExistsError(errno.EEXIST, "already exists", str(target))
    elif not swap_folders(staged, target):
        aside = staging_path(target)
        os.rename(target, aside)
        try:
            os.rename(staged, target)
        except OSError:
            os.rename(aside, target)
            raise
        remove_any(aside)
    sync_directory(target.parent)
    remove_any(staged)


def is_empty_folder(path: Path) -> bool:
    """Tells whether a path is a real folder (not a link to one) without entries."""
    return path.is_dir() and not path.is_symlink() and not any(path.iterdir())


@contextlib.contextmanager
def exclusive_lock(path: Path, *, timeout_s: float) -> Iterator[None]:
    """Holds a lock file (flock): one holder on this machine, freed by the system when the holder dies.

    Args:
        path: The lock file; created when missing, never removed (removal would let two processes hold it).
        timeout_s: How long to wait for another holder.

    Raises:
        ReleaseError: If the wait ran out, or the system has no flock.
        OSError: If the file cannot be opened for writing.
    """
    if sys.platform == "win32":
        raise ReleaseError(f"cannot lock {path}: publishing needs a POSIX system; pulling works everywhere")
    import fcntl

    deadline_s = time.monotonic() + timeout_s
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o666)
    try:
        while True:
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                if time.monotonic() >= deadline_s:
                    raise ReleaseError(
                        f"{path} is held by another process for more than {timeout_s:g} s; try again later"
                    ) from None
                time.sleep(_POLL_S)
        yield
    finally:
        os.close(descriptor)


@contextlib.contextmanager
def system_errors_as_release_errors(doing: str) -> Iterator[None]:
    """Turns an OSError (no space, no permission, vanished file) into a ReleaseError that says what was being done."""
    try:
        yield
    except OSError as error:
        raise ReleaseError(f"cannot {doing}: {error}") from error
