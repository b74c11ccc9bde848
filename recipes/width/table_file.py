"""The latency table of a run, kept beside its timings: fitted once, whatever a resumed run computes with."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path

import numpy as np
import numpy.typing as npt

from accelzoo import config
from accelzoo.errors import DataError
from accelzoo.recipes.folder import write_text
from accelzoo.search.width import LatencyGrid, LatencyReport, LatencyTable, Timings, fit_latency_table

TABLE_FILE = "latency_table.json"


def kept_table(folder: Path, grid: LatencyGrid, timings: Timings, prior: npt.NDArray[np.float64]) -> LatencyTable:
    """Returns the table that a folder keeps of these timings; if there is none, fits and keeps it.

    The fit is an optimisation, whose digits depend on the number of threads and the build of the libraries; jobs that
    rely on the table are refused with another one.

    Args:
        folder: Where it is kept.
        grid: Its entries.
        timings: What it is fitted to.
        prior: Seconds of every entry, `(entries,)`.

    Raises:
        DataError: If the file is damaged.
        MeasurementError: As for `fit_latency_table`.
    """
    path = folder / TABLE_FILE
    facts = {"space": grid.space.digest(), "genomes": timings.genomes.tolist(), "latency_s": timings.latency_s.tolist()}
    digest = config.digest({**facts, "prior": [f"{seconds:.9g}" for seconds in prior.tolist()]})
    if path.is_file():
        try:
            content = json.loads(path.read_text("utf-8"))
            if content["timings"] == digest:
                entries, report = np.array(content["entries"], np.float64), LatencyReport(**content["report"])
                if entries.shape == (grid.entries,) and np.isfinite(entries).all():
                    return LatencyTable(grid=grid, entries=entries, report=report)
                raise ValueError(f"entries of shape {entries.shape}")
        except (ValueError, KeyError, TypeError) as error:
            raise DataError(f"{path}: no latency table: {error}; remove the file to fit it again") from None
    table = fit_latency_table(grid, timings.genomes, timings.latency_s, prior)
    kept = {"timings": digest, "entries": table.entries.tolist(), "report": asdict(table.report)}
    write_text(path, json.dumps(kept) + "\n")
    return table
