"""The page: a header, the rooms as tabs, and what the machine is doing beside them."""

from __future__ import annotations

from typing import TYPE_CHECKING

import gradio as gr

from perfusion_core.ui import sidebar
from perfusion_core.ui.create import attribution_maps, concept_sliders, images, prompt, recent_images
from perfusion_core.ui.create import room as create
from perfusion_core.ui.event_options import QUIET
from perfusion_core.ui.explore import generate_front
from perfusion_core.ui.explore import room as explore
from perfusion_core.ui.info import room as info
from perfusion_core.ui.library import actions
from perfusion_core.ui.library import room as library
from perfusion_core.ui.settings import lora_choice, saved_settings
from perfusion_core.ui.settings import room as settings
from perfusion_core.ui.teach import form, kind_field, photo_edits, photo_intake, progress_events
from perfusion_core.ui.teach import room as teach
from perfusion_core.ui.theme import ASSETS

if TYPE_CHECKING:
    from perfusion_core.studio.app import Studio
    from perfusion_core.studio.readiness import Readiness
    from perfusion_core.ui.served import Served

# Gradio deletes what it copied for pages after a day; it looks every hour. In seconds.
KEPT = (3600, 86_400)


def build_page(studio: Studio, served: Served, readiness: Readiness) -> gr.Blocks:
    """All rooms and what passes between them. Needs no model."""
    with gr.Blocks(title="Perfusion Studio", analytics_enabled=False, delete_cache=KEPT) as demo:
        gr.HTML(_header(), elem_id="top", js_on_load=None)
        with gr.Row(elem_id="frame"):
            with gr.Column(elem_id="main", min_width=320), gr.Tabs(elem_id="rooms") as rooms:
                with gr.Tab("Create", id="create") as create_tab:
                    create_room = create.render(studio, served)
                with gr.Tab("Teach", id="teach"):
                    teach_room = teach.render(studio, served)
                with gr.Tab("Library", id="library") as library_tab:
                    library_room = library.render(studio, served)
                with gr.Tab("Explore", id="explore") as explore_tab:
                    explore_room = explore.render(studio, served)
                with gr.Tab("Image info", id="info"):
                    info_room = info.render()
                with gr.Tab("Settings", id="settings") as settings_tab:
                    settings_room = settings.render(studio)
            with gr.Column(elem_id="aside", scale=0, min_width=280):
                sidebar_part = sidebar.render(studio, readiness)
        prompt.listen(create_room, studio, served, demo, create_tab, sidebar_part.machine)
        concept_sliders.listen(create_room, studio, served, demo)
        images.listen(create_room, studio, served)
        recent_images.listen(create_room.stage, studio, served, demo)
        attribution_maps.listen(create_room.stage, studio, served)
        photo_intake.listen(teach_room, studio, served)
        photo_edits.listen(teach_room, studio, served)
        kind_field.listen(teach_room, studio, demo, sidebar_part.machine)
        form.listen(teach_room, studio, served)
        progress_events.listen(teach_room.progress, create_room, rooms, studio, served, demo)
        actions.listen(library_room, create_room, teach_room, rooms, studio, served, library_tab, demo)
        generate_front.listen(explore_room, create_room, rooms, studio, served, explore_tab, demo)
        info.listen(info_room, create_room, rooms, studio, served, readiness)
        saved_settings.listen(settings_room, studio, demo)
        shown = [demo.load, settings_tab.select, sidebar_part.machine.change]
        lora_choice.listen(settings_room.loras, studio, readiness, shown)
        sidebar.listen(sidebar_part, studio, readiness, demo)
        # Pressed by studio.js where an answer came too late for the stream that it was sent on.
        gr.Button("", elem_id="wake", visible="hidden").click(lambda: None, None, None, **QUIET)
    return demo


def _header() -> str:
    icon = (ASSETS / "icon.svg").read_text("utf-8")
    return (
        f'<header class="brand">{icon}<div><h1>Perfusion Studio</h1>'
        "<p>Teach a picture model one thing, and say how much of it you want.</p></div>"
        '<button id="theme-switch" type="button" aria-label="Switch between light and dark" '
        'title="Light or dark"><span aria-hidden="true">◐</span></button></header>'
    )
