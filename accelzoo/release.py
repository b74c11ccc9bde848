"""A release: one flat folder with a model's weights, its recipe, the record of its making, and their checksums."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from glob import escape
from hashlib import sha256
from pathlib import Path
from typing import TYPE_CHECKING, Any

from accelzoo._checksums import (
    LONGEST_SUMS,
    SUMS_FILE,
    compare_folder,
    digest_of,
    format_sums,
    list_faults,
    parse_sums,
)
from accelzoo._files import (
    install_folder,
    is_empty_folder,
    read_regular,
    remove_any,
    staging_path,
    system_errors_as_release_errors,
    write_synced,
)
from accelzoo.errors import ReleaseError
from accelzoo.model_card import check_card
from accelzoo.release_config import check_config

if TYPE_CHECKING:
    import numpy as np

WEIGHTS_FILE = "model.safetensors"
CONFIG_FILE = "config.json"
RECIPE_FILE = "recipe.yaml"
LOCK_FILE = "lock.json"
TRACE_FILE = "trace.jsonl"
CARD_FILE = "README.md"
HASHED_FILES = (WEIGHTS_FILE, CONFIG_FILE, RECIPE_FILE, LOCK_FILE, TRACE_FILE, CARD_FILE)
RELEASE_FILES = (*HASHED_FILES, SUMS_FILE)
QUANTIZATION_FILE = "quantization.json"
OPTIONAL_FILES = (QUANTIZATION_FILE,)
"""What a release may hold besides, hashed like the others."""

_LONGEST_TEXT = 1 << 26  # bytes; what a reader would otherwise take into memory whole, however long

# What the safetensors numpy interface can write and read back; it names none of the others in its errors.
_DTYPES = (
    "bool", "complex64", "float16", "float32", "float64",
    "int8", "int16", "int32", "int64", "uint8", "uint16", "uint32", "uint64",
)  # fmt: skip


@dataclass(frozen=True, slots=True, kw_only=True)
class Release:
    """A release folder on disk. The weights are read only when asked for."""

    folder: Path
    digest: str  # "sha256:" + sha256 of the bytes of SHA256SUMS; equal on every hub
    config: Mapping[str, Any] = field(compare=False, repr=False)
    hashes: Mapping[str, str] = field(compare=False, repr=False)  # file name -> sha256 in hexadecimal

    @property
    def weights_path(self) -> Path:
        """The safetensors file."""
        return self.folder / WEIGHTS_FILE

    @property
    def trace_path(self) -> Path:
        """The search's trace; an empty file when no search was run."""
        return self.folder / TRACE_FILE

    def load_weights(self) -> dict[str, np.ndarray[Any, Any]]:
        """Reads the weights and checks the very bytes that are returned against the checksum.

        Returns:
            Parameter and buffer name -> array, each writable.

        Raises:
            ReleaseError: If the file is damaged or not in the safetensors format.
        """
        from safetensors import SafetensorError
        from safetensors.numpy import load

        data = self._read(WEIGHTS_FILE)
        try:
            return {name: array if array.flags.writeable else array.copy() for name, array in load(data).items()}
        except (SafetensorError, KeyError) as error:
            raise ReleaseError(f"{self.weights_path}: not a readable safetensors file: {error}") from error

    def read_recipe(self) -> str:
        """Returns the text of the recipe (YAML)."""
        return self._read_text(RECIPE_FILE)

    def read_lock(self) -> dict[str, Any]:
        """Returns the lock: the record of the run that made this release."""
        return _parse_object(self._read(LOCK_FILE), self.folder / LOCK_FILE)

    def read_card(self) -> str:
        """Returns the text of the model card (YAML front matter and Markdown)."""
        return self._read_text(CARD_FILE)

    def read_quantization(self) -> dict[str, Any] | None:
        """Returns the ranges of activations, for int8 (`accelzoo.quantization.Calibration`); None if it has none."""
        if QUANTIZATION_FILE not in self.hashes:
            return None
        return _parse_object(self._read(QUANTIZATION_FILE), self.folder / QUANTIZATION_FILE)

    def _read_text(self, name: str) -> str:
        try:
            return self._read(name).decode("utf-8")
        except UnicodeDecodeError as error:
            raise ReleaseError(f"{self.folder / name}: not UTF-8 text: {error}") from None

    def _read(self, name: str) -> bytes:
        path = self.folder / name
        with system_errors_as_release_errors(f"read {path}"):
            data = read_regular(path, at_most=None if name == WEIGHTS_FILE else _LONGEST_TEXT)
        actual = sha256(data).hexdigest()
        if actual != self.hashes[name]:
            raise ReleaseError(f"{path}: damaged: expected sha256 {self.hashes[name]}, found sha256 {actual}")
        return data


def write_release(
    folder: str | Path,
    *,
    weights: Mapping[str, np.ndarray[Any, Any]],
    config: Mapping[str, Any],
    recipe_yaml: str,
    lock: Mapping[str, Any],
    trace_path: str | Path | None,
    card: str,
    quantization: Mapping[str, Any] | None = None,
    force: bool = False,
) -> Release:
    """Writes a release folder, whole or not at all.

    Equal arguments give equal bytes and so an equal digest. A kill leaves nothing at `folder` or, with `force`, the old
    release or the new one (see `install_folder`); it may leave a hidden `.<name>.<random>.partial` beside it.

    Args:
        folder: Where to write; must not exist, be empty, or (with `force`) hold a release.
        weights: Parameter and buffer name -> array.
        config: As `release_config.make_config` returns it.
        recipe_yaml: Text of the recipe.
        lock: The record of the run; JSON values only.
        trace_path: The search's trace, or None when no search was run (an empty file is written).
        card: As `model_card.model_card` returns it.
        quantization: Ranges of activations, as `accelzoo.quantization.Calibration.to_json` returns them.
        force: Replace an existing release.

    Raises:
        ReleaseError: If an argument does not fit the format, `folder` is taken, or the disk refuses.
    """
    folder = Path(folder)
    with system_errors_as_release_errors(f"write the release {folder}"):
        contents = _vouched_contents(weights, recipe_yaml, trace_path, quantization) | {
            CONFIG_FILE: _json_bytes(check_config(config), CONFIG_FILE),
            LOCK_FILE: _json_bytes(lock, LOCK_FILE),
            CARD_FILE: check_card(card).encode("utf-8"),
        }
        check_target(folder, force=force)
        _install_contents(folder, contents, replace=force)
    return read_release(folder, verify=False)


def vouched_files(
    weights: Mapping[str, np.ndarray[Any, Any]],
    recipe_yaml: str,
    trace_path: str | Path | None,
    quantization: Mapping[str, Any] | None = None,
) -> dict[str, str]:
    """Returns what a lock says of the files that `write_release` makes of these arguments.

    SHA256SUMS alone can be rewritten to match an edited file; a lock that names the weights, the trace, the recipe and
    the ranges for int8 ties them to the run as well.

    Returns:
        File name → sha256 in hexadecimal.
    """
    contents = _vouched_contents(weights, recipe_yaml, trace_path, quantization)
    return {name: sha256(data).hexdigest() for name, data in contents.items()}


def _vouched_contents(
    weights: Mapping[str, np.ndarray[Any, Any]],
    recipe_yaml: str,
    trace_path: str | Path | None,
    quantization: Mapping[str, Any] | None,
) -> dict[str, bytes]:
    contents = {
        WEIGHTS_FILE: _weights_bytes(weights),
        TRACE_FILE: b"" if trace_path is None else Path(trace_path).read_bytes(),
        RECIPE_FILE: recipe_yaml.encode("utf-8"),
    }
    if quantization is not None:
        contents[QUANTIZATION_FILE] = _json_bytes(quantization, QUANTIZATION_FILE)
    return contents


def read_release(folder: str | Path, verify: bool = True) -> Release:
    """Opens a release folder.

    Args:
        folder: The folder.
        verify: Check every file against SHA256SUMS first. Without it each file is still checked when it is read.

    Raises:
        ReleaseError: If the folder is no release, or is damaged.
    """
    folder = Path(folder)
    verified = verify_folder(folder) if verify else None
    with system_errors_as_release_errors(f"read the release {folder}"):
        sums = read_regular(_existing(folder) / SUMS_FILE, at_most=LONGEST_SUMS)
        config_bytes = read_regular(folder / CONFIG_FILE, at_most=_LONGEST_TEXT)
    hashes, faults = parse_sums(sums)
    faults += [f"{SUMS_FILE}: no line for {name}" for name in HASHED_FILES if name not in hashes]
    digest = digest_of(sums)
    if verified not in (None, digest):
        faults.append(f"{SUMS_FILE}: changed while reading: expected {verified}, found {digest}")
    actual = sha256(config_bytes).hexdigest()
    if not faults and actual != hashes[CONFIG_FILE]:
        faults.append(f"{CONFIG_FILE}: damaged: expected sha256 {hashes[CONFIG_FILE]}, found sha256 {actual}")
    if faults:
        raise ReleaseError(list_faults(f"{folder}: the folder does not match its {SUMS_FILE}", faults))
    config = check_config(_parse_object(config_bytes, folder / CONFIG_FILE), folder / CONFIG_FILE)
    return Release(folder=folder, digest=digest, config=config, hashes=hashes)


def verify_folder(folder: str | Path, expect: str | None = None) -> str:
    """Checks every file of a release folder against SHA256SUMS.

    Args:
        folder: The folder.
        expect: The digest that the release must have, when known; without it a folder whose SHA256SUMS was rewritten
            to match its edited files cannot be told from another release.

    Returns:
        The release's digest.

    Raises:
        ReleaseError: Listing each damaged, missing or extra file with the expected and the actual hash.
    """
    folder = Path(folder)
    with system_errors_as_release_errors(f"verify the release {folder}"):
        digest, faults = compare_folder(_existing(folder), HASHED_FILES, expect, optional=OPTIONAL_FILES)
    if faults:
        raise ReleaseError(list_faults(f"{folder}: the folder does not match its {SUMS_FILE}", faults))
    return digest


def check_target(folder: Path, *, force: bool) -> None:
    """Refuses a target folder that must not be replaced.

    With `force`, only a folder that holds nothing but release files may go: a mistyped path never costs a home folder.

    Raises:
        ReleaseError: If `folder` is taken.
    """
    if not os.path.lexists(folder) or is_empty_folder(folder):
        return
    if folder.is_symlink() or not folder.is_dir():
        raise ReleaseError(f"{folder}: exists and is not a folder; choose another path")
    if not force:
        raise ReleaseError(f"{folder}: already exists; choose another path, or replace the release with force")
    known = {*RELEASE_FILES, *OPTIONAL_FILES}
    foreign = sorted(entry.name for entry in folder.iterdir() if entry.name not in known or entry.is_dir())
    if foreign:
        raise ReleaseError(f"{folder}: holds {foreign[0]!r}, which is no release file; remove the folder yourself")


def _install_contents(folder: Path, contents: Mapping[str, bytes], *, replace: bool) -> None:
    sums = format_sums({name: sha256(data).hexdigest() for name, data in contents.items()})
    folder.parent.mkdir(parents=True, exist_ok=True)
    staged = staging_path(folder)
    try:
        staged.mkdir()
        for name, data in {**contents, SUMS_FILE: sums}.items():
            write_synced(staged / name, data)
        verify_folder(staged, expect=digest_of(sums))
        install_folder(staged, folder, replace=replace)
    finally:
        remove_any(staged)


def _existing(folder: Path) -> Path:
    if folder.is_dir():
        return folder
    hint = ""
    if folder.parent.is_dir():
        aside = sorted(
            path for path in folder.parent.glob(f".{escape(folder.name)}.*.partial") if (path / SUMS_FILE).exists()
        )
        hint = f"; an interrupted replacement left {aside[0]}: rename it back to recover" if aside else ""
    raise ReleaseError(f"{folder}: no such release folder{hint}")


def _weights_bytes(weights: Mapping[str, np.ndarray[Any, Any]]) -> bytes:
    import numpy as np
    from safetensors.numpy import save

    if not weights:
        raise ReleaseError("weights: a release needs at least one array, found none")
    plain = {}
    for name in sorted(weights):
        array = weights[name]
        found = array.dtype.name if isinstance(array, np.ndarray) else type(array).__name__
        if found not in _DTYPES:
            raise ReleaseError(f"weights: {name!r}: expected an array of {', '.join(_DTYPES)}; found {found}")
        # safetensors writes the raw buffer: a transposed or sliced array would be stored scrambled, without an error.
        plain[name] = array if array.flags.c_contiguous else array.copy(order="C")
    return save(plain)


def _json_bytes(value: Mapping[str, Any], name: str) -> bytes:
    try:
        text = json.dumps(value, indent=2, sort_keys=True, ensure_ascii=False, allow_nan=False)
    except (TypeError, ValueError) as error:
        raise ReleaseError(f"{name}: holds a value that JSON cannot carry: {error}") from error
    return (text + "\n").encode("utf-8")


def _parse_object(data: bytes, path: Path) -> dict[str, Any]:
    try:
        value = json.loads(data, parse_constant=_refuse_constant)
    except (ValueError, RecursionError) as error:  # of broken text, and of brackets nested too deep
        raise ReleaseError(f"{path}: not JSON: {error}") from error
    if not isinstance(value, dict):
        raise ReleaseError(f"{path}: expected a JSON object, found {type(value).__name__}")
    return value


def _refuse_constant(text: str) -> None:
    raise ValueError(f"{text} is no JSON value")
