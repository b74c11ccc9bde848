"""A network's weights as named arrays, and their digest, which does not depend on the file they are kept in."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import numpy as np
    from torch import nn


def weights_digest(arrays: Mapping[str, np.ndarray[Any, Any]]) -> str:
    """Returns the sha256 over name, type, shape and bytes of every array, in the order of their names.

    Two trainings gave the same weights, bit for bit, if and only if their digests are equal; a safetensors file of the
    same weights may differ in its header.

    Args:
        arrays: Parameter and buffer name → array, of any shape and memory order.

    Returns:
        64 hexadecimal digits.
    """
    hasher = hashlib.sha256()
    for name in sorted(arrays):
        array = arrays[name]
        hasher.update(f"{name} {array.dtype.name} {tuple(array.shape)}\n".encode())
        hasher.update(array.tobytes(order="C"))
    return hasher.hexdigest()


def network_arrays(model: nn.Module) -> dict[str, np.ndarray[Any, Any]]:
    """Returns a network's parameters and buffers by name, as a release keeps them."""
    return {name: value.detach().cpu().contiguous().numpy() for name, value in model.state_dict().items()}
