"""The numbers of the Create form as one request, and a recipe as the form's numbers."""

from __future__ import annotations

import secrets
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from perfusion_core.sampling.operating_points import slider_to_bias

if TYPE_CHECKING:
    from perfusion_core.sampling.png import ForeignRecipe, ImageRecipe

LARGEST_SEED = 2**31 - 1
SCHEDULERS = {
    "Its own": "",
    "DDIM": "ddim",
    "Euler": "euler",
    "Euler ancestral": "euler-a",
    "DPM++ 2M": "dpm++",
}
# The form's fields after the prompt, in the order of the components.
FIELDS = ("negative_prompt", "seed", "count", "steps", "guidance", "width", "height", "scheduler", "lock")


@dataclass(frozen=True)
class Asked:
    """What is in the form. Zero or empty means: the base model's own."""

    prompt: str
    negative_prompt: str
    seed: int
    count: int
    steps: int
    guidance: float
    width: int
    height: int
    scheduler: str
    lock: str

    @classmethod
    def of(cls, prompt: str, *values: Any) -> Asked:
        given = dict(zip(FIELDS, values, strict=True))
        whole = {key: int(given[key] or 0) for key in ("seed", "count", "steps", "width", "height")}
        return cls(
            prompt=prompt or "",
            negative_prompt=given["negative_prompt"] or "",
            guidance=float(given["guidance"] or 0.0),
            scheduler=given["scheduler"] or "",
            lock=given["lock"] or "local",
            **whole,
        )

    def request(self, positions: Mapping[str, float], **changes: Any) -> Any:
        """A `GenerationRequest`; `positions` are slider positions in 0..100 by concept."""
        from perfusion_core.sampling.request import GenerationRequest

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
            "lock": self.lock,
            "biases": {name: round(slider_to_bias(at / 100, self.lock), 4) for name, at in positions.items()},
        }
        return GenerationRequest(**{**fields, **changes})


def form_values(recipe: ImageRecipe | ForeignRecipe) -> list[Any]:
    """A recipe as the form's values: the prompt, then FIELDS."""
    scheduler = getattr(recipe, "scheduler", "")
    return [
        recipe.prompt,
        recipe.negative_prompt,
        recipe.seed or 0,
        1,
        recipe.steps or 0,
        recipe.guidance or 0.0,
        recipe.width or 0,
        recipe.height or 0,
        scheduler if scheduler in SCHEDULERS.values() else "",
        getattr(recipe, "lock", "local"),
    ]


def fresh_seed() -> int:
    return secrets.randbelow(LARGEST_SEED)
