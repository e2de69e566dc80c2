"""What teaching has to know of the machine: precision, memory, time."""

from __future__ import annotations

import gc
import traceback
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from pathlib import Path
from time import perf_counter
from typing import TYPE_CHECKING, Any

import torch
from accelerate.utils.memory import should_reduce_batch_size

from perfusion_core.errors import TrainingError
from perfusion_core.training.recipe import Recipe

if TYPE_CHECKING:
    from perfusion_core.model.base import BaseModel

_DTYPES = {"float32": torch.float32, "bfloat16": torch.bfloat16, "float16": torch.float16}
_MEMORY_WORDS = ("out of memory", "not enough memory", "cannot allocate memory")  # as some drivers say it


def precision_for(base: BaseModel, recipe: Recipe) -> torch.dtype:
    """What the denoiser computes in. "auto": bfloat16 or else float16 on CUDA, float32 elsewhere.

    A base that is loaded in half precision computes in that, whatever the recipe says.
    """
    if base.unet.dtype != torch.float32:
        return base.unet.dtype
    if recipe.precision != "auto":
        return _DTYPES[recipe.precision]
    if base.device.type == "cuda":
        return torch.bfloat16 if torch.cuda.is_bf16_supported() else torch.float16
    return torch.float32


def autocast(base: BaseModel, recipe: Recipe) -> AbstractContextManager[Any]:
    """The denoiser's precision as a context; what is learned stays in float32."""
    dtype = precision_for(base, recipe)
    if dtype == torch.float32:
        return nullcontext()
    return torch.autocast(base.device.type, dtype=dtype)


@contextmanager
def checkpointed(base: BaseModel, recipe: Recipe) -> Iterator[None]:
    """Gradient checkpointing in the denoiser, where the recipe asks for it, and afterwards as it was."""
    if not recipe.gradient_checkpointing:
        yield
        return
    was_on = bool(base.unet.is_gradient_checkpointing)
    base.unet.enable_gradient_checkpointing()
    try:
        yield
    finally:
        if not was_on:
            base.unet.disable_gradient_checkpointing()


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
        free_memory()
        raise TrainingError(_out_of_memory(recipe, run_dir))


def is_out_of_memory(error: BaseException) -> bool:
    """Whether an error is one of the several ways torch and Python say that memory ran out."""
    if isinstance(error, (MemoryError, torch.OutOfMemoryError)):
        return True
    if isinstance(error, Exception) and should_reduce_batch_size(error):
        return True
    return isinstance(error, RuntimeError) and any(words in str(error).lower() for words in _MEMORY_WORDS)


def free_memory() -> None:
    gc.collect()
    if torch.cuda.is_available():
        torch.cuda.empty_cache()


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
