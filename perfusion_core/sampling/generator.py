"""From a request to images: one prompt, the concepts in it, and their gates.

The stock diffusers pipeline does the sampling, with the concepts applied around it. Image k has its own
random generator, seeded with seed + k, so that it is the same however many are asked for.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Generator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from itertools import product
from typing import TYPE_CHECKING, Any

import torch

from perfusion_core.errors import PerfusionError
from perfusion_core.model.applied import applied
from perfusion_core.model.device_memory import is_out_of_memory, release_memory
from perfusion_core.model.latents import pixels_of
from perfusion_core.model.schedulers import make_scheduler
from perfusion_core.sampling.batches import images_together
from perfusion_core.sampling.operating_points import check_bias
from perfusion_core.sampling.plan import Plan, make_plan, recipe_of, used_name
from perfusion_core.sampling.png import ImageRecipe
from perfusion_core.sampling.request import GenerationRequest, Row, concepts_in
from perfusion_core.sampling.step_reports import told_after_each_step

if TYPE_CHECKING:
    from PIL import Image

    from perfusion_core.concept import Concept
    from perfusion_core.model.base import Base
    from perfusion_core.model.statistics import CovarianceStats

Progress = Callable[[int, int], None]
"""Called with denoising steps done and steps in all, over all images of a call."""


@dataclass(frozen=True)
class GeneratedImage:
    """An image and everything it depends on."""

    image: Image.Image
    recipe: ImageRecipe


@dataclass(frozen=True)
class Generation:
    """What a call made; `stopped`: it was asked to stop, and `images` holds those finished before."""

    images: list[GeneratedImage]
    warnings: tuple[str, ...]
    stopped: bool = False


class _StopRequested(Exception):  # noqa: N818 - not an error
    """Leaves the pipeline in the middle of its steps."""


def generate(
    base: Base,
    concepts: Mapping[str, Concept],
    request: GenerationRequest,
    *,
    covariance: CovarianceStats | None = None,
    on_step: Progress | None = None,
    should_stop: Callable[[], bool] | None = None,
) -> Generation:
    """Make `request.count` images. `concepts` are those a prompt may name; only those it names are applied.

    Raises `PerfusionError` (bad numbers, not enough memory) or `PromptError`; `base` is then as it was
    before.
    """
    plan = make_plan(base, concepts, request)
    rows = [Row(request.seed + k, plan.biases) for k in range(request.count)]
    return _render(base, plan, rows, covariance, on_step, should_stop)


def front(
    base: Base,
    concepts: Mapping[str, Concept],
    request: GenerationRequest,
    name: str,
    biases: Sequence[float],
    *,
    covariance: CovarianceStats | None = None,
    on_step: Progress | None = None,
    should_stop: Callable[[], bool] | None = None,
) -> Generation:
    """One image for each gate bias of concept `name`, all from the same initial noise.

    With a count above 1 every seed gets its whole row, one after the other: image `i * len(biases) + j` has
    seed i and bias j.
    """
    plan = make_plan(base, concepts, request)
    swept = used_name(plan, name)
    steps = [check_bias(bias, swept) for bias in biases]
    rows = [
        Row(request.seed + k, {**plan.biases, swept: bias}) for k in range(request.count) for bias in steps
    ]
    return _render(base, plan, rows, covariance, on_step, should_stop)


def grid(
    base: Base,
    concepts: Mapping[str, Concept],
    request: GenerationRequest,
    names: tuple[str, str],
    biases: tuple[Sequence[float], Sequence[float]],
    *,
    covariance: CovarianceStats | None = None,
    on_step: Progress | None = None,
    should_stop: Callable[[], bool] | None = None,
) -> Generation:
    """One image for every pair of two concepts' biases, row by row; each row has one bias of the first."""
    plan = make_plan(base, concepts, request)
    first, second = (used_name(plan, name) for name in names)
    if first == second:
        raise PerfusionError(f"A grid needs two different concepts; both are <{first}>. Use a front for one.")
    rows = [
        Row(request.seed, {**plan.biases, first: check_bias(a, first), second: check_bias(b, second)})
        for a, b in product(*biases)
    ]
    return _render(base, plan, rows, covariance, on_step, should_stop)


def generate_rows(
    base: Base,
    concepts: Mapping[str, Concept],
    request: GenerationRequest,
    rows: Sequence[Row],
    *,
    exact: bool = False,
    covariance: CovarianceStats | None = None,
    on_step: Progress | None = None,
    should_stop: Callable[[], bool] | None = None,
) -> Generation:
    """One image for each of `rows`, with its own seed, biases and prompt; for validation and sweeps.

    `request` gives the rest, and its prompt has to name every concept that a row's prompt names. Without
    `exact`, images on a CPU may differ in their last bits from the same image made alone; that is faster.
    """
    plan = make_plan(base, concepts, request)
    concepts_in([row.prompt or request.prompt for row in rows], plan.used)  # refuses one that is not there
    full = [replace(row, biases={**plan.biases, **row.biases}) for row in rows]
    return _render(base, plan, full, covariance, on_step, should_stop, exact)


def _render(
    base: Base,
    plan: Plan,
    rows: Sequence[Row],
    covariance: CovarianceStats | None,
    on_step: Progress | None,
    should_stop: Callable[[], bool] | None,
    exact: bool = True,
) -> Generation:
    made: list[GeneratedImage] = []
    total = plan.steps * len(rows)
    together = images_together(base, len(rows), plan.width, plan.height, plan.guided, exact)
    while len(made) < len(rows):
        part = rows[len(made) : len(made) + together]
        done = len(made) * plan.steps

        def after_step(step: int, done: int = done, part: Sequence[Row] = part) -> None:
            if on_step is not None:
                on_step(done + min(step, plan.steps) * len(part), total)
            if should_stop is not None and should_stop():
                raise _StopRequested

        try:
            made += _render_part(base, plan, part, covariance, after_step)
        except _StopRequested:
            return Generation(made, tuple(plan.warnings), stopped=True)
        except (RuntimeError, MemoryError) as error:
            if not is_out_of_memory(error):
                raise
            release_memory()
            if together == 1:
                raise PerfusionError(
                    f"The memory is not enough for one image of {plan.width}x{plan.height}. Make it smaller, "
                    "or close other programs that use memory."
                ) from None
            together = -(-together // 2)
    return Generation(made, tuple(plan.warnings))


@torch.no_grad()
def _render_part(
    base: Base,
    plan: Plan,
    rows: Sequence[Row],
    covariance: CovarianceStats | None,
    after_step: Callable[[int], None],
) -> list[GeneratedImage]:
    """Make the images of `rows` in one batch."""
    request = plan.request
    pipe: Any = base.pipeline  # its annotations lag behind what it takes and returns
    # Numbers in them are of no effect here: every row brings the gate bias of every concept.
    texts = [request.prompt if row.prompt is None else row.prompt for row in rows]
    alike = len(set(texts)) == 1  # one prompt is encoded once, whatever the number of images

    negative = request.negative_prompt or None  # none is not the same as an empty one to every base
    options = base.family.options(plan.steps) | told_after_each_step(pipe, after_step)
    if negative is not None:
        options["negative_prompt"] = negative if alike else [negative] * len(rows)

    with _prepared(base, plan.scheduler), _quiet():
        with applied(
            pipe,
            list(plan.used.values()),
            lock=request.lock,
            removal=plan.removal,
            biases={name: [row.biases[name] for row in rows] for name in plan.used},
            temperature=request.temperature,
            inverse_covariance=None if covariance is None else covariance.inverse,
        ) as conditioning:
            latents = pipe(
                texts[0] if alike else texts,
                num_images_per_prompt=len(rows) if alike else 1,
                generator=[torch.Generator().manual_seed(row.seed) for row in rows],
                num_inference_steps=plan.steps,
                guidance_scale=plan.guidance,
                width=plan.width,
                height=plan.height,
                output_type="latent",
                **options,
            ).images
            _note_truncation(conditioning.encoding, plan.warnings)
            if conditioning.unread and conditioning.unread not in plan.warnings:
                plan.warnings.append(conditioning.unread)
        images = [_decode(base, latents[k : k + 1]) for k in range(len(rows))]
    fingerprint = covariance.fingerprint if covariance is not None else ""
    return [
        GeneratedImage(image, recipe_of(base, plan, row, fingerprint))
        for image, row in zip(images, rows, strict=True)
    ]


def _decode(base: Base, latents: torch.Tensor) -> Image.Image:
    """One image from its latents. One at a time: the decoder's sums depend on what else is in a batch.

    Shape: latents (1, C, h, w).
    """
    if not torch.isfinite(latents).all():
        raise PerfusionError(
            "The image came out as not-a-number. Lower the guidance, or load the base model in float32 "
            "(--dtype float32)."
        )
    pipe = base.pipeline
    processor: Any = getattr(pipe, "image_processor", None) or pipe.video_processor
    image = processor.postprocess(pixels_of(base.vae, latents), output_type="pil")[0]
    finished = base.family.finished(pipe, image)
    if finished is None:
        raise PerfusionError(
            f"The guardrail that comes with {base.family.title} withholds this image. Change the prompt or "
            "the seed."
        )
    return finished


def _note_truncation(encoding: Any, said: list[str]) -> None:
    for words in dict.fromkeys(encoding.truncated if encoding is not None else []):
        message = f"The prompt is longer than the base model can read; this was left out: “{words}”."
        if words and message not in said:
            said.append(message)


@contextmanager
def _prepared(base: Base, scheduler: str) -> Generator[None]:
    """The base's pipeline with another scheduler and without its own progress bar, for the duration."""
    pipe = base.pipeline
    before, bar = pipe.scheduler, getattr(pipe, "_progress_bar_config", None)
    pipe.scheduler = make_scheduler(base, scheduler)
    pipe.set_progress_bar_config(disable=True)
    try:
        yield
    finally:
        pipe.scheduler = before
        if bar is None:
            del pipe._progress_bar_config
        else:
            pipe._progress_bar_config = bar


@contextmanager
def _quiet() -> Generator[None]:
    """Without Python warnings: ours are returned, and diffusers' own concern its developers."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield
