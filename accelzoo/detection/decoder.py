"""From the raw outputs of a detector to boxes, scores and labels, as a module of its own."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import nn
from torchvision.ops import clip_boxes_to_image, nms

from accelzoo.arch import Arch
from accelzoo.detection.boxes import anchor_boxes, box_strides, decode_deltas, decode_distances, flat
from accelzoo.detection.geometry import detection_head, levels_of
from accelzoo.detection.settings import PostprocessingSettings
from accelzoo.heads.fcos import FCOSHead

NO_LABEL = -1


class DetectionDecoder(nn.Module):
    """Scores, the best candidates, their boxes, non-maximum suppression per class.

    Only the boxes of the `max_candidates` best pairs of box and class are decoded. Sizes of results do not depend on
    the image, so that they can be stacked and the module exports by itself. It holds no weights; its anchors belong to
    the input size of the architecture.
    """

    anchors: torch.Tensor
    strides: torch.Tensor

    def __init__(self, arch: Arch, settings: PostprocessingSettings) -> None:
        super().__init__()
        levels = levels_of(arch)
        self.head = detection_head(arch)
        self.settings = settings
        self.image = arch.input_size[1:]
        self.register_buffer("anchors", anchor_boxes(levels, self.image), persistent=False)
        self.register_buffer("strides", box_strides(levels), persistent=False)

    def forward(
        self, outputs: Sequence[tuple[torch.Tensor, ...]]
    ) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        """Decodes what the network returns.

        Args:
            outputs: Per level: class logits, box regression and, of FCOS, centerness.

        Returns:
            Boxes `(batch, max_detections, 4)` as left, top, right, bottom in pixels; scores
            `(batch, max_detections)`, falling; labels `(batch, max_detections)` from 0 on. Rows behind an image's last
            detection hold zeros and the label −1.
        """
        logits = flat([level[0] for level in outputs], self.head.class_logits).float()
        regression = flat([level[1] for level in outputs], 4).float()
        factors = None  # what the scores of all classes of a box are multiplied by
        if isinstance(self.head, FCOSHead):
            factors = flat([level[2] for level in outputs], 1).float().sigmoid()
        images = [
            self._image(logits[index], regression[index], None if factors is None else factors[index])
            for index in range(len(logits))
        ]
        boxes, scores, labels = zip(*images, strict=True)
        return torch.stack(boxes), torch.stack(scores), torch.stack(labels)

    def _image(
        self, logits: torch.Tensor, regression: torch.Tensor, factors: torch.Tensor | None
    ) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        """Decodes one image: `(logits, boxes)`, `(4, boxes)` regression, `(1, boxes)` factors."""
        settings = self.settings
        scores, candidates = self._candidates(logits, factors)
        best, pairs = scores.flatten().topk(min(settings.max_candidates, scores.numel()))
        enough = best > settings.score_threshold
        best, pairs = best[enough], pairs[enough]
        labels, chosen = pairs // len(candidates), candidates[pairs % len(candidates)]
        boxes = self._boxes(regression[:, chosen].T, chosen)
        # Classes are moved apart by more than an image, so that boxes only suppress those of their own class.
        apart = labels.to(boxes) * (max(self.image) + 1)
        # Two boxes outside the image are kept and come last: torch.export holds torchvision to leave at least two.
        outside = boxes.new_tensor([[-2, -2, -1, -1], [-4, -4, -3, -3]])
        moved = torch.cat((boxes + apart[:, None], outside))
        kept = nms(moved, torch.cat((best, best.new_full((2,), -1.0))), settings.iou_threshold)[:-2]
        return self._padded(boxes[kept], 0), self._padded(best[kept], 0), self._padded(labels[kept], NO_LABEL)

    def _candidates(
        self, logits: torch.Tensor, factors: torch.Tensor | None
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """The boxes that can hold one of the best pairs of box and class: those with the best class of their own.

        Ordering boxes first leaves far fewer pairs to order, and to compute the scores of, and no pair is lost.

        Returns:
            Scores `(classes, candidates)`, indices of the boxes `(candidates,)`.
        """
        background = self.head.class_logits > self.head.num_classes
        ranks = logits.softmax(0)[1:] if background else logits
        highest = ranks.amax(0)
        if factors is not None:
            highest = highest.sigmoid() * factors[0]
        candidates = highest.topk(min(self.settings.max_candidates, len(highest))).indices
        scores = ranks[:, candidates] if background else ranks[:, candidates].sigmoid()
        return scores if factors is None else scores * factors[:, candidates], candidates

    def _boxes(self, regression: torch.Tensor, chosen: torch.Tensor) -> torch.Tensor:
        anchors = self.anchors[chosen]
        if isinstance(self.head, FCOSHead):
            boxes = decode_distances(regression, anchors, self.strides[chosen])
        else:
            boxes = decode_deltas(regression, anchors, self.head.box_weights)
        return clip_boxes_to_image(boxes, self.image)

    def _padded(self, values: torch.Tensor, fill: int) -> torch.Tensor:
        most = self.settings.max_detections
        return torch.cat((values, values.new_full((most, *values.shape[1:]), fill)))[:most]


def postprocessor(
    arch: Arch,
    score_threshold: float = 0.05,
    iou_threshold: float = 0.5,
    max_detections: int = 100,
    max_candidates: int = 1000,
) -> DetectionDecoder:
    """Makes the module that turns a detector's outputs into boxes, scores and labels.

    Args:
        arch: The detector.
        score_threshold: Candidates must score above it.
        iou_threshold: Of two boxes of a class that overlap by more than this share of their union, the better stays.
        max_detections: Most results per image.
        max_candidates: Most pairs of box and class per image that are decoded and compared.

    Raises:
        TypeError: If the architecture is no detector.
        ValueError: If a value is out of its range.
    """
    settings = PostprocessingSettings(
        score_threshold=score_threshold,
        iou_threshold=iou_threshold,
        max_detections=max_detections,
        max_candidates=max_candidates,
    )
    return DetectionDecoder(arch, settings)
