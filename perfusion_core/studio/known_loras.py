"""LoRAs by the hash that an image's recipe gives, among the files already here.

Images are untrusted: a name in one only says which file of the folder is looked at first, and is never used
as a path.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from perfusion_core.container import shown
from perfusion_core.errors import LoraError
from perfusion_core.model.lora_files import ChosenLora, content_hash, lora_listings
from perfusion_core.studio.jobs.store import Json
from perfusion_core.studio.settings import Settings

if TYPE_CHECKING:
    from perfusion_core.sampling.png import UsedLora


def known_loras(
    settings: Settings, used: Sequence[UsedLora], given: Sequence[Path] = ()
) -> tuple[list[ChosenLora], list[str]]:
    """The files of `used`, with their weights, among `given` and the folder of LoRAs; and a sentence for each
    that is not there.
    """
    found: list[ChosenLora] = []
    missing: list[str] = []
    here = [*given, *(one.file for one in lora_listings(settings.loras_folder) if not one.reason)]
    for lora in used:
        file = _with_hash(lora, here)
        if file is not None:
            found.append(ChosenLora(file, lora.weight))
        else:
            missing.append(f"the LoRA {shown(lora.name)} ({lora.content_hash[:12]}) is not on this machine")
    return found, missing


def loras_json(loras: Sequence[ChosenLora]) -> list[list[str | float]]:
    """LoRAs as a job's request has them."""
    return [[str(lora.file), lora.weight] for lora in loras]


def loras_asked(request: Json) -> list[ChosenLora]:
    """The LoRAs that a job asks for; none in one for teaching, or of earlier versions of the program."""
    return [ChosenLora(Path(file), weight) for file, weight in request.get("loras", [])]


def _with_hash(lora: UsedLora, files: Sequence[Path]) -> Path | None:
    in_turn = sorted(files, key=lambda one: one.name != lora.name)
    return next((file for file in in_turn if hash_of(file) == lora.content_hash), None)


def hash_of(file: Path) -> str:
    """Empty for one that cannot be read: another may be the one."""
    try:
        return content_hash(file)
    except LoraError:
        return ""
