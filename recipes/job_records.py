"""What finished jobs leave in a run's folder: a record of plain data each, and weights."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from accelzoo.errors import AccelzooError, DataError
from accelzoo.recipes.folder import partial_path, write_text
from accelzoo.weights_digest import weights_digest

if TYPE_CHECKING:
    from torch import Tensor, nn


class JobRecords:
    """What the jobs of a run share, as far as their records go; a kind of recipe adds the rest.

    Attributes:
        folder: The run's folder, which all workers must see.
    """

    __slots__ = ()
    folder: Path

    @property
    def jobs(self) -> Path:
        """Where records are kept."""
        return self.folder / "jobs"

    def record_path(self, name: str) -> Path:
        """Where the record of a job is kept."""
        return self.jobs / f"{name}.json"

    def recorded(self, name: str) -> dict[str, Any] | None:
        """Returns the record of a finished job: its `digest` and its `result`; None if it is not finished.

        Raises:
            DataError: If the file is no such record.
        """
        path = self.record_path(name)
        try:
            content = json.loads(path.read_text("utf-8"))
            return {"digest": str(content["digest"]), "result": dict(content["result"])}
        except FileNotFoundError:
            return None
        except (ValueError, KeyError, TypeError) as error:
            raise DataError(f"{path}: no record of a job ({error!r}); remove the file to do the job again") from None

    def result_of(self, name: str) -> dict[str, Any]:
        """Returns the result of a finished job.

        Raises:
            AccelzooError: If it is not finished.
        """
        found = self.recorded(name)
        if found is None:
            raise AccelzooError(f"the job {name} must be finished first: {self.record_path(name)} is not there")
        result: dict[str, Any] = found["result"]
        return result

    def record(self, name: str, digest: str, result: Mapping[str, Any]) -> None:
        """Writes a finished job's record, whole or not at all."""
        self.jobs.mkdir(parents=True, exist_ok=True)
        content = {"job": name, "digest": digest, "result": dict(result)}
        write_text(self.record_path(name), json.dumps(content, indent=1, allow_nan=False) + "\n")


def save_weights(path: Path, model: nn.Module) -> str:
    """Writes a network's tensors, whole or not at all.

    Returns:
        The file's sha256 in hexadecimal.
    """
    from safetensors.torch import save

    content = save({name: tensor.detach().cpu().contiguous() for name, tensor in model.state_dict().items()})
    return save_bytes(path, content)


def digest_of_weights(path: Path) -> str:
    """Returns the digest of the weights in a file that `save_weights` wrote; see `accelzoo.weights_digest`."""
    from safetensors.numpy import load_file

    return weights_digest(load_file(path))


def save_bytes(path: Path, content: bytes) -> str:
    """Writes a file, whole or not at all.

    Returns:
        Its sha256 in hexadecimal.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    with partial_path(path).open("wb") as stream:
        stream.write(content)
        stream.flush()
        os.fsync(stream.fileno())
    partial_path(path).replace(path)
    return hashlib.sha256(content).hexdigest()


def read_weights(path: Path, sha256: str, record: Path) -> dict[str, Tensor]:
    """Reads what `save_weights` wrote.

    Args:
        path: The file.
        sha256: What `save_weights` returned.
        record: The record of the job that wrote it, for the message.

    Raises:
        DataError: If the file is not there, or not the one that was written.
    """
    from safetensors.torch import load

    return load(read_bytes(path, sha256, record))


def read_bytes(path: Path, sha256: str, record: Path) -> bytes:
    """Reads what `save_bytes` wrote; arguments and errors as for `read_weights`."""
    try:
        content = path.read_bytes()
    except OSError as error:
        raise DataError(f"cannot read {path}: {error.strerror}; remove {record} to do its job anew") from None
    found = hashlib.sha256(content).hexdigest()
    if found != sha256:
        said = f"{path}: its sha256 is {found}, that of the weights of the job was {sha256}"
        raise DataError(f"{said}; remove it and {record} to do its job anew")
    return content
