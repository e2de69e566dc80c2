"""One slider for each concept in the prompt, and the live image that follows a dragged one."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import gradio as gr

from perfusion_core.errors import PerfusionError
from perfusion_core.sampling.operating_points import bias_to_slider, check_bias, default_bias
from perfusion_core.studio.creating.live import Busy, render_live
from perfusion_core.ui.create import recent_images
from perfusion_core.ui.event_options import AT_ONCE, QUIET
from perfusion_core.ui.html import escape, note

if TYPE_CHECKING:
    from perfusion_core.studio.app import Studio
    from perfusion_core.ui.create.room import CreateRoom
    from perfusion_core.ui.served import Served

ENDS = '<div class="ends"><span>follows the prompt</span><span>faithful to the photos</span></div>'


def listen(room: CreateRoom, studio: Studio, served: Served, demo: gr.Blocks) -> None:
    form = room.form
    with room.sliders:

        @gr.render(
            inputs=[room.mentions, form.lock, room.positions],
            triggers=[demo.load, room.mentions.change, form.lock.change, room.applied.change],
            show_progress="hidden",
        )
        def _sliders(mentions: list[tuple[str, str]], lock: str, positions: dict[str, float]) -> None:
            if not mentions:
                gr.HTML(
                    '<p class="quiet">Put a concept into the prompt and its slider appears here.</p>',
                    js_on_load=None,
                )
            sliders: dict[str, gr.Slider] = {}
            for name, number in mentions:
                if number:
                    _written(name, number, lock)
                else:
                    position = positions.get(name, recommended(studio, name, lock))
                    sliders[name] = _slider(name, lock, position)
            _follow(room, studio, served, sliders)


def _slider(name: str, lock: str, position: float) -> gr.Slider:
    slider = gr.Slider(
        0,
        100,
        value=position,
        step=1,
        interactive=True,
        label=f"<{name}>",
        key=f"slider-{name}-{lock}",
        elem_classes="dose",
        elem_id=f"dose-{name}",
        preserved_by_key=[],
    )
    gr.HTML(ENDS, js_on_load=None)
    return slider


def _written(name: str, number: str, lock: str) -> None:
    """A slider that cannot be moved: a gate bias in the prompt counts before any slider."""
    try:
        position = 100 * bias_to_slider(check_bias(float(number), name), lock)
    except (PerfusionError, ValueError):
        problem = (
            f"“{number}” in the prompt cannot be a gate bias for <{name}>. Write a number, such as 0.65."
        )
        gr.HTML(note(problem, "problem"), js_on_load=None)
        return
    gr.Slider(
        0,
        100,
        value=round(position, 1),
        step=0.1,
        interactive=False,
        label=f"<{name}>",
        key=f"written-{name}-{lock}-{number}",
        elem_classes="dose",
        elem_id=f"dose-{name}",
    )
    gr.HTML(
        f'<p class="quiet">The prompt sets the gate bias of &lt;{escape(name)}&gt; to {escape(number)}. '
        "Delete the number there to use the slider.</p>",
        js_on_load=None,
    )


def _follow(room: CreateRoom, studio: Studio, served: Served, sliders: dict[str, gr.Slider]) -> None:
    """Remember the sliders' positions, and generate the image at a dragged one's new position."""
    stage, live, form = room.stage, room.seed_row.live, room.form

    def remember(values: Mapping[Any, Any]) -> dict[str, float]:
        return {**values[room.positions], **{name: values[slider] for name, slider in sliders.items()}}

    def drag(values: Mapping[Any, Any]) -> Any:
        if not values[live] or studio.base is None:
            return gr.skip()
        positions = {name: values[slider] for name, slider in sliders.items()}
        try:
            asked = form.asked(values[room.prompt], values)
            made = render_live(
                studio.worker,
                asked.request(positions, count=1),
                studio.settings.base,
                studio.settings.cache_folder,
                loras=studio.settings.loras,
            )
        except PerfusionError as error:
            return {stage.said: note(str(error), "problem")}
        if isinstance(made, Busy):
            busy = (
                f"The model is busy (“{made.title}”), so the picture does not follow the slider. Create "
                "puts it in the queue."
            )
            return {stage.said: note(busy)}
        return {stage.gallery: recent_images.gallery([made], served), stage.said: live_time(positions, made)}

    for slider in sliders.values():
        slider.change(remember, {room.positions, *sliders.values()}, room.positions, **AT_ONCE)
        slider.input(
            drag,
            {room.prompt, live, *sliders.values(), *form.components().values()},
            [stage.gallery, stage.said],
            trigger_mode="always_last",
            concurrency_id="live",
            concurrency_limit=1,
            **QUIET,
        ).then(None, None, None, js="() => window.perfusionLiveTime()", **AT_ONCE)


def live_time(positions: Mapping[str, float], image: Path) -> str:
    """Where the page writes how long the image took from the slider's move, which only the browser knows.

    It does so if the sliders still stand at `positions` once `image` is on the screen: of an image that the
    slider has already left, the time says nothing.
    """
    at = escape(json.dumps(dict(positions)))
    return f'<p class="quiet live-time" data-at="{at}" data-image="{escape(image.name)}"></p>'


def recommended(studio: Studio, name: str, lock: str) -> float:
    """The position at which a concept's slider opens, 0..100: its own setting, else the default."""
    entry = studio.library.find(name)
    bias = entry.metadata.bias.get(lock) if entry is not None else None  # type: ignore[call-overload]
    return round(100 * bias_to_slider(default_bias(lock) if bias is None else bias, lock))
