"""Training curves: loss and validation score of every training whose history the run has kept."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from accelzoo.errors import DataError
from accelzoo.recipes.folder import RunFolder
from accelzoo.recipes.page.altair_parts import data, plain
from accelzoo.recipes.page.figure import Absent, AnyFigure, Figure, Panel, Table
from accelzoo.recipes.page.material import Material
from accelzoo.recipes.page.theme import SERIES
from accelzoo.training.result import EpochRecord

NAME, TITLE = "curves", "Training curves"
_SHORT = ("trial-", "finalist-", "slimmable", "narrowed", "pretrain-")
_DIGITS = 12  # of a network's digest in the name of its training


@dataclass(frozen=True, slots=True, kw_only=True)
class Curve:
    """One training.

    Args:
        name: The training's name in the run.
        network: The network that it trained.
        points: (epochs done, mean training loss, validation score or None), ascending.
    """

    name: str
    network: str
    points: tuple[tuple[int, float, float | None], ...]

    @property
    def is_short(self) -> bool:
        """Whether it served to choose, not to make what is released."""
        return self.name.startswith(_SHORT)


def read_curves(material: Material) -> list[Curve]:
    """Returns the trainings whose history is in the run's folder, by name.

    Raises:
        DataError: If a history cannot be read.
    """
    folder, found = RunFolder(material.folder), {}
    for path in sorted(folder.path.glob("trainings/*/checkpoint.json")):
        found[path.parent.name] = _history(path, ("scalars", "history"))
    for path in sorted(folder.jobs.glob("*.json")):
        if history := _history(path, ("result", "history")):
            found[path.stem] = history
    names = _names(material)
    return [Curve(name=name, network=_network(name, names), points=tuple(points))
            for name, points in sorted(found.items()) if points]  # fmt: skip


def curve_figure(material: Material) -> AnyFigure:
    """Returns the figure, or why there is none."""
    if material.digest is not None:
        reason = "A release has none: the run that made it keeps them in its folder."
        return Absent(name=NAME, title=TITLE, reason=reason)
    curves = read_curves(material)
    if not curves:
        return Absent(name=NAME, title=TITLE, reason="The run's folder has no history of a training.")
    panels = []
    for what, chosen in (("trainings", [c for c in curves if not c.is_short]),
                         ("short trainings, to choose by", [c for c in curves if c.is_short])):  # fmt: skip
        if any(score is not None for curve in chosen for _, _, score in curve.points):
            panels.append(_panel(f"{what}: validation score", "validation score (%)", 2, 100.0, chosen))
        if chosen:
            panels.append(_panel(f"{what}: loss", "training loss", 1, 1.0, chosen))
    return Figure(name=NAME, title=TITLE, panels=panels)


def _history(path: Path, keys: tuple[str, str]) -> list[tuple[int, float, float | None]]:
    try:
        value: Any = json.loads(path.read_bytes())
        records = value[keys[0]].get(keys[1], [])
        return [(int(one["epoch"]), float(one["loss"]), _score(one)) for one in records]
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise DataError(f"{path}: no history of a training: {error}") from None


def _score(record: Mapping[str, Any]) -> float | None:
    """The score of an epoch, as a job keeps it (`TrainResult.curve`) or as a checkpoint does."""
    if "score" in record:
        return None if record["score"] is None else float(record["score"])
    return EpochRecord.from_json(dict(record)).point()["score"]


def _names(material: Material) -> dict[str, str]:
    """Beginning of a network's digest → what the run calls it."""
    networks = {} if material.lock is None else material.lock["search"].get("networks", {})
    return {digest.removeprefix("sha256:")[:_DIGITS]: name for name, digest in networks.items()}


def _network(training: str, names: Mapping[str, str]) -> str:
    """`V1` of `train-9e61cbd2bf77-seed0`, `winner` of `winner-seed2`, `candidate 21` of `finalist-candidate21`."""
    found = next((name for digest, name in names.items() if digest in training), None)
    if found is not None:
        return found
    bare = training.rsplit("-seed", 1)[0].removeprefix("finalist-")
    return "baseline" if bare.startswith("baseline") else bare


def _panel(title: str, label: str, column: int, scale: float, curves: list[Curve]) -> Panel:
    import altair as alt

    networks = list(dict.fromkeys(curve.network for curve in curves))
    others = [name for name in networks if name not in ("baseline", "original")]
    roles = {name: "@baseline" if name not in others else None for name in networks}
    rest = [role for role in SERIES if role != "@baseline"]
    colours = {name: role or rest[others.index(name) % len(rest)] for name, role in roles.items()}
    rows: list[dict[str, Any]] = []
    for curve in curves:
        for point in curve.points:
            value = point[column]
            if value is not None:
                rows.append({"x": point[0], "y": round(scale * value, 5), "who": curve.name, "network": curve.network})
    lines = alt.Chart(data(rows)).mark_line(strokeWidth=1.4, point=alt.OverlayMarkDef(size=14)).encode(
        alt.X("x:Q", title="epochs", axis=alt.Axis(tickMinStep=1)),
        alt.Y("y:Q", title=label, scale=alt.Scale(zero=False)),
        alt.Color("network:N", title=None, scale=alt.Scale(domain=networks, range=[*colours.values()])),
        alt.Detail("who:N"),
        tooltip=[alt.Tooltip("who:N", title="training"), alt.Tooltip("x:Q", title="epochs"),
                 alt.Tooltip("y:Q", title=label, format=".4~g")],
    )  # fmt: skip
    last = {row["who"]: row for row in rows}
    return Panel(
        title=title,
        spec=plain(lines),
        summary=f"Line chart of {len(last)} trainings of {len(networks)} networks.",
        table=Table(header=("training", "network", ">epochs", f">{label}"),
                    rows=[(name, row["network"], str(row["x"]), f"{row['y']:.4g}") for name, row in last.items()]),
    )  # fmt: skip
