"""The requests that the loopback hub answers, as the real one does (paths, headers, status codes, bodies)."""

from __future__ import annotations

import base64
import hashlib
import json
import math
import re
import time
from http.server import BaseHTTPRequestHandler
from typing import Any, ClassVar
from urllib.parse import parse_qs, unquote, urlsplit

from tests.accelzoo.hubs.hf_repositories import Commit, File, RefusalError, Repository, upload_mode
from tests.accelzoo.hubs.hf_server import FakeHub, Fault, Request

_NAME = r"([^/]+/[^/]+)"


class Handler(BaseHTTPRequestHandler):
    """Reads a request, meets its fault, answers."""

    hub: ClassVar[FakeHub]
    host: ClassVar[str]
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True

    def log_message(self, format: str, *args: object) -> None:
        """Prints nothing: `hub.log` is the log."""

    def handle_one_request(self) -> None:
        try:
            super().handle_one_request()
        except ConnectionError:  # the client gave up
            self.close_connection = True

    def _serve(self) -> None:
        parts = urlsplit(self.path)
        path = unquote(parts.path)
        self.query = parse_qs(parts.query)
        self.body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        if self.headers.get("Transfer-Encoding") == "chunked":
            self.body = self._read_chunks()
        authorization = self.headers.get("Authorization", "")
        self.hub.log.append(Request(self.command, path, self.host, authorization, self.headers.get("Range", "")))
        self.fault = self.hub.fault(self.command, path)
        if self.hub.is_gone or (self.fault is not None and self.fault.kind == "drop"):
            self.close_connection = True
            return
        try:
            if self.fault is not None:
                self._meet(self.fault)
            with self.hub.lock:
                status, headers, body = self._answer(self.command, path)
        except RefusalError as refusal:
            headers = {"X-Error-Message": refusal.message, "Content-Type": "application/json"}
            if refusal.code:
                headers["X-Error-Code"] = refusal.code
            status, body = refusal.status, json.dumps({"error": refusal.message}).encode("utf-8")
        if self.fault is None or self.fault.kind != "lose answer":
            self._send(status, headers, body)

    do_GET = do_HEAD = do_POST = do_PUT = do_DELETE = _serve  # noqa: N815 (http.server's names)

    def _read_chunks(self) -> bytes:
        data = b""
        while size := int(self.rfile.readline(), 16):
            data += self.rfile.read(size)
            self.rfile.readline()
        self.rfile.readline()
        return data

    def _meet(self, fault: Fault) -> None:
        if fault.kind == "status":
            raise RefusalError(fault.status, fault.message, fault.code)
        if fault.kind == "lose answer":
            self.close_connection = True
        elif fault.kind == "delay":
            time.sleep(fault.delay_s)
        elif fault.kind == "call" and fault.call is not None:
            fault.call()

    def _send(self, status: int, headers: dict[str, str], body: bytes) -> None:
        sent = body
        if self.fault is not None and self.fault.kind == "flip":
            sent = body[: self.fault.at_byte] + bytes([body[self.fault.at_byte] ^ 1]) + body[self.fault.at_byte + 1 :]
        if self.fault is not None and self.fault.kind == "truncate":
            sent = body[: self.fault.at_byte]
            self.close_connection = True
        self.send_response(status)
        for key, value in headers.items():
            self.send_header(key, value)
        if "Content-Length" not in headers:
            self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(sent)

    def _content(self, data: bytes, headers: dict[str, str]) -> tuple[int, dict[str, str], bytes]:
        """Answers with a file or, when asked for, with the rest of it."""
        headers = {**headers, "Accept-Ranges": "bytes", "Content-Type": "application/octet-stream"}
        match = re.fullmatch(r"bytes=(\d+)-(\d*)", self.headers.get("Range", ""))
        if match is None:
            return 200, headers, data
        first = int(match[1])
        last = min(int(match[2] or len(data) - 1), len(data) - 1)
        if first >= len(data):
            raise RefusalError(416, "Requested range not satisfiable")
        return 206, {**headers, "Content-Range": f"bytes {first}-{last}/{len(data)}"}, data[first : last + 1]

    def _answer(self, method: str, path: str) -> tuple[int, dict[str, str], bytes]:
        raise NotImplementedError


class StorageHandler(Handler):
    """The storage of large files: signed addresses, no tokens."""

    host = "storage"

    def _answer(self, method: str, path: str) -> tuple[int, dict[str, str], bytes]:
        if self.headers.get("Authorization"):
            raise RefusalError(400, "Only one auth mechanism allowed")
        if self.query.get("X-Amz-Signature") != [self.hub.signature]:
            raise RefusalError(403, "SignatureDoesNotMatch")
        oid, _, part = path.removeprefix("/").partition("/")
        if method == "PUT" and part:
            self.hub.parts[oid, int(part)] = self.body
            return 200, {"ETag": f'"{hashlib.md5(self.body).hexdigest()}"'}, b""
        if method == "PUT":
            self.hub.store(oid, self.body)
            return 200, {"ETag": f'"{oid}"'}, b""
        return self._content(self.hub.objects[oid], {"ETag": f'"{oid}"'})


class HubHandler(Handler):
    """The hub itself."""

    host = "hub"

    def _answer(self, method: str, path: str) -> tuple[int, dict[str, str], bytes]:
        user = self.hub.user(self.headers.get("Authorization", ""))
        for verb, pattern, respond in _ROUTES:
            match = re.fullmatch(pattern, path)
            if match and method in verb.split():
                return respond(self, user, *match.groups())
        raise RefusalError(404, f"no such address: {method} {path}")

    def whoami(self, user: str | None) -> tuple[int, dict[str, str], bytes]:
        if user is None:
            raise RefusalError(401, "Invalid username or password.")
        return _json({"type": "user", "name": user, "orgs": []})

    def create(self, user: str | None) -> tuple[int, dict[str, str], bytes]:
        self.hub.check_writer(user)
        asked = json.loads(self.body)
        name = f"{asked.get('organization') or user}/{asked['name']}"
        if name in self.hub.repositories:
            raise RefusalError(409, "You already created this model repo")
        private = asked.get("private") is True or asked.get("visibility") == "private"
        self.hub.repositories[name] = Repository(name, private)
        return _json({"url": f"{self.hub.endpoint}/{name}", "name": name, "id": "0"})

    def validate_yaml(self, user: str | None) -> tuple[int, dict[str, str], bytes]:
        return _json({"errors": [], "warnings": []})

    def list_models(self, user: str | None) -> tuple[int, dict[str, str], bytes]:
        wanted = set(self.query.get("filter", ()))
        shown = [repository for repository in self.hub.repositories.values() if user or not repository.private]
        return _json([_model(item) for item in shown if wanted <= set(item.labels())])

    def model(self, user: str | None, name: str, revision: str | None = None) -> tuple[int, dict[str, str], bytes]:
        repository = self.hub.readable(name, user)
        return _json(_model(repository, repository.at(revision or "main")))

    def refs(self, user: str | None, name: str) -> tuple[int, dict[str, str], bytes]:
        repository = self.hub.readable(name, user)
        branch = {"name": "main", "ref": "refs/heads/main", "targetCommit": repository.head.id}
        tags = [
            {"name": tag, "ref": f"refs/tags/{tag}", "targetCommit": commit} for tag, commit in repository.tags.items()
        ]
        return _json({"branches": [branch], "tags": tags, "converts": []})

    def tag(self, user: str | None, name: str, revision: str) -> tuple[int, dict[str, str], bytes]:
        self.hub.writable(name, user).tag(json.loads(self.body)["tag"], revision)
        return _json({})

    def commits(self, user: str | None, name: str, revision: str) -> tuple[int, dict[str, str], bytes]:
        repository = self.hub.readable(name, user)
        last = repository.at(revision)
        listed = repository.commits[: repository.commits.index(last) + 1][::-1]
        date = "2026-01-01T00:00:00.000Z"
        return _json(
            [{"id": item.id, "title": item.title, "message": "", "date": date, "authors": []} for item in listed]
        )

    def tree(self, user: str | None, name: str, revision: str) -> tuple[int, dict[str, str], bytes]:
        files = self.hub.readable(name, user).at(revision).files
        folders = sorted({path.split("/")[0] for path in files if "/" in path})
        entries = [{"type": "directory", "oid": "0" * 40, "size": 0, "path": path} for path in folders]
        return _json(entries + [_entry(path, file) for path, file in sorted(files.items()) if "/" not in path])

    def paths_info(self, user: str | None, name: str, revision: str) -> tuple[int, dict[str, str], bytes]:
        files = self.hub.readable(name, user).at(revision).files
        if "json" in self.headers.get("Content-Type", ""):
            paths = json.loads(self.body)["paths"]
        else:
            paths = parse_qs(self.body.decode("utf-8"))["paths"]
        return _json([_entry(path, files[path]) for path in paths if path in files])

    def preupload(self, user: str | None, name: str, revision: str) -> tuple[int, dict[str, str], bytes]:
        files = self.hub.writable(name, user).at(revision).files
        answers = []
        for asked in json.loads(self.body)["files"]:
            base64.b64decode(asked["sample"], validate=True)
            old = files.get(asked["path"])
            mode = upload_mode(asked["path"], asked["size"])
            answers.append({"path": asked["path"], "uploadMode": mode, "shouldIgnore": False})
            if old is not None:
                answers[-1]["oid"] = old.etag
        return _json({"files": answers})

    def lfs_batch(self, user: str | None, name: str) -> tuple[int, dict[str, str], bytes]:
        self.hub.writable(name, user)
        asked = json.loads(self.body)
        if asked["operation"] != "upload" or asked["hash_algo"] != "sha256":
            raise RefusalError(422, "unsupported")
        objects = []
        for item in asked["objects"]:
            entry = {"oid": item["oid"], "size": item["size"], "authenticated": True}
            if item["oid"] not in self.hub.objects:
                verify = {"href": f"{self.hub.endpoint}/{name}.git/info/lfs/objects/verify", "header": {}}
                entry["actions"] = {"upload": self._upload_action(name, item["oid"], item["size"]), "verify": verify}
            objects.append(entry)
        status, headers, body = _json({"transfer": "basic", "objects": objects})
        return status, {**headers, "Content-Type": "application/vnd.git-lfs+json"}, body

    def _upload_action(self, name: str, oid: str, size: int) -> dict[str, Any]:
        signed = f"?X-Amz-Signature={self.hub.signature}"
        if self.hub.part_bytes is None:
            return {"href": f"{self.hub.storage}/{oid}{signed}", "header": {}}
        count = math.ceil(size / self.hub.part_bytes)
        header = {str(part): f"{self.hub.storage}/{oid}/{part}{signed}" for part in range(1, count + 1)}
        complete = f"{self.hub.endpoint}/api/complete_multipart/{oid}{signed}"
        return {"href": complete, "header": {"chunk_size": str(self.hub.part_bytes), **header}}

    def complete_multipart(self, user: str | None, oid: str) -> tuple[int, dict[str, str], bytes]:
        asked = json.loads(self.body)
        data = b""
        for part in asked["parts"]:
            piece = self.hub.parts.pop((oid, part["partNumber"]))
            if part["etag"].strip('"') != hashlib.md5(piece).hexdigest():
                raise RefusalError(400, "InvalidPart")
            data += piece
        self.hub.store(oid, data)
        return _json({})

    def lfs_verify(self, user: str | None, name: str) -> tuple[int, dict[str, str], bytes]:
        asked = json.loads(self.body)
        if len(self.hub.objects.get(asked["oid"], b"")) != asked["size"]:
            raise RefusalError(404, "no such object, or of another size")
        return _json({})

    def commit(self, user: str | None, name: str, revision: str) -> tuple[int, dict[str, str], bytes]:
        if revision != "main" or self.headers["Content-Type"] != "application/x-ndjson":
            raise RefusalError(400, "expected NDJSON for branch main")
        commit = self.hub.writable(name, user).commit(self.body.split(b"\n"), self.hub.objects)
        url = f"{self.hub.endpoint}/{name}/commit/{commit.id}"
        return _json({"success": True, "commitOid": commit.id, "commitUrl": url, "hookOutput": ""})

    def resolve(self, user: str | None, name: str, revision: str, path: str) -> tuple[int, dict[str, str], bytes]:
        commit = self.hub.readable(name, user).at(revision)
        headers = {"X-Repo-Commit": commit.id}
        file = commit.files.get(path)
        if file is None:
            raise RefusalError(404, "Entry not found", "EntryNotFound")
        if file.sha256 is None:
            return self._content(file.data or b"", {**headers, "ETag": f'"{file.blob_id}"'})
        location = f"{self.hub.storage}/{file.sha256}?X-Amz-Signature={self.hub.signature}"
        linked = {"X-Linked-Size": str(file.size), "X-Linked-ETag": f'"{file.sha256}"', "Location": location}
        return 302, {**headers, **linked}, b""


def _json(value: object) -> tuple[int, dict[str, str], bytes]:
    return 200, {"Content-Type": "application/json; charset=utf-8"}, json.dumps(value).encode("utf-8")


def _model(repository: Repository, commit: Commit | None = None) -> dict[str, Any]:
    commit = commit or repository.head
    return {
        "_id": "0",
        "id": repository.name,
        "modelId": repository.name,
        "private": repository.private,
        "sha": commit.id,
        "tags": repository.labels(),
        "siblings": [{"rfilename": path} for path in sorted(commit.files)],
    }


def _entry(path: str, file: File) -> dict[str, Any]:
    entry: dict[str, Any] = {"type": "file", "oid": file.blob_id, "size": file.size, "path": path}
    if file.sha256 is not None:
        entry["lfs"] = {"oid": file.sha256, "size": file.size, "pointerSize": 130}
    return entry


_ROUTES = (
    ("GET", "/api/whoami-v2", HubHandler.whoami),
    ("POST", "/api/repos/create", HubHandler.create),
    ("POST", "/api/validate-yaml", HubHandler.validate_yaml),
    ("GET", "/api/models", HubHandler.list_models),
    ("GET", f"/api/models/{_NAME}/refs", HubHandler.refs),
    ("GET", f"/api/models/{_NAME}/revision/([^/]+)", HubHandler.model),
    ("GET", f"/api/models/{_NAME}/commits/([^/]+)", HubHandler.commits),
    ("GET", f"/api/models/{_NAME}/tree/([^/]+)/?", HubHandler.tree),
    ("POST", f"/api/models/{_NAME}/paths-info/([^/]+)", HubHandler.paths_info),
    ("POST", f"/api/models/{_NAME}/preupload/([^/]+)", HubHandler.preupload),
    ("POST", f"/api/models/{_NAME}/commit/([^/]+)", HubHandler.commit),
    ("POST", f"/api/models/{_NAME}/tag/([^/]+)", HubHandler.tag),
    ("GET", f"/api/models/{_NAME}", HubHandler.model),
    ("POST", f"/{_NAME}\\.git/info/lfs/objects/batch", HubHandler.lfs_batch),
    ("POST", f"/{_NAME}\\.git/info/lfs/objects/verify", HubHandler.lfs_verify),
    ("POST", "/api/complete_multipart/([^/]+)", HubHandler.complete_multipart),
    ("GET HEAD", f"/{_NAME}/resolve/([^/]+)/(.+)", HubHandler.resolve),
)
