"""The torch modules of attention over the pixels of a map, with timm's parameter names."""

from __future__ import annotations

from collections import OrderedDict
from typing import TYPE_CHECKING

import torch
from torch import nn

from accelzoo import modules
from accelzoo.layers import Conv

if TYPE_CHECKING:
    from accelzoo.blocks.mobile_attention import MobileAttention


def mobile_attention(block: MobileAttention, in_channels: int) -> nn.Module:
    """Makes the module of a mobile attention block: norm, attention and layer scale, with the input added or not."""
    attend = MultiQueryAttention if block.multi_query else MultiHeadAttention
    parts: OrderedDict[str, nn.Module] = OrderedDict()
    parts["norm"] = modules.norm_act(in_channels, "")
    parts["attn"] = attend(block, in_channels)
    if block.layer_scale is not None:
        parts["layer_scale"] = modules.layer_scale(block.out_channels, block.layer_scale)
    return modules.Residual(parts) if block.adds_input(in_channels) else nn.Sequential(parts)


class MultiQueryAttention(nn.Module):
    """Attention whose heads share keys and values: `(batch, in_channels, h, w)` → `(batch, out_channels, h, w)`.

    The heads' queries are rows of one matrix, so that a single product of matrices serves them all.

    Source: Shazeer 2019, §3; strided keys, values and queries as in MobileNetV4 (Qin et al. 2024, §4.2).
    """

    def __init__(self, block: MobileAttention, in_channels: int) -> None:
        super().__init__()
        self.heads = block.heads
        inner = block.head_width(in_channels)
        self.query = nn.Sequential()
        if block.query_stride > 1:
            self.query.add_module("down_pool", nn.AvgPool2d(block.query_stride))
            self.query.add_module("norm", modules.norm_act(in_channels, ""))
        self.query.add_module("proj", _projection(in_channels, block.heads * inner))
        self.key = _shared(block, in_channels, inner)
        self.value = _shared(block, in_channels, inner)
        self.output = nn.Sequential()
        if block.query_stride > 1:
            enlarge = nn.Upsample(scale_factor=block.query_stride, mode="bilinear", align_corners=False)
            self.output.add_module("upsample", enlarge)
        self.output.add_module("proj", _projection(block.heads * inner, block.out_channels))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Lets every pixel read all others."""
        query, key, value = self.query(x), self.key(x), self.value(x)
        batch, _, height, width = query.shape
        inner = key.shape[1]
        rows = query.reshape(batch, self.heads, inner, height * width).transpose(2, 3).reshape(batch, -1, inner)
        y = _attend(rows, key.flatten(2), value.flatten(2).transpose(1, 2))
        y = y.reshape(batch, self.heads, height * width, inner).transpose(2, 3)
        y = y.reshape(batch, self.heads * inner, height, width)
        return self.output(y)


class MultiHeadAttention(nn.Module):
    """Attention whose heads have their own keys and values, all projected at once; shapes as in multi-query attention.

    Source: Vaswani et al. 2017, §3.2.2.
    """

    def __init__(self, block: MobileAttention, in_channels: int) -> None:
        super().__init__()
        self.heads = block.heads
        inner = block.heads * block.head_width(in_channels)
        self.qkv = _projection(in_channels, 3 * inner)
        self.proj = _projection(inner, block.out_channels)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Lets every pixel read all others."""
        batch, _, height, width = x.shape
        parts = self.qkv(x).reshape(batch, 3, self.heads, -1, height * width)
        query, key, value = parts[:, 0].flatten(0, 1), parts[:, 1].flatten(0, 1), parts[:, 2].flatten(0, 1)
        y = _attend(query.transpose(1, 2), key, value.transpose(1, 2))
        y = y.transpose(1, 2).reshape(batch, -1, height, width)
        return self.proj(y)


def _attend(query: torch.Tensor, key: torch.Tensor, value: torch.Tensor) -> torch.Tensor:
    """Scaled dot-product attention: `(n, rows, d)`, `(n, d, keys)`, `(n, keys, d)` → `(n, rows, d)`.

    Spelled out rather than one fused operator, so that exporters and quantisers see what an accelerator runs.
    """
    scores = (query * query.shape[-1] ** -0.5) @ key
    return scores.softmax(-1) @ value


def _projection(in_channels: int, out_channels: int) -> nn.Conv2d:
    return modules.conv2d(in_channels, Conv("proj", out_channels))


def _shared(block: MobileAttention, in_channels: int, inner: int) -> nn.Sequential:
    parts: OrderedDict[str, nn.Module] = OrderedDict()
    if block.kv_stride > 1:
        parts["down_conv"] = modules.conv2d(in_channels, block.down_conv(in_channels))
        parts["norm"] = modules.norm_act(in_channels, "")
    parts["proj"] = _projection(in_channels, inner)
    return nn.Sequential(parts)
