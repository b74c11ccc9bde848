"""The contract of an accuracy signal as a test class; subclass it to put a signal of your own through it.

```python
from accelzoo.search.signals.conformance import SignalContract


class TestMySignal(SignalContract):
    fidelities = (0.5,)  # only if it has `at`

    def make(self):
        return MySignal(seed=0)

    def architectures(self):
        return [get_arch("mobilenetv2_100"), get_arch("mobilenetv2_050")]
```
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, ClassVar

import numpy as np

from accelzoo.errors import ConfigError
from accelzoo.search.evaluator import CandidateError
from accelzoo.search.signals.protocol import GradedSignal, Signal


class SignalContract:
    """What searches and races rely on; pytest runs it on every subclass.

    Attributes:
        fidelities: Shares below 1 that the signal can be had for.
    """

    fidelities: ClassVar[Sequence[float]] = ()

    def make(self) -> Signal:
        """Returns the signal; each call makes another object of the same settings."""
        raise NotImplementedError

    def other(self) -> Signal | None:
        """Returns a signal of other settings, whose values may differ; None: there are none."""
        return None

    def architectures(self) -> Sequence[Any]:
        """Returns at least two architectures that have a value."""
        raise NotImplementedError

    def without_value(self) -> Any:
        """Returns an architecture that has none; None: every one has."""
        return None

    def test_values_are_finite_and_repeat(self) -> None:
        """A search that was stopped may ask again: it gets the same."""
        one, again = self.make(), self.make()
        for arch in self.architectures():
            value = one(arch)
            assert isinstance(value, float)
            assert math.isfinite(value)
            assert one(arch) == value == again(arch)

    def test_the_digest_names_the_settings(self) -> None:
        """Equal settings, equal names; before and after use."""
        one = self.make()
        digest = one.digest()
        assert isinstance(digest, str)
        assert digest
        one(self.architectures()[0])
        assert one.digest() == digest == self.make().digest()
        other = self.other()
        assert other is None or other.digest() != digest

    def test_the_cost_is_declared(self) -> None:
        """Seconds, or None: nothing is silently free."""
        seconds = self.make().seconds
        assert seconds is None or 0 <= seconds < math.inf

    def test_an_architecture_without_a_value_fails_alone(self) -> None:
        """It is a `CandidateError`, and the next one has its value."""
        arch = self.without_value()
        if arch is None:
            return
        signal = self.make()
        said = ""
        try:
            signal(arch)
        except CandidateError as error:
            said = str(error)
        assert said, "expected a CandidateError that says why"
        assert math.isfinite(signal(self.architectures()[0]))

    def test_numpys_and_pythons_global_generators_are_left_alone(self) -> None:
        """Evaluating does not disturb, and does not depend on, anybody else's random numbers."""
        import random

        arch = self.architectures()[0]
        random.seed(3)
        np.random.seed(3)
        before = random.getstate(), np.random.get_state(legacy=True)[1].tolist()  # type: ignore[index]
        value = self.make()(arch)
        assert (random.getstate(), np.random.get_state(legacy=True)[1].tolist()) == before  # type: ignore[index]
        random.seed(4)
        np.random.seed(4)
        assert self.make()(arch) == value

    def test_at_full_effort_it_is_the_signal_itself(self) -> None:
        """Same name, same values, same cost."""
        signal = self.make()
        if isinstance(signal, GradedSignal):
            whole = signal.at(1.0)
            assert whole.digest() == signal.digest()
            assert whole.seconds == signal.seconds
            assert whole(self.architectures()[0]) == signal(self.architectures()[0])

    def test_lower_fidelities_are_signals_that_cost_less(self) -> None:
        """Each has a value, a name of its own, and no higher declared cost; so has what comes below it."""
        signal, again = self.make(), self.make()
        if not isinstance(signal, GradedSignal) or not isinstance(again, GradedSignal):
            assert not self.fidelities, "a signal without `at` cannot be had for less"
            return
        whole = signal.at(1.0)
        for fidelity in self.fidelities:
            less = signal.at(fidelity)
            assert math.isfinite(less(self.architectures()[0]))
            assert less.digest() == again.at(fidelity).digest() != whole.digest()
            assert (less.seconds is None) == (whole.seconds is None)
            assert less.seconds is None or whole.seconds is None or less.seconds <= whole.seconds

    def test_what_is_no_share_is_refused(self) -> None:
        """Above 0, up to 1."""
        signal = self.make()
        if not isinstance(signal, GradedSignal):
            return
        for fidelity in (0.0, -0.5, 1.5, math.nan, math.inf):
            said = ""
            try:
                signal.at(fidelity)
            except ConfigError as error:
                said = str(error)
            assert "fidelity" in said, f"at({fidelity}) must be refused"
