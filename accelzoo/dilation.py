"""Finer feature maps from the same weights: strides behind a limit become dilations."""

from __future__ import annotations

from dataclasses import replace

from accelzoo.arch import Arch, Stage


def with_output_stride(arch: Arch, output_stride: int) -> Arch:
    """Returns the architecture with its last map at a stride of at most `output_stride`.

    A stage that would go below keeps the map's size; what follows its first block reads pixels further apart, so that
    every output still sees the same field (Yu & Koltun 2016, §2; the rule of timm's networks).

    Raises:
        ValueError: If `output_stride` is no power of two, or the stem alone goes further.
    """
    if output_stride < 1 or output_stride & (output_stride - 1):
        raise ValueError(f"output_stride (={output_stride}) must be a power of two")
    if arch.stem.reduction > output_stride:
        raise ValueError(f"output_stride (={output_stride}) is below the stem's own, {arch.stem.reduction}")
    stride, dilation = arch.stem.reduction, 1
    stages: list[Stage] = []
    for stage in arch.stages:
        block = stage.block
        if stride * block.stride <= output_stride:
            stride *= block.stride
            stages.append(replace(stage, block=block.dilated(dilation)))
            continue
        first = block.without_stride().dilated(dilation)
        dilation *= block.stride
        stages.append(replace(stage, block=first, repeats=1))
        if stage.repeats > 1:
            rest = block.repeated().dilated(dilation)
            stages.append(Stage(block=rest, repeats=stage.repeats - 1, continued=True))
    return replace(arch, stages=tuple(stages))
