"""Times nn-Meter on graphs; run by `estimate_speed.py` under an interpreter that has nn-Meter, which needs its own.

Reads `[[name, graph], …]` as JSON, each graph in nn-Meter's own form, and prints the least seconds per graph as JSON.

nn-Meter's code is timed as it is: it detects kernels by fusion rules, extracts features and asks one random forest per
kind of kernel. Its published forests are pickles to be downloaded at first use; forests of the same sizes (its
builder's defaults for a CPU), fitted here on random numbers, stand for them: the time of a prediction is theirs, its
value is not used.
"""

from __future__ import annotations

import json
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
from nn_meter.builder.kernel_predictor_builder.predictor_builder.predictor_lib import (  # type: ignore[import-not-found]
    init_predictor,
)
from nn_meter.kernel_detector import KernelDetector  # type: ignore[import-not-found]
from nn_meter.predictor.prediction.predict_by_kernel import nn_predict  # type: ignore[import-not-found]

SAMPLES = 2_000
REPEATS = 5
FEATURES = {"conv-bn-relu": 7, "dwconv-bn-relu": 7, "fc": 4, "global-avgpool": 2, "relu": 2, "se": 2, "add": 3}
RULES = {
    **{f"BF_{maker}_relu": {"obey": True} for maker in ("conv", "dwconv", "add")},
    "MON": {"obey": 0},
    "FN": {"obey": True},
}


def forests() -> dict[str, Any]:
    """Fits one forest per kind of kernel, as large as nn-Meter's own."""
    rng = np.random.default_rng(0)
    fitted = {}
    for kernel, count in FEATURES.items():
        forest = init_predictor(kernel, "tflite_cpu")
        forest.set_params(max_features=min(count, forest.max_features), oob_score=False)
        fitted[kernel] = forest.fit(rng.random((SAMPLES, count)), rng.random(SAMPLES))
    return fitted


def main() -> None:
    """Times every graph."""
    predictors = forests()
    with tempfile.TemporaryDirectory() as folder:
        rules = Path(folder) / "rules.json"
        rules.write_text(json.dumps(RULES), encoding="utf-8")
        detector = KernelDetector(str(rules))
    seconds = {}
    for name, graph in json.load(sys.stdin):
        times = []
        for _ in range(REPEATS):
            started = time.process_time()
            detector.load_graph(graph)
            kernels = detector.get_kernels()
            latency = nn_predict(predictors, kernels)
            times.append(time.process_time() - started)
        if not latency > 0:
            raise SystemExit(f"{name}: nn-Meter predicts nothing for {[kernel['op'] for kernel in kernels]}")
        seconds[name] = min(times)
    print(json.dumps(seconds))


if __name__ == "__main__":
    main()
