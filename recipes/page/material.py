"""What a run or a release offers to be shown: its lock, its recipe, its searches."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from accelzoo import config
from accelzoo._checksums import SUMS_FILE
from accelzoo.errors import AccelzooError, DataError
from accelzoo.hwmodel import estimate, load_target
from accelzoo.recipes.folder import RECIPE_FILE, RunFolder
from accelzoo.recipes.product.schema import ProductRecipe
from accelzoo.recipes.product.searching import fit_baseline, fit_space
from accelzoo.recipes.run_front import Front, cost_fields
from accelzoo.recipes.run_view import Baseline, Place, RunView
from accelzoo.recipes.schema import recipe_kind
from accelzoo.registry import get_space
from accelzoo.release import CONFIG_FILE, LOCK_FILE, TRACE_FILE
from accelzoo.search.record import Price, Record
from accelzoo.search.trace import FILE_NAME, read_trace


@dataclass(frozen=True, slots=True, kw_only=True)
class Search:
    """A search with its candidates.

    Args:
        name: What a product run calls it; empty where there is one alone.
        title: What it may change.
        view: How it was searched, and what its genomes mean.
        records: Its candidates.
        front: The best of them; None if it had no costs.
        quality: What its accuracy is, in a word.
        measure: What an axis of it is called.
        ours: Networks that came of it: index of the candidate → name.
    """

    name: str
    title: str
    view: RunView
    records: Sequence[Record]
    front: Front | None
    quality: str
    measure: str
    ours: Mapping[int, str]


@dataclass(frozen=True, slots=True, kw_only=True)
class Material:
    """A run or a release.

    Args:
        name: What it is called.
        folder: Where it is.
        kind: `funnel`, `product`, `width`, or `search` for a search of one's own.
        digest: Of a release, `sha256:…`; None of a run.
        lock: The record of its making; None where the run is not finished, or there was no recipe.
        recipe: The text of its recipe, if there is one.
        config: Of a release, what `config.json` says.
        searches: Its searches; of a width run none.
        missing: Why there are no searches, or not all.
    """

    name: str
    folder: Path
    kind: str
    digest: str | None
    lock: Mapping[str, Any] | None
    recipe: str | None
    config: Mapping[str, Any] | None
    searches: Sequence[Search]
    missing: str

    @property
    def comparison(self) -> Mapping[str, Any] | None:
        """What the lock says of the networks."""
        return None if self.lock is None else self.lock["comparison"]


def read_material(given: str, minimise: Sequence[str] = ()) -> Material:
    """Reads a run's folder, a search's, a release's, or a release by its name.

    Args:
        given: The folder, or what `create_model(…, pretrained=True)` takes.
        minimise: The costs that count beside accuracy; none: those of the search.

    Raises:
        ConfigError: If the recipe cannot be read, or a cost is unknown.
        DataError: If there is neither a run nor a release, or a record in it cannot be read.
        ReleaseError: If the release is damaged.
        TraceError: If a trace is broken.
    """
    from accelzoo.pretrained import find_release

    folder, digest = Path(given), None
    if not folder.is_dir() or (folder / SUMS_FILE).is_file():
        release = find_release(given)
        folder, digest = release.folder, release.digest
    path = folder / RECIPE_FILE
    kind = recipe_kind(path) if path.is_file() else "search"
    recipe = None if kind == "search" else path.read_text("utf-8")
    lock = read_object(folder / LOCK_FILE)
    if lock is not None and not {"recipe", "target", "search", "comparison"} <= lock.keys():
        raise DataError(f"{folder / LOCK_FILE}: not the lock of a run: recipe, target, search or comparison is missing")
    searches, missing = _searches(folder, kind, digest is not None, lock, minimise)
    if recipe is None and not searches:
        raise DataError(f"{folder}: neither a run nor a release: no {RECIPE_FILE}, {FILE_NAME} or {SUMS_FILE}")
    return Material(
        name=given if digest is not None and not Path(given).is_dir() else folder.resolve().name,
        folder=folder,
        kind=kind,
        digest=digest,
        lock=lock,
        recipe=recipe,
        config=None if digest is None else read_object(folder / CONFIG_FILE),
        searches=searches,
        missing=missing,
    )


def read_object(path: Path) -> dict[str, Any] | None:
    """Reads a JSON object; None if there is no such file.

    Raises:
        DataError: If it is something else.
    """
    if not path.is_file():
        return None
    try:
        value = json.loads(path.read_text("utf-8"))
    except ValueError as error:
        raise DataError(f"{path}: not JSON: {error}") from None
    if not isinstance(value, dict):
        raise DataError(f"{path}: expected an object, found {type(value).__name__}")
    return value


def _searches(
    folder: Path, kind: str, is_release: bool, lock: Mapping[str, Any] | None, minimise: Sequence[str]
) -> tuple[list[Search], str]:
    """Returns the searches, and why there are none or not all."""
    if kind == "width":
        return [], "A width run solves for the widths of all layers at once: it has no candidates one after the other."
    recipe = folder / RECIPE_FILE if (folder / RECIPE_FILE).is_file() else None
    if kind == "product":
        return _product_searches(folder, is_release, lock, minimise)
    trace = folder / TRACE_FILE if is_release or recipe is None else RunFolder(folder).search / FILE_NAME
    if not trace.is_file() or not trace.stat().st_size:
        return [], "There is no trace of a search yet."
    found = read_trace(trace)
    view = RunView.of(Place(folder=folder, trace=trace, recipe=recipe), found.header)
    measure = "accuracy in the search (%)" if view.shares else "accuracy in the search"
    ours = {} if lock is None else {int(lock["search"]["winner_index"]): "winner"}
    return [_search(("", ""), view, found.records, minimise, ("accuracy", measure), ours)], ""


def _search(
    named: tuple[str, str],
    view: RunView,
    records: Sequence[Record],
    minimise: Sequence[str],
    measured: tuple[str, str],
    ours: Mapping[int, str],
) -> Search:
    front = None
    fields = cost_fields(view.header, minimise)
    if view.header["target"] is not None:
        front = Front(fields, view.header)
        front.update(records)
    (name, title), (quality, measure) = named, measured
    return Search(
        name=name, title=title, view=view, records=records, front=front, quality=quality, measure=measure, ours=ours
    )


def _product_searches(
    folder: Path, is_release: bool, lock: Mapping[str, Any] | None, minimise: Sequence[str]
) -> tuple[list[Search], str]:
    recipe = config.read(ProductRecipe, folder / RECIPE_FILE)
    known: Mapping[str, Any] = {} if lock is None else lock["search"].get("searches", {})
    begun = {name: RunFolder(folder).search / name / FILE_NAME for name in recipe.searches}
    if is_release:
        own = folder / TRACE_FILE
        if not own.is_file() or not own.stat().st_size:
            return [], "No search found this network: it is the one to beat."
        header = read_trace(own).header
        begun = {name: own for name, facts in known.items() if facts["signal_digest"] == header["signal"]}
    found = []
    for name, trace in begun.items():
        if not trace.is_file():
            continue
        read = read_trace(trace)
        view = _product_view(recipe, name, Place(folder=trace.parent, trace=trace, recipe=None), read.header, lock)
        ours = {int(index): pick for pick, index in known.get(name, {}).get("picks", {}).items()}
        named, measured = (name, recipe.searches[name].title), ("signal", "zero-cost signal (baseline: 0)")
        found.append(_search(named, view, read.records, minimise, measured, ours))
    absent = [name for name in begun if name not in {one.name for one in found}]
    return found, f"Not begun: {', '.join(absent)}." if absent else ""


def _product_view(
    recipe: ProductRecipe, name: str, place: Place, header: Mapping[str, Any], lock: Mapping[str, Any] | None
) -> RunView:
    """Says what the genomes of a product run's search mean, as far as its lock and this version can tell."""
    if lock is None:
        note = "what the genomes mean is told when the run has ended"
        return RunView(place=place, header=header, note=note)
    try:
        classes = len(lock["data"]["all"]["class_names"])
        space = fit_space(get_space(recipe.searches[name].space), classes, recipe.input_sizes)
        if space.digest() != header["space"]:
            return RunView(place=place, header=header, note=f"the space {space.name!r} is another by now")
        target = load_target(recipe.target)
        if target.digest() != header["target"]:
            note = f"the target {target.name!r} is another by now: no price of the baseline"
            return RunView(place=place, header=header, space=space, note=note)
        cost = Price.of(estimate(fit_baseline(recipe, classes).lower(), target))
        baseline = Baseline(name=recipe.baseline, cost=cost)
        return RunView(place=place, header=header, space=space, baseline=baseline)
    except (AccelzooError, KeyError) as error:
        return RunView(place=place, header=header, note=f"knobs and baseline are not shown: {error}")
