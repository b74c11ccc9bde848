"""A network to be scored: a copy in a known state, with a batch, drawn from one seed."""

from __future__ import annotations

import copy
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from accelzoo.arch import Arch
from accelzoo.errors import ShapeError
from accelzoo.search.scores._loss import checked_targets, drawn_targets, loss_of
from accelzoo.search.scores._score import images_of

if TYPE_CHECKING:
    import torch
    from torch import nn

    from accelzoo.search.scores._loss import Targets

DRAWN_IMAGES = 16


@dataclass(frozen=True, slots=True, kw_only=True)
class Prepared:
    """A network that may be changed, in training mode, with its batch and the generator of all further draws."""

    module: nn.Module
    images: torch.Tensor
    targets: Targets | None
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
        """Gradients of the loss on part of the batch by `weights()`, zero where a weight takes no part; see `_loss`."""
        import torch

        outputs = self.module(self.images[part])
        loss = loss_of(outputs, self._targets(outputs)[part], self.arch)
        weights = self.weights()
        found = torch.autograd.grad(loss, weights, allow_unused=True)
        return [torch.zeros_like(weight) if one is None else one for weight, one in zip(weights, found, strict=True)]

    @property
    def arch(self) -> Arch | None:
        """The network's architecture, if it was built from one."""
        arch = getattr(self.module, "arch", None)
        return arch if isinstance(arch, Arch) else None

    def _targets(self, outputs: Any) -> Targets:
        if self.targets is not None:
            return self.targets
        import torch

        # A generator of its own, so that two halves of a batch see the targets of one draw.
        generator = torch.Generator().manual_seed(self.generator.initial_seed())
        return drawn_targets(outputs, self.arch, len(self.images), generator)


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
    targets = checked_targets(batch[1] if isinstance(batch, tuple | list) and len(batch) > 1 else None, images)
    module.train().requires_grad_(True)
    module.zero_grad(set_to_none=True)
    return Prepared(module=module, images=images.detach(), targets=targets, generator=generator)
