"""Block kinds, one file each; a file added here is found by itself."""

from accelzoo.blocks.base import Block, block_kinds
from accelzoo.blocks.basic import Basic
from accelzoo.blocks.bottleneck import Bottleneck
from accelzoo.blocks.conv_bn_act import ConvBnAct
from accelzoo.blocks.depthwise_separable import DepthwiseSeparable
from accelzoo.blocks.fused_ibn import FusedIBN
from accelzoo.blocks.ibn import IBN
from accelzoo.blocks.mobile_attention import MobileAttention
from accelzoo.blocks.shuffle_ibn import ShuffleIBN
from accelzoo.blocks.tucker import Tucker
from accelzoo.blocks.universal_ibn import UniversalIBN

__all__ = [
    "IBN",
    "Basic",
    "Block",
    "Bottleneck",
    "ConvBnAct",
    "DepthwiseSeparable",
    "FusedIBN",
    "MobileAttention",
    "ShuffleIBN",
    "Tucker",
    "UniversalIBN",
    "block_kinds",
]
