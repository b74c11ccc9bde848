"""What every chart is made of: Altair's pieces, set up once."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from accelzoo.errors import AccelzooError

if TYPE_CHECKING:
    import altair


def require() -> None:
    """Raises an AccelzooError that names the extra to install if what draws is not there."""
    try:
        import altair  # noqa: F401
        import vl_convert  # noqa: F401
    except ImportError:
        raise AccelzooError("charts need altair and vl-convert: pip install 'accelzoo[plot]'") from None


def data(rows: Iterable[Mapping[str, Any]]) -> altair.Data:
    """Returns rows as the data of a chart."""
    import altair as alt

    return alt.InlineData([dict(row) for row in rows])


def plain(chart: Any) -> dict[str, Any]:
    """Returns a chart as a Vega-Lite specification without a configuration of its own."""
    spec: dict[str, Any] = chart.to_dict()
    spec.pop("config", None)
    return spec


def by_role(roles: Mapping[str, str]) -> altair.Scale:
    """Returns the scale that gives each label the colour of a role."""
    import altair as alt

    return alt.Scale(domain=[*roles], range=[*roles.values()])


def tooltips(fields: Sequence[tuple[str, str]]) -> list[altair.Tooltip]:
    """Returns what is shown on hover: pairs of a field and its title."""
    import altair as alt

    return [alt.Tooltip(field=name, type="nominal", title=title) for name, title in fields]
