"""What stands behind a detector's network, as an operator graph that is priced apart from it."""

from __future__ import annotations

from accelzoo.arch import Arch
from accelzoo.detection.geometry import Level, detection_head, levels_of
from accelzoo.detection.settings import PostprocessingSettings
from accelzoo.heads._detection import DetectionHead
from accelzoo.heads.fcos import FCOSHead
from accelzoo.hwmodel.fragment import Fragment
from accelzoo.hwmodel.ir import INPUT, Graph, GraphBuilder, Op


def postprocessing_graph(arch: Arch, max_detections: int = 100, max_candidates: int = 1000) -> Graph:
    """Returns the operators that `DetectionDecoder` runs on the network's outputs, for one image.

    The graph's input stands for all outputs together. Bringing levels into one order is a `concat`; scores and box
    arithmetic are element-wise operators; constant factors and terms fold into the anchors. What no kind of operator
    stands for is `opaque`: choosing the best, gathering, exponentials, clipping, non-maximum suppression. So every
    target names these as unpriced: the price is a lower bound, and their time must be measured.

    Args:
        arch: The detector.
        max_detections: Most results per image.
        max_candidates: Most pairs of box and class that are decoded and compared.

    Raises:
        TypeError: If the architecture is no detector.
        ValueError: If a limit is below 1.
    """
    settings = PostprocessingSettings(max_detections=max_detections, max_candidates=max_candidates)
    head, levels = detection_head(arch), levels_of(arch)
    fcos = isinstance(head, FCOSHead)
    boxes = sum(level.box_count for level in levels)
    graph = GraphBuilder((boxes * (head.class_logits + 4 + fcos), 1, 1))
    scores, found = _scored(graph, head, levels, min(settings.max_candidates, boxes))
    count = min(settings.max_candidates, graph.shape(found)[0] * head.num_classes)
    best = graph.opaque("best", (scores,), "aten.topk", (count, 2, 1))
    chosen = graph.opaque("threshold", (best, found), "aten.index", (count, 2, 1))
    values = graph.opaque("chosen", (_gathered(graph, "regression", levels, 4), chosen), "aten.index", (count, 4, 1))
    anchors = graph.opaque("anchors", (chosen,), "aten.index", (count, 4, 1))
    decoded = (_from_distances if fcos else _from_deltas)(graph, values, anchors, count)
    clipped = graph.opaque("clip", (decoded,), "aten.clamp", (count, 4, 1))
    kept = graph.opaque("nms", (clipped, chosen), "torchvision.nms", (settings.max_detections, 1, 1))
    graph.opaque("results", (clipped, chosen, kept), "aten.index", (settings.max_detections, 6, 1))
    return graph.graph()


def _scored(graph: GraphBuilder, head: DetectionHead, levels: tuple[Level, ...], candidates: int) -> tuple[str, str]:
    """The scores of the candidates' classes, and the candidates."""
    classes, boxes = head.num_classes, sum(level.box_count for level in levels)
    background, fcos = head.class_logits > classes, isinstance(head, FCOSHead)
    ranks, factors = _gathered(graph, "logits", levels, head.class_logits), ""
    if background:
        ranks = graph.softmax("softmax", graph.view(ranks, (1, boxes, head.class_logits)))
    highest = _highest(graph, graph.view(ranks, (boxes, classes, 1)))
    if fcos:
        factors = graph.activation("centerness", _gathered(graph, "centers", levels, 1), "sigmoid")
        highest = graph.mul("ranks", graph.activation("highest.sigmoid", highest, "sigmoid"), factors)
    found = graph.opaque("candidates", (highest,), "aten.topk", (candidates, 2, 1))
    scores = graph.opaque("candidates.classes", (ranks, found), "aten.index", (candidates, classes, 1))
    if not background:
        scores = graph.activation("scores", scores, "sigmoid")
    if fcos:
        factors = graph.opaque("candidates.centerness", (factors, found), "aten.index", (candidates, 1, 1))
        scores = graph.mul("scores.mul", scores, factors)
    return scores, found


def _gathered(graph: GraphBuilder, name: str, levels: tuple[Level, ...], values: int) -> str:
    """All levels' predictions of one sort in one tensor: a copy."""
    return graph.concat(name, [graph.view(graph.input, (level.box_count, values, 1)) for level in levels])


def _highest(graph: GraphBuilder, ranks: str) -> str:
    """The best class of every box: the maximum over a window that is the whole column."""
    boxes, classes, _ = shape = graph.shape(ranks)
    window = Op("highest", "pool", (INPUT,), (shape,), (boxes, 1, 1), (classes, 1), function="max")
    return graph.paste(Fragment([window]), "", ranks)


def _from_deltas(graph: GraphBuilder, deltas: str, anchors: str, count: int) -> str:
    pair = (count, 2, 1)
    moved, grown, corner, size = (graph.view(x, pair) for x in (deltas, deltas, anchors, anchors))
    middle = graph.add("decode.middle", graph.mul("decode.move", moved, size), corner)
    limited = graph.opaque("decode.limit", (grown,), "aten.clamp", pair)
    half = graph.mul("decode.half", graph.opaque("decode.grow", (limited,), "aten.exp", pair), size)
    return _corners(graph, middle, half, half)


def _from_distances(graph: GraphBuilder, distances: str, anchors: str, count: int) -> str:
    positive = graph.activation("decode.relu", distances, "relu")
    stride, middle = graph.view(anchors, (count, 1, 1)), graph.view(anchors, (count, 2, 1))
    pair = graph.view(graph.mul("decode.scale", positive, stride), (count, 2, 1))
    return _corners(graph, middle, pair, pair)


def _corners(graph: GraphBuilder, middle: str, before: str, behind: str) -> str:
    """Boxes from their middles and what lies before and behind these."""
    count = graph.shape(middle)[0]
    corners = graph.add("decode.first", middle, before), graph.add("decode.last", middle, behind)
    pairs = [graph.view(x, (2, count, 1)) for x in corners]
    return graph.view(graph.concat("decode.corners", pairs), (count, 4, 1))
