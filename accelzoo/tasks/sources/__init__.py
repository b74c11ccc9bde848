"""Where classification data comes from: one file per source, found by name or by what lies at a path."""

from __future__ import annotations

import importlib
import pkgutil
from pathlib import Path

from accelzoo.errors import DataError, unknown_name
from accelzoo.tasks.raw import RawData, Source

_registry: dict[str, Source] = {}


def list_sources() -> dict[str, str]:
    """Returns the name and the one-line summary of every source."""
    return {name: source.SUMMARY for name, source in sorted(_sources().items())}


def register_source(source: Source) -> None:
    """Adds a source of your own; see `accelzoo.tasks.raw.Source`.

    Raises:
        ValueError: If another source has the same name.
    """
    known = _sources()
    if known.get(source.NAME, source) is not source:
        raise ValueError(f"a source named {source.NAME!r} exists already")
    known[source.NAME] = source


def read_source(text: str) -> RawData:
    """Reads what `text` names: `NAME`, `NAME:path` or a path; a path may end in `?option=value&…`.

    Raises:
        DataError: If nothing is there, or nothing readable; the message says what to install or where to put it.
        UnknownNameError: If it is neither a known name nor a path.
    """
    source, path, options = parse_source(text)
    unknown = sorted(set(options) - set(source.OPTIONS))
    if unknown:
        allowed = ", ".join(source.OPTIONS) or "none"
        raise DataError(f"{text}: the source {source.NAME!r} has no option {unknown[0]!r}; allowed: {allowed}")
    return source.read(path, options)


def parse_source(text: str) -> tuple[Source, Path | None, dict[str, str]]:
    """Splits the name of a source into the source, its path (None: the usual place) and its options."""
    body, _, query = text.partition("?")
    options = dict(_option(text, part) for part in query.split("&")) if query else {}
    known = _sources()
    name, colon, rest = body.partition(":")
    if name in known and (not colon or rest):
        return known[name], Path(rest).expanduser() if colon else None, options
    path = Path(body).expanduser()
    if path.exists():
        return _detect(path), path, options
    if "/" in body or "\\" in body or path.suffix:
        raise DataError(f"{path}: no such file or folder")
    raise unknown_name("data source", text, known)


def _detect(path: Path) -> Source:
    # class folders last: any folder with folders in it looks like one
    ordered = sorted(_sources().values(), key=lambda source: (source.NAME == "folder", source.NAME))
    for source in ordered:
        if source.detect(path):
            return source
    raise DataError(
        f"{path}: not recognised; expected an .npz, a .csv index, IDX files, CIFAR-10 batches or a folder of class "
        "folders"
    )


def _option(text: str, part: str) -> tuple[str, str]:
    key, equals, value = part.partition("=")
    if not (key and equals and value):
        raise DataError(f"{text}: options are written ?name=value&name=value, got {part!r}")
    return key, value


def _sources() -> dict[str, Source]:
    if not _registry:
        for module in pkgutil.iter_modules(__path__):
            source: Source = importlib.import_module(f"{__name__}.{module.name}")
            _registry[source.NAME] = source
    return _registry
