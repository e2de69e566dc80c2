"""Settings: which base model is used, where things are kept, and how others may reach this app."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import gradio as gr

from perfusion_core.errors import PerfusionError
from perfusion_core.studio.preferences import Preferences, read_preferences, write_preferences
from perfusion_core.ui.words import escape, note

if TYPE_CHECKING:
    from perfusion_core.studio.app import Studio
    from perfusion_core.studio.readiness import Readiness


@dataclass(frozen=True)
class SettingsRoom:
    base: gr.Dropdown
    models: gr.Textbox
    apply: gr.Button
    said: gr.HTML


def render(studio: Studio) -> SettingsRoom:
    with gr.Row(elem_id="settings", elem_classes="two"):
        with gr.Column(scale=5, min_width=300, elem_classes="card"):
            gr.HTML(
                "<h2>Base model</h2><p class='quiet'>Stable Diffusion 1.x and 2.x. Found on this machine, "
                "or give a folder, a "
                ".safetensors file or a Hugging Face id; that one is downloaded when it is first used.</p>",
                js_on_load=None,
            )
            base = gr.Dropdown(
                choices(studio),
                value=studio.settings.base,
                label="Base model",
                allow_custom_value=True,
                interactive=True,
                elem_id="base",
            )
            models = gr.Textbox(
                str(studio.settings.models_folder),
                label="Models folder",
                info="Folders and .safetensors files in it are offered above",
                elem_id="models-folder",
                max_length=1000,
                interactive=True,
            )
            apply = gr.Button("Use it", variant="primary", elem_id="settings-apply")
            said = gr.HTML(unsupported(studio), elem_id="settings-said", js_on_load=None)
        with gr.Column(scale=5, min_width=300, elem_classes="card"):
            gr.HTML(_places(studio), js_on_load=None)
    return SettingsRoom(base, models, apply, said)


def listen(room: SettingsRoom, studio: Studio, readiness: Readiness) -> None:
    def use(base: str | None, models: str | None) -> list[Any]:
        wanted = (base or "").strip() or "pocket"
        folder = Path((models or "").strip()).expanduser() if (models or "").strip() else None
        if folder is not None and folder.exists() and not folder.is_dir():
            return [gr.skip(), note(f"{folder} is a file. Give a folder.", "problem")]
        default = studio.settings.home / "models"
        studio.settings = replace(studio.settings, models_dir=None if folder in (None, default) else folder)
        studio.bases.settings = studio.settings
        studio.use_base(wanted)
        try:
            kept = read_preferences(studio.settings.home).model_copy(
                update={"base": wanted, "models": "" if folder in (None, default) else str(folder)}
            )
            write_preferences(studio.settings.home, Preferences(**kept.model_dump()))
        except PerfusionError as error:
            return [gr.skip(), note(str(error), "problem")]
        readiness.begin()
        said = note(f"{readiness.name} is used from now on. Beside this you see when it is ready.", "good")
        return [gr.Dropdown(choices=choices(studio), value=wanted), said + unsupported(studio)]

    room.apply.click(
        use,
        [room.base, room.models],
        [room.base, room.said],
        show_progress="hidden",
        api_visibility="private",
    )


def choices(studio: Studio) -> list[tuple[str, str]]:
    """The base models found on this machine that can be used, and the one in use."""
    found = [(one.title, one.id) for one in studio.available_bases() if one.supported]
    current = studio.settings.base
    if all(reference != current for _, reference in found):
        found.append((current, current))
    return found


def unsupported(studio: Studio) -> str:
    """Models on this machine that cannot be used, with the reason."""
    lines = "".join(f"<li>{escape(one.reason)}</li>" for one in studio.available_bases() if not one.supported)
    return f'<p class="quiet">Also found:</p><ul class="quiet">{lines}</ul>' if lines else ""


def _places(studio: Studio) -> str:
    settings = studio.settings
    rows = [
        ("Library and jobs", settings.home),
        ("Pictures", settings.outputs),
        ("Statistics and copies", settings.cache_folder),
    ]
    lines = "".join(
        f"<div><dt>{escape(word)}</dt><dd><code>{escape(path)}</code></dd></div>" for word, path in rows
    )
    return (
        f'<h2>Where things are</h2><dl class="facts places">{lines}</dl><p class="quiet">Set '
        "<code>PERFUSION_HOME</code> before the "
        "start to keep them elsewhere.</p><h2 class='later'>From another machine</h2><p "
        "class='quiet'>Start with "
        "<code>--host 0.0.0.0 --auth name:password</code>. Without a password the app answers this machine "
        "only.</p>"
    )
