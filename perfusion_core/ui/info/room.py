"""Image info: the recipe inside an image, and the way back into Create."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import gradio as gr

from perfusion_core.errors import PerfusionError
from perfusion_core.ui import open_in_create
from perfusion_core.ui.create.restored_form import restored_form
from perfusion_core.ui.event_options import AT_ONCE, EACH_IN_TURN, QUIET, Updates
from perfusion_core.ui.html import escape, note, notes

if TYPE_CHECKING:
    from perfusion_core.sampling.png import ForeignRecipe, ImageRecipe
    from perfusion_core.studio.app import Studio
    from perfusion_core.studio.readiness import Readiness
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
    "removal": "Removal",
    "base": "Base model",
    "device": "Computed on",
    "precision": "Precision",
}


NOTHING_YET = (
    '<div class="empty empty-board"><p class="strong">The recipe appears here</p><p class="quiet">Load it '
    "into Create to make the same picture again, or to change it.</p></div>"
)


@dataclass(frozen=True)
class InfoRoom:
    """`path`: the file whose recipe is shown."""

    file: gr.File
    shown: gr.HTML
    load: gr.Button
    path: gr.State


def render() -> InfoRoom:
    with gr.Row(elem_id="info", elem_classes="two"):
        with gr.Column(scale=4, min_width=300, elem_classes="card"):
            gr.HTML(
                "<h2>Image info</h2><p class='quiet'>Every picture saved here carries its recipe: the "
                "prompt, the seed, each concept and its setting. Drop one to read it.</p>",
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
            shown = gr.HTML(NOTHING_YET, elem_id="info-shown", js_on_load=None)
            load = gr.Button("Load into Create", variant="primary", visible=False, elem_id="info-load")
    return InfoRoom(file=file, shown=shown, load=load, path=gr.State(""))


def listen(
    room: InfoRoom,
    create: CreateRoom,
    rooms: gr.Tabs,
    studio: Studio,
    served: Served,
    readiness: Readiness,
) -> None:
    def read(path: str | None) -> Any:
        if not path:
            return gr.skip()
        from perfusion_core.sampling.png import read_any_recipe

        try:
            found = read_any_recipe(Path(path))
        except PerfusionError as error:
            return {
                room.shown: note(str(error), "problem"),
                room.load: gr.Button(visible=False),
                room.path: "",
            }
        return {
            room.shown: described(found, Path(path), served),
            room.load: gr.Button(visible=True),
            room.path: path,
        }

    def load(path: str) -> Updates:
        from perfusion_core.sampling.png import ImageRecipe, read_any_recipe

        try:
            recipe = read_any_recipe(Path(path))
            if isinstance(recipe, ImageRecipe) and studio.use_loras_of(recipe):
                readiness.begin()
            form = restored_form(recipe, studio)
        except PerfusionError as error:
            return {create.stage.said: note(str(error), "problem")}
        return {create.stage.said: loaded(form.lost), **open_in_create.restored(create, rooms, form)}

    taken = room.file.upload(read, room.file, [room.shown, room.load, room.path], **EACH_IN_TURN)
    taken.then(lambda: None, None, room.file, **AT_ONCE)
    room.load.click(load, room.path, [create.stage.said, *open_in_create.targets(create, rooms)], **QUIET)


def loaded(lost: list[str]) -> str:
    """What the form has of an image's recipe."""
    if not lost:
        return note("The form is as it was for that picture.", "good")
    return notes(lost, "problem") + note("The rest of the form is as it was for that picture.")


def described(found: ImageRecipe | ForeignRecipe, path: Path, served: Served) -> str:
    """An image beside its recipe, as HTML."""
    rows = [
        (word, getattr(found, key))
        for key, word in FACTS.items()
        if getattr(found, key, None) not in (None, "")
    ]
    if found.width and found.height:
        rows.append(("Size", f"{found.width} × {found.height}"))
    rows += [
        (f"<{one.name}>, a {one.superclass}", f"gate bias {one.bias:g}, temperature {one.temperature:g}")
        for one in getattr(found, "concepts", [])
    ]
    rows += [
        (f"LoRA {one.name}", f"weight {one.weight:g}, {one.content_hash[:12]}")
        for one in getattr(found, "loras", [])
    ]
    lines = "".join(f"<div><dt>{escape(word)}</dt><dd>{escape(value)}</dd></div>" for word, value in rows)
    other = (
        ""
        if hasattr(found, "concepts")
        else note("Another tool made this picture: only what it wrote down can be loaded.")
    )
    return (
        f'<section class="card info-card"><img src="{escape(served.url(path))}" alt="The picture"><div>'
        f'<p class="strong">{escape(found.prompt)}</p>'
        f'{other}<dl class="facts">{lines}</dl></div></section>'
    )
