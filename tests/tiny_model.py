"""A Stable Diffusion pipeline of the true classes, small enough for tests, with random but fixed weights."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch
from diffusers import AutoencoderKL, DDIMScheduler, StableDiffusionPipeline, UNet2DConditionModel
from transformers import CLIPTextConfig, CLIPTextModel, CLIPTokenizer

if TYPE_CHECKING:
    from pathlib import Path

_VOCABULARY = """
    a photo picture of the my one two three dog cat cup ball bear bird fish car mug teapot biscuit in on and
    next to with wearing hat crown beach forest snow table space red blue green sketch painting pixel art
    close up rendering
"""
WORDS = _VOCABULARY.split()


def tiny_tokenizer(length: int = 24) -> CLIPTokenizer:
    """A CLIP tokenizer that knows WORDS as single tokens and any other text as bytes."""
    letters = sorted(_byte_characters())
    pieces = letters + [letter + "</w>" for letter in letters]
    merges: list[tuple[str, str]] = []
    for word in WORDS:
        parts = [*word[:-1], word[-1] + "</w>"]
        while len(parts) > 1:  # from the right, so that a longer word never breaks up a shorter one's merges
            pair = (parts[-2], parts[-1])
            parts[-2:] = ["".join(pair)]
            if pair not in merges:
                merges.append(pair)
                pieces.append("".join(pair))
    specials = ["<|startoftext|>", "<|endoftext|>"]
    vocabulary = {piece: index for index, piece in enumerate([*dict.fromkeys(pieces), *specials])}
    return CLIPTokenizer(vocab=vocabulary, merges=merges, model_max_length=length)


def _byte_characters() -> set[str]:
    """The characters by which byte-level BPE writes the 256 bytes."""
    plain = [*range(33, 127), *range(161, 173), *range(174, 256)]
    return {chr(byte) for byte in plain} | {chr(256 + k) for k in range(256 - len(plain))}


def clip_config(tokenizer: CLIPTokenizer, width: int = 32, projection: int = 32) -> CLIPTextConfig:
    """Three layers of `width`, with the tokenizer's own special tokens."""
    return CLIPTextConfig(
        vocab_size=len(tokenizer),
        hidden_size=width,
        intermediate_size=2 * width,
        projection_dim=projection,
        num_hidden_layers=3,
        num_attention_heads=4,
        max_position_embeddings=tokenizer.model_max_length,
        bos_token_id=tokenizer.bos_token_id,
        eos_token_id=tokenizer.eos_token_id,
        pad_token_id=tokenizer.pad_token_id,
    )


def tiny_text_encoder(tokenizer: CLIPTokenizer) -> CLIPTextModel:
    text_encoder = CLIPTextModel(clip_config(tokenizer))
    # CLIP's own start makes words nearly alike; a trained encoder tells them apart, and tests need that.
    text_encoder.get_input_embeddings().weight.data.mul_(20)
    return text_encoder


def tiny_unet() -> UNet2DConditionModel:
    """Four cross-attentions; one of them as wide as the text, so that widths alone cannot find them."""
    return UNet2DConditionModel(
        sample_size=8,
        block_out_channels=(32, 64),
        layers_per_block=1,
        down_block_types=("CrossAttnDownBlock2D", "DownBlock2D"),
        up_block_types=("UpBlock2D", "CrossAttnUpBlock2D"),
        cross_attention_dim=32,
        attention_head_dim=4,
        norm_num_groups=8,
    )


def tiny_sdxl_unet(**settings: Any) -> UNet2DConditionModel:
    """Built as SDXL's: it is told the image's size, and its blocks have several attentions."""
    return UNet2DConditionModel(
        sample_size=8,
        block_out_channels=(32, 64),
        layers_per_block=1,
        down_block_types=("CrossAttnDownBlock2D", "DownBlock2D"),
        up_block_types=("UpBlock2D", "CrossAttnUpBlock2D"),
        transformer_layers_per_block=(2, 1),
        attention_head_dim=4,
        norm_num_groups=8,
        addition_embed_type="text_time",
        addition_time_embed_dim=8,
        **settings,
    )


def tiny_vae() -> AutoencoderKL:
    return AutoencoderKL(
        down_block_types=("DownEncoderBlock2D",) * 4,
        up_block_types=("UpDecoderBlock2D",) * 4,
        block_out_channels=(8, 8, 8, 8),
        norm_num_groups=4,
        latent_channels=4,
        sample_size=64,
    )


def tiny_pipeline(prediction_type: str = "epsilon", seed: int = 0) -> StableDiffusionPipeline:
    """64×64 images from 8×8 latents, 24 tokens of width 32."""
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        tokenizer = tiny_tokenizer()
        pipe = StableDiffusionPipeline(
            vae=tiny_vae(),
            text_encoder=tiny_text_encoder(tokenizer),
            tokenizer=tokenizer,
            unet=tiny_unet(),
            scheduler=DDIMScheduler(
                beta_schedule="scaled_linear",
                beta_start=0.00085,
                beta_end=0.012,
                clip_sample=False,
                set_alpha_to_one=False,
                steps_offset=1,
                prediction_type=prediction_type,
            ),
            safety_checker=None,
            feature_extractor=None,
            image_encoder=None,
            requires_safety_checker=False,
        )
    for module in (pipe.vae, pipe.text_encoder, pipe.unet):
        module.eval().requires_grad_(False)
    pipe.set_progress_bar_config(disable=True)
    return pipe


def save_tiny_base(folder: Path, prediction_type: str = "epsilon", seed: int = 0) -> Path:
    """The tiny pipeline as a diffusers folder."""
    tiny_pipeline(prediction_type, seed).save_pretrained(folder)
    return folder
