"""The base model in use, with what belongs to it: statistics, scorer, segmenter."""

from __future__ import annotations

import threading
from collections.abc import Callable, Generator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

from perfusion_core.errors import PerfusionError
from perfusion_core.studio.settings import Settings

if TYPE_CHECKING:
    from perfusion_core.evaluation import Scorer
    from perfusion_core.model.base import Base
    from perfusion_core.model.listing import BaseListing
    from perfusion_core.model.lora_files import ChosenLora
    from perfusion_core.model.statistics import CovarianceStats


@dataclass(frozen=True)
class Missing:
    """A companion that could not be loaded, and why; work continues without it, with a warning."""

    reason: str


class LoadedBase:
    """A base model and its companions, each loaded when it is first needed."""

    def __init__(self, base: Base, settings: Settings) -> None:
        self.base = base
        self.settings = settings
        self._on_captions: Callable[[int, int], None] | None = None

    def training_gib(self) -> float:
        """GiB that a training may take beside the weights: what the device has free, and no more than they
        leave of the memory that was chosen.
        """
        from perfusion_core.model.device_memory import free_gib

        free = free_gib(self.base.device)
        if self.settings.memory is None:
            return free
        left = self.settings.memory * 1e9 / 2**30 - self.base.weights_gib
        return max(0.0, min(free, left))

    @cached_property
    def covariance(self) -> CovarianceStats:
        from perfusion_core.model.statistics import covariance_for

        return covariance_for(self.base, self.settings.cache_folder, progress=self._on_captions or True)

    @contextmanager
    def telling_captions(self, on_captions: Callable[[int, int], None]) -> Generator[None]:
        """For the duration, reading the captions of the statistics is told to `on_captions`: how many are
        read, and how many there are. For whoever owns the device; without it, a bar in the terminal shows it.
        """
        self._on_captions = on_captions
        try:
            yield
        finally:
            self._on_captions = None

    @cached_property
    def scorer(self) -> Scorer | Missing:
        from perfusion_core.model.clip import load_scorer

        return _or_missing(lambda: load_scorer(self.base))

    @cached_property
    def segmenter(self) -> Any:
        """A segmenter, or `Missing`."""
        from perfusion_core.model.segment import load_segmenter

        return _or_missing(lambda: load_segmenter(self.base))

    @property
    def loaded_segmenter(self) -> Any:
        """The segmenter, or `Missing`, once `segmenter` has been asked for; None before. Never loads."""
        return self.__dict__.get("segmenter")


class Bases:
    """Caches the base model loaded last: a device holds one.

    Only the owner of the device calls `get`: the worker's thread, or a command on its own. Screens use
    `borrow` and `current`, which never load anything.
    """

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self._loading = threading.Lock()  # held while a base is loaded
        self._borrowing = threading.RLock()  # held while the current base is used elsewhere, or let go
        self._current: tuple[str, LoadedBase] | None = None

    def get(self, reference: str | None = None, loras: Sequence[ChosenLora] = ()) -> LoadedBase:
        """The base called `reference` (the settings' own by default), loaded when it is another than before,
        with exactly these LoRAs on it: none, as for teaching, where it is not told.

        The previous one is released first, once nothing borrows it, so that two are never in memory. Raises
        `BaseModelError`, or `LoraError` for a LoRA that cannot be used.
        """
        wanted = reference or self.settings.base
        with self._loading:
            loaded = self._loaded(wanted)
            if loras or loaded.base.loras:
                from perfusion_core.model.loras import use_loras

                with self._borrowing:
                    use_loras(loaded.base, loras)
            return loaded

    def _loaded(self, wanted: str) -> LoadedBase:
        if self._current is not None and self._current[0] == wanted:
            self._current[1].settings = self.settings  # they may have been changed since it was loaded
            return self._current[1]
        with self._borrowing:
            self._current = None
        from perfusion_core.model.base import load_base
        from perfusion_core.model.device_memory import release_memory

        release_memory()

        base = load_base(
            wanted,
            device=self.settings.device,
            dtype=self.settings.dtype,
            models_dir=self.settings.models_folder,
        )
        loaded = LoadedBase(base, self.settings)
        self._current = (wanted, loaded)
        return loaded

    @contextmanager
    def borrow(self, reference: str | None = None) -> Generator[LoadedBase | None]:
        """The base called `reference` while it is used, where it is in memory; else None.

        Keep no reference to it: while it is borrowed, no other base is loaded.
        """
        wanted = reference or self.settings.base
        with self._borrowing:
            held = self._current
            yield held[1] if held is not None and held[0] == wanted else None

    @property
    def current(self) -> Base | None:
        """The base in memory, if one is."""
        held = self._current
        return held[1].base if held is not None else None

    def holds(self, reference: str) -> bool:
        """Whether the base called `reference` is in memory."""
        held = self._current
        return held is not None and held[0] == reference

    def available(self) -> list[BaseListing]:
        """The base models on this machine, without loading any."""
        from perfusion_core.model.listing import available_bases

        return available_bases(self.settings.models_folder)


def _or_missing(load: Any) -> Any:
    try:
        return load()
    except PerfusionError as error:
        return Missing(str(error))
