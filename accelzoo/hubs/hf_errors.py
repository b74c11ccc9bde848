"""What the Hugging Face client raises, told as errors of a release: what failed, where, and what to do."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from accelzoo.errors import AccelzooError, ReleaseError

_SECRETS = re.compile(r"hf_[A-Za-z0-9]{4,}|Bearer\s+\S+|(?<=[?&])X-Amz-[^\s&]+|(?<=[?&])[Ss]ignature=[^\s&]+")
_LONGEST_REPORT = 300
_LOGIN = "log in with `hf auth login`, or set HF_TOKEN"
_ADVICE = {
    401: f"no valid token: {_LOGIN}",
    403: "the token does not allow it: it needs write access to this owner's repositories",
    404: "not there",
    409: "it exists already",
    413: "too large for the server",
    416: "the server has fewer bytes than were fetched before",
    429: "too many requests: wait a while and try again",
}


class UnreachableError(ReleaseError):
    """The server cannot be asked: no network, no answer in time, or `HF_HUB_OFFLINE` is set."""


class MissingRepositoryError(ReleaseError):
    """There is no such repository, or it is private and the token does not show it."""


class MovedError(ReleaseError):
    """The branch has moved since it was read; the server changed nothing."""


class RangeError(ReleaseError):
    """The server has no bytes at the place where a download should continue."""


@contextmanager
def client_errors_as_release_errors(doing: str, secret: str | None = None) -> Iterator[None]:
    """Turns what the client raises into a ReleaseError without tokens or signed addresses, and without their traceback.

    Args:
        doing: What was being done, as in "cannot <doing>".
        secret: The token in use; cut out of whatever the server says.

    Raises:
        UnreachableError: If the server could not be asked.
        MissingRepositoryError: If the repository does not exist, as far as the token shows.
        MovedError: If the branch has moved.
        RangeError: If a download cannot be continued.
        ReleaseError: For anything else.
    """
    from huggingface_hub.errors import HfHubHTTPError

    transport_error: Any = HfHubHTTPError.__mro__[1]  # the HTTP library's base class, whichever library the client uses
    try:
        yield
    except AccelzooError:
        raise
    except (transport_error, OSError, RuntimeError, ValueError, KeyError) as error:
        raise _translate(doing, error, secret) from None


def without_secrets(text: str, secret: str | None = None) -> str:
    """Returns a text on one line with tokens and signatures replaced by `***`, shortened to 300 characters."""
    if secret:
        text = text.replace(secret, "***")
    text = "".join(character if character.isprintable() else " " for character in _SECRETS.sub("***", text))
    return " ".join(text.split())[:_LONGEST_REPORT]


def _translate(doing: str, error: BaseException, secret: str | None) -> ReleaseError:
    from huggingface_hub.errors import GatedRepoError, HfHubHTTPError, OfflineModeIsEnabled, RepositoryNotFoundError

    if isinstance(error, RuntimeError) and error.__cause__ is not None:  # an upload in one of the client's threads
        return _translate(doing, error.__cause__, secret)
    if isinstance(error, OfflineModeIsEnabled):
        return UnreachableError(f"cannot {doing}: offline (HF_HUB_OFFLINE is set)")
    if isinstance(error, GatedRepoError):
        return ReleaseError(f"cannot {doing}: gated: accept its terms on its page, then log in with `hf auth login`")
    if isinstance(error, RepositoryNotFoundError):
        return MissingRepositoryError(f"cannot {doing}: no such repository, or a private one; to see it, {_LOGIN}")
    if isinstance(error, HfHubHTTPError):
        return _translate_status(doing, error, secret)
    if isinstance(error, HfHubHTTPError.__mro__[1]):
        found = f"{type(error).__name__}: {without_secrets(str(error), secret)}"
        return UnreachableError(f"cannot {doing}: no answer from the server ({found})")
    return ReleaseError(f"cannot {doing}: {without_secrets(str(error), secret) or type(error).__name__}")


def _translate_status(doing: str, error: Any, secret: str | None) -> ReleaseError:
    status = error.response.status_code
    said = without_secrets(error.server_message or "", secret)
    advice = _ADVICE.get(status, "the server failed: try again later" if status >= 500 else "refused")
    message = f"cannot {doing}: {advice} (HTTP status {status}{f'; the server says: {said}' if said else ''})"
    kind = {412: MovedError, 416: RangeError}.get(status, ReleaseError)
    return kind(message)
