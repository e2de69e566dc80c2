"""The name and password with which other machines may use the app from its next start on."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import gradio as gr

from perfusion_core.errors import PerfusionError
from perfusion_core.studio.access import LONGEST, make_secret
from perfusion_core.studio.settings import prefer, read_preferences
from perfusion_core.ui.event_options import QUIET, Updates
from perfusion_core.ui.field_values import LONGEST_USER, bounded
from perfusion_core.ui.html import note

if TYPE_CHECKING:
    from perfusion_core.studio.app import Studio


@dataclass(frozen=True)
class LanAccess:
    user: gr.Textbox
    password: gr.Textbox
    on: gr.Button
    off: gr.Button
    said: gr.HTML


def render(studio: Studio) -> LanAccess:
    with gr.Column(elem_classes="card"):
        gr.HTML(
            "<h2>From another machine</h2><p class='quiet'>With a name and a password, the app also answers "
            "other machines on your local network, from the next start on. Without them it answers this "
            "machine only.</p>",
            js_on_load=None,
        )
        with gr.Row():
            user = gr.Textbox(label="Name", elem_id="lan-user", max_length=LONGEST_USER, min_width=120)
            password = gr.Textbox(
                label="Password",
                type="password",
                elem_id="lan-password",
                max_length=LONGEST,
                min_width=120,
            )
        with gr.Row():
            on = gr.Button("Let others in", size="md", elem_id="lan-on", min_width=120)
            off = gr.Button("This machine only", size="md", elem_id="lan-off", min_width=120)
        said = gr.HTML(state(studio), elem_id="lan-said", js_on_load=None)
    return LanAccess(user=user, password=password, on=on, off=off, said=said)


def listen(lan: LanAccess, studio: Studio) -> None:
    home = studio.settings.home

    def let_in(user: str | None, password: str | None) -> Updates:
        try:
            name = bounded(user, LONGEST_USER, "The name")
            if not name:
                raise PerfusionError("Give a name as well.")
            prefer(home, lan_user=name, lan_secret=make_secret((password or "").strip()))
        except PerfusionError as error:
            return {lan.said: note(str(error), "problem")}
        return {lan.password: "", lan.said: state(studio)}

    def shut() -> str:
        try:
            prefer(home, lan_user="", lan_secret="")
        except PerfusionError as error:
            return note(str(error), "problem")
        return state(studio)

    lan.on.click(let_in, [lan.user, lan.password], [lan.password, lan.said], **QUIET)
    lan.off.click(shut, None, lan.said, **QUIET)


def state(studio: Studio) -> str:
    """Who may use the app, as HTML."""
    chosen = read_preferences(studio.settings.home)
    if not chosen.lan_user:
        return note("Only this machine can use the app.")
    return note(f"After the next start, “{chosen.lan_user}” can use the app from other machines.", "good")
