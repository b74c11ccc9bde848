"""A product recipe from end to end: search each space, try what was found, pick, train, quantise, compile, release.

Every part leaves what it has done in the run's folder, so that an interrupted run goes on where it was.
"""

from __future__ import annotations

import hashlib
import math
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from importlib.util import find_spec
from typing import Any

from accelzoo.arch import Arch
from accelzoo.errors import AccelzooError
from accelzoo.hwmodel import Cost, Target, estimate
from accelzoo.knobs import Space
from accelzoo.recipes.asked import Asked
from accelzoo.recipes.energy import EnergyMeter
from accelzoo.recipes.folder import RunFolder, write_text
from accelzoo.recipes.job_pool import Job, run_jobs
from accelzoo.recipes.lock import RELEASE, kept_lock, make_lock
from accelzoo.recipes.outcome import Outcome
from accelzoo.recipes.output import say
from accelzoo.recipes.product.choosing import Contender, choose, trial_candidates
from accelzoo.recipes.product.compile_job import CompileJob
from accelzoo.recipes.product.fusion import fusion_sentence
from accelzoo.recipes.product.job_context import ProductContext
from accelzoo.recipes.product.jobs import PretrainJob, TrainJob, TrialJob, load_trained, trunk_classifier
from accelzoo.recipes.product.lock_parts import product_figures, product_tolerances, product_trainings
from accelzoo.recipes.product.packing import best_run, pack_network
from accelzoo.recipes.product.preparing import Prepared, prepare
from accelzoo.recipes.product.prices import price
from accelzoo.recipes.product.report import ProductComparison
from accelzoo.recipes.product.schema import ProductRecipe
from accelzoo.recipes.product.searching import Found, search_space
from accelzoo.recipes.product.values import BASELINE, Network, Priced, Referee, SeedRun, Trained
from accelzoo.recipes.spent import on_gpu, spent
from accelzoo.search.workers import Workers
from accelzoo.tasks.score import DenseScore


def run_product(
    recipe: ProductRecipe,
    folder: RunFolder,
    workers: Workers,
    progress: bool | None,
    *,
    asked: Asked,
    resume: bool,
    force: bool,
) -> Outcome:
    """Runs a product recipe; see `accelzoo.recipes.pipeline.run_recipe`.

    Raises:
        ConfigError: If the recipe has faults, or differs from the one the folder's run was begun with.
        BudgetError: If a search finds nothing that beats the baseline; it says how near it came.
        MissingToolError: If what scores or quantises is not installed.
        DataError: If the data are missing, or have no test split.
        AccelzooError: If the folder is taken, or a job fails.
    """
    # Whatever can be refused is refused before `begin` throws anything away.
    folder.check(recipe, resume=resume, force=force)
    prepared = prepare(recipe)
    folder.begin(recipe, resume=resume, force=force)
    with EnergyMeter(folder) as meter:
        return _Run(recipe, prepared, folder, workers, progress, asked, meter).go()


@dataclass(frozen=True, slots=True, kw_only=True)
class _Trainings:
    """The jobs of one network."""

    pretrained: PretrainJob | None
    seeds: tuple[TrainJob, ...]


class _Run:
    """The parts of one run, in order."""

    def __init__(
        self,
        recipe: ProductRecipe,
        prepared: Prepared,
        folder: RunFolder,
        workers: Workers,
        progress: bool | None,
        asked: Asked,
        meter: EnergyMeter,
    ) -> None:
        self.recipe = recipe
        self.meter = meter
        self.asked = asked
        self.target: Target = prepared.target
        self.baseline: Arch = prepared.baseline
        self.spaces: Mapping[str, Space] = prepared.spaces
        self.data = prepared.data
        self.folder = folder
        self.workers = workers
        self.progress = progress
        self.context = ProductContext(recipe=recipe, data=prepared.data, folder=folder.path)
        self.results: dict[str, dict[str, Any]] = {}
        self.searches: dict[str, dict[str, Any]] = {}

    def go(self) -> Outcome:
        cost = estimate(self.baseline.lower(), self.target)
        say(f"baseline {self.recipe.baseline}: {_summary(cost)} on {self.target.name}")
        found = self._search()
        networks = self._pick(found)
        trained, why_not = self._train(networks)
        comparison = ProductComparison(
            target=self.target.name,
            task=self.recipe.task,
            data=self.recipe.release.dataset_name,  # the source may be somebody's path
            trained=trained,
            wall_s=self._seconds(),
            threads=self.recipe.training.threads,
            not_compiled=why_not,
            notes=self.data.notes,
        )
        comparison = replace(comparison, notes=(*comparison.notes, fusion_sentence(comparison, self.target)))
        return self._release(comparison, {one.name: one for one in found})

    def _do(self, part: str, jobs: Sequence[Job[ProductContext]]) -> None:
        started = time.perf_counter()
        self.results |= run_jobs(jobs, self.context, self.workers, say, self.progress)
        self.folder.took(part, started)

    def _search(self) -> list[Found]:
        recipe, found = self.recipe, []
        finished = self.folder.read_json("networks") is not None
        for name, spec in recipe.searches.items():
            space = self.spaces[name]
            say(f"search {name} ({spec.title}): {recipe.search.evaluations:,} networks of {space!r}")
            started = time.perf_counter()
            one = search_space(
                name,
                spec,
                recipe,
                space,
                self.target,
                self.baseline,
                self.folder.search / name,
                self.workers,
                self.progress,
            )
            if not finished:  # reading what an earlier process found is no part of the search
                self.folder.took("search", started)
            fastest = one.front[-1]
            said = f"{len(one.front)} beat the baseline; the fastest: {_milliseconds(fastest.latency_s)} ms"
            say(f"search {name}: {said}, signal {fastest.signal:+.3f}")
            found.append(one)
        return found

    def _pick(self, found: Sequence[Found]) -> list[Network]:
        """Trains shortly what the searches found, beside the baseline, and takes the picks of each."""
        plan = self.recipe.search.trials
        tried = {one.name: trial_candidates(one.front, plan.count) for one in found}
        jobs = [TrialJob(arch=self.baseline)]
        jobs += [TrialJob(arch=contender.arch) for contenders in tried.values() for contender in contenders]
        self._do("trials", jobs)
        reference = self._trial(self.baseline)
        if reference is None:
            raise AccelzooError(f"the baseline's trial failed: {self.results[jobs[0].name]['reason']}")
        networks = [Network(name=BASELINE, title="", arch=self.baseline, trial=reference)]
        for one in found:
            networks += self._picks_of(one, tried[one.name], reference)
        self.folder.write_json("networks", [_network_json(network) for network in networks])
        return networks

    def _picks_of(self, found: Found, tried: Sequence[Contender], reference: DenseScore) -> list[Network]:
        spec, trials = self.recipe.searches[found.name], [self._trial(contender.arch) for contender in tried]
        values = [math.nan if trial is None else trial.value for trial in trials]
        picks = choose(tried, values, reference.value, self.recipe.search.trials.tolerance, spec.picks)
        scores = {contender.index: trial for contender, trial in zip(tried, trials, strict=True)}
        listed = [
            {"index": contender.index, "latency_s": contender.latency_s, "signal": contender.signal,
             "trial": None if trial is None else trial.value}
            for contender, trial in zip(tried, trials, strict=True)
        ]  # fmt: skip
        self.searches[found.name] = {
            **found.facts,
            "tried": listed,
            "baseline_trial": reference.value,
            "picks": {name: contender.index for name, contender in picks.named.items()},
            **picks.facts,
        }
        for name, contender in picks.named.items():
            short = " (below what was asked for)" if name in picks.facts["filled_up"] else ""
            said = f"trial {self._text(scores[contender.index])} against {self._text(reference)}{short}"
            say(f"pick {name}: {_milliseconds(contender.latency_s)} ms, signal {contender.signal:+.3f}, {said}")
        return [
            Network(
                name=name,
                title=spec.title,
                arch=contender.arch,
                search=found.name,
                signal=contender.signal,
                trial=scores[contender.index],
            )
            for name, contender in picks.named.items()
        ]

    def _trial(self, arch: Arch) -> DenseScore | None:
        score = self.results[TrialJob(arch=arch).name]["score"]
        return None if score is None else DenseScore.from_json(score)

    @staticmethod
    def _text(score: DenseScore | None) -> str:
        return "failed" if score is None else f"{score.metric} {score.value:.2%}"

    def _train(self, networks: Sequence[Network]) -> tuple[tuple[Trained, ...], dict[str, str]]:
        """Trains, prices and compiles; returns also the reason for each network that was not compiled."""
        jobs = {network.name: self._jobs_of(network.arch) for network in networks}
        pretrainings = [one.pretrained for one in jobs.values() if one.pretrained is not None]
        if pretrainings:
            self._do("pretraining", pretrainings)
        self._do("training", [job for one in jobs.values() for job in one.seeds])
        prices = self._price(networks)
        trained = [self._trained(network, jobs[network.name], prices[network.name]) for network in networks]
        target = self.recipe.target
        compilings = {one.network.name: CompileJob(job=self._best_job(one), target=target) for one in trained}
        for job in compilings.values():
            job.forget_refusal(self.context)
        self._do("compiling", list(compilings.values()))
        results = {name: self.results[job.name] for name, job in compilings.items()}
        why_not = {name: result["why_not"] for name, result in results.items() if result["compiled"] is None}
        return tuple(replace(one, compiled=_referee(results[one.network.name])) for one in trained), why_not

    def _jobs_of(self, arch: Arch) -> _Trainings:
        pretrained = None
        if (plan := self.recipe.pretraining) is not None:
            size = (arch.input_size[0], plan.resolution, plan.resolution)
            classes = len(self.context.bank(plan).at(size).class_names)
            pretrained = PretrainJob(arch=trunk_classifier(arch, classes, plan.resolution))
        seeds = tuple(TrainJob(arch=arch, seed=seed, pretrained=pretrained) for seed in self.recipe.seeds)
        return _Trainings(pretrained=pretrained, seeds=seeds)

    def _price(self, networks: Sequence[Network]) -> dict[str, Mapping[str, Priced]]:
        started = time.perf_counter()
        targets = list(dict.fromkeys([self.recipe.target, *self.recipe.also_on]))
        prices = {network.name: price(network.arch, targets, self.folder.prices) for network in networks}
        self.folder.took("pricing", started)
        return dict(prices)

    def _trained(self, network: Network, jobs: _Trainings, prices: Mapping[str, Priced]) -> Trained:
        runs = []
        for job in jobs.seeds:
            result = self.results[job.name]
            scores = {name: DenseScore.from_json(result[name]) for name in ("validation", "test", "int8")}
            runs.append(SeedRun(seed=job.seed, wall_s=result["wall_s"], **scores))
        wall_s = 0.0 if jobs.pretrained is None else self.results[jobs.pretrained.name]["wall_s"]
        return Trained(network=network, prices=prices, compiled=None, runs=tuple(runs), wall_s=wall_s)

    def _best_job(self, one: Trained) -> TrainJob:
        jobs = self._jobs_of(one.network.arch).seeds
        return next(job for job in jobs if job.seed == best_run(one).seed)

    def _seconds(self) -> dict[str, float]:
        """Part → seconds; a job counts once, however many networks share it."""
        parts = {"trials": "trial-", "pretraining": "pretrain-", "training": "train-", "compiling": "compile-"}
        found = {part: math.fsum(result["wall_s"] for name, result in self.results.items() if name.startswith(start))
                 for part, start in parts.items()}  # fmt: skip
        return {"search": self.folder.seconds().get("search", 0.0), **found}

    def _release(self, comparison: ProductComparison, found: Mapping[str, Found]) -> Outcome:
        table = comparison.markdown()
        lock = self._lock(comparison)
        digests = {}
        for one in comparison.trained:
            network, job = one.network, self._best_job(one)
            release = pack_network(
                self.folder.release / network.name,
                self.recipe,
                one=one,
                model=load_trained(self.context, job),
                calibration=self.results[job.name]["calibration"],
                data=self.data,
                table=table,
                target=self.target.name,
                lock={**lock, "winner_digest": network.arch.digest()},
                trace_path=None if network.search is None else found[network.search].trace,
            )
            digests[network.name] = release.digest
        self.folder.write_json("lock", {**lock, RELEASE: digests})
        write_text(self.folder.table, table)
        self._draw(comparison)
        of_all = "".join(f"{name} {digest}\n" for name, digest in digests.items())
        digest = f"sha256:{hashlib.sha256(of_all.encode()).hexdigest()}"
        return Outcome(folder=self.folder.path, release=self.folder.release, digest=digest, comparison=comparison)

    def _draw(self, comparison: ProductComparison) -> None:
        from accelzoo.recipes.product.pictures import draw_predictions

        fastest = comparison.fastest()
        shown = dict.fromkeys([comparison.baseline.network.name, fastest.network.name])
        models = {one.network.name: load_trained(self.context, self._best_job(one))
                  for one in comparison.trained if one.network.name in shown}  # fmt: skip
        normalization = self.data.normalization(self.baseline)
        draw_predictions(models, self.data.loaded, normalization, self.folder.predictions)
        if find_spec("matplotlib") is not None:
            from accelzoo.recipes.product.front_plot import draw_front
            from accelzoo.recipes.product.strip_plot import draw_strips

            draw_front(comparison, self.folder.front)
            draw_strips(comparison, self.folder.strips)

    def _lock(self, comparison: ProductComparison) -> dict[str, Any]:
        trainings = product_trainings(self.recipe, self.results, self.context.jobs)
        lock = make_lock(
            self.recipe,
            target=self.target,
            winner_digest=comparison.fastest().network.arch.digest(),
            search={
                "kind": "product",
                "searches": self.searches,
                "networks": {one.network.name: one.network.arch.digest() for one in comparison.trained},
            },
            data={"all": self._manifest()},
            trainings=trainings,
            comparison=comparison.to_json(),
            seconds=self.folder.seconds(),
            asked=self.asked,
            results=product_figures(self.recipe, comparison, self.asked),
            spent=self._spent(trainings),
            tolerances=product_tolerances(comparison),
        )
        return kept_lock(lock, self.folder.read_json("lock"))

    def _spent(self, trainings: Mapping[str, Mapping[str, Any]]) -> dict[str, Any]:
        """Jobs know their own seconds, however many workers there were."""
        jobs_s, wall_s = math.fsum(self._seconds().values()), math.fsum(self.folder.seconds().values())
        core_s, gpu_s = jobs_s * self.recipe.training.threads, jobs_s if on_gpu(trainings) else 0.0
        return spent(core_s=core_s, gpu_s=gpu_s, wall_s=wall_s, metered=self.meter.read())

    def _manifest(self) -> dict[str, Any]:
        """What the data are; of what was left out the number, as its lines tell somebody's paths."""
        manifest = self.data.manifest()
        skipped = manifest.get("skipped", 0)
        return {**manifest, "skipped": skipped if isinstance(skipped, int) else len(skipped)}


def _referee(result: Mapping[str, Any]) -> Referee | None:
    return None if result["compiled"] is None else Referee(**result["compiled"])


def _network_json(network: Network) -> dict[str, Any]:
    return {
        "name": network.name,
        "search": network.search,
        "arch": network.arch.to_config(),
        "signal": network.signal,
        "trial": None if network.trial is None else network.trial.to_json(),
    }


def _milliseconds(seconds: float) -> str:
    return f"{seconds * 1e3:,.4g}"


def _summary(cost: Cost) -> str:
    return (
        f"{_milliseconds(cost.latency_s)} ms, {cost.weight_bytes / 1024:,.1f} KiB weights, "
        f"{cost.peak_activation_bytes / 1024:,.1f} KiB peak activations, {cost.macs / 1e6:,.1f} M MACs"
    )
