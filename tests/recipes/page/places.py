"""Folders that pages are made of: small runs, packaged releases, and a run with hostile texts."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

from accelzoo.pretrained import ZOO

HOSTILE = "</script><script>window.hacked=1</script><img src=x onerror=\"window.hacked=2\">'\x1b[31mred"
PRODUCT = "cells_v1"
SEARCH = "width"  # whose trace that release holds


def write_product_run(folder: Path, text: str = "") -> Path:
    """Writes the folder of a finished product run from what a packaged release holds of one.

    Args:
        folder: Where to.
        text: Put in the place of titles, names of data and notes, if it is not empty.
    """
    from PIL import Image

    source = ZOO / PRODUCT
    lock: dict[str, Any] = json.loads((source / "lock.json").read_text("utf-8"))
    if text:
        lock["recipe"] = lock["comparison"]["data"] = text
        lock["comparison"]["notes"] = [text]
        lock["data"]["all"]["class_names"] = [text] * len(lock["data"]["all"]["class_names"])
        for one in lock["comparison"]["networks"]:
            one["title"] = text
            one["name"] = one["name"] if one["name"] == "baseline" else f"{one['name']}{text}"
    (folder / "search" / SEARCH).mkdir(parents=True)
    (folder / "jobs").mkdir()
    shutil.copy(source / "recipe.yaml", folder / "recipe.yaml")
    shutil.copy(source / "trace.jsonl", folder / "search" / SEARCH / "trace.jsonl")
    (folder / "lock.json").write_text(json.dumps(lock), encoding="utf-8")
    for seed in range(2):
        history = [{"epoch": epoch, "step": 10 * epoch, "loss": 2 / epoch, "score": 0.1 * epoch} for epoch in (1, 2, 3)]
        record = {"job": "x", "digest": "x", "result": {"history": history}}
        (folder / "jobs" / f"train-0123456789ab-seed{seed}.json").write_text(json.dumps(record), encoding="utf-8")
    Image.new("RGB", (1200, 500), (90, 120, 60)).save(folder / "predictions.png")
    return folder
