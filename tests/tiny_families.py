"""Pipelines of every family's true classes, small enough for tests, with random but fixed weights."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from diffusers import (
    AutoencoderDC,
    DPMSolverMultistepScheduler,
    PixArtAlphaPipeline,
    PixArtSigmaPipeline,
    PixArtTransformer2DModel,
    SanaPipeline,
    SanaSprintPipeline,
    SanaTransformer2DModel,
    SCMScheduler,
    StableDiffusionXLPipeline,
)
from tokenizers.processors import TemplateProcessing
from transformers import (
    CLIPTextModel,
    CLIPTextModelWithProjection,
    Gemma2Config,
    Gemma2Model,
    GemmaTokenizer,
    T5Config,
    T5EncoderModel,
    T5Tokenizer,
)

from tests.tiny_cosmos import cosmos_pipeline
from tests.tiny_kolors import kolors_pipeline
from tests.tiny_model import WORDS, clip_config, tiny_pipeline, tiny_sdxl_unet, tiny_tokenizer, tiny_vae

_LETTERS = [chr(code) for code in range(33, 127)]


def t5_tokenizer() -> T5Tokenizer:
    """WORDS as single tokens and any other text as letters."""
    words = [(f"▁{word}", -2.0) for word in WORDS]
    letters = [(letter, -9.0) for letter in _LETTERS]
    vocabulary = [("<pad>", 0.0), ("</s>", 0.0), ("<unk>", 0.0), ("▁", -3.0), *dict.fromkeys(words + letters)]
    return T5Tokenizer(vocab=vocabulary, extra_ids=0, model_max_length=512)


def gemma_tokenizer() -> GemmaTokenizer:
    """WORDS with the space before them as single tokens and any other text as letters."""
    merges: list[tuple[str, str]] = []
    pieces = ["<pad>", "<eos>", "<bos>", "<unk>", "<mask>", "▁", "\n", *_LETTERS]
    for word in WORDS:
        parts = ["▁", *word]
        while len(parts) > 1:
            pair = (parts[-2], parts[-1])
            parts[-2:] = ["".join(pair)]
            if pair not in merges:
                merges.append(pair)
    pieces += ["".join(pair) for pair in merges]
    vocabulary = {piece: index for index, piece in enumerate(dict.fromkeys(pieces))}
    tokenizer = GemmaTokenizer(vocab=vocabulary, merges=merges)
    backend: Any = tokenizer._tokenizer
    backend.post_processor = TemplateProcessing(single=["<bos>", "$A"], special_tokens=[("<bos>", 2)])
    return tokenizer


def _apart(text_encoder: Any, factor: float) -> Any:
    """A fresh encoder makes words nearly alike; a trained one tells them apart, and tests need that."""
    text_encoder.get_input_embeddings().weight.data.mul_(factor)
    return text_encoder


def sdxl_pipeline() -> StableDiffusionXLPipeline:
    """64×64 images from 8×8 latents; encoders 32 and 24 wide, text of width 56."""
    first, second = tiny_tokenizer(), tiny_tokenizer()
    second.pad_token = "!"
    return StableDiffusionXLPipeline(
        vae=tiny_vae(),
        text_encoder=_apart(CLIPTextModel(clip_config(first, 32, projection=20)), 20),
        text_encoder_2=_apart(CLIPTextModelWithProjection(clip_config(second, 24, projection=20)), 20),
        tokenizer=first,
        tokenizer_2=second,
        unet=tiny_sdxl_unet(
            cross_attention_dim=56,
            projection_class_embeddings_input_dim=6 * 8 + 20,
        ),
        scheduler=tiny_pipeline().scheduler,
        add_watermarker=False,
    )


def _pixart(sample_size: int = 8) -> dict[str, Any]:
    tokenizer = t5_tokenizer()
    encoder = T5Config(
        vocab_size=len(tokenizer), d_model=40, d_ff=64, d_kv=8, num_layers=2, num_heads=4, dropout_rate=0.0
    )
    return {
        "vae": tiny_vae(),
        "text_encoder": T5EncoderModel(encoder),
        "tokenizer": tokenizer,
        "transformer": PixArtTransformer2DModel(
            num_attention_heads=2,
            attention_head_dim=12,
            in_channels=4,
            out_channels=8,
            num_layers=3,
            cross_attention_dim=24,
            caption_channels=40,
            sample_size=sample_size,
            patch_size=2,
        ),
        "scheduler": DPMSolverMultistepScheduler(),
    }


def pixart_alpha_pipeline(sample_size: int = 8) -> PixArtAlphaPipeline:
    """64×64 images; T5 of width 40, read at width 24. At 128 it is told an image's size and shape."""
    return PixArtAlphaPipeline(**_pixart(sample_size))


def pixart_sigma_pipeline() -> PixArtSigmaPipeline:
    return PixArtSigmaPipeline(**_pixart())


def _sana(guidance_embeds: bool = False) -> dict[str, Any]:
    tokenizer = gemma_tokenizer()
    encoder = Gemma2Config(
        vocab_size=len(tokenizer),
        hidden_size=40,
        intermediate_size=64,
        num_hidden_layers=2,
        num_attention_heads=4,
        num_key_value_heads=2,
        head_dim=8,
        max_position_embeddings=4096,
        pad_token_id=0,
    )
    return {
        "vae": AutoencoderDC(
            in_channels=3,
            latent_channels=4,
            attention_head_dim=2,
            encoder_block_types=("ResBlock", "ResBlock", "EfficientViTBlock"),
            decoder_block_types=("ResBlock", "ResBlock", "EfficientViTBlock"),
            encoder_block_out_channels=(8, 8, 8),
            decoder_block_out_channels=(8, 8, 8),
            encoder_qkv_multiscales=((), (), (5,)),
            decoder_qkv_multiscales=((), (), (5,)),
            encoder_layers_per_block=(1, 1, 1),
            decoder_layers_per_block=[1, 1, 1],
            downsample_block_type="conv",
            upsample_block_type="interpolate",
            decoder_norm_types="rms_norm",
            decoder_act_fns="silu",
            scaling_factor=0.41407,
        ),
        "text_encoder": _apart(Gemma2Model(encoder), 20),
        "tokenizer": tokenizer,
        "transformer": SanaTransformer2DModel(
            in_channels=4,
            out_channels=4,
            num_attention_heads=2,
            attention_head_dim=12,
            num_layers=2,
            num_cross_attention_heads=2,
            cross_attention_head_dim=12,
            cross_attention_dim=24,
            caption_channels=40,
            sample_size=16,
            guidance_embeds=guidance_embeds,
            qk_norm="rms_norm_across_heads" if guidance_embeds else None,
        ),
    }


def sana_pipeline() -> SanaPipeline:
    """64×64 images from 16×16 latents; Gemma of width 40, read at width 24."""
    scheduler = DPMSolverMultistepScheduler(
        prediction_type="flow_prediction", use_flow_sigmas=True, flow_shift=3.0
    )
    return SanaPipeline(**_sana(), scheduler=scheduler)


def sana_sprint_pipeline() -> SanaSprintPipeline:
    scheduler = SCMScheduler(prediction_type="trigflow", sigma_data=0.5)
    return SanaSprintPipeline(**_sana(guidance_embeds=True), scheduler=scheduler)


PIPELINES: dict[str, Callable[[], Any]] = {
    "sd": tiny_pipeline,
    "sdxl": sdxl_pipeline,
    "kolors": kolors_pipeline,
    "pixart-alpha": pixart_alpha_pipeline,
    "pixart-sigma": pixart_sigma_pipeline,
    "sana": sana_pipeline,
    "sana-sprint": sana_sprint_pipeline,
    "cosmos": lambda: cosmos_pipeline(_pixart()),
}


def tiny_family(kind: str, seed: int = 0) -> Any:
    """The pipeline called `kind`, frozen, without a progress bar."""
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        pipe = PIPELINES[kind]()
    for module in pipe.components.values():
        if isinstance(module, torch.nn.Module):
            module.eval().requires_grad_(False)
    pipe.set_progress_bar_config(disable=True)
    return pipe


def plain_options(kind: str) -> dict[str, Any]:
    """What the stock pipeline is told for a small image of few steps."""
    options: dict[str, Any] = {"num_inference_steps": 2, "width": 64, "height": 64, "output_type": "np"}
    if kind == "cosmos":
        options["output_type"] = "latent"  # its images are rounded to 8 bits on their way to the guardrail
    elif kind not in ("sd", "sdxl", "kolors"):
        options |= {"use_resolution_binning": False, "clean_caption": False}
    return options


__all__ = ["PIPELINES", "plain_options", "tiny_family"]
