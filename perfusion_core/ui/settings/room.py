"""Settings: where things are kept, what teaching may take, how it looks, and who may reach this app."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import gradio as gr

from perfusion_core.errors import PerfusionError
from perfusion_core.studio.access import make_secret
from perfusion_core.studio.settings import chosen_folder, prefer, read_preferences
from perfusion_core.ui.html import escape, note

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
    user: gr.Textbox
    password: gr.Textbox
    let_in: gr.Button
    shut: gr.Button
    lan_said: gr.HTML


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
                    max_length=1000,
                )
                outputs = gr.Textbox(
                    str(studio.settings.outputs),
                    label="Pictures",
                    info="Where new pictures go",
                    elem_id="outputs-folder",
                    max_length=1000,
                )
                gr.HTML(_places(studio), js_on_load=None)
            with gr.Column(elem_classes="card"):
                gr.HTML("<h2>Teaching</h2>", js_on_load=None)
                memory = gr.Radio(
                    MEMORY,
                    value=_nearest(studio.settings.memory),
                    label="Memory of the graphics card",
                    info="Less memory teaches a Stable Diffusion model in smaller parts: the same result, "
                    "more slowly. The pocket model fits everywhere and does not change.",
                    elem_id="memory-preset",
                )
            apply = gr.Button("Save", variant="primary", elem_id="settings-apply")
            said = gr.HTML("", elem_id="settings-said", js_on_load=None)
        with gr.Column(scale=5, min_width=300):
            with gr.Column(elem_classes="card"):
                gr.HTML("<h2>Look</h2>", js_on_load=None)
                look = gr.Radio(LOOKS, value="", label="Colours", elem_id="look-choice")
            with gr.Column(elem_classes="card"):
                gr.HTML(
                    "<h2>From another machine</h2><p class='quiet'>With a name and a password this app "
                    "answers on the local network as well, from the next start on. Without them it answers "
                    "this machine only.</p>",
                    js_on_load=None,
                )
                with gr.Row():
                    user = gr.Textbox(label="Name", elem_id="lan-user", max_length=60, min_width=120)
                    password = gr.Textbox(
                        label="Password",
                        type="password",
                        elem_id="lan-password",
                        max_length=200,
                        min_width=120,
                    )
                with gr.Row():
                    let_in = gr.Button("Let others in", size="md", elem_id="lan-on", min_width=120)
                    shut = gr.Button("This machine only", size="md", elem_id="lan-off", min_width=120)
                lan_said = gr.HTML(_lan(studio), elem_id="lan-said", js_on_load=None)
    return SettingsRoom(models, outputs, memory, apply, said, look, user, password, let_in, shut, lan_said)


def listen(room: SettingsRoom, studio: Studio, demo: gr.Blocks) -> None:
    home = studio.settings.home

    def save(models: str | None, outputs: str | None, memory: float) -> list[Any]:
        """[models, outputs, said]"""
        try:
            where = _folder(models, home / "models", "models")
            pictures = _folder(outputs, home / "outputs", "pictures")
            prefer(
                home,
                models="" if where == home / "models" else str(where),
                outputs="" if pictures == home / "outputs" else str(pictures),
                memory=float(memory or 0),
            )
        except PerfusionError as error:
            return [gr.skip(), gr.skip(), note(str(error), "problem")]
        studio.change(models_dir=where, outputs=pictures, memory=memory or None)
        return [str(where), str(pictures), note("Saved. It counts from now on.", "good")]

    def let_in(user: str | None, password: str | None) -> tuple[Any, str]:
        if not (user or "").strip():
            return gr.skip(), note("Give a name as well.", "problem")
        try:
            prefer(home, lan_user=(user or "").strip(), lan_secret=make_secret((password or "").strip()))
        except PerfusionError as error:
            return gr.skip(), note(str(error), "problem")
        return "", _lan(studio)

    def shut() -> str:
        try:
            prefer(home, lan_user="", lan_secret="")
        except PerfusionError as error:
            return note(str(error), "problem")
        return _lan(studio)

    def current() -> list[Any]:
        """What counts now, for a page that is opened later: [models, outputs, memory, lan_said]"""
        now = studio.settings
        return [str(now.models_folder), str(now.outputs), _nearest(now.memory), _lan(studio)]

    quiet: dict[str, Any] = {"show_progress": "hidden", "api_visibility": "private"}
    room.apply.click(
        save, [room.models, room.outputs, room.memory], [room.models, room.outputs, room.said], **quiet
    )
    room.look.input(None, room.look, None, js="(name) => window.perfusionTheme.choose(name)", **quiet)
    demo.load(current, None, [room.models, room.outputs, room.memory, room.lan_said], **quiet)
    demo.load(None, None, room.look, js="() => window.perfusionTheme.chosen()", **quiet)
    room.let_in.click(let_in, [room.user, room.password], [room.password, room.lan_said], **quiet)
    room.shut.click(shut, None, room.lan_said, **quiet)


def _folder(text: str | None, default: Path, what: str) -> Path:
    """A folder a person typed, made where it is missing. Raises `PerfusionError`."""
    typed = (text or "").strip()
    return default if not typed or typed == str(default) else chosen_folder(typed, what)


def _nearest(memory: float | None) -> float:
    """The preset nearest to what the program was started with."""
    return min((value for _, value in MEMORY), key=lambda value: abs(value - (memory or 0.0)))


def _lan(studio: Studio) -> str:
    chosen = read_preferences(studio.settings.home)
    if not chosen.lan_user:
        return note("Only this machine can use the app.")
    return note(f"“{chosen.lan_user}” may come in from other machines after the next start.", "good")


def _places(studio: Studio) -> str:
    settings = studio.settings
    rows = [("Library and jobs", settings.home), ("Statistics and copies", settings.cache_folder)]
    lines = "".join(
        f"<div><dt>{escape(word)}</dt><dd><code>{escape(path)}</code></dd></div>" for word, path in rows
    )
    return (
        f'<dl class="facts places">{lines}</dl><p class="quiet">Set <code>PERFUSION_HOME</code> before the '
        "start to keep these elsewhere.</p>"
    )
