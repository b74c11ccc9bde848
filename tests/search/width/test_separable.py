"""The solver, the latency tables and the baselines stand alone: without the trainer, and without torch."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

from tests.checkout import ROOT, modules
from tests.test_floors import imports_of

TRAINER = "accelzoo.search.width.slimmable"
WITHOUT_TRAINER = """
import sys
for name in ("torch", "timm", "scipy", "accelzoo.search.width.slimmable"):
    sys.modules[name] = None  # importing it fails
from accelzoo import get_arch
from accelzoo.search import width
space = width.WidthSpace.from_arch(get_arch("mobilenetv1_100"), (0.5, 1.0))
grid = width.LatencyGrid.of(space)
timed = width.covering_genomes(space, 12)
table = width.fit_latency_table(grid, timed, grid.priced("camera-npu")[grid.rows(timed)].sum(axis=1), "edge-npu")
errors = [[1 / channels for channels in group.widths] for group in space.groups]
costs = table.onto(width.WidthCosts.priced(space, "edge-npu").with_errors(errors))
budgets = {"latency_s": float(table.latency_s([space.base])[0]) / 2}
assert width.solve_width(costs, budgets).status == "optimal"
narrowed = width.Narrowing(budgets=budgets).model(costs, 0.5)
assert len(narrowed.marginals()) == len(space.groups)
for found in (width.greedy_widths(costs, budgets, lambda genomes: costs.totals(genomes)[:, -1]),
              width.uniform_widths(space, costs, budgets, lambda genomes: [0.0])):
    assert found.best.values["latency_s"] <= budgets["latency_s"]
"""


def test_nothing_below_the_recipes_imports_the_trainer() -> None:
    found = []
    for module, path in modules().items():
        source = path.read_text(encoding="utf-8")
        if "slimmable" in source and not f"{module}.".startswith((f"{TRAINER}.", "accelzoo.recipes.")):
            for item in imports_of(source, module, path.name == "__init__.py"):
                if f"{item.name}.".startswith(f"{TRAINER}."):
                    found.append(f"{module}, line {item.line}")
    assert found == []
    assert TRAINER in modules()


def test_widths_are_searched_without_trainer_and_torch(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", WITHOUT_TRAINER],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
