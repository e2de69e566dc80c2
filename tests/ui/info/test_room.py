"""Image info: an image's recipe goes back into the form."""

from __future__ import annotations

import pytest

from perfusion_core.sampling.png import ImageRecipe, UsedConcept, save_png
from tests.ui.running_app import RunningApp

pytestmark = pytest.mark.browser


def test_the_recipe_of_a_dropped_image_is_loaded_into_create(app: RunningApp, page, tmp_path) -> None:
    from PIL import Image
    from playwright.sync_api import expect

    used = UsedConcept(name="mug", superclass="cup", content_hash="0" * 64, bias=0.4, temperature=0.15)
    recipe = ImageRecipe(
        prompt="a sketch of <mug:0.4>",
        seed=77,
        steps=9,
        guidance=3.0,
        width=128,
        height=128,
        scheduler="ddim",
        concepts=[used],
        base="pocket",
        base_fingerprint="f",
    )
    path = save_png(Image.new("RGB", (128, 128)), recipe, tmp_path / "made.png")
    app.open(page, "Image info")
    page.locator("#info-in input[type=file]").set_input_files(path)
    page.wait_for_selector("#info-shown .facts")
    assert "77" in page.inner_text("#info-shown")
    page.click("#info-load")
    page.wait_for_function("document.querySelector('#prompt textarea').value === 'a sketch of <mug>'")
    page.wait_for_selector("#dose-mug input[type=range]")
    expect(page.locator("#seed input").first).to_have_value("77")
    expect(page.locator("#dose-mug input[type=range]")).to_have_value("100")


def test_an_image_without_a_recipe_is_refused_in_words(app: RunningApp, page, tmp_path) -> None:
    from PIL import Image

    path = tmp_path / "plain.png"
    Image.new("RGB", (32, 32)).save(path)
    app.open(page, "Image info")
    page.locator("#info-in input[type=file]").set_input_files(path)
    page.wait_for_selector("#info-shown .said-problem")
    assert "carries no recipe" in page.inner_text("#info-shown")
