"""The schedulers a person can choose by name. Importing this needs neither torch nor diffusers."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from perfusion_core.errors import PerfusionError

if TYPE_CHECKING:
    from perfusion_core.model.base import Base

# Our name -> class in diffusers, and what to set in its configuration.
_SCHEDULERS: dict[str, tuple[str, dict[str, Any]]] = {
    "ddim": ("DDIMScheduler", {"clip_sample": False}),
    "euler": ("EulerDiscreteScheduler", {}),
    "euler-a": ("EulerAncestralDiscreteScheduler", {}),
    "dpm++": ("DPMSolverMultistepScheduler", {"algorithm_type": "dpmsolver++"}),
    "lcm": ("LCMScheduler", {}),
}
OWN = "own"  # the base's, as it was loaded
SCHEDULER_NAMES: tuple[str, ...] = (*_SCHEDULERS, OWN)


def check_scheduler(name: str) -> str:
    """`name` when there is such a scheduler; `PerfusionError` otherwise."""
    if name not in SCHEDULER_NAMES:
        raise PerfusionError(
            f"There is no scheduler called {name!r}. Choose one of: {', '.join(SCHEDULER_NAMES)}."
        )
    return name


def make_scheduler(base: Base, name: str) -> Any:
    """A fresh diffusers scheduler called `name` on the base's own noise schedule and prediction type."""
    import diffusers

    config = base.scheduler.config
    if check_scheduler(name) == OWN:
        return type(base.scheduler).from_config(config)
    known = base.family.schedulers
    if known is not None:
        if name not in known:
            others = ", ".join((OWN, *known))
            raise PerfusionError(
                f"{base.family.title} cannot be sampled with {name}. Choose one of: {others}."
            )
        chosen = known[name]
        shift = getattr(config, "flow_shift", None) or getattr(config, "shift", None) or 1.0
        return getattr(diffusers, chosen.class_name).from_config(
            config, **chosen.settings, **({chosen.shift: shift} if chosen.shift else {})
        )
    class_name, settings = _SCHEDULERS[name]
    few = base.few_steps
    if few is not None and few.kind != "lcm":  # the few steps start at full noise; single files do not say so
        settings = {**settings, "timestep_spacing": "trailing"}
    return getattr(diffusers, class_name).from_config(config, **settings)
