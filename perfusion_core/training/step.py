"""The arithmetic of one optimizer step, or of one step of several runs at once."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import zip_longest
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor
from torch.amp.grad_scaler import GradScaler

from perfusion_core.edit.compose import EditCoefficients, coefficients
from perfusion_core.edit.loss import masked_denoising_loss
from perfusion_core.model.inject import EditContext, Injection, inject
from perfusion_core.model.predict import TextInputs, predict
from perfusion_core.model.reading import as_read
from perfusion_core.training.examples import Batch
from perfusion_core.training.learned import Learned
from perfusion_core.training.memory import autocast, checkpointed, full_precision, precision_for
from perfusion_core.training.noise import NoiseSchedule
from perfusion_core.training.recipe import Recipe

if TYPE_CHECKING:
    from perfusion_core.model.base import Base


@dataclass
class PendingStep:
    """An optimizer step of one run between the draw of its batch and its update.

    text: the batch's M distinct prompts as the denoiser is given them, its encoding (M, T, D') a leaf;
    encoded: the same encoding with the graph that leads to the word embedding; clarity (): the clarity loss,
    None without. `gather_gradients` sets `loss`, or `failure` where there is none.
    """

    base: Base
    learned: Learned
    text: TextInputs
    encoded: Tensor
    clarity: Tensor | None
    batch: Batch
    inverse_covariance: Tensor
    schedule: NoiseSchedule
    scaler: GradScaler
    recipe: Recipe
    loss: float = 0.0
    failure: Exception | None = None

    @property
    def form(self) -> tuple[object, ...]:
        """What steps that share a pass through the denoiser have in common."""
        precision = precision_for(self.base, self.recipe)
        return self.batch.latents.shape[1:], precision, self.recipe.gradient_checkpointing

    def forget(self) -> None:
        """As before `gather_gradients`, to try again."""
        for leaf in (self.text.encoding, *self.learned.targets()):
            leaf.grad = None
        self.loss, self.failure = 0.0, None


def gather_gradients(steps: Sequence[PendingStep]) -> None:
    """Add the gradients of the steps' batches and set their losses; an error goes to all `failure`s instead.

    Steps of several runs, of one base and the same `form`, share each pass through the denoiser: every row of
    it is edited by the concept of its own run alone, so that nothing, and no number that is not finite
    either, passes from one to another. The base is edited meanwhile, and only meanwhile.
    """
    base, recipe = steps[0].base, steps[0].recipe
    try:
        with torch.enable_grad(), full_precision(base, recipe), checkpointed(base, recipe):
            _gather(steps)
    except Exception as error:
        for step in steps:
            step.failure = error


def _gather(steps: Sequence[PendingStep]) -> None:
    base = steps[0].base
    learned = [step.learned for step in steps]
    if len(learned) > 1:  # of several recipes, perhaps, for one concept: here names need only differ
        learned = [replace(each, name=f"{each.name}-{number}") for number, each in enumerate(learned)]
    injection = inject(base.denoiser, learned, steps[0].inverse_covariance, reader=base.family.reader)
    try:
        for parts in zip_longest(*(step.batch.parts(step.recipe.batch_size) for step in steps)):
            _pass(steps, parts, injection)
    finally:
        injection.eject()


def _pass(steps: Sequence[PendingStep], parts: Sequence[Batch | None], injection: Injection) -> None:
    """One forward and backward pass of a part of each step's batch (None: it has no further part)."""
    base, recipe = steps[0].base, steps[0].recipe
    taking = [
        (number, step, part) for number, (step, part) in enumerate(zip(steps, parts, strict=True)) if part
    ]
    texts = [_rows(step.text, part) for _, step, part in taking]  # (b, T, D') each
    found = [_coefficients(step, text) for (_, step, _), text in zip(taking, texts, strict=True)]
    sizes = [len(text.encoding) for text in texts]
    owners = torch.tensor([number for number, _, _ in taking]).repeat_interleave(torch.tensor(sizes))
    context = EditCoefficients(
        torch.cat([each.gates for each in found]), torch.cat([each.removal for each in found])
    )
    injection.set_context(EditContext(context, owners=owners if len(steps) > 1 else None))
    noised = [step.schedule.noised(part) for _, step, part in taking]
    with autocast(base, recipe):
        predicted = predict(
            base,
            torch.cat([noisy for noisy, _ in noised]),
            torch.cat([step.schedule.told(part) for _, step, part in taking]),
            _together(texts, base.denoiser.dtype),
        )
    losses = [
        masked_denoising_loss(own, target, part.masks, background=step.recipe.background)
        * (len(part.latents) / len(step.batch.latents))
        for own, (_, target), (_, step, part) in zip(predicted.split(sizes), noised, taking, strict=True)
    ]
    torch.autograd.backward(
        [step.scaler.scale(loss) for (_, step, _), loss in zip(taking, losses, strict=True)]
    )
    for (_, step, _), loss in zip(taking, losses, strict=True):
        step.loss += float(loss.detach())


def _rows(text: TextInputs, part: Batch) -> TextInputs:
    """The text of each example of a part."""
    rows = part.rows.to(text.encoding.device)

    def of(tensor: Tensor | None) -> Tensor | None:
        return None if tensor is None else tensor[rows.to(tensor.device)]

    return TextInputs(text.encoding[rows], of(text.mask), of(text.pooled))


def _together(texts: Sequence[TextInputs], dtype: torch.dtype) -> TextInputs:
    def of(tensors: list[Tensor | None]) -> Tensor | None:
        found = [tensor for tensor in tensors if tensor is not None]
        return torch.cat(found) if found else None

    encoding = torch.cat([text.encoding for text in texts]).to(dtype)
    return TextInputs(encoding, of([text.mask for text in texts]), of([text.pooled for text in texts]))


def _coefficients(step: PendingStep, text: TextInputs) -> EditCoefficients:
    """The gate and removal of the step's own concept. Shape: of (b, T, D') -> two of (b, T, 1)."""
    recipe = step.recipe
    rows = as_read(step.base.denoiser, step.base.family.reader, text.encoding)
    return coefficients(
        rows,
        step.learned.target_input[None].to(rows.device, torch.float32),
        step.inverse_covariance.to(rows.device, torch.float32),
        torch.tensor([recipe.bias], device=rows.device),
        torch.tensor([recipe.temperature], device=rows.device),
        recipe.removal,
        [step.learned.name],
    ).within(text.mask)


def optimizer_for(learned: Learned, recipe: Recipe) -> torch.optim.Adam:
    """Adam without weight decay: decay would pull the concept towards nothing, not towards its superclass."""
    groups: list[dict[str, Any]] = [
        {"params": [*learned.embeddings.values()], "lr": recipe.embedding_rate},
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
    learned.direct_gradients()
    learned.gather_offset_gradient(recipe.prior * scaler.get_scale(), inverse_covariance)
    before = None if learned.offset is None else learned.offset.detach().clone()
    scaler.step(optimizer)
    scaler.update()
    learned.hold_norms()
    if before is not None:
        learned.apply_offset(before)
