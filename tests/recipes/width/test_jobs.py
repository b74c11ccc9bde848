"""Jobs of a width run: what each computes, none is done twice, workers decide nothing, what is refused."""

from __future__ import annotations

import io
import json
import re
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import torch
from rich.console import Console

from accelzoo.errors import AccelzooError, DataError, TraceError
from accelzoo.recipes.bank import DataBank
from accelzoo.recipes.job_pool import Job, run_jobs
from accelzoo.recipes.width import score_jobs
from accelzoo.recipes.width.job_context import JobContext
from accelzoo.recipes.width.jobs import FinalJob, SlimmableJob, load_final, load_slimmable, metrics_of
from accelzoo.recipes.width.schema import GreedyPlan, SlimmableTraining, WidthRecipe, WidthReleasePlan
from accelzoo.recipes.width.score_cache import ScoreCache
from accelzoo.recipes.width.score_jobs import PruneJob, ScoreJob
from accelzoo.recipes.width.score_line import ScoreLine
from accelzoo.registry import get_arch
from accelzoo.search.progress import REFRESH_S
from accelzoo.search.width import Narrowing, WidthCosts, WidthSpace, greedy_widths
from accelzoo.search.width.slimmable import (
    NarrowedWidths,
    SlimmableNet,
    SlimmablePlan,
    hold_out,
    score_widths,
    train_slimmable,
)
from accelzoo.search.workers import LocalWorkers, Serial
from accelzoo.tasks.classification import evaluate
from accelzoo.tasks.metrics import Metrics
from accelzoo.train import TrainConfig, weights_digest

CONFIG = TrainConfig(steps=2, batch_size=16, threads=1)
SLIMMABLE = SlimmableTraining(training=CONFIG, held_out=0.2, turns=2, score_images=40, statistics_images=32)


@cache
def space() -> WidthSpace:
    arch = get_arch("mobilenetv1_100", width_multiplier=0.25, num_classes=10, input_size=(1, 16, 16))
    return WidthSpace.from_arch(arch, (0.5, 1.0), fixed=("stem", *[f"blocks.{i}.0" for i in range(1, 5)]))


@cache
def costs() -> WidthCosts:
    return WidthCosts.priced(space(), "camera-npu")


def budgets() -> dict[str, float]:
    (latency_s,) = costs().totals([[size - 1 for size in space().sizes]])[0]
    return {"latency_s": 0.95 * float(latency_s)}


def context(folder: Path, **changes: Any) -> JobContext:
    recipe = WidthRecipe(
        kind="width", recipe="tiny", target="camera-npu", data="digits", network="mobilenetv1_100", resolution=16,
        ratios=(0.5, 1.0), latency_shares=(0.9,), slimmable=SLIMMABLE, training=CONFIG,
        greedy=GreedyPlan(step=0.04, score_images=20, statistics_images=16),
        release=WidthReleasePlan(name="tiny", dataset_name="digits", latency_share=0.9),
    )  # fmt: skip
    return JobContext(recipe=replace(recipe, **changes), space=space(), bank=DataBank("digits", 1), folder=folder)


def trainings() -> list[Job[JobContext]]:
    base = space().base
    return [SlimmableJob(seed=1), narrowed(), FinalJob.of(space(), base, 3), FinalJob.of(space(), base, 3)]


def narrowed() -> SlimmableJob:
    return SlimmableJob(seed=0, share=0.9, budgets=budgets(), costs=costs())


def scorings() -> list[Job[JobContext]]:
    genomes = [space().base, (0,) * len(space().sizes)]
    prune = PruneJob(seed=1, rule="netadapt", costs=costs(), budgets=budgets())
    return [ScoreJob(name="scores", slimmable="uniform-seed1", genomes=genomes), prune]


def without_times(results: dict[str, dict[str, Any]]) -> dict[str, dict[str, Any]]:
    return {name: {key: x for key, x in found.items() if key != "wall_s"} for name, found in results.items()}


@dataclass(frozen=True)
class Done:
    """Everything that the jobs of this page made in one process."""

    context: JobContext
    results: dict[str, dict[str, Any]]
    said: list[str]


@pytest.fixture(scope="module")
def done(tmp_path_factory: pytest.TempPathFactory) -> Done:
    made, said = context(tmp_path_factory.mktemp("run")), list[str]()
    results = run_jobs(trainings(), made, Serial(), said.append, progress=False)
    results |= run_jobs(scorings(), made, Serial(), said.append, progress=False)
    return Done(made, results, said)


def test_results_are_in_the_order_asked_and_equal_jobs_are_one(done: Done) -> None:
    final = trainings()[-1].name
    prune = "greedy-netadapt-seed1"
    assert list(done.results) == ["uniform-seed1", "narrowed-0.9-seed0", final, "scores", prune]
    assert re.fullmatch(r"final-[0-9a-f]{12}-seed3", final)
    assert [line.split(":")[0] for line in done.said[:2]] == ["trained uniform-seed1", "trained narrowed-0.9-seed0"]
    assert "1 of 3, about " in done.said[0]
    assert done.said[2].endswith("; 3 of 3")
    assert not (done.context.slimmable / "uniform-seed1").exists()  # checkpoints
    assert not (done.context.folder / "trainings" / final).exists()


def test_a_slimmable_job_is_the_training_that_the_recipe_says(done: Done) -> None:
    view = hold_out(DataBank("digits", 1).of(space().arch).search_view(), 0.2, seed=0)
    net = SlimmableNet(space(), torch.Generator().manual_seed(0))
    sampler = NarrowedWidths(Narrowing(budgets=budgets()), costs(), turns=2)
    expected = train_slimmable(net, view, CONFIG, plan=SlimmablePlan(), sampler=sampler, progress=False)
    result = done.results["narrowed-0.9-seed0"]
    assert result["tables"] == [table.tolist() for table in expected.errors.tables()]
    assert (result["steps"], result["loss"]) == (2, expected.training.history[-1].loss)
    assert weights_digest(load_slimmable(done.context, "narrowed-0.9-seed0")) == weights_digest(net)


def test_a_final_job_trains_on_all_training_images_and_its_network_scores_what_it_says(done: Done) -> None:
    job = FinalJob.of(space(), space().base, 3)
    data, result = DataBank("digits", 1).of(job.arch), done.results[job.name]
    model = load_final(done.context, job)
    assert result["images"] == len(data.train)
    test = metrics_of(result["test"])
    assert (test.correct, test.count) == (evaluate(model, data.test).correct, len(data.test))
    assert metrics_of(result["validation"]).count == len(data.validation)


def test_metrics_survive_json() -> None:
    metrics = Metrics(correct=3, count=7, loss=0.1)
    assert metrics_of(json.loads(json.dumps(metrics.to_json()))) == metrics


def score_alone(done: Done, images: int, statistics: int) -> Callable[[Any], Any]:
    view, net = done.context.held_out(), load_slimmable(done.context, "uniform-seed1")
    view = replace(view, validation=view.validation.subset(images, seed=0))
    return lambda genomes: score_widths(net, genomes, view, images=statistics)


def test_scores_are_those_of_the_shared_weights(done: Done) -> None:
    expected = score_alone(done, 40, 32)([space().base, (0,) * len(space().sizes)])
    result = done.results["scores"]
    assert result["losses"] == pytest.approx(expected.losses.tolist())
    assert result["accuracies"] == expected.accuracies.tolist()


def test_a_pruning_is_greedy_by_these_scores(done: Done) -> None:
    score = score_alone(done, 20, 16)
    expected = greedy_widths(costs(), budgets(), lambda genomes: score(genomes).losses, step=0.04)
    result = done.results["greedy-netadapt-seed1"]
    assert [step["genome"] for step in result["steps"]] == [list(point.genome) for point in expected.steps]
    assert [step["widths"] for step in result["steps"]] == [list(point.widths) for point in expected.steps]
    assert result["scored"] == expected.scored > 2
    assert result["steps"][-1]["latency_s"] <= budgets()["latency_s"] < result["steps"][0]["latency_s"]


def test_what_is_done_is_not_done_again(done: Done) -> None:
    files = {path: path.stat().st_mtime_ns for path in done.context.folder.rglob("*") if path.is_file()}
    again = run_jobs([*trainings(), *scorings()], done.context, Serial(), lambda line: pytest.fail(line))
    assert again == done.results
    assert {path: path.stat().st_mtime_ns for path in done.context.folder.rglob("*") if path.is_file()} == files


def test_two_workers_make_the_same(done: Done, tmp_path: Path) -> None:
    other, uniform = context(tmp_path), "uniform-seed1"
    for path in (done.context.record_path(uniform), done.context.slimmable_weights(uniform)):
        copy = tmp_path / path.relative_to(done.context.folder)
        copy.parent.mkdir()
        copy.write_bytes(path.read_bytes())
    results = run_jobs([*trainings(), *scorings()], other, LocalWorkers(2), lambda line: None)
    assert without_times(results) == without_times(done.results)  # weights too: by their sha256


class Killed(BaseException):
    """A kill in the midst of a job."""


def test_a_pruning_that_was_killed_scores_nothing_twice(
    done: Done, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    other, asked = context(tmp_path), list[tuple[int, ...]]()
    run_jobs([SlimmableJob(seed=1)], other, Serial(), lambda line: None, progress=False)
    real = score_jobs.Scorer.scores

    def scores(self: Any, genomes: Any) -> Any:
        if len(asked) == 3 and killed:
            killed.clear()
            raise Killed
        asked.extend(genomes)
        return real(self, genomes)

    killed = [True]
    monkeypatch.setattr(score_jobs.Scorer, "scores", scores)
    with pytest.raises(Killed):
        run_jobs(scorings()[1:], other, Serial(), lambda line: None, progress=False)
    with (other.jobs / "greedy-netadapt-seed1.scores.jsonl").open("ab") as stream:
        stream.write(b'{"genome": [1, 0')  # a line that was never finished
    results = run_jobs(scorings()[1:], other, Serial(), lambda line: None, progress=False)
    assert without_times(results).items() <= without_times(done.results).items()
    assert len(asked) == len(set(asked)) <= results["greedy-netadapt-seed1"]["scored"]


def test_a_training_whose_record_was_lost_goes_on_from_its_checkpoint(
    done: Done, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    other = context(tmp_path)
    with monkeypatch.context() as patch:
        patch.setattr(JobContext, "record", lambda *arguments: (_ for _ in ()).throw(Killed()))
        for job in (narrowed(), FinalJob.of(space(), space().base, 3)):
            with pytest.raises(Killed):
                run_jobs([job], other, Serial(), lambda line: None, progress=False)
            assert job.checkpoints(other).exists()
    results = run_jobs(trainings()[1:], other, Serial(), lambda line: None, progress=False)
    assert without_times(results).items() <= without_times(done.results).items()


def test_a_result_of_another_job_is_refused(done: Done) -> None:
    other = replace(done.context, recipe=replace(done.context.recipe, training=replace(CONFIG, steps=3)))
    with pytest.raises(DataError, match=r"final-\w+-seed3\.json: the result of another job of this name"):
        run_jobs(trainings(), other, Serial(), lambda line: None)


def test_a_pruning_from_other_weights_is_another_one(done: Done) -> None:
    (_, prune), record = scorings(), done.context.recorded("uniform-seed1")
    assert record is not None
    before = prune.digest(done.context)
    record["result"]["weights"] = "0" * 64
    path = done.context.record_path("uniform-seed1")
    kept = path.read_bytes()
    try:
        path.write_text(json.dumps(record))
        assert prune.digest(done.context) != before
        with pytest.raises(DataError, match=r"uniform-seed1\.safetensors: its sha256 is"):
            load_slimmable(done.context, "uniform-seed1")
    finally:
        path.write_bytes(kept)


@dataclass(frozen=True)
class Faulty:
    """A job that fails."""

    name: str = "faulty"
    error: type[Exception] = AccelzooError

    def digest(self, context: JobContext) -> str:
        return self.name

    def run(self, context: JobContext, progress: bool | None) -> dict[str, Any]:
        raise self.error("the loss is nan")

    def checkpoints(self, context: JobContext) -> None:
        return None

    def describe(self, result: Any) -> str:
        return ""


@pytest.mark.parametrize("workers", [Serial(), LocalWorkers(1)])
def test_a_job_that_cannot_go_on_is_named(tmp_path: Path, workers: Any) -> None:
    with pytest.raises(AccelzooError, match=r"^faulty: the loss is nan$"):
        run_jobs([Faulty()], context(tmp_path), workers, lambda line: None)
    assert not (tmp_path / "jobs").exists()


def test_a_job_that_breaks_is_named_in_a_note(tmp_path: Path) -> None:
    with pytest.raises(KeyError, match="the loss is nan") as caught:
        run_jobs([Faulty(error=KeyError)], context(tmp_path), Serial(), lambda line: None)
    assert caught.value.__notes__ == ["in the job faulty"]


def test_a_waiting_person_sees_how_far_pruning_is() -> None:
    stream = io.StringIO()
    with ScoreLine(4e-3, 2e-3, shown=True, console=Console(file=stream, force_terminal=True, width=100)) as line:
        line.at(3e-3)
        time.sleep(REFRESH_S)
        line.update(scored=12)
    assert "12 networks scored" in stream.getvalue()


def test_names_are_fit_for_files_and_of_one_job_each(tmp_path: Path) -> None:
    for name in ("../out", "", ".hidden", "a/b"):
        with pytest.raises(DataError, match="a name has letters"):
            run_jobs([Faulty(name)], context(tmp_path), Serial(), lambda line: None)
    jobs = [replace(narrowed(), budgets={"latency_s": limit}) for limit in (1.0, 2.0)]
    with pytest.raises(DataError, match=r"two different jobs are called narrowed-0\.9-seed0"):
        run_jobs(jobs, context(tmp_path), Serial(), lambda line: None)


def test_what_a_job_needs_is_named(tmp_path: Path) -> None:
    with pytest.raises(AccelzooError, match="the job uniform-seed1 must be finished first"):
        run_jobs(scorings(), context(tmp_path), Serial(), lambda line: None)
    with pytest.raises(ValueError, match="go together"):
        SlimmableJob(seed=0, share=0.5)
    with pytest.raises(ValueError, match="must have latency_s"):
        PruneJob(seed=0, rule="netadapt", costs=costs(), budgets={"macs": 1.0})


def test_a_broken_record_says_where(tmp_path: Path) -> None:
    made = context(tmp_path)
    made.jobs.mkdir()
    for content in ("{", "[]", '{"digest": "x"}'):
        made.record_path("some").write_text(content)
        with pytest.raises(DataError, match=r"some\.json: no record of a job"):
            made.recorded("some")


def test_scores_for_another_job_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "scores.jsonl"
    with ScoreCache(path, "one") as cache:
        cache.add((0, 1), 0.5, 2.0)
    with ScoreCache(path, "one") as cache:
        assert (cache.get((0, 1)), cache.get((1, 1)), cache.seconds, len(cache)) == (0.5, None, 2.0, 1)
    with pytest.raises(TraceError, match="scores for another job"):
        ScoreCache(path, "two")
    with ScoreCache(path, "one") as cache:  # the lock was let go
        assert len(cache) == 1
