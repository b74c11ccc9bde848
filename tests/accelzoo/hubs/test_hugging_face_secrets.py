"""Tokens and signed addresses: sent only where they belong, and never printed."""

from __future__ import annotations

import logging
import traceback
from pathlib import Path

import pytest

from accelzoo.errors import AccelzooError, ReleaseError
from accelzoo.hub import HfHub, open_hub
from accelzoo.hubs import hf_client
from accelzoo.hubs.conformance import NAME
from accelzoo.hubs.hf_errors import without_secrets
from accelzoo.release import Release, verify_folder
from tests.accelzoo.hubs.hf_server import TOKEN, FakeHub, Fault

# The client hands its HTTP library an open file the old way.
pytestmark = pytest.mark.filterwarnings("ignore:Use 'content=<...>':DeprecationWarning")

PLAIN_TOKEN = "a-token-of-another-server"


@pytest.mark.parametrize("token", [TOKEN, PLAIN_TOKEN])
def test_nothing_that_is_printed_holds_a_secret(
    server: FakeHub,
    release: Release,
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
    capfd: pytest.CaptureFixture[str],
    token: str,
) -> None:
    server.users[token] = "zoo"
    hub = HfHub(server.endpoint, token=token, private=True, cache_dir=tmp_path / "cache")
    server.signature = "c2lnbmVkLXNlY3JldA"
    printed = [repr(hub), str(hub), repr(hub.client), repr(vars(hub))]
    echo = f"Authorization: Bearer {token} for ?X-Amz-Signature={server.signature}&x=1"
    for method, path, status in (
        ("GET", "/refs", 401),
        ("GET", "/refs", 500),
        ("POST", "/objects/batch", 400),
        ("PUT", "", 400),
        ("POST", "/commit/main", 403),
        ("POST", "/tag/", 500),
    ):
        server.faults[:] = [Fault("status", method, path, status=status, message=echo)]
        with pytest.raises(ReleaseError) as caught:
            hub.publish(release.folder, NAME)
        printed += [str(caught.value), *traceback.format_exception(caught.value)]
    server.faults.clear()
    caplog.clear()
    caplog.set_level(logging.DEBUG)
    assert hub.publish(release.folder, NAME) == release.digest
    assert verify_folder(hub.pull(NAME)) == release.digest
    assert "HTTP Request: POST" in caplog.text  # addresses are logged, and storage's are signed; headers are not
    assert token not in caplog.text
    captured = capfd.readouterr()
    printed += [captured.out, captured.err]
    kept = [file for file in (tmp_path / "cache").rglob("*") if file.is_file()]
    printed += [file.read_text(encoding="utf-8", errors="replace") for file in kept]
    assert not [text for text in printed if token in text or server.signature in text]
    assert any("the server says" in text for text in printed)


def test_the_token_of_the_environment_is_used(
    server: FakeHub, release: Release, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HF_TOKEN", TOKEN)
    hub = HfHub(server.endpoint, cache_dir=tmp_path / "cache")
    hub.publish(release.folder, NAME)
    assert {request.authorization for request in server.log if request.host == "hub"} == {f"Bearer {TOKEN}"}
    hub.pull(NAME)
    storage = [request for request in server.log if request.host == "storage"]
    assert {request.method for request in storage} == {"PUT", "GET"}
    assert {request.authorization for request in storage} == {""}


def test_no_token_travels_in_clear_text(
    server: FakeHub, release: Release, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    HfHub(server.endpoint, token=TOKEN).publish(release.folder, NAME)
    server.log.clear()
    monkeypatch.setattr(hf_client, "_LOOPBACK", frozenset())
    monkeypatch.setenv("HF_TOKEN", TOKEN)
    hub = HfHub(server.endpoint, cache_dir=tmp_path / "cache")
    assert verify_folder(hub.pull(NAME)) == release.digest
    assert {request.authorization for request in server.log} == {""}
    with pytest.raises(ReleaseError, match="expected https://"):
        HfHub("http://hub.example", token=TOKEN)


def test_an_address_with_a_password_is_not_repeated() -> None:
    with pytest.raises(AccelzooError, match="without user, password") as caught:
        open_hub(f"https://me:{PLAIN_TOKEN}@hub.example")
    assert PLAIN_TOKEN not in str(caught.value)


@pytest.mark.parametrize(
    "address", [f"https://me:{PLAIN_TOKEN}@hub.example", "https://[", "https://hub.example:x", "hub.example", "https://"]
)
def test_an_address_of_the_environment_is_checked_as_well(address: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_ENDPOINT", address)
    with pytest.raises(ReleaseError, match=r"HF_ENDPOINT.*without user, password") as caught:
        open_hub("hf:")
    assert PLAIN_TOKEN not in str(caught.value)


def test_what_servers_say_is_cut_to_one_harmless_line() -> None:
    assert without_secrets("bad\x1b[31m\nhf_abcdef123456 in Bearer xyz") == "bad [31m *** in ***"
    assert without_secrets("?X-Amz-Credential=AKIA&X-Amz-Signature=abc&ok=1") == "?***&***&ok=1"
    assert without_secrets("the secret-word", "secret-word") == "the ***"
    assert len(without_secrets("x" * 10_000)) == 300
