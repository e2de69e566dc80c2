"""The values of the Create form as one request."""

from __future__ import annotations

import secrets
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from perfusion_core.sampling.operating_points import check_lock, slider_to_bias
from perfusion_core.sampling.request import GenerationRequest
from perfusion_core.ui.field_values import read_seed

LARGEST_FRESH_SEED = 2**31 - 1  # short enough to be read out and typed
MOST_STEPS, MOST_GUIDANCE = 100, 20  # the sliders' ends
SIDE_STEP = 8  # pixels; a base model's own step may be another
SCHEDULERS = {
    "The base model's own": "",
    "DDIM": "ddim",
    "Euler": "euler",
    "Euler ancestral": "euler-a",
    "DPM++ 2M": "dpm++",
    "LCM": "lcm",
}


@dataclass(frozen=True)
class Asked:
    """What is in the form. Zero or empty means: the base model's own."""

    prompt: str
    negative_prompt: str = ""
    seed: int = 0
    count: int = 1
    steps: int = 0
    guidance: float = 0.0
    width: int = 0
    height: int = 0
    scheduler: str = ""
    lock: str = "local"

    @classmethod
    def of(cls, prompt: str | None, values: Mapping[str, Any]) -> Asked:
        """From the fields' values by name; an empty field is None. Raises `PerfusionError` for a bad seed."""
        whole = {key: int(values[key] or 0) for key in ("count", "steps", "width", "height")}
        return cls(
            prompt=prompt or "",
            negative_prompt=values["negative_prompt"] or "",
            seed=read_seed(values["seed"]),
            guidance=float(values["guidance"] or 0.0),
            scheduler=values["scheduler"] or "",
            lock=values["lock"] or "local",
            **whole,
        )

    def request(self, positions: Mapping[str, float], **changes: Any) -> GenerationRequest:
        """The request for these values, with `changes` to its fields; `positions`: sliders in 0..100."""
        fields = {
            "prompt": self.prompt,
            "negative_prompt": self.negative_prompt,
            "seed": self.seed,
            "count": self.count or 1,
            "steps": self.steps or None,
            "guidance": self.guidance or None,
            "width": self.width or None,
            "height": self.height or None,
            "scheduler": self.scheduler or None,
            "lock": check_lock(self.lock),
            "biases": {name: bias_at(position, self.lock) for name, position in positions.items()},
        }
        return GenerationRequest(**{**fields, **changes})


def bias_at(position: float, lock: str) -> float:
    """The gate bias of a slider position in 0..100, to four places."""
    return round(slider_to_bias(position / 100, lock), 4)


def fresh_seed() -> int:
    return secrets.randbelow(LARGEST_FRESH_SEED)
