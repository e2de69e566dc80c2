"""Precision, memory and timing of a training run on this machine."""

from __future__ import annotations

import traceback
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from pathlib import Path
from time import perf_counter
from typing import TYPE_CHECKING, Any

import torch

from perfusion_core.errors import TrainingError
from perfusion_core.model.device_memory import is_out_of_memory, release_memory
from perfusion_core.model.quiet import quiet_libraries
from perfusion_core.training.recipe import Recipe

if TYPE_CHECKING:
    from perfusion_core.model.base import Base

_DTYPES = {"float32": torch.float32, "bfloat16": torch.bfloat16, "float16": torch.float16}


def precision_for(base: Base, recipe: Recipe) -> torch.dtype:
    """What the denoiser computes in, whatever it is loaded in.

    "auto" is the precision of a base that is loaded in half, else bfloat16 or float16 on CUDA and float32
    elsewhere.
    """
    if recipe.precision != "auto":
        return _DTYPES[recipe.precision]
    if base.denoiser.dtype != torch.float32:
        return base.denoiser.dtype
    if base.device.type == "cuda":
        return torch.bfloat16 if torch.cuda.is_bf16_supported() else torch.float16
    return torch.float32


def autocast(base: Base, recipe: Recipe) -> AbstractContextManager[Any]:
    """The denoiser's precision as a context; what is learned stays in float32."""
    dtype = precision_for(base, recipe)
    if dtype == torch.float32:
        return nullcontext()
    return torch.autocast(base.device.type, dtype=dtype)


@contextmanager
def full_precision(base: Base, recipe: Recipe) -> Iterator[None]:
    """The denoiser's weights in float32 where the recipe computes in that, afterwards as they were.

    Half-precision numbers are float32 numbers too, so that going there and back changes no bit.
    """
    loaded_in = base.denoiser.dtype
    if loaded_in == torch.float32 or precision_for(base, recipe) != torch.float32:
        yield
        return
    with quiet_libraries():
        base.denoiser.to(torch.float32)
    try:
        yield
    finally:
        with quiet_libraries():
            base.denoiser.to(loaded_in)


@contextmanager
def checkpointed(base: Base, recipe: Recipe) -> Iterator[None]:
    """Gradient checkpointing in the denoiser, where the recipe asks for it, and afterwards as it was."""
    if not recipe.gradient_checkpointing:
        yield
        return
    was_on = bool(base.denoiser.is_gradient_checkpointing)
    base.denoiser.enable_gradient_checkpointing()
    try:
        yield
    finally:
        if not was_on:
            base.denoiser.disable_gradient_checkpointing()


@contextmanager
def memory_explained(recipe: Recipe, run_dir: Path) -> Iterator[None]:
    """Turn running out of memory into a TrainingError that says what to lower, and give the memory back."""
    found = False
    try:
        yield
    except Exception as error:
        if not is_out_of_memory(error):
            raise
        traceback.clear_frames(error.__traceback__)  # the failed step's tensors hang on its frames
        found = True
    if found:
        release_memory()
        raise TrainingError(_out_of_memory(recipe, run_dir))


def _out_of_memory(recipe: Recipe, run_dir: Path) -> str:
    if recipe.batch_size > 1:
        half = max(1, recipe.batch_size // 2)
        advice = f"Lower batch_size from {recipe.batch_size} to {half} and raise accumulation to "
        advice += f"{recipe.accumulation * recipe.batch_size // half} (the result stays about the same)"
    else:
        advice = f"Lower resolution below {recipe.resolution}"
    if not recipe.gradient_checkpointing:
        advice += ", or turn gradient_checkpointing on"
    return f"Memory ran out while teaching. {advice}. The last checkpoint in “{run_dir.name}” is kept."


class Clock:
    """Seconds spent, and about how many are left; steps and checkpoints are timed apart."""

    def __init__(self, add: Callable[[float], None]) -> None:
        self._add = add
        self._step_times: list[float] = []
        self._checkpoint_times: list[float] = []

    @contextmanager
    def step(self) -> Iterator[None]:
        yield from self._timed(self._step_times)

    @contextmanager
    def checkpoint(self) -> Iterator[None]:
        yield from self._timed(self._checkpoint_times)

    def _timed(self, times: list[float]) -> Iterator[None]:
        start = perf_counter()
        yield
        times.append(perf_counter() - start)
        self._add(times[-1])

    def eta(self, steps: int, checkpoints: int) -> float | None:
        """Seconds left for so many; None before the first step."""
        if not self._step_times:
            return None
        recent = sorted(self._step_times[-20:])
        per_step = recent[len(recent) // 2]  # the first step warms up and would mislead a mean
        per_checkpoint = sum(self._checkpoint_times) / max(1, len(self._checkpoint_times))
        return steps * per_step + checkpoints * per_checkpoint
