"""An architecture in one line: what is shown when a reader points at a network."""

from __future__ import annotations

from accelzoo.arch import Arch
from accelzoo.errors import AccelzooError
from accelzoo.recipes import output
from accelzoo.recipes.run_view import RunView
from accelzoo.search.record import Record


def arch_text(arch: Arch) -> str:
    """Returns input, stem, and each stage: `3x32x32; stem 24; ibn 3x3 x6: 16, 16; fused_ibn 3x3 x4: 32`."""
    parts = [output.shape(arch.input_size), f"stem {arch.stem.out_channels}"]
    for stage in arch.groups():
        first = stage[0]
        kernel, expansion = (getattr(first, name, None) for name in ("kernel_size", "expansion_ratio"))
        size = "" if kernel is None else f" {kernel}x{kernel}"
        ratio = "" if expansion is None else f" x{expansion:g}"
        parts.append(f"{first.kind}{size}{ratio}: {', '.join(str(block.out_channels) for block in stage)}")
    return "; ".join(parts)


def candidate_text(record: Record, view: RunView) -> str:
    """Returns a candidate's architecture, or its genome where the space is not known."""
    if view.space is not None:
        try:
            return arch_text(view.space.decode(record.genome))
        except AccelzooError:  # the space has changed so much that the genome is none of its own
            pass
    return f"genome {' '.join(map(str, record.genome))}"
