"""The MobileDet backbones as operator graphs, and the detectors on them beside what was published.

`python benchmarks/mobiledet.py` prints the table; it needs torch.
"""

from __future__ import annotations

from accelzoo import get_arch
from accelzoo.families.mobiledet import FAMILY
from accelzoo.hwmodel import Graph
from accelzoo.recipes.report import markdown_table

BACKBONES = ("cpu", "edgetpu", "dsp", "gpu")


def backbone(name: str, pixels: int = 320) -> Graph:
    """Returns a backbone, up to its last feature map, for square images."""
    classifier = get_arch(f"mobiledet_{name}", input_size=pixels, num_classes=0).lower()
    *ops, _pool = classifier.ops
    return Graph(ops, classifier.input_shape)


def detector_size(name: str) -> tuple[int, int]:
    """Returns the MACs of a detector, and its parameters as TensorFlow counts them: with the running statistics."""
    import torch

    from accelzoo.build import build

    arch = get_arch(name)
    with torch.device("meta"):
        model = build(arch)
    counted = [*model.parameters(), *(buffer for buffer in model.buffers() if buffer.ndim)]
    return arch.lower().macs, sum(tensor.numel() for tensor in counted)


def main() -> None:
    """Prints the table."""
    rows = []
    for name, (published, *_) in FAMILY.published.items():
        macs, parameters = detector_size(name)
        published_macs, published_parameters = published.macs or 0, published.parameters or 0
        figures = published_macs / 1e9, macs / 1e9, published_parameters / 1e6, parameters / 1e6
        rows.append((name, *(f"{figure:.2f}" for figure in figures)))
    header = ("detector", "published MACs (G)", "ours", "published parameters (M)", "ours")
    print(markdown_table(header, rows), end="")


if __name__ == "__main__":
    main()
