"""How long pulling a release takes, beside `huggingface_hub.snapshot_download` alone, from a server on this machine.

`python -m benchmarks.hub_pull > benchmarks/hub_pull.md` writes the committed table and
`benchmarks/hub_pull.json`. Both clients fetch the same 5 MB release into a new folder, in turns; `accelzoo` also hashes
every byte and makes the copy durable. The server is the tests' own, so only the ratio counts.
"""

from __future__ import annotations

import json
import logging
import statistics
import tempfile
import time
import warnings
from collections.abc import Callable
from pathlib import Path

from huggingface_hub import snapshot_download
from huggingface_hub.utils import disable_progress_bars

from accelzoo.hub import HfHub
from accelzoo.hubs.conformance import NAME, example_release
from accelzoo.recipes.report import markdown_table
from accelzoo.release import verify_folder
from tests.accelzoo.hubs.hf_server import TOKEN, FakeHub, serve

_WEIGHTS = 1_250_000  # float32: 5 MB
_REPEATS = 31
_HIGHEST_RATIO = 1.3
_RESULTS = Path(__file__).with_suffix(".json")


def time_in_turns(calls: dict[str, Callable[[Path], object]], work: Path) -> dict[str, list[float]]:
    """Times each call in turn, each time into a new folder.

    Returns:
        Label -> seconds of each repeat; the first, with the imports, is left out.
    """
    times: dict[str, list[float]] = {label: [] for label in calls}
    for repeat in range(_REPEATS + 1):
        for label, call in calls.items():
            folder = work / f"{label}-{repeat}"
            started_s = time.perf_counter()
            call(folder)
            times[label].append(time.perf_counter() - started_s)
    return {label: seconds[1:] for label, seconds in times.items()}


def measure() -> tuple[dict[str, list[float]], dict[str, int]]:
    """Publishes a release to a loopback server and pulls it with both clients.

    Returns:
        Label -> seconds of each repeat, and label -> number of requests of one pull.
    """
    with serve(FakeHub()) as server, tempfile.TemporaryDirectory() as folder:
        work = Path(folder)
        release = example_release(work / "release", size=_WEIGHTS)
        HfHub(server.endpoint, token=TOKEN).publish(release.folder, NAME)

        def pull(target: Path) -> None:
            HfHub(server.endpoint, token=TOKEN, cache_dir=target).pull(NAME)

        def download(target: Path) -> None:
            snapshot_download(NAME, endpoint=server.endpoint, token=TOKEN, cache_dir=target)

        calls = {"pull": pull, "snapshot_download": download}
        times = time_in_turns(calls, work)
        requests = {}
        for label, call in calls.items():
            server.log.clear()
            call(work / f"{label}-counted")
            requests[label] = len(server.log)
        found = verify_folder(next((work / "pull-0" / "releases" / NAME).iterdir()), expect=release.digest)
        assert found == release.digest
    return times, requests


def main() -> None:
    """Prints the table, writes the times, and fails when the ratio is too high."""
    warnings.filterwarnings("ignore", "Use 'content=<...>'", DeprecationWarning)
    logging.getLogger("huggingface_hub").setLevel(logging.ERROR)
    disable_progress_bars()
    times, requests = measure()
    medians = {label: statistics.median(seconds) for label, seconds in times.items()}
    ratio = medians["pull"] / medians["snapshot_download"]
    _RESULTS.write_text(json.dumps({"seconds": times, "requests": requests}, indent=1) + "\n", encoding="utf-8")
    print("Made by `python -m benchmarks.hub_pull`: a 5 MB release from a server on the same machine,")
    print(f"median of {_REPEATS} pulls each, in turns, every one into a new folder.\n")
    labels = {"pull": "`HfHub.pull` (verified, durable)", "snapshot_download": "`snapshot_download` alone (peer)"}
    rows = [
        (text, f"{medians[label] * 1e3:.0f}", str(requests[label]), "1.00×" if label != "pull" else f"{ratio:.2f}×")
        for label, text in labels.items()
    ]
    print(markdown_table(("client", "ms", "requests", "ratio"), rows))
    if ratio > _HIGHEST_RATIO:
        raise SystemExit(f"pulling took {ratio:.2f} times as long as snapshot_download: more than {_HIGHEST_RATIO}")


if __name__ == "__main__":
    main()
