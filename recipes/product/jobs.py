"""The trainings of a product run as jobs: minutes of work, each with a result of plain data."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from accelzoo import config
from accelzoo.arch import Arch
from accelzoo.errors import AccelzooError
from accelzoo.heads import ClassificationHead
from accelzoo.recipes.job_records import read_weights, save_weights
from accelzoo.recipes.product.job_context import ProductContext, scoring
from accelzoo.recipes.product.schema import PretrainingPlan
from accelzoo.tasks.score import DenseScore

if TYPE_CHECKING:
    from torch import Tensor, nn

    from accelzoo.build import Trunk
    from accelzoo.quantization import QuantizedNetwork
    from accelzoo.training.result import TrainResult

_NAME_DIGITS = 12
_HEAD = "head."  # what a dense network's tensors beside its trunk's begin with


@dataclass(frozen=True, slots=True, kw_only=True)
class TrialJob:
    """Trains a network shortly from scratch, and scores it on validation images.

    Its result: `score` (see `DenseScore.to_json`; None of a training that diverged, with the `reason`), `steps`,
    `images`, `wall_s`, `notes`, `setup`, `history` (see `TrainResult.curve`).

    Args:
        arch: The network.
    """

    arch: Arch

    @property
    def name(self) -> str:
        """`trial-0123456789ab`: the network's digest begins like that."""
        return f"trial-{short_digest(self.arch)}"

    def digest(self, context: ProductContext) -> str:
        """`sha256:…` of data, network and training."""
        training = config.to_config(context.recipe.search.trials.training)
        return context.digest("trial", {"arch": self.arch.digest(), "training": training})

    def checkpoints(self, context: ProductContext) -> Path:
        """Where the training's checkpoints are."""
        return context.checkpoints(self.name)

    def run(self, context: ProductContext, progress: bool | None) -> dict[str, Any]:
        """Trains."""
        from accelzoo.train import TrainError, fit

        plan = context.recipe.search.trials.training
        model = _drawn(self.arch, plan.seed)
        folder, started = self.checkpoints(context), time.perf_counter()
        try:
            result = fit(model, context.data.view(self.arch), plan, folder=folder, progress=progress)
        except TrainError as error:
            wall_s = time.perf_counter() - started
            return {"score": None, "reason": str(error), "steps": 0, "images": 0, "wall_s": wall_s, "notes": []}
        return {"score": _validation(result).to_json(), **_facts(result)}

    def describe(self, result: Mapping[str, Any]) -> str:
        """Says how long it took and what was reached."""
        if result["score"] is None:
            return f"tried {self.name}: {result['reason']}"
        return f"tried {self.name}: {result['wall_s']:,.0f} s, {DenseScore.from_json(result['score'])}"


@dataclass(frozen=True, slots=True, kw_only=True)
class PretrainJob:
    """Trains a network's trunk as a classifier; the weights go to the folder `jobs`.

    Its result: `top1` on the validation split, `steps`, `images`, `wall_s`, `notes`, and `weights`, their sha256.

    Args:
        arch: The classifier, see `trunk_classifier`.
    """

    arch: Arch

    @property
    def name(self) -> str:
        """`pretrain-0123456789ab`: the classifier's digest begins like that."""
        return f"pretrain-{short_digest(self.arch)}"

    def digest(self, context: ProductContext) -> str:
        """`sha256:…` of classification data, classifier and training."""
        plan = _pretraining(context)
        data = context.bank(plan).of(self.arch).digest()
        facts = {"arch": self.arch.digest(), "training": config.to_config(plan.training), "seed": plan.seed}
        return config.digest({"kind": "pretrain", "data": data, **facts})

    def checkpoints(self, context: ProductContext) -> Path:
        """Where the training's checkpoints are."""
        return context.checkpoints(self.name)

    def run(self, context: ProductContext, progress: bool | None) -> dict[str, Any]:
        """Trains."""
        from accelzoo.recipes.trainings import train
        from accelzoo.tasks.metrics import Metrics

        plan = _pretraining(context)
        view = context.bank(plan).of(self.arch).search_view()
        model, result = train(self.arch, view, plan.training, plan.seed, self.checkpoints(context), progress)
        known = result.validation
        return {
            "top1": known.top1 if isinstance(known, Metrics) else None,
            **_facts(result),
            "weights": save_weights(context.weights(self.name), model),
        }

    def describe(self, result: Mapping[str, Any]) -> str:
        """Says how long it took and what was reached."""
        reached = "" if result["top1"] is None else f", top-1 {result['top1']:.2%}"
        return f"pretrained {self.name}: {result['wall_s']:,.0f} s{reached}"


@dataclass(frozen=True, slots=True, kw_only=True)
class TrainJob:
    """Trains a network, scores it in float and int8; the weights go to the folder `jobs`.

    Its result: `validation`, `test` and `int8` (on the validation split; see `DenseScore.to_json`), `steps`, `images`,
    `wall_s` of the training, `notes`, `weights`, their sha256, and `calibration`, the ranges of the activations.

    Args:
        arch: The network.
        seed: Of weights, order and augmentation.
        pretrained: The job whose trunk it begins from, if there is one.
    """

    arch: Arch
    seed: int
    pretrained: PretrainJob | None = None

    @property
    def name(self) -> str:
        """`train-0123456789ab-seed0`: the network's digest begins like that."""
        return f"train-{short_digest(self.arch)}-seed{self.seed}"

    def digest(self, context: ProductContext) -> str:
        """`sha256:…` of data, network, training, the trunk it begins from, and how it is quantised."""
        recipe = context.recipe
        facts = {
            "arch": self.arch.digest(),
            "training": config.to_config(replace(recipe.training, seed=self.seed)),
            "quantization": config.to_config(recipe.quantization),
            "pretrained": None if self.pretrained is None else context.result_of(self.pretrained.name)["weights"],
        }
        return context.digest("train", facts)

    def checkpoints(self, context: ProductContext) -> Path:
        """Where the training's checkpoints are."""
        return context.checkpoints(self.name)

    def run(self, context: ProductContext, progress: bool | None) -> dict[str, Any]:
        """Trains and scores."""
        from accelzoo.train import fit

        data, plan = context.data, replace(context.recipe.training, seed=self.seed)
        model = _drawn(self.arch, self.seed)
        if self.pretrained is not None:
            load_trunk(model, _weights(context, self.pretrained.name))
        result = fit(model, data.view(self.arch), plan, folder=self.checkpoints(context), progress=progress)
        with scoring(context) as device:
            model.to(device)
            known = result.validation
            validation = known if isinstance(known, DenseScore) else data.validation_score(model, self.arch)
            test = data.test_score(model, self.arch)
            model.to("cpu")
            int8_model = quantized(context, model)
            int8 = data.validation_score(int8_model, self.arch)
        return {
            "validation": validation.to_json(),
            "test": test.to_json(),
            "int8": int8.to_json(),
            **_facts(result),
            "weights": save_weights(context.weights(self.name), model),
            "calibration": int8_model.calibration.to_json(),
        }

    def describe(self, result: Mapping[str, Any]) -> str:
        """Says how long it took and what was reached."""
        reached = ", ".join(f"{name} {result[name]['value']:.2%}" for name in ("validation", "test", "int8"))
        return f"trained {self.name}: {result['wall_s']:,.0f} s, {result['test']['metric']} {reached}"


def trunk_classifier(arch: Arch, num_classes: int, resolution: int) -> Arch:
    """Returns a classifier of square images with the trunk of a dense network."""
    size = (arch.input_size[0], resolution, resolution)
    return replace(arch, head=ClassificationHead(num_classes=num_classes), input_size=size)


def load_trunk(model: nn.Module, weights: Mapping[str, Tensor]) -> None:
    """Loads the trunk of a classifier into a network with another head, whose own weights stay as they are.

    Raises:
        AccelzooError: If the trunk is another one.
    """
    own = {name: value.shape for name, value in model.state_dict().items() if not name.startswith(_HEAD)}
    wrong = sorted(name for name, shape in own.items() if name not in weights or weights[name].shape != shape)
    if wrong:
        raise AccelzooError(f"the pretrained trunk is another one: no weights for {', '.join(wrong[:5])}")
    model.load_state_dict({name: weights[name] for name in own}, strict=False)


def load_trained(context: ProductContext, job: TrainJob) -> Trunk:
    """Returns the network that a finished `TrainJob` trained, in eval mode.

    Raises:
        AccelzooError: If the job is not finished, or its weights are not those that it wrote.
    """
    from accelzoo.build import build

    model = build(job.arch)
    model.load_state_dict(_weights(context, job.name), strict=True)
    return model.eval()


def quantized(context: ProductContext, model: Trunk) -> QuantizedNetwork:
    """Returns the int8 network of a trained one, calibrated on the recipe's number of training images."""
    from accelzoo.quantization import quantize

    return quantize(model, context.data.calibration(model.arch, context.recipe.quantization.images))


def short_digest(arch: Arch) -> str:
    """Returns the beginning of an architecture's digest, for names."""
    return arch.digest().removeprefix("sha256:")[:_NAME_DIGITS]


def _drawn(arch: Arch, seed: int) -> Trunk:
    import torch

    from accelzoo.build import build

    return build(arch, torch.Generator().manual_seed(seed))


def _pretraining(context: ProductContext) -> PretrainingPlan:
    plan = context.recipe.pretraining
    if plan is None:
        raise AccelzooError("the recipe has no pretraining")
    return plan


def _validation(result: TrainResult) -> DenseScore:
    if not isinstance(result.validation, DenseScore):
        raise AccelzooError("a trial needs a score: the validation split has nothing to score on")
    return result.validation


def _facts(result: TrainResult) -> dict[str, Any]:
    notes = list(result.notes)
    counts = {"steps": result.steps, "images": result.images, "wall_s": result.wall_s}
    return {**counts, "notes": notes, "setup": dict(result.setup), "history": result.curve()}


def _weights(context: ProductContext, name: str) -> dict[str, Tensor]:
    return read_weights(context.weights(name), context.result_of(name)["weights"], context.record_path(name))
