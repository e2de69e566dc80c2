"""Bases that make images in a few steps: which kind one is, by its configuration, its LoRAs or its name.

Needs neither torch nor diffusers. Configurations tell consistency models and Sana-Sprint; SD-Turbo, Lightning
and Hyper-SD have the configuration of what they were distilled from, so that only their names tell.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any, Literal

Distilled = Literal["turbo", "lightning", "hyper", "lcm", "sprint"]

_LCM_SCHEDULERS = ("LCMScheduler", "TCDScheduler")
_USUAL_STEPS: dict[Distilled, int] = {"turbo": 4, "lightning": 4, "hyper": 8, "lcm": 4, "sprint": 2}
_MOST_STEPS = 16  # a larger number before "step" in a name is no number of denoising steps
_STEPS_IN_NAME = re.compile(r"(?<!\d)(\d{1,2})[ _-]?steps?(?![a-z])", re.IGNORECASE)
_VERSION = re.compile(r"[vV](?=\d)")
# Words in a name: between other characters, and between a small and a capital letter ("XLTurboDPM").
_WORD = re.compile(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+")


@dataclass(frozen=True)
class FewSteps:
    """How a distilled base was made to be used: its kind, and in how many steps it makes an image.

    With `guidance_embedded` it reads the guidance scale itself instead of being run twice.
    """

    kind: Distilled
    steps: int
    guidance_embedded: bool = False


def few_steps(denoiser: Any, scheduler: Any, names: tuple[str, ...]) -> FewSteps | None:
    """What kind of few-step base this is, None for any other.

    `names` are what the base is called (an id, a file's or folder's name, a path of which the last part
    counts). An LCM, Lightning or Hyper-SD LoRA in force counts by its adapter's name.
    """
    config, class_name = denoiser.config, type(scheduler).__name__
    embedded = getattr(config, "time_cond_proj_dim", None) is not None
    if class_name == "SCMScheduler":
        return FewSteps("sprint", _USUAL_STEPS["sprint"], bool(getattr(config, "guidance_embeds", False)))
    called = [*(name.rstrip("/\\").replace("\\", "/").rsplit("/", 1)[-1] for name in names)]
    called += _adapters(denoiser)
    kind = _kind(called, embedded or class_name in _LCM_SCHEDULERS)
    if kind is None:
        return None
    written = [int(found) for name in called for found in _STEPS_IN_NAME.findall(name)]
    steps = next((count for count in written if 1 <= count <= _MOST_STEPS), _USUAL_STEPS[kind])
    return FewSteps(kind, steps, embedded)


def _kind(names: list[str], consistency: bool) -> Distilled | None:
    words = {word.lower() for name in names for word in _WORD.findall(_VERSION.sub(" ", name))}
    if consistency or "lcm" in words:
        return "lcm"
    if "lightning" in words:
        return "lightning"
    if words & {"turbo", "sdturbo", "xlturbo"}:
        return "turbo"
    counted = any(_STEPS_IN_NAME.search(name) for name in names)
    if "hyper" in words and (counted or words & {"sd", "sdxl", "vae"}):  # "hyper realistic" is another matter
        return "hyper"
    return None


def _adapters(denoiser: Any) -> list[str]:
    """Names of the LoRAs in force, as `load_lora_weights(..., adapter_name="lcm")` gave them."""
    if not getattr(denoiser, "_hf_peft_config_loaded", False):
        return []
    layers = (module for module in denoiser.modules() if hasattr(module, "merged_adapters"))
    layer = next(layers, None)
    if layer is None:
        return []
    return [*layer.merged_adapters, *([] if layer.disable_adapters else layer.active_adapters)]
