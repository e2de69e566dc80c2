"""What a base model is, in the few facts the rest of the project needs.

Everything that differs between kinds of base models (encoders, cross-attention projections, prediction
type) is gathered here, so that another kind is a new description and not a redesign.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

from torch import nn

from perfusion_core.errors import BaseModelError
from perfusion_core.model.few_steps import FewSteps, few_steps

Role = Literal["key", "value"]
ATTRIBUTE: dict[Role, str] = {"key": "to_k", "value": "to_v"}
_COMPILED = "_orig_mod."  # what torch.compile puts into the paths of the modules that it wraps


@dataclass(frozen=True)
class Projection:
    """One frozen cross-attention projection of the denoiser: which attention, and keys or values."""

    path: str
    role: Role


@dataclass(frozen=True)
class BaseDescription:
    """Facts about a base model.

    `text_width` is D, the width of a text encoding; `output_widths[path]` is O, the width of the keys and
    values of the attention at `path`; `sample_size` counts latent pixels and `vae_factor` image pixels per
    latent pixel. `few_steps` says how a base is used that makes images in a few steps, None for any other.
    """

    kind: str
    prediction_type: str
    text_width: int
    sample_size: int
    latent_channels: int
    vae_factor: int
    attention_paths: tuple[str, ...]
    output_widths: dict[str, int]
    few_steps: FewSteps | None = None

    @property
    def projections(self) -> tuple[Projection, ...]:
        """Every projection that can be edited, keys and values of each attention in turn."""
        roles: tuple[Role, ...] = ("key", "value")
        return tuple(Projection(path, role) for path in self.attention_paths for role in roles)

    @property
    def image_size(self) -> int:
        """Side of the square image, in pixels, that the base was made for."""
        return self.sample_size * self.vae_factor


def cross_attentions(denoiser: nn.Module) -> dict[str, Any]:
    """Every attention of `denoiser` that reads the text, by module path, in the denoiser's own order.

    They are known by what they are: a module with `to_k` and `to_v` that says it is a cross-attention, or,
    where it does not say, one whose keys come from another width than its queries. LoRA wrappers around the
    projections (PEFT) change neither. In a block with `only_cross_attention`, `attn1` is one of them too; a
    self-attention is none, also where the image's features are as wide as the text.
    """
    return {
        path.replace(_COMPILED, ""): module
        for path, module in denoiser.named_modules()
        if _reads_text(module)
    }


def _reads_text(module: nn.Module) -> bool:
    to_k, to_v = getattr(module, "to_k", None), getattr(module, "to_v", None)
    if not isinstance(to_k, nn.Module) or not isinstance(to_v, nn.Module):
        return False
    said = getattr(module, "is_cross_attention", None)
    if said is not None:
        return bool(said)
    to_q = getattr(module, "to_q", None)
    return isinstance(to_q, nn.Module) and linear_of(to_k).in_features != linear_of(to_q).in_features


def linear_of(module: nn.Module) -> nn.Linear:
    """The plain linear layer at the heart of a projection, under whatever wraps it (PEFT, an edit)."""
    inner: Any = module
    while not isinstance(inner, nn.Linear):
        inner = getattr(inner, "base_layer", None) or getattr(inner, "base", None)
        assert isinstance(inner, nn.Module), f"no linear layer inside {type(module).__name__}"
    return inner


def describe(pipeline: Any, name: str = "") -> BaseDescription:
    """Describe a Stable Diffusion pipeline of diffusers (SD 1.x, SD 2.x and what is built like them).

    `name` is what the base is called, by default what its configuration says: only names tell SD-Turbo.
    Raises BaseModelError for a pipeline of another kind.
    """
    kind = type(pipeline).__name__
    unet, vae, scheduler = (getattr(pipeline, part, None) for part in ("unet", "vae", "scheduler"))
    if unet is None or vae is None or scheduler is None:
        raise BaseModelError(f"{kind} is not supported yet. Use a Stable Diffusion 1.x or 2.x model.")
    if getattr(pipeline, "text_encoder_2", None) is not None:
        raise BaseModelError(
            f"{kind} has two text encoders (SDXL and its relatives), which is not supported yet. "
            "Use a Stable Diffusion 1.x or 2.x model."
        )
    attentions = cross_attentions(unet)
    width = unet.config.cross_attention_dim
    if not isinstance(width, int) or not attentions:
        raise BaseModelError(
            f"{kind}: its denoiser does not read the text through cross-attention of one width, which is not "
            "supported yet. Use a Stable Diffusion 1.x or 2.x model."
        )
    projected = getattr(unet.config, "encoder_hid_dim_type", None) not in (None, "ip_image_proj")
    if projected or any(getattr(module, "norm_cross", None) is not None for module in attentions.values()):
        raise BaseModelError(
            f"{kind}: its denoiser changes the text's encodings before its projections read them, which is "
            "not supported yet. Use a Stable Diffusion 1.x or 2.x model."
        )
    return BaseDescription(
        kind="stable-diffusion",
        prediction_type=str(getattr(scheduler.config, "prediction_type", "epsilon")),
        text_width=width,
        sample_size=_side(unet.config.sample_size),
        latent_channels=int(vae.config.latent_channels),
        vae_factor=2 ** (len(vae.config.block_out_channels) - 1),
        attention_paths=tuple(attentions),
        output_widths={path: linear_of(module.to_k).out_features for path, module in attentions.items()},
        few_steps=few_steps(unet, scheduler, (name, _named(pipeline))),
    )


def _named(pipeline: Any) -> str:
    return str(getattr(getattr(pipeline, "config", None), "_name_or_path", ""))


def _side(sample_size: Any) -> int:
    return int(sample_size[0] if isinstance(sample_size, (list, tuple)) else sample_size)
