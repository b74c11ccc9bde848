"""One search of a product recipe: networks of a space with a higher signal than the baseline's and a lower latency.

The signal and the latency are objectives side by side. Networks up to `ROOM` times the baseline's latency are scored
too: good parts are handed on through them, and where nothing beats the baseline they tell how far off that is. Slower
ones are recorded, but cost no score.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from accelzoo import config
from accelzoo.arch import Arch
from accelzoo.errors import AccelzooError, BudgetError, ConfigError, DataError
from accelzoo.hwmodel import Target
from accelzoo.knobs import Choice, Space
from accelzoo.recipes.folder import write_text
from accelzoo.recipes.pricing import fitted_head
from accelzoo.recipes.product.choosing import Contender
from accelzoo.recipes.product.schema import ProductRecipe, SearchPlan, SpaceSearch
from accelzoo.recipes.product.signal import CapacitySignal
from accelzoo.registry import get_arch
from accelzoo.search import Candidate, Objective, Result, TargetCosts, run
from accelzoo.search.trace import FILE_NAME
from accelzoo.search.workers import Workers

ROOM = 1.25
PENDING = 8
"""Candidates that may be proposed before the first is told: in every run, so that workers decide nothing but time."""
SIGNAL_FILE = "signal.json"
_LATENCY = "latency_s"
_MILLISECOND = 1e-3
Size = tuple[int, int, int]


@dataclass(frozen=True, slots=True, kw_only=True)
class Found:
    """What a search of a space found.

    Args:
        name: The search's.
        front: Networks faster than the baseline that reach the signal asked for, none of them beaten in both by
            another; from the slowest to the fastest.
        facts: How it went, as plain data.
        trace: The file with every candidate.
    """

    name: str
    front: tuple[Contender, ...]
    facts: dict[str, Any]
    trace: Path


def fit_baseline(recipe: ProductRecipe, num_classes: int) -> Arch:
    """Returns a recipe's baseline with the classes of the data.

    Raises:
        ConfigError: If it is for another task.
        UnknownNameError: If there is no such model.
    """
    sizes = {"input_size": recipe.input_sizes[0]} if recipe.input_sizes else {}
    baseline = get_arch(recipe.baseline, num_classes=num_classes, **sizes)
    _check_task(f"baseline: {recipe.baseline!r}", baseline, recipe)
    return baseline


def fit_space(space: Space, num_classes: int, input_sizes: Sequence[Size] = ()) -> Space:
    """Returns a space whose networks all have the classes of the data, and one of the input sizes.

    Args:
        space: Any space with a head.
        num_classes: Of the data.
        input_sizes: What an open input size is chosen from; where it is not open, the first. Empty: as in the space.

    Raises:
        ConfigError: If the space says nothing of a head: it is that of a classification then.
    """
    if "head" not in space.template:
        raise ConfigError([f"space {space.name!r} has no head: give one for the task"])
    template = {**space.template, "head": fitted_head(space.template["head"], num_classes)}
    if input_sizes:
        sizes = tuple([list(size) for size in input_sizes])
        is_open = isinstance(space.template.get("input_size"), Choice) and len(sizes) > 1
        template["input_size"] = Choice(sizes) if is_open else sizes[0]
    return Space(space.name, template)


def search_space(
    name: str,
    spec: SpaceSearch,
    recipe: ProductRecipe,
    space: Space,
    target: Target,
    baseline: Arch,
    folder: Path,
    workers: int | str | Workers = 1,
    progress: bool | None = None,
) -> Found:
    """Searches a space for networks that beat the baseline in signal and latency; goes on with what the folder holds.

    Args:
        name: The search's name.
        spec: Its picks; that many networks must be found at least.
        recipe: How it is searched.
        space: Where, with the classes of the data.
        target: What latency is estimated on.
        baseline: What to beat, with the classes of the data.
        folder: Where the trace and the signal are kept.
        workers: How many processes, or where; they decide nothing but time.
        progress: Show a line; None: if standard error is a terminal.

    Raises:
        BudgetError: If nothing in the space is faster than the baseline and reaches the signal; it says how near the
            search came.
        AccelzooError: If it found fewer networks than there are picks.
        ConfigError: If a setting is unknown, no score tells networks of the space apart, the space is for another task,
            or the target cannot run the baseline.
        TraceError: If the folder's trace is broken, in use, or of another search.
    """
    _check_task(f"space {space.name!r}", space.decode((0,) * len(space.sizes)), recipe)
    plan = recipe.search
    signal, baseline_s = _kept_signal(folder / SIGNAL_FILE, plan, space, baseline), _latency_of(baseline, target)
    result = _run(plan, space, signal, target, baseline_s, folder, workers, progress)
    limit_s = spec.below * baseline_s
    front = _better(result, plan.signal.least, limit_s)
    if not front:
        raise BudgetError(f"search {name!r}: {_how_near(space, result, plan.signal.least, limit_s)}")
    if len(front) < len(spec.picks):
        raise AccelzooError(
            f"search {name!r}: only {len(front)} networks beat the baseline where {len(spec.picks)} are to be picked "
            f"({', '.join(spec.picks)}); raise search.evaluations (={plan.evaluations}), or name fewer picks"
        )
    facts = _facts(result, front, signal, baseline_s) | {"baseline_in_space": _holds(space, baseline)}
    return Found(name=name, front=front, facts=facts, trace=folder / FILE_NAME)


def _run(
    plan: SearchPlan,
    space: Space,
    signal: CapacitySignal,
    target: Target,
    baseline_s: float,
    folder: Path,
    workers: int | str | Workers,
    progress: bool | None,
) -> Result:
    return run(
        space,
        signal,
        evaluations=plan.evaluations,
        algorithm=plan.algorithm,
        algorithm_options=plan.options,
        costs=TargetCosts(target),
        budgets={_LATENCY: ROOM * baseline_s},
        objective=Objective(minimise=(_LATENCY,)),
        seed=plan.seed,
        workers=workers,
        pending=PENDING,
        folder=folder,
        resume=True,
        progress=progress,
    )


def _latency_of(baseline: Arch, target: Target) -> float:
    price = TargetCosts(target)(baseline)
    if price.unpriced:
        raise ConfigError([f"target {target.name!r} cannot run the baseline's {', '.join(price.unpriced)}"])
    return price.latency_s


def _check_task(what: str, arch: Arch, recipe: ProductRecipe) -> None:
    if arch.head.task != recipe.task:
        raise ConfigError([f"{what} is for {arch.head.task}, the recipe's data are for {recipe.task}"])


def _kept_signal(path: Path, plan: SearchPlan, space: Space, baseline: Arch) -> CapacitySignal:
    """Returns the signal that the folder keeps; makes and keeps it if there is none.

    The last digits of scores that compute tensors depend on the number of threads and the build of the libraries, and
    a trace is refused with another signal.
    """
    question = {"baseline": baseline.digest(), "plan": asdict(plan.signal), "seed": plan.seed, "space": space.digest()}
    digest = config.digest(json.loads(json.dumps(question)))
    if path.is_file():
        try:
            content = json.loads(path.read_text("utf-8"))
            if content["of"] == digest:
                return CapacitySignal.from_json(content["signal"])
        except (ValueError, KeyError, TypeError) as error:
            raise DataError(f"{path}: no signal: {error}; remove the file to compute it again") from None
    signal = CapacitySignal.of(plan.signal, space, baseline, plan.seed)
    path.parent.mkdir(parents=True, exist_ok=True)
    write_text(path, json.dumps({"of": digest, "signal": signal.to_json()}, indent=2) + "\n")
    return signal


def _better(result: Result, least: float, limit_s: float) -> tuple[Contender, ...]:
    """Returns the part of a search's front that beats the baseline, slowest first; of equal points the first found.

    Architectures are in normal form: what is trained and released has one description, whatever space it came from.
    """
    found: dict[tuple[float, float], Contender] = {}
    for candidate in result.front_of(_LATENCY):
        latency_s = _latency_s(candidate)
        if candidate.accuracy >= least and latency_s < limit_s:
            contender = Contender(
                arch=candidate.arch.normal(),
                signal=candidate.accuracy,
                latency_s=latency_s,
                genome=candidate.genome,
                index=candidate.index,
            )
            known = found.setdefault((latency_s, candidate.accuracy), contender)
            if contender.index < known.index:
                found[latency_s, candidate.accuracy] = contender
    return tuple(sorted(found.values(), key=lambda one: -one.latency_s))


def _how_near(space: Space, result: Result, least: float, limit_s: float) -> str:
    """Says what there is instead of a network with the signal below the baseline's latency."""
    front = result.front_of(_LATENCY)
    faster = [candidate for candidate in front if _latency_s(candidate) < limit_s]
    reaching = [candidate for candidate in front if candidate.accuracy >= least]
    nearest = f"none up to {ROOM:g} × the baseline's latency"
    if reaching:
        nearest = _point(min(reaching, key=_latency_s))
    return "\n".join([
        f"nothing of {len(result.trace):,} networks in {space.name!r} is faster than "
        f"the {limit_s / _MILLISECOND:.4g} ms of the baseline (or of its share `below`), with a signal of at least "
        f"{least:g}",
        f"  the largest signal of faster ones: {_point(max(faster, key=_signal)) if faster else 'none is faster'}",
        f"  the least latency with that signal: {nearest}",
        "lower search.signal.least, raise search.evaluations, or open the space further",
    ])  # fmt: skip


def _point(candidate: Candidate) -> str:
    return f"{candidate.accuracy:.4g} at {_latency_s(candidate) / _MILLISECOND:.4g} ms"


def _signal(candidate: Candidate) -> float:
    return candidate.accuracy


def _latency_s(candidate: Candidate) -> float:
    assert candidate.cost is not None  # the search had costs
    return candidate.cost.latency_s


def _facts(result: Result, front: Sequence[Contender], signal: CapacitySignal, baseline_s: float) -> dict[str, Any]:
    trace = b"" if result.path is None else result.path.read_bytes()
    return {
        **{key: result.header[key] for key in ("algorithm", "budgets", "objective", "seed", "space", "target")},
        "signal": signal.to_json(),
        "signal_digest": signal.digest(),
        "baseline_latency_s": baseline_s,
        "candidates": len(result.trace),
        "evaluated": sum(record.evaluated for record in result.trace),
        "stopped": result.stopped,
        "trace_sha256": hashlib.sha256(trace).hexdigest(),
        "front": [{"index": one.index, "signal": one.signal, "latency_s": one.latency_s} for one in front],
    }


def _holds(space: Space, arch: Arch) -> bool:
    try:
        space.encode(arch)
    except AccelzooError:
        return False
    return True
