"""A page in headless Chromium that a test types into, over the DevTools protocol and a pipe."""

from __future__ import annotations

import base64
import json
import os
import select
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from support.browser import CHROMIUM, FLAGS

_LOOPBACK = "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1"  # in place of that of FLAGS
_EMULATED_GPU = (
    *("--enable-unsafe-webgpu", "--use-webgpu-adapter=swiftshader", "--enable-features=Vulkan"),
    *("--use-vulkan=swiftshader", "--ignore-gpu-blocklist"),
)
_PATIENCE = 120.0  # seconds; only a hanging browser takes so long


class Page:
    """A tab.

    Attributes:
        requests: The address of everything that was fetched.
        console: What was written to the console, and uncaught errors.
    """

    def __init__(self, commands: int, events: int) -> None:
        self.requests: list[str] = []
        self.console: list[str] = []
        self._commands, self._events = commands, events
        self._buffer = b""
        self._number = 0
        self._session: str | None = None
        target = self._call("Target.createTarget", url="about:blank")["targetId"]
        attached = self._call("Target.attachToTarget", targetId=target, flatten=True)
        self._session = attached["sessionId"]
        for domain in ("Page", "Runtime", "Network", "Log"):
            self._call(f"{domain}.enable")

    def open(self, address: str) -> None:
        """Load an address, and what its page names."""
        failed = self._call("Page.navigate", url=address).get("errorText")
        assert failed is None, failed
        self.wait_for("document.readyState === 'complete'")

    def evaluate(self, expression: str) -> Any:
        """The value of an expression in the page, or of the promise that it is."""
        done = self._call(
            "Runtime.evaluate",
            expression=expression,
            awaitPromise=True,
            returnByValue=True,
            allowUnsafeEvalBlockedByCSP=False,
        )
        assert "exceptionDetails" not in done, done["exceptionDetails"]
        return done["result"].get("value")

    def wait_for(self, condition: str) -> None:
        """Wait until an expression is true."""
        until = time.monotonic() + _PATIENCE
        while not self.evaluate(condition):
            assert time.monotonic() < until, f"{condition} did not become true: {self.console}"
            time.sleep(0.05)

    def type(self, selector: str, text: str) -> None:
        """Click into a field, and type in place of what it has."""
        self.evaluate(f"document.querySelector({json.dumps(selector)}).select()")
        self._call("Input.insertText", text=text)

    def resize(self, width: int, height: int, *, dark: bool = False) -> None:
        """Give the page the size of a screen, in pixels."""
        self._call(
            "Emulation.setDeviceMetricsOverride",
            width=width,
            height=height,
            deviceScaleFactor=1,
            mobile=width < 500,
        )
        scheme = {"name": "prefers-color-scheme", "value": "dark" if dark else "light"}
        self._call("Emulation.setEmulatedMedia", features=[scheme])

    def screenshot(self) -> bytes:
        """The visible part of the page as a PNG file."""
        return base64.b64decode(self._call("Page.captureScreenshot", format="png")["data"])

    def _call(self, method: str, **parameters: Any) -> dict[str, Any]:
        self._number += 1
        command: dict[str, Any] = {"id": self._number, "method": method, "params": parameters}
        if self._session:
            command["sessionId"] = self._session
        os.write(self._commands, json.dumps(command).encode() + b"\0")
        while (message := self._receive()).get("id") != self._number:
            self._note(message.get("method", ""), message.get("params", {}))
        assert "error" not in message, message["error"]
        result: dict[str, Any] = message["result"]
        return result

    def _receive(self) -> dict[str, Any]:
        while b"\0" not in self._buffer:
            ready, _, _ = select.select([self._events], [], [], _PATIENCE)
            assert ready, "the browser does not answer"
            received = os.read(self._events, 1 << 20)
            assert received, "the browser ended"
            self._buffer += received
        line, _, self._buffer = self._buffer.partition(b"\0")
        message: dict[str, Any] = json.loads(line)
        return message

    def _note(self, event: str, about: dict[str, Any]) -> None:
        if event == "Network.requestWillBeSent":
            self.requests.append(about["request"]["url"])
        elif event == "Runtime.consoleAPICalled":
            self.console.append(" ".join(str(one.get("value", "")) for one in about["args"]))
        elif event == "Runtime.exceptionThrown":
            self.console.append(json.dumps(about["exceptionDetails"]))
        elif event == "Log.entryAdded":
            self.console.append(about["entry"]["text"])


@contextmanager
def open_browser(folder: Path, *, webgpu: bool = False) -> Iterator[Page]:
    """Start a browser with a profile in a folder, and end it afterwards.

    Args:
        folder: Where it writes.
        webgpu: Whether it has WebGPU, emulated on the CPU.
    """
    assert CHROMIUM
    flags = [flag for flag in FLAGS if not (webgpu and flag == "--disable-gpu")]
    flags += [_LOOPBACK, *(_EMULATED_GPU if webgpu else ())]
    (commands_out, commands), (events, events_in) = os.pipe(), os.pipe()
    # The browser reads file descriptor 3 and writes 4.
    redirected = f'exec "$@" 3<&{commands_out} 4>&{events_in}'
    own = ("--remote-debugging-pipe", f"--user-data-dir={folder / 'profile'}", "about:blank")
    browser = subprocess.Popen(
        ["bash", "-c", redirected, "bash", CHROMIUM, *flags, *own],
        env={**os.environ, "HOME": str(folder)},
        pass_fds=(commands_out, events_in),
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    os.close(commands_out)
    os.close(events_in)
    try:
        yield Page(commands, events)
    finally:
        browser.terminate()
        browser.wait(timeout=_PATIENCE)
        os.close(commands)
        os.close(events)
