"""Settings: folders, memory for teaching, LoRAs, colours, and access from other machines."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import gradio as gr

from perfusion_core.ui.field_values import LONGEST_PATH
from perfusion_core.ui.html import escape
from perfusion_core.ui.settings import lan_access, lora_choice
from perfusion_core.ui.settings.lan_access import LanAccess
from perfusion_core.ui.settings.lora_choice import LoraChoice

if TYPE_CHECKING:
    from perfusion_core.studio.app import Studio

MEMORY = [("What is free", 0.0), ("6 GB", 6.0), ("8 GB", 8.0), ("12 GB", 12.0), ("24 GB", 24.0)]
LOOKS = [("As the system", ""), ("Light", "light"), ("Dark", "dark")]


@dataclass(frozen=True)
class SettingsRoom:
    models: gr.Textbox
    outputs: gr.Textbox
    memory: gr.Radio
    apply: gr.Button
    said: gr.HTML
    look: gr.Radio
    loras: LoraChoice
    lan: LanAccess


def render(studio: Studio) -> SettingsRoom:
    with gr.Row(elem_id="settings", elem_classes="two"):
        with gr.Column(scale=5, min_width=300):
            with gr.Column(elem_classes="card"):
                gr.HTML("<h2>Folders</h2>", js_on_load=None)
                models = gr.Textbox(
                    str(studio.settings.models_folder),
                    label="Models",
                    info="Model folders and .safetensors files in it are offered as base models",
                    elem_id="models-folder",
                    max_length=LONGEST_PATH,
                )
                outputs = gr.Textbox(
                    str(studio.settings.outputs),
                    label="Pictures",
                    info="Where new pictures are saved",
                    elem_id="outputs-folder",
                    max_length=LONGEST_PATH,
                )
                gr.HTML(_places(studio), js_on_load=None)
            with gr.Column(elem_classes="card"):
                gr.HTML("<h2>Teaching</h2>", js_on_load=None)
                memory = gr.Radio(
                    MEMORY,
                    value=nearest(studio.settings.memory),
                    label="Memory of the graphics card",
                    info="With less memory, a Stable Diffusion model is taught in smaller parts: the same "
                    "result, more slowly. The pocket model fits everywhere and does not change.",
                    elem_id="memory-preset",
                )
            loras = lora_choice.render(studio)
            apply = gr.Button("Save", variant="primary", elem_id="settings-apply")
            said = gr.HTML("", elem_id="settings-said", js_on_load=None)
        with gr.Column(scale=5, min_width=300):
            with gr.Column(elem_classes="card"):
                gr.HTML("<h2>Look</h2>", js_on_load=None)
                look = gr.Radio(LOOKS, value="", label="Colours", elem_id="look-choice")
            lan = lan_access.render(studio)
    return SettingsRoom(
        models=models,
        outputs=outputs,
        memory=memory,
        apply=apply,
        said=said,
        look=look,
        loras=loras,
        lan=lan,
    )


def nearest(memory: float | None) -> float:
    """The preset nearest to what the program was started with."""
    return min((value for _, value in MEMORY), key=lambda value: abs(value - (memory or 0.0)))


def _places(studio: Studio) -> str:
    """The folders that are set by the environment, to read."""
    settings = studio.settings
    rows = [("Library and jobs", settings.home), ("Statistics and copies", settings.cache_folder)]
    lines = "".join(
        f"<div><dt>{escape(word)}</dt><dd><code>{escape(path)}</code></dd></div>" for word, path in rows
    )
    return (
        f'<dl class="facts places">{lines}</dl><p class="quiet">Set <code>PERFUSION_HOME</code> before the '
        "start to keep these elsewhere.</p>"
    )
