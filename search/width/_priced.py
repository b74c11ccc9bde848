"""What every factor of a space costs at every width on a target."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from accelzoo.errors import AccelzooError
from accelzoo.hwmodel import Target, estimate
from accelzoo.hwmodel.estimate import live_bytes
from accelzoo.search.width.sampling import covering_genomes
from accelzoo.search.width.space import WidthSpace

Floats = npt.NDArray[np.float64]


def price_factors(
    space: WidthSpace, target: Target, columns: Sequence[str], seed: int
) -> tuple[dict[str, list[Floats]], list[Floats]]:
    """Prices networks that cover all pairs of widths, and takes them apart into factors.

    Args:
        space: The widths.
        target: The accelerator.
        columns: Fields of `OpCost` to sum over a factor's operators.
        seed: Draws the networks; where a price depends on more than the factor, the last network's counts, and of the
            bytes alive the largest.

    Returns:
        Column → for every factor its values, and for every factor the most activation bytes alive, both
        `(choices of its groups…,)`.

    Raises:
        AccelzooError: If the target cannot run an operator.
    """
    shapes = [tuple([space.sizes[group] for group in factor.groups]) for factor in space.factors]
    tables = {name: [np.zeros(shape) for shape in shapes] for name in columns}
    peaks = [np.zeros(shape) for shape in shapes]
    for genome in covering_genomes(space, seed=seed).tolist():
        graph = space.decode(tuple(genome)).lower()
        cost = estimate(graph, target)
        if cost.unpriced:
            raise AccelzooError(f"target {target.name!r} cannot run {', '.join(cost.unpriced)}")
        live = live_bytes(graph, target)
        for index, factor in enumerate(space.factors):
            place = tuple([genome[group] for group in factor.groups])
            peaks[index][place] = max(peaks[index][place], *[live[op] for op in factor.operators])
            for name in columns:
                total = 0.0
                for op in factor.operators:
                    total += getattr(cost.by_op[op], name)
                tables[name][index][place] = total
    return tables, peaks
