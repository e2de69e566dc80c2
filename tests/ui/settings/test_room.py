"""Settings: what is chosen counts at once, and is there after the next start."""

from __future__ import annotations

import shutil
import urllib.error
import urllib.request
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from perfusion_core.sampling.png import read_recipe
from perfusion_core.studio.access import make_secret
from perfusion_core.studio.settings import prefer, read_preferences
from tests.lora_files import save_lora
from tests.ui.running_app import RunningApp, created, enter, ready, reopen

if TYPE_CHECKING:
    from playwright.sync_api import Page

pytestmark = pytest.mark.browser


def test_folders_memory_and_colours_are_chosen_and_kept(app: RunningApp, page: Page, tmp_path: Path) -> None:
    from playwright.sync_api import expect

    app.open(page, "Settings")
    page.locator("#outputs-folder").get_by_role("textbox").fill(str(tmp_path / "mine"))
    page.get_by_label("8 GB").check()
    page.click("#settings-apply")
    expect(page.locator("#settings-said .said-good")).to_be_visible()
    chosen = read_preferences(app.home)
    assert (chosen.outputs, chosen.memory) == (str(tmp_path / "mine"), 8.0)
    page.get_by_label("Dark", exact=True).check()
    expect(page.locator("body")).to_have_class("dark")

    reopen(page, "Settings")
    expect(page.locator("body")).to_have_class("dark")
    expect(page.get_by_label("8 GB")).to_be_checked()
    expect(page.get_by_label("Dark", exact=True)).to_be_checked()
    enter(page, "Create")
    created(page)
    assert len(list((tmp_path / "mine").glob("*.png"))) == 1

    enter(page, "Settings")
    page.locator("#outputs-folder").get_by_role("textbox").fill("/proc/nowhere")
    page.click("#settings-apply")
    expect(page.locator("#settings-said .said-problem")).to_contain_text("/proc/nowhere")
    page.locator("#outputs-folder").get_by_role("textbox").fill("")  # as it was, for the tests after this one
    page.get_by_label("What is free").check()
    page.click("#settings-apply")
    expect(page.locator("#settings-said .said-good")).to_be_visible()
    assert read_preferences(app.home).outputs == ""


def test_a_lora_put_into_its_folder_is_chosen_weighed_and_acts_in_pictures(
    app: RunningApp, page: Page, pocket: Path
) -> None:
    from playwright.sync_api import expect

    from perfusion_core.model.base import load_base

    app.open(page, "Create")
    lora = save_lora(app.home / "loras" / "ink.safetensors", load_base(pocket).pipeline)  # while it is open
    enter(page, "Settings")
    page.locator("#loras input").click()
    page.locator("#loras [role=option]", has_text="ink").click()
    expect(page.locator("#loras-line")).to_contain_text("ink 1")
    weight = page.get_by_label("number input for Weight of ink")
    weight.fill("0.5")
    weight.press("Enter")
    weight.blur()
    expect(page.locator("#loras-line")).to_contain_text("ink 0.5")
    ready(page)
    enter(page, "Create")
    created(page)
    latest = max((app.home / "outputs").glob("*.png"), key=lambda path: path.stat().st_mtime)
    assert [(one.name, one.weight) for one in read_recipe(latest).loras] == [("ink.safetensors", 0.5)]

    reopen(page, "Settings")  # as it was, for the tests after this one
    expect(page.locator("#loras")).to_contain_text("ink")
    page.locator("#loras input").click()
    page.locator("#loras input").press("Backspace")
    page.locator("#loras input").press("Tab")
    expect(page.locator("#loras-line")).to_have_count(0)
    lora.unlink()
    assert read_preferences(app.home).loras == {}


def test_with_a_password_other_machines_are_asked_for_it(taught_home: Path, tmp_path: Path) -> None:
    shutil.copytree(taught_home / "library", tmp_path / "library")
    prefer(tmp_path, lan_user="anna", lan_secret=make_secret("correct horse"))
    with RunningApp(tmp_path) as running:
        assert "0.0.0.0" in _listening(running.port)
        assert _status(f"{running.address}/config") == 401
        wrong = b"username=anna&password=wrong"
        right = b"username=anna&password=correct+horse"
        assert _status(f"{running.address}/login", wrong) == 400
        assert _status(f"{running.address}/login", right) == 200
        tries = [_status(f"{running.address}/login", wrong) for _ in range(10)]
        assert (tries[0], tries[-1]) == (400, 429)  # after some wrong ones it has to wait


def test_as_a_space_it_answers_under_its_public_name_and_opens_no_browser(
    taught_home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shutil.copytree(taught_home / "library", tmp_path / "library")
    monkeypatch.setenv("SPACE_ID", "someone/perfusion-studio")
    monkeypatch.setenv("SPACE_HOST", "someone-perfusion-studio.hf.space")
    monkeypatch.setenv("BROWSER", f"touch {tmp_path / 'opened'} #%s")
    with RunningApp(tmp_path, options=()) as running:
        assert "0.0.0.0" in _listening(running.port)
        public = {"Host": "someone-perfusion-studio.hf.space"}
        assert _status(f"{running.address}/config", headers=public) == 200
        assert not (tmp_path / "opened").exists()


def _status(address: str, form: bytes | None = None, headers: dict[str, str] | None = None) -> int:
    try:
        with urllib.request.urlopen(
            urllib.request.Request(address, form, headers or {}), timeout=30
        ) as answer:
            return int(answer.status)
    except urllib.error.HTTPError as error:
        return error.code


def _listening(port: int) -> list[str]:
    """The addresses of this machine on which someone listens on `port`."""
    found = []
    for line in Path("/proc/net/tcp").read_text().splitlines()[1:]:
        local, state = line.split()[1], line.split()[3]
        address, _, number = local.partition(":")
        if state == "0A" and int(number, 16) == port:
            found.append(".".join(str(part) for part in reversed(bytes.fromhex(address))))
    return found
