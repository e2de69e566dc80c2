"""The base model is chosen beside the rooms, and what was taught on another one says so."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from perfusion_core.studio.settings import prefer, read_preferences
from tests.ui.running_app import RunningApp, created

if TYPE_CHECKING:
    from collections.abc import Iterator

    from playwright.sync_api import Page

pytestmark = pytest.mark.browser


@pytest.fixture
def models(pocket: Path, tmp_path: Path) -> Path:
    """A folder with a copy of pocket whose attention differs, and a model that cannot be used."""
    from safetensors.torch import load_file, save_file

    copy = tmp_path / "models" / "altered"
    shutil.copytree(pocket, copy)
    weights = next((copy / "unet").glob("*.safetensors"))
    tensors = load_file(weights)
    changed = {name: tensor * 1.05 if "attn2.to_v" in name else tensor for name, tensor in tensors.items()}
    save_file(changed, weights, metadata={"format": "pt"})
    other = tmp_path / "models" / "large"
    other.mkdir()
    (other / "model_index.json").write_text('{"_class_name": "StableDiffusion3Pipeline"}')
    return tmp_path / "models"


@pytest.fixture
def own_app(taught_home: Path, models: Path, tmp_path: Path) -> Iterator[RunningApp]:
    home = tmp_path / "home"
    shutil.copytree(taught_home / "library", home / "library")
    prefer(home, models=str(models))
    with RunningApp(home) as running:
        yield running


def test_another_base_is_taken_from_the_sidebar_and_concepts_of_the_first_say_so(
    own_app: RunningApp, models: Path, page: Page
) -> None:
    from playwright.sync_api import expect

    own_app.open(page)
    page.locator("#prompt textarea").fill("a photo of <biscuit>")
    expect(page.locator("#unsupported summary")).to_have_text("1 model here cannot be used")
    page.locator("#unsupported summary").click()
    expect(page.locator("#unsupported")).to_contain_text("Stable Diffusion 3")
    expect(page.locator(".chip-foreign")).to_have_count(0)

    page.locator("#base input").click()
    page.locator("#base").get_by_role("option", name="altered").click()
    expect(page.locator(".chip-foreign")).to_have_count(2)
    expect(page.locator("#machine")).to_contain_text("Ready")
    expect(page.locator("#chips")).to_contain_text("<biscuit> was taught on pocket")
    assert read_preferences(own_app.home).base == str(models / "altered")
    created(page)
    expect(page.locator("#create-said")).to_contain_text("taught on pocket, whose weights are not those of")

    page.locator("#base input").fill(str(models / "large"))
    page.locator("#base input").press("Enter")
    expect(page.locator("#machine .said-problem")).to_contain_text("not supported")

    page.locator("#base input").fill("pocket")
    page.locator("#base input").press("Enter")
    expect(page.locator("#machine")).to_contain_text("Ready")
    expect(page.locator(".chip-foreign")).to_have_count(0)
