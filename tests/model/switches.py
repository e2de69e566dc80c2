"""What people switch on in a pipeline of diffusers, each by its own interface, for any family."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import diffusers
import torch
from diffusers import AutoencoderTiny, ControlNetModel
from diffusers.models.attention_processor import AttnProcessor
from peft import LoraConfig
from PIL import Image

from perfusion_core.model.base import Base
from perfusion_core.model.describe import cross_attentions
from tests.tiny_families import tiny_family
from tests.tiny_model import tiny_pipeline


@dataclass(frozen=True)
class Family:
    """A tiny base, and the names of the pipelines of its kind."""

    base: Callable[[], Base]
    prefix: str

    def pipeline(self, kind: str) -> Any:
        return getattr(diffusers, f"{self.prefix}{kind}Pipeline")


FAMILIES = {
    "sd": Family(lambda: Base("tiny", tiny_pipeline()), "StableDiffusion"),
    "sdxl": Family(lambda: Base("tiny", tiny_family("sdxl")), "StableDiffusionXL"),
}


@dataclass(frozen=True)
class Switch:
    """`on(family, pipe)` switches it on and returns the pipeline to call, which is called with `settings`;
    `same`: images are those that the pipeline makes without it.
    """

    on: Callable[[Family, Any], Any] = lambda _family, pipe: pipe
    settings: dict[str, Any] = field(default_factory=dict)
    same: bool = False


def with_lora(pipe: Any, name: str = "style") -> Any:
    with torch.random.fork_rng():
        torch.manual_seed(7)
        config = LoraConfig(r=2, target_modules=["to_k", "to_v", "to_q"], init_lora_weights=False)
        pipe.unet.add_adapter(config, name)
    return pipe


def loaded_lora(pipe: Any, folder: Path) -> Any:
    """The same, from a file."""
    with_lora(pipe)
    pipe.save_lora_weights(folder, unet_lora_layers=_lora_tensors(pipe.unet))
    pipe.unet.delete_adapters("style")
    pipe.load_lora_weights(folder, adapter_name="style")
    return pipe


def _lora_tensors(unet: Any) -> dict[str, torch.Tensor]:
    from peft import get_peft_model_state_dict

    return get_peft_model_state_dict(unet, adapter_name="style")


def _fused_lora(_family: Family, pipe: Any) -> Any:
    with_lora(pipe)
    pipe.fuse_lora(components=["unet"])
    return pipe


def _ip_adapter(_family: Family, pipe: Any) -> Any:
    unet, generator = pipe.unet, torch.Generator().manual_seed(3)

    def random(*shape: int) -> torch.Tensor:
        return 0.3 * torch.randn(shape, generator=generator)

    width, pieces = unet.config.cross_attention_dim, 4
    layers: dict[str, torch.Tensor] = {}
    attentions = cross_attentions(unet)
    names = [name for name in unet.attn_processors if name.removesuffix(".processor") in attentions]
    for index, name in enumerate(names):
        outputs = attentions[name.removesuffix(".processor")].to_k.out_features
        for role in ("to_k_ip", "to_v_ip"):
            layers[f"{2 * index + 1}.{role}.weight"] = random(outputs, width)
    image = {
        "proj.weight": random(pieces * width, 8),
        "proj.bias": random(pieces * width),
        "norm.weight": torch.ones(width),
        "norm.bias": torch.zeros(width),
    }
    unet._load_ip_adapter_weights([{"ip_adapter": layers, "image_proj": image}])
    return pipe


def _controlnet(family: Family, pipe: Any) -> Any:
    with torch.random.fork_rng():
        torch.manual_seed(5)
        control = ControlNetModel.from_unet(pipe.unet, conditioning_channels=3)
        for block in [*control.controlnet_down_blocks, control.controlnet_mid_block]:
            torch.nn.init.normal_(block.weight, std=0.1)  # it starts at zero, where it does nothing
    return other_pipeline(family.pipeline("ControlNet"), pipe, controlnet=control.eval())


def other_pipeline(kind: Any, pipe: Any, **parts: Any) -> Any:
    """A pipeline of another kind on the same parts, and `parts` beside them."""
    options = {"requires_safety_checker": False} if "safety_checker" in pipe.components else {}
    made = kind(**pipe.components, **parts, **options)
    made.set_progress_bar_config(disable=True)
    return made


def _tiny_autoencoder(_family: Family, pipe: Any) -> Any:
    channels = (8, 8, 8, 8)
    with torch.random.fork_rng():
        torch.manual_seed(9)
        tiny = AutoencoderTiny(encoder_block_out_channels=channels, decoder_block_out_channels=channels)
    pipe.register_modules(vae=tiny.eval())
    return pipe


def _called(name: str, *args: Any, **options: Any) -> Callable[[Family, Any], Any]:
    def on(_family: Family, pipe: Any) -> Any:
        getattr(pipe, name)(*args, **options)
        return pipe

    return on


def _tiled(_family: Family, pipe: Any) -> Any:
    pipe.vae.enable_tiling()
    return pipe


def _processors(_family: Family, pipe: Any) -> Any:
    pipe.unet.set_attn_processor(AttnProcessor())
    return pipe


def _compiled(_family: Family, pipe: Any) -> Any:
    pipe.unet = torch.compile(pipe.unet, backend="eager")
    return pipe


GREY = Image.new("RGB", (64, 64), "gray")
MASK = Image.new("L", (64, 64), 255)
SWITCHES: dict[str, Switch] = {
    "LoRA": Switch(lambda _family, pipe: with_lora(pipe)),
    "LoRA, fused": Switch(_fused_lora),
    "IP-Adapter": Switch(_ip_adapter, {"ip_adapter_image_embeds": [torch.ones(2, 1, 8)]}),
    "ControlNet": Switch(_controlnet, {"image": GREY}),
    "image to image": Switch(
        lambda family, pipe: other_pipeline(family.pipeline("Img2Img"), pipe),
        {"image": GREY, "strength": 0.9},
    ),
    "inpainting": Switch(
        lambda family, pipe: other_pipeline(family.pipeline("Inpaint"), pipe),
        {"image": GREY, "mask_image": MASK, "strength": 0.9, "height": 64, "width": 64},
    ),
    "tiny autoencoder": Switch(_tiny_autoencoder),
    "enable_model_cpu_offload": Switch(_called("enable_model_cpu_offload", device="cpu"), same=True),
    "attention slicing": Switch(_called("enable_attention_slicing", 1), same=True),
    "tiled autoencoder": Switch(_tiled, same=True),
    "set_attn_processor": Switch(_processors, same=True),
    "torch.compile": Switch(_compiled, {"num_inference_steps": 1}, same=True),
    "FreeU": Switch(_called("enable_freeu", s1=0.6, s2=0.4, b1=1.5, b2=1.6)),
    "several images a prompt": Switch(settings={"num_images_per_prompt": 2}),
    "guidance 0": Switch(settings={"guidance_scale": 0.0}),
    "guidance 1": Switch(settings={"guidance_scale": 1.0}),
}
