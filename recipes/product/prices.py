"""What a network costs on several targets: by our estimator, and by a tool that knows the target, the referee.

Referees take seconds to minutes, and those that time this machine's CPU never say the same twice: what one said is kept
in the run's folder. Estimates take milliseconds and are made anew.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict
from functools import cache as remembered
from pathlib import Path

from accelzoo.arch import Arch
from accelzoo.errors import DataError
from accelzoo.hwmodel import Target, estimate, load_target, oracles
from accelzoo.recipes.folder import write_text
from accelzoo.recipes.product.values import Priced, Referee

_REFEREES = ("ethos-u", "zigzag", "litert")
_DIGITS = 16


def referee_of(target: str) -> str | None:
    """Returns the name of the oracle that is a target's referee, whether or not its tool is installed; None: no one is.

    Of `x86-…` targets, and others that are CPUs, it is LiteRT on this machine, if its CPU is of that sort.
    """
    return next((name for name in _REFEREES if target in oracles.list_targets(name)), None)


def price(arch: Arch, targets: Sequence[str], cache: Path) -> dict[str, Priced]:
    """Prices one inference of a network at batch 1.

    Args:
        arch: The network.
        targets: Names or files of targets.
        cache: A folder for what referees said: one file for each network and target.

    Returns:
        Target's name → price, in the order of `targets`. Where an estimate's `unpriced` names operators, it is a lower
        bound.

    Raises:
        ConfigError: If a target's file has faults.
        DataError: If a file of the cache is damaged.
        UnknownNameError: If there is no such target.
    """
    found: dict[str, Priced] = {}
    for target in map(load_target, targets):
        referee, why_not = _refereed(arch, target, cache)
        cost = estimate(arch.lower(), target)
        found[target.name] = Priced(target=target.name, cost=cost, referee=referee, why_not=why_not)
    return found


def _refereed(arch: Arch, target: Target, cache: Path) -> tuple[Referee | None, str]:
    """Returns what the referee says, or why there is none; only what it says is kept: a tool may be installed later."""
    oracle = referee_of(target.name)
    if oracle is None:
        return None, f"no tool measures {target.name!r} on this machine"
    of = {"arch": arch.digest(), "oracle": oracle, "target": target.name}
    path = cache / f"{target.name}-{arch.digest().partition(':')[2][:_DIGITS]}.json"
    if path.is_file():
        return _read(path, of), ""
    try:
        tool = _loaded(oracle, target.name)
        measured = tool.measure(arch.lower())
    except (oracles.MissingToolError, oracles.OracleError) as error:
        return None, str(error)
    referee = Referee(
        tool=tool.provenance.tool, latency_s=measured.latency_s, sram_bytes=measured.peak_activation_bytes
    )
    cache.mkdir(parents=True, exist_ok=True)
    write_text(path, json.dumps({"of": of, "referee": asdict(referee)}, indent=2) + "\n")
    return referee, ""


def _read(path: Path, of: dict[str, str]) -> Referee:
    try:
        content = json.loads(path.read_text("utf-8"))
        if content["of"] != of:
            raise ValueError(f"it is of {content['of']}, not of {of}")
        return Referee(**content["referee"])
    except (ValueError, KeyError, TypeError) as error:
        raise DataError(f"{path}: no referee's price: {error}; remove the file to ask again") from None


@remembered
def _loaded(oracle: str, target: str) -> oracles.Oracle:
    """Returns an oracle; one that searches loop orders remembers the layers that it has seen."""
    return oracles.load(oracle, target)
