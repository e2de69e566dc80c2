"""Which Chromium the browser journeys run in, and what to say when there is none."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Playwright

PATHS = ("/usr/bin/chromium", "/usr/bin/chromium-browser", "/usr/bin/google-chrome")
NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable", "chrome")
FLAGS = ["--no-sandbox", "--disable-gpu", "--disable-background-networking"]
MISSING = "there is no Chromium here"
COMMAND = "pip install -r requirements-dev.txt && python -m playwright install --with-deps chromium"


def system_chromium() -> str | None:
    """The path of an installed Chromium or Chrome."""
    found = next((path for path in PATHS if Path(path).exists()), None)
    return found or next(filter(None, map(shutil.which, NAMES)), None)


def launched(api: Playwright, program: str | None) -> Browser:
    """`program`, or without one the browser Playwright installed for itself; else the test is skipped."""
    from playwright.sync_api import Error

    try:
        return api.chromium.launch(executable_path=program, args=FLAGS)
    except Error as error:
        if program is None and "playwright install" in str(error):
            pytest.skip(MISSING)
        raise


def summary(reasons: Sequence[str]) -> str:
    """A line for the end of a run, from the reasons for which tests were skipped; empty when none was
    skipped for want of a browser.
    """
    count = sum(MISSING in reason or "'playwright" in reason for reason in reasons)
    if not count:
        return ""
    journeys = "1 browser journey" if count == 1 else f"{count} browser journeys"
    return f"{journeys} did not run: {MISSING}. To run them: {COMMAND}"
