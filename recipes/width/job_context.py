"""What jobs of a width run share: recipe, space, data and the run's folder."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from accelzoo import config
from accelzoo.recipes.bank import DataBank
from accelzoo.recipes.job_records import JobRecords
from accelzoo.recipes.width.schema import WidthRecipe
from accelzoo.search.width import WidthSpace
from accelzoo.tasks.data import SearchView

if TYPE_CHECKING:
    import torch


@dataclass(frozen=True, slots=True, kw_only=True)
class JobContext(JobRecords):
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
    def slimmable(self) -> Path:
        """Where slimmable networks are kept."""
        return self.folder / "slimmable"

    def held_out(self) -> SearchView:
        """Training images without those put aside, which stand as validation: the same ones for every seed."""
        from accelzoo.search.width.slimmable import hold_out

        view = self.bank.of(self.space.arch).search_view()
        return hold_out(view, self.recipe.slimmable.held_out, seed=0)

    def digest(self, kind: str, facts: Mapping[str, Any]) -> str:
        """Returns `sha256:…` of what decides a job's result: its kind and facts, the data and the space."""
        return config.digest({"kind": kind, "data": self.bank.source, "space": self.space.digest(), **facts})

    def slimmable_weights(self, name: str) -> Path:
        """Where the weights of a slimmable training are kept."""
        return self.slimmable / f"{name}.safetensors"

    def final_weights(self, name: str) -> Path:
        """Where the weights of a final training are kept."""
        return self.jobs / f"{name}.safetensors"


@contextmanager
def evaluation_device(context: JobContext) -> Iterator[torch.device]:
    """Yields the device that trainings use, with as many threads: scores do not depend on who computes them."""
    from accelzoo.training.runtime import Processes, torch_settings

    device = Processes.start(None).device
    with torch_settings(context.recipe.training, device):
        yield device
