"""The documentation runs: every bash, console and python block of README.md and docs/ is executed as it stands.

A block is left out only by a comment on the line before it: `<!-- not run: the reason -->`. Each block runs in a folder
of its own, empty but for the files that earlier blocks of the document show: those after `<!-- file: its-name -->`. In
a console block each `$ command` must print what follows it, where `...` stands for anything;
a python block of `>>>` lines is compared in the same way.
"""

from __future__ import annotations

import doctest
import os
import re
import stat
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.checkout import ROOT

RUN_LANGUAGES = ("bash", "console", "python")
SHOWN_LANGUAGES = ("csv", "json", "mermaid", "text", "toml", "yaml")
COMPARISON = doctest.ELLIPSIS | doctest.REPORT_NDIFF
FENCE = re.compile(r"^(?P<indent> *)```(?P<language>.*)$")
MARKER = re.compile(r"^<!--\s*(?P<what>not run|file):(?P<text>.*)-->$")
LINK = re.compile(r"\]\(([^)#\s]+)")


@dataclass(frozen=True, slots=True, kw_only=True)
class Block:
    """One fenced block; `line` is the number of its first line of code, `not_run` the reason its marker gives.

    `file` is the name under which later blocks find it.
    """

    document: str
    line: int
    language: str
    code: str
    not_run: str | None = None
    file: str | None = None

    def __str__(self) -> str:
        return f"{self.document}:{self.line}:{self.language}"


def blocks_of(text: str, document: str) -> Iterator[Block]:
    lines = text.splitlines()
    start = 0
    while start < len(lines):
        opening = FENCE.match(lines[start])
        start += 1
        if opening is None:
            continue
        end = next((at for at in range(start, len(lines)) if lines[at].strip() == "```"), None)
        if end is None:
            raise ValueError(f"{document}:{start}: the block is never closed")
        before = next((line.strip() for line in reversed(lines[: start - 1]) if line.strip()), "")
        marker = MARKER.match(before)
        said = {marker["what"]: marker["text"].strip()} if marker else {}
        yield Block(
            document=document,
            line=start + 1,
            language=opening["language"].strip(),
            code="".join(line.removeprefix(opening["indent"]) + "\n" for line in lines[start:end]),
            not_run=said.get("not run"),
            file=said.get("file"),
        )
        start = end + 1


def documents() -> list[Path]:
    return [path for path in [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))] if path.exists()]


BLOCKS = [
    block
    for path in documents()
    for block in blocks_of(path.read_text(encoding="utf-8"), path.relative_to(ROOT).as_posix())
]
EXECUTABLE = [block for block in BLOCKS if block.language in RUN_LANGUAGES]


@pytest.fixture
def shell_environment(tmp_path: Path) -> dict[str, str]:
    """An environment in which `accelzoo` and `python` are this checkout and this interpreter."""
    commands = tmp_path / "commands"
    commands.mkdir()
    for name, arguments in {"accelzoo": "-m accelzoo ", "python": "", "python3": ""}.items():
        command = commands / name
        command.write_text(f'#!/bin/sh\nexec "{sys.executable}" {arguments}"$@"\n')
        command.chmod(command.stat().st_mode | stat.S_IXUSR)
    return {
        **os.environ,
        "PATH": os.pathsep.join((str(commands), os.environ["PATH"])),
        "PYTHONPATH": str(ROOT),
        "XDG_CACHE_HOME": str(tmp_path / "cache"),
        "COLUMNS": "120",
        "NO_COLOR": "1",
        "TERM": "dumb",
    }


@pytest.fixture
def empty_folder(tmp_path: Path) -> Path:
    folder = tmp_path / "empty"
    folder.mkdir()
    return folder


def write_files(block: Block, folder: Path) -> None:
    """Writes the files that the document shows before a block."""
    for earlier in BLOCKS:
        if earlier.document == block.document and earlier.line < block.line and earlier.file:
            (folder / earlier.file).write_text(earlier.code, encoding="utf-8")


def shell(script: str, folder: Path, environment: dict[str, str]) -> tuple[int, str]:
    """Runs `script`, stopping at its first failing command; returns the exit status and all it printed."""
    done = subprocess.run(
        ["bash", "-euo", "pipefail", "-c", script],
        cwd=folder,
        env=environment,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )
    return done.returncode, done.stdout


def console_steps(code: str) -> list[tuple[str, str]]:
    """Splits a console block into (command, expected output); a command goes on over lines ending in a backslash."""
    steps: list[tuple[str, str]] = []
    for line in code.splitlines(keepends=True):
        if line.startswith("$ "):
            steps.append((line.removeprefix("$ "), ""))
        elif not steps:
            raise ValueError(f"a console block starts with `$ command`, not {line!r}")
        elif not steps[-1][1] and steps[-1][0].endswith("\\\n"):
            steps[-1] = (steps[-1][0] + line.removeprefix("> "), "")
        else:
            steps[-1] = (steps[-1][0], steps[-1][1] + line)
    return steps


def difference(want: str, got: str) -> str:
    """Returns how `got` differs from `want`, trailing blanks aside; empty when it does not."""
    want, got = ("".join(line.rstrip() + "\n" for line in text.strip("\n").splitlines()) for text in (want, got))
    checker = doctest.OutputChecker()
    if checker.check_output(want, got, COMPARISON):
        return ""
    return checker.output_difference(doctest.Example("", want), got, COMPARISON)


def run_bash(code: str, folder: Path, environment: dict[str, str]) -> None:
    status, output = shell(code, folder, environment)
    assert status == 0, output


def run_console(code: str, folder: Path, environment: dict[str, str]) -> None:
    for command, want in console_steps(code):
        status, got = shell(command, folder, environment)
        wrong = difference(want, got)
        assert not wrong, f"$ {command}{wrong}"
        assert status == 0 or "error" in want.lower(), f"$ {command}exit status {status} and no error shown"


def run_python(block: Block) -> None:
    if not block.code.lstrip().startswith(">>>"):
        # Blank lines in front: a traceback then names the line of the document.
        exec(compile("\n" * (block.line - 1) + block.code, block.document, "exec"), {"__name__": "__main__"})
        return
    test = doctest.DocTestParser().get_doctest(
        block.code, {"__name__": "__main__"}, str(block), block.document, block.line - 1
    )
    report: list[str] = []
    doctest.DocTestRunner(optionflags=COMPARISON).run(test, out=report.append)
    assert not report, "".join(report)


def test_there_is_something_to_run() -> None:
    assert [block for block in EXECUTABLE if block.document == "README.md" and block.not_run is None]


def test_every_block_has_a_known_language() -> None:
    known = {*RUN_LANGUAGES, *SHOWN_LANGUAGES}
    assert [str(block) for block in BLOCKS if block.language not in known] == []


def test_every_left_out_block_has_a_reason() -> None:
    assert [str(block) for block in BLOCKS if block.not_run == ""] == []


@pytest.mark.parametrize("path", documents(), ids=lambda path: path.relative_to(ROOT).as_posix())
def test_every_link_to_a_file_leads_somewhere(path: Path) -> None:
    links = LINK.findall(path.read_text(encoding="utf-8"))
    assert [link for link in links if "://" not in link and not (path.parent / link).exists()] == []


def test_every_shown_file_has_a_plain_name() -> None:
    named = [block for block in BLOCKS if block.file is not None]
    assert [str(block) for block in named if not re.fullmatch(r"[\w-]+\.\w+", block.file or "")] == []
    assert [str(block) for block in named if block.language in RUN_LANGUAGES] == []


@pytest.mark.parametrize("block", EXECUTABLE, ids=str)
def test_block_runs(
    block: Block, empty_folder: Path, shell_environment: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    if block.not_run is not None:
        pytest.skip(f"marked not run: {block.not_run}")
    monkeypatch.chdir(empty_folder)
    write_files(block, empty_folder)
    match block.language:
        case "bash":
            run_bash(block.code, empty_folder, shell_environment)
        case "console":
            run_console(block.code, empty_folder, shell_environment)
        case _:
            run_python(block)


SAMPLE = """
<!-- file: my.yaml -->

```yaml
name: x
```

<!-- not run: needs a network -->
```bash
false
```

Text.

- item

  ```python
  assert True
  ```
"""


def test_blocks_are_found_with_their_lines_and_markers() -> None:
    shown, first, second = blocks_of(SAMPLE, "sample.md")
    assert (shown.line, shown.code, shown.not_run, shown.file) == (5, "name: x\n", None, "my.yaml")
    assert (first.language, first.line, first.code, first.not_run) == ("bash", 10, "false\n", "needs a network")
    assert (second.language, second.line, second.code, second.not_run) == ("python", 18, "assert True\n", None)
    assert first.file is second.file is None


def test_a_wrong_block_fails(empty_folder: Path, shell_environment: dict[str, str]) -> None:
    with pytest.raises(AssertionError):
        run_bash("false\ntrue\n", empty_folder, shell_environment)
    with pytest.raises(AssertionError, match="no error shown"):
        run_console("$ false\n", empty_folder, shell_environment)
    with pytest.raises(AssertionError, match="three"):
        run_console("$ echo one; echo three\none\ntwo\n", empty_folder, shell_environment)
    with pytest.raises(AssertionError, match=r"\+ 2"):
        run_python(Block(document="d.md", line=1, language="python", code=">>> 1 + 1\n3\n"))


def test_a_right_block_passes(empty_folder: Path, shell_environment: dict[str, str]) -> None:
    console = "$ echo one; \\\n> echo two\none\n...\n$ true\n$ echo 'took 3.1 s'\ntook ... s\n"
    run_console(console, empty_folder, shell_environment)
    run_console("$ echo error: no; exit 2\nerror: ...\n", empty_folder, shell_environment)
    run_python(Block(document="d.md", line=1, language="python", code=">>> 1 + 1\n2\n"))


def test_the_test_command_is_the_one_that_continuous_integration_runs() -> None:
    """The README's command for the tests stands in .ci/run word for word."""
    commands = [line for block in EXECUTABLE if block.document == "README.md" for line in block.code.splitlines()]
    tests = [command for command in commands if command.endswith("-m pytest")]
    assert len(tests) == 1
    assert tests[0] in (ROOT / ".ci" / "run").read_text(encoding="utf-8").splitlines()


def test_the_counts_of_the_zoo_are_right() -> None:
    from accelzoo import list_models, list_spaces
    from accelzoo.families import families

    text = (ROOT / "README.md").read_text(encoding="utf-8")
    assert f"| networks | {len(list_models())}, in {len(families())} families:" in text
    assert f"| spaces | {len(list_spaces())}:" in text
