"""Plain arrays per position and per pair of neighbours: checked, and made into layers."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Mapping, Sequence

import numpy as np
import numpy.typing as npt

from accelzoo.errors import ConfigError

Floats = npt.NDArray[np.float64]
Indices = npt.NDArray[np.int64]
Singles = dict[str, list[Floats]]
Pairs = dict[str, list[Floats | None]]


def numbers(
    each: Mapping[str, Sequence[npt.ArrayLike]], between: Mapping[str, Sequence[npt.ArrayLike | None]]
) -> tuple[tuple[str, ...], tuple[int, ...], Singles, Pairs]:
    """Reads and checks the arrays of `AdditiveTable.of`.

    Returns:
        Names of the columns, number of choices of each position, arrays per position, arrays per pair of neighbours.

    Raises:
        ConfigError: All faults.
    """
    faults: list[str] = []
    singles = {name: [_array(f"column {name!r}, position {i}", x, 1, faults) for i, x in enumerate(given)]
               for name, given in each.items()}  # fmt: skip
    pairs = {
        name: [None if x is None else _array(f"column {name!r}, positions {i} and {i + 1}", x, 2, faults)
               for i, x in enumerate(given)]
        for name, given in between.items()
    }  # fmt: skip
    if faults:
        raise ConfigError(faults)
    sizes = _sizes(singles, pairs)
    for name, arrays in singles.items():
        shapes = [len(array) for array in arrays]
        if shapes != list(sizes):
            faults.append(f"column {name!r}: choices per position {shapes} must be {list(sizes)}, as in other columns")
    for name, tables in pairs.items():
        if len(tables) != len(sizes) - 1:
            faults.append(f"column {name!r}: {len(tables)} tables between {len(sizes)} positions; {len(sizes) - 1} fit")
        for i, (table, wanted) in enumerate(zip(tables, itertools.pairwise(sizes), strict=False)):
            if table is not None and table.shape != wanted:
                what = f"column {name!r}, positions {i} and {i + 1}"
                faults.append(f"{what}: shape {table.shape} must be {wanted}: their choices")
    faults += [f"position {i} has no choice" for i, size in enumerate(sizes) if not size]
    if not sizes or faults:
        raise ConfigError(faults or ["an additive problem needs at least one position and one column"])
    return tuple(dict.fromkeys([*singles, *pairs])), sizes, singles, pairs


def layers_of(
    columns: Sequence[str], sizes: Sequence[int], singles: Singles, pairs: Pairs
) -> Iterator[tuple[Indices, Indices, Indices, Floats]]:
    """Yields choices, source, target and values of the arcs of each position.

    Where a table stands between two positions, the state between them is the first one's choice.
    """
    joined = [any(tables[i] is not None for tables in pairs.values()) for i in range(len(sizes) - 1)]
    for i, size in enumerate(sizes):
        before = sizes[i - 1] if i and joined[i - 1] else 1
        source, choice = (index.reshape(-1) for index in np.indices((before, size)))
        values = np.zeros((before * size, len(columns)))
        for column, name in enumerate(columns):
            if name in singles:
                values[:, column] = singles[name][i][choice]
            table = pairs[name][i - 1] if i and name in pairs else None
            if table is not None:
                values[:, column] += table[source, choice]
        target = choice if i < len(sizes) - 1 and joined[i] else np.zeros_like(choice)
        yield choice[:, None], source, target, values


def _sizes(singles: Singles, pairs: Pairs) -> tuple[int, ...]:
    if singles:
        return tuple(len(array) for array in next(iter(singles.values())))
    tables = next(iter(pairs.values()), [])
    if not pairs:
        return ()
    if not tables or any(table is None for table in tables):
        raise ConfigError(["without a column in `each`, the first one of `between` must have every table"])
    shapes = [table.shape for table in tables if table is not None]
    return (shapes[0][0], *[shape[1] for shape in shapes])


def _array(what: str, given: npt.ArrayLike, dimensions: int, faults: list[str]) -> Floats:
    try:
        raw = np.asarray(given)
        array = raw.astype(np.float64)
    except (TypeError, ValueError):
        faults.append(f"{what}: {given!r} are no numbers")
        return np.zeros((1,) * dimensions)
    if array.ndim != dimensions:
        faults.append(f"{what}: shape {array.shape} must have {dimensions} axis or axes: one per position concerned")
        return np.zeros((1,) * dimensions)
    for place in np.argwhere(~np.isfinite(array)).tolist():
        faults.append(f"{what}, choice {', '.join(map(str, place))}: {array[tuple(place)]} is no finite number")
    if np.issubdtype(raw.dtype, np.integer) and len(raw.reshape(-1)) and np.abs(array).max() > 2**53:
        faults.append(f"{what}: whole numbers beyond 2⁵³ cannot be added exactly")
    return array
