"""The README.md of a release: a model card whose metrics a machine can read (Hugging Face `model-index`)."""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from accelzoo.errors import ReleaseError

LIBRARY_NAME = "accelzoo"
_FENCE = "---\n"
_LONGEST_FRONT = 1 << 20  # characters; a front matter of ours has a few thousand
_IDENTIFIER = re.compile(r"[A-Za-z0-9]+([.+-][A-Za-z0-9]+)*\+*", re.ASCII)
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

    The keys are those that the Hugging Face hub indexes (https://huggingface.co/docs/hub/model-cards); its page is of
    the first evaluation's task. `base_model` is left out: it must name a model on the hub, and a baseline is none.

    Args:
        name: The model's name.
        license: The weights' licence: an identifier ("apache-2.0"), or a sentence: then that of an `other` one.
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
        **_license(license),
        "tags": list(every_tag),
        "datasets": list(datasets),
        "metrics": list(dict.fromkeys(metric.kind for evaluation in evaluations for metric in evaluation.metrics)),
        "model-index": [{"name": name, "results": results}],
    }
    if evaluations:
        meta["pipeline_tag"] = evaluations[0].task
    front = yaml.safe_dump(meta, sort_keys=False, allow_unicode=True, width=120)
    parts = [f"{_FENCE}{front}{_FENCE}", f"# {name}\n"]
    if results:
        parts.append(_table(evaluations))
    if "license_name" in meta:
        parts.append(f"Licence of the weights: {license}\n")
    if body.strip():
        parts.append(body.strip("\n") + "\n")
    return "\n".join(parts)


def usage(name: str, task: str) -> str:
    """Returns the Markdown that says how to load a release: with accelzoo and, if it classifies images, with timm.

    Args:
        name: The model's name; its owner, and the digest that it will have, are not known to its own card.
        task: As the Hugging Face hub names it.
    """
    reference = f"OWNER/{name}"
    blocks = [["import accelzoo", "", f"model = accelzoo.create_model({reference!r})"]]
    if task == "image-classification":
        loaded = f"model = timm.create_model({'hf-hub:' + reference!r}, pretrained=True)"
        blocks.append(["import timm", "", "import accelzoo.timm", "", loaded])
    text = "\n\n".join("\n".join(["```python", *lines, "```"]) for lines in blocks)
    return (
        f"## Use\n\n{text}\n\n`{reference}` is what it is published as; `@sha256:…` after it pins the release. "
        "`model.pretrained_cfg` says how images are prepared, `model.class_names` what the outputs are.\n"
    )


def latency_metric(latency_s: float, target: str) -> Metric:
    """Returns the latency of one inference on a target, in seconds, as a card carries it."""
    return Metric(kind="latency_s", value=latency_s, name=f"latency on {target} (s), batch 1")


def hardware_tags(latency_s: float, target: str, baseline: str | None) -> list[str]:
    """Returns the tags by which a hub's page finds a release: target, latency in ms, and the baseline.

    Args:
        latency_s: Of one inference, in seconds.
        target: The target's name.
        baseline: Name or file of the network that the release was compared with; None for the baseline's own release.
    """
    tags = [f"target:{target}", f"latency_ms:{latency_s * 1e3:.4g}"]
    if baseline is not None:
        tags.append(f"baseline:{baseline.replace(chr(92), '/').rsplit('/', 1)[-1]}")  # nobody's folders
    return tags


def check_license(text: str) -> str:
    """Returns the licence that a model card states: an identifier, or the name of an `other` one.

    Raises:
        ReleaseError: If it states none.
    """
    meta = read_card(text)
    stated = meta.get("license")
    key = "license_name" if stated == "other" else "license"
    found = meta.get(key)
    if not isinstance(found, str) or found.strip().lower() in ("", "none", "unknown"):
        raise ReleaseError(f"README.md: expected the weights' licence as {key}, found {found!r}")
    return found


def read_card(text: str) -> dict[str, Any]:
    """Returns the front matter of a model card.

    Raises:
        ReleaseError: If there is none, or it is not a YAML mapping.
    """
    import yaml

    front, closed, _ = text.removeprefix(_FENCE).partition("\n" + _FENCE)
    if not text.startswith(_FENCE) or not closed:
        raise ReleaseError("README.md: expected YAML front matter between two '---' lines, found none")
    if len(front) > _LONGEST_FRONT:
        raise ReleaseError(f"README.md: the front matter is longer than {_LONGEST_FRONT} characters")
    try:
        # A few nested aliases stand for more values than fit into memory, and merge keys are aliases as well.
        if any(isinstance(event, yaml.AliasEvent) for event in yaml.parse(front, Loader=yaml.SafeLoader)):
            raise ReleaseError("README.md: the front matter holds an alias (*…); write the value out")
        meta = yaml.safe_load(front)
    except (yaml.YAMLError, ValueError, RecursionError) as error:  # ValueError: a date that no calendar has
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


def _license(license: str) -> dict[str, str]:
    if _IDENTIFIER.fullmatch(license):
        return {"license": license.lower()}
    return {"license": "other", "license_name": re.sub("[^a-z0-9.]+", "-", license.lower()).strip("-.")}


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
