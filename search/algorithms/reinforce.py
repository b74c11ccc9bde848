"""REINFORCE with TuNAS's absolute reward (Bender et al. 2020): a probability for every choice, raised when it pays."""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt

from accelzoo.errors import ConfigError, ShapeError
from accelzoo.search.algorithms import _draws
from accelzoo.search.algorithms._distinct import Distinct, Rows
from accelzoo.search.algorithms._softmax import row_sums, softmax
from accelzoo.search.algorithms._told import checked_told
from accelzoo.search.genomes import checked_sizes
from accelzoo.search.objective import PENALTY
from accelzoo.search.space import Genome, GenomeMatrix

_DECAY = 0.999  # of Adam's second moment
_EPSILON = 1e-8


def absolute_reward(quality: float, cost: float, target: float, beta: float = -0.1) -> float:
    """Returns `quality + beta × |cost / target − 1|`, higher is better.

    The absolute reward of "Can Weight Sharing Outperform Random Architecture Search? An Investigation With TuNAS",
    CVPR 2020. It falls to both sides of the target, so that a search ends there; with MnasNet's product the exponent
    has to be tuned until it does.

    Args:
        quality: What is maximised, as a fraction: `beta` was chosen for accuracies from 0 to 1.
        cost: In any unit.
        target: The wanted cost, in the same unit, positive.
        beta: Negative. −0.1 takes 1 % of accuracy for 10 % off the target.

    Raises:
        ValueError: If the target is not positive, or `beta` is not negative.
    """
    if not 0 < target < math.inf:
        raise ValueError(f"target (={target}) must be a positive cost")
    if not -math.inf < beta < 0:
        raise ValueError(f"beta (={beta}) must be negative: being off the target never pays")
    return quality + beta * abs(cost / target - 1)


class Reinforce:
    """The policy gradient of Williams (1992) on independent choices, as in TuNAS (Bender et al., CVPR 2020).

    Every position has a softmax over its choices, uniform at the start. Each value moves the logits along (reward −
    baseline) × the gradient of the genome's log probability, through Adam without its first moment; the baseline is a
    moving average of rewards. Candidates without a value, and those over budget (values of −10⁶ and below), count as
    one typical advantage below the baseline and do not move it.

    Told values `(n,)` are the rewards. With a `target` they must be `(n, 2)`: quality, and minus the cost; the reward
    is `absolute_reward`.

    Args:
        sizes: The number of choices of each position.
        rng: The only source of randomness.
        learning_rate: Of Adam. TuNAS takes 0.0003, for very many steps; some hundred evaluations need far more: 0.2 was
            the best of 0.03, 0.1, 0.2 and 0.4 on NAS-Bench-Macro.
        baseline_momentum: Share of the baseline that stays at each value; TuNAS takes 0.95.
        entropy: Weight of the policy's entropy in nats beside the reward, against early convergence; TuNAS takes 0.
        target: The wanted cost; None: values are rewards.
        beta: Negative: the weight of being off the target.
        avoid_duplicates: Ask for each genome only once (not in the paper). When 32 attempts are repeats, a uniformly
            drawn genome takes their place.

    Raises:
        ConfigError: If an option is out of range.
    """

    several_objectives = True  # two, with a target

    def __init__(
        self,
        sizes: tuple[int, ...],
        rng: np.random.Generator,
        learning_rate: float = 0.2,
        baseline_momentum: float = 0.95,
        entropy: float = 0.0,
        target: float | None = None,
        beta: float = -0.1,
        avoid_duplicates: bool = True,
    ) -> None:
        self._sizes = checked_sizes(sizes)
        _check_options(learning_rate, baseline_momentum, entropy, target, beta)
        self._rng = rng
        self._learning_rate = learning_rate
        self._momentum = baseline_momentum
        self._entropy = entropy
        self._target = target
        self._beta = beta
        self._avoid_duplicates = avoid_duplicates
        self._distinct = Distinct(self._sizes, rng)
        self._rows = np.arange(len(self._sizes))
        # (positions, most choices); what a position does not have is −inf for ever.
        self._exists = np.arange(max(self._sizes)) < np.array(self._sizes)[:, None]
        self._logits = np.where(self._exists, 0.0, -math.inf)
        self._policy = softmax(self._logits)
        self._second_moment = np.zeros(self._logits.shape)
        self._forgotten = 1.0  # _DECAY to the number of steps, by multiplication
        self._baseline: float | None = None
        self._spread = 0.0  # moving average of |advantage|

    @property
    def probabilities(self) -> list[npt.NDArray[np.float64]]:
        """The policy: for each position the probabilities of its choices."""
        return [row[:size].copy() for row, size in zip(self._policy, self._sizes, strict=True)]

    @property
    def most_probable(self) -> Genome:
        """The genome of the highest probability, which the paper takes as the search's result."""
        return tuple(self._logits.argmax(axis=1).tolist())

    def ask(self, count: int) -> GenomeMatrix:
        """Returns int64 `(count, positions)`; fewer rows only when every genome has been asked for."""
        rows = self._distinct.take(count, self._sampled) if self._avoid_duplicates else self._sampled(count)
        return rows.astype(np.int64)

    def tell(self, genomes: npt.ArrayLike, values: npt.ArrayLike) -> None:
        """Makes one step for each value, in the order given.

        Args:
            genomes: Integers `(n, positions)`.
            values: float64 `(n,)`, or with a target `(n, 2)`: quality, and minus the cost; −inf for a candidate
                without.

        Raises:
            ShapeError: If the shapes or the choices do not fit the space.
            ValueError: If a value is NaN or +inf.
        """
        matrix, table = checked_told(genomes, values, self._sizes)
        columns = 1 if self._target is None else 2
        if len(table) and table.shape[1] != columns:
            wanted = "(n,): rewards" if columns == 1 else "(n, 2): quality, and minus the cost, for the target"
            raise ShapeError(f"values of {table.shape[1]} objectives must have shape {wanted}")
        if self._avoid_duplicates:
            self._distinct.add(self._distinct.compact(matrix))
        for row, reward in zip(matrix, self._rewards(table), strict=True):
            self._learn(row, reward)

    def _rewards(self, table: npt.NDArray[np.float64]) -> list[float]:
        if self._target is None:
            return [quality for quality, *_ in table.tolist()]
        # Values at or below −PENALTY stand for no quality and no cost.
        return [
            absolute_reward(quality, -minus_cost, self._target, self._beta) if quality > -PENALTY else quality
            for quality, minus_cost in table.tolist()
        ]

    def _sampled(self, count: int) -> Rows:
        steps = np.cumsum(self._policy, axis=1)
        steps[~self._exists] = 2.0
        steps[self._rows, np.array(self._sizes) - 1] = 2.0  # the last choice takes what rounding leaves
        drawn = _draws.uniforms(self._rng, count * len(self._sizes)).reshape(count, len(self._sizes), 1)
        return self._distinct.compact((drawn >= steps).sum(axis=2))

    def _learn(self, row: npt.NDArray[np.int64], reward: float) -> None:
        advantage = self._advantage(reward)
        gradient = -advantage * self._policy
        gradient[self._rows, row] += advantage
        if self._entropy:
            logits = np.where(self._exists, self._logits, 0.0)
            surprise = logits - row_sums(self._policy * logits)[:, None]
            gradient -= self._entropy * self._policy * surprise
        if not gradient.any():
            return
        self._forgotten *= _DECAY
        self._second_moment += (1 - _DECAY) * (gradient * gradient - self._second_moment)
        scale = np.sqrt(self._second_moment / (1 - self._forgotten)) + _EPSILON
        self._logits += self._learning_rate * gradient / scale
        self._policy = softmax(self._logits)

    def _advantage(self, reward: float) -> float:
        if reward <= -PENALTY:
            return -self._spread
        if self._baseline is None:
            self._baseline = reward
        advantage = reward - self._baseline
        self._baseline += (1 - self._momentum) * advantage
        self._spread += (1 - self._momentum) * (abs(advantage) - self._spread)
        return advantage


def _check_options(
    learning_rate: float, baseline_momentum: float, entropy: float, target: float | None, beta: float
) -> None:
    faults = []
    if not 0 < learning_rate < math.inf:
        faults.append(f"learning_rate (={learning_rate}) must be positive")
    if not 0 <= baseline_momentum < 1:
        faults.append(f"baseline_momentum (={baseline_momentum}) must be from 0 to below 1")
    if not 0 <= entropy < math.inf:
        faults.append(f"entropy (={entropy}) must not be negative")
    if target is not None and not 0 < target < math.inf:
        faults.append(f"target (={target}) must be a positive cost, or None if values are rewards")
    if not -math.inf < beta < 0:
        faults.append(f"beta (={beta}) must be negative: being off the target never pays")
    if faults:
        raise ConfigError(faults)


ALGORITHM = Reinforce
