"""A headless Chromium, driven over its own protocol through a pair of pipes: no further package is needed.

https://chromedevtools.github.io/devtools-protocol: each message is JSON with a NUL behind it; the browser reads file
descriptor 3 and writes file descriptor 4.
"""

from __future__ import annotations

import base64
import fcntl
import json
import os
import select
import shutil
import subprocess
import tempfile
import time
from pathlib import Path
from typing import Any, Self

WAIT_S = 240.0  # a hang is told, whatever else the machine does
NAMES = ("chromium", "chromium-browser", "google-chrome", "chrome")
_FIRST_FREE = 10  # above the descriptors that the browser wants
_OPTIONS = ("--headless=new", "--no-sandbox", "--disable-gpu", "--no-first-run", "--remote-debugging-pipe",
            "--disable-dev-shm-usage", "--disable-background-networking", "--disable-extensions")  # fmt: skip


def find_browser() -> str | None:
    """Returns the program, None if there is none."""
    return next((found for name in NAMES if (found := shutil.which(name))), None)


class Browser:
    """One browser with one page.

    Attributes:
        events: What the page has reported since `open`: (method, parameters).
    """

    def __init__(self, program: str) -> None:
        self._profile = tempfile.TemporaryDirectory(ignore_cleanup_errors=True)
        read, self._write = os.pipe()
        self._read, write = os.pipe()
        theirs = [fcntl.fcntl(one, fcntl.F_DUPFD, _FIRST_FREE) for one in (read, write)]

        def give() -> None:
            os.dup2(theirs[0], 3)
            os.dup2(theirs[1], 4)

        command = [program, *_OPTIONS, f"--user-data-dir={self._profile.name}", "about:blank"]
        self._process = subprocess.Popen(command, preexec_fn=give, pass_fds=(3, 4), stdout=subprocess.DEVNULL,
                                         stderr=subprocess.DEVNULL)  # fmt: skip
        for one in (read, write, *theirs):
            os.close(one)
        self._buffer, self._number, self._session = b"", 0, ""
        self.events: list[tuple[str, dict[str, Any]]] = []
        target = self.call("Target.createTarget", url="about:blank")["targetId"]
        self._session = self.call("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]
        for domain in ("Page", "Runtime", "Network", "Log"):
            self.call(f"{domain}.enable")

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exception: object) -> None:
        self._process.kill()
        self._process.wait()
        os.close(self._read)
        os.close(self._write)
        self._profile.cleanup()

    def call(self, method: str, **parameters: Any) -> dict[str, Any]:
        """Calls a method and returns its result; what the page reports meanwhile is kept in `events`."""
        self._number += 1
        message = {"id": self._number, "method": method, "params": parameters}
        if self._session:
            message["sessionId"] = self._session
        os.write(self._write, json.dumps(message).encode() + b"\0")
        while True:
            answer = self._next()
            if answer.get("id") == self._number:
                assert "error" not in answer, (method, answer["error"])
                result: dict[str, Any] = answer["result"]
                return result

    def evaluate(self, expression: str) -> Any:
        """Returns the value of JavaScript in the page, awaited."""
        found = self.call("Runtime.evaluate", expression=expression, awaitPromise=True, returnByValue=True)
        assert "exceptionDetails" not in found, found
        return found["result"].get("value")

    def open(self, path: Path, *, width: int = 1280, height: int = 900, dark: bool = False) -> None:
        """Shows a file and waits until its charts are drawn."""
        self.call("Page.navigate", url="about:blank")  # else the page before could be taken for this one
        self.events.clear()
        self.call("Emulation.setDeviceMetricsOverride", width=width, height=height, deviceScaleFactor=1,
                  mobile=width < 600)  # fmt: skip
        scheme = {"name": "prefers-color-scheme", "value": "dark" if dark else "light"}
        self.call("Emulation.setEmulatedMedia", media="", features=[scheme])
        url, end = path.resolve().as_uri(), time.monotonic() + WAIT_S
        self.call("Page.navigate", url=url)
        while self.evaluate("document.documentElement?.dataset.charts + document.URL") != f"drawn{url}":
            assert time.monotonic() < end, self.events
            time.sleep(0.1)

    def press(self, key: str, code: int) -> None:
        """Presses a key and lets it go."""
        for kind in ("keyDown", "keyUp"):
            text = {"text": "\r"} if key == "Enter" and kind == "keyDown" else {}
            self.call("Input.dispatchKeyEvent", type=kind, key=key, code=key, windowsVirtualKeyCode=code, **text)

    def hover(self, x: float, y: float) -> None:
        """Moves the mouse to a point of the window."""
        self.call("Input.dispatchMouseEvent", type="mouseMoved", x=x, y=y)

    def picture(self, path: Path) -> None:
        """Saves the whole page as a PNG."""
        shot = self.call("Page.captureScreenshot", format="png", captureBeyondViewport=True)
        path.write_bytes(base64.b64decode(shot["data"]))

    def complaints(self) -> list[Any]:
        """Returns errors and warnings of the console, the log's entries, and failed scripts."""
        found: list[Any] = []
        for method, values in self.events:
            said = method == "Runtime.consoleAPICalled" and values["type"] in ("error", "warning", "assert")
            if said or method in ("Runtime.exceptionThrown", "Log.entryAdded"):
                found.append(values)
        return found

    def requests(self) -> list[str]:
        """Returns the addresses that were asked for, data URIs aside."""
        asked = [values["request"]["url"] for method, values in self.events if method == "Network.requestWillBeSent"]
        return [url for url in asked if not url.startswith("data:")]

    def _next(self) -> dict[str, Any]:
        end = time.monotonic() + WAIT_S
        while b"\0" not in self._buffer:
            ready, _, _ = select.select([self._read], [], [], max(0.0, end - time.monotonic()))
            assert ready, "the browser says nothing"
            more = os.read(self._read, 1 << 20)
            assert more, "the browser has ended"
            self._buffer += more
        first, self._buffer = self._buffer.split(b"\0", 1)
        message: dict[str, Any] = json.loads(first)
        if "method" in message:
            self.events.append((message["method"], message.get("params", {})))
        return message
