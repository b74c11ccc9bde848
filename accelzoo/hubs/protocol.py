"""What every hub can do."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Final, Protocol

from accelzoo.errors import ReleaseError

ABSENT: Final = ""
"""Value of `expect` that demands a name nobody has published yet."""


class ConflictError(ReleaseError):
    """The hub does not hold what the publisher expected, or a tag already marks another release.

    Nothing changed, unless the message says that the release is the head now: a tag was taken in between.
    """


class Hub(Protocol):
    """A store of immutable releases under `owner/name`, each with one moving head and tags that never move.

    A revision is a release digest (`sha256:…`), a tag, or the first 8 or more hexadecimal digits of one digest;
    None means the head.
    """

    def publish(self, folder: str | Path, name: str, expect: str | None = None, tags: Sequence[str] = ()) -> str:
        """Stores a release folder and makes it the head of `name`, in one step.

        Args:
            folder: A release folder; it is verified before and after the copy.
            name: `owner/name`.
            expect: Digest that the head must have now; `ABSENT` when there must be none; None when it does not matter.
                It is checked even if `folder` already is the head.
            tags: Names that shall mark this release for ever.

        Returns:
            The release's digest. Publishing the head again changes nothing.

        Raises:
            ConflictError: If the head is not `expect`, or a tag marks another release.
            ReleaseError: If the folder is damaged or the hub cannot be written.
        """
        ...

    def resolve(self, name: str, revision: str | None = None) -> str:
        """Returns the digest that a revision stands for.

        Raises:
            UnknownNameError: If nothing is published under `name`.
            ReleaseError: If the revision is unknown, or a prefix of several digests.
        """
        ...

    def pull(
        self, name: str, revision: str | None = None, into: str | Path | None = None, *, force: bool = False
    ) -> Path:
        """Copies a release here and verifies the copy before it appears.

        Args:
            name: `owner/name`.
            revision: See the class.
            into: Folder to create; None for the cache of pulled releases.
            force: Replace another release in `into`.

        Returns:
            The release folder.

        Raises:
            UnknownNameError: If nothing is published under `name`.
            ReleaseError: If the release is damaged (naming file, expected and actual hash) or `into` is taken.
        """
        ...

    def list(self) -> tuple[str, ...]:
        """Returns every published `owner/name`, sorted."""
        ...

    def tags(self, name: str) -> dict[str, str]:
        """Returns tag -> digest, sorted by tag.

        Raises:
            UnknownNameError: If nothing is published under `name`.
        """
        ...
