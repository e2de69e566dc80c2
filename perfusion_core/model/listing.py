"""Base models found on this machine. Reads names and small JSON files only; needs no torch."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from perfusion_core.errors import BaseModelError, first_line
from perfusion_core.files import is_folder
from perfusion_core.model.checkpoint_kind import checkpoint_kind
from perfusion_core.model.families.registry import family_of_index, require_packages
from perfusion_core.printable import is_text, printable

POCKET = "pocket"
# Libraries a pipeline's parts may come from; anything else would be code from the model's own folder.
_KNOWN_LIBRARIES = {"diffusers", "transformers", "stable_diffusion", "kolors"}  # the last two in diffusers
_HUB_ID = re.compile(r"[\w.-]{1,96}/[\w.-]{1,96}")


@dataclass(frozen=True)
class BaseListing:
    """A base model found on this machine; `reason` says why when it is not supported.

    id: what loads it; title and reason can be printed, and all three be written as UTF-8. `parts` are the
    parts that have weights, where it is a folder.
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
    """The bundled model, those in `models_dir` (folders and .safetensors files), those in the hub's cache.

    Raises nothing: what is in `models_dir` and cannot be read or named is listed with the reason.
    """
    found: list[BaseListing] = []
    with suppress(OSError):
        if _is_model(pocket_folder()):
            found.append(_listing(POCKET, "Pocket (bundled)", pocket_folder()))
    found += _listings_in(Path(models_dir)) if models_dir else []
    for name, folder in _in_hub_cache(hub_cache_folder()):
        if all(base.id != name for base in found):
            found.append(_listing(name, name, folder))
    return found


def _listings_in(models: Path) -> list[BaseListing]:
    if not is_folder(models):
        return []
    try:
        children = sorted(models.iterdir())
    except OSError as error:
        return [_unreadable(models, str(models), error)]
    return [listing for path in children if (listing := _listed(path)) is not None]


def _listed(path: Path) -> BaseListing | None:
    """What lies at `path` in the folder of models; None for what is no model."""
    try:
        folder = _is_model(path)
        if not folder and not (path.suffix == ".safetensors" and path.is_file()):
            return None
    except OSError as error:
        return _unreadable(path, path.name, error)
    if not is_text(str(path)):
        return _refused(
            str(path),
            path.name,
            path,
            f"{path.name} has a name that is no text in UTF-8, or lies in a folder that has. Rename it.",
        )
    return _listing(str(path), path.name, path) if folder else _file_listing(path)


def _is_model(folder: Path) -> bool:
    """Raises OSError for what may not be read."""
    return (folder / "model_index.json").is_file()


def _in_hub_cache(cache: Path) -> Iterator[tuple[str, Path]]:
    """Id and folder of the pipelines in the hub's cache, which keeps others' models as well."""
    for repository in _children(cache):
        name = repository.name.removeprefix("models--").replace("--", "/")
        if name == repository.name or not is_text(name):
            continue
        for snapshot in _children(repository / "snapshots"):
            with suppress(OSError):
                if _is_model(snapshot):
                    yield name, snapshot


def _children(folder: Path) -> list[Path]:
    try:
        return sorted(folder.iterdir())
    except (OSError, ValueError):  # ValueError: what cannot be a path
        return []


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
        return _refused(reference, title, folder, str(error))
    return BaseListing(reference, printable(title), folder, True, parts=family.parts)


def _file_listing(path: Path) -> BaseListing:
    try:
        checkpoint_kind(path)
    except BaseModelError as error:
        return _refused(str(path), path.stem, path, str(error))
    return BaseListing(str(path), printable(path.stem), path, True)


def _refused(reference: str, title: str, path: Path, reason: str) -> BaseListing:
    reference = reference if is_text(reference) else printable(reference)
    return BaseListing(reference, printable(title), path, False, printable(reason))


def _unreadable(path: Path, name: str, error: OSError) -> BaseListing:
    reason = error.strerror or first_line(error)
    return _refused(str(path), name, path, f"{name} cannot be read ({reason}). Allow reading it.")


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
            and str(source[0]) not in _KNOWN_LIBRARIES
        ):
            raise BaseModelError(
                f"{name} brings code of its own for its {printable(part)[:60]}, which is never run. "
                "Use a model without it."
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
    except (OSError, ValueError, RecursionError) as error:  # RecursionError: brackets without end
        raise BaseModelError(
            f"{name}: its model_index.json cannot be read. Download the model again."
        ) from error
    if not isinstance(index, dict):
        raise BaseModelError(f"{name}: its model_index.json is not a description. Download the model again.")
    return index
