"""The job that refines learnt errors: it is `refine_errors` by the shared weights' scores, and scores nothing twice."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

from accelzoo import get_arch
from accelzoo.errors import AccelzooError, TraceError
from accelzoo.recipes.bank import DataBank
from accelzoo.recipes.job_pool import run_jobs
from accelzoo.recipes.width import score_jobs
from accelzoo.recipes.width.job_context import JobContext
from accelzoo.recipes.width.jobs import SlimmableJob, load_slimmable
from accelzoo.recipes.width.refine_job import RefineJob, refined_name
from accelzoo.recipes.width.schema import RefinePlan
from accelzoo.search.chain import verified_lines
from accelzoo.search.width import WidthCosts, WidthSpace
from accelzoo.search.width.slimmable import refine_errors, score_widths
from accelzoo.search.workers import Serial
from tests.recipes.width.tiny_width import FIXED, RECIPE, tiny_recipe

# Widely drawn, so that several networks are scored in each round.
PLAN = RefinePlan(networks=4, rounds=2, temperature=1.0, score_images=40, statistics_images=16)
UNIFORM = "uniform-seed2"


@cache
def space() -> WidthSpace:
    arch = get_arch("mobilenetv1_025", num_classes=10, input_size=(1, 16, 16))
    return WidthSpace.from_arch(arch, RECIPE["ratios"], fixed=FIXED)


@cache
def costs(target: str = "camera-npu") -> WidthCosts:
    return WidthCosts.priced(space(), target)


def budgets(share: float = 0.8) -> dict[str, float]:
    return {"latency_s": share * float(costs().totals([space().base])[0, 0])}


def job(**changes: Any) -> RefineJob:
    values = {"slimmable": UNIFORM, "share": 0.8, "seed": 3, "plan": PLAN, "costs": costs(), "budgets": budgets()}
    return RefineJob(**{**values, **changes})


def run(context: JobContext) -> dict[str, Any]:
    return run_jobs([job()], context, Serial(), lambda line: None, progress=False)["refined-uniform-seed2-at-0.8"]


@dataclass(frozen=True)
class Done:
    """A slimmable training, and the refined errors."""

    context: JobContext
    result: Mapping[str, Any]
    said: list[str]


@pytest.fixture(scope="module")
def done(tmp_path_factory: pytest.TempPathFactory) -> Done:
    folder = tmp_path_factory.mktemp("run")
    context = JobContext(recipe=tiny_recipe(folder), space=space(), bank=DataBank("digits", 1), folder=folder)
    said: list[str] = []
    run_jobs([SlimmableJob(seed=2)], context, Serial(), lambda line: None, progress=False)
    results = run_jobs([job()], context, Serial(), said.append, progress=False)
    return Done(context, results["refined-uniform-seed2-at-0.8"], said)


def with_its_training(done: Done, folder: Path) -> JobContext:
    """A folder with nothing but the slimmable training."""
    for path in (done.context.record_path(UNIFORM), done.context.slimmable_weights(UNIFORM)):
        copy = folder / path.relative_to(done.context.folder)
        copy.parent.mkdir()
        copy.write_bytes(path.read_bytes())
    return replace(done.context, folder=folder)


def scores_in(context: JobContext) -> list[dict[str, Any]]:
    path = context.jobs / "refined-uniform-seed2-at-0.8.scores.jsonl"
    return [content for _, _, content in verified_lines(path, path.read_bytes())][1:]


def test_its_name_tells_weights_and_budget() -> None:
    assert job().name == refined_name(UNIFORM, 0.8) == "refined-uniform-seed2-at-0.8"
    assert job(slimmable="narrowed-0.5-seed0", share=0.5).name == "refined-narrowed-0.5-seed0-at-0.5"


def test_the_result_is_what_refining_with_the_same_scores_gives(done: Done) -> None:
    net = load_slimmable(done.context, UNIFORM)
    view = done.context.held_out()
    view = replace(view, validation=view.validation.subset(40, seed=0))

    def losses(genomes: npt.NDArray[np.int64]) -> npt.NDArray[np.float64]:
        return np.array([score_widths(net, [tuple(row)], view, images=16).losses[0] for row in genomes.tolist()])

    learnt = done.context.result_of(UNIFORM)["tables"]
    expected = refine_errors(costs(), budgets(), learnt, losses, networks=4, rounds=2, temperature=1.0, seed=3)
    for table, wanted, before in zip(done.result["tables"], expected.tables, learnt, strict=True):
        assert table == pytest.approx(wanted.tolist(), rel=1e-6, abs=1e-9)
        assert len(table) == len(before)
    assert done.result["tables"] != learnt
    assert 4 < done.result["scored"] == len(expected.losses) <= 8
    scores = scores_in(done.context)
    assert [one["genome"] for one in scores] == expected.genomes.tolist()
    assert [one["score"] for one in scores] == pytest.approx(expected.losses.tolist(), rel=1e-6)
    assert done.result["wall_s"] == pytest.approx(sum(one["seconds"] for one in scores))
    (line,) = done.said
    assert line.startswith("refined-uniform-seed2-at-0.8: ")
    assert f" s, {done.result['scored']} scores; 1 of 1" in line


class Killed(BaseException):
    """A kill in the midst of scoring."""


def test_what_was_scored_before_a_kill_is_not_scored_again(
    done: Done, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    context, asked = with_its_training(done, tmp_path), list[tuple[int, ...]]()
    real, killed = score_jobs.Scorer.scores, [False]

    def scores(self: Any, genomes: Any) -> Any:
        if len(asked) == 3 and not killed[0]:
            killed[0] = True
            raise Killed
        asked.extend(genomes)
        return real(self, genomes)

    monkeypatch.setattr(score_jobs.Scorer, "scores", scores)
    with pytest.raises(Killed):
        run(context)
    assert context.recorded("refined-uniform-seed2-at-0.8") is None
    with (context.jobs / "refined-uniform-seed2-at-0.8.scores.jsonl").open("ab") as stream:
        stream.write(b'{"genome": [1, 0')  # a line that was never finished
    result = run(context)
    assert {**result, "wall_s": None} == {**done.result, "wall_s": None}
    assert len(asked) == len(set(asked)) == result["scored"]
    run(context)  # it is done
    assert len(asked) == result["scored"]


def test_scores_of_another_plan_are_refused(done: Done, tmp_path: Path) -> None:
    context = with_its_training(done, tmp_path)
    path = done.context.jobs / "refined-uniform-seed2-at-0.8.scores.jsonl"
    (context.jobs / path.name).write_bytes(path.read_bytes())
    other = job(plan=replace(PLAN, score_images=20))
    with pytest.raises(TraceError, match="scores for another job"):
        other.run(context, False)


def changed_record(context: JobContext, **values: Any) -> None:
    path = context.record_path(UNIFORM)
    record = json.loads(path.read_text("utf-8"))
    record["result"].update(values)
    path.write_text(json.dumps(record), encoding="utf-8")


def test_its_digest_is_of_all_that_decides_it(done: Done, tmp_path: Path) -> None:
    context = with_its_training(done, tmp_path)
    digest = job().digest(context)
    assert digest == job().digest(done.context)  # not of the folder
    numbers: dict[str, Any] = {"networks": 5, "rounds": 3, "temperature": 0.5}
    numbers |= {"score_images": 41, "statistics_images": 17}
    others = [job(plan=replace(PLAN, **{name: number})) for name, number in numbers.items()]
    others += [job(budgets=budgets(0.81)), job(costs=costs("edge-npu")), job(seed=4)]
    found = [other.digest(context) for other in others]
    training = replace(context.recipe.slimmable, held_out=0.2)
    found.append(job().digest(replace(context, recipe=replace(context.recipe, slimmable=training))))
    tables = context.result_of(UNIFORM)["tables"]
    changed_record(context, tables=[[2 * value for value in table] for table in tables])
    found.append(job().digest(context))
    changed_record(context, tables=tables, weights="0" * 64)
    found.append(job().digest(context))
    assert len({digest, *found}) == 1 + len(others) + 3


def test_its_training_must_be_there(done: Done, tmp_path: Path) -> None:
    with pytest.raises(AccelzooError, match=f"the job {UNIFORM} must be finished first"):
        run(replace(done.context, folder=tmp_path))
    assert job().checkpoints(done.context) is None  # type: ignore[func-returns-value]
