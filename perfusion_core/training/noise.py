"""What noise a base is taught under, and what it is to predict from it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch
from diffusers.schedulers.scheduling_ddpm import DDPMScheduler
from torch import Tensor

from perfusion_core.errors import TrainingError

if TYPE_CHECKING:
    from perfusion_core.model.base import Base
    from perfusion_core.training.examples import Batch

_FLOW_TIMES = 1000  # as finely as times are drawn


class NoiseSchedule:
    """The noise schedule the base was trained with, and what the base predicts under it.

    A flow goes straight from an image x to noise n: at σ it is (1 − σ) x + σ n, and the base predicts n − x.
    σ is drawn evenly and then shifted towards noise as far as the base's scheduler is. Raises TrainingError
    for a kind of prediction that training does not support.
    """

    def __init__(self, base: Base) -> None:
        config: Any = base.scheduler.config
        said = str(getattr(config, "prediction_type", "epsilon"))
        self.prediction_type = base.family.prediction or said
        self._flow_time = base.family.flow_time(base.pipeline)
        self._shift = float(getattr(config, "flow_shift", None) or getattr(config, "shift", None) or 1.0)
        if self.prediction_type == "flow_prediction":
            return
        known = hasattr(base.scheduler, "alphas_cumprod")
        if not known or self.prediction_type not in ("epsilon", "v_prediction"):
            raise TrainingError(
                f"{base.id} predicts “{self.prediction_type}”, which cannot be taught yet. "
                "Use a base that predicts epsilon or v_prediction, such as Stable Diffusion 1.5 or 2.1."
            )
        self._ddpm: Any = DDPMScheduler.from_config(config)

    @property
    def timesteps(self) -> int:
        """How many times of noise can be drawn."""
        if self.prediction_type == "flow_prediction":
            return _FLOW_TIMES
        return int(self._ddpm.config.num_train_timesteps)

    def noised(self, part: Batch) -> tuple[Tensor, Tensor]:
        """The noisy latents and what the base is to predict from them. Shape: (b, C, h, w) each."""
        if self.prediction_type == "flow_prediction":
            sigma = self._sigma(part).view(-1, 1, 1, 1)
            return (1 - sigma) * part.latents + sigma * part.noise, part.noise - part.latents
        noisy = self._ddpm.add_noise(part.latents, part.noise, part.timesteps)
        if self.prediction_type == "v_prediction":
            return noisy, self._ddpm.get_velocity(part.latents, part.noise, part.timesteps)
        return noisy, part.noise

    def told(self, part: Batch) -> Tensor:
        """The times as the denoiser counts them. Shape: (b,)."""
        if self.prediction_type == "flow_prediction":
            return self._sigma(part) * self._flow_time
        return part.timesteps

    def _sigma(self, part: Batch) -> Tensor:
        """The share of noise, in (0, 1). Shape: (b,)."""
        even = (part.timesteps.to(torch.float32) + 0.5) / _FLOW_TIMES
        return self._shift * even / (1 + (self._shift - 1) * even)
