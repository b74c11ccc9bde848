"""Latency of a fused inverted bottleneck over that of the plain one, early to late in a network, on every target.

`python benchmarks/fusion.py > benchmarks/fusion.md` writes the committed table. The peer is what was published for an
edge-TPU-like array (kernel 3, stride 1): 0.33, 0.47, 0.76, 1.35, 2.83; the shapes paired with it are ours.
"""

from __future__ import annotations

from accelzoo import estimate, list_targets
from accelzoo.blocks import IBN, Block, FusedIBN
from accelzoo.hwmodel import Graph, GraphBuilder
from accelzoo.recipes.report import markdown_table

_SHAPES = ((16, 112), (24, 56), (40, 28), (112, 14), (160, 7))  # channels, height and width
_PUBLISHED = ("0.33", "0.47", "0.76", "1.35", "2.83")


def graph_of(block: Block, pixels: int) -> Graph:
    """Returns the graph of one block on a square map with as many channels as it puts out."""
    graph = GraphBuilder((block.out_channels, pixels, pixels))
    block.lower(graph, "block", graph.input)
    return graph.graph()


def main() -> None:
    """Prints the table."""
    print("Made by `python benchmarks/fusion.py`.\n")
    rows = [("published", "", *_PUBLISHED)]
    for target in list_targets():
        for expansion in (4.0, 6.0):
            ratios = []
            for channels, pixels in _SHAPES:
                fused, plain = (
                    estimate(graph_of(kind(out_channels=channels, expansion_ratio=expansion), pixels), target).latency_s
                    for kind in (FusedIBN, IBN)
                )
                ratios.append(f"{fused / plain:.2f}")
            rows.append((target, f"{expansion:g}", *ratios))
    header = ("target", "expansion", *(f"{pixels}²×{channels}" for channels, pixels in _SHAPES))
    print(markdown_table(header, rows), end="")


if __name__ == "__main__":
    main()
