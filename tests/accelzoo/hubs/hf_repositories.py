"""Model repositories in memory, as the Hugging Face hub keeps them: commits, refs, small files, large ones apart."""

from __future__ import annotations

import base64
import binascii
import hashlib
import json
from dataclasses import dataclass, field
from typing import Any

import yaml

LARGE_SUFFIXES = (".safetensors", ".bin")
LARGE_BYTES = 10_000_000


class RefusalError(Exception):
    """A request that the hub answers with an error status."""

    def __init__(self, status: int, message: str, code: str | None = None) -> None:
        super().__init__(message)
        self.status = status
        self.message = message
        self.code = code


@dataclass(frozen=True)
class File:
    """A file of a commit: git's blob id, and the sha256 when the content is kept apart (LFS)."""

    blob_id: str
    size: int
    data: bytes | None = None
    sha256: str | None = None

    @classmethod
    def small(cls, data: bytes) -> File:
        return cls(blob_id=git_blob_id(data), size=len(data), data=data)

    @classmethod
    def large(cls, sha256: str, size: int) -> File:
        pointer = f"version https://git-lfs.github.com/spec/v1\noid sha256:{sha256}\nsize {size}\n"
        return cls(blob_id=git_blob_id(pointer.encode("ascii")), size=size, sha256=sha256)

    @property
    def etag(self) -> str:
        return self.sha256 or self.blob_id


@dataclass(frozen=True)
class Commit:
    """One commit; its id depends on everything in it and before it."""

    parent: str
    title: str
    files: dict[str, File]

    @property
    def id(self) -> str:
        listing = sorted((path, file.blob_id) for path, file in self.files.items())
        return hashlib.sha1(repr((self.parent, self.title, listing)).encode("utf-8")).hexdigest()


@dataclass
class Repository:
    """One model repository with its only branch, `main`."""

    name: str
    private: bool
    commits: list[Commit] = field(default_factory=list)  # of the branch, oldest first
    tags: dict[str, str] = field(default_factory=dict)  # tag -> commit id

    def __post_init__(self) -> None:
        attributes = "".join(f"*{suffix} filter=lfs diff=lfs merge=lfs -text\n" for suffix in LARGE_SUFFIXES)
        self.commits.append(Commit("", "initial commit", {".gitattributes": File.small(attributes.encode("ascii"))}))

    @property
    def head(self) -> Commit:
        return self.commits[-1]

    def at(self, revision: str) -> Commit:
        wanted = self.head.id if revision == "main" else self.tags.get(revision, revision)
        for commit in self.commits:
            if commit.id == wanted:
                return commit
        raise RefusalError(404, f"Invalid rev id: {revision}", "RevisionNotFound")

    def labels(self) -> list[str]:
        """Returns what the hub would index of the card: tags, library, task."""
        card = self.head.files.get("README.md")
        text = (card.data or b"").decode("utf-8") if card else ""
        facts = yaml.safe_load(text.split("---\n")[1]) if text.startswith("---\n") else {}
        return [*facts.get("tags", ()), *(facts[key] for key in ("library_name", "pipeline_tag") if key in facts)]

    def commit(self, lines: list[bytes], objects: dict[str, bytes]) -> Commit:
        """Applies a commit in the hub's NDJSON form, wholly or not at all."""
        items = [json.loads(line) for line in lines if line.strip()]
        header = items[0]["value"]
        if header.get("parentCommit") not in (None, self.head.id):
            raise RefusalError(412, "A commit has happened since. Please refresh and try again.")
        files = dict(self.head.files)
        for item in items[1:]:
            _apply(files, item["key"], item["value"], objects)
        self.commits.append(Commit(self.head.id, header["summary"], files))
        return self.head

    def tag(self, tag: str, revision: str) -> None:
        commit = self.at(revision)
        if tag in self.tags:
            raise RefusalError(409, f"Tag reference exists already: {tag}")
        self.tags[tag] = commit.id


def _apply(files: dict[str, File], kind: str, value: dict[str, Any], objects: dict[str, bytes]) -> None:
    path = value["path"]
    if kind == "file":
        try:
            files[path] = File.small(base64.b64decode(value["content"], validate=True))
        except binascii.Error:
            raise RefusalError(400, f"{path}: not base64") from None
    elif kind == "lfsFile":
        if value["oid"] not in objects:
            raise RefusalError(400, f"{path}: no such LFS object; upload it first")
        files[path] = File.large(value["oid"], len(objects[value["oid"]]))
    elif kind == "deletedFile":
        if files.pop(path, None) is None:
            raise RefusalError(404, f"A file with this name doesn't exist: {path}", "EntryNotFound")
    else:
        raise RefusalError(400, f"unknown operation {kind}")


def upload_mode(path: str, size: int) -> str:
    """Tells where a file's content goes, as the hub does by `.gitattributes` and size."""
    return "lfs" if path.endswith(LARGE_SUFFIXES) or size > LARGE_BYTES else "regular"


def git_blob_id(data: bytes) -> str:
    """Returns the id that `git hash-object` prints."""
    return hashlib.sha1(b"blob %d\0" % len(data) + data).hexdigest()
