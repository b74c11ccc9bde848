"""Checkpoints: tensors as safetensors, everything else as JSON, valid at every instant, no pickle.

The tensors are written first, under a name of their own; the JSON that names them and carries their sha256 follows and
is what makes the checkpoint. A kill at any moment leaves the older pair or the newer one. Stray files are ignored and
removed by the next save.
"""

from __future__ import annotations

import hashlib
import json
import sys
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from torch import Tensor

from accelzoo._files import exclusive_lock, replace_file
from accelzoo.errors import ReleaseError
from accelzoo.training.errors import CheckpointError

FORMAT = 1
_INDEX = "checkpoint.json"
_STEM = "checkpoint-"
_LOCK = ".lock"


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Checkpoint:
    """The state of a training after `step` steps.

    Args:
        step: Optimizer steps done.
        identity: What the run is made of (config, data, network); all of it must match to resume.
        environment: Where it ran (torch, device); a difference costs bit-for-bit equality, not validity.
        tensors: Weights, optimizer state, average, losses of the epoch so far.
        scalars: The rest: history, seconds so far, loss scale.
    """

    step: int
    identity: Mapping[str, Any]
    environment: Mapping[str, Any]
    tensors: Mapping[str, Tensor] = field(repr=False)
    scalars: Mapping[str, Any]


def save_checkpoint(folder: Path, checkpoint: Checkpoint) -> None:
    """Writes a checkpoint into `folder` and removes the one before."""
    from safetensors.torch import save

    folder.mkdir(parents=True, exist_ok=True)
    content = save({name: tensor.detach().cpu().contiguous().clone() for name, tensor in checkpoint.tensors.items()})
    name = f"{_STEM}{checkpoint.step:08d}.safetensors"
    index = {
        "format": FORMAT,
        "step": checkpoint.step,
        "tensors": {"file": name, "sha256": hashlib.sha256(content).hexdigest()},
        "identity": dict(checkpoint.identity),
        "environment": dict(checkpoint.environment),
        "scalars": dict(checkpoint.scalars),
    }
    replace_file(folder / name, content, staging=folder)
    replace_file(folder / _INDEX, (json.dumps(index, indent=1, allow_nan=False) + "\n").encode(), staging=folder)
    remove_checkpoint_files(folder, keep=name)


def load_checkpoint(folder: Path) -> Checkpoint | None:
    """Reads the checkpoint in `folder`; None when there is none.

    Raises:
        CheckpointError: If there is one and it is damaged or of another format.
    """
    from safetensors.torch import load

    path = folder / _INDEX
    try:
        index = json.loads(path.read_bytes())
        if index.get("format", FORMAT) != FORMAT:
            raise CheckpointError(f"{path}: has format {index['format']!r}; this version reads {FORMAT}")
        tensors_path, sha256 = folder / index["tensors"]["file"], index["tensors"]["sha256"]
        content = tensors_path.read_bytes() if tensors_path.exists() else None
        found = {name: index[name] for name in ("step", "identity", "environment", "scalars")}
    except FileNotFoundError:
        return None
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise CheckpointError(f"{path}: damaged ({error}); remove it to start afresh") from error
    if content is None:
        raise CheckpointError(f"{tensors_path}: missing, though {path} names it; remove that to start afresh")
    if hashlib.sha256(content).hexdigest() != sha256:
        raise CheckpointError(f"{tensors_path}: damaged (sha256 differs from {path}); remove both to start afresh")
    return Checkpoint(tensors=load(content), **found)


def remove_checkpoint_files(folder: Path, keep: str | None = None) -> None:
    """Removes every file of a checkpoint but the tensors in `keep` and its JSON, half-written ones included."""
    if keep is None:
        (folder / _INDEX).unlink(missing_ok=True)  # first: without it the rest is nothing
    for pattern in (f"{_STEM}*", f"{_INDEX}.*"):
        for path in folder.glob(pattern):
            if path.name != keep:
                path.unlink(missing_ok=True)


@contextmanager
def hold_folder(folder: Path | None) -> Iterator[None]:
    """Keeps a second run out of a folder, where each would delete the other's checkpoints (POSIX systems only).

    Raises:
        CheckpointError: If another process holds it. A killed process holds nothing.
    """
    with ExitStack() as stack:
        if folder is not None and sys.platform != "win32":
            folder.mkdir(parents=True, exist_ok=True)
            try:
                stack.enter_context(exclusive_lock(folder / _LOCK, timeout_s=0))
            except ReleaseError as error:
                raise CheckpointError(f"{folder}: another process trains here; wait, or use another folder") from error
        yield


def differences(before: Mapping[str, Any], now: Mapping[str, Any], prefix: str = "") -> list[str]:
    """Returns one `key: checkpoint … , now …` per leaf in which two nested mappings differ."""
    found: list[str] = []
    for key in sorted(before.keys() | now.keys()):
        old, new = before.get(key), now.get(key)
        if isinstance(old, Mapping) and isinstance(new, Mapping):
            found += differences(old, new, f"{prefix}{key}.")
        elif old != new:
            found.append(f"{prefix}{key}: checkpoint {_short(old)}, now {_short(new)}")
    return found


def _short(value: Any) -> str:
    text = json.dumps(value)
    return text if len(text) <= 40 else f"{text[:24]}…{text[-6:]}"
