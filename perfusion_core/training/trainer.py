"""Teaching a concept: one loop, read top to bottom.

Only the concept's word embedding and its target outputs learn. Everything random comes from one generator,
whose state is in every checkpoint, and the base is edited only while a step is computed: at each event it
is as it was.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from math import isfinite
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch.amp.grad_scaler import GradScaler

from perfusion_core.concept import Concept, validate_name
from perfusion_core.errors import TrainingError
from perfusion_core.model.text import PromptEncoder
from perfusion_core.training.clarity import clarity_loss, pick_contexts
from perfusion_core.training.events import Kind, Preview, Score, Scored, Stopped, TrainEvent
from perfusion_core.training.examples import draw, encode_examples, first_prompts
from perfusion_core.training.learned import begin, concept_of, concept_tokens, settled
from perfusion_core.training.memory import (
    Clock,
    checkpointed,
    full_precision,
    memory_explained,
    precision_for,
)
from perfusion_core.training.photos import Photo
from perfusion_core.training.recipe import Recipe
from perfusion_core.training.run_checkpoint import (
    RunState,
    identity_of,
    not_finite,
    restore,
    save,
    save_concepts,
)
from perfusion_core.training.step import NoiseSchedule, gather_gradients, optimizer_for, set_rates

if TYPE_CHECKING:
    from perfusion_core.model.base import Base
    from perfusion_core.model.statistics import CovarianceStats


def train(
    base: Base,
    photos: Sequence[Photo],
    masks: Sequence[Any],
    name: str,
    superclass: str,
    recipe: Recipe,
    *,
    covariance: CovarianceStats,
    run_dir: Path,
    score: Score | None = None,
    preview: Preview | None = None,
    resume: bool = False,
    should_stop: Callable[[], bool] = lambda: False,
) -> Iterator[TrainEvent]:
    """Teach a concept from photos and their soft masks (H, W), saying what happens as it happens.

    Every `checkpoint_every` steps, at the start and at the end, `score` and `preview` are called with the
    concept so far and its step, and the state goes to `run_dir`; "done" carries the concept with the best
    harmonic mean of its scores (without `score`: the last). Stopping loses nothing, a crash or a kill only
    the steps since the last checkpoint, and `resume=True` continues to the same result, bit for bit on a
    CPU. Raises TrainingError for settings that cannot be, numbers that are no longer finite, or too little
    memory.
    """
    name, recipe, run_dir = validate_name(name), recipe.validated(), Path(run_dir)
    _require_sound(base, photos, masks, recipe)
    with memory_explained(recipe, run_dir):
        # Frozen facts of the run: the photos as latents, the statistics, the noise schedule.
        run_dir.mkdir(parents=True, exist_ok=True)
        examples = encode_examples(base, photos, masks, recipe)
        inverse_covariance = covariance.inverse.to(base.device, torch.float32)
        schedule = NoiseSchedule(base)
        encoder = PromptEncoder(base)
        placeholder = f"<{name}>"

        # What changes from step to step, from the start or from the run's checkpoint.
        generator = torch.Generator().manual_seed(recipe.seed)
        prompts = first_prompts(examples, recipe, placeholder, generator)
        learned = begin(base, encoder, name, superclass, prompts, recipe)
        optimizer = optimizer_for(learned, recipe)
        scaler = GradScaler(base.device.type, enabled=precision_for(base, recipe) == torch.float16)
        identity = identity_of(base, covariance, name, superclass, photos, masks, recipe)
        state = RunState(learned, optimizer, scaler, generator, identity)
        if resume:
            restore(state, run_dir)
        clock = Clock(state.spend)

        def event(kind: Kind, **facts: Any) -> TrainEvent:
            loss = state.history.losses[-1] if state.history.losses else None
            left = recipe.steps - state.step
            eta = clock.eta(left, -(-left // recipe.checkpoint_every))
            return TrainEvent(kind, state.step, recipe.steps, loss, state.seconds, eta, **facts)

        def concept_so_far() -> Concept:
            """With i* settled, so that what is scored is what is saved; the run keeps its running average."""
            with torch.no_grad():
                every_prompt = [template.format(placeholder) for template in recipe.templates]
                encoded = encoder.encode(every_prompt, {name: learned}, superclass=False)
                tokens = concept_tokens(encoded, name).to(base.device)
                settled_input, similarity = settled(learned.target_input, tokens, inverse_covariance)
            return concept_of(learned, settled_input, similarity, base, covariance, recipe, state.created_at)

        yield event("start", history=state.history.copy())
        while True:
            # A checkpoint, where one is due: what has been learned so far is scored, shown and kept.
            at_checkpoint = state.step % recipe.checkpoint_every == 0 or state.step == recipe.steps
            if at_checkpoint and state.checked < state.step:
                save(state, run_dir)  # before the slow part
                concept = concept_so_far()
                try:
                    if score:
                        with clock.checkpoint():
                            found = score(concept, state.step)
                        scored = Scored(state.step, float(found.image), float(found.text))
                        concept = concept.with_metadata(scores=scored.facts())
                        state.keep_if_best(concept, scored)
                        yield event("score", scores=scored)
                    if preview:
                        with clock.checkpoint():
                            images = tuple(preview(concept, state.step))
                        yield event("preview", images=images)
                except Stopped:  # what was saved above is judged again when it goes on
                    yield event("stopped", history=state.history.copy())
                    return
                state.checked = state.step
                save(state, run_dir)
                save_concepts(run_dir, concept, state.best)
                yield event("checkpoint", concept=concept)
            if state.step == recipe.steps:
                break
            if should_stop():
                save(state, run_dir)
                yield event("stopped", history=state.history.copy())
                return

            # One optimizer step.
            with clock.step(), torch.enable_grad(), full_precision(base, recipe), checkpointed(base, recipe):
                batch = draw(examples, recipe, placeholder, schedule.timesteps, generator)
                contexts = pick_contexts(placeholder, generator) if recipe.clarity else ()
                # The distinct templates, each once.
                encoded = encoder.encode([*batch.prompts, *contexts], {name: learned}, superclass=False)
                shown = slice(len(batch.prompts))
                tokens = concept_tokens(encoded, name).detach()[shown][batch.rows]  # (B, D)
                learned.average(tokens.mean(dim=0), recipe.decay)
                # The denoiser's gradients are gathered on the encodings; the text encoder is walked back
                # once.
                encoding = encoded.encoding[shown].detach().to(base.device).requires_grad_()  # (M, T, D)
                optimizer.zero_grad(set_to_none=True)
                loss = gather_gradients(
                    base, learned, encoding, batch, inverse_covariance, schedule, scaler, recipe
                )
                assert encoding.grad is not None
                ends = [encoded.encoding[shown]]
                gradients = [encoding.grad.to(encoded.encoding.device)]
                if recipe.clarity:
                    ends.append(clarity_loss(encoded, name, learned.target_input, inverse_covariance))
                    gradients.append(scaler.scale(torch.full_like(ends[-1], recipe.clarity)))
                torch.autograd.backward(ends, gradients)
                set_rates(optimizer, recipe, state.step)
                scaler.step(optimizer)
                scaler.update()
            if not isfinite(loss) or not learned.is_finite():
                raise not_finite(state.step + 1, run_dir)
            state.step += 1
            state.history.losses.append(loss)
            yield event("step")

        chosen = state.best or concept_so_far()
        best_step = state.best_scores.step if state.best_scores else state.step
        yield event("done", concept=chosen, scores=state.best_scores, best_step=best_step)


def _require_sound(base: Base, photos: Sequence[Photo], masks: Sequence[Any], recipe: Recipe) -> None:
    if not photos:
        raise TrainingError("There are no photos to learn from. Add one to eight photos of the subject.")
    if len(photos) != len(masks):
        raise TrainingError(
            f"There are {len(photos)} photos and {len(masks)} masks. Give one mask for each photo."
        )
    factor = base.description.vae_factor
    if recipe.resolution % factor:
        fitting = max(64, recipe.resolution // factor * factor)
        raise TrainingError(
            f"resolution is {recipe.resolution}; choose a multiple of {factor}, such as {fitting}."
        )
