"""The prompt, the chips that write a concept into it, and the sliders that come and go with what it names."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import gradio as gr

from perfusion_core.sampling.operating_points import bias_to_slider, default_bias
from perfusion_core.studio.creating.mentions import fixed, mentioned, with_mention
from perfusion_core.ui.create.concept_chips import chips, first_prompt
from perfusion_core.ui.create.images import follow
from perfusion_core.ui.html import escape

if TYPE_CHECKING:
    from perfusion_core.studio.app import Studio
    from perfusion_core.ui.create.room import CreateRoom
    from perfusion_core.ui.served import Served

QUIET: dict[str, Any] = {"show_progress": "hidden", "api_visibility": "private"}
FAST: dict[str, Any] = {**QUIET, "queue": False}


def listen(
    room: CreateRoom, studio: Studio, served: Served, demo: gr.Blocks, tab: gr.Tab, machine: gr.HTML
) -> None:
    """`machine` changes when another base model is there."""

    def names() -> list[str]:
        return [entry.name for entry in studio.library.entries()]

    def read(prompt: str) -> tuple[str, list[str]]:
        known = names()
        return chips(studio, served, prompt), mentioned(prompt or "", known)

    def write(prompt: str, event: gr.EventData) -> tuple[str, str, list[str]]:
        text = with_mention(prompt or "", str(event.name))
        return text, *read(text)

    def opening(prompt: str) -> tuple[str, str, list[str]]:
        text = prompt or first_prompt(names())
        return text, *read(text)

    seen = [room.chips, room.mentions]
    # Queued, all of them: outside the queue Gradio does not tell the page that a State has changed.
    in_turn: dict[str, Any] = {
        **QUIET,
        "concurrency_id": "prompt",
        "concurrency_limit": 1,
    }  # the last one counts
    demo.load(opening, room.prompt, [room.prompt, *seen], **in_turn)
    tab.select(read, room.prompt, seen, **in_turn)
    room.prompt.change(read, room.prompt, seen, trigger_mode="always_last", **in_turn)
    room.chips.click(write, room.prompt, [room.prompt, *seen], **in_turn)
    machine.change(read, room.prompt, seen, **in_turn)

    with room.sliders:

        @gr.render(
            inputs=[room.mentions, room.form[-1], room.positions, room.prompt],
            triggers=[demo.load, room.mentions.change, room.form[-1].change, room.applied.change],
            show_progress="hidden",
        )
        def _sliders(mentions: list[str], lock: str, positions: dict[str, float], prompt: str) -> None:
            _slider_group(room, studio, served, mentions, lock, positions, prompt)


def _slider_group(
    room: CreateRoom,
    studio: Studio,
    served: Served,
    mentions: list[str],
    lock: str,
    positions: dict[str, float],
    prompt: str,
) -> None:
    if not mentions:
        gr.HTML(
            '<p class="quiet">Put a concept into the prompt and its slider appears here.</p>', js_on_load=None
        )
        return
    written = fixed(prompt, mentions)
    sliders: dict[str, gr.Slider] = {}
    for name in mentions:
        if name in written:
            gr.HTML(
                f'<p><span class="strong">&lt;{escape(name)}&gt;</span> <span class="quiet">has its gate '
                "bias, "
                f"{escape(written[name])}, in the prompt.</span></p>",
                js_on_load=None,
            )
            continue
        sliders[name] = gr.Slider(
            0,
            100,
            value=positions.get(name, recommended(studio, name, lock)),
            step=1,
            interactive=True,
            label=f"<{name}>",
            key=f"slider-{name}-{lock}",
            elem_classes="dose",
            elem_id=f"dose-{name}",
            preserved_by_key=[],
        )
        gr.HTML(
            '<div class="ends"><span>follows the prompt</span><span>faithful to the photos</span></div>',
            js_on_load=None,
        )

    def remember(before: dict[str, float], *values: float) -> dict[str, float]:
        return {**before, **dict(zip(sliders, values, strict=True))}

    def drag(prompt: str, live: bool, *values: Any) -> list[Any]:
        count = len(sliders)
        now = dict(zip(sliders, values[:count], strict=True))
        return follow(studio, served, live, prompt, now, values[count:])

    inputs = list(sliders.values())
    for slider in inputs:
        slider.change(remember, [room.positions, *inputs], room.positions, **FAST)
        slider.input(
            drag,
            [room.prompt, room.live, *inputs, *room.form],
            [room.gallery, room.said],
            trigger_mode="always_last",
            concurrency_id="live",
            concurrency_limit=1,
            **QUIET,
        )


def recommended(studio: Studio, name: str, lock: str) -> float:
    """Where a concept's slider stands at first, 0..100."""
    entry = studio.library.find(name)
    bias = entry.metadata.bias.get(lock) if entry is not None else None  # type: ignore[call-overload]
    return round(100 * bias_to_slider(default_bias(lock) if bias is None else bias, lock))
