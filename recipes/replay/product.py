"""The searches of a product recipe again: the same candidates, the same networks to try, and the same picks."""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from accelzoo.arch import Arch
from accelzoo.errors import AccelzooError
from accelzoo.hwmodel import Target, load_target
from accelzoo.recipes.folder import write_text
from accelzoo.recipes.product.choosing import choose, trial_candidates
from accelzoo.recipes.product.schema import ProductRecipe
from accelzoo.recipes.product.searching import SIGNAL_FILE, Found, fit_baseline, fit_space, search_space
from accelzoo.recipes.product.values import BASELINE
from accelzoo.recipes.replay.comparing import compare_traces, first_difference
from accelzoo.recipes.replay.material import Material, require
from accelzoo.recipes.replay.values import Again, Divergence, Part
from accelzoo.registry import get_space
from accelzoo.search.trace import FILE_NAME, read_trace
from accelzoo.search.workers import Workers

_SEARCHED = ("candidates", "evaluated", "stopped", "baseline_latency_s", "baseline_in_space", "front")
"""What a lock says of a search, beside its settings, that no training had a part in."""
_NEEDED = ("trace_sha256", "signal", "candidates", "front", "tried", "baseline_trial", "picks")


def replay_product(
    material: Material, recipe: ProductRecipe, work: Path, workers: Workers, progress: bool | None
) -> Again:
    """Repeats every search of a product recipe, and the choice of its picks by the recorded short trainings.

    No data are read: of these a search needs to know only how many classes there are.

    Args:
        material: The run's lock and traces.
        recipe: What was run.
        work: A folder for the traces.
        workers: Who scores candidates.
        progress: Show each search.

    Raises:
        ConfigError: If the recipe names what is not here any more.
        DataError: If the lock names no data.
    """
    classes = material.classes
    searches = _Searches(
        material=material,
        recipe=recipe,
        target=load_target(recipe.target),
        baseline=fit_baseline(recipe, classes),
        classes=classes,
        work=work,
        workers=workers,
        progress=progress,
    )
    return searches.again()


@dataclass(frozen=True, slots=True, kw_only=True)
class _Searches:
    """What all searches of a recipe share; see `replay_product`."""

    material: Material
    recipe: ProductRecipe
    target: Target
    baseline: Arch
    classes: int
    work: Path
    workers: Workers
    progress: bool | None

    def again(self) -> Again:
        locked, where = self.material.lock.search, f"{self.material.of}: lock: search"
        require(locked, ("searches", "networks"), where)
        networks, parts = {BASELINE: self.baseline}, []
        for name in self.recipe.searches:
            facts = locked["searches"].get(name)
            if facts is None:
                parts.append(Part(name=f"search {name}", status="skipped", said="the lock has no such search"))
                continue
            require(facts, _NEEDED, f"{where}.searches.{name}")
            part, found = self._search(name, facts)
            parts.append(part)
            if found is not None:
                part, chosen = self._choice(name, found, facts)
                parts.append(part)
                networks |= chosen
        said = f"digests of {len(locked['networks'])} architectures"
        digests = {name: arch.digest() for name, arch in networks.items()}
        parts.append(Part.of("networks", said, first_difference(locked["networks"], digests)))
        return Again(parts=tuple(parts), networks=networks)

    def _search(self, name: str, facts: Mapping[str, Any]) -> tuple[Part, Found | None]:
        """Repeats a search with its signal computed anew; where that came out otherwise, with the recorded one too."""
        folder = self.work / "search" / name
        part, found = self._searched(name, facts, folder, "")
        made = json.loads((folder / SIGNAL_FILE).read_text("utf-8"))
        if part.status != "diverged" or made["signal"] == facts["signal"]:
            return part, found
        again = self.work / "search-with-recorded-signal" / name
        again.mkdir(parents=True, exist_ok=True)
        write_text(again / SIGNAL_FILE, json.dumps({**made, "signal": facts["signal"]}) + "\n")
        difference = first_difference(facts["signal"], made["signal"], "signal")
        return self._searched(name, facts, again, f"; with the recorded signal, of which now {difference}")

    def _searched(
        self, name: str, facts: Mapping[str, Any], folder: Path, said: str
    ) -> tuple[Part, Found | None]:
        """Searches in a folder and compares what came out with trace and lock."""
        found, failed = None, None
        space = fit_space(get_space(self.recipe.searches[name].space), self.classes, self.recipe.input_sizes)
        try:
            found = search_space(
                name,
                self.recipe.searches[name],
                self.recipe,
                space,
                self.target,
                self.baseline,
                folder,
                self.workers,
                self.progress,
            )
        except AccelzooError as error:  # of a search that was finished: it hands on too little
            if not (folder / FILE_NAME).is_file():
                raise
            failed = Divergence(field="front", expected=f"{len(facts['front'])} networks", got=str(error))
        divergence, how = self._difference(name, facts, folder, found)
        return Part.of(f"search {name}", f"{how}{said}", divergence or failed), found

    def _difference(
        self, name: str, facts: Mapping[str, Any], folder: Path, found: Found | None
    ) -> tuple[Divergence | None, str]:
        """Returns the first difference, and what was compared."""
        recorded = self.material.trace(facts["trace_sha256"], self.work / "recorded" / name / FILE_NAME)
        path, in_lock = folder / FILE_NAME, None
        if found is not None:
            names = [key for key in _SEARCHED if key in facts]
            in_lock = first_difference({key: facts[key] for key in names}, {key: found.facts[key] for key in names})
        if recorded is not None:
            expected = read_trace(recorded)
            said = f"{len(expected.records):,} candidates, field by field, and the front"
            return compare_traces(expected, read_trace(path)) or in_lock, said
        made = hashlib.sha256(path.read_bytes()).hexdigest()
        said = f"sha256 of the trace of {facts['candidates']:,} candidates, which is not here itself, and the front"
        if in_lock is None and made != facts["trace_sha256"]:
            in_lock = Divergence(field="trace_sha256", expected=facts["trace_sha256"], got=made)
        return in_lock, said  # of the two, the front says more than a hash

    def _choice(self, name: str, found: Found, facts: Mapping[str, Any]) -> tuple[Part, dict[str, Arch]]:
        """Chooses again what is tried, and by the recorded short trainings what is picked."""
        spec, plan = self.recipe.searches[name], self.recipe.search.trials
        tried = trial_candidates(found.front, plan.count)
        listed = [{"index": one.index, "latency_s": one.latency_s, "signal": one.signal} for one in tried]
        recorded = [{key: one[key] for key in ("index", "latency_s", "signal")} for one in facts["tried"]]
        said = f"{len(recorded)} networks to try, and picks by their recorded trials"
        divergence = first_difference(recorded, listed, "tried")
        if divergence is not None:
            return Part.of(f"choice {name}", said, divergence), {}
        trials = [math.nan if one["trial"] is None else one["trial"] for one in facts["tried"]]
        picks = choose(tried, trials, facts["baseline_trial"], plan.tolerance, spec.picks)
        made = {"picks": {pick: one.index for pick, one in picks.named.items()}, **picks.facts}
        divergence = first_difference({key: facts.get(key) for key in made}, made)
        return Part.of(f"choice {name}", said, divergence), {pick: one.arch for pick, one in picks.named.items()}
