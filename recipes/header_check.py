"""What a recipe's header states against what its lock has recorded."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from accelzoo.recipes.headers import Figure, Header, ProfileHeader, seconds_per

_BASELINES = ("baseline", "original")
_SCALES = {
    "latency": ("latency_s", 1e-3),
    "weights": ("weight_bytes", 1024),
    "peak activations": ("peak_activation_bytes", 1024),
    "energy": ("energy_j", 1e-6),
    "MACs": ("macs", 1e6),
}
Figures = dict[str, dict[str, float]]


def header_faults(header: Header, lock: Mapping[str, Any], profile: str) -> list[str]:
    """Returns where a header says something else of a profile than the lock of a run of it.

    Compared are all figures, rounded to the digits that are stated, and the time: the sum of the lock's wall times.

    Args:
        header: What is stated.
        lock: The run's lock, of schema 2 or later.
        profile: The profile that the lock is of.
    """
    said = header.profiles.get(profile)
    if said is None:
        return [header.fault(1, f"the lock is of profile {profile!r}, of which the header says nothing")]
    if not said.expect:
        return [header.fault(said.line, f"profile {profile}: there is a lock, so that it says what to expect")]
    known = figures_of(lock)
    faults = []
    for network, figures in said.expect.items():
        messages = [(figure.line, _figure_fault(figure, network, known)) for figure in figures]
        if network not in known:
            messages = [(figures[0].line, f"the lock has no network {network!r}; it has {', '.join(known)}")]
        faults += [header.fault(line, f"profile {profile}: {message}") for line, message in messages if message]
    return faults + _time_faults(header, said, lock)


def figures_of(lock: Mapping[str, Any]) -> Figures:
    """Returns network → figure → value of a lock of any kind, in the units of `accelzoo.recipes.headers`.

    Test scores are means over the seeds. A product's latency is the compiler's if it compiled every network, a width
    recipe's is the measured one if it measured, and else they are estimates as a funnel's.
    """
    comparison = lock["comparison"]
    if "winner" in comparison:
        return {name: _of_funnel(comparison[name]) for name in ("baseline", "winner")}
    if "metric" in comparison:
        networks = comparison["networks"]
        compiled = all(network["compiled"] is not None for network in networks)
        return {one["name"]: _of_product(one, comparison, compiled) for one in networks}
    return {_width_name(one): _of_width(one) for one in comparison["networks"]}


def _of_funnel(scored: Mapping[str, Any]) -> dict[str, float]:
    return {"test top-1": 100 * scored["test_top1_mean"], **_costs(scored["cost"])}


def _of_product(network: Mapping[str, Any], comparison: Mapping[str, Any], compiled: bool) -> dict[str, float]:
    cost = dict(network["prices"][comparison["target"]]["cost"])
    if compiled:
        cost["latency_s"] = network["compiled"]["latency_s"]
    return {f"test {comparison['metric']}": 100 * network["test_mean"], **_costs(cost)}


def _width_name(row: Mapping[str, Any]) -> str:
    return "original" if row["method"] == "original" else f"{100 * row['latency_share']:g} % {row['method']}"


def _of_width(row: Mapping[str, Any]) -> dict[str, float]:
    return {"test top-1": 100 * row["test_top1_mean"], **_costs({**row, "latency_s": row["measured_s"]})}


def _costs(cost: Mapping[str, Any]) -> dict[str, float]:
    return {metric: cost[name] / scale for metric, (name, scale) in _SCALES.items() if name in cost}


def _figure_fault(figure: Figure, network: str, known: Figures) -> str:
    """Returns how a figure differs from that of the lock; empty if it does not, or the lock has no such network."""
    values = known.get(network, {})
    if not values:
        return ""
    if figure.metric not in values:
        return f"{network}: the lock has no {figure.metric}; it has {', '.join(values)}"
    value = values[figure.metric]
    if figure.change:
        base = next(known[name] for name in _BASELINES if name in known)[figure.metric]
        value = 100 * (value / base - 1)
    if figure.stated.covers(value):
        return ""
    sign, digits, unit = "+" if figure.change else "", figure.stated.digits, figure.stated.unit
    stated, recorded = (f"{number:{sign}.{digits}f} {unit}" for number in (figure.stated.value, value))
    return f"{network}: {figure.metric}: {stated} is stated, the lock has {recorded}"


def _time_faults(header: Header, said: ProfileHeader, lock: Mapping[str, Any]) -> list[str]:
    seconds = sum(lock["wall_s"].values())
    if said.time is None:
        return [header.fault(said.time_line, f"profile {said.profile}: there is a lock, so that it says the time")]
    recorded = seconds / seconds_per(said.time.unit)
    if said.time.covers(recorded):
        return []
    took = f"{recorded:.{said.time.digits}f} {said.time.unit}"
    return [header.fault(said.time_line, f"profile {said.profile}: {said.time_text} is stated, the lock has {took}")]
