"""Which LoRAs act on the base in use when images are made, and how strongly."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import gradio as gr

from perfusion_core.errors import PerfusionError
from perfusion_core.model.lora_files import WEIGHTS, ChosenLora, lora_listings
from perfusion_core.printable import printable
from perfusion_core.ui.choice_list import choice_list
from perfusion_core.ui.event_options import EACH_IN_TURN, QUIET, Updates
from perfusion_core.ui.html import escape, note

if TYPE_CHECKING:
    from perfusion_core.studio.app import Studio
    from perfusion_core.studio.readiness import Readiness


@dataclass(frozen=True)
class LoraChoice:
    """`applied`: the LoRAs that the sliders were made for, as file names with weights."""

    files: gr.Dropdown
    weights: gr.Column
    applied: gr.State
    said: gr.HTML


def render(studio: Studio) -> LoraChoice:
    with gr.Column(elem_classes="card"):
        gr.HTML(
            "<h2>LoRAs</h2><p class='quiet'>They change the base model in use while pictures are made. A "
            "concept is always taught without them. One made for few steps (LCM, Lightning, Hyper-SD) is "
            "known by its file's name.</p>",
            js_on_load=None,
        )
        files = choice_list(
            _choices(studio),
            value=_names(studio),
            multiselect=True,
            label="In use",
            info=f"Files in {studio.settings.loras_folder}",
            elem_id="loras",
        )
        weights = gr.Column()
        said = gr.HTML(_refused(studio), elem_id="loras-said", js_on_load=None)
    return LoraChoice(files=files, weights=weights, applied=gr.State(_applied(studio)), said=said)


def listen(part: LoraChoice, studio: Studio, readiness: Readiness, shown: Sequence[Any]) -> None:
    """`shown`: events after which the LoRAs in use may be others than the page shows."""

    def use(loras: Sequence[ChosenLora]) -> str:
        problem = ""
        try:
            studio.use_loras(loras)
        except PerfusionError as error:
            problem = note(str(error), "problem")
        readiness.begin()
        return problem + _refused(studio)

    def choose(names: list[str] | None) -> Any:
        if (names or []) == _names(studio):
            return gr.skip()
        weights = {lora.file.name: lora for lora in studio.settings.loras}
        offered = {lora.file.name: lora for lora in _offered(studio)}
        chosen = [weights.get(name) or offered[name] for name in names or [] if name in offered]
        return {part.said: use(chosen), **_now(part, studio)}

    def look(applied: dict[str, float]) -> Any:
        if applied == _applied(studio):
            return {part.files: _list(studio), part.said: _refused(studio)}
        return {**_now(part, studio), part.said: _refused(studio)}

    # Gradio tells nothing of a choice that is taken back with the backspace key until the field is left.
    for event in (part.files.input, part.files.blur):
        event(choose, part.files, [part.files, part.applied, part.said], **EACH_IN_TURN)
    for event in shown:
        event(look, part.applied, [part.files, part.applied, part.said], **QUIET)
    with part.weights:

        @gr.render(inputs=[part.applied], triggers=[part.applied.change, *shown[:1]], show_progress="hidden")
        def _sliders(applied: dict[str, float]) -> None:
            sliders = {name: _slider(name, weight) for name, weight in applied.items()}

            def weigh(values: Mapping[Any, Any]) -> str:
                moved = {name: float(values[slider]) for name, slider in sliders.items()}
                return use(
                    [
                        ChosenLora(lora.file, moved.get(lora.file.name, lora.weight))
                        for lora in studio.settings.loras
                    ]
                )

            for slider in sliders.values():
                slider.release(weigh, {*sliders.values()}, part.said, **EACH_IN_TURN)


def _slider(name: str, weight: float) -> gr.Slider:
    return gr.Slider(
        *WEIGHTS,
        value=weight,
        step=0.05,
        interactive=True,
        label=f"Weight of {printable(Path(name).stem)}",
        key=f"lora-{name}",
        preserved_by_key=[],
    )


def _now(part: LoraChoice, studio: Studio) -> Updates:
    return {part.files: _list(studio), part.applied: _applied(studio)}


def _list(studio: Studio) -> Any:
    folder = f"Files in {studio.settings.loras_folder}"
    return choice_list(_choices(studio), value=_names(studio), multiselect=True, info=folder)


def _choices(studio: Studio) -> list[tuple[str, str]]:
    return [(printable(lora.file.stem), lora.file.name) for lora in _offered(studio)]


def _offered(studio: Studio) -> list[ChosenLora]:
    """The files that can be used, and those in use, which may be gone."""
    here = [one.file for one in lora_listings(studio.settings.loras_folder) if not one.reason]
    gone = [lora.file for lora in studio.settings.loras if lora.file not in here]
    return [ChosenLora(file) for file in [*here, *gone]]


def _names(studio: Studio) -> list[str]:
    return [lora.file.name for lora in studio.settings.loras]


def _applied(studio: Studio) -> dict[str, float]:
    return {lora.file.name: lora.weight for lora in studio.settings.loras}


def _refused(studio: Studio) -> str:
    """Files in the folder that cannot be used, each with the reason."""
    reasons = [one.reason for one in lora_listings(studio.settings.loras_folder) if one.reason]
    if not reasons:
        return ""
    lines = "".join(f"<li>{escape(reason)}</li>" for reason in reasons)
    return f'<details class="others"><summary>Files not offered</summary><ul>{lines}</ul></details>'
