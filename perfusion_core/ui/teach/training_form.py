"""The settings of a teaching, folded away under the photos and words."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import gradio as gr

from perfusion_core.ui.field_values import LONGEST_SEED, read_seed

MOST_STEPS = 1000
PRESET, MIRRORED, ONE_SIDED = "preset", "mirrored", "one-sided"  # the choices for mirroring


@dataclass(frozen=True)
class TrainingForm:
    steps: gr.Slider
    flip: gr.Radio
    mask: gr.Radio
    keys: gr.Radio
    seed: gr.Textbox

    def components(self) -> list[Any]:
        return [self.steps, self.flip, self.mask, self.keys, self.seed]

    def settings(self, values: Mapping[Any, Any]) -> dict[str, Any]:
        """The fields of a training recipe, from an event's values by component; steps and mirroring only
        where the form says something. The mask is no setting. Raises `PerfusionError`.
        """
        given: dict[str, Any] = {"keys": values[self.keys], "seed": read_seed(values[self.seed])}
        if values[self.steps]:
            given["steps"] = int(values[self.steps])
        if values[self.flip] != PRESET:
            given["flip"] = values[self.flip] == MIRRORED
        return given


def render() -> TrainingForm:
    steps = gr.Slider(
        0, MOST_STEPS, value=0, step=10, label="Steps", info="0: what the preset says", elem_id="teach-steps"
    )
    flip = gr.Radio(
        [("As the preset says", PRESET), ("Also mirrored", MIRRORED), ("As they are", ONE_SIDED)],
        value=PRESET,
        label="Photos",
        info="As they are for things whose left and right differ, such as text",
        elem_id="teach-flip",
    )
    mask = gr.Radio(
        [("Learn from the subject", "auto"), ("Learn from whole photos", "none")],
        value="auto",
        label="What is learned from",
        elem_id="teach-mask",
    )
    keys = gr.Radio(
        [("Locked, as in the paper", "locked"), ("Trained", "trained")],
        value="locked",
        label="Keys",
        info="Locked keys are those of the kind of thing, so attention stays where it was",
        elem_id="teach-keys",
    )
    seed = gr.Textbox("0", label="Seed", max_length=LONGEST_SEED, max_lines=1, elem_id="teach-seed")
    return TrainingForm(steps=steps, flip=flip, mask=mask, keys=keys, seed=seed)
