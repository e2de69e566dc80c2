"""The list of LoRAs on the settings page, without a browser, and what other rooms show of it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import gradio as gr
import pytest
from PIL import Image

from perfusion_core.model.base import Base
from perfusion_core.model.lora_files import ChosenLora, content_hash
from perfusion_core.model.loras import use_loras
from perfusion_core.sampling.png import FORMAT_VERSION, ImageRecipe, UsedLora, save_png
from perfusion_core.studio.app import Studio
from perfusion_core.studio.readiness import Readiness
from perfusion_core.studio.settings import Settings, preferred
from perfusion_core.ui.create.restored_form import restored_form
from perfusion_core.ui.info.room import described
from perfusion_core.ui.served import Served
from perfusion_core.ui.settings import lora_choice
from perfusion_core.ui.sidebar import machine_line
from tests.lora_files import save_lora
from tests.ui.listeners import listeners


class Page:
    """The card on a page of its own; what it asks the worker to load is only noted."""

    def __init__(self, home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.settings = Settings(home=home)
        self.studio = Studio(self.settings)
        self.begun = 0
        readiness = Readiness(self.studio)
        monkeypatch.setattr(readiness, "begin", self._begin)
        with gr.Blocks() as self.demo:
            self.part = lora_choice.render(self.studio)
            lora_choice.listen(self.part, self.studio, readiness, [self.demo.load])

    def _begin(self) -> None:
        self.begun += 1

    def choose(self, *names: str) -> Any:
        (listener,) = listeners(self.demo, self.part.files, "input")
        return listener.fn(list(names))

    def look(self, applied: dict[str, float]) -> Any:
        return next(
            one.fn(applied) for one in self.demo.fns.values() if getattr(one.fn, "__name__", "") == "look"
        )


@pytest.fixture
def card(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Page:
    save_lora(tmp_path / "loras" / "ink.safetensors", seed=1)
    save_lora(tmp_path / "loras" / "style.safetensors", seed=2)
    (tmp_path / "loras" / "bad.safetensors").write_bytes(b"x")
    return Page(tmp_path, monkeypatch)


def test_a_chosen_one_is_used_at_once_and_kept(card: Page, tmp_path: Path) -> None:
    assert [value for _, value in card.part.files.choices] == ["ink.safetensors", "style.safetensors"]
    assert "bad.safetensors is damaged" in str(card.part.said.value)
    folder = tmp_path / "loras"
    updates = card.choose("style.safetensors", "ink.safetensors")
    expected = (ChosenLora(folder / "style.safetensors"), ChosenLora(folder / "ink.safetensors"))
    assert card.studio.settings.loras == expected
    assert preferred(card.settings).loras == expected
    assert updates[card.part.applied] == {"style.safetensors": 1.0, "ink.safetensors": 1.0}
    assert card.begun == 1
    card.choose("ink.safetensors", "no such file", "../secret.safetensors")
    assert [lora.file.name for lora in card.studio.settings.loras] == ["ink.safetensors"]


def test_a_weight_survives_the_choice_of_another(card: Page, tmp_path: Path) -> None:
    card.studio.use_loras([ChosenLora(tmp_path / "loras" / "ink.safetensors", 0.4)])
    card.choose("ink.safetensors", "style.safetensors")
    assert [lora.weight for lora in card.studio.settings.loras] == [0.4, 1.0]


def test_one_that_is_gone_can_be_left_out(card: Page, tmp_path: Path) -> None:
    card.choose("ink.safetensors")
    (tmp_path / "loras" / "ink.safetensors").unlink()
    updates = card.look({"ink.safetensors": 1.0})
    assert [value for _, value in updates[card.part.files].choices] == [
        "style.safetensors",
        "ink.safetensors",
    ]
    assert card.part.applied not in updates  # sliders stay as they are
    card.choose()
    assert card.studio.settings.loras == ()


def test_what_another_room_changed_is_shown(card: Page, tmp_path: Path) -> None:
    card.studio.use_loras([ChosenLora(tmp_path / "loras" / "ink.safetensors", 0.5)])
    updates = card.look({})
    assert updates[card.part.applied] == {"ink.safetensors": 0.5}
    assert updates[card.part.files].value == ["ink.safetensors"]


def test_the_sidebar_names_them_and_how_the_base_draws_with_them(
    card: Page, tmp_path: Path, tiny_base: Base, monkeypatch: pytest.MonkeyPatch
) -> None:
    lcm = ChosenLora(save_lora(tmp_path / "loras" / "lcm<i>.safetensors"), 0.75)
    assert "LoRA" not in machine_line(card.studio, Readiness(card.studio))
    card.studio.use_loras([lcm])
    use_loras(tiny_base, [lcm])
    monkeypatch.setattr(Studio, "base", property(lambda _studio: tiny_base))
    shown = machine_line(card.studio, Readiness(card.studio))
    assert "LoRAs for pictures, off while teaching: lcm&lt;i&gt; 0.75" in shown
    assert "With its LoRA: it draws in 4 steps, no guidance." in shown


def recipe(*loras: UsedLora) -> ImageRecipe:
    return ImageRecipe(
        format_version=FORMAT_VERSION,
        prompt="a dog",
        seed=1,
        steps=2,
        guidance=1.0,
        width=64,
        height=64,
        scheduler="ddim",
        base="pocket",
        base_fingerprint="f",
        loras=list(loras),
    )


def test_image_info_and_the_form_say_which_acted_and_which_are_missing(card: Page, tmp_path: Path) -> None:
    ink = UsedLora(
        name="ink.safetensors", content_hash=content_hash(tmp_path / "loras" / "ink.safetensors"), weight=0.5
    )
    other = UsedLora(name="other.safetensors", content_hash="e" * 64, weight=1.0)
    image = save_png(Image.new("RGB", (8, 8)), recipe(ink), tmp_path / "made.png")
    shown = described(recipe(ink), image, Served(tmp_path / "served"))
    assert "LoRA ink.safetensors" in shown
    assert f"weight 0.5, {ink.content_hash[:12]}" in shown

    def lost(*loras: UsedLora) -> str:
        return " ".join(restored_form(recipe(*loras), card.studio).lost)

    assert lost() == ""
    assert "LoRAs: ink 0.5 in the image; none in use." in lost(ink)
    card.studio.use_loras([ChosenLora(tmp_path / "loras" / "ink.safetensors", 0.5)])
    assert lost(ink) == ""
    assert "LoRAs: none in the image; ink 0.5 in use." in lost()
    assert "The LoRA “other.safetensors” (eeeeeeeeeeee) is not on this machine." in lost(ink, other)
