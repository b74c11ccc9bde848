"""What the verb verify prints, and how it ends."""

from __future__ import annotations

from pathlib import Path

import pytest

from accelzoo.recipes import cli
from accelzoo.recipes.verify import Verification
from accelzoo.recipes.verify_values import Check, Status
from tests.recipes.calls import Capture, failure, run, run_json

pytestmark = pytest.mark.usefixtures("own_places")


def found(status: Status) -> Verification:
    checks = (
        Check(name="lock", status="ok", said="schema 2, of tiny"),
        Check(name="trace", status=status, said="trace.jsonl: \x1b[2Jedited", file="trace.jsonl"),
    )
    return Verification(folder=Path("folder"), digest="sha256:0", checks=checks)


@pytest.mark.parametrize(("status", "code"), [("ok", 0), ("skipped", 0), ("FAILED", 1)])
def test_a_line_for_each_check_and_the_exit_code(
    status: Status, code: int, monkeypatch: pytest.MonkeyPatch, capsys: Capture
) -> None:
    asked: list[object] = []

    def verify(name: str, data: str | None) -> Verification:
        asked.append((name, data))
        return found(status)

    monkeypatch.setattr("accelzoo.recipes.verify.verify_release", verify)
    assert cli.main(["verify", "folder", "--data", "there"]) == code
    assert asked == [("folder", "there")]
    first, second = capsys.readouterr().out.splitlines()
    assert first == "ok       lock   schema 2, of tiny"
    # What a hostile release says cannot steer the terminal.
    assert second == f"{status:7}  trace  trace.jsonl: \\u001b[2Jedited"


def test_json_says_the_same(capsys: Capture) -> None:
    data = run_json(capsys, "verify", "camera_accel")
    lines = run(capsys, "verify", "camera_accel").splitlines()
    assert [line.split()[0] for line in lines] == [check["status"] for check in data["checks"]]
    assert data["passed"] is True
    assert data["digest"].startswith("sha256:")


def test_what_is_not_there_is_the_users_mistake(capsys: Capture) -> None:
    assert "no weights ship for 'camera_acel'; did you mean 'camera_accel'?" in failure(capsys, "verify", "camera_acel")
