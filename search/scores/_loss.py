"""The scalar that gradients at initialisation come from: the loss that a network of its task is trained by.

A classifier's logits `(batch, classes)` have cross-entropy with class numbers; a segmenter's map `(batch, classes,
height, width)` has it in every pixel; a detector's levels have the sum of the losses of `accelzoo.detection`. Where no
targets are given, they are drawn: uniform classes, a class for every cell of the map, boxes over the image.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, TypeAlias

from accelzoo.arch import Arch
from accelzoo.errors import ShapeError

if TYPE_CHECKING:
    import torch

    Targets: TypeAlias = torch.Tensor | Sequence[Mapping[str, torch.Tensor]]

DRAWN_OBJECTS = 4
SMALLEST_SIDE = 1 / 16
"""Of drawn boxes, as a share of the image's: the logarithm of a side is uniform from here to the whole image."""
IGNORED_CLASS = 255
"""Pixels of a mask that have no class."""


def checked_targets(given: Any, images: torch.Tensor) -> Targets | None:
    """Returns the targets of a batch; None where there are none.

    Raises:
        ShapeError: If there is not one target for each image.
    """
    if given is None:
        return None
    if hasattr(given, "shape"):
        if given.ndim not in (1, 3) or len(given) != len(images):
            raise ShapeError(
                f"labels of shape {tuple(given.shape)} must have shape ({len(images)},): one for each image; "
                f"masks ({len(images)}, height, width)"
            )
    elif not isinstance(given, Sequence) or len(given) != len(images) or not all(map(_is_target, given)):
        raise ShapeError(f"targets of a detector must be {len(images)} mappings with boxes and labels, one per image")
    targets: Targets = given
    return targets


def drawn_targets(outputs: Any, arch: Arch | None, count: int, generator: torch.Generator) -> Targets:
    """Draws targets for a network's outputs.

    Args:
        outputs: What the network returned, for any number of images.
        arch: The network's architecture, which a detector needs.
        count: Number of images.
        generator: Draws on the processor; the targets lie on the outputs' device.

    Raises:
        ShapeError: If the outputs are those of no task that is known here.
    """
    import torch

    if isinstance(outputs, torch.Tensor) and outputs.ndim in (2, 4):
        size = (count, *outputs.shape[2:])
        return torch.randint(outputs.shape[1], size, generator=generator).to(outputs.device)
    if not _detects(arch):
        raise _unknown(outputs)
    assert arch is not None
    device = outputs[0][0].device
    return [_drawn_objects(arch, generator, device) for _ in range(count)]


def loss_of(outputs: Any, targets: Targets, arch: Arch | None) -> torch.Tensor:
    """Returns the loss of a network's outputs, a scalar.

    Args:
        outputs: `(batch, classes)`, `(batch, classes, height, width)` or a detector's levels.
        targets: Class numbers `(batch,)`, masks `(batch, height, width)` of class numbers, 255 for none, to whose size
            the map is resized bilinearly; or per image boxes in pixels and labels, see `accelzoo.detection`.
        arch: The network's architecture, which a detector needs.

    Raises:
        ShapeError: If the outputs are those of no task that is known here, or the targets those of another task.
    """
    import torch
    import torch.nn.functional as F

    if isinstance(outputs, torch.Tensor) and outputs.ndim in (2, 4):
        if not isinstance(targets, torch.Tensor) or targets.ndim != outputs.ndim - 1:
            raise ShapeError(f"targets do not fit a network whose output is {tuple(outputs.shape)}")
        if outputs.ndim == 4 and outputs.shape[2:] != targets.shape[1:]:
            outputs = F.interpolate(outputs, size=targets.shape[1:], mode="bilinear", align_corners=False)
        ignored = IGNORED_CLASS if outputs.ndim == 4 and outputs.shape[1] <= IGNORED_CLASS else -100
        return F.cross_entropy(outputs, targets.long(), ignore_index=ignored)
    if not _detects(arch):
        raise _unknown(outputs)
    if isinstance(targets, torch.Tensor):
        raise ShapeError("a detector's targets are boxes and labels of each image, got a tensor")
    from accelzoo.detection import detection_loss

    assert arch is not None
    return torch.stack(list(detection_loss(outputs, targets, arch).values())).sum()


def _drawn_objects(arch: Arch, generator: torch.Generator, device: torch.device) -> dict[str, torch.Tensor]:
    """Boxes whose sides are drawn by their logarithm, so that every level has some, anywhere within the image."""
    import torch

    _, height, width = arch.input_size
    draws = torch.rand(2, DRAWN_OBJECTS, 2, generator=generator)
    sides = SMALLEST_SIDE ** draws[0]
    start = draws[1] * (1 - sides)
    boxes = torch.cat([start, start + sides], 1) * torch.tensor([width, height, width, height])
    labels = torch.randint(arch.head.num_classes, (DRAWN_OBJECTS,), generator=generator)
    return {"boxes": boxes.to(device), "labels": labels.to(device)}


def _detects(arch: Arch | None) -> bool:
    return arch is not None and arch.head.task == "detection"


def _is_target(given: Any) -> bool:
    return isinstance(given, Mapping) and {"boxes", "labels"} <= set(given)


def _unknown(outputs: Any) -> ShapeError:
    given = tuple(outputs.shape) if hasattr(outputs, "shape") else type(outputs).__name__
    return ShapeError(
        "this score needs a classifier, whose output is (batch, classes), a segmenter, whose output is (batch, "
        f"classes, height, width), or a detector built from an Arch, got {given}"
    )
