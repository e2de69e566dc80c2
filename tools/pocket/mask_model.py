"""The segmenter's shape (transformers' CLIPSeg in small), how it is saved, and how well it finds things."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from transformers import CLIPSegConfig, CLIPSegForImageSegmentation, CLIPTokenizer

from tools.pocket.clip import normalise
from tools.pocket.export import replace_folder
from tools.pocket.text import MAX_TOKENS, token_ids

WIDTH = 160


def build_mask(tokenizer: CLIPTokenizer) -> CLIPSegForImageSegmentation:
    """Text: 2 causal layers x 64. Images: ViT, 4 layers x 160, 16-pixel patches. Decoder: 3 layers x 64.

    Patches of 8 pixels would cost three times as much a step (measured on one core).
    """
    ends = {"bos_token_id": tokenizer.bos_token_id, "eos_token_id": tokenizer.eos_token_id}
    text = {
        "vocab_size": len(tokenizer), "hidden_size": 64, "intermediate_size": 128, "num_hidden_layers": 2,
        "num_attention_heads": 2, "max_position_embeddings": MAX_TOKENS, "projection_dim": 64,
        "pad_token_id": tokenizer.pad_token_id, **ends,
    }  # fmt: skip
    vision = {
        "hidden_size": WIDTH, "intermediate_size": 2 * WIDTH, "num_hidden_layers": 4,
        "num_attention_heads": 4, "image_size": 128, "patch_size": 16,
    }  # fmt: skip
    config = CLIPSegConfig(
        text_config=text, vision_config=vision, projection_dim=64, reduce_dim=64, extract_layers=[1, 2, 3],
        decoder_num_attention_heads=4, decoder_intermediate_size=128, use_complex_transposed_convolution=True,
    )  # fmt: skip
    model = CLIPSegForImageSegmentation(config)
    # The class draws its decoder's own layers with deviation 1, from which little is learned: drawn afresh.
    decoder = model.decoder
    for layer in [*decoder.reduces, decoder.film_mul, decoder.film_add, *decoder.transposed_convolution]:
        if isinstance(layer, (nn.Linear, nn.Conv2d, nn.ConvTranspose2d)):
            layer.reset_parameters()
    nn.init.ones_(decoder.film_mul.bias)
    return model


def patch_states(model: CLIPSegForImageSegmentation, images: Tensor) -> list[Tensor]:
    """States (n, 65, 160) after each layer of the image tower; images (n, 3, 128, 128) in [0, 1].

    The same sums as the class's own forward, which keeps gradients from its encoders; here all of it learns.
    """
    vision = model.clip.vision_model
    hidden = vision.pre_layrnorm(vision.embeddings(normalise(images), interpolate_pos_encoding=False))
    states = []
    for layer in vision.encoder.layers:
        hidden = layer(hidden, None)
        states.append(hidden)
    return states


def word_vectors(model: CLIPSegForImageSegmentation, ids: Tensor) -> Tensor:
    """Vectors (n, 64) of prompts (n, 32); the padding, which no earlier token sees, is cut off first."""
    longest = int((ids != model.config.text_config.eos_token_id).sum(1).max()) + 1
    return model.clip.text_projection(model.clip.text_model(input_ids=ids[:, :longest]).pooler_output)


def mask_logits(model: CLIPSegForImageSegmentation, states: list[Tensor], words: Tensor) -> Tensor:
    """Mask logits (n, 128, 128) from the image tower's states and prompts' vectors (n, 64)."""
    return model.decoder([states[i] for i in model.extract_layers], words).logits


def naming_logits(model: CLIPSegForImageSegmentation, states: list[Tensor], words: Tensor) -> Tensor:
    """How well each word (k, 64) fits each patch, (n, 64, k).

    What all words and what all patches have in common is taken off: else both first turn towards it, all
    words grow alike, and naming never begins (measured: cosines of 0.99 between words after 150 steps).
    """
    patches = model.clip.visual_projection(model.clip.vision_model.post_layernorm(states[-1][:, 1:])).float()
    apart = F.normalize(words.float() - words.float().mean(0), dim=-1)
    return (patches - patches.mean((0, 1))) @ apart.T


def soft_masks(
    model: CLIPSegForImageSegmentation, tokenizer: CLIPTokenizer, images: Tensor, words: Sequence[str]
) -> Tensor:
    """Soft masks (n, 128, 128) in [0, 1] by the class's own forward, as users of the folder call it."""
    ids = token_ids(tokenizer, list(words)).to(images.device)
    with torch.no_grad():
        logits = model(input_ids=ids, pixel_values=normalise(images)).logits
    return logits.float().view(len(images), *images.shape[-2:]).sigmoid()


def overlap(found: Tensor, true: Tensor) -> Tensor:
    """Intersection over union of masks (n, h, w) cut at one half; (n,)."""
    a, b = found > 0.5, true > 0.5
    return (a & b).sum((1, 2)) / (a | b).sum((1, 2)).clamp(min=1)


def save_mask(model: CLIPSegForImageSegmentation, tokenizer: CLIPTokenizer, folder: Path) -> None:
    """Save in half precision as a folder that from_pretrained loads, with its tokenizer."""
    partial = folder.with_name(folder.name + ".partial")
    shutil.rmtree(partial, ignore_errors=True)
    half = CLIPSegForImageSegmentation(model.config)
    half.load_state_dict(model.state_dict())
    half.half().eval().save_pretrained(partial)
    tokenizer.save_pretrained(partial)
    replace_folder(partial, folder)


def load_mask(
    folder: Path, device: torch.device | str = "cpu"
) -> tuple[CLIPSegForImageSegmentation, CLIPTokenizer]:
    """The segmenter in full precision, and its tokenizer."""
    model = CLIPSegForImageSegmentation.from_pretrained(folder, dtype=torch.float32)
    return model.to(device).eval(), CLIPTokenizer.from_pretrained(folder)
