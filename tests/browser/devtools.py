"""A page in a real headless Chromium, spoken to through its debugging pipe: no port, no driver, no guess how long to wait."""

from __future__ import annotations

import base64
import json
import os
import selectors
import shutil
import subprocess
import sys
import time
from pathlib import Path
from types import TracebackType
from typing import Any

CHROMIUM = next((path for name in ("chromium", "chromium-browser", "google-chrome") if (path := shutil.which(name))), None)
_FLAGS = (
    *("--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--hide-scrollbars"),
    *("--disable-background-networking", "--disable-component-update", "--disable-sync", "--disable-dev-shm-usage"),
    *("--remote-debugging-pipe", "--window-size=1300,1800"),
)
_LAUNCH = (
    "import os, sys; source, sink = (os.dup(int(word)) for word in sys.argv[1:3]); "
    "os.dup2(source, 3); os.dup2(sink, 4); os.set_inheritable(3, True); os.set_inheritable(4, True); "
    "os.execv(sys.argv[3], sys.argv[3:])"
)
"""Puts two pipes where the browser looks for them, and becomes the browser."""
_WAIT_S = 120.0


class Page:
    """One page; ``errors`` holds what its scripts and the console complained about.

    Source:
        Chrome DevTools Protocol: JSON messages that end with a zero byte, in on file descriptor 3, out on 4.
    """

    def __init__(self, url: str, profile: Path) -> None:
        self.errors: list[str] = []
        self._number, self._unread = 0, b""
        ours_in, theirs_out = os.pipe()
        theirs_in, ours_out = os.pipe()
        pipes, quiet = (theirs_in, theirs_out), subprocess.DEVNULL
        command = [sys.executable, "-c", _LAUNCH, *map(str, pipes), str(CHROMIUM), *_FLAGS, f"--user-data-dir={profile}"]
        self._process = subprocess.Popen(command, pass_fds=pipes, stdout=quiet, stderr=quiet)
        os.close(theirs_in)
        os.close(theirs_out)
        self._in, self._out = ours_in, ours_out
        self._ready = selectors.DefaultSelector()
        self._ready.register(ours_in, selectors.EVENT_READ)
        target = self._call("Target.createTarget", url="about:blank")["targetId"]
        self._session: str | None = self._call("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]
        for domain in ("Runtime", "Log", "Page"):
            self._call(f"{domain}.enable")
        self._call("Page.navigate", url=url)
        self.wait_for("document.readyState === 'complete' && location.href !== 'about:blank'")

    def __enter__(self) -> Page:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._process.kill()
        self._process.wait()
        self._ready.close()
        os.close(self._in)
        os.close(self._out)

    def evaluate(self, expression: str) -> Any:
        """Value of an expression in the page."""
        answer = self._call("Runtime.evaluate", expression=expression, returnByValue=True)
        if "exceptionDetails" in answer:
            raise AssertionError(f"{expression}: {answer['exceptionDetails']['exception']['description']}")
        return answer["result"].get("value")

    def wait_for(self, condition: str) -> None:
        """Wait until an expression is true."""
        end = time.monotonic() + _WAIT_S
        while not self.evaluate(condition):
            if time.monotonic() > end:
                raise AssertionError(f"never came true in {_WAIT_S:g} s: {condition}; errors: {self.errors}")
            time.sleep(0.02)

    def screenshot(self, path: Path) -> None:
        """Save what the page shows as PNG."""
        path.write_bytes(base64.b64decode(self._call("Page.captureScreenshot", format="png")["data"]))

    def _call(self, method: str, **params: Any) -> dict[str, Any]:
        self._number += 1
        message: dict[str, Any] = {"id": self._number, "method": method, "params": params}
        if getattr(self, "_session", None):
            message["sessionId"] = self._session
        os.write(self._out, json.dumps(message).encode() + b"\0")
        while True:
            answer = self._next()
            self._note(answer)
            if answer.get("id") == self._number:
                if "error" in answer:
                    raise AssertionError(f"{method}: {answer['error']['message']}")
                return dict(answer["result"])

    def _next(self) -> dict[str, Any]:
        while b"\0" not in self._unread:
            if not self._ready.select(_WAIT_S):
                raise AssertionError(f"the browser was silent for {_WAIT_S:g} s")
            part = os.read(self._in, 1 << 20)
            if not part:
                raise AssertionError(f"the browser ended with code {self._process.wait()}")
            self._unread += part
        text, _, self._unread = self._unread.partition(b"\0")
        return dict(json.loads(text))

    def _note(self, message: dict[str, Any]) -> None:
        params = message.get("params", {})
        if message.get("method") == "Runtime.exceptionThrown":
            details = params["exceptionDetails"]
            self.errors.append(details.get("exception", {}).get("description", details["text"]))
        elif message.get("method") == "Log.entryAdded" and params["entry"]["level"] in ("error", "warning"):
            self.errors.append(params["entry"]["text"])
        elif message.get("method") == "Runtime.consoleAPICalled" and params["type"] in ("error", "warning", "assert"):
            self.errors.append(json.dumps(params["args"]))
