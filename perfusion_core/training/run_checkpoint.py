"""Checkpoints of a training run: all state that the next step depends on.

So a resumed run ends where an unbroken one would have.
"""

from __future__ import annotations

import hashlib
import io
import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from datetime import datetime, timezone
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch.amp.grad_scaler import GradScaler

from perfusion_core.concept import Concept, concept_bytes, concept_from_bytes
from perfusion_core.errors import TrainingError
from perfusion_core.files import remove_leftovers, write_atomic
from perfusion_core.training.events import History, Scored
from perfusion_core.training.learned import Learned
from perfusion_core.training.photos import Photo
from perfusion_core.training.recipe import Recipe

if TYPE_CHECKING:
    from perfusion_core.model.base import Base
    from perfusion_core.model.statistics import CovarianceStats

CHECKPOINT = "checkpoint.pt"
BEST = "best.safetensors"
LAST = "last.safetensors"
_VERSION = 2  # 1 held one embedding


@dataclass
class RunState:
    """A training run in progress, with everything that changes from step to step.

    step: optimizer steps done; checked: the last step whose checkpoint was scored (-1: none); best: the
    chosen concept so far and its scores (None without a score).
    """

    learned: Learned
    optimizer: torch.optim.Optimizer
    scaler: GradScaler
    generator: torch.Generator
    identity: dict[str, str]
    step: int = 0
    checked: int = -1
    seconds: float = 0.0
    history: History = field(default_factory=History)
    best: Concept | None = None
    best_scores: Scored | None = None
    created_at: str = field(default_factory=lambda: datetime.now(timezone.utc).isoformat(timespec="seconds"))

    def spend(self, seconds: float) -> None:
        self.seconds += seconds

    def keep_if_best(self, concept: Concept, scored: Scored) -> None:
        """Note a checkpoint's scores and choose it when its harmonic mean is the best so far.

        The untrained start, the baseline, follows every prompt and resembles no photo: never chosen.
        """
        self.history.scores.append(scored)
        if scored.step > 0 and (self.best_scores is None or scored.harmonic > self.best_scores.harmonic):
            self.best, self.best_scores = concept, scored


def save(state: RunState, run_dir: Path) -> None:
    """Write the state atomically.

    Raises TrainingError, leaving the last checkpoint, when a number is not finite.
    """
    if not state.learned.is_finite():
        raise not_finite(state.step, run_dir)
    content = {
        "version": _VERSION,
        "identity": state.identity,
        "step": state.step,
        "checked": state.checked,
        "seconds": state.seconds,
        "created_at": state.created_at,
        "learned": state.learned.tensors(),
        "optimizer": state.optimizer.state_dict(),
        "scaler": state.scaler.state_dict(),
        "generator": state.generator.get_state(),
        "losses": torch.tensor(state.history.losses, dtype=torch.float64),
        "scores": [asdict(scored) for scored in state.history.scores],
        "best": _as_tensor(concept_bytes(state.best)) if state.best else None,
        "best_scores": asdict(state.best_scores) if state.best_scores else None,
    }
    buffer = io.BytesIO()
    torch.save(content, buffer)
    write_atomic(run_dir / CHECKPOINT, buffer.getvalue(), private=True)


def save_concepts(run_dir: Path, last: Concept, best: Concept | None) -> None:
    """The run's concepts as files of their own: usable even if nothing else of the run survives."""
    for concept, name in ((last, LAST), (best or last, BEST)):
        write_atomic(run_dir / name, concept_bytes(concept), private=True)


def restore(state: RunState, run_dir: Path) -> bool:
    """Continue from the run's checkpoint, if it has one; says whether it had.

    Raises TrainingError when the checkpoint is damaged, or was made with other photos, settings or another
    base.
    """
    remove_leftovers(run_dir)
    path = run_dir / CHECKPOINT
    if not path.exists():
        return False
    content = _read(path)
    for what, digest in state.identity.items():
        if content["identity"].get(what) != digest:
            raise TrainingError(
                f"The run in “{run_dir.name}” was begun with {_SPOKEN[what]}. "
                "Resume it with the same, or start a new run."
            )
    state.learned.restore(content["learned"])
    state.optimizer.load_state_dict(content["optimizer"])
    state.scaler.load_state_dict(content["scaler"])
    state.generator.set_state(content["generator"])
    state.step, state.checked = content["step"], content["checked"]
    state.seconds, state.created_at = content["seconds"], content["created_at"]
    state.history = History(content["losses"].tolist(), [Scored(**scored) for scored in content["scores"]])
    state.best = (
        concept_from_bytes(content["best"].numpy().tobytes(), BEST) if content["best"] is not None else None
    )
    state.best_scores = Scored(**content["best_scores"]) if content["best_scores"] else None
    return True


def identity_of(
    base: Base,
    covariance: CovarianceStats,
    name: str,
    superclass: str,
    photos: Sequence[Photo],
    masks: Sequence[Any],
    recipe: Recipe,
) -> dict[str, str]:
    """What a run must share with the one it continues, each part as a digest."""
    photo_digests = "".join(f"{photo.sha}{photo.crop}" for photo in photos)
    mask_bytes = b"".join(np.ascontiguousarray(mask, dtype=np.float32).tobytes() for mask in masks)
    settings = json.dumps(recipe.to_dict(), sort_keys=True)
    parts = {
        "name": f"{name}\n{superclass}".encode(),
        "base": f"{base.fingerprint}\n{covariance.fingerprint}".encode(),
        "photos": photo_digests.encode(),
        "masks": mask_bytes,
        "recipe": settings.encode(),
    }
    return {what: hashlib.sha256(content).hexdigest() for what, content in parts.items()}


def not_finite(step: int, run_dir: Path) -> TrainingError:
    """What to say when a loss, or what was learned, is NaN or infinite."""
    path = run_dir / CHECKPOINT
    kept = (
        f"The checkpoint of step {_read(path)['step']} in “{run_dir.name}” is kept. " if path.exists() else ""
    )
    return TrainingError(
        f"Teaching stopped at step {step}: its numbers are no longer finite. {kept}"
        "Lower value_rate and embedding_rate, or choose precision float32, and teach again."
    )


_SPOKEN = {
    "name": "another name or superclass",
    "base": "another base model",
    "photos": "other photos",
    "masks": "other masks",
    "recipe": "other settings",
}


def _read(path: Path) -> dict[str, Any]:
    try:
        content = torch.load(path, map_location="cpu", weights_only=True)
        version = content["version"]
    except Exception as error:  # a damaged file fails in whatever reader its bytes happen to reach
        raise TrainingError(
            f"The checkpoint “{path.name}” in “{path.parent.name}” is damaged and cannot be resumed. "
            "Start a new run."
        ) from error
    if version != _VERSION:
        raise TrainingError(
            f"The run in “{path.parent.name}” was made by another version of Perfusion Studio. "
            "Start a new run."
        )
    return content


def _as_tensor(content: bytes) -> torch.Tensor:
    return torch.from_numpy(np.frombuffer(content, dtype=np.uint8).copy())
