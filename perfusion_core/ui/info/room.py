"""Image info: the recipe inside a picture, and the way back into Create."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import gradio as gr

from perfusion_core.errors import PerfusionError
from perfusion_core.ui import open_in_create
from perfusion_core.ui.html import escape, note, notes

if TYPE_CHECKING:
    from perfusion_core.sampling.png import ForeignRecipe, ImageRecipe
    from perfusion_core.studio.app import Studio
    from perfusion_core.ui.create.room import CreateRoom
    from perfusion_core.ui.served import Served

FACTS = {
    "negative_prompt": "Not in the picture",
    "seed": "Seed",
    "steps": "Steps",
    "guidance": "Guidance",
    "scheduler": "Scheduler",
    "sampler": "Sampler",
    "lock": "Lock",
    "base": "Base model",
    "device": "Computed on",
    "precision": "Precision",
}


@dataclass(frozen=True)
class InfoRoom:
    file: gr.File
    shown: gr.HTML
    load: gr.Button
    path: gr.State


def render() -> InfoRoom:
    with gr.Row(elem_id="info", elem_classes="two"):
        with gr.Column(scale=4, min_width=300, elem_classes="card"):
            gr.HTML(
                "<h2>Image info</h2><p class='quiet'>Every picture saved here carries its recipe: the "
                "prompt, the seed, each "
                "concept and its setting. Drop one to read it.</p>",
                js_on_load=None,
            )
            file = gr.File(
                label="A picture made here (PNG)",
                file_types=[".png"],
                height=132,
                elem_id="info-in",
                show_label=False,
            )
        with gr.Column(scale=6, min_width=320):
            shown = gr.HTML("", elem_id="info-shown", js_on_load=None)
            load = gr.Button("Load into Create", variant="primary", visible=False, elem_id="info-load")
    return InfoRoom(file, shown, load, gr.State(""))


def listen(room: InfoRoom, create: CreateRoom, rooms: gr.Tabs, studio: Studio, served: Served) -> None:
    def read(path: str | None) -> list[Any]:
        """[shown, load, path, file]"""
        if not path:
            return [gr.skip()] * 4
        from perfusion_core.sampling.png import read_any_recipe

        try:
            found = read_any_recipe(Path(path))
        except PerfusionError as error:
            return [note(str(error), "problem"), gr.Button(visible=False), "", None]
        return [described(found, Path(path), served), gr.Button(visible=True), path, None]

    def load(path: str) -> list[Any]:
        from perfusion_core.sampling.png import read_any_recipe

        try:
            values, missing = open_in_create.recipe(read_any_recipe(Path(path)), studio)
        except PerfusionError as error:
            return [note(str(error), "problem"), *open_in_create.untouched(create)]
        return [notes(missing, "problem") or note("The form is as it was for that picture.", "good"), *values]

    quiet: dict[str, Any] = {"show_progress": "hidden", "api_visibility": "private"}
    room.file.upload(read, room.file, [room.shown, room.load, room.path, room.file], **quiet)
    room.load.click(load, room.path, [create.said, *open_in_create.targets(create, rooms)], **quiet)


def described(found: ImageRecipe | ForeignRecipe, path: Path, served: Served) -> str:
    """A picture beside its recipe."""
    rows = [
        (word, getattr(found, key))
        for key, word in FACTS.items()
        if getattr(found, key, None) not in (None, "")
    ]
    if found.width and found.height:
        rows.append(("Size", f"{found.width} × {found.height}"))
    rows += [
        (f"<{one.name}>, a {one.superclass}", f"gate bias {one.bias:.2f}")
        for one in getattr(found, "concepts", [])
    ]
    lines = "".join(f"<div><dt>{escape(word)}</dt><dd>{escape(value)}</dd></div>" for word, value in rows)
    other = (
        ""
        if hasattr(found, "concepts")
        else note("Another tool made this picture: only what it wrote down can be loaded.")
    )
    return (
        f'<section class="card info-card"><img src="{escape(served.url(path))}" alt="The picture"><div><p '
        f'class="strong">{escape(found.prompt)}</p>'
        f'{other}<dl class="facts">{lines}</dl></div></section>'
    )
