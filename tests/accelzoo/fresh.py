"""Runs a line of Python in a process of its own."""

from __future__ import annotations

import os
import subprocess
import sys

from tests.checkout import ROOT


def fresh_python(code: str, **environment: str) -> str:
    """Returns what `code` prints in a new interpreter at the root of the checkout."""
    variables = {**os.environ, "PYTHONPATH": str(ROOT), **environment}
    done = subprocess.run([sys.executable, "-c", code], env=variables, capture_output=True, text=True, check=True)
    return done.stdout.strip()
