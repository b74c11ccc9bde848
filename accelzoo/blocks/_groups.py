"""Groups of a convolution, given as channels per group."""

from __future__ import annotations

from accelzoo.errors import ShapeError


def check_group_size(group_size: int | None) -> None:
    """Refuses a group size below 1.

    Raises:
        ValueError: If it is.
    """
    if group_size is not None and group_size < 1:
        raise ValueError(f"group_size (={group_size}) must be at least 1, or null for a dense convolution")


def count_groups(group_size: int | None, channels: int) -> int:
    """Number of groups of `group_size` channels; one group without a size.

    Raises:
        ShapeError: If the size does not divide the channels.
    """
    if group_size is None:
        return 1
    if channels % group_size:
        raise ShapeError(f"group_size (={group_size}) must divide the {channels} channels that are grouped")
    return channels // group_size
