"""Every registered network and every head exports, with equal outputs; what a file is called and what goes wrong."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import onnxruntime
import pytest
import torch
from torch import nn
from torch.utils._pytree import tree_leaves

from accelzoo import export
from accelzoo.build import Trunk
from accelzoo.detection import postprocessor
from accelzoo.errors import ExportError, ShapeError, UnknownNameError
from accelzoo.export import ExportReport, export_onnx, export_program, relative_error, save_program
from accelzoo.exporting import copies
from accelzoo.heads import head_kinds
from accelzoo.hwmodel.oracles.protocol import MissingToolError
from accelzoo.registry import create_model, get_arch
from accelzoo.segmentation import Postprocessor
from tests.accelzoo.small_networks import covering, every_network, parts_and_family_of, parts_of, small_network

SMALL = "camera_ibn"
HEADS = [kind for kind in head_kinds() if kind != "classification"]


@pytest.fixture(scope="module")
def network(request: pytest.FixtureRequest) -> tuple[Trunk, torch.Tensor]:
    model, images = small_network(request.param)
    return model.eval(), images


def outputs_of(module: nn.Module, *inputs: Any) -> list[torch.Tensor]:
    with torch.no_grad():
        return tree_leaves(module(*inputs))


def run_onnx(path: Path, inputs: Any) -> dict[str, torch.Tensor]:
    """Runs a file in onnxruntime; returns its outputs by name."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    session = onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])
    fed = zip(session.get_inputs(), tree_leaves(inputs), strict=True)
    outputs = session.run(None, {value.name: leaf.numpy() for value, leaf in fed})
    named = zip(session.get_outputs(), outputs, strict=True)
    return {value.name: torch.from_numpy(output) for value, output in named}


def assert_close(got: list[torch.Tensor], want: list[torch.Tensor], tolerance: float) -> None:
    assert [value.shape for value in got] == [value.shape for value in want]
    assert all(relative_error(ours, theirs) <= tolerance for ours, theirs in zip(got, want, strict=True))


Network = tuple[Trunk, torch.Tensor]


@pytest.mark.parametrize("network", every_network(covering(parts_and_family_of)), indirect=True, scope="module")
def test_exports_as_a_program(network: Network) -> None:
    model, images = network
    program = export_program(model, inputs=(images,))
    assert_close(outputs_of(program.module(), images), outputs_of(model, images), 1e-5)


@pytest.mark.parametrize("network", every_network(covering(parts_of)), indirect=True, scope="module")
def test_exports_to_onnx(network: Network, tmp_path: Path) -> None:
    model, images = network
    report = export_onnx(model, tmp_path / "network.onnx", inputs=(images,), check=False)
    got = run_onnx(report.path, images)
    report.path.unlink()  # hundreds of networks would fill the disk
    assert [*got] == [*report.outputs]
    assert_close([*got.values()], outputs_of(model, images), 1e-4)


# Names, shapes, batches


@pytest.fixture
def small() -> Trunk:
    return create_model(SMALL, num_classes=5)


def test_a_classifiers_report(small: Trunk, tmp_path: Path) -> None:
    report = export_onnx(small.train(), tmp_path / "small.onnx")
    assert small.training
    assert [*report.relative_errors] == ["logits"]
    assert report.max_relative_error is not None
    assert 0 < report.max_relative_error <= export.RELATIVE_TOLERANCE
    assert report == ExportReport(
        path=tmp_path / "small.onnx",
        format="onnx",
        size_bytes=(tmp_path / "small.onnx").stat().st_size,
        inputs={"input": (1, 3, 32, 32)},
        outputs={"logits": (1, 5)},
        dynamic_batch=False,
        opset=18,
        runtime=f"onnxruntime-{onnxruntime.__version__}",
        relative_errors=report.relative_errors,
        latency=None,
    )
    assert report.size_bytes > 4 * sum(value.numel() for value in small.parameters() if value.ndim > 1)
    assert [path.name for path in tmp_path.iterdir()] == ["small.onnx"]  # no weights beside it, nothing staged


def test_modes_checkpointing_and_weights_stay_as_they_were(small: Trunk) -> None:
    small.set_grad_checkpointing()
    small.train()
    small.get_submodule("bn1").eval()
    before = {name: value.clone() for name, value in small.state_dict().items()}
    modes = [module.training for module in small.modules()]
    export_program(small)
    assert [module.training for module in small.modules()] == modes
    assert small.grad_checkpointing
    assert all(torch.equal(value, before[name]) for name, value in small.state_dict().items())


@pytest.mark.parametrize(
    ("size", "shape"), [(48, (3, 48, 48)), ((40, 64), (3, 40, 64)), ([3, 40, 64], (3, 40, 64)), (None, (3, 32, 32))]
)
def test_input_sizes(size: Any, shape: tuple[int, ...], small: Trunk, tmp_path: Path) -> None:
    assert save_program(small, tmp_path / "small.pt2", size).inputs == {"input": (1, *shape)}


def test_names_and_architectures_export_as_well(tmp_path: Path) -> None:
    for model in (SMALL, get_arch(SMALL)):
        assert save_program(model, tmp_path / "small.pt2", overwrite=True).outputs == {"logits": (1, 10)}
    with pytest.raises(UnknownNameError, match="did you mean 'camera_ibn'"):
        export_program("camera_ibm")


def test_any_number_of_images(small: Trunk, tmp_path: Path) -> None:
    report = export_onnx(small, tmp_path / "small.onnx", dynamic_batch=True)
    assert report.dynamic_batch
    program = export_program(small, dynamic_batch=True).module()
    (fed,) = onnxruntime.InferenceSession(report.path).get_inputs()
    assert fed.shape == ["batch", 3, 32, 32]
    for batch in (1, 5):
        images = torch.randn(batch, 3, 32, 32)
        want = outputs_of(small.eval(), images)
        assert_close([*run_onnx(report.path, images).values()], want, 1e-4)
        assert_close(outputs_of(program, images), want, 1e-5)


def test_a_saved_program_reads_back(small: Trunk, tmp_path: Path) -> None:
    report = save_program(small, tmp_path / "small.pt2")
    assert report.opset is None
    images = torch.randn(1, 3, 32, 32)
    program = torch.export.load(report.path).module()
    assert_close(outputs_of(program, images), outputs_of(small.eval(), images), 1e-5)


@pytest.mark.parametrize(("write", "suffix"), [(export_onnx, "onnx"), (save_program, "pt2")])
def test_files_name_no_place_of_this_machine(write: Any, suffix: str, small: Trunk, tmp_path: Path) -> None:
    written = write(small, tmp_path / f"small.{suffix}").path.read_bytes()
    for place in (export.__file__, torch.__file__, str(tmp_path)):
        assert str(Path(place).parent).encode() not in written
    assert b"stack_trace" not in written


# Heads and what comes after them


@pytest.mark.parametrize("kind", HEADS)
def test_every_head_exports_with_its_post_processing(kind: str, tmp_path: Path) -> None:
    arch = get_arch("ibn_t", head=kind, input_size=64, num_classes=3)
    model = arch.build().eval()
    images = torch.randn(1, *arch.input_size)
    with torch.no_grad():
        for value in model.get_submodule("head").parameters():
            value.add_(0.1 * torch.randn(value.shape))  # fresh detectors find nothing, and that everywhere
        raw = model(images)
    report = export_onnx(model, tmp_path / "network.onnx")
    made = run_onnx(report.path, images)
    assert [*made] == [*report.outputs]
    assert_close([*made.values()], tree_leaves(raw), 1e-4)
    after = postprocessors(arch)
    for index, module in enumerate(after):
        report = export_onnx(module, tmp_path / f"after{index}.onnx", inputs=(raw,))
        assert [*report.inputs] == [*made]  # one file's outputs are the other's inputs, by name
        want = outputs_of(module, raw)
        assert_close([*run_onnx(report.path, raw).values()], want, 1e-4)
        exported = export_program(module, inputs=(raw,)).module()
        assert_close(outputs_of(exported, raw), want, 1e-5)
    assert bool(after) == (arch.head.task != "sequence")


def postprocessors(arch: Any) -> list[nn.Module]:
    if arch.head.task == "detection":
        return [postprocessor(arch, score_threshold=0.01, max_detections=20)]
    if arch.head.task == "segmentation":
        return [Postprocessor(arch), Postprocessor(arch, argmax_first=True)]
    return []


@pytest.mark.parametrize(
    ("kind", "values"),
    [("fcos", ["class_logits", "boxes", "centerness"]), ("retina", ["class_logits", "boxes"])],
)
def test_a_detectors_outputs_carry_their_strides(kind: str, values: list[str], tmp_path: Path) -> None:
    model = create_model("ibn_t", head=kind, input_size=256, num_classes=3)
    report = save_program(model, tmp_path / "detector.pt2")
    boxes = 9 if kind == "retina" else 1
    channels = {"class_logits": 3 * boxes, "boxes": 4 * boxes, "centerness": 1}
    assert report.outputs == {
        f"{value}_{stride}": (1, channels[value], 256 // stride, 256 // stride)
        for stride in (8, 16, 32, 64, 128)
        for value in values
    }


def test_any_other_module_takes_examples_and_gets_no_names(tmp_path: Path) -> None:
    module = nn.Sequential(nn.Linear(3, 2), nn.ReLU())
    report = export_onnx(module, tmp_path / "other.onnx", inputs=(torch.randn(4, 3),))
    assert report.outputs == {"output 0": (4, 2)}
    with pytest.raises(ExportError, match=r"a Sequential is no network of accelzoo: pass inputs=\(…\)"):
        export_program(module)


# What goes wrong


@pytest.mark.parametrize("size", [0, -3, (32,), (3, 32, 32, 1), (32.0, 32), "32", True])
def test_sizes_that_are_none(size: Any, small: Trunk) -> None:
    with pytest.raises(ShapeError, match=r"input_size \(=.*\) must be a side, \(height, width\) or"):
        export_program(small, size)


def test_sizes_that_do_not_fit(small: Trunk) -> None:
    with pytest.raises(ShapeError, match=r"has 1 channels; the network reads 3"):
        export_program(small, (1, 32, 32))
    with pytest.raises(ShapeError, match=r"does not run on inputs of shape \(1, 4, 32, 32\): .*channels"):
        export_program(small, inputs=(torch.zeros(1, 4, 32, 32),))
    with pytest.raises(ExportError, match=r"input_size \(=32\) and inputs both say what goes in"):
        export_program(small, 32, inputs=(torch.zeros(1, 3, 32, 32),))


def test_paths_that_cannot_be_written(small: Trunk, tmp_path: Path) -> None:
    path = tmp_path / "small.onnx"
    path.write_text("mine", encoding="utf-8")
    with pytest.raises(ExportError, match=r"small\.onnx exists; "):
        export_onnx(small, path)
    assert path.read_text(encoding="utf-8") == "mine"
    assert export_onnx(small, path, overwrite=True).size_bytes == path.stat().st_size
    (tmp_path / "folder.onnx").mkdir()
    for name, message in (
        ("nowhere/small.onnx", "no such folder .*nowhere"),
        ("small.onx", r"must end in '\.onnx'"),
        ("folder.onnx", "is a folder$"),
        (f"{'n' * 300}.onnx", "cannot write .*File name too long"),
    ):
        with pytest.raises(ExportError, match=message):
            export_onnx(small, tmp_path / name, overwrite=True)
    assert sorted(entry.name for entry in tmp_path.iterdir()) == ["folder.onnx", "small.onnx"]


def test_operator_sets_that_cannot_be_had(small: Trunk, tmp_path: Path) -> None:
    assert export_onnx(small, tmp_path / "small.onnx", opset=20).opset == 20
    with pytest.raises(ExportError, match=r"opset \(=13\) cannot be had: .* for opset 18"):
        export_onnx(small, tmp_path / "old.onnx", opset=13)
    with pytest.raises(ExportError, match="99"):
        export_onnx(small, tmp_path / "new.onnx", opset=99)


def test_a_missing_extra_is_named(small: Trunk, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "onnxscript", None)
    with pytest.raises(MissingToolError, match=r"cannot import 'onnxscript' .* pip install 'accelzoo\[onnx\]'"):
        export_onnx(small, tmp_path / "small.onnx")


def test_without_onnxruntime_nothing_is_compared(small: Trunk, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "onnxruntime", None)
    assert export_onnx(small, tmp_path / "small.onnx").max_relative_error is None


def test_a_copy_that_computes_something_else_is_not_written(
    small: Trunk, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(copies, "RELATIVE_TOLERANCE", 0.0)
    with pytest.raises(ExportError, match=r"logits: what onnxruntime-\S+ computes differs from the network by"):
        export_onnx(small, tmp_path / "small.onnx")
    assert [*tmp_path.iterdir()] == []


class PerImage(nn.Module):
    """Computes image by image, so that their number is fixed."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return torch.stack([image.sum() for image in x])


def test_networks_for_a_fixed_number_of_images() -> None:
    images = torch.zeros(2, 3, 4, 4)
    assert export_program(PerImage(), inputs=(images,)) is not None
    with pytest.raises(ExportError, match=r"torch\.export cannot export a PerImage for any number of images"):
        export_program(PerImage(), inputs=(images,), dynamic_batch=True)


def test_relative_errors() -> None:
    assert relative_error(torch.tensor([1.0, 2.0]), torch.tensor([1.0, -4.0])) == pytest.approx(6 / 4)
    assert relative_error(torch.tensor([3, 4]), torch.tensor([3, 4])) == 0
    assert relative_error(torch.zeros(2), torch.zeros(2)) == 0
