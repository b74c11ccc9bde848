"""The few requests a hub needs, made with the `huggingface_hub` client (1.0 or later)."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager, ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from accelzoo._checksums import list_faults
from accelzoo._files import open_regular
from accelzoo.errors import ReleaseError
from accelzoo.hubs.hf_errors import MissingRepositoryError, client_errors_as_release_errors
from accelzoo.model_card import LIBRARY_NAME

if TYPE_CHECKING:
    from huggingface_hub import HfApi
    from huggingface_hub.hf_api import RepoFile, RepoFolder

DEFAULT_ENDPOINT = "https://huggingface.co"
_LOOPBACK = frozenset({"127.0.0.1", "::1", "localhost"})
_SITE = frozenset({"huggingface.co", "www.huggingface.co", "hf.co"})
_ENDPOINT = re.compile(r"https?://([^/?#@\s]+)(/[^?#@\s]*)?", re.IGNORECASE)


@dataclass(frozen=True, slots=True, kw_only=True)
class Refs:
    """The refs of a repository, all by commit."""

    head: str  # the commit of branch main
    tags: Mapping[str, str]


class HfClient:
    """A server that speaks the Hugging Face protocol, and the user's access to it.

    Every method raises a ReleaseError (see `hf_errors`) that names what it did, never a token. The oldest clients (1.0)
    publish only to the server that `$HF_ENDPOINT` names, which they read once, when they are imported.
    """

    def __init__(self, endpoint: str | None = None, token: str | None = None) -> None:
        """Names the server; nothing is requested yet.

        Args:
            endpoint: Address of the server; None for `$HF_ENDPOINT`, else huggingface.co.
            token: Access token; None for `$HF_TOKEN` or that of `hf auth login`, which is not sent in clear text: over
                `http://` only to this machine.

        Raises:
            ReleaseError: If the address is none, or a given token would travel in clear text.
        """
        self.endpoint = _checked(endpoint or os.environ.get("HF_ENDPOINT") or DEFAULT_ENDPOINT)
        parts = urlsplit(self.endpoint)
        is_private = parts.scheme == "https" or parts.hostname in _LOOPBACK
        if token and not is_private:
            raise ReleaseError(f"hub {self.endpoint}: expected https://, since a token would travel in clear text")
        self._token: str | bool | None = token or (None if is_private else False)

    def read_refs(self, name: str) -> Refs | None:
        """Returns a repository's refs; None if there is no such repository, or none with a commit."""
        try:
            with self._errors(f"read {name}"):
                answer = self._get(f"api/models/{name}/refs")
        except MissingRepositoryError:
            return None
        try:
            refs = answer.json()
            heads = [str(branch["targetCommit"]) for branch in refs["branches"] if branch["name"] == "main"]
            tags = {str(tag["name"]): str(tag["targetCommit"]) for tag in refs["tags"]}
        except (ValueError, KeyError, TypeError):
            title = f"cannot read {name} on {self.endpoint}"
            raise ReleaseError(f"{title}: it does not answer as Hugging Face does") from None
        return Refs(head=heads[0], tags=tags) if heads else None

    def read_file(self, name: str, commit: str, filename: str) -> bytes | None:
        """Returns the bytes of a small file; None if the commit has none of that name."""
        from huggingface_hub.errors import EntryNotFoundError

        with self._errors(f"read {filename} of {name}"):
            try:
                return bytes(self._get(f"{name}/resolve/{commit}/{filename}").content)
            except EntryNotFoundError:
                return None

    def download(self, name: str, commit: str, filename: str, path: Path) -> None:
        """Fetches a file to `path`, continuing after the bytes that are there already.

        Raises:
            RangeError: If `path` holds as many bytes as the server has, or more.
        """
        from huggingface_hub.file_download import http_get

        with self._errors(f"download {filename} of {name}"), open(path, "ab") as file:
            # As it is, no compression: ranges count the bytes that are sent.
            headers = {**self._headers(), "Accept-Encoding": "identity"}
            url = f"{self.endpoint}/{name}/resolve/{commit}/{filename}"
            http_get(url, file, resume_size=file.tell(), headers=headers, displayed_filename=filename)
            file.flush()
            os.fsync(file.fileno())

    def list_names(self) -> list[str]:
        """Returns the names of all repositories whose card says that they are of this library."""
        with self._errors("list releases"):
            return [model.id for model in self._api().list_models(filter=LIBRARY_NAME)]

    def read_tree(self, name: str, commit: str) -> dict[str, str]:
        """Returns name -> sha256 of a large file, git's id of a small one or of a folder, each in hexadecimal."""
        with self._errors(f"list the files of {name}"):
            return {entry.path: _content_id(entry) for entry in self._api().list_repo_tree(name, revision=commit)}

    def is_private(self, name: str) -> bool:
        """Tells whether a repository is private."""
        with self._errors(f"read {name}"):
            return bool(self._api().model_info(name).private)

    def create(self, name: str, *, private: bool) -> None:
        """Creates a repository unless it is there."""
        with self._errors(f"create {name}"):
            self._api().create_repo(name, private=private or None, exist_ok=True)

    def commit(
        self, name: str, folder: Path, hashes: Mapping[str, str], *, delete: Sequence[str], message: str, parent: str
    ) -> str:
        """Sets files in one commit on branch main.

        Args:
            name: The repository.
            folder: Where the files are.
            hashes: File name -> sha256 that the file must have, in hexadecimal.
            delete: Names of files to remove.
            message: The commit's title.
            parent: The commit that must be the branch's last.

        Returns:
            The new commit.

        Raises:
            MovedError: If the branch has another last commit.
            ReleaseError: If a file is not the expected one, or the server refuses.
        """
        from huggingface_hub import CommitOperationAdd, CommitOperationDelete

        with self._errors(f"publish {name}"), ExitStack() as stack:
            files = {filename: stack.enter_context(open_regular(folder / filename)) for filename in hashes}
            adds = [CommitOperationAdd(filename, file) for filename, file in files.items()]
            found = {add.path_in_repo: add.upload_info.sha256.hex() for add in adds}
            if faults := [
                f"{filename}: damaged: expected sha256 {hashes[filename]}, found sha256 {found[filename]}"
                for filename in hashes
                if found[filename] != hashes[filename]
            ]:
                title = f"{folder}: changed while it was being published; nothing was published"
                raise ReleaseError(list_faults(title, faults))
            removals = [CommitOperationDelete(filename) for filename in delete]
            operations: list[CommitOperationAdd | CommitOperationDelete] = [*adds, *removals]
            return self._api().create_commit(name, operations, commit_message=message, parent_commit=parent).oid

    def tag(self, name: str, tag: str, commit: str) -> None:
        """Sets a tag unless there is one of that name, whatever it marks."""
        with self._errors(f"tag {name} as {tag}"):
            self._api().create_tag(name, tag=tag, revision=commit, exist_ok=True)

    def _api(self) -> HfApi:
        from huggingface_hub import HfApi

        return HfApi(endpoint=self.endpoint, token=self._token, library_name=LIBRARY_NAME)

    def _headers(self) -> dict[str, str]:
        from huggingface_hub.utils import build_hf_headers

        return build_hf_headers(token=self._token, library_name=LIBRARY_NAME)

    def _get(self, path: str) -> Any:
        from huggingface_hub import constants
        from huggingface_hub.utils import get_session, hf_raise_for_status

        url = f"{self.endpoint}/{path}"
        answer = get_session().get(url, headers=self._headers(), timeout=constants.HF_HUB_ETAG_TIMEOUT)
        hf_raise_for_status(answer)
        return answer

    def _errors(self, doing: str) -> AbstractContextManager[None]:
        secret = self._headers().get("authorization", "").removeprefix("Bearer ")
        return client_errors_as_release_errors(f"{doing} on {self.endpoint}", secret)


def _content_id(entry: RepoFile | RepoFolder) -> str:
    from huggingface_hub.hf_api import RepoFolder

    if isinstance(entry, RepoFolder):
        return entry.tree_id
    return entry.lfs.sha256 if entry.lfs else entry.blob_id


def _checked(url: str) -> str:
    """Returns the address of a server without a slash at its end."""
    match = _ENDPOINT.fullmatch(url)
    try:
        is_address = match is not None and bool(urlsplit(url).hostname) and urlsplit(url).port != 0
    except ValueError:  # brackets that are no IPv6 address, a port that is no number
        is_address = False
    if match is None or not is_address:  # it may hold a password or a token: it is not repeated
        raise ReleaseError(
            "hub address (given, or in $HF_ENDPOINT): expected 'https://server[:port][/path]' "
            "without user, password, '?' or '#'"
        )
    if match[1].lower() in _SITE and (match[2] or "/") != "/":
        raise ReleaseError(f"hub address {url!r}: expected 'hf:' or the server alone; a release is 'hf:owner/name'")
    return url.rstrip("/")
