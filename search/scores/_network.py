"""A network to be scored: a copy in a known state, with a batch, drawn from one seed."""

from __future__ import annotations

import copy
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from accelzoo.arch import Arch
from accelzoo.errors import ShapeError
from accelzoo.search.scores._score import images_of

if TYPE_CHECKING:
    import torch
    from torch import nn

DRAWN_IMAGES = 16


@dataclass(frozen=True, slots=True, kw_only=True)
class Prepared:
    """A network that may be changed, in training mode, with its batch and the generator of all further draws."""

    module: nn.Module
    images: torch.Tensor
    labels: torch.Tensor | None
    generator: torch.Generator

    def normal(self, *shape: int) -> torch.Tensor:
        """Draws unit normal numbers of the images' type, on their device."""
        import torch

        return torch.randn(shape, generator=self.generator).to(self.images)

    def weights(self) -> list[torch.Tensor]:
        """Lists the weights of convolutions and linear layers, shared ones once."""
        from torch import nn

        kinds = (nn.modules.conv._ConvNd, nn.Linear)
        found = [module.weight for module in self.module.modules() if isinstance(module, kinds)]
        return list({id(weight): weight for weight in found}.values())

    def gradients(self, part: slice = slice(None)) -> list[torch.Tensor]:
        """Gradients of the cross-entropy on part of the batch by `weights()`, zero where a weight takes no part."""
        import torch
        import torch.nn.functional as F

        logits = logits_of(self.module(self.images[part]))
        labels = self._labels(logits.shape[1])[part]
        loss = F.cross_entropy(logits, labels)
        weights = self.weights()
        found = torch.autograd.grad(loss, weights, allow_unused=True)
        return [torch.zeros_like(weight) if one is None else one for weight, one in zip(weights, found, strict=True)]

    def _labels(self, classes: int) -> torch.Tensor:
        if self.labels is not None:
            return self.labels
        import torch

        # A generator of its own, so that two halves of a batch see the labels of one draw.
        generator = torch.Generator().manual_seed(self.generator.initial_seed())
        return torch.randint(classes, (len(self.images),), generator=generator).to(self.images.device)


def logits_of(output: Any) -> torch.Tensor:
    """Returns a classifier's output.

    Raises:
        ShapeError: If it is something else.
    """
    import torch

    if not isinstance(output, torch.Tensor) or output.ndim != 2:
        given = tuple(output.shape) if isinstance(output, torch.Tensor) else type(output).__name__
        raise ShapeError(f"this score needs a classifier, whose output is (batch, classes), got {given}")
    return output


@contextmanager
def prepared(network: Any, batch: Any, seed: int) -> Iterator[Prepared]:
    """Gives a network that may be changed; neither `network` nor torch's own random state is.

    Raises:
        ShapeError: If the batch has the wrong form, or a module comes without one.
    """
    import torch

    images = images_of(batch)
    devices = [images.device] if images is not None and images.is_cuda else []
    with torch.random.fork_rng(devices=devices), torch.enable_grad():
        torch.manual_seed(seed)  # dropout and the like draw from torch's own generator
        yield _prepared(network, images, batch, torch.Generator().manual_seed(seed))


def _prepared(network: Any, images: torch.Tensor | None, batch: Any, generator: torch.Generator) -> Prepared:
    import torch

    from accelzoo.build import build

    if isinstance(network, Arch):
        module: nn.Module = build(network, generator)
        if images is None:
            images = torch.randn(DRAWN_IMAGES, *network.input_size, generator=generator)
        module.to(images.device)
    elif images is None:
        raise ShapeError(f"scoring a {type(network).__name__} needs a batch of images")
    else:
        module = copy.deepcopy(network)
    labels = batch[1] if isinstance(batch, tuple | list) and len(batch) > 1 else None
    if labels is not None and tuple(labels.shape) != (len(images),):
        raise ShapeError(f"labels of shape {tuple(labels.shape)} must have shape ({len(images)},): one for each image")
    module.train().requires_grad_(True)
    module.zero_grad(set_to_none=True)
    return Prepared(module=module, images=images.detach(), labels=labels, generator=generator)
