"""The arithmetic of one optimizer step."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch
from diffusers.schedulers.scheduling_ddpm import DDPMScheduler
from torch import Tensor
from torch.amp.grad_scaler import GradScaler

from perfusion_core.edit.loss import masked_denoising_loss
from perfusion_core.errors import TrainingError
from perfusion_core.model.inject import inject
from perfusion_core.training.examples import Batch
from perfusion_core.training.learned import Learned
from perfusion_core.training.memory import autocast
from perfusion_core.training.recipe import Recipe

if TYPE_CHECKING:
    from perfusion_core.model.base import Base


class NoiseSchedule:
    """The noise schedule the base was trained with, and what the base predicts under it.

    Raises TrainingError for a kind of prediction that training does not support.
    """

    def __init__(self, base: Base) -> None:
        scheduler: Any = base.scheduler
        self.prediction_type = str(getattr(scheduler.config, "prediction_type", "epsilon"))
        known = hasattr(scheduler, "alphas_cumprod")
        if not known or self.prediction_type not in ("epsilon", "v_prediction"):
            raise TrainingError(
                f"{base.id} predicts “{self.prediction_type}”, which cannot be taught yet. "
                "Use a base that predicts epsilon or v_prediction, such as Stable Diffusion 1.5 or 2.1."
            )
        self._ddpm: Any = DDPMScheduler.from_config(scheduler.config)

    @property
    def timesteps(self) -> int:
        return int(self._ddpm.config.num_train_timesteps)

    def noised(self, part: Batch) -> tuple[Tensor, Tensor]:
        """The noisy latents and what the base is to predict from them. Shape: (b, C, h, w) each."""
        noisy = self._ddpm.add_noise(part.latents, part.noise, part.timesteps)
        if self.prediction_type == "v_prediction":
            return noisy, self._ddpm.get_velocity(part.latents, part.noise, part.timesteps)
        return noisy, part.noise


def gather_gradients(
    base: Base,
    learned: Learned,
    encoding: Tensor,
    batch: Batch,
    inverse_covariance: Tensor,
    schedule: NoiseSchedule,
    scaler: GradScaler,
    recipe: Recipe,
) -> float:
    """Add the gradients of one step's batch, part by part; the base is edited meanwhile, and only meanwhile.

    Shape: encoding (M, T, D), the distinct prompts', a leaf. Returns the loss.
    """
    injection = inject(base.denoiser, [learned], inverse_covariance)
    bias, temperature = torch.tensor([recipe.bias]), torch.tensor([recipe.temperature])
    total = 0.0
    try:
        for part in batch.parts(recipe.batch_size):
            share = len(part.latents) / len(batch.latents)
            rows = encoding[part.rows.to(encoding.device)]  # (b, T, D)
            context = injection.context_for(rows, bias=bias, temperature=temperature, removal=recipe.removal)
            injection.set_context(context)
            noisy, target = schedule.noised(part)
            read = rows.to(base.denoiser.dtype)
            with autocast(base, recipe):
                predicted = base.denoiser(
                    noisy.to(base.denoiser.dtype), part.timesteps, encoder_hidden_states=read
                ).sample
            loss = masked_denoising_loss(predicted, target, part.masks) * share
            scaler.scale(loss).backward()
            total += float(loss.detach())
    finally:
        injection.eject()
    return total


def optimizer_for(learned: Learned, recipe: Recipe) -> torch.optim.Adam:
    """Adam without weight decay: decay would pull the concept towards nothing, not towards its superclass."""
    groups: list[dict[str, Any]] = [
        {"params": [learned.embedding], "lr": recipe.embedding_rate},
        {"params": learned.targets(), "lr": recipe.value_rate},
    ]
    if learned.offset is not None:
        groups.append({"params": [learned.offset], "lr": recipe.offset_rate})
    return torch.optim.Adam(groups, weight_decay=0.0)


def rate_share(recipe: Recipe, step: int) -> float:
    """The share of its learning rates that step `step` (from 0) of a run takes, in (0, 1].

    Adam's first steps are as long as later ones but know only one batch: warm-up shortens them. Its last ones
    follow their own batch as far as what all have in common: the cooldown, a straight fall over the last
    steps, averages them.
    """
    rise = min(1.0, (step + 1) / (recipe.warmup + 1))
    falling = recipe.cooldown * recipe.steps
    return rise * min(1.0, (recipe.steps - step) / falling) if falling else rise


def take_step(
    optimizer: torch.optim.Optimizer,
    scaler: GradScaler,
    learned: Learned,
    inverse_covariance: Tensor,
    recipe: Recipe,
    step: int,
) -> None:
    """Move everything that is learned by the gradients that have been gathered."""
    share = rate_share(recipe, step)
    rates = (recipe.embedding_rate, recipe.value_rate, recipe.offset_rate)
    for group, rate in zip(optimizer.param_groups, rates, strict=False):  # no offset: no third group
        group["lr"] = rate * share
    learned.gather_offset_gradient(recipe.prior * scaler.get_scale(), inverse_covariance)
    before = None if learned.offset is None else learned.offset.detach().clone()
    scaler.step(optimizer)
    scaler.update()
    if before is not None:
        learned.apply_offset(before)
