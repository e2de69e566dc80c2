"""What a person chose in the app and finds again after a restart."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from pydantic import BaseModel, ConfigDict, ValidationError

from perfusion_core.errors import PerfusionError
from perfusion_core.files import write_atomic
from perfusion_core.studio.settings import Settings

FILE = "preferences.json"


class Preferences(BaseModel):
    """Empty or zero means: as the program was started.

    base: the base model; models, outputs: folders; memory: what teaching may take, in GB; lan_user and
    lan_secret: who may come in from other machines (see `access`), nobody when empty.
    """

    model_config = ConfigDict(strict=True, frozen=True, extra="ignore")

    base: str = ""
    models: str = ""
    outputs: str = ""
    memory: float = 0.0
    lan_user: str = ""
    lan_secret: str = ""


def read_preferences(home: Path) -> Preferences:
    """What was chosen; nothing when the file is missing or damaged."""
    try:
        return Preferences.model_validate_json((home / FILE).read_bytes())
    except (OSError, ValidationError):
        return Preferences()


def write_preferences(home: Path, preferences: Preferences) -> None:
    try:
        home.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise PerfusionError(
            f"The choice cannot be kept: {home} cannot be made ({error.strerror})."
        ) from None
    write_atomic(home / FILE, preferences.model_dump_json(indent=1).encode())


def prefer(home: Path, **changes: str | float) -> Preferences:
    """Change some of what was chosen, and keep it. Raises `PerfusionError` when it cannot be written."""
    changed = Preferences.model_validate({**read_preferences(home).model_dump(), **changes})
    write_preferences(home, changed)
    return changed


def preferred(settings: Settings) -> Settings:
    """`settings` with what was chosen in the app, where the start did not say otherwise."""
    chosen = read_preferences(settings.home)
    base = chosen.base if chosen.base and settings.base == "pocket" else settings.base
    models = Path(chosen.models) if chosen.models and settings.models_dir is None else settings.models_dir
    return replace(
        settings,
        base=base,
        models_dir=models,
        outputs=Path(chosen.outputs) if chosen.outputs else settings.outputs,
        memory=chosen.memory or settings.memory,
    )
