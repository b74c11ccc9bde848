"""A trace as a study of Optuna, in the journal that its dashboard and `optuna.load_study` open; needs `optuna`."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from accelzoo.config import canonical_json, to_config
from accelzoo.errors import ConfigError
from accelzoo.knobs import Space
from accelzoo.search.algorithms._foreign import import_extra
from accelzoo.search.algorithms.optuna import quiet
from accelzoo.search.record import Record
from accelzoo.search.result import Result
from accelzoo.search.trace import Trace, read_trace

CONSTRAINT = "budgets"
"""The constraint's name: how far a candidate is over budget."""

_PLAIN = (str, int, float, bool, type(None))


def export_journal(
    trace: Trace | Result | str | Path,
    path: str | Path,
    space: Space | None = None,
    study: str = "accelzoo",
) -> int:
    """Writes a search as a new file of `optuna.storages.JournalStorage`.

    Each candidate is a trial, in order. One with a score is complete, also when it is a duplicate; one over budget was
    never evaluated: it is pruned, with the constraint `budgets` (how far it is over). A failed one has failed. The
    objectives are the score, maximised, and the costs that the search minimised, in their units. Parameters are the
    knobs that make a difference to the candidate, by name, or `x0`, `x1`, … with the number of the choice if the space
    is not known. All else that is recorded of it is in the user attributes, with the unit in the name.

    Args:
        trace: A search, its trace, or where that is: the file or its folder.
        path: The new file.
        space: What was searched; a `Result` knows.
        study: What to call the study.

    Returns:
        The number of trials.

    Raises:
        AccelzooError: If Optuna is not installed.
        ConfigError: If there is something at `path`, or the space is another than the trace's.
        TraceError: If there is no trace, or it is broken.
    """
    optuna = import_extra("optuna")
    if isinstance(trace, Result):
        space = trace.space if space is None and isinstance(trace.space, Space) else space
        header, records = trace.header, trace.trace
    else:
        read = trace if isinstance(trace, Trace) else read_trace(trace)
        header, records = read.header, read.records
    path = Path(path)
    if path.exists():
        raise ConfigError([f"{path}: exists already, and nothing is written over; give another name"])
    if space is not None and space.digest() != header["space"]:
        raise ConfigError([f"space {space.name!r} ({space.digest()}) is not what was searched ({header['space']})"])
    logs = _Logs()
    _write(optuna, logs, header, records, space, study)
    path.open("x").close()
    optuna.storages.journal.JournalFileBackend(str(path)).append_logs(logs.entries)
    return len(records)


class _Logs:
    """A journal in memory: a file is synced for every entry, and there are two of each candidate."""

    def __init__(self) -> None:
        self.entries: list[dict[str, Any]] = []

    def append_logs(self, logs: list[dict[str, Any]]) -> None:
        """Adds entries."""
        self.entries += logs

    def read_logs(self, log_number_from: int) -> list[dict[str, Any]]:
        """Returns the entries from one on."""
        return self.entries[log_number_from:]


def _write(
    optuna: Any, logs: _Logs, header: Mapping[str, Any], records: Sequence[Record], space: Space | None, name: str
) -> None:
    minimised = tuple(header["objective"].get("minimise", ()))
    distributions = _distributions(optuna, header, space)
    with quiet(optuna):
        study = optuna.create_study(
            study_name=name,
            storage=optuna.storages.journal.JournalStorage(logs),
            directions=["maximize", *["minimize"] * len(minimised)],
        )
        study.set_metric_names(["score", *minimised])
    for key, value in header.items():
        study.set_user_attr(key, json.loads(json.dumps(value)))
    for record in records:
        params = _params(record, space)
        study.add_trial(
            optuna.trial.create_trial(
                **_outcome(optuna.trial.TrialState, record, minimised),
                params=params,
                distributions={knob: distributions[knob] for knob in params},
                user_attrs=_attributes(record),
            )
        )


def _outcome(states: Any, record: Record, minimised: Sequence[str]) -> dict[str, Any]:
    if record.score is not None:
        return {"state": states.COMPLETE, "values": [record.score, *(getattr(record.cost, name) for name in minimised)]}
    if record.violation is not None:
        return {"state": states.PRUNED, "constraints": {CONSTRAINT: record.violation}}
    return {"state": states.FAIL}


def _attributes(record: Record) -> dict[str, Any]:
    cost = {} if record.cost is None else asdict(record.cost)
    rest = {name: value for name, value in record.to_json().items() if name != "cost"}
    return {**rest, **cost}


def _distributions(optuna: Any, header: Mapping[str, Any], space: Space | None) -> dict[str, Any]:
    kinds = optuna.distributions
    if space is None:
        return {f"x{at}": kinds.IntDistribution(0, size - 1) for at, size in enumerate(header["sizes"])}
    return {knob.name: kinds.CategoricalDistribution([_plain(value) for value in knob.values]) for knob in space.knobs}


def _params(record: Record, space: Space | None) -> dict[str, Any]:
    if space is None:
        return {f"x{at}": choice for at, choice in enumerate(record.genome)}
    return {name: _plain(value) for name, value in space.values(record.genome).items()}


def _plain(value: Any) -> Any:
    """Returns what Optuna takes as a category: a plain value as it is, any other as JSON."""
    return value if isinstance(value, _PLAIN) else canonical_json(to_config(value))
