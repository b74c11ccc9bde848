"""A width recipe made concrete: the space of its network's widths, and the costs that are told of them."""

from __future__ import annotations

from accelzoo.errors import ConfigError
from accelzoo.recipes.width.latency import PEAK
from accelzoo.recipes.width.schema import WidthRecipe
from accelzoo.registry import get_arch
from accelzoo.search.width import WidthSpace

CHANNELS = 3
_COLUMNS = ("weight_bytes", "macs")


def width_space(recipe: WidthRecipe, num_classes: int) -> WidthSpace:
    """Returns the widths of a recipe's network with the classes of the data.

    Raises:
        ConfigError: If the recipe's options set what follows from data and resolution.
        UnknownNameError: If there is no such network.
    """
    set_here = {"num_classes": num_classes, "input_size": (CHANNELS, recipe.resolution, recipe.resolution)}
    if twice := sorted(set_here.keys() & recipe.options.keys()):
        raise ConfigError([f"options.{name}: follows from data and resolution" for name in twice])
    arch = get_arch(recipe.network, **recipe.options, **set_here)
    return WidthSpace.from_arch(arch, recipe.ratios, divisor=recipe.divisor, fixed=recipe.fixed)


def cost_columns(recipe: WidthRecipe) -> tuple[str, ...]:
    """Returns the fields of `Cost` beside latency that a recipe's networks are told of: shown or budgeted sums."""
    return tuple(dict.fromkeys([*_COLUMNS, *[name for name in recipe.budgets if name != PEAK]]))
