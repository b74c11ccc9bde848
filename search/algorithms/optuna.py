"""Samplers of Optuna (Akiba et al., KDD 2019) on our spaces; needs the extra `optuna`."""

from __future__ import annotations

import inspect
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import numpy as np

from accelzoo.errors import ConfigError, suggestion
from accelzoo.search.algorithms._foreign import Foreign, Outcome, import_extra
from accelzoo.search.space import Genome

# Those that read a trial's constraints; the others are told a penalty as any other value.
_CONSTRAINED = ("TPESampler", "NSGAIISampler", "NSGAIIISampler", "GPSampler")
_CONSTRAINT = "budgets"
_NOT_OPTIONS = ("seed", "constraints_func", "kwargs", "_")  # ours to give, or no names


class OptunaSearch(Foreign):
    """One of Optuna's samplers, asked and told trial by trial in a study in memory.

    Positions are its parameters, all objectives are maximised. A failed candidate is a failed trial. An infeasible one
    is a complete trial with a constraint for the samplers that know constraints (TPE, both NSGAs, GP); the others are
    told its value, −10⁶ × (1 + violation). A genome that Optuna has not proposed, as in a head start, is a trial with
    fixed parameters, which is a member of the genetic samplers' population like any other.

    Told the same values in the same order, TPE, GP, CMA-ES, QMC, the NSGAs, random and brute force propose the same
    genomes in any process. GP needs PyTorch (its last bits, and so its proposals, may depend on the machine); CMA-ES
    needs `pip install cmaes` and takes one objective.

    A sampler that is not made of plain options: `class Mine(OptunaSearch)` with a `make_sampler` of its own, and
    `run(algorithm=Mine)`.

    Args:
        sizes: The number of choices of each position.
        rng: Seeds the sampler.
        sampler: A class of `optuna.samplers`.
        options: Its keyword arguments but for the seed: numbers, booleans, strings.
        ordered: Positions are integers, whose neighbours are alike; else categories.

    Raises:
        AccelzooError: If Optuna is not installed.
        ConfigError: If there is no such sampler or option, or the sampler refuses it.
    """

    def __init__(
        self,
        sizes: tuple[int, ...],
        rng: np.random.Generator,
        sampler: str = "TPESampler",
        options: Mapping[str, Any] | None = None,
        ordered: bool = True,
    ) -> None:
        super().__init__(sizes, rng)
        self._optuna = import_extra("optuna")
        self._name, self._options = sampler, dict(options or {})
        kinds = self._optuna.distributions
        self._space = {
            f"x{at}": kinds.IntDistribution(0, size - 1) if ordered else kinds.CategoricalDistribution(range(size))
            for at, size in enumerate(self._sizes)
        }
        self._trials: dict[Genome, Any] = {}  # asked for and not yet told, in that order
        self._study = self._new_study(1)

    def make_sampler(self, seed: int) -> Any:
        """Returns a new sampler, the same for the same seed; to be overridden for one that needs code."""
        kinds = _kinds(self._optuna)
        if self._name not in kinds:
            close = suggestion(self._name, kinds)
            raise ConfigError([f"sampler (={self._name!r}) must be one of {', '.join(kinds)}{close}"])
        allowed = [name for name in inspect.signature(kinds[self._name]).parameters if name not in _NOT_OPTIONS]
        faults = [
            f"options.{name}: unknown option of {self._name}; allowed: {', '.join(allowed)}{suggestion(name, allowed)}"
            for name in self._options
            if name not in allowed
        ]
        if not faults:
            try:
                return kinds[self._name](seed=seed, **self._options)
            except (TypeError, ValueError) as error:
                faults = [f"options of {self._name}: {error}"]
        raise ConfigError(faults)

    def _new_study(self, objectives: int) -> Any:
        with quiet(self._optuna):
            sampler = self.make_sampler(self._seed)
            constrained = tuple(getattr(self._optuna.samplers, kind) for kind in _CONSTRAINED)
            self._constrained = isinstance(sampler, constrained)
            # A Gaussian process wants equally many constraints of all trials, the others only those that are broken.
            self._always = isinstance(sampler, self._optuna.samplers.GPSampler)
            return self._optuna.create_study(
                study_name="accelzoo", directions=["maximize"] * objectives, sampler=sampler
            )

    def _begin(self, objectives: int) -> None:
        if objectives == 1:
            return
        # Optuna wants to know before the first trial what we know after it: nothing is learnt yet, so begin again.
        self._study = self._new_study(objectives)
        waiting, self._trials = list(self._trials), {}
        for genome in waiting:
            trial = self._new_trial()
            if self._genome(trial) == genome:  # as before, if its generator was all that decided
                self._trials[genome] = trial
            else:
                self._study.tell(trial, state=self._optuna.trial.TrialState.FAIL)
                self._expect(genome)

    def _new_trial(self) -> Any:
        try:
            return self._study.ask(self._space)
        except ValueError as error:  # such as a sampler that takes one objective only
            raise ConfigError([f"sampler (={self._name!r}): {error}"]) from error

    def _propose(self) -> Genome:
        trial = self._new_trial()
        genome = self._genome(trial)
        if genome in self._known:
            self._tell(trial, self._known[genome])
        elif genome in self._trials:
            self._study.tell(trial, state=self._optuna.trial.TrialState.FAIL)
        else:
            self._trials[genome] = trial
        return genome

    def _expect(self, genome: Genome) -> None:
        if genome not in self._trials:
            self._study.enqueue_trial(dict(zip(self._space, genome, strict=True)))
            trial = self._trials[genome] = self._new_trial()
            if isinstance(self._study.sampler, self._optuna.samplers.BaseGASampler):
                # It makes members only of what it has proposed, unless asked for the generation.
                frozen = self._study.get_trials(deepcopy=False)[trial.number]
                self._study.sampler.get_trial_generation(self._study, frozen)

    def _learn(self, genome: Genome, outcome: Outcome) -> None:
        if self._nothing_left(len(self._trials) - (genome in self._trials)):
            return  # some samplers then stop their study, which only `Study.optimize` can take
        self._expect(genome)
        self._tell(self._trials.pop(genome), outcome)

    def _tell(self, trial: Any, outcome: Outcome) -> None:
        if outcome.values is None:
            self._study.tell(trial, state=self._optuna.trial.TrialState.FAIL)
            return
        if self._constrained and (self._always or outcome.violation):
            trial.set_constraint(_CONSTRAINT, outcome.violation)
        self._study.tell(trial, list(outcome.values if self._constrained else outcome.told))

    @staticmethod
    def _genome(trial: Any) -> Genome:
        return tuple(int(choice) for choice in trial.params.values())


def _kinds(optuna: Any) -> dict[str, Any]:
    """Samplers that a seed and plain options are enough for, by name."""
    found = {}
    for name in sorted(optuna.samplers.__all__):
        kind = getattr(optuna.samplers, name)
        if isinstance(kind, type) and not inspect.isabstract(kind):
            parameters = list(inspect.signature(kind).parameters.values())
            needed = [item for item in parameters if item.default is item.empty and item.kind < item.VAR_POSITIONAL]
            if not needed and any(item.name == "seed" for item in parameters):
                found[name] = kind
    return found


@contextmanager
def quiet(optuna: Any) -> Iterator[None]:
    """Keeps Optuna from announcing a study, and from calling options experimental that were asked for."""
    verbosity = optuna.logging.get_verbosity()
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
            yield
    finally:
        optuna.logging.set_verbosity(verbosity)


ALGORITHM = OptunaSearch
