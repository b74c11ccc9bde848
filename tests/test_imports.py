"""What starts fast stays fast: describing, listing and pricing models loads no training library."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.checkout import ROOT

HEAVY = ["torch", "timm", "torchvision", "sklearn", "scipy", "matplotlib", "accelerate", "huggingface_hub"]
MODEL = "mobilenetv2_100"
COMMAND_LINE = """
import sys
from accelzoo.recipes.cli import main
try:
    status = main()
except SystemExit as stop:
    status = stop.code
assert not status, status
"""


def heavy_imports(code: str, folder: Path, *arguments: str) -> list[str]:
    """Runs `code` in a fresh interpreter and returns which heavy libraries it loaded."""
    report = folder / "loaded.json"
    ending = f"\nimport json, pathlib, sys\nloaded = [name for name in {HEAVY} if name in sys.modules]"
    ending += f"\npathlib.Path({str(report)!r}).write_text(json.dumps(loaded))"
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", code + ending, *arguments],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    loaded: list[str] = json.loads(report.read_text())
    return loaded


@pytest.mark.parametrize(
    "code",
    [
        "import accelzoo",
        "import accelzoo; dir(accelzoo)",
        "import accelzoo; accelzoo.list_targets()",
        f"import accelzoo; accelzoo.get_arch({MODEL!r}).lower()",
        "import accelzoo.config, accelzoo.hwmodel, accelzoo.search, accelzoo.recipes",
        "import accelzoo.recipes.width.schema, accelzoo.recipes.schema",
    ],
)
def test_python_loads_nothing_heavy(code: str, tmp_path: Path) -> None:
    assert heavy_imports(code, tmp_path) == []


@pytest.mark.parametrize("arguments", [["--help"], ["ls", "models"], ["cost", MODEL, "--target"]], ids=" ".join)
def test_command_line_loads_nothing_heavy(arguments: list[str], tmp_path: Path) -> None:
    if arguments[-1] == "--target":
        import accelzoo

        arguments = [*arguments, accelzoo.list_targets()[0]]
    assert heavy_imports(COMMAND_LINE, tmp_path, *arguments) == []


def test_a_heavy_import_is_seen(tmp_path: Path) -> None:
    assert heavy_imports("import scipy", tmp_path) == ["scipy"]
