"""Base models found on this machine. Reads names and small JSON files only; needs no torch."""

from __future__ import annotations

import json
import os
import re
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from perfusion_core.errors import BaseModelError
from perfusion_core.model.checkpoint_kind import checkpoint_kind
from perfusion_core.model.families.registry import family_of_index, require_packages
from perfusion_core.printable import printable

POCKET = "pocket"
# Libraries a pipeline's parts may come from; anything else would be code from the model's own folder.
_KNOWN_LIBRARIES = {"diffusers", "transformers", "stable_diffusion"}
_HUB_ID = re.compile(r"[\w.-]{1,96}/[\w.-]{1,96}")


@dataclass(frozen=True)
class BaseListing:
    """A base model found on this machine; `reason` says why when it is not supported.

    `parts` are the parts that have weights, where it is a folder.
    """

    id: str
    title: str
    path: Path
    supported: bool
    reason: str = ""
    parts: tuple[str, ...] = ()


def pocket_folder() -> Path:
    """Where the bundled base model lies; the environment variable PERFUSION_POCKET points elsewhere."""
    override = os.environ.get("PERFUSION_POCKET")
    return Path(override) if override else Path(__file__).parents[2] / "assets" / "pocket"


def hub_cache_folder() -> Path:
    """Where Hugging Face libraries keep downloaded models."""
    if "HF_HUB_CACHE" in os.environ:
        return Path(os.environ["HF_HUB_CACHE"])
    return Path(os.environ.get("HF_HOME", Path.home() / ".cache" / "huggingface")) / "hub"


def available_bases(models_dir: str | Path | None = None) -> list[BaseListing]:
    """The bundled model, those in `models_dir` (folders and .safetensors files), those in the hub's cache."""
    found: list[BaseListing] = []
    if (pocket_folder() / "model_index.json").is_file():
        found.append(_listing(POCKET, "Pocket (bundled)", pocket_folder()))
    folder = Path(models_dir) if models_dir else None
    for path in sorted(folder.iterdir()) if folder and folder.is_dir() else ():
        if (path / "model_index.json").is_file():
            found.append(_listing(str(path), path.name, path))
        elif path.suffix == ".safetensors" and path.is_file():
            found.append(_file_listing(path))
    for path in sorted(hub_cache_folder().glob("models--*/snapshots/*/model_index.json")):
        name = path.parents[2].name.removeprefix("models--").replace("--", "/")
        if all(base.id != name for base in found):
            found.append(_listing(name, name, path.parent))
    return found


def on_disk(reference: str, models_dir: str | Path | None = None) -> Path | None:
    """The folder or file that a reference to a base model means, None for a hub id.

    Raises BaseModelError for what can be neither.
    """
    if reference == POCKET:
        folder = pocket_folder()
        if not (folder / "model_index.json").is_file():
            raise BaseModelError(
                f"The bundled pocket model is missing from {folder}. Get the project again with its assets, "
                "or choose another base with --base."
            )
        return folder
    with suppress(OSError, ValueError, RuntimeError):  # too long, half a character, no such user's home
        near = [Path(reference).expanduser()]
        if models_dir:
            near += [Path(models_dir) / reference, Path(models_dir) / f"{reference}.safetensors"]
        for path in near:
            if path.exists():
                return path
    if _HUB_ID.fullmatch(reference) and not reference.startswith("."):
        return None
    raise BaseModelError(
        f"There is no base model at {printable(reference)[:200]}. Give “pocket”, a diffusers folder, a "
        ".safetensors file, or a Hugging Face id such as stable-diffusion-v1-5/stable-diffusion-v1-5."
    )


def _listing(reference: str, title: str, folder: Path) -> BaseListing:
    try:
        family = family_of_index(require_supported(folder, title), title)
    except BaseModelError as error:
        return BaseListing(reference, title, folder, False, str(error))
    return BaseListing(reference, title, folder, True, parts=family.parts)


def _file_listing(path: Path) -> BaseListing:
    try:
        checkpoint_kind(path)
    except BaseModelError as error:
        return BaseListing(str(path), path.stem, path, False, str(error))
    return BaseListing(str(path), path.stem, path, True)


def require_supported(folder: Path, name: str) -> dict[str, Any]:
    """The content of a folder's model_index.json.

    Raises BaseModelError unless it is of a pipeline we can edit, without code of its own.
    """
    index = _read_index(folder, name)
    require_packages(family_of_index(index, name), name)
    for part, source in index.items():
        if (
            isinstance(source, list)
            and source
            and source[0] is not None
            and source[0] not in _KNOWN_LIBRARIES
        ):
            raise BaseModelError(
                f"{name} brings code of its own for its {part}, which is never run. Use a model without it."
            )
    return index


def _read_index(folder: Path, name: str) -> dict[str, Any]:
    try:
        index = json.loads((folder / "model_index.json").read_text("utf-8"))
    except FileNotFoundError as error:
        raise BaseModelError(
            f"{name} is a folder without model_index.json, so it is not a diffusers model. "
            "Choose the folder that holds model_index.json, or a single .safetensors checkpoint."
        ) from error
    except (OSError, ValueError) as error:
        raise BaseModelError(
            f"{name}: its model_index.json cannot be read. Download the model again."
        ) from error
    if not isinstance(index, dict):
        raise BaseModelError(f"{name}: its model_index.json is not a description. Download the model again.")
    return index
