"""AccelNet: a trunk with a classification head, under the model contract that timm's tools rely on."""

from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import replace
from typing import Any, Literal, overload

import torch
from timm.layers import SelectAdaptivePool2d
from torch import nn

from accelzoo.arch import Arch
from accelzoo.heads import ClassificationHead
from accelzoo.trunk import Trunk, set_norm_eps

Intermediates = list[torch.Tensor]
JOIN_GROUP_BEFORE = (99999,)  # timm's mark for parameters that share the group of those before them


class AccelNet(Trunk):
    """A classifier: `(batch, channels, height, width)` images → `(batch, num_classes)` logits.

    `num_features` is the width of the map that `forward_features` returns, `head_hidden_size` that of what the
    classifier reads; they differ where the head's convolution stands behind the pool.

    Raises:
        TypeError: If the architecture's head is no classification head.
        ValueError: If `output_stride` does not fit the architecture.
    """

    conv_head: nn.Module  # only where the head has a hidden width
    global_pool: SelectAdaptivePool2d
    classifier: nn.Module

    def __init__(self, arch: Arch, global_pool: str = "avg", output_stride: int | None = None) -> None:
        head = classification_head(arch)
        super().__init__(arch, output_stride)
        channels = self.feature_info[-1]["num_chs"]
        self.drop_rate = head.drop_rate
        self._head_names = [layer.name for layer in head.hidden_layers()]
        self._pool_first = head.pool_first and bool(self._head_names)
        self.num_features = channels if self._pool_first else head.features(channels)
        self.head_hidden_size = head.features(channels)
        width = channels * SelectAdaptivePool2d(pool_type=global_pool).feat_mult() if self._pool_first else channels
        for layer in head.hidden_layers():
            self.add_module(layer.name, layer.build(width))
            width = layer.out_channels
        self._set_classifier(head.num_classes, global_pool)
        set_norm_eps(self, arch.norm_eps)

    def _set_classifier(self, num_classes: int, pool_type: str) -> None:
        pool = SelectAdaptivePool2d(pool_type=pool_type, flatten=bool(pool_type) and not self._pool_first)
        pooled = self.num_features * pool.feat_mult()
        if not self._pool_first:
            self.head_hidden_size = pooled
        elif pooled != self.conv_head.in_channels:
            raise ValueError(
                f"global_pool {pool_type!r} gives {pooled} features; the head's convolution behind it takes "
                f"{self.conv_head.in_channels}"
            )
        like = next(self.parameters())
        classifier = nn.Linear(self.head_hidden_size, num_classes) if num_classes else nn.Identity()
        self.num_classes = num_classes
        self.global_pool = pool.train(self.training)
        self.classifier = classifier.to(like.device, like.dtype).train(self.training)

    def get_classifier(self) -> nn.Module:
        """The last layer."""
        return self.classifier

    def reset_classifier(self, num_classes: int, global_pool: str | None = None) -> None:
        """Replaces the last layer by a fresh one for `num_classes`, and the pool if another kind is named.

        Args:
            num_classes: Outputs of the fresh layer; 0 removes it.
            global_pool: timm's name of a pool; an empty one leaves maps unpooled, None leaves the pool alone.

        Raises:
            ValueError: If a convolution stands behind the pool, and the pool would change the width that it reads.
        """
        self._set_classifier(num_classes, self.global_pool.pool_type if global_pool is None else global_pool)
        self.arch = replace(self.arch, head=replace(self.arch.head, num_classes=num_classes))

    def forward_features(self, x: torch.Tensor) -> torch.Tensor:
        """Maps images to the feature map `(batch, num_features, height, width)` before the pool."""
        x = self.forward_blocks(self.forward_stem(x))
        return x if self._pool_first else self._forward_hidden(x)

    def _forward_hidden(self, x: torch.Tensor) -> torch.Tensor:
        for name in self._head_names:
            x = getattr(self, name)(x)
        return x

    def forward_head(self, x: torch.Tensor, pre_logits: bool = False) -> torch.Tensor:
        """Pools a feature map and classifies it; `pre_logits` stops before the classifier."""
        x = self.global_pool(x)
        if self._pool_first:
            x = self._forward_hidden(x)
            x = x.flatten(1) if self.global_pool.pool_type else x
        if self.drop_rate:
            x = nn.functional.dropout(x, self.drop_rate, self.training)
        return x if pre_logits else self.classifier(x)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Classifies images."""
        return self.forward_head(self.forward_features(x))

    @overload
    def forward_intermediates(
        self,
        x: torch.Tensor,
        indices: int | Sequence[int] | None = ...,
        norm: bool = ...,
        stop_early: bool = ...,
        output_fmt: str = ...,
        intermediates_only: Literal[False] = ...,
        extra_blocks: bool = ...,
    ) -> tuple[torch.Tensor, Intermediates]: ...

    @overload
    def forward_intermediates(
        self,
        x: torch.Tensor,
        indices: int | Sequence[int] | None = ...,
        norm: bool = ...,
        stop_early: bool = ...,
        output_fmt: str = ...,
        *,
        intermediates_only: Literal[True],
        extra_blocks: bool = ...,
    ) -> Intermediates: ...

    def forward_intermediates(
        self,
        x: torch.Tensor,
        indices: int | Sequence[int] | None = None,
        norm: bool = False,
        stop_early: bool = False,
        output_fmt: str = "NCHW",
        intermediates_only: bool = False,
        extra_blocks: bool = False,
    ) -> tuple[torch.Tensor, Intermediates] | Intermediates:
        """Maps images to some of their feature maps, from the finest to the coarsest.

        Args:
            x: Images `(batch, channels, height, width)`.
            indices: Entries of `feature_info`; the last so many for a number, all for None.
            norm: Has no effect: every map is normalised already.
            stop_early: Leave out the blocks behind the last map wanted.
            output_fmt: "NCHW" is the only layout.
            intermediates_only: Return the maps alone.
            extra_blocks: Count every group of blocks, with 0 for the stem, instead of the entries of `feature_info`.

        Returns:
            What `forward_features` returns (with `stop_early`, the last map computed) and the maps; or the maps.

        Raises:
            ValueError: If another layout is asked for.
        """
        if output_fmt != "NCHW":
            raise ValueError(f"output_fmt (={output_fmt!r}) must be 'NCHW'")
        taken = self._taken_groups(indices, extra_blocks)
        last = max(taken) if stop_early else len(self.blocks)
        maps = self.forward_groups(x, {*taken, last}, last)
        intermediates = [maps[group] for group in sorted(taken) if group in maps]
        if intermediates_only:
            return intermediates
        final = maps[last]
        if last == len(self.blocks) and not self._pool_first:
            final = self._forward_hidden(final)
        return final, intermediates

    def prune_intermediate_layers(
        self,
        indices: int | Sequence[int] = 1,
        prune_norm: bool = False,
        prune_head: bool = True,
        extra_blocks: bool = False,
    ) -> list[int]:
        """Removes what feature maps do not need; `arch` then still describes the whole network.

        Args:
            indices: The maps, counted as in `forward_intermediates`.
            prune_norm: Also remove the convolution between the last map and the pool.
            prune_head: Remove the head.
            extra_blocks: As in `forward_intermediates`.

        Returns:
            The indices, none of them negative.
        """
        count = len(self.blocks) + 1 if extra_blocks else len(self.feature_info)
        taken = take_indices(count, indices)
        last = max(self._taken_groups(indices, extra_blocks))
        cut = last < len(self.blocks)
        self.blocks = self.blocks[:last]
        if cut or prune_head or (prune_norm and not self._pool_first):
            for name in self._head_names:
                delattr(self, name)
            self._head_names = []
            self._pool_first = False
            self.num_features = self.head_hidden_size = self._channels[last]
            self._set_classifier(0, "")
        return taken

    def _taken_groups(self, indices: int | Sequence[int] | None, extra_blocks: bool) -> list[int]:
        """Groups of blocks, 0 being the stem, for indices into them or into `feature_info`."""
        if extra_blocks:
            return take_indices(len(self.blocks) + 1, indices)
        return [self.feature_info[index]["stage"] for index in take_indices(len(self.feature_info), indices)]

    def group_matcher(self, coarse: bool = False) -> dict[str, Any]:
        """Patterns of parameter names, from the input to the output, for learning rates that differ by depth.

        A convolution before the pool goes with the last blocks; what stands behind the pool, with the classifier.

        Args:
            coarse: One group per group of blocks instead of one per block.
        """
        blocks: list[tuple[str, tuple[int, ...] | None]] = [
            (r"^blocks\.(\d+)" if coarse else r"^blocks\.(\d+)\.(\d+)", None)
        ]
        if self._head_names and not self._pool_first:
            blocks.append((rf"^(?:{'|'.join(self._head_names)})\.", JOIN_GROUP_BEFORE))
        return {"stem": rf"^(?:{'|'.join(self._stem_names)})\.", "blocks": blocks}

    def as_sequential(self) -> nn.Sequential:
        """The same modules, under the same names, one after the other."""
        hidden = [(name, getattr(self, name)) for name in self._head_names]
        layers = [(name, getattr(self, name)) for name in self._stem_names]
        layers.append(("blocks", self.blocks))
        if self._pool_first:
            flatten = nn.Flatten(1) if self.global_pool.pool_type else nn.Identity()
            layers += [("global_pool", self.global_pool), *hidden, ("flatten", flatten)]
        else:
            layers += [*hidden, ("global_pool", self.global_pool)]
        layers += [("drop", nn.Dropout(self.drop_rate)), ("classifier", self.classifier)]
        sequential = nn.Sequential(OrderedDict(layers))
        sequential.training = self.training
        sequential.get_submodule("drop").train(self.training)
        return sequential

    def __prepare_scriptable__(self) -> nn.Sequential:
        """What `torch.jit.script` compiles: it cannot read modules by computed names."""
        return self.as_sequential()


def take_indices(count: int, indices: int | Sequence[int] | None) -> list[int]:
    """Returns which of `count` things are meant: all for None, the last so many for a number, or those listed.

    Raises:
        IndexError: If there are not so many.
    """
    if isinstance(indices, int):
        wanted: Sequence[int] = range(count - indices, count)
        fits = 0 < indices <= count
    else:
        wanted = range(count) if indices is None else indices
        fits = len(wanted) > 0 and all(-count <= index < count for index in wanted)
    if not fits:
        raise IndexError(f"indices (={indices!r}) do not fit: there are {count} feature maps, 0 to {count - 1}")
    return [index % count for index in wanted]


def classification_head(arch: Arch) -> ClassificationHead:
    """The architecture's head, which must be one for classification.

    Raises:
        TypeError: If it is another kind of head.
    """
    if not isinstance(arch.head, ClassificationHead):
        raise TypeError(f"AccelNet classifies; it cannot carry a {type(arch.head).__name__}")
    return arch.head
