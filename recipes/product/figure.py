"""Where the pictures of a product run are drawn and saved."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from accelzoo.errors import AccelzooError
from accelzoo.recipes.channel_plot import DOTS_PER_INCH, STYLE
from accelzoo.recipes.validation_plot import require

if TYPE_CHECKING:
    from matplotlib.figure import Figure


def draw_figure(path: Path, size: tuple[float, float], fill: Callable[[Figure], None]) -> None:
    """Draws into a file, over one that is there already; equal pictures are equal files.

    Args:
        path: The .png or .svg to write.
        size: Width and height in inches.
        fill: Draws on the empty figure.

    Raises:
        AccelzooError: If matplotlib is not installed, or the file cannot be written.
    """
    require()
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    # From the defaults on: a tool that has timed a network in this process may have set its own style (ZigZag does).
    with pyplot.rc_context():
        pyplot.rcdefaults()
        pyplot.rcParams.update({**STYLE, "svg.hashsalt": "accelzoo"})
        figure = pyplot.figure(figsize=size, dpi=DOTS_PER_INCH, layout="constrained")
        try:
            fill(figure)
            figure.savefig(path, metadata={"Date": None} if path.suffix == ".svg" else {"Software": None})
        except (OSError, ValueError) as error:
            raise AccelzooError(f"{path}: cannot be written: {getattr(error, 'strerror', None) or error}") from None
        finally:
            pyplot.close(figure)
