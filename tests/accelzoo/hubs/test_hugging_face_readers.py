"""Other clients read what was published: Python's own snapshot_download, and the independent JavaScript client."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import subprocess
from pathlib import Path

import pytest

from accelzoo.hub import HfHub
from accelzoo.hubs.conformance import NAME
from accelzoo.release import Release, verify_folder
from tests.accelzoo.hubs.hf_server import TOKEN, FakeHub
from tests.checkout import ROOT

# The client hands its HTTP library an open file the old way.
pytestmark = pytest.mark.filterwarnings("ignore:Use 'content=<...>':DeprecationWarning")

# Prints the sha256 of each file of a repository (argv: package, hub, repository, revision, token).
READ = """
const { createHash } = require("node:crypto");
const [library, hubUrl, repo, revision, accessToken] = process.argv.slice(1);
const { listFiles, downloadFile } = require(library);
(async () => {
  const hashes = {};
  for await (const file of listFiles({ repo, revision, hubUrl, accessToken })) {
    const blob = await downloadFile({ repo, revision, hubUrl, accessToken, path: file.path });
    hashes[file.path] = createHash("sha256").update(Buffer.from(await blob.arrayBuffer())).digest("hex");
  }
  console.log(JSON.stringify(hashes));
})();
"""


def javascript_client() -> Path | None:
    """Returns the folder of the npm package @huggingface/hub, if it is installed."""
    places = [Path(place) for place in (os.environ.get("ACCELZOO_JS_HUB"), ROOT) if place]
    found = [place / "node_modules" / "@huggingface" / "hub" for place in places]
    return next((folder for folder in found if folder.is_dir()), None)


def test_snapshot_download_reads_a_release(hub: HfHub, server: FakeHub, release: Release, tmp_path: Path) -> None:
    from huggingface_hub import snapshot_download

    hub.publish(release.folder, NAME, tags=("v1",))
    for revision in (None, "v1", release.digest.replace(":", "-")):
        folder = Path(
            snapshot_download(
                NAME, revision=revision, endpoint=server.endpoint, token=TOKEN, cache_dir=tmp_path / f"hf-{revision}"
            )
        )
        copy = tmp_path / f"copy-{revision}"
        shutil.copytree(folder, copy, ignore=shutil.ignore_patterns(".gitattributes"))
        assert verify_folder(copy) == release.digest


def test_the_javascript_client_reads_a_release(server: FakeHub, release: Release, tmp_path: Path) -> None:
    node, library = shutil.which("node"), javascript_client()
    if node is None or library is None:
        pytest.skip("needs node, and @huggingface/hub in $ACCELZOO_JS_HUB/node_modules: `npm install @huggingface/hub`")
    HfHub(server.endpoint, token=TOKEN, private=True).publish(release.folder, NAME)
    tag = release.digest.replace(":", "-")
    command = [node, "-e", READ, str(library), server.endpoint, NAME, tag, TOKEN]
    hashes = json.loads(subprocess.run(command, capture_output=True, text=True, check=True, timeout=60).stdout)
    del hashes[".gitattributes"]
    assert hashes == {
        path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in release.folder.iterdir()
    }
