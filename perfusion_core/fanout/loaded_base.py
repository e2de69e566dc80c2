"""The base model of a worker, and the facts about it that the first worker finds out for all."""

from __future__ import annotations

import tempfile
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from perfusion_core.errors import BaseModelError, LoraError
from perfusion_core.model.lora_files import ChosenLora, content_hash
from perfusion_core.studio.bases import Bases, LoadedBase, Missing
from perfusion_core.studio.settings import Settings

if TYPE_CHECKING:
    from perfusion_core.model.describe import BaseDescription
    from perfusion_core.model.statistics import CovarianceStats


@dataclass(frozen=True)
class BaseFacts:
    """A base's identity and description, on which a recipe's preset depends, and the statistics of its text.

    inverse: the inverse covariance, (D, D) float32, with its own fingerprint and condition number; scorer:
    the name of what scores, empty where nothing does.
    """

    name: str
    fingerprint: str
    description: BaseDescription
    scorer: str
    device: str
    inverse: NDArray[np.float32]
    covariance_fingerprint: str
    condition: float

    @classmethod
    def of(cls, loaded: LoadedBase, *, scoring: bool = True) -> BaseFacts:
        """Computes the covariance where it is not kept yet, and with `scoring` loads the scorer."""
        base, covariance = loaded.base, loaded.covariance
        scorer = loaded.scorer if scoring else Missing("")
        return cls(
            name=base.id,
            fingerprint=base.fingerprint,
            description=base.description,
            scorer="" if isinstance(scorer, Missing) else scorer.name,
            device=base.device.type,
            inverse=covariance.inverse.numpy(),
            covariance_fingerprint=covariance.fingerprint,
            condition=covariance.condition,
        )

    def statistics(self) -> CovarianceStats:
        import torch

        from perfusion_core.model.statistics import CovarianceStats

        inverse = torch.tensor(
            self.inverse
        )  # a copy: an object store's is read-only, and aligned in its own way
        return CovarianceStats(inverse, self.covariance_fingerprint, self.condition)


@dataclass(frozen=True)
class BaseSetup:
    """How a worker loads its base.

    models: the folder of models named by their file; share: of the device's memory, for several workers on
    one; threads: of the CPU, None for torch's own; cache: where statistics are kept, None for the user's
    cache; shared: what the first worker found; loras: LoRAs to draw with, and
    the hash of each file as the driver has it.
    """

    reference: str
    models: Path
    device: str = "auto"
    dtype: str = "auto"
    share: float = 1.0
    threads: int | None = None
    cache: Path | None = None
    shared: BaseFacts | None = None
    loras: tuple[tuple[ChosenLora, str], ...] = ()

    def load(self) -> LoadedBase:
        """Raises `BaseModelError`, also when it is not the base that the first worker has, or `LoraError`."""
        import torch

        from perfusion_core.model.statistics import covariance_for

        if self.threads is not None:
            torch.set_num_threads(self.threads)
        # No data folder: a worker reads models, and everything else comes and goes with its tasks.
        home = Path(tempfile.gettempdir())
        settings = Settings(
            home, self.reference, device=self.device, dtype=self.dtype, models_dir=self.models
        )
        for lora, expected in self.loras:
            if content_hash(lora.file) != expected:
                raise LoraError(f"{lora.file} on this worker is another file. Put the given one there.")
        loaded = Bases(settings).get(loras=[lora for lora, _ in self.loras])
        if self.share < 1.0:
            loaded.settings = replace(settings, memory=_share_of(loaded.base.device, self.share))
        if self.shared is None:
            loaded.covariance = covariance_for(loaded.base, self.cache, progress=False)
            return loaded
        if loaded.base.fingerprint != self.shared.fingerprint:
            raise BaseModelError(
                f"{self.reference} on this worker is not the {self.shared.name} that the first one has "
                f"({loaded.base.fingerprint[:12]}, {self.shared.fingerprint[:12]}). Put the same model there."
            )
        loaded.covariance = self.shared.statistics()
        return loaded


def _share_of(device: Any, share: float) -> float | None:
    """GB of a graphics card's memory for one of several workers on it; None on other devices."""
    from perfusion_core.model.device_memory import card_gib

    card = card_gib(device)
    return None if card is None else share * card * 2**30 / 1e9
