"""The trainings of a width run as jobs: minutes of work, each with a result of plain data."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

from accelzoo import config
from accelzoo.arch import Arch
from accelzoo.recipes.job_records import read_weights, save_weights
from accelzoo.recipes.width.job_context import JobContext, evaluation_device
from accelzoo.search.space import Genome
from accelzoo.search.width import Narrowing, WidthCosts, WidthSpace
from accelzoo.tasks.metrics import Metrics

if TYPE_CHECKING:
    from torch import Tensor

    from accelzoo.build import AccelNet
    from accelzoo.search.width.slimmable import SlimmableNet, WidthSampler

_NAME_DIGITS = 12


@dataclass(frozen=True, slots=True, kw_only=True)
class SlimmableJob:
    """Trains all widths together, all alike or narrowed to a budget; the weights go to the folder `slimmable`.

    Its result: `tables` (what each width of each group adds to the loss), `loss` of the last epoch, `steps`, `images`,
    `wall_s`, `notes`, and `weights`, their sha256.

    Args:
        seed: Of weights and training.
        share: The latency budget that it is narrowed to, for the name; None: all widths stay equally likely.
        budgets: If narrowed, column → the most it may reach.
        costs: If narrowed, what is budgeted.
    """

    seed: int
    share: float | None = None
    budgets: Mapping[str, float] | None = None
    costs: WidthCosts | None = None

    def __post_init__(self) -> None:
        if len({value is None for value in (self.share, self.budgets, self.costs)}) > 1:
            raise ValueError("share, budgets and costs go together: all three for a narrowed training, or none")

    @property
    def name(self) -> str:
        """`uniform-seed0`, `narrowed-0.5-seed0`."""
        return uniform_name(self.seed) if self.share is None else narrowed_name(self.share, self.seed)

    def digest(self, context: JobContext) -> str:
        """`sha256:…` of data, widths, training and sampler."""
        plan = context.recipe.slimmable
        facts = {
            "training": config.to_config(replace(plan.training, seed=self.seed)),
            "plan": [plan.sandwich, plan.distill, plan.per_image],
            "held_out": plan.held_out,
            "sampler": self._sampler(context).to_config(),
        }
        return context.digest("slimmable", facts)

    def checkpoints(self, context: JobContext) -> Path:
        """Where the training's checkpoints are."""
        return context.slimmable / self.name

    def run(self, context: JobContext, progress: bool | None) -> dict[str, Any]:
        """Trains."""
        import torch

        from accelzoo.search.width.slimmable import SlimmableNet, SlimmablePlan, train_slimmable

        plan = context.recipe.slimmable
        net = SlimmableNet(context.space, torch.Generator().manual_seed(self.seed))
        result = train_slimmable(
            net,
            context.held_out(),
            replace(plan.training, seed=self.seed),
            plan=SlimmablePlan(sandwich=plan.sandwich, distill=plan.distill, per_image=plan.per_image),
            sampler=self._sampler(context),
            folder=self.checkpoints(context),
            progress=progress,
        )
        training = result.training
        return {
            "tables": [table.tolist() for table in result.errors.tables()],
            "loss": training.history[-1].loss,
            "steps": training.steps,
            "images": training.images,
            "wall_s": training.wall_s,
            "notes": list(training.notes),
            "setup": dict(training.setup),
            "history": training.curve(),
            "weights": save_weights(context.slimmable_weights(self.name), net),
        }

    def describe(self, result: Mapping[str, Any]) -> str:
        """Says how long it took."""
        return f"trained {self.name}: {result['wall_s']:,.0f} s"

    def _sampler(self, context: JobContext) -> WidthSampler:
        from accelzoo.search.width.slimmable import NarrowedWidths, UniformWidths

        plan = context.recipe.slimmable
        if self.budgets is None or self.costs is None:
            return UniformWidths(context.space)
        narrowing = Narrowing(budgets=dict(self.budgets), schedule=plan.schedule, joint=plan.joint, hold=plan.hold)
        return NarrowedWidths(narrowing, self.costs, turns=plan.turns)


@dataclass(frozen=True, slots=True, kw_only=True)
class FinalJob:
    """Trains a chosen network anew on all training images, and scores it; the weights go to the folder `jobs`.

    Its result: `validation` and `test` (see `metrics_of`), `steps`, `images`, `wall_s`, `notes`, and `weights`, their
    sha256.

    Args:
        arch: The network.
        seed: Of weights and training.
    """

    arch: Arch
    seed: int

    @classmethod
    def of(cls, space: WidthSpace, genome: Genome, seed: int) -> Self:
        """Returns the job of a network of the space; of equal ones with one seed, it is one job."""
        return cls(arch=space.decode(genome).normal(), seed=seed)

    @property
    def name(self) -> str:
        """`final-0123456789ab-seed0`: the network's digest begins like that."""
        return f"final-{self.arch.digest().removeprefix('sha256:')[:_NAME_DIGITS]}-seed{self.seed}"

    def digest(self, context: JobContext) -> str:
        """`sha256:…` of data, network and training."""
        training = config.to_config(replace(context.recipe.training, seed=self.seed))
        return context.digest("final", {"arch": self.arch.digest(), "training": training})

    def checkpoints(self, context: JobContext) -> Path:
        """Where the training's checkpoints are."""
        return context.folder / "trainings" / self.name

    def run(self, context: JobContext, progress: bool | None) -> dict[str, Any]:
        """Trains and scores."""
        from accelzoo.recipes.trainings import train
        from accelzoo.tasks.classification import evaluate

        data = context.bank.of(self.arch)
        plan, folder = context.recipe.training, self.checkpoints(context)
        model, result = train(self.arch, data.search_view(), plan, self.seed, folder, progress)
        with evaluation_device(context) as device:
            model.to(device)
            validation = result.validation or evaluate(model, data.validation)
            test = evaluate(model, data.test)
        return {
            "validation": validation.to_json(),
            "test": test.to_json(),
            "steps": result.steps,
            "images": result.images,
            "wall_s": result.wall_s,
            "notes": list(result.notes),
            "setup": dict(result.setup),
            "history": result.curve(),
            "weights": save_weights(context.final_weights(self.name), model),
        }

    def describe(self, result: Mapping[str, Any]) -> str:
        """Says how long it took and what was reached."""
        reached = f"validation {result['validation']['top1']:.2%}, test {result['test']['top1']:.2%}"
        return f"trained {self.name}: {result['wall_s']:,.0f} s, {reached}"


def load_slimmable(context: JobContext, name: str) -> SlimmableNet:
    """Returns the network that a finished `SlimmableJob` trained, in eval mode.

    Raises:
        AccelzooError: If the job is not finished, or its weights are not those that it wrote.
    """
    from accelzoo.search.width.slimmable import SlimmableNet

    weights = _weights(context, name, context.slimmable_weights(name))
    net = SlimmableNet(context.space)
    net.load_state_dict(weights, strict=True)
    return net.eval()


def load_final(context: JobContext, job: FinalJob) -> AccelNet:
    """Returns the network that a finished `FinalJob` trained, in eval mode; errors as for `load_slimmable`."""
    from accelzoo.build import build_classifier

    weights = _weights(context, job.name, context.final_weights(job.name))
    model = build_classifier(job.arch)
    model.load_state_dict(weights, strict=True)
    return model.eval()


def _weights(context: JobContext, name: str, path: Path) -> dict[str, Tensor]:
    return read_weights(path, context.result_of(name)["weights"], context.record_path(name))


def metrics_of(values: Mapping[str, Any]) -> Metrics:
    """Reads what `Metrics.to_json` returned."""
    return Metrics(correct=values["correct"], count=values["count"], loss=values["loss"])


def uniform_name(seed: int) -> str:
    """Returns the name of the uniform slimmable training with a seed."""
    return f"uniform-seed{seed}"


def narrowed_name(share: float, seed: int) -> str:
    """Returns the name of the slimmable training that is narrowed to a budget, with a seed."""
    return f"narrowed-{share:g}-seed{seed}"
