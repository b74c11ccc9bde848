"""A loopback server that speaks the Hugging Face protocol, for the unmodified client, with faults on demand.

Two ports, as in reality: the hub, and the storage of large files, which knows no token and is reached by signed
addresses only.
"""

from __future__ import annotations

import hashlib
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import ThreadingHTTPServer

from tests.accelzoo.hubs.hf_repositories import RefusalError, Repository

TOKEN = "hf_writerSecret0123456789"
READER_TOKEN = "hf_readerSecret0123456789"


@dataclass(frozen=True)
class Request:
    """One line of the server's log."""

    method: str
    path: str  # without the query
    host: str  # "hub" or "storage"
    authorization: str
    range: str


@dataclass
class Fault:
    """What goes wrong with the next requests that fit."""

    kind: str  # "status", "drop" (the request), "lose answer", "truncate", "flip", "delay", "call"
    method: str
    path: str  # a part of the path
    times: int = 1
    status: int = 500
    delay_s: float = 0.0
    at_byte: int = 0
    call: Callable[[], object] | None = None
    message: str = "made to fail"
    code: str | None = None  # X-Error-Code
    hits: int = 0


@dataclass
class FakeHub:
    """The hub's state: repositories, large files, users, what was asked and what shall go wrong."""

    users: dict[str, str] = field(default_factory=lambda: {TOKEN: "zoo", READER_TOKEN: "reader"})  # by token
    repositories: dict[str, Repository] = field(default_factory=dict)
    objects: dict[str, bytes] = field(default_factory=dict)  # sha256 -> content
    parts: dict[tuple[str, int], bytes] = field(default_factory=dict)
    log: list[Request] = field(default_factory=list)
    faults: list[Fault] = field(default_factory=list)
    part_bytes: int | None = None  # upload large files in parts of so many bytes
    signature: str = "c2lnbmVk"
    is_gone: bool = False  # connections that are still open get no answer either
    endpoint: str = ""
    storage: str = ""
    lock: threading.RLock = field(default_factory=threading.RLock)

    def fault(self, method: str, path: str) -> Fault | None:
        """Returns the fault that this request meets, and counts it."""
        with self.lock:
            for fault in self.faults:
                if fault.method == method and fault.path in path and fault.hits < fault.times:
                    fault.hits += 1
                    return fault
        return None

    def user(self, authorization: str) -> str | None:
        """Returns who asks; refuses a wrong token."""
        token = authorization.removeprefix("Bearer ")
        if token and token not in self.users:
            raise RefusalError(401, "Invalid credentials in Authorization header")
        return self.users.get(token)

    def readable(self, name: str, user: str | None) -> Repository:
        """Returns a repository that the user may see."""
        repository = self.repositories.get(name)
        if repository is None or (repository.private and user is None):
            raise RefusalError(401 if user is None else 404, "Repository not found", "RepoNotFound")
        return repository

    def writable(self, name: str, user: str | None) -> Repository:
        """Returns a repository that the user may change."""
        repository = self.readable(name, user)
        self.check_writer(user)
        return repository

    def check_writer(self, user: str | None) -> None:
        """Refuses who may not write."""
        if user is None:
            raise RefusalError(401, "Invalid username or password.")
        if user == "reader":
            raise RefusalError(403, "you don't have write access")

    def store(self, oid: str, data: bytes) -> None:
        """Keeps a large file when it is what it claims to be."""
        if hashlib.sha256(data).hexdigest() != oid:
            raise RefusalError(400, "XAmzContentSHA256Mismatch")
        self.objects[oid] = data


@contextmanager
def serve(hub: FakeHub) -> Iterator[FakeHub]:
    """Runs the hub on two free loopback ports."""
    from tests.accelzoo.hubs.hf_handlers import HubHandler, StorageHandler

    servers = []
    for handler in (HubHandler, StorageHandler):
        server = ThreadingHTTPServer(("127.0.0.1", 0), type(handler.__name__, (handler,), {"hub": hub}))
        server.daemon_threads = True
        servers.append(server)
    hub.endpoint, hub.storage = (f"http://127.0.0.1:{server.server_address[1]}" for server in servers)
    threads = [threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True) for server in servers]
    for thread in threads:
        thread.start()
    try:
        yield hub
    finally:
        hub.is_gone = True
        for server in servers:
            server.shutdown()
            server.server_close()
        for thread in threads:
            thread.join()
