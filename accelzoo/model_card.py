"""The README.md of a release: a model card whose metrics a machine can read (Hugging Face `model-index`)."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from accelzoo.errors import ReleaseError

LIBRARY_NAME = "accelzoo"
_FENCE = "---\n"
_REQUIRED = ("library_name", "license", "tags", "datasets", "model-index")


@dataclass(frozen=True, slots=True, kw_only=True)
class Metric:
    """One measured value."""

    kind: str  # as the Hugging Face hub names metrics: "accuracy", "f1", "mean_iou" …
    value: float
    name: str | None = None  # as a reader should see it: "top-1 accuracy, int8"


@dataclass(frozen=True, slots=True, kw_only=True)
class Evaluation:
    """The metrics of one task on one data set."""

    task: str  # as the Hugging Face hub names tasks: "image-classification" …
    dataset: str  # identifier: "cifar10"
    dataset_name: str  # as a reader should see it: "CIFAR-10"
    metrics: tuple[Metric, ...]
    split: str | None = None


def model_card(
    *,
    name: str,
    license: str,
    datasets: Sequence[str],
    evaluations: Sequence[Evaluation],
    tags: Sequence[str] = (),
    body: str = "",
) -> str:
    """Writes a model card: YAML front matter, a table of the metrics, then `body`.

    Args:
        name: The model's name.
        license: Identifier of the weights' licence ("apache-2.0").
        datasets: Identifiers of the training data.
        evaluations: What was measured.
        tags: Further tags; "accelzoo" and each task come first by themselves.
        body: Markdown that follows the table.

    Raises:
        ReleaseError: If a metric is not a finite number, or a name spans lines.
    """
    import yaml

    if "\n" in name or not name.strip():
        raise ReleaseError(f"model card: expected a name on one line, found {name!r}")
    results = [_result(evaluation) for evaluation in evaluations]
    every_tag = dict.fromkeys([LIBRARY_NAME, *(evaluation.task for evaluation in evaluations), *tags])
    meta: dict[str, Any] = {
        "library_name": LIBRARY_NAME,
        "license": license,
        "tags": list(every_tag),
        "datasets": list(datasets),
        "model-index": [{"name": name, "results": results}],
    }
    front = yaml.safe_dump(meta, sort_keys=False, allow_unicode=True, width=120)
    parts = [f"{_FENCE}{front}{_FENCE}", f"# {name}\n"]
    if results:
        parts.append(_table(evaluations))
    if body.strip():
        parts.append(body.strip("\n") + "\n")
    return "\n".join(parts)


def read_card(text: str) -> dict[str, Any]:
    """Returns the front matter of a model card.

    Raises:
        ReleaseError: If there is none, or it is not a YAML mapping.
    """
    import yaml

    front, closed, _ = text.removeprefix(_FENCE).partition("\n" + _FENCE)
    if not text.startswith(_FENCE) or not closed:
        raise ReleaseError("README.md: expected YAML front matter between two '---' lines, found none")
    try:
        meta = yaml.safe_load(front)
    except yaml.YAMLError as error:
        raise ReleaseError(f"README.md: the front matter is not YAML: {error}") from error
    if not isinstance(meta, dict):
        raise ReleaseError(f"README.md: expected a mapping as front matter, found {type(meta).__name__}")
    return meta


def check_card(text: str) -> str:
    """Returns a model card unchanged when its front matter carries what a release needs.

    Raises:
        ReleaseError: If a key is missing or `library_name` is another one.
    """
    meta = read_card(text)
    missing = [key for key in _REQUIRED if key not in meta]
    if missing:
        raise ReleaseError(f"README.md: the front matter lacks {', '.join(missing)}")
    if meta["library_name"] != LIBRARY_NAME:
        raise ReleaseError(f"README.md: expected library_name {LIBRARY_NAME!r}, found {meta['library_name']!r}")
    return text


def _result(evaluation: Evaluation) -> dict[str, Any]:
    dataset = {"type": evaluation.dataset, "name": evaluation.dataset_name}
    if evaluation.split is not None:
        dataset["split"] = evaluation.split
    return {
        "task": {"type": evaluation.task},
        "dataset": dataset,
        "metrics": [_metric(metric) for metric in evaluation.metrics],
    }


def _metric(metric: Metric) -> dict[str, Any]:
    value = float(metric.value)  # numpy scalars have no safe YAML spelling
    if not math.isfinite(value):
        raise ReleaseError(f"model card: metric {metric.kind!r} must be finite, found {value}")
    return {"type": metric.kind, "value": value, "name": metric.name or metric.kind}


def _table(evaluations: Sequence[Evaluation]) -> str:
    rows = ["| task | data | metric | value |", "|---|---|---|---:|"]
    for evaluation in evaluations:
        data = evaluation.dataset_name + (f" ({evaluation.split})" if evaluation.split else "")
        for metric in evaluation.metrics:
            cells = (evaluation.task, data, metric.name or metric.kind, f"{float(metric.value):.6g}")
            rows.append("| " + " | ".join(cell.replace("|", "\\|").replace("\n", " ") for cell in cells) + " |")
    return "\n".join(rows) + "\n"
