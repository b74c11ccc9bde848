"""Finding oracles by name, and what they say when a tool is missing."""

from __future__ import annotations

import subprocess
import sys

import pytest

from accelzoo.errors import UnknownNameError
from accelzoo.hwmodel import oracles
from accelzoo.hwmodel.estimate import UnsupportedOperatorError
from accelzoo.hwmodel.oracles import MissingToolError, OracleError, UnsupportedByToolError
from accelzoo.hwmodel.oracles.protocol import import_tool
from tests.checkout import ROOT


def test_every_oracle_has_targets_of_its_own() -> None:
    names = oracles.list_oracles()
    assert names == sorted(names)
    targets = [target for name in names for target in oracles.list_targets(name)]
    assert len(targets) == len(set(targets)) > len(names)


def test_unknown_names_are_refused() -> None:
    with pytest.raises(UnknownNameError, match="did you mean 'systolic'"):
        oracles.load("systolics", "systolic-32x32")
    with pytest.raises(UnknownNameError, match="target of the oracle 'systolic' 'systolic-33x32'; did you mean"):
        oracles.load("systolic", "systolic-33x32")


def test_listing_imports_no_tool() -> None:
    source = (
        "import sys; from accelzoo.hwmodel import oracles; [oracles.list_targets(n) for n in oracles.list_oracles()];"
        "print({'torch', 'zigzag', 'ethosu', 'tflite', 'flatbuffers', 'ai_edge_litert', 'yaml'} & set(sys.modules))"
    )
    done = subprocess.run([sys.executable, "-c", source], cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout == "set()\n"


def test_a_missing_tool_names_its_extra() -> None:
    with pytest.raises(MissingToolError) as raised:
        import_tool("no_such_tool_anywhere", "npu")
    assert "pip install 'accelzoo[npu]'" in str(raised.value)
    assert "no_such_tool_anywhere" in str(raised.value)


def test_unsupported_operators_are_listed() -> None:
    error = UnsupportedByToolError("some-npu", ["head.up (resize:bilinear)", "norm (opaque)"], "only by 2")
    assert str(error) == "some-npu cannot run head.up (resize:bilinear), norm (opaque): only by 2"
    assert error.operators == ("head.up (resize:bilinear)", "norm (opaque)")
    assert isinstance(error, OracleError)
    assert isinstance(error, UnsupportedOperatorError)
