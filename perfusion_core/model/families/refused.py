"""Kinds of models that cannot be used as a base, with the reason and the nearest that can. Needs no torch."""

from __future__ import annotations

from dataclasses import dataclass

_JOINT = (
    "its attention reads text and image together, so that the text's states change with the image and gates "
    "cannot be set once a prompt"
)
_STANDS_IN = "Use SDXL, PixArt-Σ or Sana instead."


@dataclass(frozen=True)
class Refusal:
    """A kind of model, by the beginnings of its pipelines' class names."""

    beginnings: tuple[str, ...]
    title: str
    reason: str
    instead: str

    def words(self, name: str) -> str:
        """Why the model called `name` is not used, and what to do."""
        return f"{name} is {self.title}, which is not supported: {self.reason}. {self.instead}"


# The first that fits a class name counts.
REFUSALS = (
    Refusal(
        ("StableDiffusionInpaint", "StableDiffusionXLInpaint", "StableDiffusionXLInstructPix2Pix"),
        "an inpainting or editing model",
        "its denoiser takes another image beside the noise",
        "Use the plain model it was made from; plain models can be used in inpainting pipelines.",
    ),
    Refusal(
        ("StableDiffusion3", "SD3"),
        "a Stable Diffusion 3 model",
        _JOINT,
        _STANDS_IN,
    ),
    Refusal(("Flux",), "a FLUX model", _JOINT, _STANDS_IN),
    Refusal(("QwenImage",), "a Qwen-Image model", _JOINT, _STANDS_IN),
    Refusal(("ZImage",), "a Z-Image model", _JOINT, _STANDS_IN),
    Refusal(
        ("AuraFlow", "Chroma", "CogView", "HiDream", "Lumina", "OmniGen", "Bria", "HunyuanImage", "Ovis"),
        "a model with joint attention",
        _JOINT,
        _STANDS_IN,
    ),
    Refusal(
        ("HunyuanDiT",),
        "a Hunyuan-DiT model",
        "its two text encoders stand one after the other, so that a word has two places",
        _STANDS_IN,
    ),
    Refusal(
        ("AnimaModular",),
        "an Anima model",
        "a part of its own reads a prompt as another model's states and as T5's tokens, so that a word has "
        "two places",
        "Use Cosmos-Predict2, whose denoiser it has, or SDXL.",
    ),
    Refusal(
        (
            "AnimateDiff",
            "Allegro",
            "CogVideo",
            "Cosmos",
            "HunyuanVideo",
            "LTX",
            "Latte",
            "Mochi",
            "SanaVideo",
            "SkyReels",
            "StableVideoDiffusion",
            "TextToVideo",
            "Wan",
        ),
        "a video model",
        "it makes frames, and photos of a thing teach none",
        "Use a model for single images, such as SDXL or Sana.",
    ),
    Refusal(
        (
            "StableDiffusionUpscale",
            "StableDiffusionLatentUpscale",
            "StableDiffusionDepth2Img",
            "StableUnCLIP",
        ),
        "a model that starts from an image",
        "its denoiser takes another image beside the noise",
        "Use a Stable Diffusion 1.x or 2.x model for text to image.",
    ),
)


def refusal_of(class_name: str) -> Refusal | None:
    """What is said of pipelines of this class; None for classes that are not known here."""
    return next((known for known in REFUSALS if class_name.startswith(known.beginnings)), None)
