"""Text encoders and autoencoders of the bases in full size, by their published configurations."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import Any

import torch
from diffusers import AutoencoderDC, AutoencoderKL, AutoencoderKLWan
from diffusers.pipelines.kolors.text_encoder import ChatGLMConfig, ChatGLMModel
from transformers import (
    CLIPTextConfig,
    CLIPTextModel,
    CLIPTextModelWithProjection,
    Gemma2Config,
    Gemma2Model,
    T5Config,
    T5EncoderModel,
)

from perfusion_core.model.single_file import CONFIGS

_T5: dict[str, Any] = {"vocab_size": 32_128, "num_layers": 24, "dropout_rate": 0.0}
_DEEP = ("ResBlock",) * 3 + ("EfficientViTBlock",) * 3


@dataclass(frozen=True)
class FullEncoder:
    """A text encoder: its class, its configuration and what its configuration calls the number of layers."""

    title: str
    model: Any
    config: Any
    layers_name: str = "num_hidden_layers"

    @property
    def layers(self) -> int:
        return int(getattr(self.config, self.layers_name))

    def build(self, layers: int | None = None) -> Any:
        """It with random weights, or on the meta device inside `torch.device("meta")`; of fewer `layers`."""
        config = self.config.__class__(**self.config.to_dict())
        if layers is not None:
            setattr(config, self.layers_name, layers)
        if getattr(config, "layer_types", None):  # one a layer
            config.layer_types = config.layer_types[: self.layers if layers is None else layers]
        return self.model(config).eval().requires_grad_(False)


CLIP_L = FullEncoder(
    "CLIP-L", CLIPTextModel, CLIPTextConfig.from_pretrained(CONFIGS / "sdxl" / "text_encoder")
)
CLIP_BIGG = FullEncoder(
    "OpenCLIP-bigG",
    CLIPTextModelWithProjection,
    CLIPTextConfig.from_pretrained(CONFIGS / "sdxl" / "text_encoder_2"),
)
T5_XXL = FullEncoder(
    "T5-v1.1-XXL",
    T5EncoderModel,
    T5Config(**_T5, d_model=4096, d_ff=10_240, d_kv=64, num_heads=64, feed_forward_proj="gated-gelu"),
    "num_layers",
)
T5_11B = FullEncoder(
    "T5-11B",
    T5EncoderModel,
    T5Config(**_T5, d_model=1024, d_ff=65_536, d_kv=128, num_heads=128),
    "num_layers",
)
GEMMA_2_2B = FullEncoder(
    "Gemma-2-2B",
    Gemma2Model,
    Gemma2Config(
        vocab_size=256_000,
        hidden_size=2304,
        intermediate_size=9216,
        num_hidden_layers=26,
        num_attention_heads=8,
        num_key_value_heads=4,
        head_dim=256,
    ),
)

CHATGLM3_6B = FullEncoder(
    "ChatGLM3-6B",
    partial(ChatGLMModel, empty_init=False),  # else its weights are on the CPU, wherever they were asked for
    ChatGLMConfig(
        num_layers=28,
        padded_vocab_size=65_024,
        hidden_size=4096,
        ffn_hidden_size=13_696,
        kv_channels=128,
        num_attention_heads=32,
        seq_length=32_768,
        rmsnorm=True,
        add_bias_linear=False,
        add_qkv_bias=True,
        original_rope=True,
        multi_query_attention=True,
        multi_query_group_num=2,
        use_cache=False,
    ),
    "num_layers",
)

# family: the text encoders of its pipeline, in order
ENCODERS = {
    "stable-diffusion": (CLIP_L,),
    "sdxl": (CLIP_L, CLIP_BIGG),
    "kolors": (CHATGLM3_6B,),
    "pixart": (T5_XXL,),
    "sana": (GEMMA_2_2B,),
    "cosmos": (T5_11B,),
}


def autoencoder(family: str) -> Any:
    """The family's autoencoder on the meta device."""
    with torch.device("meta"):
        if family == "sana":
            found: Any = AutoencoderDC(
                encoder_block_types=_DEEP,
                decoder_block_types=_DEEP,
                downsample_block_type="conv",
                upsample_block_type="interpolate",
                scaling_factor=0.41407,
            )
        elif family == "cosmos":
            found = AutoencoderKLWan()  # the defaults are Wan 2.1's
        else:  # Kolors and PixArt-Σ have SDXL's
            shipped = CONFIGS / ("sd1" if family == "stable-diffusion" else "sdxl") / "vae"
            found = AutoencoderKL.from_config(AutoencoderKL.load_config(shipped))
    return found.eval().requires_grad_(False)
