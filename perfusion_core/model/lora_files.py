"""LoRA files: what is one, by its header, its bytes and its name. Needs no torch."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

from safetensors import SafetensorError, safe_open

from perfusion_core.errors import LoraError, first_line
from perfusion_core.files import open_regular
from perfusion_core.printable import is_text, printable

ENDING = ".safetensors"
WEIGHTS = (-4.0, 4.0)
MOST_LORAS = 32  # on one base
_DOWN = re.compile(r"lora_A\b|lora_down\b|lora(_linear_layer)?\.down\b")
_UP = re.compile(r"(lora_B|lora_up|lora(_linear_layer)?\.up)(\.default)?\.weight$")
_OTHER_ADDITIONS = ("hada_w", "lokr_w", "oft_blocks", "glora")
_NAMES_THAT_SAY_NOTHING = {"pytorch_lora_weights", "adapter_model"}  # as diffusers and peft save them
_LONGEST_NAME = 255  # characters
_PIECE = 2**20  # bytes


@dataclass(frozen=True)
class ChosenLora:
    """A LoRA file to be put on a base. weight: how strongly it acts, 1 as it was trained; 0 leaves it out."""

    file: Path
    weight: float = 1.0


@dataclass(frozen=True)
class LoraInForce:
    """A LoRA on a base. content_hash: the file's sha256 in hex; adapter: its name in the pipeline."""

    file: Path
    content_hash: str
    weight: float
    adapter: str

    @property
    def name(self) -> str:
        """The file's, as it is written into recipes."""
        return printable(self.file.name)[:_LONGEST_NAME]


@dataclass(frozen=True)
class LoraListing:
    """A file in the folder of LoRAs; `reason` says why where it cannot be used."""

    file: Path
    reason: str = ""


def check_weight(weight: float, name: str) -> float:
    """Raises `LoraError` unless `weight` lies in WEIGHTS."""
    low, high = WEIGHTS
    if not low <= weight <= high:  # also refuses NaN
        raise LoraError(
            f"The weight of {printable(name)} is {weight}; it has to be between {low:g} and {high:g}. "
            "1 is as it was trained."
        )
    return weight


def require_lora(file: Path) -> int:
    """How many layers a LoRA file has, from its header.

    Raises `LoraError`, naming the file, for what is missing, damaged, no .safetensors file or no LoRA.
    """
    name = printable(file.name)
    if file.suffix.lower() != ENDING:
        raise LoraError(f"{name} is not read: LoRAs are read as .safetensors only. Get it in that format.")
    try:
        open_regular(file).close()
        with safe_open(file, framework="numpy") as opened:
            names = list(opened.keys())
    except FileNotFoundError:
        raise LoraError(
            f"There is no LoRA {printable(str(file))[:200]}. Put it back, or leave it out."
        ) from None
    except SafetensorError:
        raise LoraError(
            f"{name} is damaged: it is not a whole .safetensors file. Download it again."
        ) from None
    except (OSError, ValueError) as error:
        raise LoraError(f"{name} cannot be read ({first_line(error)}). Choose another file.") from None
    layers = sum(bool(_UP.search(tensor)) for tensor in names)
    if layers and any(_DOWN.search(tensor) for tensor in names):
        return layers
    if any(sign in tensor for tensor in names for sign in _OTHER_ADDITIONS):
        raise LoraError(f"{name} is a LyCORIS file of a kind that is not supported. Use a plain LoRA.")
    raise LoraError(f"{name} is no LoRA. Choose a LoRA, as .safetensors.")


def content_hash(file: Path) -> str:
    """A file's sha256 in hex, kept while its size and time stay the same. Raises `LoraError`."""
    try:
        status = file.stat()
        return _hash(file, status.st_size, status.st_mtime_ns)
    except OSError as error:
        raise LoraError(
            f"{printable(file.name)} cannot be read ({first_line(error)}). Put it back."
        ) from None


@lru_cache(maxsize=1024)
def _hash(file: Path, _size: int, _changed: int) -> str:
    digest = hashlib.sha256()
    with open_regular(file) as opened:
        while piece := opened.read(_PIECE):
            digest.update(piece)
    return digest.hexdigest()


def lora_listings(folder: Path) -> list[LoraListing]:
    """The .safetensors files in the folder of LoRAs, by name. Raises nothing."""
    files: list[Path] = []
    with suppress(OSError):
        files = sorted(one for one in folder.iterdir() if one.suffix.lower() == ENDING and one.is_file())
    return [LoraListing(file, _refusal(file)) for file in files]


def _refusal(file: Path) -> str:
    if not is_text(str(file)):  # it is written into settings and recipes, which are UTF-8
        return f"{printable(file.name)} has a name that is no text in UTF-8. Rename it."
    try:
        require_lora(file)
    except LoraError as error:
        return str(error)
    return ""


def adapter_name(file: Path, taken: Iterable[str]) -> str:
    """What a LoRA is called in a pipeline: its file's name, by which `few_steps` knows its kind.

    Other characters than letters, digits, "-" and "_" are exchanged, since PEFT makes it a module's name.
    """
    stem = file.stem if file.stem not in _NAMES_THAT_SAY_NOTHING else file.absolute().parent.name
    name = wanted = re.sub(r"[^A-Za-z0-9_-]+", "_", stem)[:80].strip("_") + "_lora"
    number = 2
    while name in set(taken):
        name, number = f"{wanted}_{number}", number + 1
    return name
