"""A hub on Hugging Face, or on any server that speaks its protocol."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from pathlib import Path

from accelzoo._checksums import SUMS_FILE, digest_of
from accelzoo._files import copy_synced
from accelzoo.errors import ReleaseError, UnknownNameError, unknown_name
from accelzoo.hubs.hf_cache import HEAD, RemoteCache
from accelzoo.hubs.hf_client import HfClient, Refs
from accelzoo.hubs.hf_download import fetch_release
from accelzoo.hubs.hf_errors import MovedError, UnreachableError
from accelzoo.hubs.hf_publish import digest_of_tag, put_release, tag_of_digest
from accelzoo.hubs.install import place_release
from accelzoo.hubs.names import check_expect, check_name, check_tags, digest_prefix, is_name, is_tag
from accelzoo.hubs.protocol import ConflictError
from accelzoo.hubs.rules import check_head, check_tag, pick_digest
from accelzoo.release import verify_folder

_ATTEMPTS = 5
_BRANCH = "main"


class HfHub:
    """A hub on Hugging Face, or on any server that speaks its protocol; see `accelzoo.hub.Hub` for the contract.

    A name is a model repository. A release is one commit on its branch `main`, and the git tag `sha256-<hex>` marks it;
    tags of the release are git tags. The branch moves in one step, and only from the commit that was read before, so
    that of several publishers one wins. Tags follow the commit: a publisher killed in between leaves the new head
    without them, and publishing again sets them.

    Whatever is downloaded is checked against the digest. A digest that was pulled before needs no request. Without a
    network a tag stands for what it last stood for, and so does the head, with a warning that says for what.
    """

    def __init__(
        self,
        endpoint: str | None = None,
        token: str | None = None,
        private: bool = False,
        cache_dir: str | Path | None = None,
    ) -> None:
        """Names the server; nothing is requested yet.

        Args:
            endpoint: Address of the server; None for `$HF_ENDPOINT`, else huggingface.co.
            token: Access token; None for `$HF_TOKEN`, or that of `hf auth login`.
            private: Publish to private repositories only.
            cache_dir: Where pulled releases are kept; None for the default.

        Raises:
            ReleaseError: If the address is none, or a token was given for one without encryption.
        """
        self.client = HfClient(endpoint, token)
        self.private = private
        self.cache_dir = None if cache_dir is None else Path(cache_dir)
        self._cache = RemoteCache(self.endpoint, self.cache_dir)

    @property
    def endpoint(self) -> str:
        """Address of the server."""
        return self.client.endpoint

    def __repr__(self) -> str:
        """Names the server."""
        return f"HfHub({self.endpoint!r})"

    def publish(self, folder: str | Path, name: str, expect: str | None = None, tags: Sequence[str] = ()) -> str:
        """Stores a release folder and makes it the head of `name`; see `Hub.publish`."""
        check_name(name)
        tags = check_tags(tags)
        check_expect(expect)
        source = Path(folder)
        digest = verify_folder(source)
        for _ in range(_ATTEMPTS):
            try:
                commit = self._publish_once(source, name, digest, expect, tags)
            except MovedError:  # another publisher came first: look again whether this one still may
                continue
            self._mark(name, commit, digest, tags)
            return digest
        raise ConflictError(f"{name}: the head has moved {_ATTEMPTS} times meanwhile; nothing was changed; try again")

    def resolve(self, name: str, revision: str | None = None) -> str:
        """Returns the digest that a revision stands for; see `Hub.resolve`."""
        return self._locate(name, revision)[0]

    def pull(
        self, name: str, revision: str | None = None, into: str | Path | None = None, *, force: bool = False
    ) -> Path:
        """Downloads a release to `into` or to the cache and verifies it before it appears; see `Hub.pull`."""
        check_name(name)
        digits = digest_prefix(revision or "") or ""
        if len(digits) == 64 and self._cache.find(name, f"sha256:{digits}"):
            digest, commit = f"sha256:{digits}", None
        else:
            digest, commit = self._locate(name, revision)

        def fetch(staged: Path) -> None:
            cached = self._cache.find(name, digest)
            if cached is not None:
                for file in cached.iterdir():
                    copy_synced(file, staged / file.name)
            elif commit is not None:
                fetch_release(self.client, self._cache, name, commit, digest, staged)
            else:
                raise ReleaseError(f"{name}: {digest} is not in the cache, and {self.endpoint} cannot be reached")

        folder = place_release(fetch, name=name, digest=digest, into=into, force=force, cache_dir=self.cache_dir)
        if commit is not None and not digits:
            self._cache.remember(name, HEAD if revision in (None, _BRANCH) else str(revision), digest)
        return folder

    def list(self) -> tuple[str, ...]:
        """Returns every `owner/name` that its card counts to this library, as far as the token shows them, sorted."""
        return tuple(sorted({name for name in self.client.list_names() if is_name(name)}))

    def tags(self, name: str) -> dict[str, str]:
        """Returns tag -> digest, sorted by tag; see `Hub.tags`."""
        refs, _ = self._published(name)
        return self._read_tags(name, refs)

    def _locate(self, name: str, revision: str | None) -> tuple[str, str | None]:
        """Returns the digest of a revision and a commit that has it; no commit when the server cannot be reached."""
        try:
            return self._find(name, revision)
        except UnreachableError as error:
            is_head = revision in (None, _BRANCH)
            digest = self._cache.recall(name, HEAD if is_head else str(revision))
            if digest is None or self._cache.find(name, digest) is None:
                wanted = name if revision is None else f"{name}@{revision}"
                raise ReleaseError(f"{error}; nothing of {wanted} is in the cache") from None
        if is_head:
            warnings.warn(f"{self.endpoint} cannot be reached: {name} is what it last was, {digest}", stacklevel=3)
        return digest, None

    def _find(self, name: str, revision: str | None) -> tuple[str, str]:
        refs, head = self._published(name)
        if revision is None or revision == _BRANCH:
            return head, refs.head
        tags = self._read_tags(name, refs)
        if revision in tags:
            return tags[revision], refs.tags[revision]
        commits = {digest: commit for tag, commit in refs.tags.items() if (digest := digest_of_tag(tag))}
        commits.setdefault(head, refs.head)
        digest = pick_digest(name, revision, commits, tags)
        return digest, commits[digest]

    def _published(self, name: str) -> tuple[Refs, str]:
        refs = self.client.read_refs(check_name(name))
        head = None if refs is None else self._digest_at(name, refs, refs.head)
        if refs is None or head is None:
            unknown = unknown_name(f"release on {self.endpoint}", name, self._list_if_possible())
            raise UnknownNameError(f"{unknown} A private one shows after `hf auth login`, or with HF_TOKEN.")
        return refs, head

    def _list_if_possible(self) -> tuple[str, ...]:
        try:
            return self.list()
        except ReleaseError:  # the list is a help to the reader of another error
            return ()

    def _digest_at(self, name: str, refs: Refs, commit: str) -> str | None:
        for tag, marked in refs.tags.items():
            if marked == commit and (digest := digest_of_tag(tag)):
                return digest
        sums = self.client.read_file(name, commit, SUMS_FILE)
        return None if sums is None else digest_of(sums)

    def _read_tags(self, name: str, refs: Refs) -> dict[str, str]:
        plain = {tag: commit for tag, commit in sorted(refs.tags.items()) if is_tag(tag)}
        digests = {tag: self._digest_at(name, refs, commit) for tag, commit in plain.items()}
        return {tag: digest for tag, digest in digests.items() if digest is not None}

    def _publish_once(self, source: Path, name: str, digest: str, expect: str | None, tags: Sequence[str]) -> str:
        refs = self.client.read_refs(name)
        head = None if refs is None else self._digest_at(name, refs, refs.head)
        check_head(name, head, expect)
        self._check_tags(name, refs, digest, tags)
        if refs is None:
            self.client.create(name, private=self.private)
            refs = self.client.read_refs(name)
            if refs is None:
                raise ReleaseError(f"{name}: {self.endpoint} has no branch {_BRANCH!r} of it; create it there")
        if self.private and not self.client.is_private(name):
            raise ReleaseError(f"{name}: is public on {self.endpoint}; expected a private repository; nothing changed")
        if head and tag_of_digest(head) not in refs.tags:  # its publisher was killed before it could
            self.client.tag(name, tag_of_digest(head), refs.head)
        return put_release(self.client, source, name, digest, refs.head, is_first=head is None)

    def _check_tags(self, name: str, refs: Refs | None, digest: str, tags: Sequence[str]) -> None:
        for tag in tags:
            if refs is not None and tag in refs.tags:
                marked = self._digest_at(name, refs, refs.tags[tag])
                check_tag(name, tag, marked or f"the commit {refs.tags[tag]}", digest)

    def _mark(self, name: str, commit: str, digest: str, tags: Sequence[str]) -> None:
        for tag in (tag_of_digest(digest), *tags):
            self.client.tag(name, tag, commit)
        try:
            self._check_tags(name, self.client.read_refs(name) if tags else None, digest, tags)
        except ConflictError as error:  # another publisher set it since it was looked for
            raise ConflictError(f"{str(error).removesuffix('; nothing changed')}, which is the head now") from None
