"""Any `torch.nn.Module` → the operator graph that the hardware model prices."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from accelzoo.errors import AccelzooError, ShapeError
from accelzoo.hwmodel.ir import Graph, Shape

if TYPE_CHECKING:
    from torch import nn


class UnmappedOperatorError(AccelzooError):
    """A module runs operators that no kind of the graph stands for; the message lists them."""


def from_module(module: nn.Module, input_shape: Sequence[int], *, strict: bool = False) -> Graph:
    """Imports a module by running it once, in evaluation mode, on an image that has a shape but no numbers.

    Nothing is computed and the module stays as it is: its weights are not read, moved or copied (they may lie on the
    meta device). What depends on weights alone is left out: it is computed once, before any inference. Then:

    - Batch normalisation, layer scale and constant factors or terms fold into the convolution or linear layer before
      them, factors also into what reads them; one that cannot fold is a depthwise convolution 1×1.
    - Padding folds into the convolution or pool after it.
    - Views (reshape, permute, slices) are no operators, also where a device would have to copy; an expansion is one
      only where the next operator does not broadcast by itself, and rolling or gathering is a `concat` of one input.
    - Linear layers over tokens are convolutions 1×1; attention is `matmul`, `softmax`, `matmul`; means over positions
      are global pools, and those over channels are global pools of a view; `stack` and `repeat` are `concat`.
    - Activations that are spelled out (`x · sigmoid(x)`, `relu6(x + 3) / 6`, …) are recognised.
    - Everything else becomes an `opaque` operator named after torch's (`aten.native_layer_norm`), which no target can
      price: `Cost.unpriced` lists it. So does a sum with a constant map, such as a position embedding
      (`aten.add[constant]`).

    Weights that several operators share are counted for each of them.

    Operators are named by the path of the module that runs them, as `Arch.lower` names them.

    Args:
        module: The network; its forward pass takes one tensor `(1, channels, height, width)`.
        input_shape: `(channels, height, width)`.
        strict: Whether to refuse modules that need opaque operators.

    Returns:
        The graph at 8 bits, in the order in which the module runs.

    Raises:
        ShapeError: If the input shape is not three positive numbers, or the module computes nothing from its input.
        AccelzooError: If the forward pass fails; the message says in which module.
        UnmappedOperatorError: If `strict` and some operator is opaque; the message lists all, with counts and paths.
    """
    from accelzoo.importing import emission, folding, operators, patterns, recorder

    drafted, outputs = operators.draft(recorder.record(module, _shape(input_shape)))
    patterns.find_activations(drafted, outputs)
    folding.fold(drafted, outputs)
    graph = emission.emit(drafted, _paths_of_operators(module))
    if strict and (unmapped := opaque_operators(graph)):
        total = sum(map(len, unmapped.values()))
        lines = [f"  {len(names)} {function}: {', '.join(names)}" for function, names in unmapped.items()]
        kinds = "\n".join(lines)
        raise UnmappedOperatorError(f"{type(module).__name__} runs {total} operators that cannot be mapped:\n{kinds}")
    return graph


def opaque_operators(graph: Graph) -> dict[str, list[str]]:
    """Returns, for each function among the opaque operators of a graph, the names of those that compute it."""
    found: dict[str, list[str]] = {}
    for op in graph.ops:
        if op.kind == "opaque":
            found.setdefault(op.function, []).append(op.name)
    return found


def _shape(input_shape: Sequence[int]) -> Shape:
    sizes = tuple(input_shape)
    if len(sizes) != 3 or not all(isinstance(size, int) and size > 0 for size in sizes):
        raise ShapeError(f"input_shape {sizes} must be (channels, height, width), three positive numbers")
    return sizes


def _paths_of_operators(module: nn.Module) -> frozenset[str]:
    from torch import nn
    from torch.nn.modules.batchnorm import _NormBase

    norms = (_NormBase, nn.LayerNorm, nn.GroupNorm)
    modules = module.named_modules()
    return frozenset(path for path, child in modules if isinstance(child, norms) or not any(child.children()))
