"""Every registered network as it is trains, runs channels-last, and compiles."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
import torch
from torch.utils._pytree import tree_leaves

from accelzoo.build import Trunk
from accelzoo.export import relative_error
from accelzoo.registry import get_arch, models
from tests.accelzoo.small_networks import LARGE_BYTES, block_kinds_of, by_size, covering, every_network, small_network

LEARNING_RATE = 1e-3
NOT_LARGE = [name for name, size in by_size().items() if size <= LARGE_BYTES]
TASKS = covering(lambda name: {get_arch(name).head.task})


@dataclass(frozen=True, slots=True, kw_only=True)
class Trained:
    """A network after one step, in eval mode."""

    model: Trunk
    images: torch.Tensor
    loss: torch.Tensor
    without_finite_gradient: list[str]
    unchanged: list[str]

    def outputs(self) -> list[torch.Tensor]:
        with torch.no_grad():
            return tree_leaves(self.model(self.images))


@pytest.fixture(scope="module")
def trained(request: pytest.FixtureRequest) -> Trained:
    """Takes one step.

    Adam's first one is about the learning rate wherever the gradient is not zero, however small: biases between two
    normalisations only have what rounding leaves of it.
    """
    model, images = small_network(request.param)
    loss = backward(model.train(), images)
    parameters = dict(model.named_parameters())
    gradients = {name: value.grad for name, value in parameters.items()}
    lacking = [name for name, value in gradients.items() if value is None or not bool(value.isfinite().all())]
    before = {name: value.detach().clone() for name, value in parameters.items()}
    torch.optim.Adam(parameters.values(), LEARNING_RATE).step()
    unchanged = [name for name, value in parameters.items() if torch.equal(value, before[name])]
    model.eval()
    if unchanged:  # rounding may leave nothing, too; with fixed statistics such a bias does have a gradient
        model.zero_grad()
        backward(model, images)
        unchanged = [name for name in unchanged if not bool((parameters[name].grad != 0).any())]  # type: ignore[union-attr]
    model.zero_grad()
    return Trained(
        model=model.requires_grad_(False),
        images=images,
        loss=loss,
        without_finite_gradient=lacking,
        unchanged=unchanged,
    )


def backward(model: Trunk, images: torch.Tensor) -> torch.Tensor:
    """Computes gradients of a random linear function of all outputs, and returns its value."""
    generator = torch.Generator().manual_seed(1)
    outputs = tree_leaves(model(images))
    terms = [(output * torch.randn(output.shape, generator=generator)).mean() for output in outputs]
    loss = torch.stack(terms).sum()
    loss.backward()
    return loss.detach()


@pytest.fixture
def compiler(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Forgets what was compiled before and after."""
    monkeypatch.setenv("TORCHINDUCTOR_CACHE_DIR", str(tmp_path))
    torch.compiler.reset()
    yield
    torch.compiler.reset()


@pytest.mark.parametrize("trained", every_network(NOT_LARGE), indirect=True, scope="module")
def test_one_step_of_training_changes_every_parameter(trained: Trained) -> None:
    assert bool(trained.loss.isfinite())
    assert trained.without_finite_gradient == []
    assert trained.unchanged == []
    assert all(bool(value.isfinite().all()) for value in trained.model.state_dict().values())


@pytest.mark.parametrize("trained", every_network(NOT_LARGE), indirect=True, scope="module")
def test_channels_last_computes_the_same(trained: Trained) -> None:
    want = trained.outputs()
    trained.model.to(memory_format=torch.channels_last)
    try:
        with torch.no_grad():
            got = tree_leaves(trained.model(trained.images.to(memory_format=torch.channels_last)))
        weights = [value for value in trained.model.parameters() if value.ndim == 4]
        assert all(value.is_contiguous(memory_format=torch.channels_last) for value in weights)
    finally:
        trained.model.to(memory_format=torch.contiguous_format)
    for ours, theirs in zip(got, want, strict=True):
        assert relative_error(ours, theirs) <= 1e-4


@pytest.mark.usefixtures("compiler")
@pytest.mark.parametrize("trained", every_network(covering(block_kinds_of)), indirect=True, scope="module")
def test_compiles_as_one_graph(trained: Trained) -> None:
    compiled = torch.compile(trained.model, backend="aot_eager", fullgraph=True)
    with torch.no_grad():
        got = tree_leaves(compiled(trained.images))
    for ours, theirs in zip(got, trained.outputs(), strict=True):
        assert relative_error(ours, theirs) <= 1e-5


@pytest.mark.slow
@pytest.mark.usefixtures("compiler")
@pytest.mark.parametrize("trained", TASKS, indirect=True, scope="module")
def test_compiles_to_machine_code(trained: Trained) -> None:
    compiled = torch.compile(trained.model, backend="inductor", fullgraph=True)
    with torch.no_grad():
        got = tree_leaves(compiled(trained.images))
    for ours, theirs in zip(got, trained.outputs(), strict=True):
        assert relative_error(ours, theirs) <= 1e-4


def test_the_representatives_stand_for_every_kind_of_block() -> None:
    chosen = covering(block_kinds_of)
    assert set().union(*map(block_kinds_of, chosen)) == set().union(*map(block_kinds_of, models()))
    assert len(chosen) < len(models()) / 3
