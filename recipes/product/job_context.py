"""What jobs of a product run share: recipe, data and the run's folder."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from accelzoo import config
from accelzoo.recipes.bank import DataBank
from accelzoo.recipes.job_records import JobRecords
from accelzoo.recipes.product.schema import PretrainingPlan, ProductRecipe
from accelzoo.recipes.product.tasks import ProductData

if TYPE_CHECKING:
    import torch


@dataclass(frozen=True, slots=True, kw_only=True)
class ProductContext(JobRecords):
    """What every job of a run is given; it travels to worker processes, data by their name.

    Attributes:
        recipe: The run's.
        data: The data.
        folder: The run's folder, which all workers must see.
    """

    recipe: ProductRecipe
    data: ProductData
    folder: Path

    def digest(self, kind: str, facts: Mapping[str, Any]) -> str:
        """Returns `sha256:…` of what decides a job's result: its kind and facts, and the data."""
        return config.digest({"kind": kind, "data": self.data.digest(), **facts})

    def bank(self, plan: PretrainingPlan) -> DataBank:
        """Returns the data that trunks are trained on first; a process reads them once."""
        return _bank(plan.data)

    def checkpoints(self, name: str) -> Path:
        """Where a training's checkpoints are."""
        return self.folder / "trainings" / name

    def weights(self, name: str) -> Path:
        """Where the weights that a job trained are kept."""
        return self.jobs / f"{name}.safetensors"


@lru_cache(maxsize=1)
def _bank(source: str) -> DataBank:
    return DataBank(source)


@contextmanager
def scoring(context: ProductContext) -> Iterator[torch.device]:
    """Yields the device that trainings use, with as many threads: scores do not depend on who computes them."""
    from accelzoo.training.runtime import Processes, torch_settings

    device = Processes.start(None).device
    with torch_settings(context.recipe.training, device):
        yield device
