"""Load a base model, freeze it and say what it is."""

from __future__ import annotations

from contextlib import contextmanager
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from diffusers.pipelines.stable_diffusion.pipeline_stable_diffusion import StableDiffusionPipeline

from perfusion_core.errors import BaseModelError, first_line
from perfusion_core.model.describe import BaseDescription, Projection, cross_attentions, describe
from perfusion_core.model.device_memory import is_out_of_memory
from perfusion_core.model.few_steps import FewSteps, few_steps
from perfusion_core.model.fingerprint import base_fingerprint, text_fingerprint
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
    """A frozen Stable Diffusion model: the stock pipeline, and the facts about it.

    `dtype` is the precision of denoiser and autoencoder; the text encoder always stays in float32, since
    the gates are computed from its output. With another `dtype`, run the pipeline inside `applied(...)`.
    """

    def __init__(
        self,
        name: str,
        pipeline: StableDiffusionPipeline,
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
        self.description: BaseDescription = describe(pipeline, name)
        if self.unet.config.in_channels != self.description.latent_channels:
            raise BaseModelError(
                f"{name} is an inpainting or editing model, which is not supported yet. "
                "Use the plain model it was made from."
            )
        # Taken before rounding to a smaller precision, so that it does not depend on the machine.
        self.text_fingerprint = text_fingerprint(self.text_encoder)
        self.fingerprint = base_fingerprint(self.text_encoder, self.unet)
        for module in (self.text_encoder, self.unet, self.vae):
            module.eval().requires_grad_(False)
        with quiet_libraries():  # diffusers warns of a cast even where nothing is cast
            self.text_encoder.to(self.device, torch.float32)
            self.unet.to(self.device, dtype)
            self.vae.to(self.device, dtype)
        pipeline.set_progress_bar_config(disable=True)

    @property
    def tokenizer(self) -> Any:
        return self.pipeline.tokenizer

    @property
    def text_encoder(self) -> Any:
        return self.pipeline.text_encoder

    @property
    def unet(self) -> Any:
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
        return few_steps(self.unet, self.scheduler, (self.id,))

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
    device, precision = _device(device), _precision(dtype, _device(device))
    path = on_disk(str(reference), models_dir)
    if path is None:
        return Base(str(reference), _from_hub(str(reference)), device=device, dtype=precision)
    if path.is_dir():
        name = POCKET if str(reference) == POCKET else path.name
        return Base(name, _from_folder(path, name), device=device, dtype=precision, folder=path)
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
        return Base(path.stem, load_single_file(path), device=device, dtype=precision)


def _from_folder(folder: Path, name: str) -> StableDiffusionPipeline:
    require_supported(folder, name)
    with _named_failure(name), quiet_libraries():
        return _loaded(folder, local_files_only=True, variant=_variant_in(folder))


def _from_hub(reference: str) -> StableDiffusionPipeline:
    """From the hub's cache when all of it is there, else fetched."""
    # The small index first, so that an unsupported model is not downloaded.
    require_supported(hub_index(reference).parent, reference)
    with quiet_libraries():
        for variant in _VARIANTS:
            cached = _cached(reference, variant)
            if cached is not None:
                return cached
        require_hub(reference)
    with _named_failure(reference), quiet_libraries(bars=True):
        try:
            return _loaded(reference, cache_dir=hub_cache_folder())
        except (OSError, ValueError) as error:
            if "variant" not in str(error):
                raise
            return _loaded(reference, cache_dir=hub_cache_folder(), variant="fp16")


def _cached(reference: str, variant: str | None) -> StableDiffusionPipeline | None:
    try:
        return _loaded(reference, cache_dir=hub_cache_folder(), local_files_only=True, variant=variant)
    except (OSError, ValueError):  # a part is not here yet
        return None


def _variant_in(folder: Path) -> str | None:
    """The variant of the denoiser's weights where there are none without one: a download of halves only."""
    names = [path.name for path in (folder / "unet").glob("*.safetensors")]
    if any(name.count(".") == 1 for name in names):
        return None
    return next((v for v in _VARIANTS if v and any(f".{v}." in name for name in names)), None)


def _loaded(source: str | Path, **where: Any) -> StableDiffusionPipeline:
    return StableDiffusionPipeline.from_pretrained(
        source,
        dtype=torch.float32,
        use_safetensors=True,
        safety_checker=None,
        requires_safety_checker=False,
        feature_extractor=None,
        image_encoder=None,
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


def _precision(dtype: str | torch.dtype, device: str) -> torch.dtype:
    if isinstance(dtype, torch.dtype):
        return dtype
    if dtype == "auto":
        return torch.float16 if device.startswith("cuda") else torch.float32
    known = {"fp32": torch.float32, "fp16": torch.float16, "bf16": torch.bfloat16}
    known |= {"float32": torch.float32, "float16": torch.float16, "bfloat16": torch.bfloat16}
    if dtype not in known:
        raise BaseModelError(f"There is no precision called {dtype}. Use auto, fp32, fp16 or bf16.")
    return known[dtype]
