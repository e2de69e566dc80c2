"""Start, kill and start again the app as a person would: `python app.py`."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from playwright.sync_api import Page

ROOT = Path(__file__).parents[2]
# What Playwright says of a navigation that another one replaced, or that met an app just starting.
CUT_OFF = ("ERR_ABORTED", "interrupted by another navigation", "ERR_CONNECTION_REFUSED", "frame was detached")


class RunningApp:
    """`python app.py` on a free port with a data folder of its own; as a context, for as long as it lasts."""

    def __init__(self, home: Path, options: tuple[str, ...] = ("--no-browser",)) -> None:
        self.home = home
        self._options = options
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.port = int(probe.getsockname()[1])
        self.address = f"http://127.0.0.1:{self.port}"
        self._process: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> RunningApp:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def start(self, patience: float = 240.0) -> float:
        """Start and wait for the page; returns the seconds that took."""
        environment = {
            **os.environ,
            "PERFUSION_HOME": str(self.home),
            "OMP_NUM_THREADS": "1",
            "HF_HUB_OFFLINE": "1",
            "NO_PROXY": "127.0.0.1,localhost",
        }
        log = (self.home / "server.log").open("ab")
        command = [sys.executable, "app.py", "--port", str(self.port), *self._options]
        begun = time.monotonic()
        self._process = subprocess.Popen(
            command, cwd=ROOT, env=environment, stdout=log, stderr=log, preexec_fn=_heed_interrupts
        )
        while time.monotonic() - begun < patience:
            if self._process.poll() is not None:
                break
            try:
                with urllib.request.urlopen(self.address, timeout=5):
                    return time.monotonic() - begun
            except OSError:
                time.sleep(0.1)
        self._process.kill()
        raise AssertionError(f"The app did not start: {(self.home / 'server.log').read_text()[-2000:]}")

    def kill(self) -> None:
        """As the system does when memory runs out: without a chance to tidy up."""
        assert self._process is not None
        self._process.send_signal(signal.SIGKILL)
        self._process.wait(30)

    def stop(self, patience: float = 240.0) -> bool:
        """As Ctrl-C does; whether the app ended by itself. After `patience` seconds it is killed."""
        if self._process is None or self._process.poll() is not None:
            return True
        self._process.send_signal(signal.SIGINT)
        try:
            self._process.wait(patience)
        except subprocess.TimeoutExpired:
            self._process.kill()
            return False
        return True

    def open(self, page: Page, room: str = "Create") -> None:
        """The app in a tab, in one of its rooms, when its base model is ready."""
        navigate(lambda: page.goto(self.address))
        ready(page)
        enter(page, room)


def _heed_interrupts() -> None:
    """In the app's process: what a shell starts in the background, and its children, ignores SIGINT."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)


def reopen(page: Page, room: str) -> None:
    """Reload the page, and go to a room when it is ready."""
    navigate(page.reload)
    ready(page)
    enter(page, room)


def ready(page: Page) -> None:
    """Wait until the page shows what only its events can have brought: that the base model is loaded."""
    page.wait_for_selector("#rooms")
    page.wait_for_function("document.querySelector('#machine')?.innerText.includes('Ready')")


def navigate(go: Callable[[], object], patience: float = 60.0) -> None:
    """Do a navigation, again when another one cut it off.

    A page that lost its app reloads itself as soon as the app answers again, just when a test opens it anew.
    """
    from playwright.sync_api import Error

    ends = time.monotonic() + patience
    while True:
        try:
            go()
            return
        except Error as error:
            if not any(words in str(error) for words in CUT_OFF) or time.monotonic() > ends:
                raise
        time.sleep(0.2)


def enter(page: Page, room: str) -> None:
    """Go to a room; on a narrow screen some are behind the dots."""
    tab = page.locator("#rooms [role=tablist] > button[role=tab]", has_text=room)
    if tab.count() and tab.first.is_visible():
        tab.first.click()
        return
    page.get_by_label("More tabs").click()
    page.locator("#rooms .overflow-dropdown button", has_text=room).click()


def drag(page: Page, selector: str, part: float) -> None:
    """Move a slider's handle with the mouse to `part` (0..1) of its track."""
    page.locator(selector).scroll_into_view_if_needed()
    box = page.locator(selector).bounding_box()
    assert box is not None
    middle = box["y"] + box["height"] / 2
    page.mouse.move(box["x"] + box["width"] * 0.1, middle)
    page.mouse.down()
    page.mouse.move(box["x"] + box["width"] * part, middle, steps=5)
    page.mouse.up()


def set_number(page: Page, slider: str, value: int) -> None:
    """Type a value beside a slider; again when that came to nothing, as a moment after a fold was opened."""
    for _ in range(20):
        page.locator(f"{slider} input[type=number]").fill(str(value))
        page.locator(f"{slider} input[type=number]").press("Tab")
        page.wait_for_timeout(300)
        if page.locator(f"{slider} input[type=range]").input_value() == str(value):
            return
    raise AssertionError(f"{slider} does not take {value}")


def image(page: Page) -> str:
    """Where the image that is shown comes from."""
    return page.locator("#gallery img").first.get_attribute("src") or ""


def created(page: Page, press: str = "Control+Enter") -> str:
    """Ask for an image and wait for it."""
    before = image(page) if page.locator("#gallery img").count() else ""
    page.locator("#prompt textarea").press(press)
    changed(page, before)
    page.wait_for_selector("#go:not([disabled])")
    return image(page)


def changed(page: Page, before: str) -> None:
    """Wait until another image than `before` is shown."""
    script = """before => {
        const found = document.querySelector('#gallery img');
        return found && found.getAttribute('src') !== before;
    }"""
    page.wait_for_function(script, arg=before)
