"""Jobs of a product run: what each computes, from what it begins, and what its result depends on."""

from __future__ import annotations

import pickle
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from accelzoo.build import build
from accelzoo.errors import AccelzooError, DataError
from accelzoo.heads import ClassificationHead
from accelzoo.recipes.job_pool import run_jobs
from accelzoo.recipes.product.compile_job import CompileJob
from accelzoo.recipes.product.job_context import ProductContext
from accelzoo.recipes.product.jobs import PretrainJob, TrainJob, TrialJob, load_trained, load_trunk, trunk_classifier
from accelzoo.recipes.product.searching import fit_baseline
from accelzoo.recipes.product.tasks import product_data
from accelzoo.search.workers import Serial
from accelzoo.tasks.score import DenseScore
from accelzoo.train import TrainError, fit
from tests.recipes.product.tiny_product import PRETRAINING, product_recipe

CLASSES = 4  # ground and three figures
pytest.importorskip("torchmetrics")
pytest.importorskip("ai_edge_litert")


@pytest.fixture
def context(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> ProductContext:
    recipe = product_recipe(tmp_path, "segmentation", pretraining=PRETRAINING)
    monkeypatch.chdir(tmp_path)
    return ProductContext(recipe=recipe, data=product_data(recipe), folder=tmp_path / "run")


def do(context: ProductContext, *jobs: Any) -> dict[str, dict[str, Any]]:
    return run_jobs(jobs, context, Serial(), lambda line: None, progress=False)


def test_a_trunk_becomes_a_classifier_and_its_weights_come_back(context: ProductContext) -> None:
    arch = fit_baseline(context.recipe, CLASSES)
    classifier = trunk_classifier(arch, 10, 32)
    assert classifier.input_size == (3, 32, 32)
    assert classifier.head == ClassificationHead(num_classes=10)
    assert classifier.stages == arch.stages
    pretrained = build(classifier, torch.Generator().manual_seed(1)).state_dict()
    model = build(arch, torch.Generator().manual_seed(2))
    before = {name: value.clone() for name, value in model.state_dict().items()}
    load_trunk(model, pretrained)
    after = model.state_dict()
    assert {name for name in after if name.startswith("head.")}
    for name, value in after.items():
        expected = before[name] if name.startswith("head.") else pretrained[name]
        assert torch.equal(value, expected), name
    wider = build(replace(arch, stem=replace(arch.stem, out_channels=16)))
    with pytest.raises(AccelzooError, match=r"another one: no weights for blocks\.0\.0\.bn1"):
        load_trunk(wider, pretrained)


def test_a_training_begins_from_the_pretrained_trunk(context: ProductContext) -> None:
    arch = fit_baseline(context.recipe, CLASSES)
    first = PretrainJob(arch=trunk_classifier(arch, 10, 32))
    plain, begun = TrainJob(arch=arch, seed=4), TrainJob(arch=arch, seed=4, pretrained=first)
    with pytest.raises(AccelzooError, match=f"{first.name} must be finished first"):
        do(context, begun)
    results = do(context, first)
    assert plain.digest(context) != begun.digest(context)
    results |= do(context, begun)
    # The same by hand: drawn, loaded, trained.
    from safetensors.torch import load_file

    model = build(arch, torch.Generator().manual_seed(4))
    load_trunk(model, load_file(context.weights(first.name)))
    plan = replace(context.recipe.training, seed=4)
    result = fit(model, context.data.view(arch), plan, progress=False)
    trained = load_trained(context, begun)
    assert all(torch.equal(value, model.state_dict()[name]) for name, value in trained.state_dict().items())
    said = results[begun.name]
    assert isinstance(result.validation, DenseScore)
    assert DenseScore.from_json(said["validation"]) == result.validation
    assert said["steps"] == 3
    assert DenseScore.from_json(said["test"]) == context.data.test_score(trained, arch)
    assert DenseScore.from_json(said["int8"]).count == result.validation.count
    context.weights(begun.name).write_bytes(b"")
    with pytest.raises(DataError, match="sha256"):
        load_trained(context, begun)


def test_jobs_and_their_context_travel_to_workers(context: ProductContext) -> None:
    arch = fit_baseline(context.recipe, CLASSES)
    jobs = [TrialJob(arch=arch), TrialJob(arch=replace(arch, norm_eps=1e-4))]
    assert jobs[0].name != jobs[1].name
    alone = do(context, *jobs)
    there = replace(context, folder=context.folder.with_name("there"))
    copies, elsewhere = pickle.loads(pickle.dumps((jobs, there)))
    assert [job.digest(elsewhere) for job in copies] == [job.digest(context) for job in jobs]
    together = do(elsewhere, *reversed(copies))
    assert {name: {**found, "wall_s": 0} for name, found in alone.items()} == {
        name: {**found, "wall_s": 0} for name, found in together.items()
    }


def test_a_trial_that_diverges_has_no_score(context: ProductContext, monkeypatch: pytest.MonkeyPatch) -> None:
    def diverge(*_: Any, **__: Any) -> None:
        raise TrainError("the loss is nan")

    monkeypatch.setattr("accelzoo.train.fit", diverge)
    job = TrialJob(arch=fit_baseline(context.recipe, CLASSES))
    (result,) = do(context, job).values()
    assert (result["score"], result["reason"]) == (None, "the loss is nan")
    assert job.describe(result).endswith("the loss is nan")


def test_a_compiler_that_was_missing_is_asked_again(context: ProductContext) -> None:
    job = CompileJob(job=TrainJob(arch=fit_baseline(context.recipe, CLASSES), seed=0), target=context.recipe.target)
    job.forget_refusal(context)  # nothing is there yet
    context.record(job.name, "sha256:0", {"compiled": None, "why_not": "no vela", "wall_s": 0.0})
    job.forget_refusal(context)
    assert context.recorded(job.name) is None
    context.record(job.name, "sha256:0", {"compiled": {"tool": "vela", "latency_s": 1.0}, "wall_s": 1.0})
    job.forget_refusal(context)
    assert context.recorded(job.name) is not None


def test_results_belong_to_data_and_training(context: ProductContext) -> None:
    arch = fit_baseline(context.recipe, CLASSES)
    search = context.recipe.search
    longer = replace(search, trials=replace(search.trials, training=replace(search.trials.training, steps=9)))
    fewer = product_recipe(context.folder.parent, "segmentation", data="shapes?count=11&size=48&seed=0")
    digests = {
        TrialJob(arch=arch).digest(one)
        for one in (
            context,
            replace(context, recipe=replace(context.recipe, search=longer)),
            replace(context, data=product_data(fewer)),
        )
    }
    assert len(digests) == 3
