"""Hubs: where releases are published to and pulled from.

There is none on `s3://` or another object store: a head that only moves when it is the expected one would need writes
under a condition, which `fsspec` does not offer and S3-compatible stores do not all keep. A shared directory, or a
server that speaks the Hugging Face protocol, serves several machines.
"""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import NamedTuple
from urllib.parse import unquote

from accelzoo.errors import AccelzooError
from accelzoo.hubs.hugging_face import HfHub
from accelzoo.hubs.local import LocalHub
from accelzoo.hubs.locations import default_cache_directory, default_hub_directory
from accelzoo.hubs.names import Reference, check_name, parse_reference
from accelzoo.hubs.protocol import ABSENT, ConflictError, Hub

# Two letters or more: `C:` is a drive.
_SCHEME = re.compile(r"([A-Za-z][A-Za-z0-9+.-]+):")
_FILE_URL = re.compile(r"file://(?:localhost)?(/[^?#]*)", re.IGNORECASE)
_ALLOWED = "allowed: a directory, 'file:///…', 'hf:', 'https://…', or nothing for the default hub"


class _Server(NamedTuple):
    """A server that speaks Hugging Face's protocol; None: the one of the environment."""

    endpoint: str | None


def open_hub(
    url: str | Path | None = None, *, cache_dir: str | Path | None = None, private: bool = False
) -> LocalHub | HfHub:
    """Opens a hub by its address.

    Args:
        url: A directory or `file:///…`; `hf:` for Hugging Face (`$HF_ENDPOINT`, else huggingface.co); `https://…` for
            another server that speaks its protocol; None for `$ACCELZOO_HUB` (same forms), else the default local hub.
        cache_dir: Where pulled releases are kept; None for the default.
        private: Create repositories that only their owner sees.

    Raises:
        AccelzooError: If the address is of a kind that does not exist, or malformed, or `private` is asked of a
            directory.
    """
    place = _parse_address(url)
    if isinstance(place, Path):
        if private:
            raise AccelzooError(f"private: {place} is a directory; its permissions say who may read it")
        return LocalHub(place, cache_dir=cache_dir)
    return HfHub(place.endpoint, private=private, cache_dir=cache_dir)


def _parse_address(url: str | Path | None) -> Path | _Server:
    if url is None:
        url = os.environ.get("ACCELZOO_HUB") or default_hub_directory()
    if isinstance(url, Path):
        return url
    scheme = _SCHEME.match(url)
    if not url:
        raise AccelzooError(f"hub address '': {_ALLOWED}")
    if scheme is None:
        return Path(url).expanduser()
    if scheme[1].lower() == "file":
        return _file_path(url)
    if scheme[1].lower() == "hf":
        if url.lower() not in ("hf:", "hf://"):
            raise AccelzooError(f"hub address {url!r}: expected 'hf:' alone; a release on it is 'hf:owner/name'")
        return _Server(None)
    if scheme[1].lower() in ("http", "https"):
        return _Server(url)
    raise AccelzooError(f"hub address {url!r}: unknown kind {scheme[1]!r}; {_ALLOWED}")


def _file_path(url: str) -> Path:
    match = _FILE_URL.fullmatch(url)
    if match is None:
        raise AccelzooError(f"hub address {url!r}: expected 'file:///absolute/path'; {_ALLOWED}")
    return Path(unquote(match[1]))


__all__ = [
    "ABSENT",
    "ConflictError",
    "HfHub",
    "Hub",
    "LocalHub",
    "Reference",
    "check_name",
    "default_cache_directory",
    "default_hub_directory",
    "open_hub",
    "parse_reference",
]
