"""What the verbs print of a release that was made to steer the terminal."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from accelzoo.hubs.conformance import example_release
from accelzoo.recipes import output
from tests.accelzoo.tampering import reseal
from tests.recipes.calls import Capture, failure, run, run_json

pytestmark = pytest.mark.usefixtures("own_places")
HOSTILE = "x\x1b[2J\x1b]0;title\x07\r\x9b1m\u202e\ndigest  sha256:0"
UNSAFE = set(HOSTILE) & {"\x1b", "\x07", "\r", "\x9b", "\u202e"}


def hostile_release() -> Path:
    """A release whose texts are hostile wherever a text may stand."""
    folder = example_release(Path("hostile")).folder
    path = folder / "config.json"
    config: dict[str, Any] = json.loads(path.read_text("utf-8"))
    config["architecture"] = HOSTILE
    config["accelzoo"] |= {"target": HOSTILE, "class_names": [HOSTILE, HOSTILE]}
    config["accelzoo"] |= {"metrics": {HOSTILE: 0.5}, "cost": {HOSTILE: 1.0}}
    path.write_text(json.dumps(config), "utf-8")
    reseal(folder)
    return folder


def test_show_prints_no_control_characters(capsys: Capture) -> None:
    folder = hostile_release()
    text = run(capsys, "show", str(folder))
    assert not UNSAFE & set(text)
    assert [line for line in text.splitlines() if line.startswith("digest")] == [text.splitlines()[1]]
    assert r"x\u001b[2J" in text


def test_json_spells_them_out_and_means_the_same(capsys: Capture) -> None:
    folder = hostile_release()
    text = run(capsys, "show", str(folder), "--json")
    assert not UNSAFE & set(text)
    assert json.loads(text)["release"]["config"]["accelzoo"]["target"] == HOSTILE
    assert run_json(capsys, "show", str(folder)) == json.loads(text)


def test_errors_spell_names_of_files_out(capsys: Capture) -> None:
    folder = hostile_release()
    (folder / "extra\x1b[2J\n  recipe.yaml: fine").write_bytes(b"")
    message = failure(capsys, "show", str(folder))
    assert r"extra\u001b[2J\u000a  recipe.yaml: fine: extra: expected no such file" in message
    assert not UNSAFE & set(message)


def test_tables_warnings_and_progress_spell_them_out(capsys: Capture) -> None:
    assert output.table(["name"], [[HOSTILE]]).splitlines()[1:] == [r"x\u001b[2J\u001b]0;title\u0007\u000d\u009b1m"
                                                                    r"\u202e\u000adigest  sha256:0"]  # fmt: skip
    output.warn(HOSTILE)
    output.say(HOSTILE)
    assert not UNSAFE & set(capsys.readouterr().err)
