"""Mobile attention of MobileNetV4's hybrid networks: attention over the pixels of a map."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from accelzoo.blocks._layer_scale import check_layer_scale
from accelzoo.blocks.base import Block
from accelzoo.errors import ShapeError
from accelzoo.hwmodel.ir import GraphBuilder
from accelzoo.layers import Conv

if TYPE_CHECKING:
    from torch import nn


@dataclass(frozen=True, slots=True, kw_only=True)
class MobileAttention(Block):
    """Normalisation, attention of `heads` heads over all pixels, and a layer scale.

    With `multi_query` all heads share one set of keys and values (Shazeer 2019, §3). Its keys and values may come from
    a map made `kv_stride` times smaller by a depthwise k×k convolution, its queries from one averaged over squares of
    `query_stride` pixels, whose result is enlarged again (Qin et al. 2024, §4.2). Without it each head has its own, all
    at full size. `head_channels` is the width of a head's queries, keys and values (None: the input channels divided by
    the heads); it is no channel count of a map and does not scale with the network's width. `layer_scale` is the
    initial value of a learned factor per output channel (None: no factor). There is no activation: the field is kept
    for the blocks that share a stage's values.

    Lowering: the normalisation folds into the projections where they alone read it, and is a depthwise convolution 1×1
    where a strided convolution or a pool reads it, also behind a linear convolution that nothing else reads and that
    a compiler could fold it into; transpositions are views; the layer scale folds.

    Memory: the attention's weights, `heads · queries · keys` bytes, twice (before and behind the softmax) beside the
    values, and with a residual the block's input throughout; on small maps the projections take more.

    Raises:
        ValueError: If a value is out of its range.
    """

    kind: ClassVar[str] = "mobile_attention"
    strides: ClassVar[tuple[int, ...]] = (1,)

    heads: int = 4
    head_channels: int | None = None
    multi_query: bool = True
    kv_stride: int = 1
    query_stride: int = 1
    layer_scale: float | None = None

    def __post_init__(self) -> None:
        super(MobileAttention, self).__post_init__()
        check_layer_scale(self.layer_scale)
        for name in ("heads", "kv_stride", "query_stride"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name} (={getattr(self, name)}) must be at least 1")
        if self.head_channels is not None and self.head_channels < 1:
            raise ValueError(f"head_channels (={self.head_channels}) must be at least 1, or null")
        for name in ("kv_stride", "query_stride"):
            if getattr(self, name) > 1 and not self.multi_query:
                raise ValueError(f"{name} (={getattr(self, name)}) must be 1 without multi_query")

    def head_width(self, in_channels: int) -> int:
        """Channels of a head's queries, keys and values.

        Raises:
            ShapeError: If the heads do not divide the input channels and no width is given.
        """
        if self.head_channels is not None:
            return self.head_channels
        if in_channels % self.heads:
            raise ShapeError(f"heads (={self.heads}) must divide the {in_channels} input channels")
        return in_channels // self.heads

    def down_conv(self, channels: int) -> Conv:
        """The depthwise convolution that makes the keys' and values' map smaller."""
        return Conv("down_conv", channels, self.kernel_size, self.kv_stride, channels, self.dilation, self.padding)

    def lower_body(self, graph: GraphBuilder, x: str) -> str:
        """Appends the attention and the sum."""
        channels, height, width = graph.shape(x)
        y = self._lower_multi_query(graph, x) if self.multi_query else self._lower_multi_head(graph, x)
        y = graph.view(y, (self.heads * self.head_width(channels), *self._query_size(height, width)))
        if self.query_stride > 1:
            y = graph.resize("attn.output.upsample", y, (height, width), "bilinear")
        y = graph.conv2d("attn.output.proj" if self.multi_query else "attn.proj", y, self.out_channels, bias=False)
        return graph.add("add", y, x) if self.adds_input(channels) else y

    def build(self, in_channels: int) -> nn.Module:
        """Makes the block's module."""
        from accelzoo import attention

        return attention.mobile_attention(self, in_channels)

    def _query_size(self, height: int, width: int) -> tuple[int, int]:
        stride = self.query_stride
        if height % stride or width % stride:
            raise ShapeError(f"query_stride (={stride}) must divide the map's sides, {height}x{width}")
        return height // stride, width // stride

    def _lower_multi_query(self, graph: GraphBuilder, x: str) -> str:
        channels, height, width = graph.shape(x)
        inner = self.head_width(channels)
        rows, columns = self._query_size(height, width)
        # a term must not reach the padding of a convolution or stand before a pool: there the norm stays an operator
        folds = self.kv_stride == 1 and self.query_stride == 1
        normed = query = x if folds else graph.conv2d("norm", x, channels, groups=channels)
        if self.query_stride > 1:
            query = graph.pool("attn.query.down_pool", normed, self.query_stride, self.query_stride, "avg")
        query_bias = folds or self.query_stride > 1
        query = graph.conv2d("attn.query.proj", query, self.heads * inner, bias=query_bias)
        key, value = (self._lower_shared(graph, normed, part, inner, folds) for part in ("key", "value"))
        _, key_rows, key_columns = graph.shape(key)
        keys = key_rows * key_columns
        scores = graph.matmul(
            "attn.matmul",
            graph.view(query, (1, self.heads * rows * columns, inner)),
            graph.view(key, (1, inner, keys)),
        )
        weights = graph.softmax("attn.softmax", scores)
        return graph.matmul("attn.matmul_1", weights, graph.view(value, (1, keys, inner)))

    def _lower_shared(self, graph: GraphBuilder, x: str, part: str, inner: int, folds: bool) -> str:
        path = f"attn.{part}."
        if self.kv_stride == 1:
            return graph.conv2d(f"{path}proj", x, inner, bias=folds)
        smaller = self.down_conv(graph.shape(x)[0]).lower(graph, path, x)
        return graph.conv2d(f"{path}proj", smaller, inner, bias=False)

    def _lower_multi_head(self, graph: GraphBuilder, x: str) -> str:
        channels, height, width = graph.shape(x)
        heads, inner, pixels = self.heads, self.head_width(channels), height * width
        projected = graph.conv2d("attn.qkv", x, 3 * heads * inner)
        query, key = graph.view(projected, (heads, pixels, inner)), graph.view(projected, (heads, inner, pixels))
        weights = graph.softmax("attn.softmax", graph.matmul("attn.matmul", query, key))
        return graph.matmul("attn.matmul_1", weights, graph.view(projected, (heads, pixels, inner)))
