"""Where things are and which base model is used. Read once at the start, then handed on."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from perfusion_core.errors import PerfusionError

APP_NAME = "perfusion-studio"


@dataclass(frozen=True)
class Settings:
    """All of the program's surroundings. Folders are made when something is first written into them.

    memory: what teaching on a Stable Diffusion base may take, in GB (see `Recipe.preset`); None for what the
    graphics card has free.
    """

    home: Path
    base: str = "pocket"
    outputs: Path = Path("outputs")
    device: str = "auto"
    dtype: str = "auto"
    models_dir: Path | None = None
    memory: float | None = None

    @property
    def jobs_folder(self) -> Path:
        return self.home / "jobs"

    @property
    def cache_folder(self) -> Path:
        return self.home / "cache"

    @property
    def models_folder(self) -> Path:
        return self.models_dir if self.models_dir is not None else self.home / "models"


def settings_from(environment: Mapping[str, str] = os.environ) -> Settings:
    """Settings from the environment: `PERFUSION_HOME`, `PERFUSION_BASE`, `PERFUSION_MODELS`.

    Without `PERFUSION_HOME`, data lives where this system keeps a user's data.
    """
    home = environment.get("PERFUSION_HOME", "").strip()
    models = environment.get("PERFUSION_MODELS", "").strip()
    return Settings(
        home=_folder(home, "PERFUSION_HOME") if home else _default_home(),
        base=environment.get("PERFUSION_BASE", "").strip() or "pocket",
        models_dir=_folder(models, "PERFUSION_MODELS") if models else None,
    )


def _folder(text: str, variable: str) -> Path:
    path = Path(text).expanduser().absolute()
    if path.exists() and not path.is_dir():
        raise PerfusionError(f"{variable} is {path}, which is a file. Point it at a folder.")
    return path


def _default_home() -> Path:
    from platformdirs import user_data_path

    return user_data_path(APP_NAME, appauthor=False)
