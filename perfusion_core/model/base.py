"""Load a base model, freeze it and say what it is."""

from __future__ import annotations

from contextlib import contextmanager
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch

from perfusion_core.errors import BaseModelError, first_line
from perfusion_core.model.autoencoder import has_room, precision_beside, take_tiles
from perfusion_core.model.describe import BaseDescription, Projection, cross_attentions, describe
from perfusion_core.model.device_memory import card_gib, is_out_of_memory, weights_gib
from perfusion_core.model.families.registry import family_of_index
from perfusion_core.model.few_steps import FewSteps, few_steps
from perfusion_core.model.fingerprint import encoding_fingerprint, pipeline_fingerprint, text_fingerprint
from perfusion_core.model.hub import hub_index, require_hub
from perfusion_core.model.listing import (
    POCKET,
    BaseListing,
    available_bases,
    hub_cache_folder,
    on_disk,
    pocket_folder,
    require_supported,
)
from perfusion_core.model.quiet import quiet_libraries

if TYPE_CHECKING:
    from collections.abc import Iterator

    from perfusion_core.model.families.description import Family
    from perfusion_core.model.lora_files import LoraInForce

__all__ = [
    "Base",
    "BaseDescription",
    "BaseListing",
    "Projection",
    "available_bases",
    "cross_attentions",
    "load_base",
    "pocket_folder",
]

_VARIANTS = (None, "fp16")  # names of files: model.safetensors, model.fp16.safetensors
_PICKLES = {".ckpt", ".pt", ".pth", ".bin", ".pkl"}


class Base:
    """A frozen base model: the stock pipeline of diffusers, and the facts about it.

    `dtype` is the precision of denoiser and autoencoder (None: float32); text encoders stay in float32, since
    the gates are computed from their output, but for large ones beside a CPU, which are in bfloat16. With
    another `dtype`, run the pipeline inside `applied(...)`.
    """

    def __init__(
        self,
        name: str,
        pipeline: Any,
        *,
        device: str = "cpu",
        dtype: torch.dtype = torch.float32,
        folder: Path | None = None,
    ) -> None:
        self.id = name
        self.pipeline = pipeline
        self.folder = folder
        self.device = torch.device(device)
        self.dtype = dtype
        self.loras: tuple[LoraInForce, ...] = ()  # changed by `loras.use_loras` alone
        self.description: BaseDescription = describe(pipeline, name)
        self.family: Family = self.description.family
        if self.denoiser.config.in_channels != self.description.latent_channels:
            raise BaseModelError(
                f"{name} is an inpainting or editing model, which is not supported yet. "
                "Use the plain model it was made from."
            )
        # Taken before rounding to a smaller precision, so that it does not depend on the machine.
        self.text_fingerprint = encoding_fingerprint(pipeline, self.family)
        self.fingerprint = pipeline_fingerprint(pipeline, self.family)
        self.encoder_fingerprints = {
            encoder.part: text_fingerprint(getattr(pipeline, encoder.part))
            for encoder in self.family.encoders
        }
        for part in self.family.parts:
            getattr(pipeline, part).eval().requires_grad_(False)
        with quiet_libraries():  # diffusers warns of a cast even where nothing is cast
            for encoder in self.family.encoders:
                large = encoder.large and self.device.type != "cpu"
                precision = torch.bfloat16 if large else torch.float32
                getattr(pipeline, encoder.part).to(self.device, precision)
            self.denoiser.to(self.device, dtype)
            self.vae.to(self.device, precision_beside(self.family, self.vae, dtype))
        self._mind_the_card()
        pipeline.set_progress_bar_config(disable=True)

    def _mind_the_card(self) -> None:
        """Have the autoencoder take tiles where the card is too small for a whole image beside the weights.

        By the card's size and not by what is free on it, so that one machine makes one image of a recipe.
        """
        card = card_gib(self.device)
        if card is None:
            return
        room = card - self.weights_gib
        if not has_room(self.family, self.description.image_size, self.vae.dtype, room):
            take_tiles(self.vae)

    @property
    def weights_gib(self) -> float:
        """What the weights of all parts take on their device, in GiB."""
        return weights_gib(getattr(self.pipeline, part) for part in self.family.parts)

    @property
    def tokenizer(self) -> Any:
        """The first text encoder's."""
        return self.pipeline.tokenizer

    @property
    def text_encoder(self) -> Any:
        """The first text encoder."""
        return self.pipeline.text_encoder

    @property
    def denoiser(self) -> Any:
        return getattr(self.pipeline, self.family.denoiser)

    @property
    def unet(self) -> Any:
        """The denoiser where it is a UNet."""
        return self.pipeline.unet

    @property
    def vae(self) -> Any:
        return self.pipeline.vae

    @property
    def scheduler(self) -> Any:
        return self.pipeline.scheduler

    @property
    def few_steps(self) -> FewSteps | None:
        """How it is used where it draws in a few steps, also by a LoRA loaded since; else None."""
        return few_steps(self.denoiser, self.scheduler, (self.id,))

    @cached_property
    def prompts(self) -> Any:
        """A PromptEncoder over this base's text encoder."""
        from perfusion_core.model.text import PromptEncoder

        return PromptEncoder(self)


def load_base(
    reference: str | Path = POCKET,
    *,
    device: str = "auto",
    dtype: str | torch.dtype = "auto",
    models_dir: str | Path | None = None,
) -> Base:
    """Load a base model, frozen and in evaluation mode.

    `reference` is "pocket", a diffusers folder, a single .safetensors checkpoint, a name in `models_dir`,
    or a Hugging Face id (from the cache, else downloaded). Only safetensors are read and no code of a model
    is run. Raises BaseModelError, saying what to do, for anything that cannot be loaded.
    """
    device = _device(device)
    path = on_disk(str(reference), models_dir)
    if path is None:
        return _based(str(reference), _from_hub(str(reference)), device, dtype)
    if path.is_dir():
        name = POCKET if str(reference) == POCKET else path.name
        return _based(name, _from_folder(path, name), device, dtype, path)
    if path.suffix.lower() in _PICKLES:
        raise BaseModelError(
            f"{path.name} is in an old format that can run code when opened, so it is not read. "
            "Get the model as .safetensors."
        )
    if path.suffix.lower() != ".safetensors" or not path.is_file():  # a pipe would block its reader
        raise BaseModelError(
            f"{path.name} is not a model file. Choose a .safetensors file or a diffusers folder."
        )
    from perfusion_core.model.single_file import load_single_file

    with _named_failure(path.name):
        return _based(path.stem, load_single_file(path), device, dtype)


def _based(
    name: str, pipeline: Any, device: str, dtype: str | torch.dtype, folder: Path | None = None
) -> Base:
    precision = _precision(dtype, device, describe(pipeline, name).family)
    return Base(name, pipeline, device=device, dtype=precision, folder=folder)


def _from_folder(folder: Path, name: str) -> Any:
    index = require_supported(folder, name)
    family = family_of_index(index, name)
    with _named_failure(name), quiet_libraries():
        return _loaded(
            folder, family, index, local_files_only=True, variant=_variant_in(folder / family.denoiser)
        )


def _from_hub(reference: str) -> Any:
    """From the hub's cache when all of it is there, else fetched."""
    # The small index first, so that an unsupported model is not downloaded.
    index = require_supported(hub_index(reference).parent, reference)
    family = family_of_index(index, reference)
    with quiet_libraries():
        for variant in _VARIANTS:
            cached = _cached(reference, family, index, variant)
            if cached is not None:
                return cached
        require_hub(reference)
    with _named_failure(reference), quiet_libraries(bars=True):
        try:
            return _loaded(reference, family, index, cache_dir=hub_cache_folder())
        except (OSError, ValueError) as error:
            if "variant" not in str(error):
                raise
            return _loaded(reference, family, index, cache_dir=hub_cache_folder(), variant="fp16")


def _cached(reference: str, family: Family, index: dict[str, Any], variant: str | None) -> Any:
    try:
        return _loaded(
            reference, family, index, cache_dir=hub_cache_folder(), local_files_only=True, variant=variant
        )
    except (OSError, ValueError):  # a part is not here yet
        return None


def _variant_in(folder: Path) -> str | None:
    """The variant of the denoiser's weights where there are none without one: a download of halves only."""
    names = [path.name for path in folder.glob("*.safetensors")]
    if any(name.count(".") == 1 for name in names):
        return None
    return next((v for v in _VARIANTS if v and any(f".{v}." in name for name in names)), None)


def _loaded(source: str | Path, family: Family, index: dict[str, Any], **where: Any) -> Any:
    import diffusers

    # Half precision is what large encoders are kept in; what it rounds away, fingerprints do not see either.
    precisions = {encoder.part: torch.float16 for encoder in family.encoders if encoder.large}
    return getattr(diffusers, family.pipelines[index["_class_name"]]).from_pretrained(
        source,
        dtype={**precisions, "default": torch.float32} if precisions else torch.float32,
        use_safetensors=True,
        **family.loading,
        **where,
    )


@contextmanager
def _named_failure(name: str) -> Iterator[None]:
    """Turn whatever a library raises while loading into words about this model."""
    try:
        yield
    except BaseModelError:
        raise
    except Exception as error:  # a damaged download fails in a dozen ways, all of them the file's fault
        if is_out_of_memory(error):
            raise BaseModelError(
                f"{name} does not fit in memory. Close other programs or choose a smaller base."
            ) from error
        raise BaseModelError(
            f"{name} could not be loaded ({first_line(error)}). Its files may be incomplete, or not "
            "safetensors. Download it again as safetensors."
        ) from error


def _device(device: str) -> str:
    if device != "auto":
        return device
    if torch.cuda.is_available():
        return "cuda"
    return "mps" if torch.backends.mps.is_available() else "cpu"


def _precision(dtype: str | torch.dtype, device: str, family: Family) -> torch.dtype:
    if isinstance(dtype, torch.dtype):
        return dtype
    if dtype == "auto":
        return getattr(torch, family.half) if device.startswith("cuda") else torch.float32
    known = {"fp32": torch.float32, "fp16": torch.float16, "bf16": torch.bfloat16}
    known |= {"float32": torch.float32, "float16": torch.float16, "bfloat16": torch.bfloat16}
    if dtype not in known:
        raise BaseModelError(f"There is no precision called {dtype}. Use auto, fp32, fp16 or bf16.")
    return known[dtype]
