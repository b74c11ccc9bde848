"""Block kinds, one file each; a file added here is found by itself."""

from accelzoo.blocks.base import Block, block_kinds
from accelzoo.blocks.conv_bn_act import ConvBnAct
from accelzoo.blocks.depthwise_separable import DepthwiseSeparable
from accelzoo.blocks.fused_ibn import FusedIBN
from accelzoo.blocks.ibn import IBN

__all__ = ["IBN", "Block", "ConvBnAct", "DepthwiseSeparable", "FusedIBN", "block_kinds"]
