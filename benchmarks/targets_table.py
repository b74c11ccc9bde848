"""One line for each target that was fitted to measurements: its error on networks that no fit has seen.

    python -m benchmarks.targets_table

writes `docs/targets/README.md`; the reports beside it have every family and operator.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from accelzoo.hwmodel import list_targets, load_target
from accelzoo.hwmodel.measurement import Measurement
from accelzoo.hwmodel.measurements import Measurements
from accelzoo.hwmodel.validate import held_out_file, validate_measurements
from accelzoo.recipes.report import markdown_table

PAGE = Path(__file__).parent.parent / "docs" / "targets" / "README.md"
HEAD = """\
# How right the fitted targets are

Made by `python -m benchmarks.targets_table` from the held-out measurements in `hwmodel/targets/measurements/`. Random:
networks drawn with another seed than those of the fit. Real: EfficientNet-EdgeTPU, MobileNetV2, V3, V4, ResNet and
MobileDet, none of which was fitted to; the worst of these families beside their mean. MAPE: mean absolute error of the
latency; ±10 %: share of networks within; peak: mean absolute error of the peak memory that the tool reports.

"""
COLUMNS = [
    "target",
    "measured by",
    "random: n",
    "MAPE",
    "±10 %",
    "real: n",
    "MAPE",
    "±10 %",
    "worst family",
    "Kendall, all",
    "peak, all",
]


def main() -> None:
    """Judges every target that has held-out measurements and writes the page."""
    rows = [row(name) for name in list_targets() if held_out_file(name) is not None]
    text = HEAD + markdown_table(COLUMNS, rows)
    PAGE.write_text(text.rstrip() + "\n", encoding="utf-8")
    print(text)


def row(name: str) -> list[str]:
    """Returns the cells of one target."""
    path = held_out_file(name)
    assert path is not None
    table = Measurements.read(path)
    target = load_target(name)
    random = [sample for sample in table if sample.source == "network:random"]
    real = [sample for sample in table if sample.source != "network:random"]
    whole = validate_measurements(target, table).whole
    cells = [f"[{name}]({name}.md)", table.provenance.tool, *_scores(target.name, random), *_scores(target.name, real)]
    families = validate_measurements(target, real).families if real else {}
    worst = max(families, key=lambda family: families[family].mape or 0.0, default="")
    cells.append(f"{worst} {_percent(families[worst].mape)}" if worst else "–")
    return [*cells, f"{whole.kendall:.3f}", _percent(whole.peak_mape)]


def _scores(name: str, samples: Sequence[Measurement]) -> list[str]:
    if not samples:
        return ["0", "–", "–"]
    scores = validate_measurements(load_target(name), samples).whole
    return [str(scores.n), _percent(scores.mape), _percent(scores.within_10_percent)]


def _percent(share: float | None) -> str:
    return "–" if share is None else f"{100 * share:.1f} %"


if __name__ == "__main__":
    main()
