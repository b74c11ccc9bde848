"""Hubs: where releases are published to and pulled from."""

from __future__ import annotations

import os
import re
from pathlib import Path
from urllib.parse import unquote

from accelzoo.errors import AccelzooError
from accelzoo.hubs.local import LocalHub
from accelzoo.hubs.locations import default_cache_directory, default_hub_directory
from accelzoo.hubs.names import Reference, check_name, parse_reference
from accelzoo.hubs.protocol import ABSENT, ConflictError, Hub

# Two letters or more: `C:` is a drive.
_SCHEME = re.compile(r"([A-Za-z][A-Za-z0-9+.-]+):")
_HUGGING_FACE = re.compile(r"hf:|https?://([^/]*\.)?(huggingface\.co|hf\.co)(/|$)", re.IGNORECASE)
_FILE_URL = re.compile(r"file://(?:localhost)?(/[^?#]*)", re.IGNORECASE)
_ALLOWED = "allowed: a directory, 'file:///…', or nothing for the default hub"


def open_hub(url: str | Path | None = None) -> Hub:
    """Opens a hub by its address.

    Args:
        url: A directory or `file:///…`; None for `$ACCELZOO_HUB` (same forms), else the default local hub.

    Raises:
        AccelzooError: If the address is of a kind that does not exist.
    """
    if url is None:
        url = os.environ.get("ACCELZOO_HUB") or default_hub_directory()
    if isinstance(url, Path):
        return LocalHub(url)
    scheme = _SCHEME.match(url)
    if not url:
        raise AccelzooError(f"hub address '': {_ALLOWED}")
    if scheme is None:
        return LocalHub(Path(url).expanduser())
    if scheme[1].lower() == "file":
        return LocalHub(_file_path(url))
    if _HUGGING_FACE.match(url):
        raise AccelzooError(f"hub address {url!r}: only local hubs exist yet, none on Hugging Face; {_ALLOWED}")
    raise AccelzooError(f"hub address {url!r}: unknown kind {scheme[1]!r}; {_ALLOWED}")


def _file_path(url: str) -> Path:
    match = _FILE_URL.fullmatch(url)
    if match is None:
        raise AccelzooError(f"hub address {url!r}: expected 'file:///absolute/path'; {_ALLOWED}")
    return Path(unquote(match[1]))


__all__ = [
    "ABSENT",
    "ConflictError",
    "Hub",
    "LocalHub",
    "Reference",
    "check_name",
    "default_cache_directory",
    "default_hub_directory",
    "open_hub",
    "parse_reference",
]
