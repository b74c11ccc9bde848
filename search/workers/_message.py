"""What a worker says of one candidate, as plain data: from another process, only text and numbers come back."""

from __future__ import annotations

import traceback
from collections.abc import Callable
from typing import Any

from accelzoo.errors import AccelzooError
from accelzoo.search.space import Genome, SearchSpace
from accelzoo.search.workers._evaluate import evaluated


def message_of(space: SearchSpace, signal: Callable[[Any], float], genome: Genome) -> dict[str, Any]:
    """Evaluates a candidate and says what came of it, whatever it raises.

    Returns:
        `kind` is `outcome` (with `accuracy` and `reason`), `memory` (ran out of it), or `error` (see `described`).
    """
    try:
        outcome = evaluated(space, signal, genome)
    except BaseException as error:  # SystemExit too: a signal that calls sys.exit has failed
        return described(error)
    if outcome is None:
        return {"kind": "memory"}
    return {"kind": "outcome", "accuracy": outcome.accuracy, "reason": outcome.reason}


def described(error: BaseException) -> dict[str, Any]:
    """Says what was raised; `bad_input` is whether it is an error that needs no traceback."""
    return {
        "kind": "error",
        "type": type(error).__name__,
        "text": str(error),
        "bad_input": isinstance(error, AccelzooError),
        "traceback": "".join(traceback.format_exception(error)),
    }
