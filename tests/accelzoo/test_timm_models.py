"""timm's model contract, as its own test suite states it, for networks that together hold every part of the zoo."""

from __future__ import annotations

import copy
import importlib.metadata
import os
import subprocess
import sys
import tarfile
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import timm
import torch
from timm.models import FeatureInfo, group_parameters
from timm.optim import create_optimizer_v2
from torchvision.models.feature_extraction import create_feature_extractor

import accelzoo.timm  # noqa: F401 (registers the networks)
from tests.accelzoo.timm_sample import SIDE, sample
from tests.checkout import ROOT

SAMPLE = [f"accelzoo_{name}" for name in sample()]
each = pytest.mark.parametrize("name", SAMPLE)
DOWNLOAD_S = 120


@pytest.fixture(autouse=True)
def seed() -> Iterator[None]:
    with torch.random.fork_rng(devices=()):
        torch.manual_seed(0)
        yield


def on_meta(name: str, **arguments: Any) -> Any:
    return timm.create_model(name, device="meta", dtype=torch.float32, **arguments)


def built(name: str, **arguments: Any) -> Any:
    """A network in eval mode whose batch normalisations do not silence it."""
    return timm.create_model(name, **arguments).eval()


def images(count: int = 1) -> torch.Tensor:
    return torch.randn(count, 3, SIDE, SIDE)


@each
def test_parameters_and_buffers_are_on_the_device_asked_for(name: str) -> None:
    model = on_meta(name)
    assert {tensor.device.type for tensor in (*model.parameters(), *model.buffers())} == {"meta"}
    half = timm.create_model(name, device="meta", dtype=torch.bfloat16)
    assert {tensor.dtype for tensor in half.parameters()} == {torch.bfloat16}


@each
def test_shapes_are_those_of_the_registered_facts(name: str) -> None:
    model = on_meta(name).eval()
    cfg, state = model.default_cfg, model.state_dict()
    x = torch.zeros(1, *cfg["input_size"], device="meta")
    features = model.forward_features(x)
    assert features.shape == (1, model.num_features, *cfg["pool_size"])
    pooled = (1, model.head_hidden_size)
    assert model.forward_head(features, pre_logits=True).shape == pooled
    assert model.in_chans == cfg["input_size"][0]
    assert {f"{cfg['first_conv']}.weight", f"{cfg['classifier']}.weight"} <= set(state)
    assert model.to(torch.bfloat16)(x.to(torch.bfloat16)).dtype == torch.bfloat16
    model.to(torch.float32).reset_classifier(0)
    assert (model.num_classes, model(x).shape) == (0, pooled)
    assert on_meta(name, num_classes=0).eval()(x).shape == pooled
    model.reset_classifier(0, "")
    assert model(x).shape[2:] == cfg["pool_size"]
    assert on_meta(name, num_classes=0, global_pool="").eval()(x).shape == model(x).shape


@each
def test_a_fresh_classifier_follows_the_network(name: str) -> None:
    model = on_meta(name).to(torch.float64).eval()
    model.requires_grad_(False)
    model.reset_classifier(0)
    assert not any(parameter.requires_grad for parameter in model.parameters())
    model.reset_classifier(2)
    (weight, bias) = model.get_classifier().parameters()
    assert (weight.dtype, weight.device.type, len(bias)) == (torch.float64, "meta", 2)
    assert not any(module.training for module in model.modules())
    assert model.arch.head.num_classes == 2


@each
def test_pools_that_double_the_features(name: str) -> None:
    x = torch.zeros(2, 3, SIDE, SIDE, device="meta")
    model = on_meta(name, global_pool="catavgmax", num_classes=7).eval()
    assert model(x).shape == (2, 7)
    plain = on_meta(name).eval()
    if plain.num_features == plain.forward_features(x).shape[1] and plain.head_hidden_size == plain.num_features:
        plain.reset_classifier(7, "catavgmax")
        assert plain.head_hidden_size == 2 * plain.num_features
    else:
        with pytest.raises(ValueError, match="the head's convolution behind it takes"):
            plain.reset_classifier(7, "catavgmax")
    assert plain(x).shape[0] == 2
    keeps = on_meta(name, global_pool="max")
    keeps.reset_classifier(5)
    assert keeps.global_pool.pool_type == "max"


@each
def test_every_parameter_gets_a_gradient(name: str) -> None:
    model = timm.create_model(name, num_classes=42).train()
    y = model(images(2))
    y.mean().backward()
    assert y.shape == (2, 42)
    assert not y.isnan().any()
    assert [name for name, parameter in model.named_parameters() if parameter.grad is None] == []


@each
def test_grad_checkpointing_changes_nothing(name: str) -> None:
    model, x = built(name), images()
    expected, (final, maps) = model(x), model.forward_intermediates(x)
    model.set_grad_checkpointing()
    torch.testing.assert_close(model(x), expected, rtol=1e-4, atol=1e-5)
    again, taken = model.forward_intermediates(x)
    torch.testing.assert_close([again, *taken], [final, *maps], rtol=1e-4, atol=1e-5)


@each
@pytest.mark.parametrize("output_stride", [None, 8])
def test_feature_maps_are_as_announced(name: str, output_stride: int | None) -> None:
    levels = on_meta(name).feature_info
    model = on_meta(name, features_only=True, output_stride=output_stride)
    assert len(model.feature_info.channels()) == len(levels)
    assert model.feature_info.reduction() == [min(level["reduction"], output_stride or 64) for level in levels]
    maps = model(torch.zeros(1, 3, SIDE, SIDE, device="meta"))
    for y, channels, stride in zip(maps, model.feature_info.channels(), model.feature_info.reduction(), strict=True):
        assert y.shape == (1, channels, SIDE // stride, SIDE // stride)


@each
@pytest.mark.parametrize("wrapper", ["list", "dict", "hook", "fx"])
def test_timm_s_other_wrappers_give_the_same_maps(name: str, wrapper: str) -> None:
    x = images()
    torch.manual_seed(1)
    expected = built(name, features_only=True, out_indices=(-2, -1))(x)
    torch.manual_seed(1)
    maps = built(name, features_only=True, out_indices=(-2, -1), feature_cls=wrapper)(x)
    torch.testing.assert_close(list(maps.values()) if isinstance(maps, dict) else list(maps), expected)


@each
def test_intermediates(name: str) -> None:
    model, x = built(name), images()
    final, maps = model.forward_intermediates(x)
    info = FeatureInfo(model.feature_info, len(model.feature_info))
    assert [y.shape[1] for y in maps] == info.channels()
    assert info.module_name()[-1] == f"blocks.{len(model.blocks) - 1}"
    torch.testing.assert_close(final, model.forward_features(x), rtol=1e-5, atol=1e-8)
    (tap,) = model.forward_intermediates(x, indices=[0], stop_early=True, intermediates_only=True)
    assert torch.equal(tap, maps[0])
    stopped, _ = model.forward_intermediates(x, indices=[0], stop_early=True)
    assert torch.equal(stopped, maps[0])
    everything = model.forward_intermediates(x, extra_blocks=True, intermediates_only=True)
    assert len(everything) == len(model.blocks) + 1
    with pytest.raises(ValueError, match="NHWC"):
        model.forward_intermediates(x, output_fmt="NHWC")
    for wrong in (0, len(maps) + 1, [len(maps)], []):
        with pytest.raises(IndexError, match="feature maps, 0 to"):
            model.forward_intermediates(x, indices=wrong)


@each
def test_pruning_keeps_what_is_asked_for(name: str) -> None:
    model, x = built(name), images()
    with torch.inference_mode():
        logits = model(x)
        maps = model.forward_intermediates(x, intermediates_only=True)
    last = len(maps) - 1
    whole = copy.deepcopy(model)
    assert whole.prune_intermediate_layers([-1], prune_head=False) == [last]
    torch.testing.assert_close(whole(x), logits)
    for index in range(len(maps)):
        pruned = copy.deepcopy(model)
        assert pruned.prune_intermediate_layers([index], prune_norm=True) == [index]
        torch.testing.assert_close(pruned.forward_features(x), maps[index])
        final, (tap,) = pruned.forward_intermediates(x, indices=[index])
        torch.testing.assert_close([final, tap], [maps[index], maps[index]])
        assert pruned(x).shape == maps[index].shape
        (pruned.train().forward_features(x).sum() + 0).backward()
        assert [name for name, parameter in pruned.named_parameters() if parameter.grad is None] == []
        pruned.eval().reset_classifier(7, "avg")
        assert pruned.head_hidden_size == maps[index].shape[1] == pruned.num_features
        assert pruned(x).shape == (1, 7)


@each
def test_parameters_fall_into_groups_by_depth(name: str) -> None:
    model = on_meta(name)
    fine, coarse = (
        group_parameters(model, model.group_matcher(coarse=coarse), reverse=True) for coarse in (False, True)
    )
    assert fine["conv_stem.weight"] == coarse["conv_stem.weight"] == 0
    assert len(set(fine.values())) >= len(set(coarse.values())) > len(model.blocks)
    deepest = max(fine.values())
    assert {fine[name] for name in fine if name.startswith("classifier.")} == {deepest}
    optimizer = create_optimizer_v2(model, opt="sgd", lr=0.1, layer_decay=0.9)
    scales = {group["lr_scale"] for group in optimizer.param_groups}
    assert max(scales) == 1.0
    assert len(scales) == len(set(fine.values()))


@each
def test_symbolic_tracing(name: str) -> None:
    model, x = built(name), images()
    expected = model(x)
    traced = create_feature_extractor(
        model,
        return_nodes=["classifier"],
        tracer_kwargs={
            "leaf_modules": list(timm.models.get_notrace_modules()),
            "autowrap_functions": list(timm.models.get_notrace_functions()),
        },
    )
    torch.testing.assert_close(traced(x)["classifier"], expected)


@each
@pytest.mark.filterwarnings("ignore:.torch.jit:FutureWarning")
def test_scripting(name: str) -> None:
    model, x = built(name, scriptable=True), images()
    scripted = torch.jit.script(model)
    torch.testing.assert_close(scripted(x), model(x))
    assert scripted.state_dict().keys() == model.state_dict().keys()


@pytest.mark.parametrize("name", ["mobilenetv2_035", "mobilenetv3_small_050", "mobilenetv4_conv_small_035"])
def test_timm_s_own_network_agrees_beyond_the_logits(name: str) -> None:
    ours, theirs, x = built(f"accelzoo_{name}"), built(name), images(2)
    ours.load_state_dict(theirs.state_dict())
    features = ours.forward_features(x)
    torch.testing.assert_close(features, theirs.forward_features(x))
    torch.testing.assert_close(ours.forward_head(features, True), theirs.forward_head(features, True))
    assert (ours.num_features, ours.head_hidden_size) == (theirs.num_features, theirs.head_hidden_size)
    for extra in (False, True):
        mine, reference = (model.forward_intermediates(x, extra_blocks=extra) for model in (ours, theirs))
        torch.testing.assert_close(mine, reference)
    keys = ("num_chs", "reduction", "stage")
    told = [[[entry[key] for key in keys] for entry in model.feature_info] for model in (ours, theirs)]
    assert told[0] == told[1]
    for coarse in (False, True):
        mine, reference = (group_parameters(model, model.group_matcher(coarse)) for model in (ours, theirs))
        assert mine == reference
    for model in (ours, theirs):
        model.reset_classifier(0, "")
    torch.testing.assert_close(ours(x), theirs(x))


PLUGIN = '''
"""Lets timm's tests see these networks alone, also in lists that name one of timm's modules."""

import fnmatch

import timm
import timm.models

import accelzoo.timm

NAMES = {names!r}


def list_models(filter="", module="", pretrained=False, exclude_filters="", name_matches_cfg=False, include_tags=None):
    wanted = [filter] if isinstance(filter, str) else list(filter)
    if pretrained:
        return []
    return [name for name in NAMES if not any(wanted) or any(fnmatch.fnmatch(name, one) for one in wanted)]


timm.list_models = timm.models.list_models = list_models
timm.list_pretrained = lambda *arguments, **options: []
'''
MARKERS = ("base", "forward", "backward", "cfg", "cfg_nonstd", "torchscript", "features", "fxforward", "fxbackward")


def timm_tests(folder: Path) -> Path:
    """Fetches the tests of the installed timm from its source distribution, or skips."""
    version = importlib.metadata.version("timm")
    command = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--no-binary", ":all:"]
    try:
        done = subprocess.run(
            [*command, "--dest", str(folder), f"timm=={version}"],
            capture_output=True, text=True, timeout=DOWNLOAD_S, check=False,
        )  # fmt: skip
    except subprocess.TimeoutExpired:
        pytest.skip(f"fetching timm's source distribution takes more than {DOWNLOAD_S} s")
    archives = [*folder.glob("timm-*.tar.gz"), *folder.glob("timm-*.zip")]
    if done.returncode or not archives:
        pytest.skip(f"timm's source distribution cannot be fetched: {done.stderr.strip()[-300:]}")
    return extract(archives[0], folder)


def extract(archive: Path, folder: Path) -> Path:
    """Writes the archive's `test_models.py` into the folder."""
    target = folder / "test_models.py"
    if archive.suffix == ".zip":
        with zipfile.ZipFile(archive) as opened:
            (member,) = (name for name in opened.namelist() if name.endswith("/tests/test_models.py"))
            target.write_bytes(opened.read(member))
        return target
    with tarfile.open(archive) as packed:
        (name,) = (name for name in packed.getnames() if name.endswith("/tests/test_models.py"))
        found = packed.extractfile(name)
        assert found is not None
        target.write_bytes(found.read())
    return target


@pytest.mark.slow
@pytest.mark.timeout(1800)
def test_timm_s_own_tests_pass(tmp_path: Path) -> None:
    tests = timm_tests(tmp_path)
    (tmp_path / "these_networks.py").write_text(PLUGIN.format(names=["accelzoo_arch", *SAMPLE]))
    (tmp_path / "pytest.ini").write_text("[pytest]\nmarkers =\n" + "".join(f"    {name}\n" for name in MARKERS))
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join((str(tmp_path), str(ROOT)))}
    command = [sys.executable, "-m", "pytest", "-p", "these_networks", "-p", "no:cacheprovider", "-q", str(tests)]
    done = subprocess.run(
        [*command, "-k", "accelzoo"], cwd=tmp_path, env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout[-3000:]
    passed = int(done.stdout.split(" passed")[0].split()[-1])
    assert passed >= 8 * len(SAMPLE)
