"""The helpers of the browser journeys."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from tests.browsers import COMMAND, MISSING, launched, summary
from tests.ui.running_app import navigate

sync_api = pytest.importorskip("playwright.sync_api")


@pytest.mark.parametrize(
    "words",
    [
        "Page.goto: net::ERR_ABORTED at http://127.0.0.1:7860/",
        "Page.goto: Navigation is interrupted by another navigation",
        "Page.goto: net::ERR_CONNECTION_REFUSED at http://127.0.0.1:7860/",
    ],
)
def test_a_navigation_that_was_cut_off_is_done_again(words: str) -> None:
    tries: list[int] = []

    def go() -> None:
        tries.append(1)
        if len(tries) < 3:
            raise sync_api.Error(words)

    navigate(go)
    assert len(tries) == 3


def test_any_other_failure_of_a_navigation_is_one() -> None:
    tries: list[int] = []

    def go() -> None:
        tries.append(1)
        raise sync_api.Error("net::ERR_NAME_NOT_RESOLVED")

    with pytest.raises(sync_api.Error, match="NAME_NOT_RESOLVED"):
        navigate(go)
    assert len(tries) == 1


def test_a_navigation_that_never_succeeds_fails_in_the_end() -> None:
    def go() -> None:
        raise sync_api.Error("net::ERR_ABORTED")

    with pytest.raises(sync_api.Error, match="ERR_ABORTED"):
        navigate(go, patience=0.0)


def test_the_end_of_a_run_says_how_many_journeys_did_not_run_and_what_brings_them() -> None:
    reasons = [f"Skipped: {MISSING}", "Skipped: no graphics card", f"Skipped: {MISSING}"]
    assert summary(reasons) == f"2 browser journeys did not run: {MISSING}. To run them: {COMMAND}"
    without = ["Skipped: could not import 'playwright.sync_api': No module named 'playwright'"]
    assert summary(without).startswith("1 browser journey did not run")
    assert summary(["Skipped: no graphics card"]) == ""


class Launcher:
    """Playwright that starts no browser: it keeps what it was asked for, or raises `error`."""

    def __init__(self, error: str = "") -> None:
        self.api: Any = SimpleNamespace(chromium=self)
        self.asked: list[Any] = []
        self._error = error

    def launch(self, **options: Any) -> str:
        self.asked.append(options["executable_path"])
        if self._error:
            raise sync_api.Error(self._error)
        return "a browser"


# What Playwright says when it has no browser of its own.
NONE_INSTALLED = "BrowserType.launch: Executable doesn't exist. Please run: playwright install"


@pytest.mark.parametrize("program", [None, "/usr/bin/chromium"])
def test_without_a_program_of_the_system_playwrights_own_browser_is_started(program: str | None) -> None:
    launcher = Launcher()
    assert launched(launcher.api, program) == "a browser"
    assert launcher.asked == [program]


def test_journeys_are_skipped_only_where_there_is_no_browser_at_all() -> None:
    with pytest.raises(pytest.skip.Exception, match=MISSING):
        launched(Launcher(NONE_INSTALLED).api, None)


@pytest.mark.parametrize(
    ("words", "program"),
    [
        ("BrowserType.launch: Target page, context or browser has been closed", None),
        ("BrowserType.launch: Failed to launch chromium", "/usr/bin/chromium"),
        (NONE_INSTALLED, "/usr/bin/chromium"),
    ],
)
def test_a_browser_that_is_there_and_does_not_start_is_a_failure(words: str, program: str | None) -> None:
    with pytest.raises((sync_api.Error, pytest.skip.Exception)) as raised:  # else a skip would skip this test
        launched(Launcher(words).api, program)
    assert isinstance(raised.value, sync_api.Error)
    assert str(raised.value) == words
