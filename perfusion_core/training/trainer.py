"""Training a concept: one loop, read top to bottom (`events_and_steps`).

Only the concept's word embedding and its target outputs learn. Everything random comes from one generator,
whose state is in every checkpoint, and the base is edited only while a step is computed: at each event it
is as it was.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass
from math import isfinite
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor
from torch.amp.grad_scaler import GradScaler

from perfusion_core.concept import Concept, validate_name
from perfusion_core.files import make_folder
from perfusion_core.model.predict import TextInputs
from perfusion_core.model.text import PromptEncoder
from perfusion_core.training.clarity import clarity_loss, pick_contexts
from perfusion_core.training.events import Kind, Preview, Score, Scored, Stopped, TrainEvent
from perfusion_core.training.examples import Examples, draw, encode_examples, first_prompts
from perfusion_core.training.learned import begin, concept_of, concept_tokens, settled
from perfusion_core.training.memory import (
    Clock,
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
from perfusion_core.training.step import (
    NoiseSchedule,
    PendingStep,
    gather_gradients,
    optimizer_for,
    take_step,
)
from perfusion_core.training.task import TrainingTask

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
    """Train a concept on photos and their soft masks (H, W), yielding an event for whatever happens.

    Every `checkpoint_every` steps, at the start and at the end, `score` and `preview` are called with the
    concept so far and its step, and the state goes to `run_dir`; "done" carries the concept with the best
    harmonic mean of its scores (without `score`: the last). Stopping loses nothing, a crash or a kill only
    the steps since the last checkpoint, and `resume=True` continues to the same result, bit for bit on a
    CPU. Raises TrainingError for settings that cannot be, numbers that are no longer finite, or too little
    memory.
    """
    task = TrainingTask(photos, masks, name, superclass, recipe, run_dir, score, preview, resume, should_stop)
    with closing(events_and_steps(base, task, covariance)) as running:
        for item in running:
            if isinstance(item, PendingStep):
                gather_gradients([item])
            else:
                yield item


def events_and_steps(
    base: Base, task: TrainingTask, covariance: CovarianceStats
) -> Generator[TrainEvent | PendingStep, None, None]:
    """The loop of `train`; its caller has `gather_gradients` complete each PendingStep before it goes on.

    So whoever runs several of these can let them share a pass through the denoiser. Raises what `train` does.
    """
    name, recipe, run_dir = validate_name(task.name), task.recipe.validated(), Path(task.run_dir)
    score, preview = task.score, task.preview
    task.require_sound(base)
    with memory_explained(recipe, run_dir):
        make_folder(run_dir, "Choose another place for the run.", private=True)
        run = _Run.begin(base, task.photos, task.masks, name, task.superclass, recipe, covariance)
        state = run.state
        if task.resume:
            restore(state, run_dir)

        yield run.event("start", history=state.history.copy())
        while True:
            # A checkpoint, where one is due: what has been learned so far is scored, shown and kept.
            if run.checkpoint_is_due:
                save(state, run_dir)  # before the slow part
                concept = run.concept_so_far()
                try:
                    if score:
                        with run.clock.checkpoint():
                            found = score(concept, state.step)
                        scored = Scored(state.step, float(found.image), float(found.text))
                        concept = concept.with_metadata(scores=scored.facts())
                        state.keep_if_best(concept, scored)
                        yield run.event("score", scores=scored)
                    if preview:
                        with run.clock.checkpoint():
                            images = tuple(preview(concept, state.step))
                        yield run.event("preview", images=images)
                except Stopped:  # what was saved above is judged again when it goes on
                    yield run.event("stopped", history=state.history.copy())
                    return
                state.checked = state.step
                save(state, run_dir)
                save_concepts(run_dir, concept, state.best)
                yield run.event("checkpoint", concept=concept)
            if state.step == recipe.steps:
                break
            if task.should_stop():
                save(state, run_dir)
                yield run.event("stopped", history=state.history.copy())
                return

            with run.clock.step():
                step = run.prepared_step()
                yield step
                loss = run.finished_step(step)
            if not isfinite(loss) or not state.learned.is_finite():
                raise not_finite(state.step + 1, run_dir)
            state.step += 1
            state.history.losses.append(loss)
            yield run.event("step")

        chosen = state.best or run.concept_so_far()
        best_step = state.best_scores.step if state.best_scores else state.step
        yield run.event("done", concept=chosen, scores=state.best_scores, best_step=best_step)


@dataclass(frozen=True)
class _Run:
    """What stays the same from step to step, and the state that changes."""

    base: Base
    name: str
    recipe: Recipe
    covariance: CovarianceStats
    inverse_covariance: Tensor  # (D, D) on the base's device, float32
    examples: Examples
    schedule: NoiseSchedule
    encoder: PromptEncoder
    state: RunState
    clock: Clock

    @classmethod
    def begin(
        cls,
        base: Base,
        photos: Sequence[Photo],
        masks: Sequence[Any],
        name: str,
        superclass: str,
        recipe: Recipe,
        covariance: CovarianceStats,
    ) -> _Run:
        """Encode the photos and set up what is learned, its optimizer and the only source of randomness."""
        examples = encode_examples(base, photos, masks, recipe)
        schedule = NoiseSchedule(base)
        encoder = PromptEncoder(base)
        generator = torch.Generator().manual_seed(recipe.seed)
        prompts = first_prompts(examples, recipe, f"<{name}>", generator)
        learned = begin(base, encoder, name, superclass, prompts, recipe)
        optimizer = optimizer_for(learned, recipe)
        scaler = GradScaler(base.device.type, enabled=precision_for(base, recipe) == torch.float16)
        identity = identity_of(base, covariance, name, superclass, photos, masks, recipe)
        state = RunState(learned, optimizer, scaler, generator, identity)
        inverse = covariance.inverse.to(base.device, torch.float32)
        clock = Clock(state.spend)
        return cls(base, name, recipe, covariance, inverse, examples, schedule, encoder, state, clock)

    @property
    def checkpoint_is_due(self) -> bool:
        """Whether this step's state is to be scored and shown, and has not been."""
        step = self.state.step
        at_checkpoint = step % self.recipe.checkpoint_every == 0 or step == self.recipe.steps
        return at_checkpoint and self.state.checked < step

    def event(self, kind: Kind, **facts: Any) -> TrainEvent:
        """An event of this moment, with step, loss and time."""
        state, steps = self.state, self.recipe.steps
        loss = state.history.losses[-1] if state.history.losses else None
        left = steps - state.step
        eta = self.clock.eta(left, -(-left // self.recipe.checkpoint_every))
        return TrainEvent(kind, state.step, steps, loss, state.seconds, eta, **facts)

    def concept_so_far(self) -> Concept:
        """The concept with i* converged, as it is scored and saved; the run keeps its running average."""
        learned = self.state.learned
        with torch.no_grad():
            every_prompt = [template.format(f"<{self.name}>") for template in self.recipe.templates]
            encoded = self.encoder.encode(every_prompt, {self.name: learned}, superclass=False)
            tokens = concept_tokens(encoded, self.name).to(self.base.device)
            target_input, similarity = settled(learned.target_input, tokens, self.inverse_covariance)
        return concept_of(
            learned,
            target_input,
            similarity,
            self.base,
            self.covariance,
            self.recipe,
            self.state.created_at,
        )

    def prepared_step(self) -> PendingStep:
        """One step's batch, drawn, and its prompts, encoded; i* moves with them."""
        base, recipe, state, name = self.base, self.recipe, self.state, self.name
        with torch.enable_grad():
            batch = draw(self.examples, recipe, f"<{name}>", self.schedule.timesteps, state.generator)
            contexts = pick_contexts(f"<{name}>", state.generator) if recipe.clarity else ()
            prompts = [*batch.prompts, *contexts]  # the distinct templates, each once
            beside = [name] if recipe.neighbours == "superclass" else []
            encoded = self.encoder.encode(
                prompts,
                {name: state.learned},
                superclass=False,
                beside_superclass=beside,
                recompute=recipe.gradient_checkpointing,
            )
            shown = slice(len(batch.prompts))
            tokens = concept_tokens(encoded, name).detach()[shown][batch.rows]  # (B, D)
            state.learned.average(tokens.mean(dim=0), recipe.decay)
            clarity = None
            if recipe.clarity:
                clarity = clarity_loss(encoded, name, state.learned.target_input, self.inverse_covariance)
        state.optimizer.zero_grad(set_to_none=True)
        return PendingStep(
            base=base,
            learned=state.learned,
            text=TextInputs(
                encoded.given[shown].detach().to(base.device).requires_grad_(),  # (M, T, D')
                None if encoded.mask is None else encoded.mask[shown].to(base.device),
                None if encoded.pooled is None else encoded.pooled[shown].to(base.device),
            ),
            encoded=encoded.given[shown],
            clarity=clarity,
            batch=batch,
            inverse_covariance=self.inverse_covariance,
            schedule=self.schedule,
            scaler=state.scaler,
            recipe=recipe,
        )

    def finished_step(self, step: PendingStep) -> float:
        """Learn from the gradients that have been gathered; returns the loss, or raises the step's failure.

        The denoiser's gradients were gathered on the encodings, and the text encoder is backpropagated
        through once, with the gradient of the clarity loss beside them.
        """
        if step.failure is not None:
            raise step.failure
        recipe, state = self.recipe, self.state
        gathered = step.text.encoding.grad
        assert gathered is not None
        ends = [step.encoded]
        gradients = [gathered.to(step.encoded.device)]
        if step.clarity is not None:
            ends.append(step.clarity)
            gradients.append(state.scaler.scale(torch.full_like(step.clarity, recipe.clarity)))
        torch.autograd.backward(ends, gradients)
        take_step(state.optimizer, state.scaler, state.learned, self.inverse_covariance, recipe, state.step)
        return step.loss
