"""What `tell` was given, checked as whole arrays: for algorithms that are told thousands of values at once."""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt

from accelzoo.errors import ShapeError
from accelzoo.search.genomes import checked_matrix
from accelzoo.search.space import GenomeMatrix


def checked_told(
    genomes: npt.ArrayLike, values: npt.ArrayLike, sizes: tuple[int, ...]
) -> tuple[GenomeMatrix, npt.NDArray[np.float64]]:
    """Returns genomes and values as arrays.

    Args:
        genomes: Integers `(n, len(sizes))`.
        values: `(n,)` for one objective, else `(n, objectives)`; higher is better, a candidate without values has −inf
            in all of them.
        sizes: The number of choices of each position.

    Returns:
        int64 `(n, len(sizes))` and float64 `(n, objectives)`.

    Raises:
        ShapeError: If the shapes or the choices do not fit `sizes`.
        ValueError: If a value is NaN or +inf, or −inf beside a number.
    """
    matrix = np.asarray(genomes)
    fits = matrix.ndim == 2 and matrix.shape[1] == len(sizes) and np.issubdtype(matrix.dtype, np.integer)
    # As unsigned, a negative choice is a huge one: one comparison finds both.
    if not fits or (matrix.astype(np.int64, copy=False).view(np.uint64) >= np.array(sizes, np.uint64)).any():
        checked_matrix(matrix, sizes)  # says which choice of which genome
    table = np.asarray(values, np.float64)
    if table.ndim not in (1, 2) or len(table) != len(matrix) or table.shape[1:] == (0,):
        raise ShapeError(
            f"values of shape {table.shape} must have shape ({len(matrix)},), or ({len(matrix)}, objectives): "
            "one for each genome"
        )
    table = table.reshape(len(matrix), -1) if len(matrix) else table.reshape(0, *(table.shape[1:] or (1,)))
    if not np.isfinite(table).all():
        _check_infinite(matrix, table)
    return matrix.astype(np.int64, copy=False), table


def _check_infinite(matrix: GenomeMatrix, table: npt.NDArray[np.float64]) -> None:
    for row, found in zip(matrix.tolist(), table.tolist(), strict=True):
        if not all(value < math.inf for value in found):
            raise ValueError(f"the values of genome {tuple(row)} are {found}: they must be numbers or -inf")
        if -math.inf in found and set(found) != {-math.inf}:
            raise ValueError(f"the values of genome {tuple(row)} are {found}: either all of them are -inf or none")
