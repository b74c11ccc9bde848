"""Whether a training that was made again is the recorded one: bit for bit on an equal set-up, elsewhere nearly."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from accelzoo.recipes.lock import machine, versions
from accelzoo.recipes.replay.material import Material
from accelzoo.recipes.replay.values import Divergence, Part
from accelzoo.weights_digest import weights_digest

_COMPUTE = ("torch", "numpy", "timm", "accelerate")
"""Packages whose build a training's last bits depend on."""
_MACHINE = ("system", "device", "processor", "threads")
_SETUP = ("world_size", "device", "threads", "dtype", "deterministic")


@dataclass(frozen=True, slots=True, kw_only=True)
class Trained:
    """A training that was made again.

    Args:
        label: What the lock calls it.
        arch_digest: Of the network.
        weights_sha256: Digest of its weights; see `accelzoo.weights_digest`.
        metric: `test_top1`, `test_AP50` or `test_mIoU`.
        value: Of that metric, 0 … 1.
        recorded: What the lock has of it.
        threads: Of the CPU.
        setup: How it was computed; see `accelzoo.training.identity.run_setup`.
    """

    label: str
    arch_digest: str
    weights_sha256: str
    metric: str
    value: float
    recorded: float
    threads: int
    setup: Mapping[str, Any]


def judge(material: Material, one: Trained) -> Part:
    """Compares a training with what the lock, or the release, has of it.

    On an equal set-up the weights must be equal bit for bit; elsewhere the score must be as near as the lock claims.
    Equal weights are equal anywhere.
    """
    name, recorded = f"training {one.label}", _recorded_weights(material, one)
    score = f"{one.metric} {one.value:.4f}, recorded {one.recorded:.4f}"
    others = other_setup(material, one)
    claimed = material.lock.tolerances.get(one.metric)
    if recorded == one.weights_sha256:
        found, allowed = None, (claimed or 0.0) if others else 0.0  # elsewhere a score's own sums may differ
        if abs(one.value - one.recorded) > allowed:
            found = Divergence(field=one.metric, expected=one.recorded, got=one.value)
        return Part.of(name, f"weights bit for bit; {score}", found)
    if recorded is not None and not others:
        found = Divergence(field="weights_sha256", expected=recorded, got=one.weights_sha256)
        return Part.of(name, f"weights, on an equal set-up; {score}", found)
    why = f"another set-up ({', '.join(others)})" if others else "no digest of its weights was recorded"
    if claimed is None:
        return Part(name=name, status="skipped", said=f"{score}; {why}, and the lock claims no tolerance")
    if abs(one.value - one.recorded) <= claimed:
        return Part(name=name, status="within", said=f"{score}: within the claimed {claimed:.4f}; {why}")
    found = Divergence(field=one.metric, expected=one.recorded, got=one.value)
    return Part.of(name, f"{score}: further than the claimed {claimed:.4f}; {why}", found)


def _recorded_weights(material: Material, one: Trained) -> str | None:
    """Returns the digest of the recorded weights: the lock's, else that of the released ones."""
    found = material.lock.trainings.get(one.label, {}).get("weights_sha256")
    if found is None and one.arch_digest in material.releases:
        found = weights_digest(material.releases[one.arch_digest].load_weights())
    return found


def other_setup(material: Material, one: Trained) -> list[str]:
    """Says in what this machine's set-up differs from the recorded one, as far as the lock knows that: `torch 2.14`."""
    lock, here = material.lock, versions()
    others = [f"{name} {lock.versions[name]}" for name in _COMPUTE if lock.versions.get(name, here[name]) != here[name]]
    there, now = lock.machine, machine(one.threads)
    others += [f"{name} {there[name]}" for name in _MACHINE if there.get(name, now[name]) != now[name]]
    facts, setup = lock.trainings.get(one.label, {}), {"threads": one.threads, **one.setup}
    return others + [f"{name} {facts[name]}" for name in _SETUP if name in facts and facts[name] != setup.get(name)]
