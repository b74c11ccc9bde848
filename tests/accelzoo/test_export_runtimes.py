"""Files for LiteRT and ExecuTorch: equal outputs in their runtimes, names and shapes, what they cannot hold, timing."""

from __future__ import annotations

import sys
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch.utils._pytree import tree_leaves

from accelzoo import export
from accelzoo._export_job import Job, prepared
from accelzoo.build import Trunk, build
from accelzoo.detection import postprocessor
from accelzoo.errors import ExportError
from accelzoo.export import Latency, export_executorch, export_litert, relative_error
from accelzoo.exporting import copies
from accelzoo.exporting.copies import Copy, compare, measure
from accelzoo.hwmodel.oracles.protocol import MissingToolError
from accelzoo.hwmodel.oracles.torch_device import torch_threads
from accelzoo.quantization import quantize
from accelzoo.registry import create_model, get_arch
from tests.accelzoo.small_networks import norms

SPECTROGRAM = (1, 40, 96)
NETWORKS: dict[str, tuple[str, dict[str, Any]]] = {
    "classifier": ("mobilenetv3_small_100", {"num_classes": 5, "input_size": (3, 33, 46)}),
    "detector": ("camera_ibn", {"head": "fcos", "num_classes": 2, "input_size": 64}),
    "another detector": ("camera_ibn", {"head": {"kind": "ssdlite", "num_classes": 3, "extra_channels": [32, 16]},
                                        "input_size": 128}),
    "segmenter": ("camera_ibn", {"head": "deeplab", "num_classes": 3, "input_size": (3, 64, 32)}),
    "a word": ("camera_ibn", {"head": "sequence", "num_classes": 5, "input_size": SPECTROGRAM}),
    "a word, hidden": ("camera_ibn", {"head": "sequence", "num_classes": 5, "input_size": SPECTROGRAM,
                                      "hidden_channels": 16}),
    "a letter per step": ("camera_ibn", {"head": "sequence", "num_classes": 5, "input_size": SPECTROGRAM,
                                         "pooling": "none"}),
}  # fmt: skip
needs_executorch = pytest.mark.skipif(find_spec("executorch") is None, reason="needs the extra [executorch]")


def network_of(case: str) -> Trunk:
    """A network with normalisations as if it had been trained."""
    name, overrides = NETWORKS[case]
    generator = torch.Generator().manual_seed(0)
    model = build(get_arch(name, **overrides), generator).eval()
    with torch.no_grad():
        for norm in norms(model):
            norm.weight.uniform_(0.8, 1.2, generator=generator)
            norm.bias.normal_(0, 0.1, generator=generator)
    return model


def images_for(model: Trunk, count: int = 1) -> torch.Tensor:
    return torch.randn((count, *model.arch.input_size), generator=torch.Generator().manual_seed(1))


def outputs_of(model: Trunk, images: torch.Tensor) -> list[torch.Tensor]:
    with torch.no_grad():
        return tree_leaves(model(images))


def run_litert(path: Path, images: torch.Tensor) -> dict[str, np.ndarray[Any, Any]]:
    """Runs a file in LiteRT; returns its outputs by name, maps with channels last."""
    interpreter = pytest.importorskip("ai_edge_litert.interpreter").Interpreter(model_path=str(path), num_threads=1)
    interpreter.allocate_tensors()
    (entry,) = interpreter.get_input_details()
    assert entry["name"] == "input"
    interpreter.set_tensor(entry["index"], images.permute(0, 2, 3, 1).numpy())
    interpreter.invoke()
    return {detail["name"]: interpreter.get_tensor(detail["index"]) for detail in interpreter.get_output_details()}


@pytest.mark.parametrize("case", NETWORKS)
def test_litert_computes_what_the_network_does(case: str, tmp_path: Path) -> None:
    model = network_of(case)
    images = images_for(model)
    report = export_litert(model, tmp_path / "network.tflite")
    assert report.runtime is not None
    assert report.runtime.startswith("litert-")
    assert report.size_bytes == report.path.stat().st_size
    channels, height, width = model.arch.input_size
    assert report.inputs == {"input": (1, height, width, channels)}
    got = run_litert(report.path, images)
    assert {name: value.shape for name, value in got.items()} == report.outputs
    assert [*got] == [*report.outputs] == [*report.relative_errors]
    for ours, theirs in zip(got.values(), outputs_of(model, images), strict=True):
        first = np.moveaxis(ours, -1, 1) if ours.ndim == 4 else ours
        assert first.shape == theirs.shape
        assert relative_error(torch.from_numpy(first.copy()), theirs) < 1e-5


def test_outputs_of_steps_keep_their_order_in_int8() -> None:
    model = network_of("a letter per step")
    images = images_for(model, 4)
    (want,) = outputs_of(model, images)
    got = quantize(model, images)(images)
    assert got.shape == want.shape == (4, 12, 5)
    assert float((got - want).norm() / want.norm()) < 0.15


def test_operators_without_a_counterpart_are_named(tmp_path: Path) -> None:
    arch = get_arch("mobilenetv4_hybrid_medium", input_size=64)
    with pytest.raises(ExportError, match=r"LiteRT cannot hold this network: blocks\S+ \(matmul\): there is no"):
        export_litert(arch, tmp_path / "attention.tflite")
    assert [*tmp_path.iterdir()] == []


def test_only_networks_become_litert_files(tmp_path: Path) -> None:
    module = torch.nn.Linear(3, 2)
    with pytest.raises(ExportError, match="a Linear is no network of accelzoo"):
        export_litert(module, tmp_path / "other.tflite")


@pytest.mark.parametrize("extra", ["litert", "executorch"])
def test_a_missing_extra_is_named(extra: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, {"litert": "flatbuffers", "executorch": "executorch"}[extra], None)
    write: Any = {"litert": export_litert, "executorch": export_executorch}[extra]
    with pytest.raises(MissingToolError, match=rf"pip install 'accelzoo\[{extra}\]'"):
        write("camera_ibn", tmp_path / f"small{export.FORMATS[extra]}")


def test_without_its_interpreter_a_litert_file_is_not_compared(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "ai_edge_litert", None)
    report = export_litert("camera_ibn", tmp_path / "small.tflite", threads=1)
    assert (report.runtime, report.max_relative_error, report.latency) == (None, None, None)


def test_a_litert_file_that_computes_something_else_does_not_appear(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(copies, "RELATIVE_TOLERANCE", 0.0)
    with pytest.raises(ExportError, match=r"logits: what litert-\S+ computes differs"):
        export_litert("camera_ibn", tmp_path / "small.tflite")
    assert [*tmp_path.iterdir()] == []


# Timing


def test_files_are_timed_on_request(tmp_path: Path) -> None:
    found = export_litert("camera_ibn", tmp_path / "small.tflite", threads=1).latency
    assert found is not None
    assert found.threads == 1
    assert copies.LEAST_RUNS <= found.runs <= copies.MOST_RUNS
    assert found.seconds > 0
    assert found.torch_seconds > 0
    with pytest.raises(ExportError, match=r"threads \(=0\) must be at least 1"):
        export_litert("camera_ibn", tmp_path / "other.tflite", threads=0)


def test_torchs_threads_are_set_back() -> None:
    before = torch.get_num_threads()
    with torch_threads(before + 2):
        assert torch.get_num_threads() == before + 2
    assert torch.get_num_threads() == before


def test_latencies_are_medians_of_runs_in_turn(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = [0.0]
    seen: list[str] = []
    takes = {"copy": iter([9.0] * 3 + [1.0, 1.0, 7.0, 2.0, 2.0]), "network": iter([9.0] * 3 + [4.0] * 4 + [50.0])}

    def runs(who: str) -> Any:
        def run(*_: Any) -> None:
            seen.append(who)
            clock[0] += next(takes[who])

        return run

    monkeypatch.setattr("time.perf_counter", lambda: clock[0])
    job = Job(runs("network"), (), [], [], [], False)
    found = measure(Copy("runtime-1", runs("copy"), lambda _: []), job, threads=1)
    assert found == Latency(seconds=2.0, torch_seconds=4.0, threads=1, runs=5)  # no more: the time is up
    assert seen == ["copy", "network"] * 8


def test_copies_of_another_shape_or_that_cannot_run_are_refused() -> None:
    with prepared(create_model("camera_ibn", num_classes=5), None, None, False) as job:
        other = Copy("runtime-1", lambda: None, lambda _: [torch.zeros(1, 4)])
        with pytest.raises(ExportError, match=r"logits: runtime-1 makes \(1, 4\), the network \(1, 5\)"):
            compare(other, job)

        def fails() -> None:
            raise RuntimeError("no kernel")

        with pytest.raises(ExportError, match="runtime-1 cannot run the AccelNet: no kernel"):
            compare(other._replace(run=fails), job)


# ExecuTorch


@needs_executorch
@pytest.mark.parametrize("case", ["classifier", "segmenter", "a letter per step"])
def test_executorch_computes_what_the_network_does(case: str, tmp_path: Path) -> None:
    model = network_of(case)
    images = images_for(model)
    report = export_executorch(model, tmp_path / "network.pte", threads=1)
    from executorch.runtime import Runtime  # now: it warns when it is imported first

    assert report.latency is not None
    got = Runtime.get().load_program(report.path).load_method("forward").execute([images])
    want = outputs_of(model, images)
    assert [tuple(value.shape) for value in got] == [*report.outputs.values()]
    assert all(relative_error(ours, theirs) < 1e-5 for ours, theirs in zip(got, want, strict=True))
    written = report.path.read_bytes()
    for place in (export.__file__, torch.__file__, str(tmp_path)):
        assert str(Path(place).parent).encode() not in written


@needs_executorch
def test_what_executorch_cannot_take_is_told(tmp_path: Path) -> None:
    model = network_of("detector")
    after = postprocessor(model.arch, score_threshold=0.01, max_detections=20)
    with torch.no_grad():
        raw = model(images_for(model))
    with pytest.raises(ExportError, match=r"cannot take a DetectionDecoder: how many values \S+ makes depends"):
        export_executorch(after, tmp_path / "after.pte", inputs=(raw,))
    assert [*tmp_path.iterdir()] == []
