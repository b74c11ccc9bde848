"""Model cards: read back by the Hugging Face client's own reader."""

from __future__ import annotations

import ast
import math

import numpy as np
import pytest

from accelzoo.errors import ReleaseError
from accelzoo.model_card import (
    Evaluation,
    Metric,
    check_card,
    check_license,
    hardware_tags,
    model_card,
    read_card,
    usage,
)

EVALUATION = Evaluation(
    task="image-classification",
    dataset="cifar10",
    dataset_name="CIFAR-10",
    split="test",
    metrics=(
        Metric(kind="accuracy", value=float(np.float32(0.5)), name="top-1 | int8"),
        Metric(kind="latency_s", value=1e-3),
    ),
)


def card(**changes: object) -> str:
    arguments = {
        "name": "tiny: a 'net'", "license": "apache-2.0", "datasets": ("cifar10",), "evaluations": (EVALUATION,),
        "tags": ("int8", "accelzoo"), "body": "\n## Use\n\ntext --- with a dash\n---\nmore\n", **changes,
    }  # fmt: skip
    return model_card(**arguments)  # type: ignore[arg-type]


def test_the_hugging_face_client_reads_the_metrics() -> None:
    hub = pytest.importorskip("huggingface_hub")
    data = hub.ModelCard(card()).data
    assert (data.library_name, data.license, data.datasets) == ("accelzoo", "apache-2.0", ["cifar10"])
    assert data.tags == ["accelzoo", "image-classification", "int8"]
    assert (data.pipeline_tag, data.metrics) == ("image-classification", ["accuracy", "latency_s"])
    assert (data.base_model, data.license_name) == (None, None)
    assert data.model_name == "tiny: a 'net'"
    found = [
        (item.task_type, item.dataset_type, item.dataset_name, item.dataset_split, item.metric_type, item.metric_value)
        for item in data.eval_results
    ]
    where = ("image-classification", "cifar10", "CIFAR-10", "test")
    assert found == [(*where, "accuracy", 0.5), (*where, "latency_s", 0.001)]
    assert [item.metric_name for item in data.eval_results] == ["top-1 | int8", "latency_s"]


@pytest.mark.parametrize("license", ["Apache-2.0", "mit", "CC-BY-SA-4.0", "bsd-3-clause", "openrail++"])
def test_an_identifier_is_written_as_the_hub_spells_it(license: str) -> None:
    meta = read_card(card(license=license))
    assert (meta["license"], "license_name" in meta) == (license.lower(), False)
    assert check_license(card(license=license)) == license.lower()


def test_another_licence_has_a_name_as_the_hub_wants_it() -> None:
    text = card(license="For experiments only (no weights)")
    meta = read_card(text)
    assert (meta["license"], meta["license_name"]) == ("other", "for-experiments-only-no-weights")
    assert "\nLicence of the weights: For experiments only (no weights)\n" in text
    assert check_license(text) == "for-experiments-only-no-weights"
    hub = pytest.importorskip("huggingface_hub")
    assert hub.ModelCard(text).data.license_name == "for-experiments-only-no-weights"


@pytest.mark.parametrize("stated", ["license: ''", "license: ' '", "license: Unknown", "license: 3", "license: other"])
def test_no_licence_is_none(stated: str) -> None:
    with pytest.raises(ReleaseError, match=r"README\.md: expected the weights' licence as license"):
        check_license(card().replace("license: apache-2.0", stated))


def test_tags_say_where_it_runs() -> None:
    # 0.206 789 ms to four digits.
    assert hardware_tags(206.789e-6, "camera-npu", "camera_ibn") == [
        "target:camera-npu",
        "latency_ms:0.2068",
        "baseline:camera_ibn",
    ]
    assert hardware_tags(1.0, "t", None) == ["target:t", "latency_ms:1000"]
    for path in ("/some/where/mine.yaml", "C:\\me\\mine.yaml"):
        assert hardware_tags(1.0, "t", path)[-1] == "baseline:mine.yaml"


def test_the_snippets_are_programs_that_name_the_release() -> None:
    for task, loaded in (
        ("image-classification", ["OWNER/it's", "hf-hub:OWNER/it's"]),
        ("object-detection", ["OWNER/it's"]),
    ):
        blocks = usage("it's", task).split("```python\n")[1:]
        calls = [
            node.args[0].value
            for block in blocks
            for node in ast.walk(ast.parse(block.partition("```")[0]))
            if isinstance(node, ast.Call) and isinstance(node.args[0], ast.Constant)
        ]
        assert calls == loaded


def test_a_reader_sees_a_table_and_the_body() -> None:
    lines = card().split("\n")
    assert "# tiny: a 'net'" in lines
    assert "| image-classification | CIFAR-10 (test) | top-1 \\| int8 | 0.5 |" in lines
    assert "| image-classification | CIFAR-10 (test) | latency_s | 0.001 |" in lines
    assert lines[-4:] == ["text --- with a dash", "---", "more", ""]


def test_our_own_reader_agrees() -> None:
    meta = read_card(check_card(card()))
    assert meta["model-index"][0]["results"][0]["metrics"][1] == {
        "type": "latency_s",
        "value": 0.001,
        "name": "latency_s",
    }


def test_a_card_needs_no_evaluation() -> None:
    text = card(evaluations=(), body="")
    assert read_card(text)["model-index"] == [{"name": "tiny: a 'net'", "results": []}]
    assert "pipeline_tag" not in read_card(text)
    assert "| task |" not in text


@pytest.mark.parametrize("value", [math.nan, math.inf])
def test_a_metric_is_finite(value: float) -> None:
    broken = Evaluation(
        task="t", dataset="d", dataset_name="D", metrics=(Metric(kind="accuracy", value=value),)
    )  # fmt: skip
    with pytest.raises(ReleaseError, match="'accuracy' must be finite"):
        card(evaluations=(broken,))


@pytest.mark.parametrize("name", ["", "two\nlines"])
def test_a_name_is_one_line(name: str) -> None:
    with pytest.raises(ReleaseError, match="on one line"):
        card(name=name)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("# title\n", "found none"),
        ("---\nlicense: x\n", "found none"),
        ("---\n- a\n---\n", "found list"),
        ("---\na: [\n---\n", "not YAML"),
        ("---\nlibrary_name: accelzoo\nlicense: x\n---\n", "lacks tags, datasets, model-index"),
        ("---\nlibrary_name: timm\nlicense: x\ntags: []\ndatasets: []\nmodel-index: []\n---\n", "found 'timm'"),
    ],
)
def test_an_unfit_card_is_refused(text: str, message: str) -> None:
    with pytest.raises(ReleaseError, match=message):
        check_card(text)
