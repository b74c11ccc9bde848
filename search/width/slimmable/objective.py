"""What a step of slimmable training minimises, and what it learns about widths on the way."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from accelzoo import draw
from accelzoo.search.width.slimmable.errors import AdditiveErrors
from accelzoo.search.width.slimmable.net import SlimmableNet
from accelzoo.search.width.slimmable.samplers import WidthSampler
from accelzoo.tasks.classification import classification_loss

_WIDTH_STREAM = 0x51D7


@dataclass(frozen=True, slots=True, kw_only=True)
class SlimmablePlan:
    """Which networks every step trains.

    Attributes:
        sandwich: Train the largest and the smallest network in every step beside the random ones (Yu & Huang 2019,
            §3.2). Without, only the random ones are trained, on labels, as in AOWS's simpler form.
        distill: Of a sandwich, train all but the largest towards what that predicts, not towards labels (in-place
            distillation; Yu & Huang 2019, §3.3).
        random_passes: Passes at random widths, in each step.
        per_image: Every image of a pass has a network of its own; else all have one.

    Raises:
        ValueError: If there is no random pass.
    """

    sandwich: bool = True
    distill: bool = True
    random_passes: int = 1
    per_image: bool = True

    def __post_init__(self) -> None:
        if self.random_passes < 1:
            raise ValueError(f"random_passes (={self.random_passes}) must be at least 1: errors are learnt from them")

    @property
    def passes(self) -> int:
        """Forward passes of a step."""
        return self.random_passes + (2 if self.sandwich else 0)


class SlimmableObjective:
    """The loss of a step, from which the errors of widths are learnt as well.

    It is the mean over the passes. Errors are the cross-entropy of an image at random widths, beyond that of the
    largest network on the same image where a sandwich has computed it: what makes an image hard cancels.

    Args:
        net: The slimmable network.
        sampler: Draws the random widths.
        errors: Learns.
        plan: Which networks to train.
        label_smoothing: Of the losses on labels; none in the errors.
        seed: Of the draws.
    """

    def __init__(
        self,
        net: SlimmableNet,
        sampler: WidthSampler,
        errors: AdditiveErrors,
        plan: SlimmablePlan,
        *,
        label_smoothing: float = 0.0,
        seed: int = 0,
    ) -> None:
        self._net, self._sampler, self._errors, self._plan = net, sampler, errors, plan
        self._label_smoothing, self._seed = label_smoothing, seed

    def __call__(self, images: Tensor, labels: Tensor, step: int, total_steps: int) -> Tensor:
        """Computes the loss of a step.

        Args:
            images: `(batch, channels, height, width)`.
            labels: int64 `(batch,)`.
            step: Its number, 0 … total_steps − 1; with the seed it decides the draws.
            total_steps: Of the training.

        Returns:
            A scalar in nats.
        """
        terms: list[Tensor] = []
        largest: Tensor | None = None
        if self._plan.sandwich:
            largest = self._net(images)
            terms.append(classification_loss(largest, labels, self._label_smoothing))
            terms.append(self._loss(self._net.forward_sliced(images, self._net.smallest), labels, largest))
        rng = draw.generator(self._seed, _WIDTH_STREAM, step)
        for _ in range(self._plan.random_passes):
            drawn = self._sampler.draw(
                step / total_steps, len(images) if self._plan.per_image else 1, rng, self._errors
            )
            genomes = torch.from_numpy(drawn)
            if self._plan.per_image:
                logits = self._net(images, genomes)
            else:
                logits = self._net.forward_sliced(images, tuple(drawn[0].tolist()))
            terms.append(self._loss(logits, labels, largest))
            self._learn(drawn, logits, labels, largest)
        return torch.stack(terms).mean()

    def _loss(self, logits: Tensor, labels: Tensor, largest: Tensor | None) -> Tensor:
        if largest is None or not self._plan.distill:
            return classification_loss(logits, labels, self._label_smoothing)
        return F.cross_entropy(logits.float(), largest.detach().float().softmax(1))

    @torch.no_grad()
    def _learn(self, drawn: np.ndarray[Any, np.dtype[np.int64]], logits: Tensor, labels: Tensor,
               largest: Tensor | None) -> None:  # fmt: skip
        losses = F.cross_entropy(logits.detach().float(), labels, reduction="none")
        if largest is not None:
            losses = losses - F.cross_entropy(largest.detach().float(), labels, reduction="none")
        values = losses.cpu().double().numpy()
        if not np.isfinite(values).all():
            return  # the loop stops at a loss that is not finite, and says where
        if len(drawn) == 1:
            self._errors.update(drawn, values.mean(keepdims=True), images_each=len(values))
        else:
            self._errors.update(drawn, values)

    def state(self) -> dict[str, Tensor]:
        """Returns what was learnt and drawn so far, for a checkpoint."""
        found = {f"errors.{name}": value for name, value in self._errors.state().items()}
        found |= {f"sampler.{name}": value for name, value in self._sampler.state().items()}
        return {name: torch.from_numpy(value) for name, value in found.items()}

    def load_state(self, state: Mapping[str, Tensor]) -> None:
        """Puts back what `state` returned."""
        parts: dict[str, dict[str, Any]] = {"errors": {}, "sampler": {}}
        for name, value in state.items():
            part, _, rest = name.partition(".")
            parts[part][rest] = value.numpy()
        self._errors.load_state(parts["errors"])
        self._sampler.load_state(parts["sampler"])

    def identity(self) -> dict[str, Any]:
        """Returns plain values: with the same ones (and data, weights, configuration) a training is the same."""
        errors = {"memory": repr(self._errors.memory), "smoothness": self._errors.smoothness}
        return {
            "space": self._net.space.digest(),
            "plan": asdict(self._plan),
            "sampler": self._sampler.to_config(),
            "errors": errors,
        }
