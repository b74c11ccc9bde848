"""Learned parts of a target: what measurements add to its analytic price, stored beside its YAML.

A target with a learned part names it by the digest of its content, so that the target stays a small plain value; the
part itself is kept here, by digest, from the moment it is fitted or loaded.
"""

from __future__ import annotations

import dataclasses
import hashlib
import io
import json
import zipfile
import zlib
from collections.abc import Mapping, Sequence
from importlib import import_module
from pathlib import Path
from typing import Any, NamedTuple, Protocol, cast

import numpy as np
import numpy.typing as npt

from accelzoo.errors import AccelzooError, DataError
from accelzoo.hwmodel.cost import OpCost
from accelzoo.hwmodel.ir import Graph
from accelzoo.hwmodel.target import Target

SUFFIX = ".learned.npz"
FORMAT = "accelzoo-learned"
VERSION = 1
_HOMES = {"regressor": "accelzoo.hwmodel.regressor", "calibration": "accelzoo.hwmodel.calibrated"}
"""Modules with a function `from_parts(facts, arrays)`, by the kind of learned part that they read."""

Arrays = Mapping[str, npt.NDArray[Any]]


class Correction(NamedTuple):
    """What a learned part makes of a graph's analytic rows.

    `extrapolated` names operators far from anything measured; `live_bytes` are the activation bytes alive while each
    operator runs, as the measured tool places them.
    """

    rows: list[OpCost]
    extrapolated: tuple[str, ...]
    live_bytes: tuple[int, ...]


class LearnedPart(Protocol):
    """Corrects the analytic rows of a graph."""

    @property
    def kind(self) -> str:
        """Which sort of part it is: a key of the modules that read them."""

    @property
    def context_radius(self) -> int:
        """How many subgraphs before and after one decide on its price."""

    def price(self, graph: Graph, target: Target, rows: Sequence[OpCost]) -> Correction:
        """Corrects the analytic rows of a graph."""

    def parts(self) -> tuple[dict[str, Any], dict[str, npt.NDArray[Any]]]:
        """Returns everything to store: facts as plain JSON data, and arrays."""


_known: dict[str, LearnedPart] = {}


def register(part: LearnedPart) -> str:
    """Makes a part known; returns its digest, `sha256:…`, which a target names in `learned`."""
    facts, arrays = part.parts()
    digest = _digest(facts, arrays)
    _known[digest] = part
    return digest


def learned_part(target: Target) -> LearnedPart:
    """Returns the learned part of a target.

    Raises:
        AccelzooError: If it was not loaded in this process.
    """
    assert target.learned is not None
    try:
        return _known[target.learned]
    except KeyError:
        raise AccelzooError(
            f"target {target.name!r} has a learned part, {target.learned}, which is not loaded: "
            "get the target from load_target, fit or calibrate"
        ) from None


def save_target(target: Target, folder: str | Path) -> list[Path]:
    """Writes `<name>.yaml` and, if it has a learned part, `<name>.learned.npz` beside it.

    Returns:
        The files written.

    Raises:
        DataError: If one of them exists.
    """
    from accelzoo import config

    folder = Path(folder)
    contents = {folder / f"{target.name}.yaml": config.dump_yaml(_plain(target)).encode()}
    if target.learned is not None:
        facts, arrays = learned_part(target).parts()
        contents[folder / f"{target.name}{SUFFIX}"] = _pack(facts, arrays)
    existing = [str(path) for path in contents if path.exists()]
    if existing:
        raise DataError(f"would overwrite {', '.join(existing)}: choose another name or folder")
    folder.mkdir(parents=True, exist_ok=True)
    for path, content in contents.items():
        path.write_bytes(content)
    return list(contents)


def load_part(path: Path, expected: str) -> None:
    """Reads the learned part beside a target's file and makes it known.

    Raises:
        DataError: If the file is missing, damaged, or not the one that the target names.
    """
    if expected in _known:
        return
    try:
        facts, arrays = _unpack(path.read_bytes())
    except FileNotFoundError:
        raise DataError(f"{path}: the target's learned part is missing; it belongs beside the target's file") from None
    except (ValueError, KeyError, TypeError, OSError, EOFError, zipfile.BadZipFile, zlib.error) as error:
        raise DataError(f"{path}: not a learned part: {error}") from error
    found = _digest(facts, arrays)
    if found != expected:
        raise DataError(
            f"{path}: has digest {found}, but the target names {expected}: the files do not belong together"
        )
    home = _HOMES.get(str(facts.get("kind")))
    if facts.get("format") != FORMAT or facts.get("version") != VERSION or home is None:
        raise DataError(
            f"{path}: is of kind {facts.get('kind')!r}, version {facts.get('version')!r}: cannot be read here"
        )
    try:
        _known[expected] = cast(LearnedPart, import_module(home).from_parts(facts, arrays))
    except (ValueError, KeyError) as error:
        raise DataError(f"{path}: cannot be read here: {error}") from error


def _plain(target: Target) -> dict[str, Any]:
    default = {entry.name: entry.default for entry in dataclasses.fields(Target)}
    fields = {name: getattr(target, name) for name in default}
    return {
        name: list(value) if isinstance(value, tuple) else value
        for name, value in fields.items()
        if value != default[name]
    }


def _pack(facts: Mapping[str, Any], arrays: Arrays) -> bytes:
    buffer = io.BytesIO()
    text = np.frombuffer(_spell(facts), np.uint8)
    np.savez_compressed(buffer, allow_pickle=False, facts=text, **_stored(arrays))
    return buffer.getvalue()


def _unpack(content: bytes) -> tuple[dict[str, Any], dict[str, npt.NDArray[Any]]]:
    with np.load(io.BytesIO(content), allow_pickle=False) as file:
        arrays = {name: file[name] for name in file.files}
    return json.loads(arrays.pop("facts").tobytes()), arrays


def _stored(arrays: Arrays) -> dict[str, npt.NDArray[Any]]:
    """Single precision for thresholds and leaves, which were rounded to it when they were fitted."""
    return {
        name: array.astype(np.float32) if name in ("threshold", "value") else np.asarray(array)
        for name, array in arrays.items()
    }


def _digest(facts: Mapping[str, Any], arrays: Arrays) -> str:
    found = hashlib.sha256(_spell(facts))
    for name, array in sorted(_stored(arrays).items()):
        contiguous = np.ascontiguousarray(array)
        found.update(f"{name} {contiguous.dtype.str} {contiguous.shape}".encode())
        found.update(contiguous.tobytes())
    return "sha256:" + found.hexdigest()


def _spell(facts: Mapping[str, Any]) -> bytes:
    return json.dumps(facts, sort_keys=True, separators=(",", ":"), allow_nan=False).encode()
