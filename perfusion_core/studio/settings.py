"""Settings: folders, base model and device, and the preferences kept from one start to the next."""

from __future__ import annotations

import os
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from perfusion_core.errors import PerfusionError, first_line
from perfusion_core.files import PRIVATE_FILE, PRIVATE_FOLDER, lies_in, make_folder, write_atomic
from perfusion_core.model.lora_files import WEIGHTS, ChosenLora
from perfusion_core.printable import printable

APP_NAME = "perfusion-studio"
PREFERENCES_FILE = "preferences.json"
LONGEST_PATH = 1000  # characters


@dataclass(frozen=True)
class Settings:
    """All of the program's surroundings. Folders are made when something is first written into them.

    memory: what the graphics card is taken to have for training, the base's weights in it, in GB (10**9
    bytes); None for what it has free. base_given: the base was named at the start, by an option or the
    environment. loras: what the app puts on this base for drawing.
    """

    home: Path
    base: str = "pocket"
    outputs: Path = Path("outputs")
    device: str = "auto"
    dtype: str = "auto"
    models_dir: Path | None = None
    memory: float | None = None
    base_given: bool = False
    loras: tuple[ChosenLora, ...] = ()

    @property
    def jobs_folder(self) -> Path:
        return self.home / "jobs"

    @property
    def cache_folder(self) -> Path:
        return self.home / "cache"

    @property
    def models_folder(self) -> Path:
        return self.models_dir if self.models_dir is not None else self.home / "models"

    @property
    def loras_folder(self) -> Path:
        """Beside the models."""
        return self.models_folder.parent / "loras"


def base_name(reference: str) -> str:
    """A base's name as people know it."""
    return "Pocket" if reference == "pocket" else Path(reference).name


def settings_from(environment: Mapping[str, str] = os.environ) -> Settings:
    """Settings from the environment: `PERFUSION_HOME`, `PERFUSION_BASE`, `PERFUSION_MODELS`.

    Without `PERFUSION_HOME`, data lives where this system keeps a user's data.
    """
    home = environment.get("PERFUSION_HOME", "").strip()
    models = environment.get("PERFUSION_MODELS", "").strip()
    base = environment.get("PERFUSION_BASE", "").strip()
    return Settings(
        home=_folder(home, "PERFUSION_HOME") if home else _default_home(),
        base=base or "pocket",
        models_dir=_folder(models, "PERFUSION_MODELS") if models else None,
        base_given=bool(base),
    )


def _folder(text: str, variable: str) -> Path:
    try:
        text.encode()  # half a character would fail only later, where the path is kept or shown
        path = Path(text).expanduser().absolute()
        is_file = path.exists() and not path.is_dir()
    except (OSError, ValueError, RuntimeError) as error:  # too long, no whole text, no such user's home
        raise PerfusionError(
            f"{variable} is {printable(text)[:200]}, which cannot be a folder ({first_line(error)[:100]}). "
            "Point it at a folder."
        ) from None
    if is_file:
        raise PerfusionError(f"{variable} is {path}, which is a file. Point it at a folder.")
    return path


def _default_home() -> Path:
    from platformdirs import user_data_path

    return user_data_path(APP_NAME, appauthor=False)


_Reference = Annotated[str, Field(max_length=1000)]


class Preferences(BaseModel):
    """Empty or zero means: as the program was started.

    base: the base model; models, outputs: folders; memory: as in `Settings`; lan_user and lan_secret: the
    login for other machines (see `access`), none when empty; loras: by base, names of files in the folder of
    LoRAs with their weights.
    """

    model_config = ConfigDict(strict=True, frozen=True, extra="ignore")

    base: _Reference = ""
    models: _Reference = ""
    outputs: _Reference = ""
    memory: float = 0.0
    lan_user: str = ""
    lan_secret: str = ""
    loras: dict[_Reference, dict[_Reference, float]] = {}


def read_preferences(home: Path) -> Preferences:
    """What was chosen; nothing when the file is missing or damaged."""
    try:
        return Preferences.model_validate_json((home / PREFERENCES_FILE).read_bytes())
    except (OSError, ValidationError):
        return Preferences()


def write_preferences(home: Path, preferences: Preferences) -> None:
    make_folder(home, "Set PERFUSION_HOME to one that can.", private=True)
    write_atomic(home / PREFERENCES_FILE, preferences.model_dump_json(indent=1).encode(), private=True)


def chosen_folder(text: str, what: str, home: Path) -> Path:
    """The folder that a person typed for `what` ("pictures", "models"), made where only it is missing, and
    private to the user where it lies in the data folder `home`.

    A path that is not complete, or whose parent is not there, is more likely mistyped than meant: it is
    refused before anything is made. Raises `PerfusionError`.
    """
    way_out = "Give the full path of a folder that can be written to."
    try:
        path = Path(text.strip()).expanduser()
        fits = path.is_absolute() and text.isprintable() and len(str(path)) <= LONGEST_PATH
        if not fits or not (path.is_dir() or path.parent.is_dir()):
            raise PerfusionError(
                f"“{text.strip()[:100]}” cannot be the folder for {what}: there is no such place. {way_out}"
            )
    except (OSError, ValueError, RuntimeError) as error:  # RuntimeError: "~nobody"
        raise PerfusionError(
            f"“{text.strip()[:100]}” cannot be the folder for {what} ({error}). {way_out}"
        ) from None
    make_folder(path, way_out, private=lies_in(path, home))
    if not os.access(path, os.W_OK | os.X_OK):
        raise PerfusionError(f"{path} cannot be the folder for {what}: it cannot be written to. {way_out}")
    return path


def keep_private(settings: Settings) -> None:
    """Make the data folder private to the user, also one that an earlier version made."""
    owned = ("library", "trash", "jobs", "cache", "outputs")
    modes = {**dict.fromkeys(owned, PRIVATE_FOLDER), PREFERENCES_FILE: PRIVATE_FILE}
    for name, mode in modes.items():
        with suppress(OSError):
            (settings.home / name).chmod(mode)


def prefer(home: Path, **changes: str | float | dict[str, dict[str, float]]) -> Preferences:
    """Change some of what was chosen, and keep it. Raises `PerfusionError` when it cannot be written."""
    changed = Preferences.model_validate({**read_preferences(home).model_dump(), **changes})
    write_preferences(home, changed)
    return changed


def preferred(settings: Settings) -> Settings:
    """`settings` with what was chosen in the app, where the start did not say otherwise."""
    chosen = read_preferences(settings.home)
    given = settings.base_given or settings.base != "pocket"
    base = chosen.base if chosen.base and not given else settings.base
    models = Path(chosen.models) if chosen.models and settings.models_dir is None else settings.models_dir
    return with_chosen_loras(
        replace(
            settings,
            base=base,
            models_dir=models,
            outputs=Path(chosen.outputs) if chosen.outputs else settings.outputs,
            memory=chosen.memory or settings.memory,
        )
    )


def with_chosen_loras(settings: Settings) -> Settings:
    """`settings` with the LoRAs that were chosen for its base."""
    kept = read_preferences(settings.home).loras.get(settings.base, {})
    low, high = WEIGHTS
    loras = tuple(
        ChosenLora(settings.loras_folder / name, weight)
        for name, weight in kept.items()
        if Path(name).name == name and low <= weight <= high
    )
    return replace(settings, loras=loras)


def keep_chosen_loras(settings: Settings) -> None:
    """Keep them for the next start, and for when this base is used again. Raises `PerfusionError`."""
    chosen = {lora.file.name: lora.weight for lora in settings.loras}
    kept = read_preferences(settings.home).loras
    others = {base: loras for base, loras in kept.items() if base != settings.base}
    prefer(settings.home, loras={**others, settings.base: chosen} if chosen else others)
