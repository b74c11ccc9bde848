"""Finding a published release: in the cache, on the hub that its reference names, or on the first hub that has it."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from pathlib import Path

from accelzoo._checksums import is_digest
from accelzoo.errors import AccelzooError, ConfigError, ReleaseError, UnknownNameError
from accelzoo.hub import HfHub, Hub, LocalHub, Reference, open_hub, parse_reference
from accelzoo.hubs.locations import cached_release
from accelzoo.hubs.names import HUGGING_FACE_PREFIX, REFERENCE_PREFIX, is_name
from accelzoo.release import verify_folder


def is_reference(text: str) -> bool:
    """Tells whether a text names a published release: `hub:…`, `hf:…`, or `owner/name` with or without `@revision`."""
    return text.startswith((REFERENCE_PREFIX, HUGGING_FACE_PREFIX)) or is_name(text.partition("@")[0])


def pull_release(
    text: str,
    *,
    revision: str | None = None,
    hub: str | Path | None = None,
    into: str | Path | None = None,
    force: bool = False,
    cache_dir: str | Path | None = None,
    looked_in: Sequence[str] = (),
) -> Path:
    """Pulls a published release, verified.

    A release that is pinned by its whole digest and lies in the cache needs no hub. A bare `owner/name` is looked for
    on the local hub, then on Hugging Face: the first that has the name decides, also on whether it has the revision.

    Args:
        text: `hub:owner/name`, `hf:owner/name` or `owner/name`, each with or without `@revision`.
        revision: A tag, a digest, or its first 8 or more digits, unless `text` has one.
        hub: The only hub to ask, as `accelzoo.open_hub` takes it.
        into: The folder to create; None for the cache.
        force: Replace another release in `into`.
        cache_dir: Where pulled releases are kept; None for the default.
        looked_in: Where the caller looked for a bare name before, and what was there: for the error.

    Returns:
        The release's folder.

    Raises:
        ConfigError: If `revision` contradicts `text`.
        UnknownNameError: If no hub has the name; for a bare name the error lists the places that were looked in.
        ReleaseError: If the text is no reference, the revision is unknown, the release damaged, `into` taken, or a hub
            cannot be asked.
    """
    is_bare = not text.startswith((REFERENCE_PREFIX, HUGGING_FACE_PREFIX))
    reference = _read(f"{REFERENCE_PREFIX}{text}" if is_bare else text, revision)
    if into is None and (kept := _cached(reference, cache_dir)):
        return kept
    places = _places(reference, is_bare=is_bare, hub=hub, cache_dir=cache_dir)
    asks = [partial(place.pull, reference.name, reference.revision, into, force=force) for place in places]
    if len(asks) == 1:
        return asks[0]()
    try:
        return asks[0]()
    except UnknownNameError as error:
        tried = [*looked_in, f"the local hub: {error}"]
    try:
        return asks[1]()
    except (UnknownNameError, ReleaseError) as error:
        raise type(error)("\n- ".join([f"{text}: not on this machine", *tried, f"Hugging Face: {error}"])) from None


def _read(text: str, revision: str | None) -> Reference:
    """Reads a reference whose revision may stand beside it."""
    reference = parse_reference(text)
    if revision is None or revision == reference.revision:
        return reference
    if reference.revision is not None:
        raise ConfigError([f"{text}: revision {revision!r} contradicts the name's {reference.revision!r}"])
    return parse_reference(f"{text}@{revision}")


def _cached(reference: Reference, cache_dir: str | Path | None) -> Path | None:
    """Returns the whole copy of a pinned release in the cache, if there is one."""
    if reference.revision is None or not is_digest(reference.revision):
        return None
    folder = cached_release(reference.name, reference.revision, None if cache_dir is None else Path(cache_dir))
    try:
        verify_folder(folder, expect=reference.revision)
    except ReleaseError:
        return None  # missing or damaged: the hub's copy takes its place
    return folder


def _places(reference: Reference, *, is_bare: bool, hub: str | Path | None, cache_dir: str | Path | None) -> list[Hub]:
    if reference.hub == "hf":
        named = open_hub("hf:" if hub is None else hub, cache_dir=cache_dir)
        if isinstance(named, LocalHub):
            raise AccelzooError(f"{HUGGING_FACE_PREFIX}{reference.name}: {named.root} is a directory, not Hugging Face")
        return [named]
    first = open_hub(hub, cache_dir=cache_dir)
    if not is_bare or hub is not None or isinstance(first, HfHub):
        return [first]
    return [first, HfHub(cache_dir=cache_dir)]
