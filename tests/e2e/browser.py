"""A headless Chromium, spoken to by the DevTools protocol: what a person sees, clicks and types."""

import base64
import json
import os
import shutil
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.request import urlopen

from websockets.exceptions import ConnectionClosed
from websockets.sync.client import ClientConnection, connect

from temporal_pipeline.errors import PipelineError

PROGRAMS = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
OPTIONS = (
    "--headless=new",
    "--remote-debugging-port=0",
    "--no-first-run",
    "--no-default-browser-check",
    "--disable-gpu",
    "--disable-quic",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--hide-scrollbars",
    "--force-prefers-reduced-motion",
    "--lang=en-US",
)
START_SECONDS = 60
WAIT_SECONDS = 60
LOOK_AGAIN_SECONDS = 0.05
CONTROL = 2

# Innermost visible elements whose text matches, in the order of the page; a dialog's before what it covers.
_FIND = """
(pattern, css) => {
  const words = new RegExp(pattern), found = [];
  for (const element of document.querySelectorAll(css)) {
    const text = (element.innerText || element.value || element.getAttribute('aria-label') || '').trim();
    const box = element.getBoundingClientRect();
    if (words.test(text) && box.width && box.height) found.push(element);
  }
  const inner = found.filter(element => !found.some(other => other !== element && element.contains(other)));
  const above = inner.filter(element => element.closest('[role=dialog], .bp5-dialog, .bp5-menu, .bp4-menu'));
  return (above.length ? above : inner)[0];
}
"""


def find_chromium() -> str:
    """The program. Raises PipelineError (exit code 5) when there is none."""
    for name in PROGRAMS:
        if program := shutil.which(name):
            return program
    raise PipelineError(
        f"there is no Chromium here: none of {', '.join(PROGRAMS)} is in PATH",
        hint="install one, for example `apt-get install --no-install-recommends chromium`",
        exit_code=5,
    )


class Page:
    """One tab. Whatever is waited for raises AssertionError with what the page said instead when it is late."""

    def __init__(self, connection: ClientConnection) -> None:
        self._connection = connection
        self._number = 0

    def command(self, method: str, **parameters: Any) -> Any:
        """A command of the DevTools protocol and its answer."""
        self._number += 1
        self._connection.send(json.dumps({"id": self._number, "method": method, "params": parameters}))
        deadline = time.monotonic() + WAIT_SECONDS
        while True:
            message = json.loads(self._connection.recv(timeout=max(0.0, deadline - time.monotonic())))
            if message.get("id") != self._number:
                continue
            if "error" in message:
                raise LookupError(f"{method}: {message['error']['message']}")
            return message["result"]

    def value(self, expression: str) -> Any:
        """What an expression of JavaScript is worth in the page. Raises LookupError when it throws."""
        answer = self.command(
            "Runtime.evaluate", expression=expression, returnByValue=True, awaitPromise=True
        )
        if "exceptionDetails" in answer:
            raise LookupError(answer["exceptionDetails"]["exception"]["description"])
        return answer["result"].get("value")

    def resize(self, width: int, height: int) -> None:
        """Show the page in a window of this size, in the light theme."""
        self.command(
            "Emulation.setDeviceMetricsOverride",
            width=width,
            height=height,
            deviceScaleFactor=1,
            mobile=False,
        )
        light = {"name": "prefers-color-scheme", "value": "light"}
        self.command("Emulation.setEmulatedMedia", features=[light])

    def open(self, address: str) -> None:
        """Go to an address."""
        self.command("Page.navigate", url=address)

    @property
    def address(self) -> str:
        """Where the page is now."""
        return str(self.value("location.href"))

    @property
    def text(self) -> str:
        """All that can be read."""
        return str(self.value("document.body.innerText"))

    def until(self, expression: str, what: str, seconds: float = WAIT_SECONDS) -> Any:
        """Wait until an expression is worth something, and return that; `what` says what is waited for."""
        deadline = time.monotonic() + seconds
        while True:
            # While a page is replaced by the next one, there is nothing to ask.
            try:
                if value := self.value(expression):
                    return value
            except LookupError as error:
                value = error
            if time.monotonic() > deadline:
                raise AssertionError(
                    f"{what}: not within {seconds:.0f} s ({value!r}) at {self.address}, which says\n{self.text}"
                )
            time.sleep(LOOK_AGAIN_SECONDS)

    def sees(self, pattern: str, css: str = "*", seconds: float = WAIT_SECONDS) -> str:
        """Wait until something visible matches, and return its text."""
        there = f"({_FIND})({json.dumps(pattern)}, {json.dumps(css)})"
        return str(
            self.until(
                f"(e => e && (e.innerText || e.value || 'there'))({there})", f"{css} {pattern}", seconds
            )
        )

    def click(self, pattern: str, css: str = "*", seconds: float = WAIT_SECONDS) -> None:
        """Wait until something visible matches, and click into the middle of it with the mouse."""
        there = f"({_FIND})({json.dumps(pattern)}, {json.dumps(css)})"
        # Where it stands still and nothing lies above it.
        place = f"""(async element => {{
          if (!element || element.disabled) return null;
          element.scrollIntoViewIfNeeded();
          const before = element.getBoundingClientRect();
          await new Promise(resolve => requestAnimationFrame(() => requestAnimationFrame(resolve)));
          const box = element.getBoundingClientRect();
          if (box.x !== before.x || box.y !== before.y) return null;
          const point = {{x: box.x + box.width / 2, y: box.y + box.height / 2}};
          const top = document.elementFromPoint(point.x, point.y);
          return top && (element.contains(top) || top.contains(element)) ? point : null;
        }})({there})"""
        point = self.until(place, f"{css} {pattern} to click", seconds)
        self.command("Input.dispatchMouseEvent", type="mouseMoved", **point)
        for kind in ("mousePressed", "mouseReleased"):
            self.command("Input.dispatchMouseEvent", type=kind, button="left", clickCount=1, **point)

    def write(self, words: str) -> None:
        """Type into what has the focus, in the place of what it holds."""
        everything = {"key": "a", "code": "KeyA", "windowsVirtualKeyCode": ord("A"), "modifiers": CONTROL}
        self.command("Input.dispatchKeyEvent", type="rawKeyDown", commands=["selectAll"], **everything)
        self.command("Input.dispatchKeyEvent", type="keyUp", **everything)
        self.command("Input.insertText", text=words)

    def comes_to_rest(self, css: str) -> dict[str, float]:
        """Wait until an element is there, nothing moves and all pictures are loaded.

        Returns its place: x, y, width, height.
        """
        place = f"""(async element => {{
          const box = () => JSON.stringify(element.getBoundingClientRect());
          if (!element || ![...document.images].every(image => image.complete)) return null;
          const before = box();
          for (let frame = 0; frame < 10; frame++) await new Promise(resolve => requestAnimationFrame(resolve));
          const moving = document.getAnimations().some(animation => animation.playState === 'running');
          const {{x, y, width, height}} = element.getBoundingClientRect();
          return before === box() && !moving ? {{x, y, width, height}} : null;
        }})(document.querySelector({json.dumps(css)}))"""
        found: dict[str, float] = self.until(place, f"{css} at rest")
        return found

    def picture(self, **clip: float) -> bytes:
        """A PNG of what is visible, or of a part of it: x, y, width, height."""
        part = {"clip": clip | {"scale": 1}} if clip else {}
        return base64.b64decode(self.command("Page.captureScreenshot", format="png", **part)["data"])


@contextmanager
def open_browser(width: int = 1440, height: int = 900) -> Iterator[Page]:
    """A browser with an empty profile and one tab, gone with all that it started when the block ends.

    Raises PipelineError (exit code 5) when there is no Chromium.
    """
    program = find_chromium()
    # Chromium's own sandbox does not work for root.
    options = [*OPTIONS, f"--window-size={width},{height}", *(["--no-sandbox"] if os.geteuid() == 0 else [])]
    with tempfile.TemporaryDirectory(prefix="temporal_pipeline-", ignore_cleanup_errors=True) as profile:
        process = subprocess.Popen(
            [program, *options, f"--user-data-dir={profile}", "about:blank"],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            env=os.environ | {"XDG_CONFIG_HOME": profile, "XDG_CACHE_HOME": profile},
        )
        try:
            with connect(_first_tab(process, Path(profile)), max_size=None, proxy=None) as connection:
                page = Page(connection)
                page.command("Page.enable")
                page.resize(width, height)
                yield page
                _close(page)
        finally:
            process.terminate()
            try:
                process.wait(10)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()


def _first_tab(process: "subprocess.Popen[bytes]", profile: Path) -> str:
    """The address at which the tab listens, as soon as it does."""
    told = profile / "DevToolsActivePort"
    deadline = time.monotonic() + START_SECONDS
    while time.monotonic() < deadline:
        assert process.poll() is None, f"Chromium ended with exit code {process.returncode}"
        if told.exists() and (lines := told.read_text().splitlines()):
            with urlopen(f"http://127.0.0.1:{lines[0]}/json/list", timeout=START_SECONDS) as answer:
                tabs = [tab for tab in json.load(answer) if tab["type"] == "page"]
            if tabs:
                return str(tabs[0]["webSocketDebuggerUrl"])
        time.sleep(LOOK_AGAIN_SECONDS)
    raise AssertionError(f"Chromium did not listen within {START_SECONDS} s")


def _close(page: Page) -> None:
    """End the whole browser in an orderly way: its helpers write into the profile until then."""
    try:
        page.command("Browser.close")
    except ConnectionClosed:
        return
