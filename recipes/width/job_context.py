"""What jobs of a width run share: recipe, space, data, the run's folder, and the records that finished jobs leave."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from accelzoo import config
from accelzoo.errors import AccelzooError, DataError
from accelzoo.recipes.bank import DataBank
from accelzoo.recipes.folder import partial_path, write_text
from accelzoo.recipes.width.schema import WidthRecipe
from accelzoo.search.width import WidthSpace
from accelzoo.tasks.data import SearchView

if TYPE_CHECKING:
    import torch
    from torch import Tensor, nn


@dataclass(frozen=True, slots=True, kw_only=True)
class JobContext:
    """What every job of a run is given; it travels to worker processes, data by their name.

    Attributes:
        recipe: The run's.
        space: The widths.
        bank: The data.
        folder: The run's folder, which all workers must see.
    """

    recipe: WidthRecipe
    space: WidthSpace
    bank: DataBank
    folder: Path

    @property
    def jobs(self) -> Path:
        """Where records are kept."""
        return self.folder / "jobs"

    @property
    def slimmable(self) -> Path:
        """Where slimmable networks are kept."""
        return self.folder / "slimmable"

    def held_out(self) -> SearchView:
        """Training images without those put aside, which stand as validation: the same ones for every seed."""
        from accelzoo.search.width.slimmable import hold_out

        view = self.bank.of(self.space.arch).search_view()
        return hold_out(view, self.recipe.slimmable.held_out, seed=0)

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

    def digest(self, kind: str, facts: Mapping[str, Any]) -> str:
        """Returns `sha256:…` of what decides a job's result: its kind and facts, the data and the space."""
        return config.digest({"kind": kind, "data": self.bank.source, "space": self.space.digest(), **facts})

    def slimmable_weights(self, name: str) -> Path:
        """Where the weights of a slimmable training are kept."""
        return self.slimmable / f"{name}.safetensors"

    def final_weights(self, name: str) -> Path:
        """Where the weights of a final training are kept."""
        return self.jobs / f"{name}.safetensors"

    def record_path(self, name: str) -> Path:
        """Where the record of a job is kept."""
        return self.jobs / f"{name}.json"


def save_weights(path: Path, model: nn.Module) -> str:
    """Writes a network's tensors, whole or not at all.

    Returns:
        The file's sha256 in hexadecimal.
    """
    from safetensors.torch import save

    content = save({name: tensor.detach().cpu().contiguous() for name, tensor in model.state_dict().items()})
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

    try:
        content = path.read_bytes()
    except OSError as error:
        raise DataError(f"cannot read {path}: {error.strerror}; remove {record} to do its job anew") from None
    found = hashlib.sha256(content).hexdigest()
    if found != sha256:
        said = f"{path}: its sha256 is {found}, that of the weights of the job was {sha256}"
        raise DataError(f"{said}; remove it and {record} to do its job anew")
    return load(content)


@contextmanager
def evaluation_device(context: JobContext) -> Iterator[torch.device]:
    """Yields the device that trainings use, with as many threads: scores do not depend on who computes them."""
    from accelzoo.training.runtime import Processes, torch_settings

    device = Processes.start(None).device
    with torch_settings(context.recipe.training, device):
        yield device
