"""Checks of a release's files against its lock: trace, recipe, architecture and weights."""

from __future__ import annotations

import hashlib
import math

from accelzoo import config
from accelzoo.arch import Arch
from accelzoo.errors import AccelzooError
from accelzoo.hwmodel.op import INPUT
from accelzoo.recipes.lock_reader import Lock
from accelzoo.recipes.verify_account import check_settings
from accelzoo.recipes.verify_values import INT8, FailedCheckError, SkippedCheckError, recorded
from accelzoo.release import (
    CONFIG_FILE,
    LOCK_FILE,
    QUANTIZATION_FILE,
    RECIPE_FILE,
    TRACE_FILE,
    WEIGHTS_FILE,
    Release,
)
from accelzoo.search.chain import finished_bytes, verified_lines
from accelzoo.weights_digest import weights_digest


def check_trace(release: Release, lock: Lock) -> str:
    """Follows the trace's chain of hashes, and compares the whole with the lock."""
    data, known = release.trace_path.read_bytes(), recorded(release, lock)
    if known.trace_sha256 is None:
        if data:
            said = f"expected no line, as {known.name} was not searched for; found {len(data)} bytes"
            raise FailedCheckError(TRACE_FILE, said)
        return f"empty, as {known.name} was not searched for"
    try:
        lines = [content for _, _, content in verified_lines(release.trace_path, data)]
    except AccelzooError as error:
        raise FailedCheckError(TRACE_FILE, str(error)) from None
    if finished_bytes(data) != len(data):
        raise FailedCheckError(TRACE_FILE, "its last line was never finished")
    found = hashlib.sha256(data).hexdigest()
    if found != known.trace_sha256:
        raise FailedCheckError(TRACE_FILE, f"expected the sha256 of the lock, {known.trace_sha256}, found {found}")
    where = "search" if "searches" not in lock.search else f"search.searches.{known.search}"
    check_settings(lines, lock.search if where == "search" else lock.search["searches"][known.search], where)
    if (index := lock.search.get("winner_index")) is not None:
        found = lines[1 + index]["arch"]
        if found != lock.winner_digest:
            said = f"candidate {index}: expected {lock.winner_digest}, the lock's winner, found {found}"
            raise FailedCheckError(TRACE_FILE, said)
    return f"{len(lines):,} lines whose chain holds; sha256 as in the lock"


def check_recipe(release: Release, lock: Lock) -> str:
    """Compares the recipe's digest, and its text with the lock's plan."""
    try:
        recipe = config.load(config.Text(release.read_recipe())).plain()
        found = config.digest(recipe)
    except AccelzooError as error:
        raise FailedCheckError(RECIPE_FILE, str(error)) from None
    if found != lock.recipe_digest:
        raise FailedCheckError(RECIPE_FILE, f"expected the digest of the lock, {lock.recipe_digest}, found {found}")
    if lock.plan is not None and config.digest(lock.plan) != found:
        said = f"expected {found}, the digest of {RECIPE_FILE}, found {config.digest(lock.plan)}"
        raise FailedCheckError(LOCK_FILE, f"plan: {said}")
    return f"digest {found} as in the lock"


def check_files(release: Release, lock: Lock) -> str:
    """Compares the hashes of the files that the lock names."""
    if lock.files is None:
        raise SkippedCheckError(f"a lock of schema {lock.schema} names no files")
    needed = (WEIGHTS_FILE, TRACE_FILE, RECIPE_FILE, QUANTIZATION_FILE)
    missing = [name for name in needed if name in release.hashes and name not in lock.files]
    if missing:
        raise FailedCheckError(LOCK_FILE, f"files: no sha256 of {', '.join(missing)}")
    for name, expected in lock.files.items():
        found = release.hashes.get(name)
        if found != expected:
            raise FailedCheckError(name, f"expected the sha256 of the lock, {expected}, found {found}")
    return ", ".join(lock.files)


def check_architecture(release: Release, lock: Lock) -> str:
    """Compares the digests of the architecture itself, of config.json and of the lock."""
    own = release.config["accelzoo"]
    try:
        digest = Arch.from_config(own["arch"]).digest()
    except AccelzooError as error:
        raise FailedCheckError(CONFIG_FILE, f"accelzoo.arch: {error}") from None
    told = {"accelzoo.arch_digest": own["arch_digest"], "the lock's winner_digest": lock.winner_digest}
    for where, known in told.items():
        if known != digest:
            raise FailedCheckError(CONFIG_FILE, f"{where}: expected {digest}, the architecture's, found {known}")
    recorded(release, lock)
    return f"{digest} in config, lock and by itself"


def check_ranges(release: Release, lock: Lock) -> str:
    """Compares the ranges of activations with the architecture's operators; a release with an int8 score has some."""
    from accelzoo.quantization import Calibration

    own, content = release.config["accelzoo"], release.read_quantization()
    if content is None:
        scored = [name for name in own["metrics"] if name.endswith(INT8)]
        if scored:
            raise FailedCheckError(QUANTIZATION_FILE, f"missing, although {CONFIG_FILE} has {', '.join(scored)}")
        return "none, as there is no int8 score"
    ranges = Calibration.from_json(content).ranges
    known = {INPUT, *(op.name for op in Arch.from_config(own["arch"]).lower().ops)}
    if strange := sorted(known ^ ranges.keys()):
        said = "missing" if strange[0] in known else "no operator of the architecture"
        raise FailedCheckError(QUANTIZATION_FILE, f"ranges.{strange[0]}: {said}")
    for name, (low, high) in ranges.items():
        if not (math.isfinite(low) and math.isfinite(high) and low <= high):
            raise FailedCheckError(QUANTIZATION_FILE, f"ranges.{name}: no range: {low} … {high}")
    return f"of all {len(ranges)} activations of the architecture"


def check_weights(release: Release, lock: Lock) -> str:
    """Loads the weights strictly into the architecture, and looks for their digest among the lock's trainings."""
    from accelzoo.pretrained import load_release

    try:
        load_release(release)
        found = weights_digest(release.load_weights())
    except AccelzooError as error:
        raise FailedCheckError(WEIGHTS_FILE, str(error)) from None
    known = {facts["weights_sha256"]: name for name, facts in lock.trainings.items() if "weights_sha256" in facts}
    if not known:
        return f"fit the architecture; a lock of schema {lock.schema} has no digest of them"
    if found not in known:
        said = f"weights_sha256 {found} is of none of the lock's trainings ({', '.join(known.values())})"
        raise FailedCheckError(WEIGHTS_FILE, said)
    return f"fit the architecture; those of the training {known[found]}"
