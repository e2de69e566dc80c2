"""What a base model is, in the few facts the rest of the project needs.

What differs between kinds of base models by nature is in `families/`; here it is read off one pipeline.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

from torch import nn

from perfusion_core.errors import BaseModelError
from perfusion_core.model.families.description import Family
from perfusion_core.model.families.registry import SUPPORTED, family_of
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

    `family` is what its kind has in common; `prediction_type` is "epsilon", "v_prediction",
    "flow_prediction" or what else its scheduler says. `text_width` is D, the width of the text that the
    projections read; `output_widths[path]` is O, the width of the keys and values of the attention at
    `path`. `sample_size` counts latent pixels, `vae_factor` image pixels per latent pixel and `patch_size`
    latent pixels per side of a patch. `few_steps` says how a base is used that makes images in a few steps,
    None for any other.
    """

    family: Family
    prediction_type: str
    text_width: int
    sample_size: int
    latent_channels: int
    vae_factor: int
    attention_paths: tuple[str, ...]
    output_widths: dict[str, int]
    few_steps: FewSteps | None = None
    patch_size: int = 1

    @property
    def kind(self) -> str:
        """The family's name, as concept files have it."""
        return self.family.name

    @property
    def size_step(self) -> int:
        """What widths and heights of images, in pixels, have to be multiples of."""
        return self.vae_factor * self.patch_size

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
    """Describe a pipeline of diffusers of one of the families.

    `name` is what the base is called, by default what its configuration says: only names tell SD-Turbo.
    Raises BaseModelError, saying why and what to use, for a pipeline that cannot be edited.
    """
    kind = type(pipeline).__name__
    family = family_of(pipeline)
    denoiser: Any = getattr(pipeline, family.denoiser)
    vae, scheduler = (getattr(pipeline, part, None) for part in ("vae", "scheduler"))
    if vae is None or scheduler is None:
        raise BaseModelError(f"{kind} lacks its autoencoder or its scheduler. Load the whole pipeline.")
    attentions = cross_attentions(denoiser)
    widths = {linear_of(module.to_k).in_features for module in attentions.values()}
    if len(widths) != 1:
        raise BaseModelError(
            f"{kind}: its denoiser does not read the text through cross-attention of one width, which is not "
            f"supported. {SUPPORTED}"
        )
    if any(getattr(module, "norm_cross", None) is not None for module in attentions.values()):
        raise BaseModelError(
            f"{kind}: its denoiser changes the text's encodings before its projections read them, which is "
            f"not supported. {SUPPORTED}"
        )
    config = denoiser.config
    return BaseDescription(
        family=family,
        prediction_type=family.prediction or str(getattr(scheduler.config, "prediction_type", "epsilon")),
        text_width=widths.pop(),
        sample_size=_side(family.sample_size(config)),
        latent_channels=_channels(vae.config),
        vae_factor=2 ** (len(_blocks(vae.config)) - 1),
        attention_paths=tuple(attentions),
        output_widths={path: linear_of(module.to_k).out_features for path, module in attentions.items()},
        few_steps=few_steps(denoiser, scheduler, (name, _named(pipeline))),
        patch_size=_patch(getattr(config, "patch_size", None)),
    )


def _blocks(config: Any) -> Any:
    """The autoencoder's stages, each but the first of which halves an image's sides."""
    names = ("block_out_channels", "encoder_block_out_channels", "dim_mult")  # the last is Wan's
    return next(found for name in names if (found := getattr(config, name, None)))


def _channels(config: Any) -> int:
    return int(getattr(config, "latent_channels", None) or config.z_dim)


def _patch(size: Any) -> int:
    """One side of a patch, which may be given along frames, height and width."""
    return int((size[-1] if isinstance(size, (list, tuple)) else size) or 1)


def _named(pipeline: Any) -> str:
    return str(getattr(getattr(pipeline, "config", None), "_name_or_path", ""))


def _side(sample_size: Any) -> int:
    return int(sample_size[0] if isinstance(sample_size, (list, tuple)) else sample_size)
