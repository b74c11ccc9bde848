"""What was searched and for which target, and where and with what: facts as pairs of a name and a text."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

from accelzoo.config import load
from accelzoo.errors import AccelzooError
from accelzoo.hwmodel import load_target
from accelzoo.recipes import output
from accelzoo.recipes.folder import RECIPE_FILE
from accelzoo.recipes.page.figure import Table
from accelzoo.recipes.page.material import Material, Search
from accelzoo.recipes.run_view import cost_label, cost_text

Facts = list[tuple[str, str]]


def description(material: Material) -> str:
    """Returns what the recipe says of itself; empty where it says nothing."""
    path = material.folder / RECIPE_FILE
    if not path.is_file():
        return ""
    return str(load(path).plain().get("description", ""))


def run_facts(material: Material) -> Facts:
    """Returns what was asked for, and of which data."""
    lock = material.lock
    kinds = {"funnel": "one search, its winner", "product": "several searches, their picks",
             "width": "the widths of one network", "search": "a search of one's own"}  # fmt: skip
    facts = [("what", kinds[material.kind])]
    if material.digest is not None:
        facts.append(("release", material.digest))
    if lock is None:
        return [*facts, ("state", "not finished" if material.kind != "search" else "")]
    facts += [("recipe", lock["recipe"]), ("profile", lock.get("profile") or "")]
    facts.append(("overrides", " ".join(lock.get("overrides") or [])))
    data = next(iter(lock["data"].values()))
    splits = ", ".join(f"{name} {_count(data['splits'][name]):,}" for name in sorted(data["splits"], key=_place))
    classes = data["class_names"]
    facts += [("data", _data(lock["comparison"]["data"], data.get("name", ""))), ("images", splits)]
    facts.append(("classes", f"{len(classes)}: {_some(classes)}"))
    return facts


def target_facts(material: Material) -> Facts:
    """Returns what the target is, as far as this version knows it."""
    lock = material.lock
    if lock is None:
        return []
    name, digest = lock["target"]["name"], lock["target"]["digest"]
    facts = [("target", name), ("target's digest", output.short_digest(digest))]
    try:
        target = load_target(name)
    except AccelzooError as error:
        return [*facts, ("not here", str(error))]
    if target.digest() != digest:
        facts.append(("changed since", f"today's digest is {output.short_digest(target.digest())}"))
    return [
        *facts,
        ("description", target.description),
        ("peak", f"{output.count(target.peak_macs_per_s)} MACs/s at {target.clock_hz / 1e6:g} MHz"),
        ("on-chip memory", output.memory(target.sram_bytes)),
        ("DRAM", f"{output.memory(int(target.dram_bytes_per_s))}/s"),
    ]


def search_facts(search: Search) -> Facts:
    """Returns how a search was made and how many candidates it saw."""
    header, counts = search.view.header, Counter(record.status for record in search.records)
    algorithm, objective = header["algorithm"], header["objective"]
    minimised = objective.get("minimise") or []
    budgets = [f"{cost_label(name)} ≤ {cost_text(name, most)}" for name, most in header["budgets"].items()]
    space = search.view.space
    others = ", ".join(f"{counts[name]:,} {name}" for name in ("infeasible", "duplicate", "failed") if counts[name])
    evaluated = sum(record.evaluated for record in search.records)
    return [
        ("search", ": ".join(filter(None, (search.name, search.title)))),
        ("space", "" if space is None else f"{space.name}: {len(space.knobs)} knobs, {space.size():.3g} genomes"),
        ("space's digest", output.short_digest(header["space"])),
        ("algorithm", f"{algorithm['name']}, seed {header['seed']}"),
        ("its settings", ", ".join(f"{name} {_setting(value)}" for name, value in algorithm["options"].items())),
        ("minimised", ", ".join(map(cost_label, minimised))),
        ("budgets", "; ".join(budgets)),
        ("candidates", f"{len(search.records):,}, of which {evaluated:,} evaluated"),
        ("others", others),
        ("signal", output.short_digest(header["signal"])),
        ("note", search.view.note or ""),
    ]


def searches_table(searches: Sequence[Search]) -> Table:
    """Returns the facts of several searches side by side, a row for each fact that one of them has."""
    columns = [dict(search_facts(search)) for search in searches]
    rows = [[name, *(column[name] for column in columns)] for name in columns[0]]
    kept = [row for row in rows if any(row[1:])]
    return Table(header=["", *(search.name for search in searches)], rows=kept)


def environment_facts(lock: Mapping[str, Any]) -> Facts:
    """Returns what the run ran on, with which versions, and what it spent."""
    machine = lock.get("machine", {})
    versions = ", ".join(f"{name} {version}" for name, version in lock.get("versions", {}).items())
    parts = ", ".join(f"{name} {seconds:,.0f} s" for name, seconds in lock.get("wall_s", {}).items())
    spent = lock.get("spent") or {}
    hours = ", ".join(f"{spent[key]:.3g} {label}" for key, label in (("core_hours", "core-hours"),
                      ("gpu_hours", "GPU-hours")) if spent.get(key))  # fmt: skip
    energy = spent.get("energy_j")
    return [
        ("machine", ", ".join(f"{name} {value}" for name, value in machine.items())),
        ("versions", versions),
        ("wall time", parts),
        ("spent", hours),
        ("energy", "" if energy is None else f"{energy / 3600:,.3g} Wh ({spent.get('energy_from', 'unknown source')})"),
        ("recipe's digest", lock.get("recipe_digest", "")),
        ("model of the hardware", lock.get("hwmodel_digest") or ""),
        ("winner's digest", lock.get("winner_digest", "")),
    ]


def _count(split: Any) -> int:
    return int(split["images"]) if isinstance(split, Mapping) else int(split)


def _data(called: str, source: str) -> str:
    """What readers are to call the data, and where they are from if that is something else."""
    return called if source in ("", called) else f"{called}: {source}"


def _place(split: str) -> int:
    """Where a split stands in the order in which it is used; others go last."""
    order = ("train", "validation", "test")
    return order.index(split) if split in order else len(order)


def _setting(value: Any) -> str:
    """A setting of an algorithm as a reader would write it."""
    return {"True": "yes", "False": "no", "None": "by default"}.get(str(value), str(value))


def _some(names: list[str]) -> str:
    return ", ".join(names[:6]) + (", …" if len(names) > 6 else "")
