"""Where the default hub and the cache of pulled releases are on this machine (XDG base directories)."""

from __future__ import annotations

import os
from pathlib import Path


def default_hub_directory() -> Path:
    """Returns `$XDG_DATA_HOME/accelzoo/hub`, by default `~/.local/share/accelzoo/hub`."""
    return _base("XDG_DATA_HOME", ".local/share") / "accelzoo" / "hub"


def default_cache_directory() -> Path:
    """Returns `$ACCELZOO_CACHE`, else `$XDG_CACHE_HOME/accelzoo`, by default `~/.cache/accelzoo`."""
    own = os.environ.get("ACCELZOO_CACHE")
    return Path(own).expanduser().absolute() if own else _base("XDG_CACHE_HOME", ".cache") / "accelzoo"


def cached_release(name: str, digest: str, cache_dir: Path | None = None) -> Path:
    """Returns where a pulled release lies in the cache.

    Args:
        name: A valid `owner/name`.
        digest: Its whole digest.
        cache_dir: The cache; None for `default_cache_directory()`.
    """
    owner, model = name.split("/")
    return (cache_dir or default_cache_directory()) / "releases" / owner / model / digest.removeprefix("sha256:")


def _base(variable: str, fallback: str) -> Path:
    # The XDG specification tells programs to ignore relative paths in these variables.
    value = os.environ.get(variable, "")
    return Path(value) if os.path.isabs(value) else Path.home() / fallback
