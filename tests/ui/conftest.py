"""The real app in a process of its own on the pocket model, and Chromium to use it with."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.browsers import launched, system_chromium
from tests.ui.running_app import RunningApp

if TYPE_CHECKING:
    from collections.abc import Iterator

    from playwright.sync_api import Browser, Page


@pytest.fixture(scope="session")
def pocket() -> Path:
    """The bundled base model; tests that need it are skipped where it is not."""
    from perfusion_core.model.listing import pocket_folder

    if not (pocket_folder() / "model_index.json").is_file():
        pytest.skip("the pocket model is not here")
    return pocket_folder()


@pytest.fixture(scope="session")
def taught_home(pocket: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A data folder whose library has two concepts that fit pocket, with random values."""
    from perfusion_core.model.base import load_base
    from perfusion_core.model.statistics import covariance_for
    from perfusion_core.studio.library.library import Library
    from tests.tiny_concept import random_concept

    home = tmp_path_factory.mktemp("home")
    base = load_base(pocket)
    base.id = "pocket"
    for seed, (name, superclass) in enumerate([("mug", "cup"), ("biscuit", "dog")]):
        Library(home).add(random_concept(base, name, superclass, seed))
    covariance_for(base, home / "cache")  # where it does not come with the base, it is computed once
    return home


@pytest.fixture(scope="session")
def app(taught_home: Path) -> Iterator[RunningApp]:
    """One app for all journeys that leave it as it is."""
    with RunningApp(taught_home) as running:
        yield running


@pytest.fixture(scope="session")
def chromium() -> Iterator[Browser]:
    playwright = pytest.importorskip("playwright.sync_api")
    with playwright.sync_playwright() as api:
        browser = launched(api, system_chromium())
        yield browser
        browser.close()


@pytest.fixture
def page(chromium: Browser) -> Iterator[Page]:
    """A fresh tab of a desktop window. Anything it asks another machine for fails the test."""
    from playwright.sync_api import expect

    context = chromium.new_context(viewport={"width": 1440, "height": 900})
    patience = int(os.environ.get("PERFUSION_TEST_PATIENCE", "60")) * 1000
    context.set_default_timeout(patience)
    expect.set_options(timeout=patience)
    tab = context.new_page()
    foreign: list[str] = []

    def note_foreign(url: str) -> None:
        if not url.startswith(("http://127.0.0.1", "data:", "blob:")):
            foreign.append(url)

    tab.on("request", lambda request: note_foreign(request.url))
    yield tab
    context.close()
    assert not foreign
