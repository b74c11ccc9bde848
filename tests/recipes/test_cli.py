"""The command line: its help and the examples there, mistakes, exit codes."""

from __future__ import annotations

import doctest
import os
import shlex
import subprocess
import sys
from argparse import Namespace
from pathlib import Path

import pytest

from accelzoo import __version__
from accelzoo.hubs.conformance import example_release
from accelzoo.recipes import cli
from accelzoo.recipes.commands import VERBS, load_command
from tests.checkout import ROOT
from tests.recipes.calls import Capture, failure, run
from tests.recipes.run_folders import write_run
from tests.recipes.timing_table import write_example

pytestmark = pytest.mark.usefixtures("own_places")
MODEL = "mobilenetv2_100"


def steps(text: str) -> list[tuple[str, str]]:
    """Returns the commands of a help text, each with the indented lines below it."""
    found: list[tuple[str, list[str]]] = []
    inside = False
    for line in text.splitlines():
        if line.startswith("  $ "):
            found.append((line.removeprefix("  $ "), []))
        if not line.startswith("  ") and line:
            inside = False
        elif line.startswith("  $ "):
            inside = True
        elif inside:
            found[-1][1].append(line.removeprefix("  "))
    return [(command, "\n".join(lines).strip() + "\n") for command, lines in found]


EXAMPLES = {"accelzoo": cli.EPILOG, **{verb: load_command(verb).EPILOG for verb in VERBS}}


@pytest.mark.parametrize("verb", EXAMPLES)
def test_examples_in_the_help_print_what_it_shows(verb: str, capsys: Capture, tmp_path: Path) -> None:
    release = example_release(Path("tiny-release"))
    if verb == "pull":
        run(capsys, "publish", str(release.folder), "zoo/tiny-net", "--tag", "v1")
    if verb == "calibrate":
        write_example()
    if verb in ("plot", "report"):
        pytest.importorskip("altair", reason="charts need the extra [plot]")
    if verb in ("watch", "front", "plot"):
        write_run(Path("runs/example"), asked=60)
    examples = steps(EXAMPLES[verb])
    assert examples
    for command, want in examples:
        program, *arguments = shlex.split(command)
        assert program == "accelzoo"
        status = cli.main(arguments)
        shown = capsys.readouterr()
        got = shown.out + shown.err
        flags = doctest.ELLIPSIS | doctest.NORMALIZE_WHITESPACE if "error:" in want else doctest.ELLIPSIS
        assert doctest.OutputChecker().check_output(want, got, flags), f"$ {command}\n{got}"
        assert status == (2 if "error:" in want else 0)


def test_steps_of_a_help_text() -> None:
    text = "examples:\n  $ a b\n  one\n\n  two\n\n  $ c\n\nText.\n\n  not run\n"
    assert steps(text) == [("a b", "one\n\ntwo\n"), ("c", "\n")]


def test_help_names_every_verb_with_its_line(capsys: Capture) -> None:
    text = run(capsys, "--help")
    for verb, line in VERBS.items():
        assert any(row.split(None, 1) == [verb, line] for row in text.splitlines())
        assert run(capsys, verb, "--help").count(f"accelzoo {verb}") >= 2


def test_version(capsys: Capture) -> None:
    assert run(capsys, "--version") == f"accelzoo {__version__}\n"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (
            [],
            f"no verb given (allowed: {', '.join(VERBS)})",
        ),
        (["csot"], "unknown verb 'csot'; did you mean 'cost'?"),
        (["--verbose"], "unknown verb '--verbose'"),
        (["ls", "model"], "unknown kind 'model'; did you mean 'models'?"),
        (["show", "camera_npu"], "unknown name 'camera_npu'; did you mean 'camera-npu'?"),
        (["cost", MODEL], "the following arguments are required: --target"),
        (["cost", "mobilnetv2_100", "--target", "edge-npu"], f"'mobilnetv2_100'; did you mean '{MODEL}'?"),
        (["cost", MODEL, "--target", "edge_npu"], "unknown target 'edge_npu'; did you mean 'edge-npu'?"),
        (["cost", MODEL, "--target", "edge-npu", "num_clases=3"], "'num_clases'; did you mean 'num_classes'?"),
        (["cost", MODEL, "--target", "edge-npu", "num_classes"], "override 'num_classes': expected"),
        (["cost", MODEL, "--target", "edge-npu", "num_classes=[1"], "not valid YAML"),
        (["cost", MODEL, "--target", "edge-npu", "kernel_size=4"], "kernel_size"),
        (["cost", "missing.yaml", "--target", "edge-npu"], "missing.yaml: no such file"),
        (["cost", MODEL, "--targ", "edge-npu"], "--target"),
        (["run", "camera_clasification"], "unknown recipe 'camera_clasification'; did you mean"),
        (["run", "x", "--resume", "--force"], "not allowed with"),
        (["pull", "zoo/tiny"], "zoo/tiny"),
        (["pull", "tiny"], "expected 'owner/name'"),
        (["pull", "zoo/tiny", "--hub", "ftp://zoo"], "unknown kind 'ftp'"),
        (["publish", "nowhere", "zoo/tiny"], "nowhere: no such release folder"),
    ],
)
def test_mistakes_are_told(arguments: list[str], message: str, capsys: Capture) -> None:
    assert message in failure(capsys, *arguments)


def use_command(monkeypatch: pytest.MonkeyPatch, error: BaseException) -> None:
    """Makes every verb raise `error`."""

    def fail(options: Namespace) -> int:
        raise error

    for verb in VERBS:
        monkeypatch.setattr(load_command(verb), "run", fail)


def test_ctrl_c_says_how_to_go_on(capsys: Capture, monkeypatch: pytest.MonkeyPatch) -> None:
    interrupt = KeyboardInterrupt()
    interrupt.add_note("12 of 48 candidates are in runs/x")
    use_command(monkeypatch, interrupt)
    assert cli.main(["run", "x"]) == 130
    message = capsys.readouterr().err
    assert message.splitlines() == [
        "accelzoo: interrupted",
        "12 of 48 candidates are in runs/x",
        "the same command with --resume goes on where it was",
    ]
    use_command(monkeypatch, KeyboardInterrupt())
    assert cli.main(["ls"]) == 130
    assert capsys.readouterr().err == "accelzoo: interrupted\n"


def test_a_fault_of_the_program_is_not_hidden(monkeypatch: pytest.MonkeyPatch) -> None:
    use_command(monkeypatch, ZeroDivisionError())
    with pytest.raises(ZeroDivisionError):
        cli.main(["ls"])


def program(*arguments: str) -> list[str]:
    return [sys.executable, "-W", "error", "-m", "accelzoo", *arguments]


def test_module_runs_and_exits_with_the_code() -> None:
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    done = subprocess.run(
        program("ls", "targets", "none*"), env=environment, capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, "no targets\n", "")
    done = subprocess.run(program("show", "x"), env=environment, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith("accelzoo: error: unknown name 'x'")


def test_a_closed_pipe_is_quiet() -> None:
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    reader, writer = os.pipe()
    os.close(reader)
    try:
        done = subprocess.run(
            program("ls", "targets"), env=environment, stdout=writer, stderr=subprocess.PIPE, text=True, check=False
        )
    finally:
        os.close(writer)
    assert (done.returncode, done.stderr) == (141, "")
