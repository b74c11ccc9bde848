"""What comes after a segmentation network, apart from it: logits → the class of every pixel, and what that costs.

On accelerators this can cost as much as the network: Google's benchmark of the MobileNetEdgeTPU-v2 networks has
1.7–1.8 of 5.2–7.2 ms for an argmax that is not fused. So it is a module, a graph and a price of its own.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from accelzoo.arch import Arch
from accelzoo.hwmodel.ir import Graph, GraphBuilder

if TYPE_CHECKING:
    from accelzoo.heads._segmentation_modules import Postprocessor

__all__ = ["Postprocessor", "postprocessing_graph"]


def postprocessing_graph(arch: Arch, argmax_first: bool = False) -> Graph:
    """The operator graph of `Postprocessor` for one image, whose input are the network's logits.

    No target prices an argmax: it is an `opaque` operator, and so among `Cost.unpriced`.

    Args:
        arch: A network with a segmentation head.
        argmax_first: Whether classes are chosen before they are brought to the image's size.

    Raises:
        ValueError: If the head is not one for segmentation.
    """
    check_segments(arch)
    shape = arch.lower().ops[-1].out_shape
    graph, size = GraphBuilder(shape), arch.input_size[1:]
    resized = shape[1:] != size
    if argmax_first:
        x = graph.opaque("argmax", [graph.input], "aten.argmax", (1, *shape[1:]))
        if resized:
            graph.resize("resize", x, size, "nearest")
    else:
        x = graph.resize("resize", graph.input, size, "bilinear") if resized else graph.input
        graph.opaque("argmax", [x], "aten.argmax", (1, *size))
    return graph.graph()


def check_segments(arch: Arch) -> None:
    """Refuses an architecture whose head is not for segmentation.

    Raises:
        ValueError: Naming the head's kind and those that are.
    """
    from accelzoo.heads import head_kinds

    if arch.head.task != "segmentation":
        kinds = ", ".join(name for name, kind in head_kinds().items() if kind.task == "segmentation")
        raise ValueError(f"head {arch.head.kind!r} makes no map of classes (segmentation heads: {kinds})")


def __getattr__(name: str) -> Any:
    if name == "Postprocessor":  # needs torch, the price does not
        from accelzoo.heads._segmentation_modules import Postprocessor

        return Postprocessor
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
