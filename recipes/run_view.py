"""Reading a run's folder while it is written or afterwards: where its files are, and what its genomes mean.

A folder is a recipe's run, a release, or the folder that a search of one's own was given. Nothing in it is changed or
locked, and neither torch nor the data are loaded.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from accelzoo import config
from accelzoo.errors import AccelzooError, DataError
from accelzoo.knobs import Space
from accelzoo.recipes import output, pricing
from accelzoo.recipes.folder import RECIPE_FILE, RunFolder
from accelzoo.recipes.schema import Recipe, recipe_kind
from accelzoo.registry import get_space, list_spaces
from accelzoo.search.record import Price, Record
from accelzoo.search.trace import FILE_NAME, read_trace

_CHANNELS = 3
# Nothing in the folder of an unfinished run says how many classes its data have. The digest of the space does: one of
# these counts makes the space that was searched. ImageNet-21k in its three versions and ADE20K stand beside the small.
_CLASS_COUNTS = (*range(2, 1101), 10450, 11221, 21841, 21843)


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """Where the files of a run are.

    Attributes:
        folder: The run's folder.
        trace: The trace's file, which need not be there yet.
        recipe: The recipe's file; None for a search of one's own.
    """

    folder: Path
    trace: Path
    recipe: Path | None


def find_run(path: str | Path) -> Place:
    """Finds the parts of a run.

    Args:
        path: The folder of a recipe's run, of a search, or of a release; or a trace's file.

    Raises:
        ConfigError: If the recipe in the folder cannot be read.
        DataError: If there is neither a recipe nor a trace, or the run is of a recipe that searches no space.
    """
    path = Path(path)
    folder = path.parent if path.is_file() and path.name == FILE_NAME else path
    if not folder.is_dir():
        raise DataError(f"{path}: there is no such folder; give the one that `accelzoo run` or `search.run` writes")
    own, kept = folder / FILE_NAME, folder / RECIPE_FILE
    recipe = kept if kept.is_file() else None
    kind = None if recipe is None else recipe_kind(recipe)
    if kind == "product" and own.is_file():  # a release: its trace is that of the search that found the network
        return Place(folder=folder, trace=own, recipe=None)
    if kind is not None:
        _check_kind(folder, kind)
    if own.is_file():
        return Place(folder=folder, trace=own, recipe=recipe)
    trace = RunFolder(folder).search / FILE_NAME
    if recipe is None and not trace.is_file():
        raise DataError(f"{folder}: no run: there is neither {RECIPE_FILE} nor {FILE_NAME} nor search/{FILE_NAME}")
    return Place(folder=folder, trace=trace, recipe=recipe)


def _check_kind(folder: Path, kind: str) -> None:
    """Refuses runs that have not one search, and says where what they found is."""
    run = RunFolder(folder)
    if kind == "width":
        said = "a width run, which has no candidates of a search; its results are in"
        raise DataError(f"{folder}: {said} {run.table.name} and {run.picture.name}")
    if kind == "product":
        begun = sorted(f"{run.search.name}/{path.parent.name}" for path in run.search.glob(f"*/{FILE_NAME}"))
        said = f"a product run, which has several searches: give the folder of one ({', '.join(begun) or 'none yet'})"
        raise DataError(f"{folder}: {said}; its results are in {run.table.name}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Baseline:
    """What a recipe wants to beat, and its price."""

    name: str
    cost: Price


@dataclass(frozen=True, kw_only=True)
class RunView:
    """A run as its folder shows it.

    Attributes:
        place: Its files.
        header: How it was searched: the first line of the trace.
        recipe: What was asked for; None for a search of one's own.
        space: What was searched, if it can be told.
        baseline: The recipe's, if it can be priced.
        note: Why `space` or `baseline` is missing.
    """

    place: Place
    header: Mapping[str, Any]
    recipe: Recipe | None = None
    space: Space | None = None
    baseline: Baseline | None = None
    note: str | None = None

    @classmethod
    def of(cls, place: Place, header: Mapping[str, Any]) -> RunView:
        """Says what the header of a run's trace is about.

        Raises:
            ConfigError: If the recipe in the folder cannot be read.
        """
        if place.recipe is None:
            space = next((space for space in map(get_space, list_spaces()) if space.digest() == header["space"]), None)
            note = None if space else "the space is none that accelzoo ships: genomes are shown as they are"
            return cls(place=place, header=header, space=space, note=note)
        recipe = config.read(Recipe, place.recipe)
        try:
            return cls(place=place, header=header, recipe=recipe, **_concrete(recipe, header))
        except AccelzooError as error:  # a file that is elsewhere by now: what was recorded can be shown without it
            return cls(place=place, header=header, recipe=recipe, note=f"knobs and baseline are not shown: {error}")

    @property
    def asked(self) -> int | None:
        """How many evaluations were asked for, if that was recorded."""
        return None if self.recipe is None else self.recipe.search.evaluations

    @property
    def shares(self) -> bool:
        """Whether accuracies are shares of images, to be shown in percent: those of recipes are."""
        return self.recipe is not None

    def accuracy(self, value: float) -> str:
        """An accuracy as text."""
        return f"{100 * value:.2f} %" if self.shares else f"{value:#.6g}"

    def knobs(self, record: Record) -> dict[str, Any] | None:
        """Values of a candidate's active knobs by name; None if the space is not known."""
        return None if self.space is None else self.space.values(record.genome)

    @cached_property
    def knob_names(self) -> tuple[str, ...]:
        """What to call each position of a genome."""
        if self.space is not None:
            return tuple(knob.name for knob in self.space.knobs)
        return tuple(f"position {index}" for index in range(len(self.header["sizes"])))


def read_run(path: str | Path) -> tuple[RunView, tuple[Record, ...]]:
    """Reads a run: what it is, and its candidates so far.

    Raises:
        ConfigError: If the recipe in the folder cannot be read.
        DataError: If there is no run, or one without a search.
        TraceError: If there is no trace yet, or it is broken.
    """
    place = find_run(path)
    trace = read_trace(place.trace)
    return RunView.of(place, trace.header), trace.records


def cost_text(field: str, value: float) -> str:
    """A cost as text, with its unit."""
    match field.rsplit("_", 1)[-1]:
        case "s":
            return output.seconds(value)
        case "j":
            return output.joules(value)
        case "bytes":
            return output.memory(int(value))
        case _:
            return output.count(value)


def cost_label(field: str) -> str:
    """What a reader calls a cost field: `peak activations`."""
    labels = {
        "latency_s": "latency",
        "energy_j": "energy",
        "peak_activation_bytes": "peak activations",
        "weight_bytes": "weights",
        "dram_bytes": "DRAM traffic",
        "macs": "MACs",
    }
    return labels.get(field, field)


def knob_text(value: Any) -> str:
    """A knob's value as text: `ibn`, `0.5`, `3x32x32`."""
    value = config.to_config(value)
    if isinstance(value, list) and value and all(isinstance(part, int) for part in value):
        return output.shape(value)
    return value if isinstance(value, str) else config.canonical_json(value)


def _concrete(recipe: Recipe, header: Mapping[str, Any]) -> dict[str, Any]:
    """Space and baseline as they were for the recipe's data."""
    general = get_space(recipe.space)
    for count in _CLASS_COUNTS:
        fitted = pricing.fitted_space(general, recipe.resolutions, count, _CHANNELS)
        if fitted.digest() == header["space"]:
            break
    else:
        return {"note": f"the space {recipe.space!r} is another by now: genomes are shown as they are"}
    task = pricing.prepare(recipe, count, _CHANNELS)
    if task.target.digest() != header["target"]:
        return {"space": fitted, "note": f"the target {recipe.target!r} is another by now: no price of the baseline"}
    return {"space": fitted, "baseline": Baseline(name=recipe.baseline, cost=Price.of(task.baseline_cost))}
